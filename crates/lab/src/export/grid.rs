//! Symmetric integers in groups: a group of neighbours in a row shares a scale, and a weight is the scale times a whole number
//! from −2^(b−1) to 2^(b−1) − 1. Both packed forms hold these; how they lie in words is their own business.

use super::Dtype;
use crate::gptq::{Factors, Matrix};
use anyhow::{Result, ensure};
use rayon::prelude::*;

/// Scales that are tried for a group, each so much smaller than the one before: below the first one the largest weights are
/// cut off for the sake of the others.
const TRIED: usize = 17;
const STEP: f32 = 0.025;

/// Of these the ones whose errors are passed on in full.
const TRIED_IN_TURN: usize = 4;

/// How numbers are rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    pub(super) bits: u32,
    /// Columns that share a scale.
    pub(super) group: usize,
    /// What scales are stored as: they are rounded to it before any weight is.
    pub(super) scale: Dtype,
}

/// A matrix on a grid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coded {
    /// Whole numbers with 2^(b−1) added, row after row.
    pub(super) codes: Vec<u8>,
    /// (rows, groups).
    pub(super) scales: Vec<f32>,
    /// What they stand for.
    pub(super) values: Vec<f32>,
    /// Of each row ΔW H ΔWᵀ, where H is known.
    errors: Vec<f64>,
}

impl Grid {
    fn half(self) -> f32 {
        (1u32 << (self.bits - 1)) as f32
    }

    fn code(self, x: f32, scale: f32) -> f32 {
        if scale > 0.0 { (x / scale).round_ties_even().clamp(-self.half(), self.half() - 1.0) } else { 0.0 }
    }

    /// The scales that are tried for some numbers, as they are stored.
    fn tried(self, numbers: &[f32]) -> [f32; TRIED] {
        let most = numbers.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        // eight bits have so many steps that little is gained by cutting off
        let step = if self.bits > 4 { STEP / 8.0 } else { STEP };
        std::array::from_fn(|i| self.scale.rounded(most / (self.half() - 1.0) * (1.0 - step * i as f32)))
    }

    /// Σ w (x − ŵ)² where a group has a scale.
    fn cost(self, numbers: &[f32], weights: Option<&[f32]>, scale: f32) -> f32 {
        let miss = |x: f32| x - scale * self.code(x, scale);
        match weights {
            None => numbers.iter().map(|&x| miss(x).powi(2)).sum(),
            Some(weights) => numbers.iter().zip(weights).map(|(&x, w)| w * miss(x).powi(2)).sum(),
        }
    }

    fn best(self, numbers: &[f32], weights: Option<&[f32]>) -> f32 {
        let tried = self.tried(numbers);
        let costs = tried.map(|scale| self.cost(numbers, weights, scale));
        let best = (0..TRIED).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or(0);
        tried[best]
    }

    /// Rounds each weight for itself; `importance` says of each column how much an error there matters.
    ///
    /// # Errors
    /// Where a weight is not finite, or its scale does not fit.
    pub(super) fn plain(self, matrix: Matrix, importance: Option<&[f32]>) -> Result<Coded> {
        self.check(matrix)?;
        let mut coded = Coded::empty(self, matrix);
        let groups = matrix.columns / self.group;
        let rows = coded.codes.par_chunks_mut(matrix.columns).zip(coded.values.par_chunks_mut(matrix.columns));
        let rows = rows.zip(coded.scales.par_chunks_mut(groups)).zip(matrix.numbers.par_chunks(matrix.columns));
        rows.for_each(|(((codes, values), scales), row)| {
            for (group, scale) in scales.iter_mut().enumerate() {
                let own = group * self.group..(group + 1) * self.group;
                *scale = self.best(&row[own.clone()], importance.map(|all| &all[own.clone()]));
                for column in own {
                    let code = self.code(row[column], *scale);
                    codes[column] = (code + self.half()) as u8;
                    values[column] = code * *scale;
                }
            }
        });
        coded.check()
    }

