//! A matrix that activations are multiplied by, whatever form its weights are in: dense (f32, f16, bf16) or one of
//! ggml's quantized blocks, candle's or our own. The graph, and all that measures or changes it, sees only this.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

use super::error::Result;
use super::format::gguf::TensorKind;
use super::iq4::Iq4;
use super::matmul;

/// y = x Wᵀ + b, with W (out, inp).
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Debug, Clone)]
pub enum Weight {
    /// (out, inp), contiguous; f32, f16 or bf16.
    Dense(Tensor),
    Quantized(Arc<QTensor>),
    /// On the CPU only.
    Iq4(Arc<Iq4>),
}

impl Linear {
    /// From a contiguous (out, inp) tensor.
    pub fn dense(weight: Tensor) -> Self {
        Self { weight: Weight::Dense(weight), bias: None }
    }

    /// From quantized rows.
    pub fn quantized(weight: Arc<QTensor>) -> Self {
        Self { weight: Weight::Quantized(weight), bias: None }
    }

    /// From blocks of IQ4_NL or IQ4_XS.
    pub fn iq4(weight: Arc<Iq4>) -> Self {
        Self { weight: Weight::Iq4(weight), bias: None }
    }

    /// With a bias of (out).
    pub fn with_bias(self, bias: Tensor) -> Self {
        Self { bias: Some(bias), ..self }
    }

    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// x (T, inp) to (T, out), f32. Differentiable where the weight is f32.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Dense(w) => matmul::dense(x, w)?,
            Weight::Quantized(w) => matmul::quantized(x, w)?,
            Weight::Iq4(w) => matmul::chosen(x, w)?,
        };
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y),
        }
    }

    /// The rows of W at `ids`, (n, inp) f32: W read as an embedding table. Every id must be below `out`.
    pub fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let tensor = |ids| Tensor::new(ids, &self.device());
        Ok(match &self.weight {
            Weight::Dense(w) => w.index_select(&tensor(ids)?, 0)?.to_dtype(DType::F32)?,
            Weight::Quantized(w) => w.embedding(&tensor(ids)?)?,
            Weight::Iq4(w) => w.rows(ids.iter().map(|&id| id as usize))?,
        })
    }

    /// W in f32, (out, inp).
    pub fn dequantized(&self) -> Result<Tensor> {
        Ok(match &self.weight {
            Weight::Dense(w) => w.to_dtype(DType::F32)?,
            Weight::Quantized(w) => w.dequantize(&self.device())?,
            Weight::Iq4(w) => w.rows(0..w.dims().0)?,
        })
    }

    /// Bytes its weights take in memory, without what a kernel may repack on first use.
    pub fn bytes(&self) -> usize {
        let bias = self.bias.as_ref().map_or(0, |b| b.elem_count() * b.dtype().size_in_bytes());
        bias + match &self.weight {
            Weight::Dense(w) => w.elem_count() * w.dtype().size_in_bytes(),
            Weight::Quantized(w) => w.storage_size_in_bytes(),
            Weight::Iq4(w) => w.size(),
        }
    }

    /// The form of its weights, in ggml's words.
    pub fn format(&self) -> &'static str {
        let dtype = match &self.weight {
            Weight::Dense(w) => match w.dtype() {
                DType::F16 => GgmlDType::F16,
                DType::BF16 => GgmlDType::BF16,
                _ => GgmlDType::F32,
            },
            Weight::Quantized(w) => w.dtype(),
            Weight::Iq4(w) => return w.layout().name(),
        };
        TensorKind::of(dtype).map_or("unknown", |kind| kind.name)
    }

    fn device(&self) -> Device {
        match &self.weight {
            Weight::Dense(w) => w.device().clone(),
            Weight::Quantized(w) => w.device(),
            Weight::Iq4(_) => Device::Cpu,
        }
    }
}

/// Several matrices applied to one input: q, k and v, or gate and up. One pass over the input where the weights allow.
pub fn forward_all<const N: usize>(linears: [&Linear; N], x: &Tensor) -> Result<[Tensor; N]> {
    let quantized: Vec<&QTensor> = linears
        .iter()
        .filter_map(|linear| match &linear.weight {
            Weight::Quantized(w) if linear.bias.is_none() => Some(w.as_ref()),
            _ => None,
        })
        .collect();
    if quantized.len() == N
        && let Some(ys) = QTensor::gemv_fused_shared_lhs(&quantized, x)?
        && let Ok(ys) = <[Tensor; N]>::try_from(ys)
    {
        return Ok(ys);
    }
    let ys = linears.into_iter().map(|linear| linear.forward(x)).collect::<Result<Vec<_>>>()?;
    Ok(ys.try_into().expect("one output for each of the N linears"))
}
