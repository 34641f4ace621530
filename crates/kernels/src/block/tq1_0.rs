//! TQ1_0: 256 weights of −1, 0 or 1, five in a byte; x = d·(q − 1). Layout: 32 bytes with the first 160 weights, 16 with the
//! next 80, 4 with the last 16, four in each; d f16. Weight n of a byte, those that lie as many bytes apart as there are of
//! the kind, is the first digit, to base 3, of the byte as a fraction of 256 times 3ⁿ.

use bantam_format::ggml::Type;

use super::bits::{whole, whole_mut, word};
use super::search::ternary;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Tq1_0;

/// Powers of 3.
const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

impl Quants for Tq1_0 {
    const TYPE: Type = Type::TQ1_0;
    type Form = Of<1, 0, 3>;
    const ZERO: i32 = 1;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 54] = whole(block);
        let runs: &mut [[u8; 32]; 8] = whole_mut(quants.as_chunks_mut().0);
        let mut bytes = simd.load(whole(&block[..32]));
        for run in &mut runs[..5] {
            simd.store(simd.thirds(bytes), run);
            bytes = simd.add(bytes, simd.add(bytes, bytes));
        }
        let sixteen: &[u8; 16] = whole(&block[32..48]);
        let times = |power: u8| sixteen.map(|byte| byte.wrapping_mul(power));
        let last = std::array::from_fn(|i| block[48 + i % 4].wrapping_mul(POWERS[i / 4]));
        let rest = [[times(1), times(3)], [times(9), times(27)], [times(81), last]];
        for (run, [low, high]) in runs[5..].iter_mut().zip(&rest) {
            simd.store(simd.thirds(simd.join(low, high)), run);
        }
        scales.fill(simd.f16(word(block, 52)));
    }
}

impl Encode for Tq1_0 {
    const IN_TURN: bool = false;

    /// As ggml does it, importance or not.
    #[inline(always)]
    fn encode(weights: &[f32], _: Option<&[f32]>, block: &mut [u8]) {
        let (d, q): (_, [u8; 256]) = ternary::round(whole(weights));
        for (m, byte) in block[..32].iter_mut().enumerate() {
            *byte = digits::<5>(|n| q[32 * n + m]);
        }
        for (m, byte) in block[32..48].iter_mut().enumerate() {
            *byte = digits::<5>(|n| q[160 + 16 * n + m]);
        }
        for (m, byte) in block[48..52].iter_mut().enumerate() {
            *byte = digits::<4>(|n| q[240 + 4 * n + m]);
        }
        block[52..].copy_from_slice(&d.to_le_bytes());
    }
}

/// N digits to base 3 as the first of five behind the point, in 256ths, rounded up so that all come back.
#[inline(always)]
fn digits<const N: usize>(digit: impl Fn(usize) -> u8) -> u8 {
    let number = (0..5).fold(0, |number, n| 3 * number + if n < N { u16::from(digit(n)) } else { 0 });
    (number * 256).div_ceil(243) as u8
}
