//! The file formats that weights come in, GGUF and safetensors, and the types of ggml (`ggml`). Each format is a
//! header, checked before anything is believed, and a way to one tensor's bytes (`bytes`). What the tensors mean is not
//! known here.

#![warn(missing_docs)]
#![allow(unsafe_code)] // maps files into memory

pub mod bytes;
mod error;
pub mod ggml;
pub mod gguf;
pub mod heap;
pub mod json;
mod prefix;
pub mod safetensors;

pub use error::{Error, Result};
pub use prefix::Need;
