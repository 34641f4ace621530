//! The types of ggml that are computed with, a file each. A new type is a file and a row in `TYPES`.
//!
//! A quantized type says how one of its blocks is unpacked: to quants of a byte, scales, and offsets. Reading and
//! multiplying follow from that. x = scale·(quant − ZERO) + offset.
//!
//! Layouts: the block structs in ggml-common.h (github.com/ggml-org/ggml). Multi-byte numbers are little-endian.

mod bf16;
mod bits;
mod f16;
mod f32;
mod grids;
mod iq1_m;
mod iq1_s;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod mxfp4;
mod nvfp4;
mod q1_0;
mod q2_0;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod search;
mod signed;
mod tq1_0;
mod tq2_0;

use bantam_format::ggml::Type;

use crate::dots::multiply_floats;
use crate::error::Error;
use crate::isa::Isa;
use crate::product::Part;
use crate::simd::lanes::Lanes;
use crate::simd::{self, CHUNK, Form, GROUP, IsaTask, Kernels, Simd};
use crate::tiles::multiply_quants;

/// The types, a row each: `both` where blocks are written too, `read` where they are only read.
static TYPES: [&dyn BlockType; 28] = [
    &Floats(f32::F32),
    &Floats(f16::F16),
    &Floats(bf16::Bf16),
    &Both(q4_0::Q4_0),
    &Both(q4_1::Q4_1),
    &Both(q5_0::Q5_0),
    &Both(q5_1::Q5_1),
    &Both(q8_0::Q8_0),
    &Both(q2_k::Q2K),
    &Both(q3_k::Q3K),
    &Both(q4_k::Q4K),
    &Both(q5_k::Q5K),
    &Both(q6_k::Q6K),
    &Both(iq4_nl::Iq4Nl),
    &Both(iq4_xs::Iq4Xs),
    &Both(iq3_s::Iq3S),
    &Both(iq3_xxs::Iq3Xxs),
    &Both(iq2_s::Iq2S),
    &Both(iq2_xs::Iq2Xs),
    &Both(iq2_xxs::Iq2Xxs),
    &Both(iq1_m::Iq1M),
    &Both(iq1_s::Iq1S),
    &Both(tq2_0::Tq2_0),
    &Both(tq1_0::Tq1_0),
    &Both(mxfp4::Mxfp4),
    &Both(nvfp4::Nvfp4),
    &Both(q2_0::Q2_0),
    &Both(q1_0::Q1_0),
];

/// A ggml type that weights are stored in: how rows of it are read, written and multiplied.
pub trait BlockType: Sync {
    /// Names the type.
    fn ggml_type(&self) -> Type;

    /// Reads whole blocks, as ggml does to the bit.
    ///
    /// # Errors
    /// Where the bytes are not those of as many weights as `to` has room for.
    fn decode(&self, isa: Isa, blocks: &[u8], to: &mut [f32]) -> Result<(), Error>;

    /// Whether `encode` writes the type.
    fn writes(&self) -> bool;

    /// Writes weights, which are finite, as blocks. `importance` says for each weight how much an error in it
    /// matters, relative to the others of its block (the mean square of what it is multiplied with); `None` where
    /// nothing is known.
    ///
    /// # Errors
    /// Where nothing here writes the type, or lengths do not fit.
    fn encode(&self, isa: Isa, weights: &[f32], importance: Option<&[f32]>, blocks: &mut [u8]) -> Result<(), Error>;

    /// Whether `encode_in_turn` chooses a block's quants one after the other.
    fn takes_turns(&self) -> bool {
        false
    }

    /// Writes one block, one weight after the other, and passes on the error that each makes to those after it.
    /// `targets` are what the weights should become for what came before the block, and afterwards what they became; gives
    /// Σ D (t − ŵ)² of the block. Types that do not take turns round each weight for itself.
    ///
    /// # Errors
    /// Where nothing here writes the type, or lengths are not those of a block.
    fn encode_in_turn(
        &self,
        isa: Isa,
        weights: &[f32],
        targets: &mut [f32],
        feedback: &Feedback,
        block: &mut [u8],
    ) -> Result<f32, Error> {
        feedback.fits(weights.len(), targets.len())?;
        together(self, isa, weights, targets, feedback, block)
    }

