//! Q2_K: 16 sub-blocks of 16, 2-bit q, 4-bit scale and min; x = d·scale·q − dmin·min.
//! Layout: 16 bytes, scale in the low and min in the high half; 64 bytes of q; d; dmin.

use bantam_format::ggml::Type;

use super::bits::{pack_quarters, quarters, whole, whole_mut, word};
use super::search::affine::SuperBlock;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q2K;

impl Quants for Q2K {
    const TYPE: Type = Type::Q2_K;
    type Form = Of<1, 2, 45>;
    const ZERO: i32 = 0;

    /// A quant here is scale·q, at most 15·3, so that d alone is the scale, and one does for 32 weights. The product is
    /// as exact: d·scale and d·scale·q both fit an f32.
    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let (block, quants): (&[u8; 84], &mut [u8; 256]) = (whole(block), whole_mut(quants));
        let (d, dmin) = (simd.f16(word(block, 80)), simd.f16(word(block, 82)));
        quarters(whole(&block[16..80]), quants);
        for (sub, quants) in quants.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = block[sub] & 15;
            quants.iter_mut().for_each(|quant| *quant *= scale);
        }
        scales[..8].fill(d);
        for (offset, byte) in offsets[..16].iter_mut().zip(&block[..16]) {
            *offset = -(dmin * f32::from(byte >> 4));
        }
    }
}

impl Encode for Q2K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let found = SuperBlock::<16, 16>::search(whole(weights), importance.map(whole), 3.0, 15.0);
        for (j, byte) in block[..16].iter_mut().enumerate() {
            *byte = found.scale[j] | found.min[j] << 4;
        }
        pack_quarters(whole(found.q.as_flattened()), whole_mut(&mut block[16..80]));
        block[80..82].copy_from_slice(&found.d.to_le_bytes());
        block[82..84].copy_from_slice(&found.dmin.to_le_bytes());
    }
}
