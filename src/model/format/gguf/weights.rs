//! The tensors of a GGUF file by their checkpoint names, in the checkpoint's row order: what a GGUF file interleaves is
//! put back when it is read, so that the graph, adapters and comparisons see one layout.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};

use super::{Gguf, TensorInfo, TensorKind};
use crate::model::config::Config;
use crate::model::error::{Error, Result};
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

    /// A tensor's entry and bytes in checkpoint order. The bytes are copied only where rows are moved.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(&'a TensorInfo, GgmlDType, Rows<'a>)> {
        let missing = || self.gguf.broken(format!("tensor {name} is missing"));
        let info = names::to_gguf(name).and_then(|gguf| self.gguf.tensor(&gguf)).ok_or_else(missing)?;
        if info.shape != shape {
            let what = format!("tensor {} has shape {:?}, its keys ask for {shape:?}", info.name, info.shape);
            return Err(self.gguf.broken(what));
        }
        let dtype = info.kind.computes.ok_or_else(|| {
            let what = format!("tensor {} of type {}", info.name, info.kind.name);
            Error::unsupported(self.gguf.file(), what, TensorKind::computable())
        })?;
        let stored = self.gguf.data(info);
        let rows = match names::gguf_row_order(self.config, name) {
            None => Rows::Mapped(stored),
            Some(order) => Rows::Moved(Aligned::scatter(stored, &order)),
        };
        Ok((info, dtype, rows))
    }

    fn quantized(&self, info: &TensorInfo, dtype: GgmlDType, rows: &Rows) -> Result<QTensor> {
        let storage = QStorage::from_data(Cow::Borrowed(rows.bytes()), self.device, dtype)?;
        Ok(QTensor::new(storage, info.shape.as_slice())?)
    }
}

impl Weights for GgufWeights<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let (info, dtype, rows) = self.find(name, shape)?;
        let tensor = match dense(dtype) {
            Some(dtype) => Tensor::from_raw_buffer(rows.bytes(), dtype, shape, self.device)?.to_dtype(DType::F32)?,
            None => self.quantized(info, dtype, &rows)?.dequantize(self.device)?,
        };
        self.gguf.release(info);
        Ok(tensor)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        if self.precision == Precision::F32 {
            return Ok(Linear::dense(self.tensor(name, &[out, inp])?));
        }
        let (info, dtype, rows) = self.find(name, &[out, inp])?;
        let linear = match dense(dtype) {
            Some(dtype) => Linear::dense(Tensor::from_raw_buffer(rows.bytes(), dtype, &[out, inp], self.device)?),
            None => Linear::quantized(Arc::new(self.quantized(info, dtype, &rows)?)),
        };
        self.gguf.release(info);
        Ok(linear)
    }
}

/// The plain type, where the stored one is no block format.
fn dense(dtype: GgmlDType) -> Option<DType> {
    match dtype {
        GgmlDType::F32 => Some(DType::F32),
        GgmlDType::F16 => Some(DType::F16),
        GgmlDType::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// A tensor's bytes, row by row in checkpoint order.
enum Rows<'a> {
    Mapped(&'a [u8]),
    Moved(Aligned),
}

impl Rows<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Moved(bytes) => bytes.bytes(),
        }
    }
}

/// Bytes at an address that blocks of any type may be read from.
struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    /// Row i of `stored` becomes row `order[i]`.
    fn scatter(stored: &[u8], order: &[usize]) -> Self {
        let mut moved = Self { words: vec![0; stored.len().div_ceil(size_of::<u64>())], len: stored.len() };
        let row = stored.len() / order.len();
        for (from, &to) in stored.chunks_exact(row).zip(order) {
            moved.bytes_mut()[to * row..(to + 1) * row].copy_from_slice(from);
        }
        moved
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the words are initialised, hold at least `len` bytes, and u8 has no invalid values.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.len) }
    }
}
