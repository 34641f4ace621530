//! What stands in files of model weights, without knowing what it means: no models, no arithmetic.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

pub mod ggml;
