//! The room against the field's own tools: values in tests/golden/model were made by transformers and llama.cpp.

mod goldens;
mod llama;
