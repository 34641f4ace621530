//! GGUF files, versions 2 and 3, whole or split: the header and where each tensor lies. A header is believed only as far
//! as the file reaches: every count is held against the bytes that are left before room is made for it.
//!
//! `split` finds the parts of a split file, `copy` takes tensors out of the map, `place` knows where a checkpoint's
//! tensors stand, and `weights` gives them by their checkpoint names. Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use candle_core::quantized::GgmlDType;

mod copy;
mod place;
mod split;
mod weights;

use super::bytes::Bytes;
pub(crate) use place::Placed;
pub use split::{is_one_set, parts};
pub use weights::GgufWeights;

use crate::model::error::{Error, Result};
use crate::model::iq4;

/// The first four bytes.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// Where tensors begin is a multiple of this, unless `general.alignment` says otherwise.
pub const ALIGNMENT: u64 = 32;

/// The longest list believed: no vocabulary comes near it, and each item takes 32 bytes here.
const MOST_ITEMS: usize = 1 << 24;

/// An opened file, with all its parts where it is split: its metadata, and its tensors by name.
#[derive(Debug)]
pub struct Gguf {
    file: String,
    version: u32,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    parts: Vec<Part>,
}

/// The bytes of one file, and where the tensors' data begins in it.
#[derive(Debug)]
struct Part {
    bytes: Bytes,
    data: usize,
}

/// A value of the metadata, in the types of the format.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    /// Values of one type; the format's number for it, since an array may be empty.
    Array(u32, Vec<Value>),
}

/// One tensor of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    pub name: String,
    pub kind: &'static TensorKind,
    /// Outermost first, as everywhere else in bantam; the file has it the other way round.
    pub shape: Vec<usize>,
    /// Of the files of a split one, which holds it.
    part: usize,
    /// From the beginning of that file's data.
    offset: usize,
    /// Bytes.
    pub size: usize,
}

/// A type that tensors are stored in: blocks of `block` elements, `bytes` long.
#[derive(Debug, PartialEq)]
pub struct TensorKind {
    pub id: u32,
    pub name: &'static str,
    pub block: usize,
    pub bytes: usize,
    /// What computes with it, where something does.
    pub computes: Option<Computes>,
}

/// What multiplies by tensors of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computes {
    Candle(GgmlDType),
    Iq4(iq4::Layout),
}

const fn plain(id: u32, name: &'static str, block: usize, bytes: usize) -> TensorKind {
    TensorKind { id, name, block, bytes, computes: None }
}

const fn candle(id: u32, name: &'static str, block: usize, bytes: usize, dtype: GgmlDType) -> TensorKind {
    TensorKind { computes: Some(Computes::Candle(dtype)), ..plain(id, name, block, bytes) }
}

const fn iq4(id: u32, block: usize, bytes: usize, layout: iq4::Layout) -> TensorKind {
    TensorKind { computes: Some(Computes::Iq4(layout)), ..plain(id, layout.name(), block, bytes) }
}

/// ggml's types (`ggml_type` in ggml.h, sizes from ggml-common.h).
pub static TENSOR_KINDS: &[TensorKind] = &[
    candle(0, "F32", 1, 4, GgmlDType::F32),
    candle(1, "F16", 1, 2, GgmlDType::F16),
    candle(2, "Q4_0", 32, 18, GgmlDType::Q4_0),
    candle(3, "Q4_1", 32, 20, GgmlDType::Q4_1),
    candle(6, "Q5_0", 32, 22, GgmlDType::Q5_0),
    candle(7, "Q5_1", 32, 24, GgmlDType::Q5_1),
    candle(8, "Q8_0", 32, 34, GgmlDType::Q8_0),
    plain(9, "Q8_1", 32, 36),
    candle(10, "Q2_K", 256, 84, GgmlDType::Q2K),
    candle(11, "Q3_K", 256, 110, GgmlDType::Q3K),
    candle(12, "Q4_K", 256, 144, GgmlDType::Q4K),
    candle(13, "Q5_K", 256, 176, GgmlDType::Q5K),
    candle(14, "Q6_K", 256, 210, GgmlDType::Q6K),
    plain(15, "Q8_K", 256, 292),
    plain(16, "IQ2_XXS", 256, 66),
    plain(17, "IQ2_XS", 256, 74),
    plain(18, "IQ3_XXS", 256, 98),
    plain(19, "IQ1_S", 256, 50),
    iq4(20, 32, 18, iq4::Layout::Nl),
    plain(21, "IQ3_S", 256, 110),
    plain(22, "IQ2_S", 256, 82),
    iq4(23, 256, 136, iq4::Layout::Xs),
    plain(24, "I8", 1, 1),
    plain(25, "I16", 1, 2),
    plain(26, "I32", 1, 4),
    plain(27, "I64", 1, 8),
    plain(28, "F64", 1, 8),
    plain(29, "IQ1_M", 256, 56),
    candle(30, "BF16", 1, 2, GgmlDType::BF16),
    plain(34, "TQ1_0", 256, 54),
    plain(35, "TQ2_0", 256, 66),
    plain(39, "MXFP4", 32, 17),
];

