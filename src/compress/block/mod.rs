//! Blocks: a run of a row's weights as the bytes that ggml reads. Pure functions from `&[f32]` to bytes, one file a
//! family of types; which tensor gets which type is `mixture`'s business.
//!
//! Layouts: ggml's block structs (github.com/ggml-org/ggml, src/ggml-common.h). Multi-byte numbers are little-endian.

mod affine;
mod lanes;
mod legacy;
mod plain;
mod search;
mod symmetric;

use crate::model::format::gguf::TensorKind;
use candle_core::quantized::GgmlDType;
use std::fmt;

/// A storage type of GGUF tensors, of those that both llama.cpp and bantam read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GgmlType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

impl GgmlType {
    const ALL: [GgmlType; 12] = {
        use GgmlType::*;
        [F32, F16, BF16, Q4_0, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K]
    };

    /// The type that computes with it.
    pub fn dtype(self) -> GgmlDType {
        match self {
            GgmlType::F32 => GgmlDType::F32,
            GgmlType::F16 => GgmlDType::F16,
            GgmlType::BF16 => GgmlDType::BF16,
            GgmlType::Q4_0 => GgmlDType::Q4_0,
            GgmlType::Q5_0 => GgmlDType::Q5_0,
            GgmlType::Q5_1 => GgmlDType::Q5_1,
            GgmlType::Q8_0 => GgmlDType::Q8_0,
            GgmlType::Q2K => GgmlDType::Q2K,
            GgmlType::Q3K => GgmlDType::Q3K,
            GgmlType::Q4K => GgmlDType::Q4K,
            GgmlType::Q5K => GgmlDType::Q5K,
            GgmlType::Q6K => GgmlDType::Q6K,
        }
    }

    fn kind(self) -> &'static TensorKind {
        TensorKind::of(self.dtype()).expect("what bantam writes it also reads")
    }

    /// The type that this one is in a GGUF file's table, if it is one of ours.
    pub fn of(kind: &TensorKind) -> Option<GgmlType> {
        GgmlType::ALL.into_iter().find(|ours| ours.kind() == kind)
    }

    /// The type's number in a GGUF file.
    pub fn id(self) -> u32 {
        self.kind().id
    }

    /// How many weights make a block; a row must be a multiple of it.
    pub fn block_weights(self) -> usize {
        self.kind().block
    }

    /// Bytes of so many weights, a multiple of the block.
    pub fn bytes(self, weights: usize) -> usize {
        weights / self.kind().block * self.kind().bytes
    }

    /// Whether weights are stored as integers with a shared scale.
    pub fn is_quantized(self) -> bool {
        self.kind().block > 1
    }

    /// Write a row in this type's layout.
    ///
    /// `row` is a multiple of `block_weights`, `out` is `bytes(row.len())` long, and the weights are finite.
    pub fn encode(self, row: &[f32], out: &mut [u8]) {
        debug_assert!(row.len().is_multiple_of(self.block_weights()) && out.len() == self.bytes(row.len()));
        match self {
            GgmlType::F32 => plain::f32(row, out),
            GgmlType::F16 => plain::f16(row, out),
            GgmlType::BF16 => plain::bf16(row, out),
            GgmlType::Q4_0 => each_block(row, out, legacy::q4_0),
            GgmlType::Q5_0 => each_block(row, out, legacy::q5_0),
            GgmlType::Q5_1 => each_block(row, out, legacy::q5_1),
            GgmlType::Q8_0 => each_block(row, out, legacy::q8_0),
            GgmlType::Q2K => each_block(row, out, affine::q2_k),
            GgmlType::Q3K => each_block(row, out, symmetric::q3_k),
            GgmlType::Q4K => each_block(row, out, affine::q4_k),
            GgmlType::Q5K => each_block(row, out, affine::q5_k),
            GgmlType::Q6K => each_block(row, out, symmetric::q6_k),
        }
    }
}

fn each_block<const N: usize, const B: usize>(row: &[f32], out: &mut [u8], encode: fn(&[f32; N], &mut [u8; B])) {
    for (weights, bytes) in row.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        encode(weights, bytes);
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.kind().name)
    }
}

#[cfg(test)]
mod tests;
