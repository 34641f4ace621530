//! The room against the field's own tools: values in tests/golden/model were made by transformers and llama.cpp.

mod adapter;
mod agree;
mod config;
mod cost;
mod cuts;
mod families;
mod generate;
mod gguf;
mod gguf_file;
mod goldens;
mod hostile;
mod packed;
mod rope;
mod score;
mod tokenizer;
