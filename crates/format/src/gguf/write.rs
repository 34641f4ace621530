//! Writing GGUF files (version 3): the head, and where every tensor will lie. What the metadata says and what the
//! tensors hold comes from elsewhere.
//!
//! Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md

use super::{ALIGNMENT, MAGIC, Value};
use crate::ggml::Type;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTensor {
    /// The tensor's name.
    pub name: String,
    /// Its dimensions, outermost first; the last is the length of a row.
    pub shape: Vec<usize>,
    /// The type of ggml that its weights are stored in.
    pub kind: Type,
}

impl NewTensor {
    /// Gives the bytes of the tensor's data, without padding.
    pub fn bytes(&self) -> u64 {
        let weights: u64 = self.shape.iter().map(|&n| n as u64).product();
        weights / self.kind.block() as u64 * self.kind.block_bytes() as u64
    }
}

/// Rounds an offset up to the next multiple of [`ALIGNMENT`].
pub fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT)
}

/// Writes everything before the data, padded to the alignment. The tensors follow in this order, each padded too.
pub fn head(metadata: &[(String, Value)], tensors: &[NewTensor]) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(MAGIC);
    head.extend(3u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        write_string(&mut head, key);
        head.extend(type_of(value).to_le_bytes());
        write_value(&mut head, value);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        write_string(&mut head, &tensor.name);
        head.extend((tensor.shape.len() as u32).to_le_bytes());
        for &size in tensor.shape.iter().rev() {
            head.extend((size as u64).to_le_bytes()); // GGUF has the row length first
        }
        head.extend(tensor.kind.id().to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset = aligned(offset + tensor.bytes());
    }
    head.resize(aligned(head.len() as u64) as usize, 0);
    head
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(v) => out.push(*v),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::String(v) => write_string(out, v),
        Value::Array(kind, values) => {
            out.extend(kind.to_le_bytes());
            out.extend((values.len() as u64).to_le_bytes());
            for value in values {
                write_value(out, value);
            }
        }
    }
}

/// The number of the type of strings.
const STRING: u32 = 8;

/// Makes a list of values of one type, none of them a list.
pub fn list(values: Vec<Value>) -> Value {
    // an empty one is of strings: llama.cpp wants merges to be, of a tokenizer that has none, too
    Value::Array(values.first().map_or(STRING, type_of), values)
}

fn type_of(value: &Value) -> u32 {
    match value {
        Value::U8(_) => 0,
        Value::I8(_) => 1,
        Value::U16(_) => 2,
        Value::I16(_) => 3,
        Value::U32(_) => 4,
        Value::I32(_) => 5,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::String(_) => 8,
        Value::Array(..) => 9,
        Value::U64(_) => 10,
        Value::I64(_) => 11,
        Value::F64(_) => 12,
    }
}
