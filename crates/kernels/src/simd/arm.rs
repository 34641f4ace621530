//! What NEON unpacks with: 32 bytes in two vectors of 128 bits.

use std::arch::aarch64::*;
use std::arch::asm;

/// 32 bytes.
pub(super) type Bytes = [uint8x16_t; 2];

/// `Simd` for a type whose values are the proof of NEON.
macro_rules! simd {
    ($isa:ident, $rows:expr) => {
        impl crate::simd::Simd for $isa {
            const ROWS: usize = $rows;
            const SIGNED: bool = true;
            type Bytes = crate::simd::arm::Bytes;

            crate::simd::arm::simd! {
                fn prefetch(line: *const u8) -> ();
                fn f16(bits: u16) -> f32;
                fn eight_f16(bytes: &[u8; 16]) -> [f32; 8];
                fn times(factor: f32, numbers: [i8; 8]) -> [f32; 8];
                fn most(x: &[f32; 32]) -> f32;
                fn round(x: &[f32; 32], factor: f32) -> [i8; 32];
                fn sums(quants: &[i8; 32]) -> [i32; 2];
                fn load(bytes: &[u8; 32]) -> Self::Bytes;
                fn store(bytes: Self::Bytes, to: &mut [u8; 32]) -> ();
                fn fill(byte: u8) -> Self::Bytes;
                fn join(low: &[u8; 16], high: &[u8; 16]) -> Self::Bytes;
                fn or(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
                fn xor(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
                fn add(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
                fn eights(words: [u64; 4]) -> Self::Bytes;
                fn thirds(bytes: Self::Bytes) -> Self::Bytes;
                fn right(bytes: Self::Bytes, by: u32, mask: u8) -> Self::Bytes;
                fn left(bytes: Self::Bytes, by: u32, mask: u8) -> Self::Bytes;
                fn halves(bytes: &[u8; 16]) -> Self::Bytes;
                fn choose(values: Self::Bytes, index: Self::Bytes) -> Self::Bytes;
                fn where_set(bits: [u8; 4], byte: u8) -> Self::Bytes;
            }
        }
    };
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: `self` is the proof of NEON.
            unsafe { crate::simd::arm::$name($($arg),*) }
        }
    )*};
}
pub(super) use simd;

// SAFETY, of every block in this file that says no other: loads and stores exactly what the array references vouch for.

