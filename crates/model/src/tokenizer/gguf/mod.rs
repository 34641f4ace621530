//! A tokenizer in the keys of a GGUF file: rebuilt from them, and written in them.

mod read;
mod write;

pub use write::of_tokenizer;
