//! Rounding a matrix so that its outputs change least, not its weights: the error that one column makes is passed on to
//! the columns after it, which are moved so that for the inputs of a calibration text they make up for it (GPTQ, Frantar et
//! al. 2022, arXiv:2210.17323, as LDLQ, Chee et al. 2023, arXiv:2307.13304, of which it is the same order of work). What is
//! minimised is tr(ΔW H ΔWᵀ) with H the mean of xxᵀ over the text. Between the blocks of a row errors are passed on here,
//! within a block by the type itself (`BlockType::encode_in_turn`); what comes out are the blocks that every reader knows.

use crate::walk::Gram;
use crate::{block, encode};
use anyhow::{Result, bail, ensure};
use bantam_format::ggml::Type;
use bantam_kernels::block::Feedback;
use bantam_kernels::{Side, factor, float_product, isa, pass_on};
use rayon::prelude::*;

/// What is added to the diagonal of H, as a part of its mean: GPTQ's own `percdamp`.
const DAMPING: f32 = 0.01;

/// How the errors of a matrix's columns are passed on.
pub(crate) struct Factors {
    columns: usize,
    /// U of H + damping = U D Uᵀ.
    shares: Vec<f32>,
    /// D.
    costs: Vec<f32>,
    /// The mean square of each input.
    importance: Vec<f32>,
    damping: f32,
}

/// Rows of numbers, as many in each.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) columns: usize,
    pub(crate) numbers: &'a [f32],
}

/// A matrix in blocks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rounded {
    /// Row after row.
    pub(crate) blocks: Vec<u8>,
    /// What they stand for.
    pub(crate) values: Vec<f32>,
    /// Of each row ΔW H ΔWᵀ on the text.
    pub(crate) errors: Vec<f64>,
}

impl Factors {
    /// The factors of a Gram matrix.
    ///
    /// # Errors
    /// Where it is not one of finite inputs, or nothing was seen.
    pub(crate) fn of(gram: &Gram) -> Result<Factors> {
        let columns = gram.columns;
        ensure!(gram.rows > 0, "no token was seen");
        let scale = 1.0 / gram.rows as f32;
        let mut shares: Vec<f32> = gram.sums.iter().map(|sum| sum * scale).collect();
        let importance: Vec<f32> = shares.iter().step_by(columns + 1).copied().collect();
        let mean = importance.iter().map(|&x| f64::from(x)).sum::<f64>() / columns as f64;
        if let Some(column) = importance.iter().position(|x| !x.is_finite()) {
            bail!("the inputs of its column {column} are not finite");
        }
        // a matrix that is never multiplied with anything but zeros
        let damping = if mean > 0.0 { DAMPING * mean as f32 } else { 1.0 };
        (0..columns).for_each(|i| shares[i * (columns + 1)] += damping);
        let costs = factor(&mut shares, columns).or_else(|column| {
            bail!("the Gram matrix of its inputs is damaged at column {column}");
        });
        Ok(Factors { columns, costs: costs?, shares, importance, damping })
    }

    /// The mean square of each input.
    pub(crate) fn importance(&self) -> &[f32] {
        &self.importance
    }

    /// D of some columns.
    pub(crate) fn costs(&self, first: usize, width: usize) -> &[f32] {
        &self.costs[first..first + width]
    }

    /// What a column passes on to those from `first` on.
    pub(crate) fn shares(&self, column: usize, first: usize) -> &[f32] {
        &self.shares[column * self.columns + first..(column + 1) * self.columns]
    }

