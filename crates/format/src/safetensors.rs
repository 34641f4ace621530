//! Weights in safetensors files: one, or shards listed in `model.safetensors.index.json`. Headers are checked when
//! opened; a tensor's bytes are touched when it is asked for.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::Metadata;
pub use safetensors::tensor::{Dtype, TensorInfo};
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::json;
use crate::prefix::Need;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// No header of a file is longer: the format's own limit.
const MOST_HEADER: u64 = 100_000_000;

/// Bytes copied before their pages are given back, a multiple of every type's size.
const CHUNK: usize = 4 << 20;

/// The tensors of one file or of all shards of a checkpoint.
#[derive(Debug)]
pub struct Files {
    shards: Vec<Shard>,
    /// Which file a tensor is in.
    shard_of: BTreeMap<String, usize>,
    /// Files of weights beside them that are not read, in sentences.
    passed_over: Vec<String>,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry<'a> {
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: &'a [usize],
    /// Its data, little-endian, rows one after the other.
    pub bytes: &'a [u8],
}

/// A tensor's type and shape, as a header alone tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The tensor's name.
    pub name: String,
    /// The file's word for its type: "BF16", "I32".
    pub dtype: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
}

/// model.safetensors.index.json.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Files {
    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    /// One sentence on a missing, truncated or inconsistent file.
    pub fn open(folder: &Path) -> Result<Self> {
        let there = weight_files(folder);
        let names = match folder.join(INDEX).is_file() {
            // as transformers does, which looks for an index only where the one file is not there
            _ if there.iter().any(|name| name == SINGLE) => vec![SINGLE.to_owned()],
            true => shards(&folder.join(INDEX))?,
            false => vec![only(folder, &there)?],
        };
        let open = |name: &String| {
            let path = folder.join(name);
            Shard::new(path.display().to_string(), Bytes::map(&path)?)
        };
        let mut files = Self::of(names.iter().map(open).collect::<Result<_>>()?)?;
        files.passed_over = others(&there, &names).into_iter().collect();
        Ok(files)
    }

    /// Opens one file.
    ///
    /// # Errors
    /// One sentence on a missing, truncated or inconsistent file.
    pub fn file(path: &Path) -> Result<Self> {
        Self::of(vec![Shard::new(path.display().to_string(), Bytes::map(path)?)?])
    }

    /// Opens a checkpoint compiled into the binary; `name` is for sentences.
    ///
    /// # Errors
    /// One sentence on what is inconsistent.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::of(vec![Shard::new(name.to_owned(), Bytes::Embedded(bytes))?])
    }

    /// A tensor may be in two shards only where both have the same of it.
    fn of(shards: Vec<Shard>) -> Result<Self> {
        let mut shard_of: BTreeMap<String, usize> = BTreeMap::new();
        for (index, shard) in shards.iter().enumerate() {
            for name in shard.metadata.tensors().into_keys() {
                match shard_of.get(&name).map(|&other| &shards[other]) {
                    Some(other) if other.entry(&name) != shard.entry(&name) => {
                        let what = format!("tensor {name} is in {}, too, with other numbers", other.name);
                        return Err(Error::broken(&shard.name, what));
                    }
                    _ => shard_of.insert(name, index),
                };
            }
        }
        Ok(Self { shard_of, shards, passed_over: Vec::new() })
    }

    /// Gives a sentence on files of weights that lie beside these and are not read.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// Tells whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.shard_of.contains_key(name)
    }

    /// Lists the names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

    /// Lists the names that begin with `start`, sorted.
    pub fn names_from<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let start = start.to_owned();
        let from = self.shard_of.range(start.clone()..).map(|(name, _)| name.as_str());
        from.take_while(move |name| name.starts_with(&start))
    }

    /// Gives the name as it is kept here, where there is such a tensor.
    pub fn name(&self, name: &str) -> Option<&str> {
        self.shard_of.get_key_value(name).map(|(name, _)| name.as_str())
    }

    /// Gives a tensor as it lies in the file, where there is one of that name.
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.shards[*self.shard_of.get(name)?].entry(name)
    }

    /// Gives a tensor that must be there, as it lies in the file.
    ///
    /// # Errors
    /// One sentence where there is none of that name.
    pub fn required(&self, name: &str) -> Result<Entry<'_>> {
        self.entry(name).ok_or_else(|| Error::broken(self.file_of(name), format!("tensor {name} is missing")))
    }

    /// Gives back the memory of a tensor's mapped bytes once they have been copied.
    pub fn release(&self, name: &str) {
        if let Some(&shard) = self.shard_of.get(name) {
            self.shards[shard].release(name);
        }
    }

    /// Copies a tensor's numbers a few megabytes at a time, giving the memory of each part back at once, so that
    /// loading holds a tensor once and not twice. None where there is no such tensor.
    pub fn copied<T, const N: usize>(&self, name: &str, read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let bytes = self.entry(name)?.bytes;
        let shard = &self.shards[*self.shard_of.get(name)?];
        let first = shard.data + shard.metadata.info(name)?.data_offsets.0;
        let mut numbers = Vec::with_capacity(bytes.len() / N);
        for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
            numbers.extend(chunk.as_chunks().0.iter().map(|number| read(*number)));
            shard.bytes.release(first + index * CHUNK..first + index * CHUNK + chunk.len());
        }
        Some(numbers)
    }

    /// Gives the name of the file that holds a tensor, or one that begins with its name; the first file where there is
    /// none.
    pub fn file_of(&self, name: &str) -> &str {
        let first = || self.shards.first().map_or(SINGLE, |shard| &shard.name);
        let shard = self.shard_of.get(name).or_else(|| self.shard_of.range(name.to_owned()..).next().map(|(_, i)| i));
        shard.map_or_else(first, |&index| &self.shards[index].name)
    }

    /// Counts the files of the checkpoint.
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// Lists every tensor's entry in its header, in no order.
    pub fn infos(&self) -> impl Iterator<Item = &TensorInfo> {
        self.shards.iter().flat_map(|shard| shard.metadata.tensors().into_values())
    }

    /// Gives the bytes on disk, or in the binary, of all files.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes.len() as u64).sum()
    }
}

