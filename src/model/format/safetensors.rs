//! Weights in safetensors files: one, or shards listed in `model.safetensors.index.json`. Headers are checked when
//! opened; a tensor's bytes are touched when it is asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::bytes::Bytes;
use crate::model::error::{Error, Result};
use crate::model::family::Family;
use crate::model::linear::Linear;
use crate::model::weights::{Precision, Weights};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Bytes copied before their pages are given back, a multiple of every type's size.
const CHUNK: usize = 4 << 20;

/// A checkpoint's tensors.
#[derive(Debug)]
pub struct Safetensors {
    files: Vec<Shard>,
    /// Which file a tensor is in.
    shard_of: BTreeMap<String, usize>,
    device: Device,
    precision: Precision,
    layout: Option<Layout>,
}

/// How a family's checkpoints may be laid out other than the graph asks for them.
#[derive(Debug)]
struct Layout {
    family: &'static Family,
    /// What the names begin with, and what they begin with in these files.
    prefix: &'static str,
    actual: String,
}

#[derive(Debug)]
struct Shard {
    name: String,
    bytes: Bytes,
    /// Where the tensors begin.
    data: usize,
    metadata: Metadata,
}

/// One tensor as it lies in its file.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    pub dtype: DType,
    pub shape: &'a [usize],
    pub bytes: &'a [u8],
}

/// One tensor as it lies in its file, of any type.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub dtype: Dtype,
    pub shape: &'a [usize],
    pub bytes: &'a [u8],
}

