//! The operations of mixers that keep a state: a convolution of each channel over the last tokens, and the matrix of each
//! head that forgets and learns. The arithmetic is the kernels'; where a gradient is wanted, and on other devices, it is
//! spelled out token by token in candle's own operations.

use super::tensors;
use bantam_kernels::state::{After, Convolution, Mixed, Run, Scan};
use candle_core::{Result, Tensor, bail};

/// What a mixer gives, (T, ..), and the state at the end of each run that is wanted.
pub(crate) type Given = (Tensor, Vec<Option<Tensor>>);

/// Whether the kernels do it.
fn by_kernels(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| tensor.device().is_cpu() && !tensor.track_op())
}

/// Convolves x (T, channels) with weight (taps, channels): y is the sum of the last `taps` rows of x, each times its row of
/// the weight, and the bias. `kept` are the last taps - 1 rows before a run.
///
/// # Errors
/// Where shapes do not fit.
pub(crate) fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    runs: &[Run],
    kept: &[Tensor],
) -> Result<Given> {
    let ((tokens, channels), (taps, own)) = (x.dims2()?, weight.dims2()?);
    if own != channels || bias.is_some_and(|bias| bias.dims() != [channels]) {
        bail!("convolve: weight {:?} does not fit {:?}", weight.dims(), x.dims());
    }
    check(runs, tokens, kept, &[taps - 1, channels])?;
    if !by_kernels(&[x, weight]) {
        return composed_convolve(x, weight, bias, runs, kept);
    }
    let (kept, bias) = (numbers(kept)?, bias.map(Tensor::to_vec1::<f32>).transpose()?);
    let kept: Vec<&[f32]> = kept.iter().map(Vec::as_slice).collect();
    let mixed = tensors::with_floats([x, weight], "convolve", |[x, weight]| {
        Ok(Convolution { weight, bias: bias.as_deref(), channels }.run(x, runs, &kept))
    })?;
    given(mixed, (tokens, channels).into(), &[taps - 1, channels], x)
}

/// What a scan reads.
pub(crate) struct Scanned<'a> {
    /// Queries, (T, groups, key).
    pub q: &'a Tensor,
    /// Keys, (T, groups, key).
    pub k: &'a Tensor,
    /// Values, (T, heads, value).
    pub v: &'a Tensor,
    /// What is left of each head's matrix, (T, heads).
    pub decay: &'a Tensor,
    /// How much each head learns, (T, heads).
    pub strength: &'a Tensor,
    /// Whether only what the matrix does not give for the key already is learnt.
    pub corrects: bool,
}

/// Goes through the tokens of each run: S = decay · S + k ⊗ (strength · (v - decay · Sᵀk)), y = Sᵀq, without the part under
/// the minus where it does not correct. Gives y (T, heads, value); `kept` and the ends are S (heads, key, value).
///
/// # Errors
/// Where shapes do not fit.
pub(crate) fn scan(scanned: &Scanned, runs: &[Run], kept: &[Tensor]) -> Result<Given> {
    let Scanned { q, k, v, decay, strength, corrects } = *scanned;
    let ((tokens, groups, key), (_, heads, value)) = (q.dims3()?, v.dims3()?);
    let fits = k.dims() == q.dims() && v.dim(0)? == tokens && decay.dims() == [tokens, heads];
    if !fits || strength.dims() != decay.dims() || groups == 0 || !heads.is_multiple_of(groups) {
        bail!("scan: q {:?}, v {:?} and decay {:?} do not go together", q.dims(), v.dims(), decay.dims());
    }
    check(runs, tokens, kept, &[heads, key, value])?;
    if !by_kernels(&[q, k, v, decay, strength]) {
        return composed_scan(scanned, runs, kept);
    }
    let kept = numbers(kept)?;
    let kept: Vec<&[f32]> = kept.iter().map(Vec::as_slice).collect();
    let mixed = tensors::with_floats([q, k, v, decay, strength], "scan", |[q, k, v, decay, strength]| {
        Ok(Scan { q, k, v, decay, strength, groups, heads, key, value, corrects }.run(runs, &kept))
    })?;
    given(mixed, (tokens, heads, value).into(), &[heads, key, value], v)
}

/// Refuses runs that do not add up to the batch, or go on from what is not there.
fn check(runs: &[Run], tokens: usize, kept: &[Tensor], shape: &[usize]) -> Result<()> {
    let follows = |(index, run): (usize, &Run)| match run.after {
        After::Nothing => true,
        After::Run(earlier) => earlier < index && runs[earlier].wanted,
        After::Kept(at) => at < kept.len(),
    };
    let total: usize = runs.iter().map(|run| run.len).sum();
    if total != tokens || !runs.iter().enumerate().all(follows) {
        bail!("the runs of {total} tokens do not fit a batch of {tokens}");
    }
    match kept.iter().find(|kept| kept.dims() != shape) {
        Some(other) => bail!("a state has shape {:?}, not {shape:?}", other.dims()),
        None => Ok(()),
    }
}

fn numbers(kept: &[Tensor]) -> Result<Vec<Vec<f32>>> {
    kept.iter().map(|state| state.flatten_all()?.to_vec1()).collect()
}

fn given(mixed: Mixed, shape: candle_core::Shape, state: &[usize], like: &Tensor) -> Result<Given> {
    let end = |end: Option<Vec<f32>>| end.map(|end| Tensor::from_vec(end, state, like.device())).transpose();
    let ends = mixed.ends.into_iter().map(end).collect::<Result<_>>()?;
    Ok((Tensor::from_vec(mixed.rows, shape, like.device())?, ends))
}

