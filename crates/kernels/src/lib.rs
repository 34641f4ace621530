//! Products of f32 activations with weights as checkpoints store them, and the blocks of ggml's types: slices in,
//! slices out. No files, no tensors, no models; the only home of unsafe arithmetic.
//!
//! ```text
//! block/      a file a type: how a block is unpacked, read and written; a new type is a file and a row in block/mod.rs
//! simd/       a file an instruction set: the few loops that the compiler does not find by itself
//! isa         which instruction set runs: the best one, or the one that BANTAM_ISA names
//! activations x quantized to Q8, once a product
//! product     x Wᵀ, as callers ask for it and threads share it
//! dots        the loops for plain floats: rows of W and x as they lie
//! kv          keys and values of earlier tokens, kept in floats or fewer bits
//! state       mixers that keep a state of constant size instead
//! one_row     the loop for blocks and one row of x: unpacked in registers
//! tiles       the loops for blocks and more rows: tiles of W unpacked in first-level cache and multiplied with all of x
//! widened     products in f32 with any type, and the gradient that passes through one
//! factor      a Gram matrix in factors, of which it follows how errors are passed on
//! pool        work shared between threads
//! made        operands for those who measure products
//! ```
//!
//! The scalar code is the reference. Products with quantized weights are equal to its results to the bit on every
//! instruction set; those with plain floats differ in the last bits between instruction sets. Both are the same for any
//! number of rows of x and of threads.

#![allow(unsafe_code)] // the only home of unsafe arithmetic
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs, unreachable_pub)]

mod activations;
pub mod attention;
pub mod block;
mod dots;
mod error;
mod factor;
pub mod float;
mod gemm;
mod isa;
pub mod kv;
pub mod made;
mod matrix;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // for sets that have lanes
mod one_row;
mod plain;
mod pool;
mod product;
mod simd;
pub mod state;
mod tiles;
mod widened;

pub use bantam_format::ggml;
pub use block::BlockType;
pub use error::Error;
pub use factor::factor;
pub use gemm::{Side, add_gram, float_product, pass_on};
pub use isa::{Isa, isa};
pub use matrix::{Matrix, decode_rows};
pub use pool::{fill_rows, fill_rows_costing};
pub use product::{product, product_on, products};
pub use widened::{widened_gradient, widened_product};
