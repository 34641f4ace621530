//! x quantized to eight bits, once a product: 32 numbers share an f32 scale.
//!
//! ggml shares a scale between 256 where weights are k-quants. 32 for all types is nearer to x, and lets matrices of
//! several types share one x: the layers of Q4_K_M files mix Q4_K with Q6_K, and with Q5_0 or Q8_0 where rows are no
//! multiple of 256.

use crate::isa::Isa;
use crate::pool;
use crate::simd::{self, GROUP, Kernels, Task};

/// Quantized rows of x: x = scale·quant.
pub(crate) struct Activations {
    inp: usize,
    /// (rows, inp)
    quants: Vec<i8>,
    /// (rows, inp / 32)
    scales: Vec<f32>,
    /// Σ of 16 quants: (rows, inp / 16)
    sums: Vec<i32>,
}

/// Up to so many numbers x is quantized by one thread.
const SERIAL_UP_TO: usize = 1 << 17;

impl Activations {
    /// Quantizes x, (rows, inp), with inp a multiple of 32. A group with a NaN or an infinity gets a scale of NaN, so
    /// that it shows in every product.
    pub(crate) fn new(isa: Isa, x: &[f32], inp: usize) -> Activations {
        let (quants, scales, sums) = (vec![0; x.len()], vec![0.0; x.len() / GROUP], vec![0; x.len() / 16]);
        let mut all = Activations { inp, quants, scales, sums };
        let parts = if x.len() <= SERIAL_UP_TO { 1 } else { pool::threads() };
        let share = (x.len() / GROUP).div_ceil(parts).max(1);
        let quants = all.quants.as_chunks_mut::<GROUP>().0.chunks_mut(share);
        let sums = all.sums.as_chunks_mut::<2>().0.chunks_mut(share);
        let shares = x.as_chunks::<GROUP>().0.chunks(share).zip(quants).zip(all.scales.chunks_mut(share)).zip(sums);
        let shares = shares.map(|(((x, quants), scales), sums)| Quantize { x, quants, scales, sums });
        pool::each(shares.collect(), |share| simd::run(isa, share));
        all
    }

    /// Numbers in a row.
    pub(crate) fn inp(&self) -> usize {
        self.inp
    }

    /// A row's quants, scales and sums.
    pub(crate) fn row(&self, row: usize) -> (&[i8], &[f32], &[i32]) {
        let part = |of: usize| row * self.inp / of..(row + 1) * self.inp / of;
        (&self.quants[part(1)], &self.scales[part(GROUP)], &self.sums[part(16)])
    }
}

struct Quantize<'a> {
    x: &'a [[f32; GROUP]],
    quants: &'a mut [[i8; GROUP]],
    scales: &'a mut [f32],
    sums: &'a mut [[i32; 2]],
}

impl Task for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, _: S) {
        for (i, x) in self.x.iter().enumerate() {
            (self.quants[i], self.scales[i]) = quantize(x);
            let sum = |half: usize| self.quants[i][16 * half..][..16].iter().map(|q| i32::from(*q)).sum();
            self.sums[i] = [sum(0), sum(1)];
        }
    }
}

/// The largest magnitude becomes 127. Sixteen times the least normal number and less is zero, since its inverse would
/// be too large.
#[inline(always)]
fn quantize(x: &[f32; GROUP]) -> ([i8; GROUP], f32) {
    const LEAST: u32 = 8 << 23; // 2^-119
    // magnitudes are in the order of their bits, and what is not finite is above all others
    let most = x.iter().fold(0, |most, x| (x.to_bits() & 0x7FFF_FFFF).max(most));
    if most >= f32::INFINITY.to_bits() {
        return ([0; GROUP], f32::NAN);
    }
    if most < LEAST {
        return ([0; GROUP], 0.0);
    }
    let most = f32::from_bits(most);
    let inverse = 127.0 / most;
    // adding 1.5·2^23 leaves the nearest integer in the low bits
    let quants = x.map(|x| (x * inverse + 12_582_912.0).to_bits() as i8);
    (quants, most / 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(x: [f32; GROUP]) -> Activations {
        Activations::new(Isa::Scalar, &x, GROUP)
    }

    #[test]
    fn numbers_come_back_within_half_a_step() {
        let x: [f32; GROUP] = std::array::from_fn(|i| (i as f32 - 11.3) * 0.17);
        let all = one(x);
        let (quants, scales, sums) = all.row(0);
        for (x, quant) in x.iter().zip(quants) {
            assert!((x - scales[0] * f32::from(*quant)).abs() <= 0.5001 * scales[0]);
        }
        assert_eq!(sums[0], quants[..16].iter().map(|q| i32::from(*q)).sum::<i32>());
        assert_eq!(quants.iter().map(|q| q.unsigned_abs()).max(), Some(127));
    }

    #[test]
    fn what_is_no_number_is_not_lost_and_what_is_tiny_is_zero() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [1.0; GROUP];
            x[17] = odd;
            assert!(one(x).row(0).1[0].is_nan());
        }
        assert_eq!(one([1e-37; GROUP]).row(0).1, [0.0]);
        assert_eq!(one([-f32::MAX; GROUP]).row(0).0, [-127; GROUP]);
        assert_eq!(one([2e-36; GROUP]).row(0).0, [127; GROUP]);
    }
}
