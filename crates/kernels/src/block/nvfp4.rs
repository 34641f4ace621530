//! NVFP4: 64 weights of E2M1 as MXFP4's, with a float of eight bits (E4M3, without its sign) for each 16; x = scale/2·value.
//! Layout: four scales; for each of them 8 bytes of values, low halves first. A file may have an f32 for a whole tensor, too,
//! as a tensor of its own.

use bantam_format::ggml::Type;

use super::bits::{u64_at, whole, whole_mut};
use super::mxfp4::{QUANTS, ZERO, nearest};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Nvfp4;

/// Half of what the bits of a scale stand for (`ggml_ue4m3_to_fp32` in ggml-impl.h): the topmost says nothing, and 127, which
/// is no number in E4M3, is zero.
pub(super) static HALF_SCALES: [f32; 256] = {
    let mut scales = [0.0; 256];
    let mut bits = 1;
    while bits < 256 {
        let (exponent, mantissa) = (bits >> 3 & 15, (bits & 7) as f32);
        scales[bits] = match exponent {
            0 => mantissa / 1024.0,
            // 2^(exponent − 8)
            _ => (1.0 + mantissa / 8.0) * f32::from_bits((exponent as u32 + 127 - 8) << 23),
        };
        bits += 1;
    }
    scales[127] = 0.0;
    scales
};

impl Quants for Nvfp4 {
    const TYPE: Type = Type::NVFP4;
    type Form = Of<2, 0, 24>;
    const ZERO: i32 = ZERO;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 36] = whole(block);
        let runs: &mut [[u8; 32]; 2] = whole_mut(quants.as_chunks_mut().0);
        for (run, quants) in runs.iter_mut().enumerate() {
            let halves = [u64_at(block, 4 + 16 * run), u64_at(block, 12 + 16 * run)];
            let choices = simd.right(simd.eights([halves[0], halves[0] >> 4, halves[1], halves[1] >> 4]), 0, 15);
            simd.store(simd.choose(simd.join(&QUANTS, &QUANTS), choices), quants);
        }
        for (scale, bits) in scales.iter_mut().zip(&block[..4]) {
            *scale = HALF_SCALES[usize::from(*bits)];
        }
    }
}

impl Encode for Nvfp4 {
    const IN_TURN: bool = false;

    /// As ggml does it (`quantize_row_nvfp4_ref`), importance or not: the largest weight of each 16 becomes the largest
    /// value.
    #[inline(always)]
    fn encode(weights: &[f32], _: Option<&[f32]>, block: &mut [u8]) {
        let (scales, values) = block.split_at_mut(4);
        let subs = weights.as_chunks::<16>().0.iter().zip(values.as_chunks_mut::<8>().0);
        for (bits, (x, bytes)) in scales.iter_mut().zip(subs) {
            *bits = e4m3(x.iter().fold(0f32, |most, x| most.max(x.abs())) / 6.0);
            let scale = HALF_SCALES[usize::from(*bits)];
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = nearest(x[i], scale) | nearest(x[i + 8], scale) << 4;
            }
        }
    }
}

/// The bits of a number in E4M3, halves rounded up, 448 from 256 on (`ggml_fp32_to_ue4m3`).
#[inline(always)]
fn e4m3(x: f32) -> u8 {
    let x = x.min(448.0);
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127 + 7;
    if exponent <= 0 {
        return ((x * 512.0 + 0.5) as u8).min(7);
    }
    // the mantissa's first three bits and the next one, which rounds; a carry moves the exponent
    let rounded = ((exponent as u32) << 3 | bits >> 20 & 7) + (bits >> 19 & 1);
    if rounded < 15 << 3 { rounded as u8 } else { 0x7E }
}
