//! What one row of x is multiplied with: vectors of lanes of 16 bytes, where lane l has half of group l of some
//! adjacent groups of a row of W. So the sums of a row's groups lie lane by lane, and those of as many rows as a vector
//! has numbers are added up together.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::{Form, Simd};

/// The most rows of W that are multiplied together.
pub(crate) const MOST: usize = 16;

/// An instruction set's lanes. All methods are `#[inline(always)]`.
pub(crate) trait Lanes: Simd {
    /// Lanes of a vector: at most 4. As many rows of W are multiplied together as it has 32-bit numbers.
    const COUNT: usize;
    /// Rows of W that are multiplied together.
    const AT_ONCE: usize = 4 * Self::COUNT;
    /// 16 bytes a lane.
    type Wide: Copy;
    /// Four integers a lane.
    type Words: Copy;
    /// Four floats a lane.
    type Reals: Copy;

    /// 16 bytes a lane, lane after lane.
    ///
    /// # Safety
    /// There must be as many bytes.
    unsafe fn line(self, from: *const i8) -> Self::Wide;

    /// To lane l 16 bytes from l·step on.
    ///
    /// # Safety
    /// There must be as many bytes.
    unsafe fn each(self, from: *const u8, step: usize) -> Self::Wide;

    /// To lane l 16 bytes from l/2·step on.
    ///
    /// # Safety
    /// There must be as many bytes.
    unsafe fn pairs(self, from: *const u8, step: usize) -> Self::Wide;

    /// To lane l 16 bytes from l%2·step on.
    ///
    /// # Safety
    /// There must be as many bytes.
    unsafe fn in_turn(self, from: *const u8, step: usize) -> Self::Wide;

    /// The same 16 bytes to every lane.
    fn every(self, bytes: &[u8; 16]) -> Self::Wide;

    /// (byte >> by) & mask, where the mask is no wider than what is left of the byte; with a shift for each lane.
    fn down(self, bytes: Self::Wide, by: [u32; 4], mask: u8) -> Self::Wide;

    /// byte << by, where nothing is lost.
    fn up(self, bytes: Self::Wide, by: u32) -> Self::Wide;

    /// a | b.
    fn unite(self, a: Self::Wide, b: Self::Wide) -> Self::Wide;

    /// byte ^ mask.
    fn flip(self, bytes: Self::Wide, mask: u8) -> Self::Wide;

    /// For each byte, below 16, the one of its lane's values that it numbers.
    fn pick(self, values: Self::Wide, index: Self::Wide) -> Self::Wide;

    /// `byte` where bit j of a lane's two bytes from `at` on is set, for byte j, and 0 elsewhere.
    fn flags(self, bits: Self::Wide, at: usize, byte: u8) -> Self::Wide;

    /// Sums of four products each of quants and x.
    fn dot<F: Form>(self, w: Self::Wide, x: Self::Wide) -> Self::Words;

    /// The sum of both dots.
    fn dots<F: Form>(self, w: [Self::Wide; 2], x: [Self::Wide; 2]) -> Self::Words;

    /// Sums of scale·(quant − LESS)·x over both halves, where quants have three bits at most and lane l's scale of half h
    /// is the byte at[l] + h of `scales`, signed where there is something to take off.
    fn scaled<const LESS: i8>(
        self,
        w: [Self::Wide; 2],
        x: [Self::Wide; 2],
        scales: Self::Wide,
        at: [u8; 4],
    ) -> Self::Words;

    /// Of AT_ONCE rows' sums the total of each lane: by lane, the rows.
    fn totals(self, rows: &[Self::Words; MOST]) -> [Self::Words; 4];

    /// AT_ONCE integers.
    fn words(self, from: &[u32; MOST]) -> Self::Words;

    /// Of AT_ONCE rows the four words from `at` on, each of all rows.
    ///
    /// # Safety
    /// There must be 16 bytes from there on.
    unsafe fn fours(self, rows: &[*const u8; MOST], at: usize) -> [Self::Words; 4];

    /// The dots of COUNT groups that lie in as many 16 bytes: of every two groups the first in the low halves of the bytes
    /// of 32, the second in the high ones; None where `pairs` are faster.
    ///
    /// # Safety
    /// There must be as many bytes.
    #[inline(always)]
    unsafe fn nibbles<F: Form>(self, _: *const u8, _: [Self::Wide; 2]) -> Option<Self::Words> {
        None
    }

    /// (word >> by) & mask.
    fn bits(self, words: Self::Words, by: u32, mask: u32) -> Self::Words;

    /// a | b << by.
    fn over(self, a: Self::Words, b: Self::Words, by: u32) -> Self::Words;

    /// word + number.
    fn plus(self, words: Self::Words, number: i32) -> Self::Words;

    /// The signed bytes of which `at` is the number.
    fn signed_byte(self, words: Self::Words, at: u32) -> Self::Words;

    /// Signed integers as floats.
    fn real(self, words: Self::Words) -> Self::Reals;

    /// What the low 16 bits are as f16.
    fn halves_as_reals(self, words: Self::Words) -> Self::Reals;

    /// A number everywhere.
    fn same(self, number: f32) -> Self::Reals;

    /// a·b.
    fn product(self, a: Self::Reals, b: Self::Reals) -> Self::Reals;

    /// a + b.
    fn sum(self, a: Self::Reals, b: Self::Reals) -> Self::Reals;

    /// a·b + c, rounded once.
    fn fused(self, a: Self::Reals, b: Self::Reals, c: Self::Reals) -> Self::Reals;

    /// Stores AT_ONCE floats.
    fn keep(self, reals: Self::Reals, to: &mut [f32; MOST]);
}
