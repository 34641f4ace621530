//! A matrix of small integers and a scale for each group of columns, w = s · (q − z): what GPTQ, AWQ and
//! compressed-tensors come down to. It is held in the smallest block type of GGUF that has every weight exactly, and
//! widened where none has, for a reason that is said.
//!
//! The types that can have it are d · n with an f16 d for 32 columns: Q4_0 (n from -8 to 7), Q5_0 (-16 to 15) and Q8_0
//! (-128 to 127). With n = q − z, every zero point fits one of them; the m of Q4_1 would have to be s · z in f16, which
//! it rarely is.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use half::f16;
use rayon::prelude::*;

use super::dense::{self, TILE};
use super::module::ModuleTensor;
use super::summary::Widened;
use crate::checkpoint::gguf::type_of;
use crate::error::Result;
use crate::linear::Linear;
use crate::matmul::Blocks;
use crate::weights::Precision;

/// Columns in a block.
const BLOCK: usize = 32;

/// Writes rows of integers.
pub(super) type Codes<'a> = Box<dyn Fn(usize, &mut [i16]) + Sync + 'a>;

/// Writes a block: its scale and integers, in two-byte pieces.
type Write = fn(f16, &[i16; BLOCK], &mut [u16]);

/// Integers with scales, not yet read.
pub(super) struct Grid<'a> {
    pub out: usize,
    pub inp: usize,
    /// Writes the integers of the rows from the first one given on, (n, inp), as the checkpoint stores them.
    pub codes: Codes<'a>,
    /// The least and the greatest integer there can be.
    pub code_range: (i16, i16),
    /// (out, groups)
    pub scales: Vec<f32>,
    /// (out, groups); empty where all are zero.
    pub zeros: Vec<i16>,
    pub groups: Groups,
    /// The tensors it is read from.
    pub tensors: Vec<ModuleTensor<'a>>,
}

/// Which columns share a scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Groups {
    /// So many columns each, the last perhaps fewer.
    Even { size: usize, count: usize },
    /// The group of each column.
    Indexed { of_column: Vec<u32>, count: usize },
}

impl Groups {
    /// `count` groups of the size given, or of equal size.
    pub(super) fn even(inp: usize, count: usize, size: Option<usize>) -> Self {
        Self::Even { size: size.unwrap_or(inp.div_ceil(count.max(1))).max(1), count }
    }

    /// Groups by column; `None` where a column names one that is not there. An index that only counts up is an even
    /// one.
    pub(super) fn indexed(of_column: &[i32], count: usize) -> Option<Self> {
        let valid = |&group: &i32| u32::try_from(group).ok().filter(|&group| (group as usize) < count);
        let of_column: Vec<u32> = of_column.iter().map(valid).collect::<Option<_>>()?;
        let size = of_column.iter().take_while(|&&group| group == 0).count().max(1);
        let is_even = of_column.iter().enumerate().all(|(i, &group)| i / size == group as usize);
        Some(if is_even { Self::Even { size, count } } else { Self::Indexed { of_column, count } })
    }

    /// What is wrong with an index that names a group that is not there.
    pub(super) fn misfit(of_column: &[i32], count: usize) -> String {
        let bad = of_column.iter().enumerate().find(|&(_, &group)| usize::try_from(group).map_or(true, |g| g >= count));
        let (column, group) = bad.map_or((0, 0), |(column, &group)| (column, group));
        format!("puts column {column} in group {group}, and there are {count} groups")
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Even { count, .. } | Self::Indexed { count, .. } => *count,
        }
    }

    /// Columns that stand together and share a group, in order.
    fn runs(&self, inp: usize) -> Vec<(Range<usize>, usize)> {
        let mut runs = Vec::new();
        let mut from = 0;
        while from < inp {
            let group = self.of(from);
            let to = match self {
                Self::Even { size, .. } => from.saturating_add(*size).min(inp),
                Self::Indexed { of_column, .. } => {
                    from + of_column[from..].iter().take_while(|&&other| other as usize == group).count()
                }
            };
            runs.push((from..to, group));
            from = to;
        }
        runs
    }

    fn of(&self, column: usize) -> usize {
        match self {
            Self::Even { size, .. } => column / size,
            Self::Indexed { of_column, .. } => of_column[column] as usize,
        }
    }

    /// The columns group by group, where that is not their order already.
    fn order(&self) -> Option<Vec<u32>> {
        let Self::Indexed { of_column, .. } = self else { return None };
        let mut order: Vec<u32> = (0..of_column.len() as u32).collect();
        order.sort_by_key(|&column| of_column[column as usize]);
        Some(order)
    }
}