    /// Multiplies one thread's share of a product.
    #[doc(hidden)]
    fn multiply(&self, isa: Isa, part: &Part<'_>);
}

/// Rounds the weights of a block by themselves, whose errors are passed on to the blocks behind it only.
fn together<B: BlockType + ?Sized>(
    ty: &B,
    isa: Isa,
    weights: &[f32],
    targets: &mut [f32],
    feedback: &Feedback,
    block: &mut [u8],
) -> Result<f32, Error> {
    ty.encode(isa, targets, Some(feedback.costs), block)?;
    let mut became = vec![0.0; weights.len()];
    ty.decode(isa, block, &mut became)?;
    Ok(feedback.cost(weights, targets, &became))
}

/// How the errors of a block's columns are passed on, for the Gram matrix H = U D Uᵀ of what it is multiplied by, U
/// upper triangular with ones on its diagonal: Σ (w − ŵ)ᵢ Hᵢⱼ (w − ŵ)ⱼ = Σ Dₖ (tₖ − ŵₖ)², where the target
/// tₖ = wₖ + Σ Uⱼₖ (w − ŵ)ⱼ over the columns j before k. (LDLQ of Chee et al., "QuIP", 2023, which is the order of
/// work of GPTQ, Frantar et al. 2022.)
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    /// U, from the block's first row and column on; read above the diagonal.
    pub shares: &'a [f32],
    /// How far rows of U lie apart.
    pub stride: usize,
    /// D of the block's columns.
    pub costs: &'a [f32],
}

impl Feedback<'_> {
    /// The row of U of one of the block's columns, within the block.
    #[inline(always)]
    pub(crate) fn shares_of(&self, column: usize) -> &[f32] {
        &self.shares[column * self.stride..][..self.costs.len()]
    }

    /// Σ D (t − ŵ)² of what weights became that were rounded together; `targets` become that, too.
    fn cost(&self, weights: &[f32], targets: &mut [f32], became: &[f32]) -> f32 {
        let mut cost = 0.0;
        for (i, &back) in became.iter().enumerate() {
            cost += self.costs[i] * (targets[i] - back) * (targets[i] - back);
            targets[i] = back;
            let later = targets[i + 1..].iter_mut().zip(&self.shares_of(i)[i + 1..]);
            later.for_each(|(target, share)| *target += share * (weights[i] - back));
        }
        cost
    }

    fn fits(&self, weights: usize, targets: usize) -> Result<(), Error> {
        Error::unless_long("targets", targets, weights)?;
        Error::unless_long("costs", self.costs.len(), weights)?;
        let least = weights.saturating_sub(1) * self.stride + weights;
        Error::unless_long("shares", self.shares.len().min(least), least)
    }
}

/// The type's code, where there is some.
pub fn of(ty: Type) -> Option<&'static dyn BlockType> {
    TYPES.into_iter().find(|block| block.ggml_type() == ty)
}

/// The types that are computed with.
pub fn types() -> impl Iterator<Item = &'static dyn BlockType> {
    TYPES.into_iter()
}

/// The names of all types that are computed with, for sentences.
pub(crate) fn names() -> String {
    types().map(|block| block.ggml_type().name()).collect::<Vec<_>>().join(", ")
}

