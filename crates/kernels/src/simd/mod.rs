//! Instruction sets: a trait for what kernels need of one, a file for each, and the way from an `Isa` to its code.
//!
//! Most loops are written once, plainly, in `Task`s, which are compiled anew for each set. Only what the compiler does
//! not find by itself is a method of `Simd`.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod scalar;

use crate::isa::Isa;

/// Columns of W that are unpacked at a time where they are quantized: a block of the largest types.
pub(crate) const CHUNK: usize = 256;
/// Columns that are unpacked at a time where they are plain floats. Sums are taken chunk by chunk on every instruction
/// set, so that results differ in last bits only.
pub(crate) const FLOAT_CHUNK: usize = 128;
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
    /// How many byte products of a quant and an x, two summed at a time, fit 16 bits together; 0 where not even one does.
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
/// - `values` of quants: [column / 4][R][4] bytes; of floats: [column][R] f32
/// - `scales`, `offsets`: [group][R]
#[repr(C, align(64))]
pub(crate) struct Tile {
    pub(crate) values: [u32; MOST_ROWS * FLOAT_CHUNK],
    /// Row after row, before it is transposed: as bytes (R, CHUNK), as floats (R, 64).
    pub(crate) rows: [u32; MOST_ROWS * CHUNK / 4],
    pub(crate) scales: [f32; MOST_ROWS * CHUNK / 16],
    pub(crate) offsets: [f32; MOST_ROWS * CHUNK / 16],
}

/// Words of a row that are transposed at a time.
pub(crate) const WORDS: usize = 16;

impl Tile {
    pub(crate) fn new() -> Box<Tile> {
        Box::new(Tile {
            values: [0; MOST_ROWS * FLOAT_CHUNK],
            rows: [0; MOST_ROWS * CHUNK / 4],
            scales: [0.0; MOST_ROWS * CHUNK / 16],
            offsets: [0.0; MOST_ROWS * CHUNK / 16],
        })
    }

    /// The rows as bytes, (R, CHUNK).
    #[inline(always)]
    pub(crate) fn row_bytes(&mut self) -> &mut [u8] {
        // SAFETY: every byte of a u32 is a u8, and every u8 may be one; as many as the words have.
        unsafe { std::slice::from_raw_parts_mut(self.rows.as_mut_ptr().cast(), 4 * self.rows.len()) }
    }

    /// The rows as floats, (R, 64).
    #[inline(always)]
    pub(crate) fn row_floats(&mut self) -> &mut [f32] {
        // SAFETY: f32 and u32 have one size and alignment, and every bit pattern is both.
        unsafe { std::slice::from_raw_parts_mut(self.rows.as_mut_ptr().cast(), self.rows.len()) }
    }
}

/// A chunk of a row of x, quantized: x = scale·quant, for each group of 32.
#[derive(Clone, Copy)]
pub(crate) struct Quantized<'a> {
    pub(crate) quants: &'a [i8],
    /// By group.
    pub(crate) scales: &'a [f32],
    /// What a sum of products begins with: −zero·Σ quants, for each scale of W.
    pub(crate) start: &'a [i32],
    /// scale·Σ quants, for each offset of W.
    pub(crate) sums: &'a [f32],
}

impl Quantized<'_> {
    /// Whether all is there for so many groups.
    #[inline(always)]
    pub(crate) fn fits<F: Form>(&self, groups: usize) -> bool {
        self.quants.len() == GROUP * groups
            && self.scales.len() == groups
            && self.start.len() == F::SCALES * groups
            && self.sums.len() == F::OFFSETS * groups
    }
}

/// What kernels need of an instruction set. A value of such a type is the proof that the processor has it.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Rows of W in a tile.
    const ROWS: usize;
    /// Whether its kernels multiply quants that take all 8 bits as signed ones, less 128.
    const SIGNED: bool;

    /// An f16 by its bits.
    fn f16(self, bits: u16) -> f32;

    /// Eight f16.
    fn eight_f16(self, bytes: &[u8; 16]) -> [f32; 8];

    /// For each index, below 16, the value that it numbers.
    fn choose(self, values: &[u8; 16], index: [u8; 16]) -> [u8; 16];

    /// Asks for a cache line ahead of its use.
    fn prefetch(self, line: *const u8);
}

/// The loops over tiles, apart from what types see.
pub(crate) trait Kernels: Simd {
    /// Transposes (ROWS, WORDS) words, `stride` apart from row to row, to (WORDS, ROWS).
    fn transpose(self, from: &[u32], stride: usize, to: &mut [u32]);

    /// sums (M, ROWS) += x (M, columns) · tileᵀ, in quants. In f32 arithmetic on exact integer sums, group by group:
    ///
    /// chunk = fma(Σ_half scale_w·(start + Σ quants), scale_x, chunk); chunk = fma(offset_w, sum_x, chunk), ..
    fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &[Quantized<'_>; M], sums: &mut [f32]);

    /// sums (M, ROWS) += x (M, columns) · tileᵀ, in floats, column by column.
    fn floats<const M: usize>(self, tile: &Tile, x: &[&[f32]; M], sums: &mut [f32]);
}

/// A loop that is compiled for each instruction set.
pub(crate) trait Task {
    type Output;
    /// Must be `#[inline(always)]`: only so is it compiled with the set's instructions.
    fn run<S: Kernels>(self, simd: S) -> Self::Output;
}

/// Runs a task with an instruction set; with scalar code where the processor does not have it.
#[inline]
pub(crate) fn run<T: Task>(isa: Isa, task: T) -> T::Output {
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
        Isa::Scalar | Isa::Neon => {}
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon {
        return task.run(neon::Neon);
    }
    let _ = isa;
    task.run(scalar::Scalar)
}

/// As `run`, for loops that gain nothing from more than AVX2: fewer copies of large code.
pub(crate) fn run_plain<T: Task>(isa: Isa, task: T) -> T::Output {
    let enough = if isa > Isa::Avx2 { Isa::Avx2 } else { isa };
    run(enough, task)
}