impl Shard {
    fn new(name: String, bytes: Bytes) -> Result<Self> {
        match SafeTensors::read_metadata(&bytes) {
            Ok((header, metadata)) => Ok(Self { data: size_of::<u64>() + header, name, bytes, metadata }),
            Err(error) => Err(Error::broken(name, reason(&error, bytes.len()))),
        }
    }

    fn entry(&self, tensor: &str) -> Option<Entry<'_>> {
        let info = self.metadata.info(tensor)?;
        let (from, to) = info.data_offsets;
        let bytes = self.bytes.get(self.data + from..self.data + to)?;
        Some(Entry { dtype: info.dtype, shape: &info.shape, bytes })
    }

    fn release(&self, tensor: &str) {
        if let Some(info) = self.metadata.info(tensor) {
            self.bytes.release(self.data + info.data_offsets.0..self.data + info.data_offsets.1);
        }
    }
}

/// Reads the tensors' shapes from the beginning of a file: eight bytes of length, then JSON.
///
/// # Errors
/// One sentence on what is wrong with the header.
pub fn shapes_of_prefix(bytes: &[u8], file: &str) -> Result<Need<Vec<Shape>>> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Ok(Need::More(8)) };
    let length = u64::from_le_bytes(*length);
    if length > MOST_HEADER {
        let what = format!("its head would have {length} bytes, which no safetensors file has");
        return Err(Error::broken(file, what));
    }
    let Some(json) = rest.get(..length as usize) else { return Ok(Need::More(8 + length)) };
    #[derive(Deserialize)]
    struct Fields {
        dtype: Option<String>,
        shape: Option<Vec<u64>>,
    }
    let entries: BTreeMap<String, Fields> = serde_json::from_slice(json)
        .map_err(|e| Error::broken(file, format!("its head is no table of tensors: {e}")))?;
    let shape = |(name, fields): (String, Fields)| Some(Shape { name, dtype: fields.dtype?, shape: fields.shape? });
    Ok(Need::Have(entries.into_iter().filter_map(shape).collect()))
}

/// The files of a folder that may hold a model's weights, sorted.
fn weight_files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_model = |name: &String| name.ends_with(".safetensors") && !name.starts_with("adapter_");
    let mut found: Vec<String> = names.filter(is_model).collect();
    found.sort();
    found
}

/// The one file of a folder that has neither an index nor the usual name. Quantized checkpoints used to be called after
/// their bits and groups.
fn only(folder: &Path, there: &[String]) -> Result<String> {
    match there {
        [] => Ok(SINGLE.to_owned()),
        [one] => Ok(one.clone()),
        [first, .., last] => {
            let what = format!(
                "{} files of weights ({first} to {last}), and neither {INDEX} nor {SINGLE} says which are the model",
                there.len()
            );
            Err(Error::broken(folder.display().to_string(), what))
        }
    }
}

/// A sentence on the files that are not read and by their names could be the model, where there are any.
fn others(there: &[String], read: &[String]) -> Option<String> {
    let is_model = |name: &&String| name.starts_with("model") || name.starts_with("consol") || name.contains("-of-");
    let others: Vec<&str> =
        there.iter().filter(|name| !read.contains(name)).filter(is_model).map(String::as_str).collect();
    let (first, more) = others.split_first()?;
    let read = if read.len() == 1 { read[0].clone() } else { format!("the files that {INDEX} names") };
    Some(match more.last() {
        None => format!("{first} lies beside the weights and is not read; the model is {read}"),
        Some(last) => {
            format!(
                "{} files ({first} to {last}) lie beside the weights and are not read; the model is {read}",
                others.len()
            )
        }
    })
}

/// The shard files an index names. A name may not lead out of the folder.
fn shards(index: &Path) -> Result<Vec<String>> {
    let text = std::fs::read(index).map_err(Error::read(index))?;
    let file = index.display().to_string();
    let parsed: Index = json::read(&text).map_err(|e| Error::broken(&file, format!("not a safetensors index: {e}")))?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    match names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        Some(name) => {
            Err(Error::broken(file, format!("weight_map names {name:?}, allowed are names of files beside it")))
        }
        None if names.is_empty() => Err(Error::broken(file, "weight_map is empty")),
        None => match names.iter().find(|name| !index.with_file_name(name).is_file()) {
            Some(name) => Err(Error::broken(file, format!("weight_map names {name:?}, which is not there"))),
            None => Ok(names),
        },
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
