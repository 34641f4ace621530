//! Reading GGUF files, versions 2 and 3, whole or split: the header and where each tensor lies. A header is believed
//! only as far as the file reaches: every count is held against the bytes that are left before room is made for it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{ALIGNMENT, MAGIC, Value, split};
use crate::bytes::{Bytes, SharedBytes};
use crate::error::{Error, Result};
use crate::ggml::Type;
use crate::prefix::Need;

/// The longest list believed: no vocabulary comes near it, and each item takes 32 bytes here.
const MOST_ITEMS: usize = 1 << 24;
/// The longest list kept of a head that was cut out of a file; longer ones are walked past.
const MOST_ITEMS_OF_A_PREFIX: usize = 1 << 12;
/// No header is longer: the vocabularies of the largest take 20 MB.
const MOST_BYTES: usize = 128 << 20;

/// An opened file, with all its parts where it is split: its metadata, and its tensors by name.
#[derive(Debug)]
pub struct Gguf {
    file: String,
    version: u32,
    metadata: BTreeMap<String, Value>,
    pub(super) tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    pub(super) parts: Vec<SplitFile>,
}

/// The bytes of one file, and where the tensors' data begins in it.
#[derive(Debug)]
pub(super) struct SplitFile {
    bytes: Arc<Bytes>,
    data: usize,
}

/// The header of a file, which stands before the weights: the metadata, the tensors' entries, and where their data
/// begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The version of the format, 2 or 3.
    pub version: u32,
    /// The metadata by key.
    pub metadata: BTreeMap<String, Value>,
    /// The tensors' entries, in the file's order.
    pub tensors: Vec<TensorInfo>,
    /// Where the tensors' data begins, in bytes from the beginning of the file.
    pub data: usize,
}

/// One tensor of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// The tensor's name.
    pub name: String,
    /// The type of ggml that its weights are stored in.
    pub kind: Type,
    /// Its dimensions, outermost first, as everywhere else in bantam; the file has them the other way round.
    pub shape: Vec<usize>,
    /// Which file of a split model holds it, counted from 0.
    pub(super) part: usize,
    /// Where it begins, in bytes from the beginning of that file's data.
    pub(super) offset: usize,
    /// Bytes of its data, without padding.
    pub size: usize,
}

impl Gguf {
    /// Lets go of the metadata whose keys begin so: a vocabulary takes more memory than all else here, and nobody reads it
    /// twice.
    pub fn forget(&mut self, prefix: &str) {
        self.metadata.retain(|key, _| !key.starts_with(prefix));
    }

    /// Maps a file, or all parts of a split one of which this is any, and reads the headers.
    ///
    /// # Errors
    /// Where a file cannot be read, its header is wrong, or a part is missing or of another model.
    pub fn open(path: &Path) -> Result<Self> {
        let first = Self::open_part(path)?;
        match split::PartNumber::of(&first)? {
            None => Ok(first),
            Some(place) => split::join(path, first, place),
        }
    }

    /// Reads one file, though it may be a part.
    pub(super) fn open_part(path: &Path) -> Result<Self> {
        Self::read(path.display().to_string(), Bytes::map(path)?)
    }

    fn read(file: String, bytes: Bytes) -> Result<Self> {
        let head = match Head::read(&bytes, &file, Some(bytes.len())) {
            Ok(head) => head,
            Err(Stop::Short) => {
                return Err(Error::broken(&file, format!("its header breaks off at byte {}", bytes.len())));
            }
            Err(Stop::Wrong(error)) => return Err(error),
        };
        let Head { version, metadata, tensors, data } = head;
        let parts = vec![SplitFile { bytes: Arc::new(bytes), data }];
        Self { version, metadata, tensors, by_name: HashMap::new(), parts, file }.indexed()
    }

    /// Indexes the tensors by name; the names must differ.
    pub(super) fn indexed(mut self) -> Result<Self> {
        self.by_name = self.tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
        match self.by_name.len() == self.tensors.len() {
            true => Ok(self),
            false => Err(self.broken("two tensors have the same name")),
        }
    }

    /// Gives the file's name, for sentences.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Gives the version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Gives the bytes on disk, of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }

