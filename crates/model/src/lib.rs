//! The `bantam-model` crate: what a language model is, and how to ask it for numbers. A checkpoint (a folder, a GGUF
//! file, or bytes in the binary) becomes a `Model`: its `Config`, its `Tokenizer` and a `Decoder`. One graph serves all
//! architectures; `architecture` is the json_object of what differs. It scores and generates; it does not know tasks,
//! metrics or profiles.
//!
//! In reading order: `config` and `architecture` say what is to be built, `checkpoint` and `weights` where its numbers
//! come from, `linear`, `norm`, `attention`, `mlp`, `experts` and `decoder` are the graph on the operations of `ops`,
//! whose tensors `builder` asks for by name, `cache` is its memory; `load` makes a `Model`, and `generate` (by `batch`) and `score`
//! ask it; `pieces` is the graph taken apart, for whoever has no room for it whole; `divergence` holds several against one, and `arithmetic` is how it has them
//! multiply. `cost` and `inspect` describe a model without loading it. `encoder` holds the models that embed, classify
//! and fill masks, `adapter` the LoRA updates, `chat` the chat templates.

#![warn(missing_docs)]

pub mod adapter;
pub mod agree;
mod altup;
pub mod architecture;
mod arithmetic;
mod attention;
mod batch;
mod builder;
mod cache;
pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod cost;
mod decoder;
pub mod divergence;
pub mod encoder;
pub mod error;
mod experts;
mod frozen;
mod generate;
mod head;
pub mod inspect;
mod json_object;
mod layer_inputs;
pub mod linear;
mod load;
pub mod matmul;
mod mlp;
pub mod names;
mod norm;
pub mod ops;
mod pattern;
pub mod pieces;
mod recurrent;
pub mod rope;
mod sample;
mod score;
pub mod steer;
pub mod tokenizer;
mod weights;

pub use adapter::{Adaptation, Adapter};
pub use agree::Agreed;
pub use architecture::Architecture;
pub use arithmetic::Arithmetic;
pub use bantam_kernels::kv::KvType;
pub use batch::{Batch, Sequence};
pub use cache::Cache;
pub use config::Config;
pub use cost::{Cost, cost};
pub use decoder::{Decoder, Walk};
pub use error::{Error, Result};
pub use generate::{End, Generated};
pub use head::Head;
pub use inspect::{Container, Facts, inspect};
pub use linear::{InputObserver, Linear};
pub use load::{Embedded, LoadOptions, Model, Source, load, main_file, read_tokenizer, with_weights};
pub use ops::Span;
pub use sample::{Sampling, argmax};
pub use score::{Item, Loglikelihood, TokenScore};
pub use tokenizer::Tokenizer;
pub use weights::{Observed, Precision, StoredTensor, Weights};

#[cfg(test)]
#[cfg(goldens)]
mod tests;
