//! A matrix of small floats with scales that are floats, too: FP8 (E4M3), and the FP4 of MXFP4 and NVFP4 (E2M1). The
//! latter are block types of GGUF and held as such, values in another order. FP8 is held in F16, which has all its numbers,
//! beside the one scale of the matrix; where there are several, the weights are held in BF16, rounded as transformers has
//! them.
//!
//! E4M3, E2M1: OCP 8-bit Floating Point Specification 1.0 and OCP Microscaling Formats Specification 1.0 (2023).

use std::sync::Arc;

use bantam_format::ggml::Type;
use candle_core::{DType, Device, Tensor};
use half::f16;
use rayon::prelude::*;

use super::dense::{self, TILE};
use super::module::ModuleTensor;
use super::summary::Widened;
use crate::error::Result;
use crate::linear::Linear;
use crate::matmul::Blocks;
use crate::weights::Precision;

/// Small floats and their scales, not yet read.
pub(super) struct Floats<'a> {
    pub out: usize,
    pub inp: usize,
    pub numbers: Numbers<'a>,
    /// What every weight is multiplied by beside the scales.
    pub factor: f32,
    /// Which rows of the tensors are this matrix's: from which on, and every how manyth.
    pub rows: (usize, usize),
    /// The tensors it is read from.
    pub tensors: Vec<ModuleTensor<'a>>,
}

/// How the floats are stored.
pub(super) enum Numbers<'a> {
    /// Two E2M1 in a byte, the first in the low half, and an E8M0 for 32 weights.
    Mxfp4 { values: &'a [u8], scales: &'a [u8] },
    /// Two E2M1 in a byte, the first in the low half, and an E4M3 for 16 weights.
    Nvfp4 { values: &'a [u8], scales: &'a [u8] },
    /// An E4M3 in a byte, and scales for blocks of so many rows and columns.
    Fp8 { values: &'a [u8], scales: Vec<f32>, block: (usize, usize) },
}

/// Twice the values of E2M1, by the low three bits.
const E2M1: [f32; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];

/// The number that the bits of an E4M3 are; NaN for the two patterns that are none.
pub(super) fn e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let magnitude = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 512.0,
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if bits < 128 { magnitude } else { -magnitude }
}

/// Half the power of two that the bits of an E8M0 are.
fn half_e8m0(bits: u8) -> f32 {
    2f64.powi(i32::from(bits) - 128) as f32
}