/// The mixtures that `general.file_type` can name (`llama_ftype` in llama.h).
pub static FILE_TYPES: &[(u32, &str)] = &[
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4_MOE"),
];

/// The name of a file's mixture, where the number is known.
pub fn file_type_name(number: u64) -> Option<&'static str> {
    FILE_TYPES.iter().find(|(id, _)| u64::from(*id) == number).map(|(_, name)| *name)
}

impl TensorKind {
    /// The row of one of the types that bantam computes with.
    pub fn of(dtype: GgmlDType) -> Option<&'static Self> {
        TENSOR_KINDS.iter().find(|kind| kind.computes == Some(Computes::Candle(dtype)))
    }

    /// The names of all types that bantam computes with.
    pub fn computable() -> String {
        let names: Vec<&str> = TENSOR_KINDS.iter().filter(|k| k.computes.is_some()).map(|k| k.name).collect();
        names.join(", ")
    }

    /// Bytes of so many elements, which must be whole blocks.
    pub fn size(&self, elements: usize) -> Option<usize> {
        elements.is_multiple_of(self.block).then_some(elements / self.block)?.checked_mul(self.bytes)
    }
}

impl Gguf {
    /// Maps a file, or all parts of a split one of which this is any, and reads the headers.
    pub fn open(path: &Path) -> Result<Self> {
        let first = Self::open_part(path)?;
        match split::Place::of(&first)? {
            None => Ok(first),
            Some(place) => split::join(path, first, place),
        }
    }

    /// Reads one file, though it may be a part.
    fn open_part(path: &Path) -> Result<Self> {
        Self::read(path.display().to_string(), Bytes::map(path)?)
    }

    fn read(file: String, bytes: Bytes) -> Result<Self> {
        let mut reader = Reader { file: &file, bytes: &bytes, at: 0 };
        let version = reader.version()?;
        let tensor_count = reader.count("tensor", TensorInfo::LEAST_BYTES)?;
        let value_count = reader.count("key", Value::LEAST_BYTES)?;
        let metadata = reader.metadata(value_count)?;
        let alignment = reader.alignment(&metadata)?;
        let tensors = (0..tensor_count).map(|_| reader.tensor(alignment)).collect::<Result<Vec<_>>>()?;
        let data = reader.at.next_multiple_of(alignment);
        reader.check_layout(&tensors, data)?;
        let gguf =
            Self { version, metadata, tensors, by_name: HashMap::new(), parts: vec![Part { bytes, data }], file };
        gguf.indexed()
    }

    /// With its tensors findable by name, which must be different ones.
    fn indexed(mut self) -> Result<Self> {
        self.by_name = self.tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
        match self.by_name.len() == self.tensors.len() {
            true => Ok(self),
            false => Err(self.broken("two tensors have the same name")),
        }
    }

    /// Refuses types that nothing here computes with, before any weight is read.
    pub fn check_types(&self) -> Result<()> {
        match self.tensors.iter().find(|tensor| tensor.kind.computes.is_none()) {
            None => Ok(()),
            Some(tensor) => {
                let what = format!("tensor {} of type {}", tensor.name, tensor.kind.name);
                Err(Error::unsupported(&self.file, what, TensorKind::computable()))
            }
        }
    }