    /// Gives the metadata by key.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// Lists all tensors, in the file's order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Finds the tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&index| &self.tensors[index])
    }

    /// Gives a tensor's bytes as they lie in the file.
    pub fn data(&self, tensor: &TensorInfo) -> &[u8] {
        let part = &self.parts[tensor.part];
        let from = part.data + tensor.offset;
        &part.bytes[from..from + tensor.size]
    }

    /// Gives some of a tensor's bytes as they lie in the file, to be kept: they stay mapped as long as what this gives.
    ///
    /// # Panics
    /// Where the tensor has fewer bytes.
    pub fn share(&self, tensor: &TensorInfo, bytes: Range<usize>) -> SharedBytes {
        assert!(bytes.start <= bytes.end && bytes.end <= tensor.size, "a part of a tensor lies within it");
        let part = &self.parts[tensor.part];
        let from = part.data + tensor.offset;
        SharedBytes { bytes: Arc::clone(&part.bytes), range: from + bytes.start..from + bytes.end }
    }

    /// Gives back the memory of some of a tensor's mapped bytes once they have been copied.
    pub fn release(&self, tensor: &TensorInfo, bytes: Range<usize>) {
        let part = &self.parts[tensor.part];
        let from = part.data + tensor.offset;
        part.bytes.release(from + bytes.start..from + bytes.end);
    }

    /// Tells whether the metadata has this key.
    pub fn has(&self, key: &str) -> bool {
        self.metadata.contains_key(key)
    }

    /// Gives the text under a key that must be there.
    ///
    /// # Errors
    /// Where the key is missing or its value is no text.
    pub fn string(&self, key: &str) -> Result<&str> {
        match self.metadata.get(key) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.broken(format!("{key} is not a text"))),
            None => Err(self.broken(format!("{key} is missing"))),
        }
    }

    /// Gives the text under a key; `None` where it is missing or no text.
    pub fn optional_string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Gives the truth value under a key; `default` where it is missing or no truth value.
    pub fn optional_bool(&self, key: &str, default: bool) -> bool {
        match self.metadata.get(key) {
            Some(Value::Bool(value)) => *value,
            _ => default,
        }
    }

    /// Gives the whole number under a key, of any width; `None` where the key is missing.
    ///
    /// # Errors
    /// Where the value is no whole number of at least 0.
    pub fn optional_integer(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        match value.integer().and_then(|n| u64::try_from(n).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.broken(format!("{key} is not a whole number of at least 0"))),
        }
    }

    /// Gives the number under a key, of any type; `None` where the key is missing.
    ///
    /// # Errors
    /// Where the value is no number.
    pub fn optional_float(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        match value.float() {
            Some(number) => Ok(Some(number)),
            None => Err(self.broken(format!("{key} is not a number"))),
        }
    }

    /// Counts the values of a list that must be there.
    ///
    /// # Errors
    /// Where the key is missing or its value is no list.
    pub fn list_len(&self, key: &str) -> Result<usize> {
        match self.metadata.get(key) {
            Some(Value::Array(_, values)) => Ok(values.len()),
            _ => Err(self.broken(format!("{key} is missing, or not a list"))),
        }
    }

    /// Gives a list of texts that must be there.
    ///
    /// # Errors
    /// Where the key is missing or its value is no list of texts.
    pub fn strings(&self, key: &str) -> Result<Vec<String>> {
        self.array(key, "texts", |value| match value {
            Value::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// Gives a list of whole numbers that must be there.
    ///
    /// # Errors
    /// Where the key is missing or its value is no list of whole numbers that `i64` holds.
    pub fn integers(&self, key: &str) -> Result<Vec<i64>> {
        self.array(key, "whole numbers", |value| value.integer().and_then(|n| i64::try_from(n).ok()))
    }

    /// Gives a list of numbers that must be there.
    ///
    /// # Errors
    /// Where the key is missing or its value is no list of numbers.
    pub fn floats(&self, key: &str) -> Result<Vec<f64>> {
        self.array(key, "numbers", Value::float)
    }

    fn array<T>(&self, key: &str, of: &str, item: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        match self.metadata.get(key) {
            None => Err(self.broken(format!("{key} is missing"))),
            Some(Value::Array(_, values)) => values
                .iter()
                .map(item)
                .collect::<Option<_>>()
                .ok_or_else(|| self.broken(format!("{key} is not a list of {of}"))),
            Some(_) => Err(self.broken(format!("{key} is not a list"))),
        }
    }

    /// Makes an error of what is wrong with the file.
    pub fn broken(&self, what: impl Into<String>) -> Error {
        Error::broken(&self.file, what)
    }
}

impl Head {
    /// Reads the header from the beginning of a file. Long lists are left empty.
    ///
    /// # Errors
    /// One sentence on what is wrong with it, or that no file has so long a head.
    pub fn of_prefix(bytes: &[u8], file: &str) -> Result<Need<Self>> {
        match Self::read(bytes, file, None) {
            Ok(head) => Ok(Need::Have(head)),
            Err(Stop::Short) if bytes.len() < MOST_BYTES => Ok(Need::More((bytes.len() as u64 * 2).max(256 << 10))),
            Err(Stop::Short) => Err(Error::broken(file, "its head has no end")),
            Err(Stop::Wrong(error)) => Err(error),
        }
    }

    /// `length` is the file's, where it is known.
    fn read(bytes: &[u8], file: &str, length: Option<usize>) -> Result<Self, Stop> {
        let mut reader = Reader { file, bytes, length, at: 0 };
        let version = reader.version()?;
        let tensor_count = reader.count("tensor", TensorInfo::LEAST_BYTES)?;
        let value_count = reader.count("key", Value::LEAST_BYTES)?;
        let metadata = reader.metadata(value_count)?;
        let alignment = reader.alignment(&metadata)?;
        let tensors = (0..tensor_count).map(|_| reader.tensor(alignment)).collect::<Result<Vec<_>, Stop>>()?;
        let data = reader.at.next_multiple_of(alignment);
        if let Some(length) = length {
            reader.check_layout(&tensors, length.saturating_sub(data))?;
        }
        Ok(Self { version, metadata, tensors, data })
    }

    /// Gives the whole number under a key, where there is one that is not negative; of a list of them the largest.
    pub fn number(&self, key: &str) -> Option<u64> {
        let number = |value: &Value| value.integer().and_then(|n| u64::try_from(n).ok());
        match self.metadata.get(key)? {
            Value::Array(_, values) => values.iter().filter_map(number).max(),
            value => number(value),
        }
    }
}

impl TensorInfo {
    /// A name's length, the number of dimensions, one of them, a type and an offset.
    const LEAST_BYTES: usize = 8 + 4 + 8 + 4 + 8;

    /// Gives the number of weights: the product of the dimensions.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Gives the number of rows and the bytes of each. A row is the last dimension; a vector of plain numbers is a
    /// column.
    pub fn rows(&self) -> (usize, usize) {
        let width = match self.shape[..] {
            [_] if self.kind.block() == 1 => self.kind.block_bytes(),
            [.., columns] => columns / self.kind.block() * self.kind.block_bytes(),
            [] => 0,
        };
        (self.size.checked_div(width).unwrap_or(0), width)
    }
}

/// Walks the header and never past the end.
struct Reader<'a> {
    file: &'a str,
    bytes: &'a [u8],
    /// The file's; only its beginning is here where it is not given.
    length: Option<usize>,
    at: usize,
}

/// Why a header cannot be read.
#[derive(Debug)]
enum Stop {
    /// The bytes end before the header does.
    Short,
    /// What it says is wrong.
    Wrong(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

impl<'a> Reader<'a> {
    fn version(&mut self) -> Result<u32, Stop> {
        if self.length.is_none() && self.bytes.len() < MAGIC.len() {
            return Err(Stop::Short);
        }
        if self.take(4).ok() != Some(&MAGIC) {
            return Err(self.broken("not a GGUF file: it does not begin with GGUF"));
        }
        match self.u32()? {
            version @ (2 | 3) => Ok(version),
            version if version.swap_bytes() == 2 || version.swap_bytes() == 3 => {
                Err(Error::unsupported(self.file, "a big-endian GGUF file", "little-endian ones").into())
            }
            version => Err(Error::unsupported(self.file, format!("GGUF version {version}"), "versions 2 and 3").into()),
        }
    }

    /// A number of things that take at least `least` bytes each.
    fn count(&mut self, thing: &str, least: usize) -> Result<usize, Stop> {
        let count = self.u64()?;
        let left = self.length.unwrap_or(MOST_BYTES).saturating_sub(self.at);
        match usize::try_from(count).ok().filter(|&n| n <= left / least) {
            Some(count) => Ok(count),
            None => Err(self.broken(format!("its {thing} count {count} does not fit the {left} bytes that follow"))),
        }
    }

    fn metadata(&mut self, count: usize) -> Result<BTreeMap<String, Value>, Stop> {
        let mut metadata = BTreeMap::new();
        for _ in 0..count {
            let key = self.string()?;
            let kind = self.u32()?;
            let value = self.value(kind, &key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(self.broken(format!("key {key} occurs twice")));
            }
        }
        Ok(metadata)
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Value, Stop> {
        Ok(match kind {
            0 => Value::U8(self.array::<1>()?[0]),
            1 => Value::I8(i8::from_le_bytes(self.array()?)),
            2 => Value::U16(u16::from_le_bytes(self.array()?)),
            3 => Value::I16(i16::from_le_bytes(self.array()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.array()?)),
            6 => Value::F32(f32::from_le_bytes(self.array()?)),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::String(self.string()?),
            9 => self.list(key)?,
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.array()?)),
            12 => Value::F64(f64::from_le_bytes(self.array()?)),
            other => return Err(self.broken(format!("key {key} has type {other}, which does not exist"))),
        })
    }

    fn list(&mut self, key: &str) -> Result<Value, Stop> {
        let kind = self.u32()?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return Err(self.broken(format!("key {key} is a list of lists, which nothing here can use"))),
            other => return Err(self.broken(format!("key {key} is a list of type {other}, which does not exist"))),
        };
        let count = self.count(&format!("{key} item"), least)?;
        if count > MOST_ITEMS {
            return Err(self.broken(format!("key {key} is a list of {count} items, allowed are {MOST_ITEMS}")));
        }
        if self.length.is_none() && count > MOST_ITEMS_OF_A_PREFIX {
            (0..count).try_for_each(|_| self.value(kind, key).map(drop))?;
            return Ok(Value::Array(kind, Vec::new()));
        }
        let values = (0..count).map(|_| self.value(kind, key)).collect::<Result<_, Stop>>()?;
        Ok(Value::Array(kind, values))
    }

    fn alignment(&self, metadata: &BTreeMap<String, Value>) -> Result<usize, Stop> {
        let Some(value) = metadata.get("general.alignment") else { return Ok(ALIGNMENT as usize) };
        let number = value.integer().and_then(|n| usize::try_from(n).ok());
        number
            .filter(|n| n.is_power_of_two() && (8..=1 << 20).contains(n))
            .ok_or_else(|| self.broken("general.alignment is not a power of two from 8 to 1048576"))
    }

    fn tensor(&mut self, alignment: usize) -> Result<TensorInfo, Stop> {
        let name = self.string()?;
        let dims = self.u32()?;
        if !(1..=4).contains(&dims) {
            return Err(self.broken(format!("tensor {name} has {dims} dimensions, allowed are 1 to 4")));
        }
        let sizes = (0..dims).map(|_| self.u64()).collect::<Result<Vec<_>, Stop>>()?;
        let shape: Option<Vec<usize>> = sizes.iter().rev().map(|&n| usize::try_from(n).ok()).collect();
        let id = self.u32()?;
        let kind =
            Type::from_id(id).ok_or_else(|| self.broken(format!("tensor {name} has type {id}, which is not known")))?;
        let offset = self.u64()?;
        let absurd = || self.broken(format!("tensor {name} of shape {sizes:?} and type {kind} is impossible"));
        let shape = shape.ok_or_else(absurd)?;
        let row = shape.last().copied().unwrap_or_default();
        let elements = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).ok_or_else(absurd)?;
        let size = kind.bytes(elements).filter(|_| row.is_multiple_of(kind.block())).ok_or_else(absurd)?;
        match usize::try_from(offset).ok().filter(|offset| offset.is_multiple_of(alignment)) {
            Some(offset) => Ok(TensorInfo { name, kind, shape, part: 0, offset, size }),
            None => Err(self.broken(format!("tensor {name} begins at {offset}, no multiple of {alignment}"))),
        }
    }

    /// Every tensor lies inside the `room` for data, and none on another.
    fn check_layout(&self, tensors: &[TensorInfo], room: usize) -> Result<(), Stop> {
        // the first files of these types have blocks of another size under the same number
        if let Some(tensor) = tensors.iter().find(|tensor| matches!(tensor.kind, Type::Q1_0 | Type::Q2_0)) {
            return Err(self.unsupported_type(tensor));
        }
        let mut order: Vec<&TensorInfo> = tensors.iter().collect();
        order.sort_by_key(|tensor| tensor.offset);
        let mut free = 0;
        for tensor in order {
            let name = &tensor.name;
            if tensor.offset < free {
                return Err(self.broken(format!("tensor {name} overlaps the one before it")));
            }
            free = match tensor.offset.checked_add(tensor.size).filter(|&end| end <= room) {
                Some(end) => end,
                None => return Err(self.broken(format!("tensor {name} ends beyond the file; truncated?"))),
            };
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, Stop> {
        let length = self.count("text byte", 1)?;
        let bytes = self.take(length)?;
        // vocabularies hold pieces of characters; a replacement sign there is harmless and llama.cpp shows the same
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        Ok(self.take(N)?.try_into().expect("take gives as many bytes as asked for"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..length)) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(Stop::Short),
        }
    }

    fn unsupported_type(&self, tensor: &TensorInfo) -> Stop {
        let what = format!("tensor {} of type {} (binary or ternary weights)", tensor.name, tensor.kind);
        let instead = "the same model as F16, Q8_0 or Q4_K_M, which its makers mostly publish beside it";
        Error::unsupported(self.file, what, instead).into()
    }

    fn broken(&self, what: impl Into<String>) -> Stop {
        Error::broken(self.file, what).into()
    }
}