/// What a run goes on from, if anything.
fn before<'a>(run: &Run, ends: &'a [Option<Tensor>], kept: &'a [Tensor]) -> Option<&'a Tensor> {
    match run.after {
        After::Nothing => None,
        After::Run(earlier) => ends[earlier].as_ref(),
        After::Kept(at) => kept.get(at),
    }
}

fn composed_convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    runs: &[Run],
    kept: &[Tensor],
) -> Result<Given> {
    let (taps, channels) = weight.dims2()?;
    let (mut rows, mut ends, mut at) = (Vec::new(), Vec::new(), 0);
    for run in runs {
        let held = match before(run, &ends, kept) {
            Some(held) => held.clone(),
            None => Tensor::zeros((taps - 1, channels), x.dtype(), x.device())?,
        };
        let seen = Tensor::cat(&[held, x.narrow(0, at, run.len)?], 0)?;
        let mut y = Tensor::zeros((run.len, channels), x.dtype(), x.device())?;
        for tap in 0..taps {
            y = (y + seen.narrow(0, tap, run.len)?.broadcast_mul(&weight.narrow(0, tap, 1)?)?)?;
        }
        rows.push(match bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        });
        ends.push(run.wanted.then(|| seen.narrow(0, run.len, taps - 1)?.contiguous()).transpose()?);
        at += run.len;
    }
    Ok((Tensor::cat(&rows, 0)?, ends))
}

fn composed_scan(scanned: &Scanned, runs: &[Run], kept: &[Tensor]) -> Result<Given> {
    let ((tokens, groups, key), (_, heads, value)) = (scanned.q.dims3()?, scanned.v.dims3()?);
    // (T, heads, key, 1): a group's for each of its heads
    let of_heads = |x: &Tensor| {
        let x = x.reshape((tokens, groups, 1, key))?.broadcast_as((tokens, groups, heads / groups, key))?;
        x.reshape((tokens, heads, key, 1))
    };
    let (q, k) = (of_heads(scanned.q)?, of_heads(scanned.k)?);
    let v = scanned.v.reshape((tokens, heads, 1, value))?;
    let wide = |x: &Tensor| x.reshape((tokens, heads, 1, 1));
    let (decay, strength) = (wide(scanned.decay)?, wide(scanned.strength)?);
    let (mut rows, mut ends, mut at) = (Vec::new(), Vec::new(), 0);
    for run in runs {
        let mut s = match before(run, &ends, kept) {
            Some(held) => held.clone(),
            None => Tensor::zeros((heads, key, value), v.dtype(), v.device())?,
        };
        for token in at..at + run.len {
            let of = |x: &Tensor| x.get(token); // (heads, ..)
            s = s.broadcast_mul(&of(&decay)?)?;
            let mut learnt = of(&v)?;
            if scanned.corrects {
                learnt = (learnt - s.broadcast_mul(&of(&k)?)?.sum_keepdim(1)?)?;
            }
            learnt = learnt.broadcast_mul(&of(&strength)?)?;
            s = (s + of(&k)?.broadcast_mul(&learnt)?)?;
            rows.push(s.broadcast_mul(&of(&q)?)?.sum(1)?);
        }
        ends.push(run.wanted.then_some(s));
        at += run.len;
    }
    Ok((Tensor::stack(&rows, 0)?, ends))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn random(shape: &[usize]) -> Tensor {
        Tensor::randn(0f32, 1.0, shape, &Device::Cpu).expect("random")
    }

    fn far(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar()).expect("a distance")
    }

    fn runs() -> [Run; 3] {
        [
            Run { len: 3, after: After::Kept(0), wanted: true },
            Run { len: 2, after: After::Run(0), wanted: true },
            Run { len: 4, after: After::Nothing, wanted: false },
        ]
    }

    #[test]
    fn the_kernels_do_what_is_spelled_out() {
        let (x, weight, bias, kept) = (random(&[9, 6]), random(&[4, 6]), random(&[6]), [random(&[3, 6])]);
        let one = convolve(&x, &weight, Some(&bias), &runs(), &kept).expect("kernels");
        let other = composed_convolve(&x, &weight, Some(&bias), &runs(), &kept).expect("spelled out");
        assert!(far(&one.0, &other.0) < 1e-5);
        let (q, k, v) = (random(&[9, 2, 3]), random(&[9, 2, 3]), random(&[9, 4, 5]));
        let decay = random(&[9, 4]).abs().and_then(|x| x.neg()?.exp()).expect("below 1");
        let (strength, kept) = (random(&[9, 4]), [random(&[4, 3, 5])]);
        for corrects in [false, true] {
            let scanned = Scanned { q: &q, k: &k, v: &v, decay: &decay, strength: &strength, corrects };
            let one = scan(&scanned, &runs(), &kept).expect("kernels");
            let other = composed_scan(&scanned, &runs(), &kept).expect("spelled out");
            assert!(far(&one.0, &other.0) < 1e-4);
            let end = |given: &Given| given.1[1].clone().expect("wanted");
            assert!(far(&end(&one), &end(&other)) < 1e-4 && one.1[2].is_none());
        }
    }

    #[test]
    fn gradients_reach_all_that_a_scan_reads() {
        let var = |shape: &[usize]| Var::from_tensor(&random(shape)).expect("a variable");
        let all = [var(&[4, 1, 3]), var(&[4, 1, 3]), var(&[4, 2, 3]), var(&[4, 2]), var(&[4, 2])];
        let scanned = Scanned { q: &all[0], k: &all[1], v: &all[2], decay: &all[3], strength: &all[4], corrects: true };
        let (y, _) = scan(&scanned, &[Run { len: 4, after: After::Nothing, wanted: false }], &[]).expect("a scan");
        let gradients = y.sqr().and_then(|y| y.sum_all()?.backward()).expect("backward");
        assert!(all.iter().all(|var| gradients.get(var).is_some()));
    }
}