impl Grid<'_> {
    /// The matrix in memory, and why it is wider than it was, where it is.
    pub(super) fn hold(&self, device: &Device, precision: Precision) -> Result<(Linear, Option<Widened>)> {
        if precision == Precision::F32 {
            return Ok((Linear::dense(self.f32s(device)?), Some(Widened::Asked)));
        }
        match self.block_type() {
            Ok((dtype, order)) => Ok((self.blocks(dtype, order, device)?, None)),
            Err(why) => Ok((Linear::dense(dense::narrowed(self.f32s(device)?)?), Some(why))),
        }
    }

    /// W in f32, (out, inp). A product of an 11-bit scale and a 9-bit integer is exact there.
    pub(super) fn f32s(&self, device: &Device) -> Result<Tensor> {
        let count = self.groups.count();
        let runs = self.groups.runs(self.inp);
        dense::rows(self.out, self.inp, device, |first, tile| {
            let mut integers = vec![0i16; tile.len()];
            self.integers(&runs, first, &mut integers);
            let rows = tile.chunks_exact_mut(self.inp).zip(integers.chunks_exact(self.inp));
            for (row, (weights, integers)) in rows.enumerate() {
                let scales = &self.scales[(first + row) * count..][..count];
                for (columns, group) in &runs {
                    for (weight, &integer) in weights[columns.clone()].iter_mut().zip(&integers[columns.clone()]) {
                        *weight = scales[*group] * f32::from(integer);
                    }
                }
            }
        })
    }

    /// The integers less their zero points, of the rows from `first` on.
    fn integers(&self, runs: &[(Range<usize>, usize)], first: usize, tile: &mut [i16]) {
        (self.codes)(first, tile);
        if self.zeros.is_empty() {
            return;
        }
        let count = self.groups.count();
        for (row, integers) in tile.chunks_exact_mut(self.inp).enumerate() {
            let zeros = &self.zeros[(first + row) * count..][..count];
            for (columns, group) in runs {
                integers[columns.clone()].iter_mut().for_each(|integer| *integer -= zeros[*group]);
            }
        }
    }

    /// The block type that has every weight exactly, with the order its columns have to stand in, or why there is none.
    fn block_type(&self) -> Result<(GgmlDType, Option<Vec<u32>>), Widened> {
        if !self.inp.is_multiple_of(BLOCK) {
            return Err(Widened::Width(self.inp));
        }
        let order = self.groups.order();
        self.check_blocks(order.as_deref())?;
        if self.scales.iter().any(|&scale| f16::from_f32(scale).to_f32() != scale) {
            return Err(Widened::Scales);
        }
        let (least, most) = (self.zeros.iter().min().unwrap_or(&0), self.zeros.iter().max().unwrap_or(&0));
        match (self.code_range.0 - most, self.code_range.1 - least) {
            (-8.., ..=7) => Ok((GgmlDType::Q4_0, order)),
            (-16.., ..=15) => Ok((GgmlDType::Q5_0, order)),
            (-128.., ..=127) => Ok((GgmlDType::Q8_0, order)),
            _ => Err(Widened::Range),
        }
    }

    /// Whether every block of columns lies in one group.
    fn check_blocks(&self, order: Option<&[u32]>) -> Result<(), Widened> {
        let group = |at: usize| self.groups.of(order.map_or(at, |order| order[at] as usize));
        let is_one = |block: usize| (1..BLOCK).all(|i| group(block * BLOCK + i) == group(block * BLOCK));
        match (0..self.inp / BLOCK).all(is_one) {
            true => Ok(()),
            false => Err(match &self.groups {
                Groups::Even { size, .. } => Widened::Group(*size),
                Groups::Indexed { .. } => Widened::Order,
            }),
        }
    }

    fn blocks(&self, dtype: GgmlDType, order: Option<Vec<u32>>, device: &Device) -> Result<Linear> {
        let (block, write): (usize, Write) = match dtype {
            GgmlDType::Q4_0 => (9, write_q4_0),
            GgmlDType::Q5_0 => (11, write_q5_0),
            _ => (17, write_q8_0),
        };
        let across = self.inp / BLOCK;
        let count = self.groups.count();
        let column = |at: usize| order.as_ref().map_or(at, |order| order[at] as usize);
        let runs = self.groups.runs(self.inp);
        let groups: Vec<usize> = (0..across).map(|at| self.groups.of(column(at * BLOCK))).collect();
        let mut halves = vec![0u16; self.out * across * block];
        halves.par_chunks_mut(TILE * across * block).enumerate().for_each(|(tile, halves)| {
            let first = tile * TILE;
            let rows = halves.len() / (across * block);
            let mut integers = vec![0i16; rows * self.inp];
            self.integers(&runs, first, &mut integers);
            let rows = halves.chunks_exact_mut(across * block).zip(integers.chunks_exact(self.inp));
            for (row, (halves, integers)) in rows.enumerate() {
                for (at, halves) in halves.chunks_exact_mut(block).enumerate() {
                    let in_block = match &order {
                        None => *integers[at * BLOCK..].first_chunk().expect("rows are whole blocks"),
                        Some(order) => std::array::from_fn(|i| integers[order[at * BLOCK + i] as usize]),
                    };
                    let scale = self.scales[(first + row) * count + groups[at]];
                    write(f16::from_f32(scale), &in_block, halves);
                }
            }
        });
        let bytes: &[u8] = bytemuck::cast_slice(&halves);
        let linear = match (device, type_of(dtype)) {
            (Device::Cpu, Some(ty)) => Linear::blocks(Arc::new(Blocks::new(ty, self.out, self.inp, bytes.to_vec())?)),
            _ => {
                let storage = QStorage::from_data(Cow::Borrowed(bytes), device, dtype)?;
                Linear::quantized(Arc::new(QTensor::new(storage, (self.out, self.inp))?))
            }
        };
        match order {
            None => Ok(linear),
            Some(order) => linear.with_columns_in(&order),
        }
    }
}

