//! Encoders: models that read a whole text both ways and give numbers for it rather than more text. A checkpoint folder
//! becomes an `Encoder`: hidden states, sentence embeddings, and what its head gives, class scores or logits of masked
//! tokens. It generates nothing; that is `Decoder`'s. It reads safetensors only: GGUF has no place for the heads.
//!
//! In reading order: `architecture` is the table of what differs, `config` the checkpoint's own shape, `graph` the
//! layers on the operations of `ops`, `head` what may follow them, `pipeline` how sentence-transformers makes one
//! vector of a text with the modes of `pooling`, `text` the way from text to tokens, `load` and `inspect` open a
//! folder. `decoder` makes embeddings of models that were made to generate.

mod architecture;
mod checkpoint;
mod config;
mod decoder;
mod graph;
mod head;
mod inspect;
mod load;
mod pipeline;
mod pooling;
mod text;

pub use architecture::{Architecture, Job};
pub use config::{Config, Problem};
pub use decoder::Embedder;
pub use graph::Input;
pub use inspect::{Facts, inspect};
pub use load::{Encoder, is_encoder, load};
pub use pipeline::Pipeline;
pub use pooling::{Mode, Pooling};
pub use text::Role;

#[cfg(test)]
#[cfg(goldens)]
mod tests;
