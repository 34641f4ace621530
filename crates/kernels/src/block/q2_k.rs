//! Q2_K: 16 sub-blocks of 16, 2-bit q, 4-bit scale and min; x = d·scale·q − dmin·min.
//! Layout: 16 bytes, scale in the low and min in the high half; 64 bytes of q; d; dmin.

use bantam_format::ggml::Type;

use super::bits::{each_run, pack_quarters, quarter, whole, whole_mut, word};
use super::search::affine::SuperBlock;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q2K;

/// scale·q by scale and q: bytes are chosen in one instruction, and multiplied in many.
static PRODUCTS: [[u8; 16]; 16] = {
    let mut products = [[0; 16]; 16];
    let mut i = 0;
    while i < 16 * 4 {
        products[i / 4][i % 4] = (i / 4 * (i % 4)) as u8;
        i += 1;
    }
    products
};

impl Quants for Q2K {
    const TYPE: Type = Type::Q2_K;
    type Form = Of<1, 2, 45>;
    const ZERO: i32 = 0;

    /// A quant here is scale·q, at most 15·3, so that d alone is the scale, and one does for 32 weights. The product is
    /// as exact: d·scale and d·scale·q both fit an f32.
    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let block: &[u8; 84] = whole(block);
        let (d, dmin) = (simd.f16(word(block, 80)), simd.f16(word(block, 82)));
        let q = whole(&block[16..80]);
        each_run(simd, quants, |run| {
            let products = |sub: usize| &PRODUCTS[usize::from(block[sub] & 15)];
            simd.choose(simd.join(products(2 * run), products(2 * run + 1)), quarter(simd, q, run))
        });
        scales.fill(d);
        for (offsets, mins) in offsets.as_chunks_mut().0.iter_mut().zip(block[..16].as_chunks().0) {
            *offsets = simd.times(-dmin, mins.map(|byte| (byte >> 4).cast_signed()));
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