/// model.safetensors.index.json.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Safetensors {
    /// Opens the checkpoint in a folder. Fails with one sentence on a missing, truncated or inconsistent file.
    pub fn open(folder: &Path, device: &Device, precision: Precision) -> Result<Self> {
        let names = match folder.join(INDEX).is_file() {
            true => shards(&folder.join(INDEX))?,
            false => vec![single(folder)],
        };
        let open = |name: &String| {
            let path = folder.join(name);
            Shard::new(path.display().to_string(), Bytes::map(&path)?)
        };
        Ok(Self::of(names.iter().map(open).collect::<Result<_>>()?, device, precision))
    }

    /// Opens one file.
    pub fn file(path: &Path, device: &Device, precision: Precision) -> Result<Self> {
        let shard = Shard::new(path.display().to_string(), Bytes::map(path)?)?;
        Ok(Self::of(vec![shard], device, precision))
    }

    /// With tensors made on another device.
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }

    /// A checkpoint compiled into the binary.
    pub fn embedded(name: &str, bytes: &'static [u8], device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::of(vec![Shard::new(name.to_owned(), Bytes::Embedded(bytes))?], device, precision))
    }

    fn of(files: Vec<Shard>, device: &Device, precision: Precision) -> Self {
        let names = files
            .iter()
            .enumerate()
            .flat_map(|(i, shard)| shard.metadata.tensors().into_keys().map(move |name| (name, i)));
        Self { shard_of: names.collect(), files, device: device.clone(), precision, layout: None }
    }

    /// Answers to the names of a family's row, whatever stands before them in these files: a checkpoint of the bare
    /// decoder has no prefix, one out of a larger model a longer one.
    pub fn of_family(mut self, family: &'static Family) -> Self {
        let (prefix, name) = family.embedding();
        let there = |before: &str| self.shard_of.contains_key(&format!("{before}{name}.weight"));
        let candidates =
            [prefix.to_owned(), String::new(), format!("language_model.{prefix}"), "model.language_model.".to_owned()];
        let actual = candidates.into_iter().find(|before| there(before)).unwrap_or(prefix.to_owned());
        self.layout = Some(Layout { family, prefix, actual });
        self
    }

    /// What these files call a tensor.
    fn name_of<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Some(Layout { prefix, actual, .. }) = &self.layout else { return Cow::Borrowed(name) };
        let other = match name.strip_prefix(prefix) {
            Some(rest) => format!("{actual}{rest}"),
            // the head of a larger model
            None => format!("language_model.{name}"),
        };
        if self.shard_of.contains_key(&other) { Cow::Owned(other) } else { Cow::Borrowed(name) }
    }

    /// Whether a matrix of the graph lies here as (in, out).
    fn transposed(&self, name: &str) -> bool {
        self.layout.as_ref().is_some_and(|layout| layout.family.is_transposed(name))
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.shard_of.keys().map(String::as_str).collect()
    }

    /// The names that begin with `start`, sorted.
    pub fn names_from<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let start = start.to_owned();
        let from = self.shard_of.range(start.clone()..).map(|(name, _)| name.as_str());
        from.take_while(move |name| name.starts_with(&start))
    }

    /// What these files call a tensor, where they have it.
    pub fn stored_name(&self, name: &str) -> Option<&str> {
        self.shard_of.get_key_value(&*self.name_of(name)).map(|(name, _)| name.as_str())
    }

    /// A tensor as it lies in the file, where there is one of that name.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        let name = &*self.name_of(name);
        let shard = &self.files[*self.shard_of.get(name)?];
        let info = shard.metadata.info(name)?;
        let (from, to) = info.data_offsets;
        Some(Entry {
            dtype: info.dtype,
            shape: &info.shape,
            bytes: shard.bytes.get(shard.data + from..shard.data + to)?,
        })
    }

    /// Lets go of the mapped bytes of a tensor that has been copied.
    pub fn release(&self, name: &str) {
        if let Ok(shard) = self.shard(name) {
            shard.release(&self.name_of(name));
        }
    }

    /// What is wrong with a tensor or module, in a sentence that names its file.
    pub fn broken(&self, name: &str, what: impl std::fmt::Display) -> Error {
        let first = || self.files.first().map_or(SINGLE, |shard| &shard.name);
        let shard = self.shard_of.get(name).or_else(|| self.shard_of.range(name.to_owned()..).next().map(|(_, i)| i));
        let file = shard.map_or_else(first, |&index| &self.files[index].name);
        Error::broken(file, format!("tensor {name} {what}"))
    }

    /// How many files it is in.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Every tensor's entry in its header, in no order.
    pub fn infos(&self) -> impl Iterator<Item = &TensorInfo> {
        self.files.iter().flat_map(|shard| shard.metadata.tensors().into_values())
    }

    /// Bytes on disk, or in the binary.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|shard| shard.bytes.len() as u64).sum()
    }

    /// A tensor as it lies in the file. Fails when it is absent or of a type that is no floating type.
    pub fn raw(&self, name: &str) -> Result<Raw<'_>> {
        let shard = self.shard(name)?;
        let name = &*self.name_of(name);
        let info = shard.metadata.info(name).ok_or_else(|| shard.broken(format!("tensor {name} is missing")))?;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                let what = format!("tensor {name} of type {other:?}");
                return Err(Error::unsupported(&shard.name, what, "F32, F16, BF16"));
            }
        };
        let (from, to) = info.data_offsets;
        let bytes = shard.bytes.get(shard.data + from..shard.data + to);
        let bytes = bytes.ok_or_else(|| shard.broken(format!("tensor {name} lies outside the file")))?;
        Ok(Raw { dtype, shape: &info.shape, bytes })
    }

    /// Whether a tensor of the graph is here, of a floating type and in its shape; a sentence where not.
    pub fn fits(&self, name: &str, shape: &[usize]) -> Result<()> {
        match (self.transposed(name), shape) {
            (true, &[out, inp]) => self.shaped(name, &[inp, out]),
            _ => self.shaped(name, shape),
        }
        .map(|_| ())
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<Raw<'_>> {
        let raw = self.raw(name)?;
        match raw.shape == shape {
            true => Ok(raw),
            false => {
                let what = format!("tensor {name} has shape {:?}, the config asks for {shape:?}", raw.shape);
                Err(self.shard(name)?.broken(what))
            }
        }
    }

    fn load(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let raw = self.shaped(name, shape)?;
        let (shard, name) = (self.shard(name)?, &*self.name_of(name));
        Ok(match raw.dtype {
            DType::F16 => Tensor::from_vec(shard.copied(name, raw.bytes, f16::from_le_bytes), shape, &self.device)?,
            DType::BF16 => Tensor::from_vec(shard.copied(name, raw.bytes, bf16::from_le_bytes), shape, &self.device)?,
            _ => Tensor::from_vec(shard.copied(name, raw.bytes, f32::from_le_bytes), shape, &self.device)?,
        })
    }

    fn shard(&self, name: &str) -> Result<&Shard> {
        match self.shard_of.get(&*self.name_of(name)) {
            Some(&index) => Ok(&self.files[index]),
            None => {
                let file = self.files.first().map_or(SINGLE, |shard| &shard.name);
                Err(Error::broken(file, format!("tensor {name} is missing")))
            }
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
}

impl Shard {
    fn new(name: String, bytes: Bytes) -> Result<Self> {
        match SafeTensors::read_metadata(&bytes) {
            Ok((header, metadata)) => Ok(Self { data: size_of::<u64>() + header, name, bytes, metadata }),
            Err(error) => Err(Error::broken(name, reason(&error, bytes.len()))),
        }
    }

    /// Lets go of the mapped bytes of a tensor that has been copied.
    fn release(&self, tensor: &str) {
        if let Some(info) = self.metadata.info(tensor) {
            self.bytes.release(self.data + info.data_offsets.0..self.data + info.data_offsets.1);
        }
    }

    /// A tensor's numbers, copied a few megabytes at a time, each of which is let go of at once: so that loading holds a
    /// tensor once and not twice.
    fn copied<T, const N: usize>(&self, tensor: &str, bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let first = self.metadata.info(tensor).map_or(0, |info| self.data + info.data_offsets.0);
        let mut numbers = Vec::with_capacity(bytes.len() / N);
        for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
            numbers.extend(chunk.as_chunks().0.iter().map(|number| read(*number)));
            self.bytes.release(first + index * CHUNK..first + index * CHUNK + chunk.len());
        }
        numbers
    }

    fn broken(&self, what: String) -> Error {
        Error::broken(&self.name, what)
    }
}