    /// Σ Dₖ (ΔW U)ₖ² of each row, less what is the damping's.
    pub(crate) fn errors(&self, weights: Matrix, values: &[f32]) -> Vec<f64> {
        let missed: Vec<f32> = weights.numbers.iter().zip(values).map(|(x, y)| x - y).collect();
        let mut passed = missed.clone();
        let mut strip = Vec::new();
        for first in (0..self.columns).step_by(STRIP) {
            let width = STRIP.min(self.columns - first);
            self.targets(weights.columns, &missed, &missed, first, width, &mut strip);
            // within the strip, from the last column back
            for (row, strip) in passed.chunks_exact_mut(self.columns).zip(strip.chunks_exact(width)) {
                row[first..first + width].copy_from_slice(strip);
            }
            passed.par_chunks_mut(self.columns).zip(missed.par_chunks(self.columns)).for_each(|(row, missed)| {
                for i in first..first + width {
                    let shares = &self.shares[i * self.columns + i + 1..i * self.columns + first + width];
                    row[i + 1..first + width].iter_mut().zip(shares).for_each(|(to, share)| *to += share * missed[i]);
                }
            });
        }
        let rows = passed.par_chunks(self.columns).zip(missed.par_chunks(self.columns));
        rows.map(|(passed, missed)| self.cost_of(passed) - self.of_damping(missed)).collect()
    }

    fn cost_of(&self, left: &[f32]) -> f64 {
        left.iter().zip(&self.costs).map(|(&x, &cost)| f64::from(cost) * f64::from(x).powi(2)).sum()
    }

    fn of_damping(&self, missed: &[f32]) -> f64 {
        f64::from(self.damping) * missed.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
    }

    /// Some columns of `start`, moved by what the errors of all columns before them pass on, as (rows, width).
    pub(crate) fn targets(
        &self,
        columns: usize,
        start: &[f32],
        errors: &[f32],
        first: usize,
        width: usize,
        targets: &mut Vec<f32>,
    ) {
        targets.clear();
        targets.extend(start.chunks_exact(columns).flat_map(|row| &row[first..first + width]));
        pass_on(errors, &self.shares, columns, first, targets, width);
    }
}

/// Columns whose errors are passed on together.
const STRIP: usize = 256;

/// Rounds each weight for itself, weighed by the inputs' mean squares.
///
/// # Errors
/// Where a weight is not finite, or too large for the type.
pub(crate) fn plain(matrix: Matrix, kind: Type, factors: &Factors) -> Result<Rounded> {
    let mut rounded = each(matrix, kind, Some(&factors.importance))?;
    rounded.errors = factors.errors(matrix, &rounded.values);
    Ok(rounded)
}

/// Rounds each weight for itself where nothing is known of the inputs; its errors are not known either, and 0.
///
/// # Errors
/// As `plain`.
pub(crate) fn unweighed(matrix: Matrix, kind: Type) -> Result<Rounded> {
    each(matrix, kind, None)
}

/// Rounds each weight for itself; `importance` is of each column.
///
/// # Errors
/// As `plain`.
pub(crate) fn each(matrix: Matrix, kind: Type, importance: Option<&[f32]>) -> Result<Rounded> {
    let row_bytes = bytes_of(kind, matrix.columns)?;
    let mut rounded = Rounded::empty(matrix, row_bytes);
    let rows = rounded.blocks.par_chunks_mut(row_bytes).zip(rounded.values.par_chunks_mut(matrix.columns));
    rows.zip(matrix.numbers.par_chunks(matrix.columns)).enumerate().try_for_each(
        |(index, ((blocks, back), row))| {
            encode::check(row, kind, index)?;
            block::encode(kind, row, importance, blocks);
            decode(kind, blocks, back)
        },
    )?;
    Ok(rounded)
}

/// Rounds column after column, and passes the errors on. A row that would lose more so than in `plain`, the same matrix
/// with each weight rounded for itself, is one of these.
///
/// # Errors
/// As `plain`.
pub(crate) fn compensated(matrix: Matrix, kind: Type, factors: &Factors, plain: &Rounded) -> Result<Rounded> {
    Ok(in_turn(matrix, kind, factors)?.or_row_by_row(plain))
}