/// Numbers (rows, columns) as (columns, rows).
pub(super) fn transposed(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| numbers[row * columns + column])).collect()
}

/// `block_q4_0` of ggml: d, then the low nibbles of the first sixteen and the high ones of the others, each plus 8.
fn write_q4_0(d: f16, integers: &[i16; BLOCK], halves: &mut [u16]) {
    halves[0] = d.to_bits();
    for (i, half) in halves[1..].iter_mut().enumerate() {
        let nibble = |at: usize| (integers[at] + 8) as u16;
        let byte = |at: usize| nibble(at) | nibble(at + BLOCK / 2) << 4;
        *half = (byte(2 * i) | byte(2 * i + 1) << 8).to_le();
    }
}

/// `block_q5_0` of ggml: d, the fifth bits of all, then nibbles as in Q4_0, each plus 16.
fn write_q5_0(d: f16, integers: &[i16; BLOCK], halves: &mut [u16]) {
    let code = |at: usize| (integers[at] + 16) as u16;
    let fifths = (0..BLOCK).fold(0u32, |bits, at| bits | u32::from(code(at) >> 4) << at);
    halves[0] = d.to_bits();
    halves[1] = (fifths as u16).to_le();
    halves[2] = ((fifths >> 16) as u16).to_le();
    for (i, half) in halves[3..].iter_mut().enumerate() {
        let byte = |at: usize| (code(at) & 15) | (code(at + BLOCK / 2) & 15) << 4;
        *half = (byte(2 * i) | byte(2 * i + 1) << 8).to_le();
    }
}

/// `block_q8_0` of ggml: d and 32 signed bytes.
fn write_q8_0(d: f16, integers: &[i16; BLOCK], halves: &mut [u16]) {
    halves[0] = d.to_bits();
    for (half, pair) in halves[1..].iter_mut().zip(integers.as_chunks::<2>().0) {
        *half = u16::from_ne_bytes(pair.map(|integer| integer as i8 as u8));
    }
}