/// A type whose weights are small integers with shared scales.
pub(crate) trait Quants: Copy + Send + Sync + 'static {
    const TYPE: Type;
    /// How many scales and offsets there are, and the largest quant.
    type Form: Form;
    /// The quant that stands for zero.
    const ZERO: i32;

    const WEIGHTS: usize = Self::TYPE.block();
    const BYTES: usize = Self::TYPE.block_bytes();

    /// Unpacks a block: as many quants as it has weights, as many scales and offsets for each 32 of them as the form
    /// says. Must be `#[inline(always)]`, to be compiled with the set's instructions.
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]);

    /// The quant that stands for zero in `dots`, unless they are signed there.
    const ZERO_IN_DOTS: i32 = Self::ZERO;
    /// Lanes from which on one row of x is faster multiplied with quants that are unpacked in registers; elsewhere they
    /// are unpacked to a tile, and so are types that do not say how `lanes` come about.
    const IN_REGISTERS_FROM: usize = usize::MAX;
    /// Where in a block the words are, four bytes each, that `factors` are made of.
    const WORDS: &'static [usize] = &[];

    /// Half of the quants of some groups of a row, from group `first` on, one for each lane. Must be
    /// `#[inline(always)]`, as all that follows.
    ///
    /// # Safety
    /// From `blocks` on there must be blocks of all these groups.
    unsafe fn lanes<S: Lanes>(_: S, _: *const u8, _: usize, _: usize) -> S::Wide {
        unreachable!("unpacked to a tile")
    }

    /// Σ quant·x by fours, of the whole groups; with two scales a group of each half.
    ///
    /// # Safety
    /// As `lanes`.
    #[inline(always)]
    unsafe fn dots<S: Lanes>(simd: S, blocks: *const u8, _: &[u8; 16], first: usize, x: [S::Wide; 2]) -> [S::Words; 2] {
        // SAFETY: the caller's promise.
        let w = unsafe { [Self::lanes(simd, blocks, first, 0), Self::lanes(simd, blocks, first, 1)] };
        if Self::Form::SCALES == 2 {
            return [simd.dot::<Self::Form>(w[0], x[0]), simd.dot::<Self::Form>(w[1], x[1])];
        }
        [simd.dots::<Self::Form>(w, x); 2]
    }

    /// Scales of parts of groups, where `dots` want them ready.
    #[inline(always)]
    fn sub_scales(_: &[u8]) -> Option<[u8; 16]> {
        None
    }

    /// Scales and offsets of a block of each of some rows, from the words of these rows.
    #[inline(always)]
    fn factors<S: Lanes>(_: S, _: &[S::Words], _: &mut [S::Reals], _: &mut [S::Reals]) {
        unreachable!("unpacked to a tile")
    }

    /// Reads a block.
    #[inline(always)]
    fn decode<S: Simd>(simd: S, block: &[u8], to: &mut [f32]) {
        let (mut quants, mut scales, mut offsets) = ([0; CHUNK], [0.0; 16], [0.0; 16]);
        let groups = Self::WEIGHTS / GROUP;
        let own = (&mut scales[..groups * Self::Form::SCALES], &mut offsets[..groups * Self::Form::OFFSETS]);
        Self::unpack(simd, block, &mut quants[..Self::WEIGHTS], own.0, own.1);
        for (half, (to, quants)) in to.as_chunks_mut::<16>().0.iter_mut().zip(quants.as_chunks::<16>().0).enumerate() {
            let scale = scales[half * Self::Form::SCALES / 2];
            for (to, quant) in to.iter_mut().zip(quants) {
                *to = scale * (i32::from(*quant) - Self::ZERO) as f32;
            }
            if Self::Form::OFFSETS > 0 {
                let offset = offsets[half * Self::Form::OFFSETS / 2];
                to.iter_mut().for_each(|to| *to += offset);
            }
        }
    }
}

/// A quantized type that is written, too.
pub(crate) trait Encode: Quants {
    /// Writes a block. Must be `#[inline(always)]`.
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]);

    /// Whether quants can be chosen one after the other: not where a grid has those of several weights together, or where
    /// scales are not searched for.
    const IN_TURN: bool = true;

    /// Writes a block, one weight after the other, see `BlockType::encode_in_turn`. Must be `#[inline(always)]`.
    #[inline(always)]
    fn encode_in_turn(_: &[f32], _: &mut [f32], _: &Feedback, _: &mut [u8]) -> f32 {
        unreachable!("asked of types that take turns")
    }
}

/// A type whose weights are floats, each for itself.
pub(crate) trait Plain: Copy + Send + Sync + 'static {
    const TYPE: Type;
    const BYTES: usize = Self::TYPE.block_bytes();

    /// Widens weights. Must be `#[inline(always)]`.
    fn decode<S: Simd>(simd: S, bytes: &[u8], to: &mut [f32]);

    /// Widens as many weights as a vector has.
    ///
    /// # Safety
    /// There must be as many bytes.
    unsafe fn load<S: Kernels>(simd: S, from: *const u8) -> S::Floats;

    /// Narrows weights.
    fn encode(weights: &[f32], bytes: &mut [u8]);
}

struct Floats<P>(P);
struct Read<Q>(Q);
struct Both<Q>(Q);

impl<P: Plain> BlockType for Floats<P> {
    fn ggml_type(&self) -> Type {
        P::TYPE
    }

    fn decode(&self, isa: Isa, blocks: &[u8], to: &mut [f32]) -> Result<(), Error> {
        fits(P::TYPE, to.len(), blocks.len())?;
        simd::run_plain(isa, DecodeFloats(self.0, blocks, to));
        Ok(())
    }

    fn writes(&self) -> bool {
        true
    }

    fn encode(&self, _: Isa, weights: &[f32], _: Option<&[f32]>, blocks: &mut [u8]) -> Result<(), Error> {
        fits(P::TYPE, weights.len(), blocks.len())?;
        P::encode(weights, blocks);
        Ok(())
    }

