//! The tensor operations decoders and encoders are made of, each one kernel forward and one backward on the CPU.
//!
//! What candle offers for these either has no backward (its fused norm, softmax and rope cut the graph without an
//! error) or walks memory once per elementary step. Here each is a candle custom op with its own gradient, so one
//! graph serves scoring, generation and training. On devices other than the CPU, and as the reference in tests,
//! the same functions are spelled out in candle's own operations (`composed`).
//!
//! Activations are ragged: all tokens of a batch stand in one row of T tokens, nothing is padded. Everything is f32.
//! This is not a layer library: no weights live here and no shapes are guessed.

mod activate;
mod add;
mod attention;
mod composed;
mod layer_norm;
mod linear;
mod loss;
mod norm;
mod rope;
mod softmax;
mod state;
mod teacher;
mod tensors;

pub(super) use softmax::softmax;
pub(super) use tensors::{floats, with_floats};

pub use activate::{
    Activation, activate, activation_named, activation_names, activation_word, gate_mul, gate_mul_into,
};
pub use add::add;
pub use attention::{Attend, Past, Span, attention};
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use loss::cross_entropy;
pub use norm::rms_norm;
pub use rope::{Pairing, rope};
pub(crate) use state::{Given, Scanned, convolve, scan};
pub use teacher::{Lesson, Taught, divergence};

#[cfg(test)]
mod tests;