/// By its instruction: Rust has no stable function for it.
#[allow(clippy::pointers_in_nomem_asm_block)] // a hint reads nothing
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn prefetch(line: *const u8) {
    // SAFETY: a hint may name any address, and changes nothing that a program sees.
    unsafe { asm!("prfm pldl2keep, [{}]", in(reg) line, options(nomem, nostack, preserves_flags)) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn f16(bits: u16) -> f32 {
    vgetq_lane_f32::<0>(four_f16(vdup_n_u16(bits)))
}

/// Four f16 by their bits.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn four_f16(bits: uint16x4_t) -> float32x4_t {
    vcvt_f32_f16(vreinterpret_f16_u16(bits))
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn eight_f16(bytes: &[u8; 16]) -> [f32; 8] {
    // SAFETY: 16 bytes.
    let bits = vreinterpretq_u16_u8(unsafe { vld1q_u8(bytes.as_ptr()) });
    eight(four_f16(vget_low_u16(bits)), four_f16(vget_high_u16(bits)))
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn times(factor: f32, numbers: [i8; 8]) -> [f32; 8] {
    // SAFETY: eight bytes.
    let wide = vmovl_s8(unsafe { vld1_s8(numbers.as_ptr()) });
    let four = |four: int16x4_t| vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(four)), factor);
    eight(four(vget_low_s16(wide)), four(vget_high_s16(wide)))
}

#[inline]
#[target_feature(enable = "neon")]
fn eight(low: float32x4_t, high: float32x4_t) -> [f32; 8] {
    let mut to = [0.0; 8];
    let [first, last] = to.as_chunks_mut::<4>().0 else { unreachable!("eight are two fours") };
    // SAFETY: four floats each.
    unsafe {
        vst1q_f32(first.as_mut_ptr(), low);
        vst1q_f32(last.as_mut_ptr(), high);
    }
    to
}

/// Magnitudes are in the order of their bits, and what is not finite is above all others.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn most(x: &[f32; 32]) -> f32 {
    let mut most = vdupq_n_u32(0);
    for x in x.as_chunks::<4>().0 {
        // SAFETY: four floats.
        let x = vreinterpretq_u32_f32(unsafe { vld1q_f32(x.as_ptr()) });
        most = vmaxq_u32(most, vbicq_u32(x, vdupq_n_u32(0x8000_0000)));
    }
    f32::from_bits(vmaxvq_u32(most))
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn round(x: &[f32; 32], factor: f32) -> [i8; 32] {
    let mut to = [0; 32];
    for (to, x) in to.as_chunks_mut::<8>().0.iter_mut().zip(x.as_chunks::<8>().0) {
        let four = |i: usize| {
            // SAFETY: two fours of floats.
            let x = unsafe { vld1q_f32(x.as_ptr().add(4 * i)) };
            vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(x, factor)))
        };
        // SAFETY: eight bytes.
        unsafe { vst1_s8(to.as_mut_ptr(), vmovn_s16(vcombine_s16(four(0), four(1)))) };
    }
    to
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn sums(quants: &[i8; 32]) -> [i32; 2] {
    // SAFETY: two halves of 16 bytes.
    let half = |i: usize| i32::from(vaddlvq_s8(unsafe { vld1q_s8(quants.as_ptr().add(16 * i)) }));
    [half(0), half(1)]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(bytes: &[u8; 32]) -> Bytes {
    // SAFETY: 32 bytes.
    unsafe { [vld1q_u8(bytes.as_ptr()), vld1q_u8(bytes.as_ptr().add(16))] }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store([low, high]: Bytes, to: &mut [u8; 32]) {
    // SAFETY: 32 bytes.
    unsafe {
        vst1q_u8(to.as_mut_ptr(), low);
        vst1q_u8(to.as_mut_ptr().add(16), high);
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn fill(byte: u8) -> Bytes {
    [vdupq_n_u8(byte); 2]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn join(low: &[u8; 16], high: &[u8; 16]) -> Bytes {
    // SAFETY: 16 bytes each.
    unsafe { [vld1q_u8(low.as_ptr()), vld1q_u8(high.as_ptr())] }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn or(a: Bytes, b: Bytes) -> Bytes {
    [vorrq_u8(a[0], b[0]), vorrq_u8(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn xor(a: Bytes, b: Bytes) -> Bytes {
    [veorq_u8(a[0], b[0]), veorq_u8(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn add(a: Bytes, b: Bytes) -> Bytes {
    [vaddq_u8(a[0], b[0]), vaddq_u8(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn eights(words: [u64; 4]) -> Bytes {
    let half = |low: u64, high: u64| vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
    [half(words[0], words[1]), half(words[2], words[3])]
}

/// 0 up to 85, 1 up to 170, 2 from there on: one is taken off for each bound that a byte is not below.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn thirds(bytes: Bytes) -> Bytes {
    bytes.map(|half| {
        let from = |bound: u8| vcgeq_u8(half, vdupq_n_u8(bound));
        vsubq_u8(vdupq_n_u8(0), vaddq_u8(from(86), from(171)))
    })
}

/// A shift by a number that is no constant goes to the left: one to the right is negative.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn right(bytes: Bytes, by: u32, mask: u8) -> Bytes {
    let by = vdupq_n_s8(-(by as i8));
    bytes.map(|half| vandq_u8(vshlq_u8(half, by), vdupq_n_u8(mask)))
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn left(bytes: Bytes, by: u32, mask: u8) -> Bytes {
    let by = vdupq_n_s8(by as i8);
    bytes.map(|half| vandq_u8(vshlq_u8(half, by), vdupq_n_u8(mask)))
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn halves(bytes: &[u8; 16]) -> Bytes {
    // SAFETY: 16 bytes.
    let bytes = unsafe { vld1q_u8(bytes.as_ptr()) };
    [vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes)]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn choose(values: Bytes, index: Bytes) -> Bytes {
    [vqtbl1q_u8(values[0], index[0]), vqtbl1q_u8(values[1], index[1])]
}

/// Every byte gets the one of the word that has its bit, and looks whether it is there.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn where_set(bits: [u8; 4], byte: u8) -> Bytes {
    let bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    let half = |low: u8, high: u8| {
        let own = vcombine_u8(vdup_n_u8(low), vdup_n_u8(high));
        vandq_u8(vtstq_u8(own, bit), vdupq_n_u8(byte))
    };
    [half(bits[0], bits[1]), half(bits[2], bits[3])]
}
