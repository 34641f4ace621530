//! How small integers share bytes, where more than one type has it so.

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

/// 32 quants from 16 bytes: low halves, then high ones.
#[inline(always)]
pub(super) fn halves(bytes: &[u8; 16], quants: &mut [u8; 32]) {
    for (j, byte) in bytes.iter().enumerate() {
        quants[j] = byte & 15;
        quants[j + 16] = byte >> 4;
    }
}

/// Writes what `halves` reads; only the low four bits of each quant.
#[inline(always)]
pub(super) fn pack_halves(quants: &[u8; 32], bytes: &mut [u8; 16]) {
    for (j, byte) in bytes.iter_mut().enumerate() {
        *byte = (quants[j] & 15) | (quants[j + 16] & 15) << 4;
    }
}

/// Adds the fifth bit of each of 32 quants, bit j of a word for quant j.
#[inline(always)]
pub(super) fn add_fifth(bits: [u8; 4], quants: &mut [u8; 32]) {
    for (j, quant) in quants.iter_mut().enumerate() {
        // a comparison, since bytes cannot be shifted by different counts
        *quant |= if bits[j / 8] & 1 << (j % 8) != 0 { 16 } else { 0 };
    }
}

/// Writes what `add_fifth` reads.
#[inline(always)]
pub(super) fn fifth_bits(quants: &[u8; 32]) -> [u8; 4] {
    quants.iter().enumerate().fold(0u32, |bits, (j, q)| bits | u32::from(q >> 4) << j).to_le_bytes()
}

/// 256 quants from 128 bytes, each 64 in 32 bytes: the first 32 in the low halves, the next 32 in the high ones.
#[inline(always)]
pub(super) fn long_halves(bytes: &[u8; 128], quants: &mut [u8; 256]) {
    for (bytes, quants) in bytes.as_chunks::<32>().0.iter().zip(quants.as_chunks_mut::<64>().0) {
        for (l, byte) in bytes.iter().enumerate() {
            quants[l] = byte & 15;
            quants[l + 32] = byte >> 4;
        }
    }
}

/// Writes what `long_halves` reads; only the low four bits of each quant.
#[inline(always)]
pub(super) fn pack_long_halves(quants: &[u8; 256], bytes: &mut [u8; 128]) {
    for (quants, bytes) in quants.as_chunks::<64>().0.iter().zip(bytes.as_chunks_mut::<32>().0) {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = (quants[l] & 15) | (quants[l + 32] & 15) << 4;
        }
    }
}

/// 256 quants of two bits from 64 bytes, each 128 in 32 bytes: l, l+32, l+64, l+96 in byte l from the lowest bits up.
#[inline(always)]
pub(super) fn quarters(bytes: &[u8; 64], quants: &mut [u8; 256]) {
    for (bytes, quants) in bytes.as_chunks::<32>().0.iter().zip(quants.as_chunks_mut::<128>().0) {
        for (k, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (quant, byte) in quants.iter_mut().zip(bytes) {
                *quant = byte >> (2 * k) & 3;
            }
        }
    }
}

/// Writes what `quarters` reads; only the low two bits of each quant.
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
pub(super) fn six_bits(packed: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let (mut scales, mut mins) = ([0; 8], [0; 8]);
    for j in 0..4 {
        scales[j] = packed[j] & 63;
        mins[j] = packed[j + 4] & 63;
        scales[j + 4] = packed[j + 8] & 15 | (packed[j] >> 6) << 4;
        mins[j + 4] = packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4;
    }
    (scales, mins)
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
