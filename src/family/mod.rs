//! The bundled family: small real models that bantam trains itself, and carries in the binary so that the first run
//! needs no network. Here is the text they learn from, their sizes, their tokenizer, how they are built, and the files.
//! It measures nothing: what they can do is in models/README.md.

pub mod build;
mod bundled;
pub mod corpus;
mod export;
mod reader;
mod size;
mod tokenizer;

pub use build::{Build, build};
pub use bundled::{Bundled, File, embedded};
pub use size::{SIZES, Size};