impl Floats<'_> {
    /// The matrix in memory, and why it is wider than it was, where it is.
    pub(super) fn hold(&self, device: &Device, precision: Precision) -> Result<(Linear, Option<Widened>)> {
        if precision == Precision::F32 {
            return Ok((Linear::dense(self.f32s(device)?), Some(Widened::Asked)));
        }
        let held = if device.is_cpu() { self.blocks()? } else { None };
        match (held, &self.numbers) {
            (Some(blocks), Numbers::Fp8 { .. }) => Ok((Linear::blocks(Arc::new(blocks)), Some(Widened::SmallFloats))),
            (Some(blocks), _) => Ok((Linear::blocks(Arc::new(blocks)), None)),
            (None, Numbers::Fp8 { .. }) => {
                Ok((Linear::dense(self.f32s(device)?.to_dtype(DType::BF16)?), Some(Widened::SmallFloats)))
            }
            (None, _) => Ok((Linear::dense(dense::narrowed(self.f32s(device)?)?), Some(Widened::Width(self.inp)))),
        }
    }

    /// The matrix in a block type that has it exactly, where there is one.
    fn blocks(&self) -> Result<Option<Blocks>> {
        let (ty, write): (Type, Write) = match &self.numbers {
            Numbers::Mxfp4 { .. } => (Type::MXFP4, write_mxfp4),
            Numbers::Nvfp4 { scales, .. } if scales.iter().all(|bits| *bits < 127) => (Type::NVFP4, write_nvfp4),
            Numbers::Fp8 { scales, .. } if scales.len() == 1 => (Type::F16, write_f16),
            _ => return Ok(None),
        };
        let Some(row_bytes) = ty.bytes(self.inp) else { return Ok(None) };
        let mut bytes = vec![0u8; self.out * row_bytes];
        bytes.par_chunks_mut((TILE * row_bytes).max(1)).enumerate().for_each(|(tile, rows)| {
            for (row, bytes) in rows.chunks_exact_mut(row_bytes).enumerate() {
                let (values, scales) = self.row(tile * TILE + row);
                write(values, scales, bytes);
            }
        });
        let factor = match &self.numbers {
            Numbers::Fp8 { scales, .. } => scales[0] * self.factor,
            _ => self.factor,
        };
        Ok(Some(Blocks::new(ty, self.out, self.inp, bytes)?.times(factor)))
    }

    /// The bytes of a row's values, and of its scales where these are bytes.
    fn row(&self, row: usize) -> (&[u8], &[u8]) {
        let (first, step) = self.rows;
        let of = |bytes: &'_ [u8], width: usize| {
            let at = (first + row * step) * width;
            at..(at + width).min(bytes.len())
        };
        match &self.numbers {
            Numbers::Mxfp4 { values, scales } => {
                (&values[of(values, self.inp / 2)], &scales[of(scales, self.inp / 32)])
            }
            Numbers::Nvfp4 { values, scales } => {
                (&values[of(values, self.inp / 2)], &scales[of(scales, self.inp / 16)])
            }
            Numbers::Fp8 { values, .. } => (&values[of(values, self.inp)], &[]),
        }
    }

    /// W in f32, (out, inp).
    pub(super) fn f32s(&self, device: &Device) -> Result<Tensor> {
        let inp = self.inp;
        dense::rows(self.out, inp, device, |first, tile| {
            for (row, weights) in tile.chunks_exact_mut(inp.max(1)).enumerate() {
                self.widen(first + row, weights);
            }
        })
    }

    fn widen(&self, row: usize, weights: &mut [f32]) {
        let (values, scales) = self.row(row);
        let four = |i: usize| nibble(values, i);
        // the zero below zero is one as the other, as in ggml's blocks
        let value = |bits: u8| if bits < 8 { E2M1[usize::from(bits)] } else { 0.0 - E2M1[usize::from(bits & 7)] };
        for (i, weight) in weights.iter_mut().enumerate() {
            *weight = match &self.numbers {
                Numbers::Mxfp4 { .. } => value(four(i)) * half_e8m0(scales[i / 32]),
                Numbers::Nvfp4 { .. } => value(four(i)) * (0.5 * e4m3(scales[i / 16])),
                Numbers::Fp8 { scales, block, .. } => {
                    let across = self.inp.div_ceil(block.1);
                    e4m3(values[i]) * scales[row / block.0 * across + i / block.1]
                }
            } * self.factor;
        }
    }

    /// Whether a value or a scale is no number.
    pub(super) fn is_damaged(&self) -> bool {
        let e4m3 = |bytes: &[u8]| bytes.par_iter().any(|bits| bits & 127 == 127);
        !self.factor.is_finite()
            || match &self.numbers {
                Numbers::Mxfp4 { scales, .. } => scales.par_iter().any(|bits| *bits == 255),
                Numbers::Nvfp4 { scales, .. } => e4m3(scales),
                Numbers::Fp8 { values, .. } => e4m3(values),
            }
    }
}

/// The bits of a row's weight.
fn nibble(values: &[u8], i: usize) -> u8 {
    values[i / 2] >> (4 * (i % 2)) & 15
}

/// Writes a row in blocks.
type Write = fn(&[u8], &[u8], &mut [u8]);

/// `block_mxfp4` of ggml: e, then the first sixteen in the low halves and the others in the high ones.
fn write_mxfp4(values: &[u8], scales: &[u8], row: &mut [u8]) {
    for (at, (block, scale)) in row.as_chunks_mut::<17>().0.iter_mut().zip(scales).enumerate() {
        block[0] = *scale;
        for (i, byte) in block[1..].iter_mut().enumerate() {
            *byte = nibble(values, 32 * at + i) | nibble(values, 32 * at + 16 + i) << 4;
        }
    }
}

/// `block_nvfp4` of ggml: four scales, then of each sixteen the first eight in the low halves and the others in the high
/// ones.
fn write_nvfp4(values: &[u8], scales: &[u8], row: &mut [u8]) {
    for (at, (block, scales)) in row.as_chunks_mut::<36>().0.iter_mut().zip(scales.as_chunks::<4>().0).enumerate() {
        block[..4].copy_from_slice(scales);
        for (i, byte) in block[4..].iter_mut().enumerate() {
            let first = 64 * at + i / 8 * 16 + i % 8;
            *byte = nibble(values, first) | nibble(values, first + 8) << 4;
        }
    }
}

fn write_f16(values: &[u8], _: &[u8], row: &mut [u8]) {
    for (bytes, bits) in row.as_chunks_mut::<2>().0.iter_mut().zip(values) {
        *bytes = f16::from_f32(e4m3(*bits)).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e4m3_has_its_numbers() {
        let known =
            [(0x00, 0.0), (0x01, 2f32.powi(-9)), (0x08, 2f32.powi(-6)), (0x38, 1.0), (0x7E, 448.0), (0xB9, -1.125)];
        for (bits, number) in known {
            assert_eq!(e4m3(bits), number);
        }
        assert!(e4m3(0x7F).is_nan() && e4m3(0xFF).is_nan());
        assert!((0..=255).all(|bits| e4m3(bits).is_nan() || f16::from_f32(e4m3(bits)).to_f32() == e4m3(bits)));
    }
}
