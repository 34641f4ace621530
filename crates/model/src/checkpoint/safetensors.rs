//! Checkpoints in safetensors files as tensors by the names of an architecture's graph, whatever the files call them.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

pub use bantam_format::safetensors::Entry;
use bantam_format::safetensors::{Dtype, Files, TensorInfo};
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::finite;
use crate::architecture::Architecture;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::names::{Layout, Part, Within};
use crate::weights::{Precision, StoredTensor, Weights};

/// A checkpoint's tensors.
#[derive(Debug)]
pub struct Safetensors {
    files: Files,
    device: Device,
    precision: Precision,
    naming: Option<Naming>,
}

/// How an architecture's checkpoints may name and lay out tensors other than the graph asks for them.
#[derive(Debug)]
struct Naming {
    architecture: &'static Architecture,
    /// What the names begin with, and what they begin with in these files.
    prefix: &'static str,
    actual: String,
}

/// A part of a tensor that holds several of the graph's.
struct Slice {
    bytes: Range<usize>,
    shape: Vec<usize>,
    /// Which of so many numbers it is that alternate, where they do.
    alternating: Option<(usize, usize)>,
}

impl Slice {
    /// `None` where the tensor has not the shape of a stack.
    fn of(within: &Within, entry: &Entry) -> Option<Self> {
        if within.layout == Layout::Alternating {
            return Self::alternating(within, entry);
        }
        let (expert, experts, rows) = match (within.expert, entry.shape) {
            (None, &[rows, ..]) => (0, 1, rows),
            (Some(expert), &[experts, rows, _]) if expert < experts => (expert, experts, rows),
            _ => return None,
        };
        let parts = experts * within.of;
        let whole = rows.is_multiple_of(within.of) && entry.bytes.len().is_multiple_of(parts.max(1));
        let (len, nth) = (entry.bytes.len() / parts.max(1), expert * within.of + within.nth);
        let inner = &entry.shape[if within.expert.is_some() { 2 } else { 1 }..];
        let shape = [&[rows / within.of], inner].concat();
        whole.then_some(Self { bytes: nth * len..(nth + 1) * len, shape, alternating: None })
    }

    /// Of all experts (experts, in, parts · out), or (experts, parts · out) of biases.
    fn alternating(within: &Within, entry: &Entry) -> Option<Self> {
        let expert = within.expert?;
        let (experts, inner, width) = match *entry.shape {
            [experts, inp, width] => (experts, Some(inp), width),
            [experts, width] => (experts, None, width),
            _ => return None,
        };
        let whole = expert < experts && width.is_multiple_of(within.of) && entry.bytes.len().is_multiple_of(experts);
        let len = entry.bytes.len().checked_div(experts)?;
        let shape = std::iter::once(width / within.of).chain(inner).collect();
        let alternating = Some((within.nth, within.of));
        whole.then_some(Self { bytes: expert * len..(expert + 1) * len, shape, alternating })
    }

    /// The tensor's own of the numbers in its bytes, in order.
    fn sorted<T: Copy>(&self, numbers: Vec<T>) -> Vec<T> {
        let Some((nth, of)) = self.alternating else { return numbers };
        let width = self.shape[0] * of;
        (0..self.shape[0]).flat_map(|row| numbers.iter().skip(row * of + nth).step_by(width.max(1)).copied()).collect()
    }
}

