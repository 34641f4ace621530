//! A config in the keys of a GGUF file: read from them, and written in them. What is written here is read here.

mod llama_cpp;
mod read;
mod write;

pub use llama_cpp::{Wanted, wanted};
pub use write::{Pair, Told, count, of_config, rope_tensors, size_label, text};
