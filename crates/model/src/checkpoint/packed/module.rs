//! The tensors one packed matrix is made of, as they lie in the checkpoint: their types and shapes checked, their
//! numbers read where they are small enough to be copied.

use safetensors::tensor::Dtype;

use crate::checkpoint::safetensors::{Entry, Safetensors};
use crate::error::{Error, Result};

/// A module of the checkpoint, such as `model.layers.0.self_attn.q_proj`, whose tensors are asked for by their last
/// part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Module<'a> {
    pub checkpoint: &'a Safetensors,
    pub name: &'a str,
}

/// One tensor of a module.
#[derive(Debug, Clone)]
pub(super) struct ModuleTensor<'a> {
    name: String,
    entry: Entry<'a>,
    checkpoint: &'a Safetensors,
}

impl<'a> Module<'a> {
    pub(super) fn has(&self, part: &str) -> bool {
        self.checkpoint.entry(&self.full(part)).is_some()
    }

    /// The tensor NAME.`part`. Fails where it is absent.
    pub(super) fn tensor(&self, part: &str) -> Result<ModuleTensor<'a>> {
        let missing = || self.checkpoint.broken(&self.full(part), "is missing");
        self.optional(part).ok_or_else(missing)
    }

    pub(super) fn optional(&self, part: &str) -> Option<ModuleTensor<'a>> {
        let name = self.full(part);
        let entry = self.checkpoint.entry(&name)?;
        Some(ModuleTensor { name, entry, checkpoint: self.checkpoint })
    }

    /// The names of its tensors that begin with `start`, without the module's name.
    pub(super) fn tensor_names(&self, start: &str) -> Vec<&'a str> {
        let prefix = self.full(start);
        let cut = self.name.len() + 1;
        self.checkpoint.names_from(&prefix).map(|name| &name[cut..]).collect()
    }

    pub(super) fn broken(&self, what: impl std::fmt::Display) -> Error {
        self.checkpoint.broken(self.name, what)
    }

    fn full(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }
}

impl<'a> ModuleTensor<'a> {
    /// Of this shape, or an error.
    pub(super) fn shaped(self, shape: &[usize]) -> Result<Self> {
        match self.entry.shape == shape {
            true => Ok(self),
            false => Err(self.broken(format!("has shape {:?}, expected is {shape:?}", self.entry.shape))),
        }
    }

    pub(super) fn shape(&self) -> &'a [usize] {
        self.entry.shape
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.entry.dtype
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.entry.bytes
    }

    /// Its 32-bit words, little-endian, where they lie.
    pub(super) fn words(&self) -> Result<&'a [[u8; 4]]> {
        match self.entry.dtype {
            Dtype::I32 | Dtype::U32 => Ok(self.entry.bytes.as_chunks().0),
            other => Err(self.broken(format!("has type {other:?}, expected is I32"))),
        }
    }

    pub(super) fn i32s(&self) -> Result<Vec<i32>> {
        Ok(self.words()?.iter().map(|word| i32::from_le_bytes(*word)).collect())
    }

    /// Signed bytes, where they lie.
    pub(super) fn i8s(&self) -> Result<&'a [u8]> {
        match self.entry.dtype {
            Dtype::I8 => Ok(self.entry.bytes),
            other => Err(self.broken(format!("has type {other:?}, expected is I8"))),
        }
    }

    /// Its numbers, which must be finite.
    pub(super) fn floats(&self) -> Result<Vec<f32>> {
        let numbers: Vec<f32> = match self.entry.dtype {
            Dtype::F32 => self.entry.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => self.halves(|b| half::f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => self.halves(|b| half::bf16::from_le_bytes(b).to_f32()),
            other => return Err(self.broken(format!("has type {other:?}, expected is F16, BF16 or F32"))),
        };
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(self.broken(format!("has a value that is no number ({number})"))),
            None => Ok(numbers),
        }
    }

    fn halves(&self, widen: impl Fn([u8; 2]) -> f32) -> Vec<f32> {
        self.entry.bytes.as_chunks().0.iter().map(|b| widen(*b)).collect()
    }

    /// Whether it is of a type that plain weights have.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.entry.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// Lets go of its mapped pages.
    pub(super) fn release(&self) {
        self.checkpoint.release(&self.name);
    }

    pub(super) fn broken(&self, what: impl std::fmt::Display) -> Error {
        self.checkpoint.broken(&self.name, what)
    }
}
