//! The tensors of a GGUF file by their checkpoint names, in the checkpoint's row order: what a GGUF file interleaves,
//! stacks or adds is undone when it is read, so that the graph, adapters and comparisons see one layout.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

use super::copy::Rows;
use super::{Computes, Placed, computable, computes};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::iq4::{self, Iq4};
use crate::linear::Linear;
use crate::weights::{Precision, Weights};
use bantam_format::gguf::Gguf;

/// A tensor of the checkpoint, located in the file.
struct LocatedTensor<'a> {
    computes: Computes,
    rows: Rows<'a>,
    plus_one: bool,
}

/// A GGUF file as a source of weights.
#[derive(Debug)]
pub struct GgufWeights<'a> {
    gguf: &'a Gguf,
    config: &'a Config,
    device: &'a Device,
    precision: Precision,
}

impl<'a> GgufWeights<'a> {
    /// The weights of a file and its config, made on a device.
    pub fn new(gguf: &'a Gguf, config: &'a Config, device: &'a Device, precision: Precision) -> Self {
        Self { gguf, config, device, precision }
    }

    /// A tensor's rows in checkpoint order, and what computes with them.
    fn locate(&self, name: &str, shape: &[usize]) -> Result<LocatedTensor<'a>> {
        let missing = || -> Error { Error::broken(self.gguf.file(), format!("tensor {name} is missing")) };
        let placed = Placed::of(self.config, name).ok_or_else(missing)?;
        let elements: usize = shape.iter().product();
        let (info, before, all) = match self.gguf.tensor(&placed.tensor) {
            Some(info) => (info, placed.index * elements, placed.stacked * elements),
            None => {
                let (tensor, before, all) = Placed::elsewhere(self.config, name, elements).ok_or_else(missing)?;
                (self.gguf.tensor(&tensor).ok_or_else(missing)?, before, all)
            }
        };
        // a row of one matrix may be the whole of another's vector
        let alike = info.shape.len() == 1 || shape.len() == 1 || info.shape.last() == shape.last();
        let rows = Rows::new(self.gguf, info, before, elements, placed.order);
        let rows = rows.filter(|_| alike && info.elements() == all).ok_or_else(|| {
            let what = format!("tensor {} has shape {:?}, its keys ask for {shape:?}", info.name, info.shape);
            Error::broken(
                self.gguf.file(),
                match placed.stacked {
                    1 => what,
                    stacked => format!("{what} {stacked} times"),
                },
            )
        })?;
        let computes = computes(info.kind).ok_or_else(|| {
            let what = format!("tensor {} of type {}", info.name, info.kind);
            Error::unsupported(self.gguf.file(), what, computable())
        })?;
        Ok(LocatedTensor { computes, rows, plus_one: placed.plus_one })
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
        Ok(QTensor::new(rows.blocks(dtype, self.device)?, shape)?)
    }

    fn iq4(&self, layout: iq4::Layout, rows: &Rows, shape: &[usize]) -> Result<Iq4> {
        let (out, inp) = (shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1]);
        let absurd =
            || Error::broken(self.gguf.file(), format!("a tensor of shape {shape:?} cannot be {}", layout.name()));
        Iq4::new(layout, out, inp, rows.bytes()).ok_or_else(absurd)
    }
}

impl Weights for GgufWeights<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let LocatedTensor { computes, rows, plus_one } = self.locate(name, shape)?;
        let tensor = match computes {
            Computes::Candle(dtype) => match self.plain(dtype, &rows, shape)? {
                Some(plain) => plain.to_dtype(DType::F32)?,
                None => self.quantized(dtype, &rows, shape)?.dequantize(self.device)?,
            },
            Computes::Iq4(layout) => {
                let matrix = self.iq4(layout, &rows, shape)?;
                matrix.rows(0..matrix.dims().0)?.reshape(shape)?.to_device(self.device)?
            }
        };
        Ok(if plus_one { (tensor - 1.0)? } else { tensor })
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let shape = [out, inp];
        if self.precision == Precision::F32 {
            return Ok(Linear::dense(self.tensor(name, &shape)?));
        }
        let LocatedTensor { computes, rows, .. } = self.locate(name, &shape)?;
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