impl Safetensors {
    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    /// One sentence on a missing, truncated or inconsistent file.
    pub fn open(folder: &Path, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::of(Files::open(folder)?, device, precision))
    }

    /// Opens one file.
    ///
    /// # Errors
    /// As `open`.
    pub fn file(path: &Path, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::of(Files::file(path)?, device, precision))
    }

    /// Opens a checkpoint compiled into the binary.
    ///
    /// # Errors
    /// As `open`.
    pub fn embedded(name: &str, bytes: &'static [u8], device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::of(Files::embedded(name, bytes)?, device, precision))
    }

    fn of(files: Files, device: &Device, precision: Precision) -> Self {
        Self { files, device: device.clone(), precision, naming: None }
    }

    /// Makes its tensors on another device.
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }

    /// Answers to the names of an architecture's row, whatever stands before them in these files: a checkpoint of the
    /// bare decoder has no prefix, one out of a larger model a longer one.
    pub fn of_architecture(mut self, architecture: &'static Architecture) -> Self {
        let (prefix, name) = architecture.embedding();
        let there = |before: &str| self.files.has(&format!("{before}{name}.weight"));
        let candidates = [
            prefix.to_owned(),
            String::new(),
            format!("language_model.{prefix}"),
            "model.language_model.".to_owned(),
            "model.text_model.".to_owned(),
            "model.".to_owned(),
        ];
        let actual = candidates.into_iter().find(|before| there(before)).unwrap_or(prefix.to_owned());
        self.naming = Some(Naming { architecture, prefix, actual });
        self
    }

    /// What these files call a tensor.
    fn name_of<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Some(Naming { prefix, actual, .. }) = &self.naming else { return Cow::Borrowed(name) };
        let other = match name.strip_prefix(prefix) {
            Some(rest) => format!("{actual}{rest}"),
            // the head of a larger model
            None => format!("language_model.{name}"),
        };
        if self.files.has(&other) { Cow::Owned(other) } else { Cow::Borrowed(name) }
    }

    /// What the graph calls a tensor of these files, if it is one of the graph's.
    pub fn graph_name<'a>(&self, stored: &'a str) -> Cow<'a, str> {
        let Some(Naming { prefix, actual, .. }) = &self.naming else { return Cow::Borrowed(stored) };
        match stored.strip_prefix(actual.as_str()) {
            Some(rest) if actual != prefix => Cow::Owned(format!("{prefix}{rest}")),
            _ => Cow::Borrowed(stored.strip_prefix("language_model.").unwrap_or(stored)),
        }
    }

    /// Files beside these that hold weights and are not read, a sentence on each kind.
    pub(crate) fn passed_over(&self) -> Vec<String> {
        self.files.passed_over().to_vec()
    }

    /// The file that a tensor is in.
    pub(crate) fn file_of(&self, name: &str) -> &str {
        self.files.file_of(&self.name_of(name))
    }

    /// Whether both tensors are here and hold other numbers.
    pub(crate) fn differ(&self, a: &str, b: &str) -> bool {
        let differ = match (self.entry(a), self.entry(b)) {
            (Some(a), Some(b)) => a.dtype != b.dtype || a.shape != b.shape || a.bytes != b.bytes,
            _ => false,
        };
        [a, b].into_iter().for_each(|name| self.release(name));
        differ
    }

    /// Whether a tensor of these files holds nothing but zeros.
    pub(crate) fn is_zero(&self, stored: &str) -> bool {
        self.files.entry(stored).is_some_and(|entry| entry.bytes.iter().all(|&byte| byte == 0))
    }

    /// Whether a matrix of the graph lies here as (in, out).
    fn transposed(&self, name: &str) -> bool {
        self.naming.as_ref().is_some_and(|naming| naming.architecture.is_transposed(name))
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.files.names().collect()
    }

    /// The names that begin with `start`, sorted.
    pub fn names_from<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.files.names_from(start)
    }

    /// What these files call a tensor, where they have it.
    pub fn stored_name(&self, name: &str) -> Option<&str> {
        self.files.name(&self.name_of(name)).or_else(|| {
            let within = self.naming.as_ref()?.architecture.within(name)?;
            self.files.name(&self.name_of(&within.stored))
        })
    }

    /// A tensor as it lies in the file, where there is one of that name.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.files.entry(&self.name_of(name))
    }

    /// Lets go of the mapped bytes of a tensor that has been copied.
    pub fn release(&self, name: &str) {
        self.files.release(&self.name_of(name));
    }

    /// Says what is wrong with a tensor or module, in a sentence that names its file.
    pub fn broken(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::broken(self.files.file_of(name), format!("tensor {name} {what}"))
    }

    /// How many files it is in.
    pub fn file_count(&self) -> usize {
        self.files.count()
    }

    /// Every tensor's entry in its header, in no order.
    pub fn infos(&self) -> impl Iterator<Item = &TensorInfo> {
        self.files.infos()
    }

    /// Bytes on disk, or in the binary.
    pub fn bytes(&self) -> u64 {
        self.files.bytes()
    }

    /// Finds a tensor as it lies in the file; `None` where its numbers lie among others.
    ///
    /// # Errors
    /// One sentence where it is absent or of a type that is no floating type.
    pub fn raw(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let (is_transposed, dtype) = (self.transposed(name), self.dtype(name)?);
        let (_, entry, slice) = self.located(name)?;
        let bytes = match &slice {
            Some(Slice { alternating: Some(_), .. }) => return Ok(None),
            Some(slice) => &entry.bytes[slice.bytes.clone()],
            None => entry.bytes,
        };
        Ok(Some(StoredTensor { dtype, bytes, transposed: is_transposed && entry.shape.len() == 2 }))
    }

    /// The type that a tensor is stored in.
    ///
    /// # Errors
    /// One sentence where it is absent or of a type that is no floating type.
    pub fn dtype(&self, name: &str) -> Result<DType> {
        let (name, entry, _) = self.located(name)?;
        match entry.dtype {
            Dtype::F32 => Ok(DType::F32),
            Dtype::F16 => Ok(DType::F16),
            Dtype::BF16 => Ok(DType::BF16),
            other => {
                let what = format!("tensor {name} of type {other:?}");
                Err(Error::unsupported(self.files.file_of(&name), what, "F32, F16, BF16"))
            }
        }
    }

    /// The shape of a tensor as it lies in the file, without what makes a vector of some the only row of a matrix; one number is a
    /// vector of one.
    ///
    /// # Errors
    /// One sentence where it is absent.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        let (_, entry, slice) = self.located(name)?;
        let shape = slice.map_or_else(|| entry.shape.to_vec(), |slice| slice.shape);
        let place = self.naming.as_ref().and_then(|naming| naming.architecture.place(name));
        Ok(match (place, &shape[..]) {
            (Some(place), [1, len]) if place.part == Part::RouterBias => vec![*len],
            // one number that lies there as itself
            (Some(_), []) => vec![1],
            _ => shape,
        })
    }

    /// Where a tensor of the graph lies: its name here, and which part of it, where it holds several of the graph's.
    fn located(&self, name: &str) -> Result<(String, Entry<'_>, Option<Slice>)> {
        let stored = self.name_of(name);
        let within = self.naming.as_ref().filter(|_| !self.files.has(&stored));
        let Some(within) = within.and_then(|naming| naming.architecture.within(name)) else {
            return Ok((stored.to_string(), self.files.required(&stored)?, None));
        };
        let stored = self.name_of(&within.stored).into_owned();
        let entry = self.files.required(&stored)?;
        let slice = Slice::of(&within, &entry);
        let slice = slice.ok_or_else(|| self.broken(&stored, format!("of shape {:?} is no stack", entry.shape)))?;
        Ok((stored, entry, Some(slice)))
    }

    /// Checks that a tensor of the graph is here, of a floating type and in its shape.
    ///
    /// # Errors
    /// One sentence where it is not.
    pub fn fits(&self, name: &str, shape: &[usize]) -> Result<()> {
        match (self.transposed(name), shape) {
            (true, &[out, inp]) => self.shaped(name, &[inp, out]),
            _ => self.shaped(name, shape),
        }
        .map(|_| ())
    }

    /// The type of a tensor that must have this shape.
    fn shaped(&self, name: &str, shape: &[usize]) -> Result<DType> {
        let (dtype, own) = (self.dtype(name)?, self.shape(name)?);
        match own == shape {
            true => Ok(dtype),
            false => {
                let what = format!("has shape {own:?}, the config asks for {shape:?}");
                Err(self.broken(&self.name_of(name), what))
            }
        }
    }

    fn load(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let dtype = self.shaped(name, shape)?;
        let device = &self.device;
        Ok(match dtype {
            DType::F16 => Tensor::from_vec(self.numbers(name, f16::from_le_bytes)?, shape, device),
            DType::BF16 => Tensor::from_vec(self.numbers(name, bf16::from_le_bytes)?, shape, device),
            _ => Tensor::from_vec(self.numbers(name, f32::from_le_bytes)?, shape, device),
        }?)
    }

    /// A tensor's numbers, all of which must be some.
    fn numbers<T: finite::Stored, const N: usize>(&self, name: &str, read: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let (stored, entry, slice) = self.located(name)?;
        let stored = &*stored;
        let numbers = match slice {
            Some(slice) => {
                let bytes = &entry.bytes[slice.bytes.clone()];
                slice.sorted(bytes.as_chunks().0.to_vec()).into_iter().map(&read).collect()
            }
            None => self.files.copied(stored, read).ok_or_else(|| self.broken(stored, "is missing"))?,
        };
        match finite::damaged_number(&numbers) {
            None => Ok(numbers),
            Some(at) => Err(Error::broken(self.files.file_of(stored), finite::sentence(stored, "weight", at))),
        }
    }
}

impl Weights for Safetensors {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.load(name, shape)?.to_dtype(DType::F32)?)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let weight = match self.transposed(name) {
            true => self.load(name, &[inp, out])?.t()?.contiguous()?,
            false => self.load(name, &[out, inp])?,
        };
        Ok(Linear::dense(match self.precision {
            Precision::AsStored => weight,
            Precision::F32 => weight.to_dtype(DType::F32)?,
        }))
    }
    fn stored(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        self.raw(name)
    }
}
