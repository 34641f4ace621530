//! Instruction sets: a trait for what kernels need of one, a file for each, and the way from an `Isa` to its code.
//!
//! Most loops are written once, plainly, in `IsaTask`s, which are compiled anew for each set. Only what the compiler
//! does not find by itself is a method of `Simd`.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) mod lanes;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::cell::Cell;
use std::ops::Range;

use crate::activations::{Lines, Words};
use crate::block::Quants;
use crate::isa::Isa;
use crate::product::Part;

/// Columns of W that are unpacked at a time where they are quantized: a block of the largest types.
pub(crate) const CHUNK: usize = 256;
/// Weights that share a scale of x.
pub(crate) const GROUP: usize = 32;
/// The most rows of W in a tile.
pub(crate) const MOST_ROWS: usize = 32;
/// Rows of x that are multiplied with a tile together.
pub(crate) const X_ROWS: usize = 4;

/// How the scales of a type's quants are laid out, and how large the quants are: what a kernel depends on.
pub(crate) trait Form: Copy + Send + Sync + 'static {
    /// Scales of 32 weights: 1 or 2.
    const SCALES: usize;
    /// Offsets of 32 weights: 0, 1 or 2.
    const OFFSETS: usize;
    /// The largest quant.
    const MAX: usize;
    /// How many byte products of a quant and an x, two summed at a time, fit 16 bits together; 0 where not even one
    /// does.
    const SUMS_IN_16_BITS: usize = 32_767 / (2 * 127 * Self::MAX);
    /// Whether quants take all 8 bits.
    const FULL: bool = Self::SUMS_IN_16_BITS == 0;
}

/// A `Form` by its numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<const SCALES: usize, const OFFSETS: usize, const MAX: usize>;

impl<const SCALES: usize, const OFFSETS: usize, const MAX: usize> Form for Of<SCALES, OFFSETS, MAX> {
    const SCALES: usize = SCALES;
    const OFFSETS: usize = OFFSETS;
    const MAX: usize = MAX;
}

/// Some rows of W over a chunk of columns, unpacked for a kernel, and the room to unpack them in. With R rows:
///
/// - `values`: [column / 4][R][4] bytes
/// - `factors`: [scale][R] f32 for the scales of all groups, then [offset][R]
#[repr(C, align(64))]
pub(crate) struct Tile {
    pub(crate) values: [u32; MOST_ROWS * CHUNK / 4],
    pub(crate) factors: [u32; MOST_ROWS * FACTORS],
    /// Row after row, before it is transposed: bytes (R, CHUNK).
    pub(crate) rows: [u32; MOST_ROWS * CHUNK / 4],
    /// (R, FACTORS)
    pub(crate) row_factors: [u32; MOST_ROWS * FACTORS],
}

/// Words of a row that are transposed at a time.
pub(crate) const WORDS: usize = 16;
/// Scales and offsets of a chunk of a row: at most 24, as many as are transposed.
pub(crate) const FACTORS: usize = 2 * WORDS;

thread_local! {
    /// The tile that this thread used last.
    static SPARE: Cell<Option<Box<Tile>>> = const { Cell::new(None) };
}

impl Tile {
    /// Room for a tile, whose contents are anybody's.
    pub(crate) fn take() -> Box<Tile> {
        let zeros = || Tile {
            values: [0; MOST_ROWS * CHUNK / 4],
            factors: [0; MOST_ROWS * FACTORS],
            rows: [0; MOST_ROWS * CHUNK / 4],
            row_factors: [0; MOST_ROWS * FACTORS],
        };
        SPARE.take().unwrap_or_else(|| Box::new(zeros()))
    }

    /// Keeps the room for this thread's next product: small products would spend more on it than on themselves.
    pub(crate) fn keep(self: Box<Tile>) {
        SPARE.set(Some(self));
    }

    /// A row as bytes, where W is quantized, and its factors.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> (&mut [u8; CHUNK], &mut [f32; FACTORS]) {
        let bytes = &mut self.rows.as_chunks_mut::<{ CHUNK / 4 }>().0[row];
        let factors = &mut self.row_factors.as_chunks_mut::<FACTORS>().0[row];
        // SAFETY: a u32 is four u8, and an f32 has its size and alignment; every bit pattern is one of each.
        unsafe { (&mut *std::ptr::from_mut(bytes).cast(), &mut *std::ptr::from_mut(factors).cast()) }
    }

    /// The place of the first offset among the factors.
    pub(crate) const fn offsets<F: Form>() -> usize {
        CHUNK / GROUP * F::SCALES
    }
}