    /// The file's name, for sentences.
    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    /// Bytes on disk, of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }

    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&index| &self.tensors[index])
    }

    /// A tensor's bytes as they lie in the file.
    pub fn data(&self, tensor: &TensorInfo) -> &[u8] {
        let part = &self.parts[tensor.part];
        let from = part.data + tensor.offset;
        &part.bytes[from..from + tensor.size]
    }

    /// Lets go of mapped bytes of a tensor that have been copied.
    fn release(&self, tensor: &TensorInfo, bytes: Range<usize>) {
        let part = &self.parts[tensor.part];
        let from = part.data + tensor.offset;
        part.bytes.release(from + bytes.start..from + bytes.end);
    }

    pub fn has(&self, key: &str) -> bool {
        self.metadata.contains_key(key)
    }

    /// The text under a key that must be there.
    pub fn string(&self, key: &str) -> Result<&str> {
        match self.metadata.get(key) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.broken(format!("{key} is not a text"))),
            None => Err(self.broken(format!("{key} is missing"))),
        }
    }

    pub fn optional_string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn optional_bool(&self, key: &str, default: bool) -> bool {
        match self.metadata.get(key) {
            Some(Value::Bool(value)) => *value,
            _ => default,
        }
    }

    /// The whole number under a key, of any width; it must not be negative.
    pub fn optional_integer(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        match value.integer().and_then(|n| u64::try_from(n).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.broken(format!("{key} is not a whole number of at least 0"))),
        }
    }

    pub fn optional_float(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        match value.float() {
            Some(number) => Ok(Some(number)),
            None => Err(self.broken(format!("{key} is not a number"))),
        }
    }

    /// How many values a list has.
    pub fn list_len(&self, key: &str) -> Result<usize> {
        match self.metadata.get(key) {
            Some(Value::Array(_, values)) => Ok(values.len()),
            _ => Err(self.broken(format!("{key} is missing, or not a list"))),
        }
    }

    pub fn strings(&self, key: &str) -> Result<Vec<String>> {
        self.array(key, "texts", |value| match value {
            Value::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    pub fn integers(&self, key: &str) -> Result<Vec<i64>> {
        self.array(key, "whole numbers", |value| value.integer().and_then(|n| i64::try_from(n).ok()))
    }

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

    pub(crate) fn broken(&self, what: impl Into<String>) -> Error {
        Error::broken(&self.file, what)
    }
}

impl Value {
    /// A key is at least its length, a type, and one byte.
    const LEAST_BYTES: usize = 8 + 4 + 1;

    /// The value if it is a whole number of any width.
    pub fn integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(n) => n.into(),
            Self::I8(n) => n.into(),
            Self::U16(n) => n.into(),
            Self::I16(n) => n.into(),
            Self::U32(n) => n.into(),
            Self::I32(n) => n.into(),
            Self::U64(n) => n.into(),
            Self::I64(n) => n.into(),
            _ => return None,
        })
    }

    /// The value if it is a number.
    pub fn float(&self) -> Option<f64> {
        match *self {
            Self::F32(x) => Some(x.into()),
            Self::F64(x) => Some(x),
            _ => self.integer().map(|n| n as f64),
        }
    }
}

impl TensorInfo {
    /// A name's length, the number of dimensions, one of them, a type and an offset.
    const LEAST_BYTES: usize = 8 + 4 + 8 + 4 + 8;

    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Rows and the bytes of each: all dimensions but the last together, and a vector of plain numbers is a column.
    fn rows(&self) -> (usize, usize) {
        let width = match self.shape[..] {
            [_] if self.kind.block == 1 => self.kind.bytes,
            [.., columns] => columns / self.kind.block * self.kind.bytes,
            [] => 0,
        };
        (self.size.checked_div(width).unwrap_or(0), width)
    }
}

