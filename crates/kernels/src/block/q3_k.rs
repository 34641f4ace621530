//! Q3_K: 16 sub-blocks of 16, q in −4..=3, scale in −32..=31; x = d·scale·q.
//! Layout: 32 bytes with the third bit of q + 4, bit k of byte l for weight l + 32·k; 64 bytes with its lower two; 12 of
//! scales; d.

use bantam_format::ggml::Type;

use super::bits::{pack_quarters, quarters, whole, whole_mut, word};
use super::search::symmetric::{Range, SuperBlock};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q3K;

impl Quants for Q3K {
    const TYPE: Type = Type::Q3_K;
    type Form = Of<1, 0, 252>;
    /// The least scale·q is −4·31, the greatest −4·−32.
    const ZERO: i32 = 124;

    /// A quant here is scale·q, so that d alone is the scale, and one does for 32 weights.
    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let (block, quants): (&[u8; 110], &mut [u8; 256]) = (whole(block), whole_mut(quants));
        three_bits(block, quants);
        let sub_scales = sub_scales(block);
        for (quants, scale) in quants.as_chunks_mut::<16>().0.iter_mut().zip(sub_scales) {
            // scale·(q + 4) and what takes the 4 off again; modulo 256 all along, only the result must fit
            let zero = (Self::ZERO as u8).wrapping_sub(scale.wrapping_mul(4) as u8);
            quants.iter_mut().for_each(|quant| *quant = quant.wrapping_mul(scale as u8).wrapping_add(zero));
        }
        scales[..8].fill(simd.f16(word(block, 108)));
    }

    /// As ggml multiplies, which is the same number but for the sign of zeros.
    #[inline(always)]
    fn decode<S: Simd>(simd: S, block: &[u8], to: &mut [f32]) {
        let block: &[u8; 110] = whole(block);
        let mut quants = [0; 256];
        three_bits(block, &mut quants);
        let d = simd.f16(word(block, 108));
        let subs = to.as_chunks_mut::<16>().0.iter_mut().zip(quants.as_chunks::<16>().0);
        for ((to, quants), scale) in subs.zip(sub_scales(block)) {
            let scale = d * f32::from(scale);
            for (to, quant) in to.iter_mut().zip(quants) {
                *to = scale * (i32::from(*quant) - 4) as f32;
            }
        }
    }
}

/// All q + 4.
#[inline(always)]
fn three_bits(block: &[u8; 110], quants: &mut [u8; 256]) {
    quarters(whole(&block[32..96]), quants);
    let high: &[u8; 32] = whole(&block[..32]);
    for (k, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (quant, bits) in quants.iter_mut().zip(high) {
            *quant |= (bits >> k & 1) << 2;
        }
    }
}

/// The low 4 bits of scales j and j+8 share byte j; the high 2 bits of scales j, j+4, j+8, j+12 share byte 8+j.
#[inline(always)]
fn sub_scales(block: &[u8; 110]) -> [i8; 16] {
    let packed: &[u8; 12] = whole(&block[96..108]);
    std::array::from_fn(|j| {
        let low = packed[j % 8] >> (4 * (j / 8)) & 15;
        let high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
        (low | high << 4) as i8 - 32
    })
}

impl Encode for Q3K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let range = Range { q: (-4.0, 3.0), scale: (-32.0, 31.0) };
        let found = SuperBlock::search(whole(weights), importance.map(whole), &range);
        let mut q = [0; 256];
        for (to, q) in q.iter_mut().zip(found.q.as_flattened()) {
            *to = (q + 4) as u8;
        }
        for (l, byte) in block[..32].iter_mut().enumerate() {
            *byte = (0..8).fold(0, |bits, k| bits | (q[l + 32 * k] >> 2) << k);
        }
        pack_quarters(&q, whole_mut(&mut block[32..96]));
        let scale = found.scale.map(|scale| (scale + 32) as u8);
        for j in 0..8 {
            block[96 + j] = scale[j] & 15 | (scale[j + 8] & 15) << 4;
        }
        for j in 0..4 {
            block[104 + j] = (0..4).fold(0, |bits, k| bits | (scale[j + 4 * k] >> 4) << (2 * k));
        }
        block[108..].copy_from_slice(&found.d.to_le_bytes());
    }
}