    /// Rounds column after column and passes errors on, as `gptq` does; a row that would lose more so than with each weight
    /// rounded for itself is rounded so.
    ///
    /// # Errors
    /// As `plain`.
    pub(super) fn in_turn(self, matrix: Matrix, factors: &Factors) -> Result<Coded> {
        let mut plain = self.plain(matrix, Some(factors.importance()))?;
        plain.errors = factors.errors(matrix, &plain.values);
        let mut coded = Coded::empty(self, matrix);
        let columns = matrix.columns;
        let (groups, mut missed, mut targets) = (columns / self.group, vec![0.0; matrix.numbers.len()], Vec::new());
        for first in (0..columns).step_by(self.group) {
            factors.targets(columns, matrix.numbers, &missed, first, self.group, &mut targets);
            let own = first..first + self.group;
            let rows = coded.codes.par_chunks_mut(columns).zip(coded.values.par_chunks_mut(columns));
            let rows = rows.zip(coded.scales.par_chunks_mut(groups)).zip(targets.par_chunks(self.group));
            let rows = rows.zip(missed.par_chunks_mut(columns)).zip(matrix.numbers.par_chunks(columns));
            rows.for_each(|(((((codes, values), scales), targets), missed), row)| {
                let (scale, levels) = self.group_in_turn(&row[own.clone()], targets, factors, first);
                scales[first / self.group] = scale;
                for (column, level) in own.clone().zip(levels) {
                    codes[column] = (level + self.half()) as u8;
                    values[column] = level * scale;
                    missed[column] = row[column] - values[column];
                }
            });
        }
        let coded = coded.check()?;
        let errors = factors.errors(matrix, &coded.values);
        Ok(Coded { errors, ..coded }.or_row_by_row(&plain, columns, groups))
    }

    /// The scale of a group and its whole numbers, each chosen by the target that those before it have left.
    fn group_in_turn(self, weights: &[f32], targets: &[f32], factors: &Factors, first: usize) -> (f32, Vec<f32>) {
        let costs = factors.costs(first, self.group);
        let mut tried = self.tried(targets).map(|scale| (self.cost(targets, Some(costs), scale), scale));
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        let passed = |scale: f32| {
            let (mut targets, mut levels, mut cost) = (targets.to_vec(), Vec::with_capacity(self.group), 0.0);
            for i in 0..self.group {
                let level = self.code(targets[i], scale);
                cost += costs[i] * (targets[i] - level * scale).powi(2);
                let miss = weights[i] - level * scale;
                let later = targets[i + 1..].iter_mut().zip(factors.shares(first + i, first + i + 1));
                later.for_each(|(target, share)| *target += share * miss);
                levels.push(level);
            }
            (cost, scale, levels)
        };
        let all = tried[..TRIED_IN_TURN].iter().map(|(_, scale)| passed(*scale));
        let best = all.min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or((0.0, vec![0.0; self.group]), |(_, scale, levels)| (scale, levels))
    }

    fn check(self, matrix: Matrix) -> Result<()> {
        let wrong = matrix.numbers.iter().position(|x| !x.is_finite());
        match wrong {
            None => Ok(()),
            Some(at) => Err(anyhow::anyhow!(
                "row {} holds {}, which no integer stands for",
                at / matrix.columns,
                matrix.numbers[at]
            )),
        }
    }
}

impl Coded {
    fn empty(grid: Grid, matrix: Matrix) -> Coded {
        let numbers = matrix.numbers.len();
        Coded {
            codes: vec![0; numbers],
            scales: vec![0.0; numbers / grid.group],
            values: vec![0.0; numbers],
            errors: Vec::new(),
        }
    }

    fn check(self) -> Result<Coded> {
        let most = self.scales.iter().fold(0.0f32, |most, x| most.max(*x));
        ensure!(most.is_finite(), "it needs a scale that its type cannot hold; --dtype bf16 or f32 would");
        Ok(self)
    }

    /// Of each row the one that loses less.
    fn or_row_by_row(mut self, other: &Coded, columns: usize, groups: usize) -> Coded {
        for row in 0..self.errors.len() {
            let is_better = self.errors[row] <= other.errors[row];
            if !is_better {
                let (own, scales) = (row * columns..(row + 1) * columns, row * groups..(row + 1) * groups);
                self.codes[own.clone()].copy_from_slice(&other.codes[own.clone()]);
                self.values[own.clone()].copy_from_slice(&other.values[own]);
                self.scales[scales.clone()].copy_from_slice(&other.scales[scales]);
                self.errors[row] = other.errors[row];
            }
        }
        self
    }