/// Walks the header and never past the end.
struct Reader<'a> {
    file: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn version(&mut self) -> Result<u32> {
        if self.take(4).ok() != Some(&MAGIC) {
            return Err(self.broken("not a GGUF file: it does not begin with GGUF"));
        }
        match self.u32()? {
            version @ (2 | 3) => Ok(version),
            version if version.swap_bytes() == 2 || version.swap_bytes() == 3 => {
                Err(Error::unsupported(self.file, "a big-endian GGUF file", "little-endian ones"))
            }
            version => Err(Error::unsupported(self.file, format!("GGUF version {version}"), "versions 2 and 3")),
        }
    }

    /// A number of things that take at least `least` bytes each.
    fn count(&mut self, thing: &str, least: usize) -> Result<usize> {
        let count = self.u64()?;
        let left = self.bytes.len() - self.at;
        match usize::try_from(count).ok().filter(|&n| n <= left / least) {
            Some(count) => Ok(count),
            None => Err(self.broken(format!("its {thing} count {count} does not fit the {left} bytes that follow"))),
        }
    }

    fn metadata(&mut self, count: usize) -> Result<BTreeMap<String, Value>> {
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

    fn value(&mut self, kind: u32, key: &str) -> Result<Value> {
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

    fn list(&mut self, key: &str) -> Result<Value> {
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
        let values = (0..count).map(|_| self.value(kind, key)).collect::<Result<_>>()?;
        Ok(Value::Array(kind, values))
    }

    fn alignment(&self, metadata: &BTreeMap<String, Value>) -> Result<usize> {
        let Some(value) = metadata.get("general.alignment") else { return Ok(ALIGNMENT as usize) };
        let number = value.integer().and_then(|n| usize::try_from(n).ok());
        number
            .filter(|n| n.is_power_of_two() && (8..=1 << 20).contains(n))
            .ok_or_else(|| self.broken("general.alignment is not a power of two from 8 to 1048576"))
    }

    fn tensor(&mut self, alignment: usize) -> Result<TensorInfo> {
        let name = self.string()?;
        let dims = self.u32()?;
        if !(1..=4).contains(&dims) {
            return Err(self.broken(format!("tensor {name} has {dims} dimensions, allowed are 1 to 4")));
        }
        let sizes = (0..dims).map(|_| self.u64()).collect::<Result<Vec<_>>>()?;
        let shape: Option<Vec<usize>> = sizes.iter().rev().map(|&n| usize::try_from(n).ok()).collect();
        let id = self.u32()?;
        let kind = TENSOR_KINDS.iter().find(|kind| kind.id == id);
        let kind = kind.ok_or_else(|| self.broken(format!("tensor {name} has type {id}, which is not known")))?;
        let offset = self.u64()?;
        let absurd = || self.broken(format!("tensor {name} of shape {sizes:?} and type {} is impossible", kind.name));
        let shape = shape.ok_or_else(absurd)?;
        let row = shape.last().copied().unwrap_or_default();
        let elements = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).ok_or_else(absurd)?;
        let size = kind.size(elements).filter(|_| row.is_multiple_of(kind.block)).ok_or_else(absurd)?;
        match usize::try_from(offset).ok().filter(|offset| offset.is_multiple_of(alignment)) {
            Some(offset) => Ok(TensorInfo { name, kind, shape, part: 0, offset, size }),
            None => Err(self.broken(format!("tensor {name} begins at {offset}, no multiple of {alignment}"))),
        }
    }

    /// Every tensor lies inside the file, and none on another.
    fn check_layout(&self, tensors: &[TensorInfo], data: usize) -> Result<()> {
        let room = self.bytes.len().saturating_sub(data);
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

    fn string(&mut self) -> Result<String> {
        let length = self.count("text byte", 1)?;
        let bytes = self.take(length)?;
        // vocabularies hold pieces of characters; a replacement sign there is harmless and llama.cpp shows the same
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives as many bytes as asked for"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..length)) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.broken(format!("its header breaks off at byte {}", self.bytes.len()))),
        }
    }

    fn broken(&self, what: impl Into<String>) -> Error {
        Error::broken(self.file, what)
    }
}
