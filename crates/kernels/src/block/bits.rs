//! How small integers share bytes, where more than one type has it so.

use crate::simd::Simd;

/// A fixed number of bytes or weights of a slice whose length the caller made.
#[inline(always)]
pub(super) fn whole<T, const N: usize>(slice: &[T]) -> &[T; N] {
    slice.try_into().expect("a block has the length of its type")
}

/// As `whole`, to write to.
#[inline(always)]
pub(super) fn whole_mut<T, const N: usize>(slice: &mut [T]) -> &mut [T; N] {
    slice.try_into().expect("a block has the length of its type")
}

/// The two bytes at a place, as the bits of an f16.
#[inline(always)]
pub(super) fn word(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// The four bytes at a place, as a number.
#[inline(always)]
pub(super) fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*whole(&block[at..at + 4]))
}

/// The eight bytes at a place, as a number.
#[inline(always)]
pub(super) fn u64_at(block: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*whole(&block[at..at + 8]))
}

/// Eight times two bits, each to a byte of its own.
#[inline(always)]
pub(super) fn spread(pairs: u16) -> u64 {
    // halves, quarters, then eighths of the bits move to their places in a word of eight bytes
    let mut word = u64::from(pairs);
    word = (word | word << 24) & 0x0000_00FF_0000_00FF;
    word = (word | word << 12) & 0x000F_000F_000F_000F;
    (word | word << 6) & 0x0303_0303_0303_0303
}

/// 32 quants in 16 bytes: the first half in the low halves, the other in the high ones; only their low four bits.
#[inline(always)]
pub(super) fn pack_halves(quants: &[u8; 32], bytes: &mut [u8; 16]) {
    for (j, byte) in bytes.iter_mut().enumerate() {
        *byte = (quants[j] & 15) | (quants[j + 16] & 15) << 4;
    }
}

/// The fifth bit of each of 32 quants, bit j of a word for quant j.
#[inline(always)]
pub(super) fn fifth_bits(quants: &[u8; 32]) -> [u8; 4] {
    quants.iter().enumerate().fold(0u32, |bits, (j, q)| bits | u32::from(q >> 4) << j).to_le_bytes()
}

/// Fills 256 quants, 32 at a time by the number of the run.
#[inline(always)]
pub(super) fn each_run<S: Simd>(simd: S, quants: &mut [u8], run: impl Fn(usize) -> S::Bytes) {
    let quants: &mut [[u8; 32]; 8] = whole_mut(quants.as_chunks_mut().0);
    for (number, quants) in quants.iter_mut().enumerate() {
        simd.store(run(number), quants);
    }
}

/// A run of 256 quants in 128 bytes, each 64 in 32 bytes: the first 32 in the low halves, the next 32 in the high ones.
#[inline(always)]
pub(super) fn long_half<S: Simd>(simd: S, bytes: &[u8; 128], run: usize) -> S::Bytes {
    simd.right(simd.load(&bytes.as_chunks().0[run / 2]), 4 * (run as u32 % 2), 15)
}

/// Writes what `long_half` reads; only the low four bits of each quant.
#[inline(always)]
pub(super) fn pack_long_halves(quants: &[u8; 256], bytes: &mut [u8; 128]) {
    for (quants, bytes) in quants.as_chunks::<64>().0.iter().zip(bytes.as_chunks_mut::<32>().0) {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = (quants[l] & 15) | (quants[l + 32] & 15) << 4;
        }
    }
}

/// A run of 256 quants of two bits in 64 bytes, each 128 in 32 bytes: l, l+32, l+64, l+96 in byte l from the lowest
/// bits up.
#[inline(always)]
pub(super) fn quarter<S: Simd>(simd: S, bytes: &[u8; 64], run: usize) -> S::Bytes {
    simd.right(simd.load(&bytes.as_chunks().0[run / 4]), 2 * (run as u32 % 4), 3)
}

/// Writes what `quarter` reads; only the low two bits of each quant.
#[inline(always)]
pub(super) fn pack_quarters(quants: &[u8; 256], bytes: &mut [u8; 64]) {
    for (quants, bytes) in quants.as_chunks::<128>().0.iter().zip(bytes.as_chunks_mut::<32>().0) {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = (0..4).fold(0, |bits, k| bits | (quants[l + 32 * k] & 3) << (2 * k));
        }
    }
}

/// 8 scales and 8 mins of 6 bits from 12 bytes, as Q4_K and Q5_K have them: the first four of each in the low 6 bits of
/// a byte; of the others the low 4 bits share a byte and the high 2 bits fill the first eight bytes up.
#[inline(always)]
pub(super) fn six_bits(packed: &[u8; 12]) -> ([i8; 8], [i8; 8]) {
    let word = |at: usize| u32::from_le_bytes([packed[at], packed[at + 1], packed[at + 2], packed[at + 3]]);
    let (scales, mins, rest) = (word(0), word(4), word(8));
    // four bytes at a time
    let high = |bits: u32| bits >> 2 & 0x3030_3030;
    let both = |low: u32, high: u32| (u64::from(low) | u64::from(high) << 32).to_le_bytes().map(u8::cast_signed);
    (
        both(scales & 0x3F3F_3F3F, rest & 0x0F0F_0F0F | high(scales)),
        both(mins & 0x3F3F_3F3F, rest >> 4 & 0x0F0F_0F0F | high(mins)),
    )
}

/// Writes what `six_bits` reads.
#[inline(always)]
pub(super) fn pack_six_bits(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for j in 0..4 {
        packed[j] = scales[j] | (scales[j + 4] >> 4) << 6;
        packed[j + 4] = mins[j] | (mins[j + 4] >> 4) << 6;
        packed[j + 8] = scales[j + 4] & 15 | (mins[j + 4] & 15) << 4;
    }
    packed
}
