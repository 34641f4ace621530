//! How a matrix is multiplied, where it is not the fast way: as ggml's code for CPUs computes it, or in f32 with nothing
//! rounded. Both widen the weights slab by slab, cost a few times what the kernels do, and give the same on every
//! machine: they are for measuring what weights lost, not for use.
//!
//! ggml rounds the inputs to a type that goes with the weights' (`vec_dot_type` in ggml-cpu.c, github.com/ggml-org/ggml):
//! eight bits with a scale for 256 of them beside k-quants, for 32 beside the others, halves beside halves. That noise is
//! in whatever llama.cpp's programs say of a file: 7% of the KL divergence of a Q4_K_M file from its source, and nearly
//! all of a Q8_0 file's (docs/lab.md).

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use super::error::Result;
use super::linear::{Linear, Weight};
use super::matmul;
use super::weights::Weights;
use bantam_format::ggml::Type;

/// How matrices are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// As fast as the kernels can: inputs in eight bits beside quantized weights.
    #[default]
    Fast,
    /// As ggml's code for CPUs does it.
    Ggml,
    /// In f32, with the weights as they are and nothing rounded.
    Exact,
}

/// Weights that are widened at a time: 16 MB.
const SLAB: usize = 1 << 22;

/// x (T, inp) times Wᵀ, (T, out), f32; None where the weights are not on the CPU.
pub(crate) fn product(x: &Tensor, weight: &Weight, arithmetic: Arithmetic) -> Result<Option<Tensor>> {
    let (ty, out, inp) = match weight {
        Weight::Blocks(blocks) => (blocks.ggml_type(), blocks.dims().0, blocks.dims().1),
        Weight::Dense(w) if w.device().is_cpu() => {
            let (out, inp) = w.dims2()?;
            (float_type(w.dtype()), out, inp)
        }
        _ => return Ok(None),
    };
    let x = match arithmetic {
        Arithmetic::Ggml => rounded(x, inp, ty)?,
        _ => x.clone(),
    };
    let rows = (SLAB / inp.max(1)).max(1);
    let slabs = (0..out).step_by(rows).map(|first| {
        let wide = weight.slab(first, rows.min(out - first))?;
        matmul::dense(&x, &wide)
    });
    let slabs = slabs.collect::<Result<Vec<Tensor>>>()?;
    Ok(Some(match &slabs[..] {
        [one] => one.clone(),
        some => Tensor::cat(some, 1)?,
    }))
}

fn float_type(dtype: DType) -> Type {
    match dtype {
        DType::F16 => Type::F16,
        DType::BF16 => Type::BF16,
        _ => Type::F32,
    }
}

/// x as ggml rounds it beside weights of a type.
fn rounded(x: &Tensor, inp: usize, ty: Type) -> Result<Tensor> {
    let Some(round) = rounding(ty) else { return Ok(x.clone()) };
    let mut numbers = x.flatten_all()?.to_vec1::<f32>()?;
    numbers.par_chunks_mut(inp.max(1)).for_each(round);
    Ok(Tensor::from_vec(numbers, x.dims2()?, &Device::Cpu)?)
}

fn rounding(ty: Type) -> Option<fn(&mut [f32])> {
    match ty {
        Type::F32 => None,
        Type::F16 => Some(|row| row.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32())),
        Type::BF16 => Some(|row| row.iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32())),
        ty if ty.block() == 256 => Some(|row| row.chunks_mut(256).for_each(by_256)),
        _ => Some(|row| row.chunks_mut(32).for_each(by_32)),
    }
}

/// `quantize_row_q8_K_ref`: the number of the largest size becomes −127 of its own sign.
fn by_256(block: &mut [f32]) {
    let most = block.iter().fold(0f32, |most, &x| if x.abs() > most.abs() { x } else { most });
    if most == 0.0 {
        return block.fill(0.0);
    }
    let inverse = -127.0 / most;
    let scale = 1.0 / inverse;
    block.iter_mut().for_each(|x| *x = scale * (inverse * *x).round_ties_even().min(127.0));
}