/// A chunk of a row of x as it lies, quantized, with the sums that a form asks for.
#[derive(Clone, Copy)]
pub(crate) struct Lying<'a> {
    /// To whole vectors, zeros behind the last group.
    pub(crate) quants: &'a [i8],
    /// By group.
    pub(crate) scales: &'a [f32],
    /// What a sum of products ends with: −zero·Σ quants, for each scale of W.
    pub(crate) start: &'a [i32],
    /// scale·Σ quants, for each offset of W.
    pub(crate) sums: &'a [f32],
}

impl Lying<'_> {
    /// The groups, which all parts have and which fit a tile; vectors of `at_once` bytes lie within the quants.
    #[inline(always)]
    pub(crate) fn groups<F: Form>(&self, at_once: usize) -> usize {
        let groups = self.scales.len();
        assert!(groups <= CHUNK / GROUP && self.quants.len() >= (GROUP * groups).next_multiple_of(at_once));
        assert!(self.start.len() == F::SCALES * groups && self.sums.len() == F::OFFSETS * groups);
        groups
    }
}

/// A chunk of some rows of x, quantized, with the sums that a form asks for.
pub(crate) struct Quantized<'a> {
    pub(crate) quants: &'a [Words],
    /// By group.
    pub(crate) scales: &'a [[f32; X_ROWS]],
    /// What a sum of products begins with: −zero·Σ quants, for each scale of W.
    pub(crate) start: &'a [[i32; X_ROWS]],
    /// scale·Σ quants, for each offset of W.
    pub(crate) sums: &'a [[f32; X_ROWS]],
}

impl Quantized<'_> {
    /// The groups, which all parts have and which fit a tile.
    #[inline(always)]
    pub(crate) fn groups<F: Form>(&self) -> usize {
        let groups = self.scales.len();
        assert!(groups <= CHUNK / GROUP && self.quants.len() == GROUP / 4 * groups);
        assert!(self.start.len() == F::SCALES * groups && self.sums.len() == F::OFFSETS * groups);
        groups
    }
}

