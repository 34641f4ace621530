//! The room against the field's own tools: values in tests/golden/model were made by transformers and llama.cpp.

mod config;
mod cost;
mod generate;
mod gguf;
mod gguf_file;
mod goldens;
mod hostile;
mod llama;
mod rope;
mod score;
mod tokenizer;
