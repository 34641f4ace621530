//! A config in GGUF's keys: read from a file's, and told in them. What is written here is read here.

mod read;
mod write;

pub use write::{Pair, Told, count, of_config, rope_tensors, size_label, text};
