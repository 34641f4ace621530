//! The tensors of a GGUF file by their checkpoint names, in the checkpoint's row order: what a GGUF file interleaves is
//! put back when it is read, so that the graph, adapters and comparisons see one layout.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};

use super::copy::Rows;
use super::{Computes, Gguf, TensorKind};
use crate::model::config::Config;
use crate::model::error::{Error, Result};
use crate::model::iq4::{self, Iq4};
use crate::model::linear::Linear;
use crate::model::names;
use crate::model::weights::{Precision, Weights};

/// A GGUF file as a source of weights.
#[derive(Debug)]
pub struct GgufWeights<'a> {
    gguf: &'a Gguf,
    config: &'a Config,
    device: &'a Device,
    precision: Precision,
}

impl<'a> GgufWeights<'a> {
    pub fn new(gguf: &'a Gguf, config: &'a Config, device: &'a Device, precision: Precision) -> Self {
        Self { gguf, config, device, precision }
    }

    /// A tensor's rows in checkpoint order, and what computes with them.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(Computes, Rows<'a>)> {
        let missing = || self.gguf.broken(format!("tensor {name} is missing"));
        let info = self.config.family.to_gguf(name).and_then(|gguf| self.gguf.tensor(&gguf)).ok_or_else(missing)?;
        if info.shape != shape {
            let what = format!("tensor {} has shape {:?}, its keys ask for {shape:?}", info.name, info.shape);
            return Err(self.gguf.broken(what));
        }
        let computes = info.kind.computes.ok_or_else(|| {
            let what = format!("tensor {} of type {}", info.name, info.kind.name);
            Error::unsupported(self.gguf.file(), what, TensorKind::computable())
        })?;
        Ok((computes, Rows::all(self.gguf, info, names::gguf_row_order(self.config, name))))
    }

    /// Plain numbers of the type they are stored in; `None` for blocks.
    fn plain(&self, dtype: GgmlDType, rows: &Rows, shape: &[usize]) -> Result<Option<Tensor>> {
        Ok(Some(match dtype {
            GgmlDType::F32 => Tensor::from_vec(rows.f32s(), shape, self.device)?,
            GgmlDType::F16 => Tensor::from_vec(rows.f16s(), shape, self.device)?,
            GgmlDType::BF16 => Tensor::from_vec(rows.bf16s(), shape, self.device)?,
            _ => return Ok(None),
        }))
    }

    fn quantized(&self, dtype: GgmlDType, rows: &Rows, shape: &[usize]) -> Result<QTensor> {
        let storage = match self.device {
            Device::Cpu => rows.blocks(dtype)?,
            device => QStorage::from_data(rows.bytes().into(), device, dtype)?,
        };
        Ok(QTensor::new(storage, shape)?)
    }

    fn iq4(&self, layout: iq4::Layout, rows: &Rows, shape: &[usize]) -> Result<Iq4> {
        let (out, inp) = (shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1]);
        let absurd = || self.gguf.broken(format!("a tensor of shape {shape:?} cannot be {}", layout.name()));
        Iq4::new(layout, out, inp, rows.bytes()).ok_or_else(absurd)
    }
}

impl Weights for GgufWeights<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let (computes, rows) = self.find(name, shape)?;
        Ok(match computes {
            Computes::Candle(dtype) => match self.plain(dtype, &rows, shape)? {
                Some(plain) => plain.to_dtype(DType::F32)?,
                None => self.quantized(dtype, &rows, shape)?.dequantize(self.device)?,
            },
            Computes::Iq4(layout) => {
                let matrix = self.iq4(layout, &rows, shape)?;
                matrix.rows(0..matrix.dims().0)?.reshape(shape)?.to_device(self.device)?
            }
        })
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let shape = [out, inp];
        if self.precision == Precision::F32 {
            return Ok(Linear::dense(self.tensor(name, &shape)?));
        }
        let (computes, rows) = self.find(name, &shape)?;
        Ok(match computes {
            Computes::Candle(dtype) => match self.plain(dtype, &rows, &shape)? {
                Some(plain) => Linear::dense(plain),
                None => Linear::quantized(Arc::new(self.quantized(dtype, &rows, &shape)?)),
            },
            Computes::Iq4(layout) if self.device.is_cpu() => Linear::iq4(Arc::new(self.iq4(layout, &rows, &shape)?)),
            // only the CPU multiplies these blocks; f32 holds their values exactly
            Computes::Iq4(_) => {
                tracing::warn!("{name}: IQ4 blocks are widened to f32 on this device");
                Linear::dense(self.tensor(name, &shape)?)
            }
        })
    }
}