/// What unpacking needs of an instruction set, 32 bytes at a time: written out, because the compiler makes scalar
/// code of some such loops, and of others from one version to the next. A value of such a type is the proof that the
/// processor has the set.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Rows of W in a tile.
    const ROWS: usize;
    /// Whether its kernels multiply quants that take all 8 bits as signed ones, less 128.
    const SIGNED: bool;
    /// 32 bytes.
    type Bytes: Copy;

    /// Asks for a cache line well ahead of its use, into second-level cache.
    fn prefetch(self, line: *const u8);

    /// An f16 by its bits.
    fn f16(self, bits: u16) -> f32;

    /// Eight f16.
    fn eight_f16(self, bytes: &[u8; 16]) -> [f32; 8];

    /// factor·number, for each of eight.
    fn times(self, factor: f32, numbers: [i8; 8]) -> [f32; 8];

    /// The largest magnitude; infinite or NaN where one number is.
    fn most(self, x: &[f32; GROUP]) -> f32;

    /// x·factor, at most 127, to the nearest integer.
    fn round(self, x: &[f32; GROUP], factor: f32) -> [i8; GROUP];

    /// Σ of the first and of the last 16.
    fn sums(self, quants: &[i8; GROUP]) -> [i32; 2];

    fn load(self, bytes: &[u8; 32]) -> Self::Bytes;
    fn store(self, bytes: Self::Bytes, to: &mut [u8; 32]);
    fn fill(self, byte: u8) -> Self::Bytes;
    fn join(self, low: &[u8; 16], high: &[u8; 16]) -> Self::Bytes;
    fn or(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn xor(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    /// a + b, what is beyond a byte left off.
    fn add(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    /// 32 bytes from words of eight.
    fn eights(self, words: [u64; 4]) -> Self::Bytes;

    /// 3·byte/256, without what is after the point.
    fn thirds(self, bytes: Self::Bytes) -> Self::Bytes;

    /// (byte >> by) & mask, where the mask is no wider than what is left of the byte.
    fn right(self, bytes: Self::Bytes, by: u32, mask: u8) -> Self::Bytes;

    /// (byte << by) & mask, where the mask has none of the lowest `by` bits.
    fn left(self, bytes: Self::Bytes, by: u32, mask: u8) -> Self::Bytes;

    /// The low halves of 16 bytes, then their high halves.
    fn halves(self, bytes: &[u8; 16]) -> Self::Bytes;

    /// For each byte, below 16, the value that it numbers: in the first 16 bytes of the first 16 values, in the
    /// others of the others.
    fn choose(self, values: Self::Bytes, index: Self::Bytes) -> Self::Bytes;

    /// `byte` where bit j of a word is set for byte j, and 0 elsewhere.
    fn where_set(self, bits: [u8; 4], byte: u8) -> Self::Bytes;
}

/// The loops over tiles, apart from what types see.
pub(crate) trait Kernels: Simd {
    /// Transposes (ROWS, WORDS) words, `stride` apart from row to row, to (WORDS, ROWS).
    fn transpose(self, from: &[u32], stride: usize, to: &mut [u32]);

    /// Rows of W, some columns of them, to a tile's rows: `tiles::unpack`, compiled at one place for each set and type,
    /// however many loops want it.
    fn unpack<Q: Quants>(self, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>);

    /// sums (M, ROWS) += x (M of X_ROWS, columns) · tileᵀ, in quants. In f32 arithmetic on exact integer sums, group
    /// by group:
    ///
    /// chunk = fma(Σ_half scale_w·(start + Σ quants), scale_x, chunk); chunk = fma(offset_w, sum_x, chunk), ..
    fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]);

    /// As `quants`, to the bit, of rows of W that are not transposed: with them as they were unpacked.
    fn few<F: Form, const M: usize>(self, tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]);

    /// Lanes of `in_registers`, 0 where a set has it not.
    const IN_REGISTERS: usize = 0;

    /// A part with one row of x, unpacked in registers: numbers as by `few`, to the bit.
    fn in_registers<Q: Quants>(self, _: &Part<'_>, _: &Lines) {
        unreachable!("asked for only where a set has it");
    }

    /// Floats that are multiplied at once.
    type Floats: Copy;
    /// How many they are.
    const LANES: usize;
    /// Whether there are 32 registers of them, not 16.
    const ROOMY: bool;

    /// Zeros.
    fn zeros(self) -> Self::Floats;

    /// Floats from memory.
    ///
    /// # Safety
    /// There must be as many as LANES.
    unsafe fn load_f32(self, from: *const f32) -> Self::Floats;

    /// Weights of half precision from memory, as little-endian bytes.
    ///
    /// # Safety
    /// There must be as many as LANES.
    unsafe fn load_f16(self, from: *const u8) -> Self::Floats;

    /// Brain floats from memory, as little-endian bytes.
    ///
    /// # Safety
    /// There must be as many as LANES.
    unsafe fn load_bf16(self, from: *const u8) -> Self::Floats;

    /// a·b + c.
    fn multiply_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// Their sum.
    fn total(self, floats: Self::Floats) -> f32;
}

/// A loop that is compiled for each instruction set.
pub(crate) trait IsaTask {
    type Output;
    /// Must be `#[inline(always)]`: only so is it compiled with the set's instructions.
    fn run<S: Kernels>(self, simd: S) -> Self::Output;
}

/// Runs a task with an instruction set; with scalar code where the processor does not have it.
#[inline]
pub(crate) fn run<T: IsaTask>(isa: Isa, task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Avx512 => {
            if let Some(simd) = avx512::Avx512::new() {
                return simd.run(task);
            }
        }
        Isa::AvxVnni => {
            if let Some(simd) = avx2::AvxVnni::new() {
                return simd.run(task);
            }
        }
        Isa::Avx2 => {
            if let Some(simd) = avx2::Avx2::new() {
                return simd.run(task);
            }
        }
        _ => {}
    }
    #[cfg(target_arch = "aarch64")]
    match isa {
        Isa::NeonDot => {
            if let Some(simd) = neon::NeonDot::new() {
                return simd.run(task);
            }
        }
        Isa::Neon => {
            if let Some(simd) = neon::Neon::new() {
                return simd.run(task);
            }
        }
        _ => {}
    }
    let _ = isa;
    task.run(scalar::Scalar)
}

/// As `run`, for loops that gain nothing from more than AVX2 or NEON: fewer copies of large code.
pub(crate) fn run_plain<T: IsaTask>(isa: Isa, task: T) -> T::Output {
    let enough = match isa {
        Isa::Scalar => Isa::Scalar,
        Isa::Avx2 | Isa::AvxVnni | Isa::Avx512 => Isa::Avx2,
        Isa::Neon | Isa::NeonDot => Isa::Neon,
    };
    run(enough, task)
}
