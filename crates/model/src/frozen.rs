//! Products with a matrix that does not learn, under something that does: x Wᵀ with a gradient for x alone. The product
//! is the kernels', whatever form the weights are in, and the gradient is dy W with the weights widened slab by slab
//! (QLoRA: Dettmers et al. 2023, arXiv:2305.14314, section 3). No gradient of W is computed, nor room for one needed.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use super::arithmetic::Arithmetic;
use super::error::{Error, Result};
use super::linear::Weight;
use super::matmul;
use super::ops;
use bantam_kernels as kernels;

/// x (T, inp), which needs a gradient, times Wᵀ, W (out, inp), giving (T, out) f32. On the CPU.
pub(crate) fn product(x: &Tensor, weight: &Weight, arithmetic: Arithmetic) -> Result<Tensor> {
    if matches!(weight, Weight::Quantized(_)) || !x.device().is_cpu() {
        return Err(Error::Request(
            "no gradient passes through quantized weights on this device; train on the CPU".into(),
        ));
    }
    Ok(x.contiguous()?.apply_op1(Frozen { weight: weight.clone(), arithmetic })?)
}

struct Frozen {
    weight: Weight,
    arithmetic: Arithmetic,
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = ops::floats(x, layout, self.name())?;
        let rows = layout.shape().dims2()?.0;
        let (y, out) = matmul::with_matrix(&self.weight, |w| {
            let mut y = vec![0f32; rows * w.out()];
            match self.arithmetic {
                Arithmetic::Fast => kernels::product(x, rows, w, &mut y),
                _ => kernels::widened_product(x, rows, w, &mut y),
            }
            .map_err(candle_core::Error::wrap)?;
            Ok((y, w.out()))
        })?;
        Ok((CpuStorage::F32(y), Shape::from((rows, out))))
    }

    // dx = dy w
    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (rows, inp) = x.dims2()?;
        let dx = ops::with_floats([dy], self.name(), |[dy]| {
            matmul::with_matrix(&self.weight, |w| {
                if w.inp() != inp {
                    bail!("{}: the weight ({}, {}) does not fit the input", self.name(), w.out(), w.inp());
                }
                let mut dx = vec![0f32; rows * inp];
                kernels::widened_gradient(dy, rows, w, &mut dx).map_err(candle_core::Error::wrap)?;
                Ok(dx)
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, (rows, inp), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul::Blocks;
    use bantam_format::ggml::Type;
    use candle_core::{DType, Device, Var};
    use std::sync::Arc;

    fn random(rows: usize, columns: usize) -> Tensor {
        Tensor::randn(0f32, 1.0, (rows, columns), &Device::Cpu).expect("random")
    }

    fn blocks(ty: Type, out: usize, inp: usize) -> Weight {
        let weights: Vec<f32> = random(out, inp).flatten_all().and_then(|t| t.to_vec1()).expect("weights");
        let mut bytes = vec![0; ty.bytes(weights.len()).expect("whole blocks")];
        let block = kernels::block::of(ty).expect("a type that is computed with");
        block.encode(kernels::isa(), &weights, None, &mut bytes).expect("written");
        Weight::Blocks(Arc::new(Blocks::new(ty, out, inp, bytes).expect("a matrix")))
    }

    fn far(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).and_then(|d| d.abs()).and_then(|d| d.max_all()).and_then(|d| d.to_scalar()).expect("a distance")
    }

    #[test]
    fn the_gradient_is_that_of_a_product_with_the_widened_weights() {
        let dense = |dtype| Weight::Dense(random(96, 64).to_dtype(dtype).expect("cast"));
        for weight in [blocks(Type::Q4_0, 96, 64), blocks(Type::Q8_0, 96, 64), dense(DType::F16), dense(DType::F32)] {
            let wide = weight.dequantized().expect("values");
            let x = Var::from_tensor(&random(7, 64)).expect("a variable");
            let upstream = random(7, 96);
            let y = product(&x, &weight, Arithmetic::Exact).expect("a product");
            let want = x.matmul(&wide.t().expect("transposed")).expect("a product");
            assert!(far(&y, &want) < 1e-4);
            let gradient = |y: &Tensor| {
                let grads = (y * &upstream).and_then(|y| y.sum_all()).and_then(|y| y.backward()).expect("backward");
                grads.get(&x).expect("a gradient").clone()
            };
            assert!(far(&gradient(&y), &gradient(&want)) < 1e-4);
        }
    }

    /// The fast product rounds its input; what is learnt from it is as good as its gradient.
    #[test]
    fn the_fast_product_has_the_same_gradient() {
        let weight = blocks(Type::Q4_0, 32, 64);
        let x = Var::from_tensor(&random(3, 64)).expect("a variable");
        let gradient = |arithmetic| {
            let y = product(&x, &weight, arithmetic).expect("a product");
            let grads = y.sum_all().and_then(|y| y.backward()).expect("backward");
            grads.get(&x).expect("a gradient").clone()
        };
        assert_eq!(far(&gradient(Arithmetic::Fast), &gradient(Arithmetic::Exact)), 0.0);
    }
}
