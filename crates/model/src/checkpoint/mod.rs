//! Checkpoints: where a graph's tensors are in files of each format, and how they become tensors. The formats
//! themselves are the format crate's.

pub(crate) mod finite;
pub mod gguf;
pub mod packed;
pub mod safetensors;