fn in_turn(matrix: Matrix, kind: Type, factors: &Factors) -> Result<Rounded> {
    let columns = matrix.columns;
    let (row_bytes, width, block_bytes) = (bytes_of(kind, columns)?, kind.block(), kind.block_bytes());
    let mut rounded = Rounded::empty(matrix, row_bytes);
    let mut missed = vec![0.0; matrix.numbers.len()];
    let mut targets = Vec::new();
    let of_kind = bantam_kernels::block::of(kind).expect("types are tried that are computed with");
    for (number, first) in (0..columns).step_by(width).enumerate() {
        factors.targets(columns, matrix.numbers, &missed, first, width, &mut targets);
        let feedback = Feedback {
            shares: &factors.shares[first * (columns + 1)..],
            stride: columns,
            costs: &factors.costs[first..first + width],
        };
        let rows = rounded.blocks.par_chunks_mut(row_bytes).zip(rounded.values.par_chunks_mut(columns));
        let rows = rows.zip(rounded.errors.par_iter_mut()).zip(targets.par_chunks_mut(width));
        let rows = rows.zip(missed.par_chunks_mut(columns)).zip(matrix.numbers.par_chunks(columns));
        rows.for_each(|(((((blocks, back), error), targets), missed), row)| {
            let own = first..first + width;
            let bytes = &mut blocks[number * block_bytes..][..block_bytes];
            let cost = of_kind.encode_in_turn(isa(), &row[own.clone()], targets, &feedback, bytes);
            *error += f64::from(cost.expect("a block and its columns"));
            back[own.clone()].copy_from_slice(targets);
            let misses = row[own.clone()].iter().zip(&*targets).map(|(x, y)| x - y);
            missed[own].iter_mut().zip(misses).for_each(|(to, miss)| *to = miss);
        });
    }
    for (error, missed) in rounded.errors.iter_mut().zip(missed.chunks_exact(columns)) {
        *error -= factors.of_damping(missed);
    }
    Ok(rounded)
}

impl Rounded {
    fn empty(matrix: Matrix, row_bytes: usize) -> Rounded {
        let rows = matrix.numbers.len() / matrix.columns;
        Rounded { blocks: vec![0; rows * row_bytes], values: vec![0.0; matrix.numbers.len()], errors: vec![0.0; rows] }
    }

    /// Of each row the one that loses less; NaN loses.
    fn or_row_by_row(mut self, other: &Rounded) -> Rounded {
        let (row_bytes, columns) = (self.blocks.len() / self.errors.len(), self.values.len() / self.errors.len());
        for row in 0..self.errors.len() {
            let is_better = self.errors[row] <= other.errors[row];
            if !is_better {
                let (bytes, values) = (row * row_bytes..(row + 1) * row_bytes, row * columns..(row + 1) * columns);
                self.blocks[bytes.clone()].copy_from_slice(&other.blocks[bytes]);
                self.values[values.clone()].copy_from_slice(&other.values[values]);
                self.errors[row] = other.errors[row];
            }
        }
        self
    }

    /// tr(ΔW H ΔWᵀ) on the text that it was rounded by.
    pub(crate) fn error(&self) -> f64 {
        self.errors.iter().sum()
    }

    /// tr(ΔW H ΔWᵀ) on the text of another Gram matrix.
    pub(crate) fn error_on(&self, matrix: Matrix, gram: &Gram) -> f64 {
        let columns = matrix.columns;
        let missed: Vec<f32> = matrix.numbers.iter().zip(&self.values).map(|(x, y)| x - y).collect();
        let shape = (self.errors.len(), columns, columns);
        let through = float_product(shape, (&missed, Side::Plain), (&gram.sums, Side::Plain));
        let products = missed.par_iter().zip(&through).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum::<f64>() / gram.rows.max(1) as f64
    }
}

fn bytes_of(kind: Type, columns: usize) -> Result<usize> {
    match kind.bytes(columns) {
        Some(bytes) => Ok(bytes),
        None => bail!("its rows of {columns} are no whole blocks of {kind}"),
    }
}

