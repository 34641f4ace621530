//! GGUF files: their values (`value`), mixtures (`file_type`), how they are read (`read`), found in parts (`split`) and
//! written (`write`). What the keys and tensors mean is not known here.
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod file_type;
mod read;
mod split;
mod value;
mod write;

pub use file_type::{FILE_TYPES, file_type_name};
pub use read::{Gguf, Head, TensorInfo};
pub use split::{is_one_set, parts};
pub use value::Value;
pub use write::{NewTensor, aligned, head, list};

/// The first four bytes of a GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The default alignment: tensors begin at multiples of this, unless `general.alignment` says otherwise.
pub const ALIGNMENT: u64 = 32;
