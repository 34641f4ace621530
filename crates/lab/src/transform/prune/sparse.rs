//! Single weights set to zero, in every matrix of the layers: the smallest (magnitude), those that matter the least by
//! what they are multiplied by (Wanda, <https://arxiv.org/abs/2306.11695>), or those whose leaving the other weights of
//! their row can best make up for, which they then do (SparseGPT, <https://arxiv.org/abs/2301.00774>). The model keeps its
//! shape; no type of GGUF stores zeros in fewer bits than other numbers, so that its file keeps its size.

use super::refit::finite;
use super::{By, Prune};
use crate::calibrate::Calibration;
use crate::history::StepNote;
use crate::resume::LayersDone;
use crate::symmetric::inverse_upper;
use crate::transform::cut::{Pieces, Selection, stored_dtype};
use crate::transform::{Amount, Checkpoint, Form};
use crate::walk::{Gram, Walk};
use anyhow::{Context, Result, bail, ensure};
use bantam_model::names::Part;
use bantam_model::{Config, Weights, cost};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// Columns whose zeros SparseGPT chooses together, and after which the rest of a row is brought up to date.
const BLOCK: usize = 128;

/// What SparseGPT adds to the diagonal, of its mean.
const DAMPING: f64 = 0.01;

/// So many of each few neighbours in a row stay, as 2:4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    stay: usize,
    of: usize,
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(typed: String) -> Result<Pattern, String> {
        let parts =
            typed.split_once(':').and_then(|(stay, of)| Some((stay.trim().parse().ok()?, of.trim().parse().ok()?)));
        match parts {
            Some((stay, of)) if [2usize, 4, 8, 16, 32].contains(&of) && 0 < stay && stay < of => {
                Ok(Pattern { stay, of })
            }
            _ => Err(format!(
                "'{typed}' is no pattern; allowed is N:M, N of each M neighbours to stay and M one of 2, 4, 8, 16 and 32, like 2:4"
            )),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.stay, self.of)
    }
}

/// Which weights of a matrix become zero.
#[derive(Debug, Clone, Copy)]
enum Zeros {
    /// This share of them.
    Share(f64),
    /// All but some of each few neighbours.
    Pattern(Pattern),
}

impl Zeros {
    fn of(prune: &Prune) -> Result<Zeros> {
        match (prune.sparsity, prune.pattern) {
            (Some(Amount::Percent(percent)), None) => Ok(Zeros::Share(percent / 100.0)),
            (Some(Amount::Count(count)), None) => bail!("sparsity is {count}; allowed is a share like 50%"),
            (None, Some(pattern)) => Ok(Zeros::Pattern(pattern)),
            // half of the weights, and 2 of each 4: the same amount said twice
            (Some(amount), Some(pattern)) => {
                let share = 1.0 - pattern.stay as f64 / pattern.of as f64;
                ensure!(
                    (amount.share(1) - share).abs() < 1e-9,
                    "sparsity={amount} and pattern={pattern} say two things; the pattern leaves {}% zeros",
                    100.0 * share
                );
                Ok(Zeros::Pattern(pattern))
            }
            (None, None) => bail!("missing sparsity"),
        }
    }

    fn words(self) -> String {
        match self {
            Zeros::Share(share) => format!("{}% of the weights", 100.0 * share),
            Zeros::Pattern(pattern) => format!("all but {} of each {} weights", pattern.stay, pattern.of),
        }
    }
}

/// Whether a part is a matrix that loses weights: those of the layers, but for what chooses experts.
fn is_pruned(part: Part) -> bool {
    part.is_within_layer() && !matches!(part, Part::Router | Part::SharedRouter)
}

pub(super) fn plan(prune: &Prune, form: &mut Form) -> Result<()> {
    let zeros = Zeros::of(prune)?;
    if let Zeros::Pattern(pattern) = zeros {
        let config = form.config()?;
        let pruned = cost(config).tensors.into_iter().filter(|tensor| tensor.is_matrix() && is_pruned(tensor.part));
        for tensor in pruned {
            ensure!(
                tensor.shape[1].is_multiple_of(pattern.of),
                "the pattern {pattern} does not divide the rows of {} of {}",
                tensor.shape[1],
                tensor.name
            );
        }
    }
    form.rewrite();
    Ok(())
}

