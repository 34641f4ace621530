//! Q6_K: 16 sub-blocks of 16, q in −32..=31, scale an i8; x = d·scale·q.
//! Layout: 128 bytes with the lower four bits of q + 32; 64 with its upper two; 16 scales; d.

use bantam_format::ggml::Type;

use super::bits::{whole, whole_mut, word};
use super::search::symmetric::{Range, SuperBlock};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q6K;

impl Quants for Q6K {
    const TYPE: Type = Type::Q6_K;
    type Form = Of<2, 0, 63>;
    const ZERO: i32 = 32;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let (block, quants): (&[u8; 210], &mut [u8; 256]) = (whole(block), whole_mut(quants));
        for (half, quants) in quants.as_chunks_mut::<128>().0.iter_mut().enumerate() {
            let low: &[u8; 64] = whole(&block[64 * half..][..64]);
            let high: &[u8; 32] = whole(&block[128 + 32 * half..][..32]);
            for l in 0..32 {
                quants[l] = low[l] & 15 | (high[l] & 3) << 4;
                quants[l + 32] = low[l + 32] & 15 | (high[l] >> 2 & 3) << 4;
                quants[l + 64] = low[l] >> 4 | (high[l] >> 4 & 3) << 4;
                quants[l + 96] = low[l + 32] >> 4 | (high[l] >> 6) << 4;
            }
        }
        let d = simd.f16(word(block, 208));
        for (scale, byte) in scales[..16].iter_mut().zip(&block[192..208]) {
            *scale = d * f32::from(*byte as i8);
        }
    }
}

impl Encode for Q6K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let range = Range { q: (-32.0, 31.0), scale: (-128.0, 127.0) };
        let found = SuperBlock::search(whole(weights), importance.map(whole), &range);
        for (half, q) in found.q.as_flattened().as_chunks::<128>().0.iter().enumerate() {
            let q = |l: usize| (q[l] + 32) as u8;
            for l in 0..32 {
                block[64 * half + l] = q(l) & 15 | (q(l + 64) & 15) << 4;
                block[64 * half + 32 + l] = q(l + 32) & 15 | (q(l + 96) & 15) << 4;
                block[128 + 32 * half + l] = (0..4).fold(0, |bits, k| bits | (q(l + 32 * k) >> 4) << (2 * k));
            }
        }
        for (byte, scale) in block[192..208].iter_mut().zip(found.scale) {
            *byte = scale as u8;
        }
        block[208..].copy_from_slice(&found.d.to_le_bytes());
    }
}
