//! The room against the field's own tools: values in tests/golden/model were made by transformers and llama.cpp.

mod generate;
mod gguf;
mod gguf_file;
mod goldens;
mod llama;
mod score;
mod tokenizer;