/// The one file of a folder without an index: `model.safetensors`, or the only other that holds a model. Quantized
/// checkpoints used to be called after their bits and groups.
fn single(folder: &Path) -> String {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_model = |name: &String| name.ends_with(".safetensors") && !name.starts_with("adapter_");
    let mut found: Vec<String> = names.filter(is_model).collect();
    match (found.iter().any(|name| name == SINGLE), found.len()) {
        (false, 1) => found.remove(0),
        _ => SINGLE.to_owned(),
    }
}

/// The shard files an index names. A name may not lead out of the folder.
fn shards(index: &Path) -> Result<Vec<String>> {
    let text = std::fs::read(index).map_err(Error::read(index))?;
    let file = index.display().to_string();
    let parsed: Index =
        serde_json::from_slice(&text).map_err(|e| Error::broken(&file, format!("not a safetensors index: {e}")))?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    match names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        Some(name) => {
            Err(Error::broken(file, format!("weight_map names {name:?}, allowed are names of files beside it")))
        }
        None if names.is_empty() => Err(Error::broken(file, "weight_map is empty")),
        None => Ok(names),
    }
}

/// The library's reasons, as the end of a sentence.
fn reason(error: &SafeTensorError, len: usize) -> String {
    match error {
        SafeTensorError::HeaderTooSmall => format!("not a safetensors file: {len} bytes are less than a header"),
        SafeTensorError::HeaderTooLarge => "not a safetensors file: its header says it is over 100 MB".into(),
        SafeTensorError::InvalidHeaderLength => format!("its header is longer than the file's {len} bytes; truncated?"),
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("its tensors do not add up to the file's {len} bytes; truncated?")
        }
        SafeTensorError::InvalidOffset(name) => format!("tensor {name} overlaps another or leaves a gap"),
        SafeTensorError::TensorInvalidInfo => "a tensor's shape does not fit its bytes".into(),
        other => format!("not a valid safetensors header: {other}"),
    }
}
