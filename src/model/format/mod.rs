//! The file formats weights come in, each a header checked before anything is believed and a way to one tensor. What
//! the tensors mean is not known here.

pub mod bytes;
pub mod gguf;
pub mod packed;
pub mod safetensors;