pub(super) fn apply<'a>(
    prune: &Prune,
    checkpoint: Checkpoint<'a>,
    calibration: &Calibration,
) -> Result<Checkpoint<'a>> {
    plan(prune, &mut checkpoint.form.clone())?;
    let zeros = Zeros::of(prune)?;
    let config = checkpoint.config()?.clone();
    let checkpoint_form = &checkpoint.form;
    let made = match prune.by.unwrap_or(By::Sparsegpt) {
        By::Magnitude => by_magnitude(zeros, &config, checkpoint.weights(), calibration)?,
        by => {
            let done = calibration.layers_done(checkpoint_form, &prune.settings());
            walking(prune, by, zeros, &config, checkpoint.weights(), calibration, done)?
        }
    };
    let note = note(prune, zeros, &made)?;
    let pieces = Pieces::new(&config, &config, &|_| Selection::default())?;
    Ok(checkpoint.overlaid(|inner| pieces.over(inner, made)).noted(note))
}

fn note(prune: &Prune, zeros: Zeros, made: &HashMap<String, Tensor>) -> Result<StepNote> {
    let (mut none, mut all) = (0u64, 0u64);
    for tensor in made.values() {
        let numbers: Vec<f32> = tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()?;
        none += numbers.iter().filter(|x| **x == 0.0).count() as u64;
        all += numbers.len() as u64;
    }
    let share = none as f64 / all.max(1) as f64;
    let did = format!(
        "{} of {} matrices set to zero by {}: {:.2}% of their {all} weights are 0. The file has as many bytes as before: \
         no GGUF type stores zeros in fewer",
        zeros.words(),
        made.len(),
        prune.by.unwrap_or(By::Sparsegpt),
        100.0 * share
    );
    Ok(prune.noted(StepNote::new("prune", did)).with("zeros", none).with("weights", all))
}

/// Each matrix by itself; a share is one of the whole matrix.
fn by_magnitude(
    zeros: Zeros,
    config: &Config,
    weights: &dyn Weights,
    calibration: &Calibration,
) -> Result<HashMap<String, Tensor>> {
    let matrices: Vec<_> =
        cost(config).tensors.into_iter().filter(|tensor| tensor.is_matrix() && is_pruned(tensor.part)).collect();
    let mut made = HashMap::new();
    for (done, tensor) in matrices.iter().enumerate() {
        calibration.step("matrix", done, matrices.len())?;
        let (out, columns) = (tensor.shape[0], tensor.shape[1]);
        let linear = weights.linear(&tensor.name, out, columns)?;
        let layer = config.architecture.layer_of(&tensor.name).unwrap_or(0);
        let mut numbers = finite(layer, &tensor.name, &linear.dequantized()?)?;
        match zeros {
            Zeros::Share(share) => {
                let scores: Vec<f32> = numbers.iter().map(|x| x.abs()).collect();
                drop_smallest(&mut numbers, &scores, share);
            }
            Zeros::Pattern(pattern) => numbers.par_chunks_exact_mut(columns).for_each(|row| {
                let scores: Vec<f32> = row.iter().map(|x| x.abs()).collect();
                drop_by_pattern(row, &scores, pattern);
            }),
        }
        let tensor_made = Tensor::from_vec(numbers, (out, columns), &Device::Cpu)?.to_dtype(stored_dtype(&linear))?;
        made.insert(tensor.name.clone(), tensor_made);
    }
    Ok(made)
}

/// Layer by layer, each of which sees what the zeros before it have left.
fn walking(
    prune: &Prune,
    by: By,
    zeros: Zeros,
    config: &Config,
    weights: &dyn Weights,
    calibration: &Calibration,
    done: LayersDone,
) -> Result<HashMap<String, Tensor>> {
    let windows = prune.windows(config, calibration)?;
    let mut walk = Walk::new(config, weights, &windows)?.until(calibration.cancel());
    let mut made = HashMap::new();
    while let Some(layer) = walk.layer() {
        calibration.step("layer", layer, walk.layers())?;
        let layer_made = match done.find(layer) {
            Some(found) => found,
            None => {
                let layer_made = layer_zeros(&walk, layer, by, zeros, config, weights)?;
                done.keep(layer, &layer_made)?;
                layer_made
            }
        };
        for (name, tensor) in &layer_made {
            walk.replace(name, tensor.clone())?;
        }
        made.extend(layer_made);
        walk.advance()?;
    }
    done.finish();
    Ok(made)
}