    fn multiply(&self, isa: Isa, part: &Part<'_>) {
        multiply_floats::<P>(isa, part);
    }
}

impl<Q: Quants> BlockType for Read<Q> {
    fn ggml_type(&self) -> Type {
        Q::TYPE
    }

    fn decode(&self, isa: Isa, blocks: &[u8], to: &mut [f32]) -> Result<(), Error> {
        fits(Q::TYPE, to.len(), blocks.len())?;
        simd::run_plain(isa, Decode(self.0, blocks, to));
        Ok(())
    }

    fn writes(&self) -> bool {
        false
    }

    fn encode(&self, _: Isa, _: &[f32], _: Option<&[f32]>, _: &mut [u8]) -> Result<(), Error> {
        Err(Error::NoEncoder(Q::TYPE))
    }

    fn multiply(&self, isa: Isa, part: &Part<'_>) {
        multiply_quants::<Q>(isa, part);
    }
}

impl<Q: Encode> BlockType for Both<Q> {
    fn ggml_type(&self) -> Type {
        Q::TYPE
    }

    fn decode(&self, isa: Isa, blocks: &[u8], to: &mut [f32]) -> Result<(), Error> {
        Read(self.0).decode(isa, blocks, to)
    }

    fn writes(&self) -> bool {
        true
    }

    fn encode(&self, isa: Isa, weights: &[f32], importance: Option<&[f32]>, blocks: &mut [u8]) -> Result<(), Error> {
        fits(Q::TYPE, weights.len(), blocks.len())?;
        if let Some(importance) = importance {
            Error::unless_long("importance", importance.len(), weights.len())?;
        }
        simd::run_plain(isa, EncodeBlocks(self.0, weights, importance, blocks));
        Ok(())
    }

    fn takes_turns(&self) -> bool {
        Q::IN_TURN
    }

    fn encode_in_turn(
        &self,
        isa: Isa,
        weights: &[f32],
        targets: &mut [f32],
        feedback: &Feedback,
        block: &mut [u8],
    ) -> Result<f32, Error> {
        Error::unless_long("weights", weights.len(), Q::WEIGHTS)?;
        Error::unless_long("the block", block.len(), Q::BYTES)?;
        feedback.fits(weights.len(), targets.len())?;
        if !Q::IN_TURN {
            return together(self, isa, weights, targets, feedback, block);
        }
        Ok(simd::run_plain(isa, EncodeInTurn(self.0, weights, targets, feedback, block)))
    }

    fn multiply(&self, isa: Isa, part: &Part<'_>) {
        Read(self.0).multiply(isa, part);
    }
}

/// Refuses weights that are no whole blocks, or bytes that are not as many as theirs.
fn fits(ty: Type, weights: usize, bytes: usize) -> Result<(), Error> {
    let should = ty.bytes(weights).ok_or(Error::Columns { ty, columns: weights })?;
    Error::unless_long("the blocks", bytes, should)
}

struct DecodeFloats<'a, P>(P, &'a [u8], &'a mut [f32]);

impl<P: Plain> IsaTask for DecodeFloats<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        P::decode(simd, self.1, self.2);
    }
}

struct Decode<'a, Q>(Q, &'a [u8], &'a mut [f32]);

impl<Q: Quants> IsaTask for Decode<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, simd: S) {
        for (block, to) in self.1.chunks_exact(Q::BYTES).zip(self.2.chunks_exact_mut(Q::WEIGHTS)) {
            Q::decode(simd, block, to);
        }
    }
}

struct EncodeBlocks<'a, Q>(Q, &'a [f32], Option<&'a [f32]>, &'a mut [u8]);

impl<Q: Encode> IsaTask for EncodeBlocks<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Kernels>(self, _: S) {
        let EncodeBlocks(_, weights, importance, blocks) = self;
        for (i, (weights, block)) in weights.chunks_exact(Q::WEIGHTS).zip(blocks.chunks_exact_mut(Q::BYTES)).enumerate()
        {
            let importance = importance.map(|all| &all[i * Q::WEIGHTS..(i + 1) * Q::WEIGHTS]);
            Q::encode(weights, importance, block);
        }
    }
}

struct EncodeInTurn<'a, Q>(Q, &'a [f32], &'a mut [f32], &'a Feedback<'a>, &'a mut [u8]);

impl<Q: Encode> IsaTask for EncodeInTurn<'_, Q> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Kernels>(self, _: S) -> f32 {
        Q::encode_in_turn(self.1, self.2, self.3, self.4)
    }
}
