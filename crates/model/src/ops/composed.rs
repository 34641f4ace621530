//! The same operations spelled out in candle's own: what runs on other devices, and what the kernels are tested
//! against.

use super::{Activation, Attend, Pairing, Past};
use candle_core::{D, Device, Result, Tensor};

/// Norms x (.., dim) by its root mean square, with weight w (dim).
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean + eps)?.sqrt()?)?.broadcast_mul(w)
}

/// Turns x (T, heads, d) by the angles of cos and sin (T, rot/2).
pub(super) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, pairing: Pairing) -> Result<Tensor> {
    let (tokens, heads, d) = x.dims3()?;
    let half = cos.dim(1)?;
    let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?); // (T, 1, half)
    let turned = x.narrow(2, 0, 2 * half)?;
    let (x1, x2) = match pairing {
        Pairing::Half => (turned.narrow(2, 0, half)?, turned.narrow(2, half, half)?),
        Pairing::Interleaved => {
            let pairs = turned.contiguous()?.reshape((tokens, heads, half, 2))?;
            (pairs.narrow(3, 0, 1)?.squeeze(3)?, pairs.narrow(3, 1, 1)?.squeeze(3)?)
        }
    };
    let y1 = (x1.broadcast_mul(&cos)? - x2.broadcast_mul(&sin)?)?;
    let y2 = (x2.broadcast_mul(&cos)? + x1.broadcast_mul(&sin)?)?;
    let turned = match pairing {
        Pairing::Half => Tensor::cat(&[y1, y2], 2)?,
        Pairing::Interleaved => Tensor::stack(&[y1, y2], 3)?.reshape((tokens, heads, 2 * half))?,
    };
    if 2 * half == d {
        return Ok(turned);
    }
    Tensor::cat(&[turned, x.narrow(2, 2 * half, d - 2 * half)?], 2)
}

/// Norms x (.., dim) to mean 0 and variance 1, with weight and bias (dim).
pub(super) fn layer_norm(x: &Tensor, w: &Tensor, b: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
    let y = x.broadcast_div(&(variance + eps)?.sqrt()?)?.broadcast_mul(w)?;
    b.map_or(Ok(y.clone()), |b| y.broadcast_add(b))
}

/// Applies an activation to every element.
pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let sigmoid = |x: &Tensor| (x.neg()?.exp()? + 1.0)?.recip();
    match activation {
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::QuickGelu => x * sigmoid(&(x * 1.702)?)?,
        Activation::Relu => x.relu(),
        Activation::Relu2 => x.relu()?.sqr(),
        Activation::Tanh => x.tanh(),
    }
}

/// Gives activation(gate) * up, elementwise.
pub(super) fn gate_mul(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    activate(gate, activation)? * up
}

/// Gives x (.., in) times wᵀ with w (out, in).
pub(super) fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.broadcast_matmul(&w.t()?)
}

/// Gives the weighted mean of the negative log-likelihoods, in nats; `total` is the sum of the weights.
pub(super) fn cross_entropy(logits: &Tensor, targets: &[u32], weights: &[f32], total: f64) -> Result<Tensor> {
    let device = logits.device();
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
    let log_sum = shifted.exp()?.sum_keepdim(1)?.log()?;
    let log_p = shifted.broadcast_sub(&log_sum)?;
    let targets = Tensor::from_slice(targets, (targets.len(), 1), device)?;
    let weights = Tensor::from_slice(weights, weights.len(), device)?.to_dtype(logits.dtype())?;
    let picked = log_p.gather(&targets, 1)?.squeeze(1)?;
    (picked * weights)?.sum_all()? * (-1.0 / total)
}

/// Attention span by span, with the keys of the whole chain laid side by side and a mask for the rest.
pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, pasts: &[Past], attend: &Attend) -> Result<Tensor> {
    let starts = attend.starts();
    let mut outputs = Vec::with_capacity(attend.spans.len());
    for (i, span) in attend.spans.iter().enumerate() {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let chain = attend.chain(i);
        if let Some(past) = attend.spans[chain[0]].past {
            let (k, v) = past_rows(&pasts[past], q.device())?;
            keys.push(k);
            values.push(v);
        }
        for &link in &chain {
            keys.push(k.narrow(0, starts[link], attend.spans[link].len)?);
            values.push(v.narrow(0, starts[link], attend.spans[link].len)?);
        }
        let (keys, values) = (Tensor::cat(&keys, 0)?, Tensor::cat(&values, 0)?);
        outputs.push(attend_span(&q.narrow(0, starts[i], span.len)?, &keys, &values, attend)?);
    }
    Tensor::cat(&outputs, 0)
}

/// The keys and values of a past that count, (len, hkv, d) each.
fn past_rows(past: &Past, device: &Device) -> Result<(Tensor, Tensor)> {
    match past {
        Past::Device { k, v, len } => Ok((k.narrow(0, 0, *len)?, v.narrow(0, 0, *len)?)),
        Past::Host { kv, len } => {
            let ((heads, d), (k, v)) = (kv.shape(), kv.rows(*len));
            let rows = |numbers| Tensor::from_vec(numbers, (*len, heads, d), device);
            Ok((rows(k)?, rows(v)?))
        }
    }
}

/// q (n, h, d) over k, v (m, hkv, d), where the queries are the last n of the m positions.
fn attend_span(q: &Tensor, k: &Tensor, v: &Tensor, attend: &Attend) -> Result<Tensor> {
    let ((n, h, d), (m, hkv, _)) = (q.dims3()?, k.dims3()?);
    let grouped =
        |t: &Tensor| t.unsqueeze(2)?.expand((m, hkv, h / hkv, d))?.reshape((m, h, d))?.transpose(0, 1)?.contiguous();
    let (q, k, v) = (q.transpose(0, 1)?.contiguous()?, grouped(k)?, grouped(v)?); // (h, n, d), (h, m, d)
    let mut scores = (q.matmul(&k.transpose(1, 2)?)? * f64::from(attend.scale))?;
    if let Some(cap) = attend.softcap {
        scores = ((scores / f64::from(cap))?.tanh()? * f64::from(cap))?;
    }
    let scores = scores.broadcast_add(&mask(n, m, attend, q.device())?.to_dtype(q.dtype())?)?;
    let most = scores.max_keepdim(2)?.detach(); // (h, n, 1)
    let p = scores.broadcast_sub(&most)?.exp()?;
    let sum = match &attend.sinks {
        None => p.sum_keepdim(2)?,
        Some(sinks) => {
            let sinks = Tensor::from_slice(sinks, (h, 1, 1), q.device())?.to_dtype(q.dtype())?;
            (p.sum_keepdim(2)? + sinks.broadcast_sub(&most)?.exp()?)?
        }
    };
    let p = p.broadcast_div(&sum)?;
    p.matmul(&v)?.transpose(0, 1)?.contiguous()
}

/// (n, m) of zeros where query i, which stands at position m - n + i, sees key j, and minus infinity elsewhere.
fn mask(n: usize, m: usize, attend: &Attend, device: &Device) -> Result<Tensor> {
    let sees = |i: usize, j: usize| {
        let i = m - n + i;
        (!attend.causal || j <= i) && attend.window.is_none_or(|w| j + w > i && j < i.saturating_add(w))
    };
    let mask: Vec<f32> = (0..n * m).map(|at| if sees(at / m, at % m) { 0.0 } else { f32::NEG_INFINITY }).collect();
    Tensor::from_vec(mask, (n, m), device)
}