/// What blocks stand for.
pub(crate) fn decode(kind: Type, blocks: &[u8], to: &mut [f32]) -> Result<()> {
    let of_kind = bantam_kernels::block::of(kind).expect("types are tried that are computed with");
    Ok(of_kind.decode(isa(), blocks, to)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const TYPES: [Type; 12] = [
        Type::Q4_0,
        Type::Q4_1,
        Type::Q5_0,
        Type::Q5_1,
        Type::Q8_0,
        Type::IQ4_NL,
        Type::IQ4_XS,
        Type::Q2_K,
        Type::Q3_K,
        Type::Q4_K,
        Type::Q5_K,
        Type::Q6_K,
    ];

    /// A text of so many tokens whose inputs lie in few directions, as those of models do.
    fn gram(columns: usize, tokens: usize, random: &mut ChaCha8Rng) -> Gram {
        let few = (columns / 4).max(1);
        let directions: Vec<f32> = (0..few * columns).map(|_| random.random_range(-1.0..1.0)).collect();
        let amounts: Vec<f32> = (0..tokens * few).map(|_| random.random_range(-1.0..1.0)).collect();
        let mut x = float_product((tokens, few, columns), (&amounts, Side::Plain), (&directions, Side::Plain));
        x.iter_mut().for_each(|x| *x += random.random_range(-0.1..0.1));
        let sums = float_product((columns, tokens, columns), (&x, Side::Transposed), (&x, Side::Plain));
        Gram { columns, rows: tokens as u64, sums }
    }

    fn matrix(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        (0..rows * columns).map(|_| random.random_range(-1.0..1.0f32) * random.random_range(0.0..1.0f32)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn what_is_compensated_never_loses_more_than_what_is_rounded(
            seed in any::<u64>(), kind in proptest::sample::select(&TYPES[..]), blocks in 1usize..4, tokens in 1usize..900,
        ) {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let columns = 256 * blocks;
            let gram = gram(columns, tokens, random);
            let numbers = matrix(5, columns, random);
            let matrix = Matrix { columns, numbers: &numbers };
            let factors = Factors::of(&gram).expect("factors");
            let plain = plain(matrix, kind, &factors).expect("rounded");
            let better = compensated(matrix, kind, &factors, &plain).expect("rounded");
            // by the definition, whatever the two say of themselves
            let (lost, of_plain) = (better.error_on(matrix, &gram), plain.error_on(matrix, &gram));
            let size = of_plain.abs() + 1e-6;
            prop_assert!(lost <= of_plain + 1e-2 * size, "{kind}: {lost} and {of_plain}");
            prop_assert!((plain.error() - of_plain).abs() < 2e-2 * size, "{kind}: {} {of_plain}", plain.error());
            let mut read = vec![0.0; numbers.len()];
            decode(kind, &better.blocks, &mut read).expect("blocks");
            prop_assert_eq!(read, better.values);
        }
    }

    #[test]
    fn passing_errors_on_saves_much_where_inputs_lie_in_few_directions() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let (gram, numbers) = (gram(768, 1500, random), matrix(40, 768, random));
        let (matrix, factors) = (Matrix { columns: 768, numbers: &numbers }, Factors::of(&gram).expect("factors"));
        for kind in TYPES {
            let plain = plain(matrix, kind, &factors).expect("rounded");
            let (lost, plain) = (compensated(matrix, kind, &factors, &plain).expect("rounded").error(), plain.error());
            assert!(lost < 0.6 * plain, "{kind}: {lost:.4e} and {plain:.4e}");
        }
    }

    #[test]
    fn damage_is_told() {
        let random = &mut ChaCha8Rng::seed_from_u64(2);
        let said = |gram: &Gram| Factors::of(gram).map(|_| ()).expect_err("refused").to_string();
        let mut damaged = gram(256, 20, random);
        damaged.sums[3 * 257] = f32::NAN;
        assert_eq!(said(&damaged), "the inputs of its column 3 are not finite");
        damaged.sums[3 * 257] = -50.0;
        assert_eq!(said(&damaged), "the Gram matrix of its inputs is damaged at column 3");
        assert_eq!(said(&Gram::empty(32)), "no token was seen");
        let numbers = [f32::INFINITY; 256];
        let factors =
            |columns: usize, random: &mut ChaCha8Rng| Factors::of(&gram(columns, 9, random)).expect("factors");
        let matrix = Matrix { columns: 256, numbers: &numbers };
        let refused = plain(matrix, Type::Q4_K, &factors(256, random)).expect_err("refused").to_string();
        assert_eq!(refused, "row 0 holds inf, which no type can hold");
        let refused = plain(Matrix { columns: 40, numbers: &[0.0; 40] }, Type::Q4_K, &factors(40, random));
        assert_eq!(refused.expect_err("refused").to_string(), "its rows of 40 are no whole blocks of Q4_K");
    }
}