/// `quantize_row_q8_0` and `q8_1`: the scale is stored as f16.
fn by_32(block: &mut [f32]) {
    let most = block.iter().fold(0f32, |most, &x| most.max(x.abs()));
    if most == 0.0 {
        return block.fill(0.0);
    }
    let (scale, inverse) = (f16::from_f32(most / 127.0).to_f32(), 127.0 / most);
    block.iter_mut().for_each(|x| *x = scale * (inverse * *x).round_ties_even());
}

/// An overlay under which every matrix is multiplied in one way.
pub(crate) struct Computed<W> {
    inner: W,
    arithmetic: Arithmetic,
}

impl<W: Weights> Computed<W> {
    /// Lays it over `inner`.
    pub(crate) fn new(inner: W, arithmetic: Arithmetic) -> Self {
        Self { inner, arithmetic }
    }
}

impl<W: Weights> Weights for Computed<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        Ok(self.inner.linear(name, out, inp)?.with_arithmetic(self.arithmetic))
    }

    fn stored(&self, name: &str) -> Result<Option<super::StoredTensor<'_>>> {
        self.inner.stored(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn row() -> Vec<f32> {
        (0..512).map(|i| (i as f32 * 0.37).sin() * if i == 300 { 40.0 } else { 1.0 }).collect()
    }

    #[test]
    fn inputs_are_rounded_to_a_step_of_their_block() {
        let x = row();
        for (ty, block, steps) in [(Type::Q4_K, 256, 127.0), (Type::Q8_0, 32, 127.0)] {
            let mut own = x.clone();
            rounding(ty).expect("rounds")(&mut own);
            for (x, own) in x.chunks(block).zip(own.chunks(block)) {
                let step = x.iter().fold(0f32, |most, x| most.max(x.abs())) / steps;
                let far = x.iter().zip(own).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(far <= 0.56 * step && far > 0.2 * step, "{ty}: {far} of steps of {step}");
            }
        }
        assert!(rounding(Type::F32).is_none());
    }

    #[test]
    fn products_are_exact_where_nothing_is_rounded_and_slabs_join() {
        let (out, inp) = (9000, 512);
        let weights: Vec<f32> = (0..out * inp).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 500.0).collect();
        let dense = Tensor::from_vec(weights, (out, inp), &Device::Cpu).expect("a matrix");
        let x = Tensor::from_vec([row(), row()].concat(), (2, inp), &Device::Cpu).expect("inputs");
        let known = x.matmul(&dense.t().expect("turned")).expect("a product").to_vec2::<f32>().expect("rows");
        let linear = Linear::dense(dense);
        for (arithmetic, most) in [(Arithmetic::Exact, 2e-3), (Arithmetic::Ggml, 2e-3)] {
            let y = linear.clone().with_arithmetic(arithmetic).forward(&x).expect("a product");
            let far = y
                .to_vec2::<f32>()
                .expect("rows")
                .concat()
                .iter()
                .zip(known.concat())
                .map(|(a, b)| (a - b).abs())
                .fold(0f32, f32::max);
            assert!(far < most, "{arithmetic:?}: {far}");
        }
        let bytes = Type::Q8_0.bytes(64 * inp).expect("whole blocks");
        let mut blocks = vec![0; bytes];
        let some: Vec<f32> = (0..64 * inp).map(|i| ((i * 31 % 200) as f32 - 100.0) / 100.0).collect();
        let kernels = bantam_kernels::block::of(Type::Q8_0).expect("a type");
        kernels.encode(bantam_kernels::isa(), &some, None, &mut blocks).expect("encodes");
        let blocks = Arc::new(matmul::Blocks::new(Type::Q8_0, 64, inp, blocks).expect("blocks"));
        let linear = Linear::blocks(blocks);
        let of = |arithmetic| {
            let y = linear.clone().with_arithmetic(arithmetic).forward(&x).expect("a product");
            y.to_vec2::<f32>().expect("rows").concat()
        };
        let (exact, ggml) = (of(Arithmetic::Exact), of(Arithmetic::Ggml));
        let wide = linear.dequantized().and_then(|w| Ok(x.matmul(&w.t()?)?.to_vec2::<f32>()?)).expect("known").concat();
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(far(&exact, &wide) < 2e-3, "{}", far(&exact, &wide));
        assert!(far(&ggml, &wide) > 1e-3 && far(&ggml, &wide) < 2.0, "{}", far(&ggml, &wide));
    }
}
