//! A tokenizer in GGUF's keys: rebuilt from a file's, and told in them.

mod read;
mod write;

pub use write::of_tokenizer;