    /// Σ over rows of ΔW H ΔWᵀ.
    #[cfg(test)]
    fn error(&self) -> f64 {
        self.errors.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Gram;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const GRIDS: [Grid; 4] = [
        Grid { bits: 4, group: 32, scale: Dtype::Bf16 },
        Grid { bits: 4, group: 64, scale: Dtype::F16 },
        Grid { bits: 4, group: 128, scale: Dtype::F32 },
        Grid { bits: 8, group: 32, scale: Dtype::F16 },
    ];

    fn numbers(count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        (0..count).map(|_| random.random_range(-1.0..1.0f32) * random.random_range(0.0..1.0f32)).collect()
    }

    #[test]
    fn codes_and_scales_are_what_the_values_are_made_of() {
        let random = &mut ChaCha8Rng::seed_from_u64(3);
        let numbers = numbers(5 * 256, random);
        let matrix = Matrix { columns: 256, numbers: &numbers };
        for grid in GRIDS {
            let coded = grid.plain(matrix, None).expect("rounded");
            let half = 1 << (grid.bits - 1);
            for (at, value) in coded.values.iter().enumerate() {
                let scale = coded.scales[at / grid.group];
                assert_eq!(scale, grid.scale.rounded(scale));
                assert_eq!(*value, (i32::from(coded.codes[at]) - half) as f32 * scale, "{grid:?}");
                // nothing of more than a step is lost but where the largest are cut off
                assert!((value - numbers[at]).abs() <= 0.5 * scale + 0.45 * numbers[at].abs(), "{grid:?} {at}");
            }
            assert!(coded.codes.iter().all(|code| i32::from(*code) < 2 * half));
        }
    }

    #[test]
    fn what_stands_on_the_grid_comes_back_as_it_is() {
        for grid in GRIDS {
            let half = 1i32 << (grid.bits - 1);
            let numbers: Vec<f32> =
                (0..2 * grid.group as i32).map(|i| ((i * 5) % (2 * half - 1) - half + 1) as f32 * 0.25).collect();
            let mut numbers = numbers;
            // each group has its largest number
            numbers.chunks_mut(grid.group).for_each(|group| group[0] = (half - 1) as f32 * 0.25);
            let matrix = Matrix { columns: 2 * grid.group, numbers: &numbers };
            let coded = grid.plain(matrix, None).expect("rounded");
            assert_eq!(coded.values, numbers, "{grid:?}");
            let zeros = vec![0.0; 2 * grid.group];
            let coded = grid.plain(Matrix { columns: 2 * grid.group, numbers: &zeros }, None).expect("rounded");
            assert_eq!(coded.values, zeros);
        }
    }

    #[test]
    fn passing_errors_on_loses_less_where_inputs_lie_in_few_directions() {
        let random = &mut ChaCha8Rng::seed_from_u64(4);
        let (columns, few) = (256, 40);
        let directions = numbers(few * columns, random);
        let mut gram = Gram::empty(columns);
        for _ in 0..600 {
            let amounts = numbers(few, random);
            let x: Vec<f32> = (0..columns)
                .map(|c| {
                    (0..few).map(|f| amounts[f] * directions[f * columns + c]).sum::<f32>()
                        + random.random_range(-0.05..0.05)
                })
                .collect();
            for (i, a) in x.iter().enumerate() {
                for (j, b) in x.iter().enumerate() {
                    gram.sums[i * columns + j] += a * b;
                }
            }
            gram.rows += 1;
        }
        let factors = Factors::of(&gram).expect("factors");
        let numbers = numbers(24 * columns, random);
        let matrix = Matrix { columns, numbers: &numbers };
        for grid in GRIDS {
            let mut plain = grid.plain(matrix, Some(factors.importance())).expect("rounded");
            plain.errors = factors.errors(matrix, &plain.values);
            let better = grid.in_turn(matrix, &factors).expect("rounded");
            assert!(better.error() < 0.7 * plain.error(), "{grid:?}: {} and {}", better.error(), plain.error());
            assert!(better.errors.iter().zip(&plain.errors).all(|(a, b)| a <= b), "{grid:?}");
        }
    }

    #[test]
    fn a_number_that_is_none_is_told() {
        let numbers = [vec![0.0; 32], vec![f32::NAN; 32]].concat();
        let said = GRIDS[0].plain(Matrix { columns: 32, numbers: &numbers }, None).expect_err("refused").to_string();
        assert_eq!(said, "row 1 holds NaN, which no integer stands for");
    }
}