/// The matrices of the layer ahead with their zeros.
fn layer_zeros(
    walk: &Walk,
    layer: usize,
    by: By,
    zeros: Zeros,
    config: &Config,
    weights: &dyn Weights,
) -> Result<HashMap<String, Tensor>> {
    let is_pruned = |name: &String| config.architecture.place(name).is_some_and(|place| is_pruned(place.part));
    let names: Vec<String> = walk.matrices()?.into_iter().filter(is_pruned).collect();
    let grams = walk.grams(&names, 0..walk.windows())?;
    let mut made = HashMap::new();
    for name in names {
        let whole = walk.matrix(&name)?;
        let (out, columns) = whole.dims2()?;
        let mut numbers = finite(layer, &name, &whole)?;
        // an expert that no token went to goes by its weights
        match (grams.get(&name), by) {
            (Some(gram), By::Sparsegpt) => {
                sparsegpt(&mut numbers, columns, gram, zeros).with_context(|| format!("layer {layer}: {name}"))?;
            }
            (gram, _) => wanda(&mut numbers, columns, gram.map(|gram| &**gram), zeros),
        }
        let dtype = stored_dtype(&weights.linear(&name, out, columns)?);
        made.insert(name, Tensor::from_vec(numbers, (out, columns), &Device::Cpu)?.to_dtype(dtype)?);
    }
    Ok(made)
}

/// Sets the share of the lowest scores to zero.
fn drop_smallest(numbers: &mut [f32], scores: &[f32], share: f64) {
    let count = (share * numbers.len() as f64).round() as usize;
    let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
    if count == 0 || count >= order.len() {
        return;
    }
    let by_score = |a: &u32, b: &u32| scores[*a as usize].total_cmp(&scores[*b as usize]).then(a.cmp(b));
    order.select_nth_unstable_by(count, by_score);
    order[..count].iter().for_each(|&at| numbers[at as usize] = 0.0);
}

fn drop_by_pattern(row: &mut [f32], scores: &[f32], pattern: Pattern) {
    for (numbers, scores) in row.chunks_mut(pattern.of).zip(scores.chunks(pattern.of)) {
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        order.iter().take(pattern.of - pattern.stay).for_each(|&at| numbers[at] = 0.0);
    }
}

/// |W| ‖X‖, row by row.
fn wanda(numbers: &mut [f32], columns: usize, gram: Option<&Gram>, zeros: Zeros) {
    let norms: Vec<f32> = match gram {
        Some(gram) => gram.mean_squares().iter().map(|square| square.sqrt()).collect(),
        None => vec![1.0; columns],
    };
    numbers.par_chunks_exact_mut(columns).for_each(|row| {
        let scores: Vec<f32> = row.iter().zip(&norms).map(|(w, norm)| w.abs() * norm).collect();
        match zeros {
            Zeros::Share(share) => drop_smallest(row, &scores, share),
            Zeros::Pattern(pattern) => drop_by_pattern(row, &scores, pattern),
        }
    });
}

/// Columns from left to right: a weight that goes leaves an error of w / u, and what stands right of it in its row makes
/// up for that by the row of U, with H⁻¹ = Uᵀ U of the damped H = X Xᵀ.
fn sparsegpt(numbers: &mut [f32], columns: usize, gram: &Gram, zeros: Zeros) -> Result<()> {
    let upper = upper(gram, numbers, columns)?;
    for first in (0..columns).step_by(BLOCK) {
        let end = (first + BLOCK).min(columns);
        let limit = match zeros {
            Zeros::Share(share) => Some(threshold(numbers, columns, first..end, &upper, share)),
            Zeros::Pattern(_) => None,
        };
        numbers.par_chunks_exact_mut(columns).for_each(|row| prune_block(row, first, end, &upper, limit, zeros));
    }
    Ok(())
}

fn upper(gram: &Gram, numbers: &mut [f32], columns: usize) -> Result<Vec<f32>> {
    let mut hessian: Vec<f64> = gram.sums.iter().map(|&x| f64::from(x)).collect();
    let mean = hessian.iter().step_by(columns + 1).sum::<f64>() / columns as f64;
    for column in 0..columns {
        let diagonal = &mut hessian[column * (columns + 1)];
        if *diagonal == 0.0 {
            // what is multiplied by nothing is worth nothing
            *diagonal = 1.0;
            numbers.iter_mut().skip(column).step_by(columns).for_each(|x| *x = 0.0);
        }
    }
    let damped = |times: f64| {
        let mut damped = hessian.clone();
        damped.iter_mut().step_by(columns + 1).for_each(|x| *x += times * DAMPING * mean);
        inverse_upper(&damped, columns)
    };
    let upper = [1.0, 10.0, 100.0].into_iter().find_map(damped);
    let upper = upper.context("what it is multiplied by has no inverse; the text may be too short")?;
    Ok(upper.into_iter().map(|x| x as f32).collect())
}

/// The score below which the share of a block's weights lies: w² / u².
fn threshold(numbers: &[f32], columns: usize, block: std::ops::Range<usize>, upper: &[f32], share: f64) -> f32 {
    let score = |row: &[f32], column: usize| (row[column] / upper[column * (columns + 1)]).powi(2);
    let mut scores: Vec<f32> = numbers
        .chunks_exact(columns)
        .flat_map(|row| block.clone().map(move |column| (row, column)))
        .map(|(row, column)| score(row, column))
        .collect();
    let count = (share * scores.len() as f64) as usize;
    let (_, limit, _) = scores.select_nth_unstable_by(count, f32::total_cmp);
    *limit
}

