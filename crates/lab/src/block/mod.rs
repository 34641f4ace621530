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

use bantam_format::ggml::Type;

/// Writes a row in a type's layout.
///
/// `row` is whole blocks, `out` as long as they become, and the weights are finite.
pub fn encode(ty: Type, row: &[f32], out: &mut [u8]) {
    debug_assert_eq!(ty.bytes(row.len()), Some(out.len()));
    match ty {
        Type::F32 => plain::f32(row, out),
        Type::F16 => plain::f16(row, out),
        Type::BF16 => plain::bf16(row, out),
        Type::Q4_0 => each_block(row, out, legacy::q4_0),
        Type::Q5_0 => each_block(row, out, legacy::q5_0),
        Type::Q5_1 => each_block(row, out, legacy::q5_1),
        Type::Q8_0 => each_block(row, out, legacy::q8_0),
        Type::Q2_K => each_block(row, out, affine::q2_k),
        Type::Q3_K => each_block(row, out, symmetric::q3_k),
        Type::Q4_K => each_block(row, out, affine::q4_k),
        Type::Q5_K => each_block(row, out, affine::q5_k),
        Type::Q6_K => each_block(row, out, symmetric::q6_k),
        other => unreachable!("no recipe writes {other}"),
    }
}

fn each_block<const N: usize, const B: usize>(row: &[f32], out: &mut [u8], encode: fn(&[f32; N], &mut [u8; B])) {
    for (weights, bytes) in row.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        encode(weights, bytes);
    }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests;