fn prune_block(row: &mut [f32], first: usize, end: usize, upper: &[f32], limit: Option<f32>, zeros: Zeros) {
    let columns = row.len();
    let size = |column: usize, w: f32| (w / upper[column * (columns + 1)]).powi(2);
    let mut goes = vec![false; end - first];
    if let Some(limit) = limit {
        (first..end).for_each(|column| goes[column - first] = size(column, row[column]) < limit);
    }
    for column in first..end {
        if let Zeros::Pattern(pattern) = zeros
            && (column - first).is_multiple_of(pattern.of)
        {
            let few = column..(column + pattern.of).min(end);
            let mut order: Vec<usize> = few.collect();
            order.sort_by(|a, b| size(*a, row[*a]).total_cmp(&size(*b, row[*b])));
            order.iter().take(pattern.of - pattern.stay).for_each(|at| goes[at - first] = true);
        }
        if goes[column - first] {
            let error = row[column] / upper[column * (columns + 1)];
            let own = &upper[column * columns + column..(column + 1) * columns];
            row[column..].iter_mut().zip(own).for_each(|(w, u)| *w -= error * u);
            row[column] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read() {
        assert_eq!(Pattern::try_from("2:4".to_owned()), Ok(Pattern { stay: 2, of: 4 }));
        for wrong in ["4:2", "2", "0:4", "2:x", "4:4"] {
            assert!(Pattern::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + i * i % 37) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    fn gram_of(x: &[f32], columns: usize) -> Gram {
        let mut sums = vec![0.0; columns * columns];
        for row in x.chunks_exact(columns) {
            for i in 0..columns {
                (0..columns).for_each(|j| sums[i * columns + j] += row[i] * row[j]);
            }
        }
        Gram { columns, rows: (x.len() / columns) as u64, sums }
    }

    /// ‖W X − W' X‖².
    fn lost(before: &[f32], after: &[f32], gram: &Gram) -> f64 {
        let columns = gram.columns;
        let off: Vec<f64> = before.iter().zip(after).map(|(a, b)| f64::from(a - b)).collect();
        let row = |row: &[f64]| -> f64 {
            (0..columns)
                .flat_map(|i| (0..columns).map(move |j| (i, j)))
                .map(|(i, j)| row[i] * f64::from(gram.sums[i * columns + j]) * row[j])
                .sum()
        };
        off.chunks_exact(columns).map(row).sum()
    }

    #[test]
    fn each_way_leaves_its_zeros_and_loses_less_than_the_one_before() {
        let (out, columns) = (24, 160);
        // columns of very different sizes, and neighbours alike
        let mut x = numbers(columns * 400);
        for row in x.chunks_exact_mut(columns) {
            (1..columns).for_each(|j| row[j] = (0.6 * row[j - 1] + row[j]) * if j % 3 == 0 { 4.0 } else { 1.0 });
        }
        let gram = gram_of(&x, columns);
        let whole = numbers(out * columns);
        for zeros in [Zeros::Share(0.5), Zeros::Pattern(Pattern { stay: 2, of: 4 })] {
            let mut magnitude = whole.clone();
            let scores: Vec<f32> = whole.iter().map(|x| x.abs()).collect();
            match zeros {
                Zeros::Share(share) => drop_smallest(&mut magnitude, &scores, share),
                Zeros::Pattern(pattern) => drop_by_pattern(&mut magnitude, &scores, pattern),
            }
            let (mut by_wanda, mut by_sparsegpt) = (whole.clone(), whole.clone());
            wanda(&mut by_wanda, columns, Some(&gram), zeros);
            sparsegpt(&mut by_sparsegpt, columns, &gram, zeros).expect("an inverse");
            for made in [&magnitude, &by_wanda, &by_sparsegpt] {
                let share = made.iter().filter(|x| **x == 0.0).count() as f64 / made.len() as f64;
                assert!((share - 0.5).abs() < 0.01, "{zeros:?}: {share}");
                if let Zeros::Pattern(_) = zeros {
                    assert!(made.chunks(4).all(|few| few.iter().filter(|x| **x == 0.0).count() == 2));
                }
            }
            let lost = [&magnitude, &by_wanda, &by_sparsegpt].map(|made| lost(&whole, made, &gram));
            assert!(lost[1] < lost[0] && lost[2] < 0.7 * lost[1], "{zeros:?}: {lost:?}");
        }
    }
}
