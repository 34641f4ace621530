//! Inputs of a matrix that are left out, layer by layer: which of them go, and what becomes of the rest. With X what the
//! matrix W is multiplied by over a calibration text, and K the inputs that stay,
//!
//! ```text
//! W' = W X Xₖᵀ (Xₖ Xₖᵀ + λI)⁻¹
//! ```
//!
//! does on that text what W did as nearly as K can: least squares, of which the Gram matrix X Xᵀ is all that is needed.
//! Each layer is fitted to what the layers before it, cut and fitted, have left.

use super::Prune;
use crate::calibrate::Calibration;
use crate::resume::LayersDone;
use crate::symmetric::Factor;
use crate::transform::Checkpoint;
use crate::transform::cut::stored_dtype;
use crate::walk::{Gram, Walk};
use anyhow::{Context, Result, bail, ensure};
use bantam_model::names::Part;
use bantam_model::{Config, Weights};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// λ, of the mean of the diagonal.
pub(super) const DAMPING: f64 = 1e-3;

/// A matrix whose inputs are to be chosen from.
pub(super) struct Matrix<'m> {
    pub layer: usize,
    /// (out, columns)
    pub weight: &'m [f32],
    pub out: usize,
    pub columns: usize,
    /// Of what it is multiplied by, where the model has read a text.
    pub gram: Option<&'m Gram>,
}

/// What became of the matrices of all layers.
#[derive(Default)]
pub(super) struct Cutting {
    /// Of each layer the inputs that stay, in order.
    pub kept: Vec<Vec<usize>>,
    /// Matrices that were fitted anew, as small as they are now.
    pub made: HashMap<String, Tensor>,
    /// Of each layer what is lost of the matrix's output, without and with the fit: ‖W X − W' Xₖ‖² / ‖W X‖².
    pub errors: Vec<(f64, f64)>,
}

impl Cutting {
    /// For the note.
    pub(super) fn errors(&self) -> Json {
        self.errors.iter().map(|(plain, fitted)| json!({ "without": plain, "with": fitted })).collect()
    }

    /// The means over layers, in words; nothing where they were not computed.
    pub(super) fn words(&self, compensates: bool) -> String {
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
            100.0 * self.errors.iter().map(of).sum::<f64>() / self.errors.len().max(1) as f64
        };
        match (self.errors.is_empty(), compensates) {
            (true, _) => String::new(),
            (false, false) => format!("; {:.1}% of the layers' outputs is lost on the text", mean(&|error| error.0)),
            (false, true) => format!(
                "; {:.1}% of the layers' outputs is lost on the text, {:.1}% before the rest was fitted",
                mean(&|error| error.1),
                mean(&|error| error.0)
            ),
        }
    }
}

/// Chooses inputs of the part's matrix in every layer, and fits what is left where the step asks for it.
pub(super) fn cut(
    prune: &Prune,
    part: Part,
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    choose: &mut dyn FnMut(&Matrix) -> Result<Vec<usize>>,
) -> Result<Cutting> {
    let config = checkpoint.config()?;
    let reads = prune.reads_text(&prune.aim()?);
    match reads {
        true => {
            let done = calibration.layers_done(&checkpoint.form, &prune.settings());
            cut_walking(prune, part, config, checkpoint.weights(), calibration, done, choose)
        }
        false => cut_blind(part, config, checkpoint.weights(), calibration, choose),
    }
}

fn cut_walking(
    prune: &Prune,
    part: Part,
    config: &Config,
    weights: &dyn Weights,
    calibration: &Calibration,
    done: LayersDone,
    choose: &mut dyn FnMut(&Matrix) -> Result<Vec<usize>>,
) -> Result<Cutting> {
    let windows = prune.windows(config, calibration)?;
    let mut walk = Walk::new(config, weights, &windows)?.until(calibration.cancel());
    let mut cutting = Cutting::default();
    while let Some(layer) = walk.layer() {
        calibration.step("layer", layer, walk.layers())?;
        let name = matrix_name(config, part, layer)?;
        let whole = walk.matrix(&name)?;
        let (out, columns) = whole.dims2()?;
        let weight = finite(layer, &name, &whole)?;
        let cut = match done.find(layer).and_then(|kept| LayerCut::of_tensors(&kept)) {
            Some(cut) => cut,
            None => {
                let grams = walk.grams(std::slice::from_ref(&name), 0..walk.windows())?;
                let gram = grams.get(&name).with_context(|| format!("layer {layer} has no {name}"))?;
                let matrix = Matrix { layer, weight: &weight, out, columns, gram: Some(gram) };
                let cut = LayerCut::new(&matrix, choose(&matrix)?, prune.compensates())?;
                done.keep(layer, &cut.tensors()?)?;
                cut
            }
        };
        if prune.compensates() {
            let dtype = stored_dtype(&weights.linear(&name, out, columns)?);
            let made = Tensor::from_slice(&cut.smaller, (out, cut.kept.len()), &Device::Cpu)?.to_dtype(dtype)?;
            cutting.made.insert(name.clone(), made);
        }
        walk.replace(&name, Tensor::from_vec(spread(&cut.smaller, columns, &cut.kept), (out, columns), &Device::Cpu)?)?;
        cutting.errors.push(cut.errors);
        cutting.kept.push(cut.kept);
        walk.advance()?;
    }
    done.finish();
    Ok(cutting)
}

/// What became of one layer's matrix.
struct LayerCut {
    kept: Vec<usize>,
    /// (out, kept)
    smaller: Vec<f32>,
    errors: (f64, f64),
}

impl LayerCut {
    fn new(matrix: &Matrix, kept: Vec<usize>, compensates: bool) -> Result<LayerCut> {
        let plain = columns_of(matrix.weight, matrix.columns, &kept);
        let plain_error = error(matrix, &kept, &plain)?;
        let (smaller, fitted_error) = match compensates {
            false => (plain, plain_error),
            true => fitted(matrix, &kept, plain, plain_error)?,
        };
        Ok(LayerCut { kept, smaller, errors: (plain_error, fitted_error) })
    }

    fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let kept: Vec<u32> = self.kept.iter().map(|&column| column as u32).collect();
        Ok(HashMap::from([
            ("kept".to_owned(), Tensor::new(kept, &Device::Cpu)?),
            ("smaller".to_owned(), Tensor::new(&self.smaller[..], &Device::Cpu)?),
            ("errors".to_owned(), Tensor::new(&[self.errors.0, self.errors.1], &Device::Cpu)?),
        ]))
    }

    fn of_tensors(tensors: &HashMap<String, Tensor>) -> Option<LayerCut> {
        let kept: Vec<u32> = tensors.get("kept")?.to_vec1().ok()?;
        let errors: Vec<f64> = tensors.get("errors")?.to_vec1().ok()?;
        Some(LayerCut {
            kept: kept.into_iter().map(|column| column as usize).collect(),
            smaller: tensors.get("smaller")?.to_vec1().ok()?,
            errors: (*errors.first()?, *errors.get(1)?),
        })
    }
}

/// By the weights alone.
fn cut_blind(
    part: Part,
    config: &Config,
    weights: &dyn Weights,
    calibration: &Calibration,
    choose: &mut dyn FnMut(&Matrix) -> Result<Vec<usize>>,
) -> Result<Cutting> {
    let mut cutting = Cutting::default();
    let columns = if part == Part::Output { config.q_dim() } else { config.ffn };
    for layer in 0..config.layers.len() {
        calibration.step("layer", layer, config.layers.len())?;
        let name = matrix_name(config, part, layer)?;
        let whole = weights.linear(&name, config.dim, columns)?.dequantized()?;
        let weight = finite(layer, &name, &whole)?;
        cutting.kept.push(choose(&Matrix { layer, weight: &weight, out: config.dim, columns, gram: None })?);
    }
    Ok(cutting)
}

fn matrix_name(config: &Config, part: Part, layer: usize) -> Result<String> {
    let stem = config.architecture.stem(part, layer, 0);
    Ok(format!("{}.weight", stem.with_context(|| format!("layer {layer} has no such part"))?))
}

/// A matrix's numbers, all of which are some.
pub(super) fn finite(layer: usize, name: &str, tensor: &Tensor) -> Result<Vec<f32>> {
    let numbers: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    match numbers.iter().find(|x| !x.is_finite()) {
        None => Ok(numbers),
        Some(x) => bail!("layer {layer}: {name} holds {x}; the model's weights are damaged"),
    }
}

/// Some columns of a matrix.
fn columns_of(weight: &[f32], columns: usize, kept: &[usize]) -> Vec<f32> {
    weight.chunks_exact(columns).flat_map(|row| kept.iter().map(|&column| row[column])).collect()
}

/// A matrix with its columns at their old places, and zeros elsewhere.
fn spread(smaller: &[f32], columns: usize, kept: &[usize]) -> Vec<f32> {
    let mut whole = vec![0.0; smaller.len() / kept.len() * columns];
    for (row, from) in whole.chunks_exact_mut(columns).zip(smaller.chunks_exact(kept.len())) {
        kept.iter().zip(from).for_each(|(&column, x)| row[column] = *x);
    }
    whole
}

/// W' by least squares, where it is better than the columns as they were, and its error.
fn fitted(matrix: &Matrix, kept: &[usize], plain: Vec<f32>, plain_error: f64) -> Result<(Vec<f32>, f64)> {
    let Some(fit) = least_squares(matrix, kept) else { return Ok((plain, plain_error)) };
    let fit_error = error(matrix, kept, &fit)?;
    Ok(if fit_error < plain_error { (fit, fit_error) } else { (plain, plain_error) })
}

/// W G[:, K] (G[K, K] + λI)⁻¹; None where what the matrix is multiplied by is nothing.
fn least_squares(matrix: &Matrix, kept: &[usize]) -> Option<Vec<f32>> {
    let (gram, n) = (matrix.gram?, kept.len());
    let factor = damped(gram, kept, DAMPING)?;
    // G[K, :] Wᵀ, (n, out)
    let all = Tensor::from_slice(&gram.sums, (gram.columns, gram.columns), &Device::Cpu).ok()?;
    let rows = Tensor::from_vec(kept.iter().map(|&column| column as u32).collect::<Vec<_>>(), n, &Device::Cpu).ok()?;
    let weight = Tensor::from_slice(matrix.weight, (matrix.out, matrix.columns), &Device::Cpu).ok()?;
    let right = all.index_select(&rows, 0).ok()?.matmul(&weight.t().ok()?).ok()?;
    let mut right: Vec<f64> = right.flatten_all().ok()?.to_dtype(DType::F64).ok()?.to_vec1().ok()?;
    factor.solve(&mut right, matrix.out);
    let turned = (0..matrix.out).flat_map(|row| (0..n).map(move |column| (row, column)));
    Some(turned.map(|(row, column)| right[column * matrix.out + row] as f32).collect())
}

/// The factor of G[K, K] + λI, with a larger λ where that is not positive definite.
pub(super) fn damped(gram: &Gram, kept: &[usize], damping: f64) -> Option<Factor> {
    let n = kept.len();
    let at = |row: usize, column: usize| f64::from(gram.sums[row * gram.columns + column]);
    let mean = kept.iter().map(|&column| at(column, column)).sum::<f64>() / n.max(1) as f64;
    if mean.is_nan() || mean <= 0.0 {
        return None;
    }
    [1.0, 10.0, 100.0, 1000.0].iter().find_map(|times| {
        let mut part: Vec<f64> = kept.iter().flat_map(|&row| kept.iter().map(move |&column| at(row, column))).collect();
        part.iter_mut().step_by(n + 1).for_each(|x| *x += damping * times * mean);
        Factor::of(part, n)
    })
}

/// ‖W X − W' Xₖ‖² / ‖W X‖², by the Gram matrix.
fn error(matrix: &Matrix, kept: &[usize], smaller: &[f32]) -> Result<f64> {
    let gram = matrix.gram.context("an error is one on a text")?;
    let off: Vec<f32> =
        matrix.weight.iter().zip(spread(smaller, matrix.columns, kept)).map(|(w, made)| w - made).collect();
    let (off, whole) = (energy(&off, matrix, gram)?, energy(matrix.weight, matrix, gram)?);
    ensure!(off.is_finite() && whole.is_finite(), "layer {}: its output is not finite", matrix.layer);
    Ok(if whole > 0.0 { off.max(0.0) / whole } else { 0.0 })
}

/// ‖W X‖² of some columns of W alone; None where the model has read no text.
pub(super) fn energy_of(matrix: &Matrix, columns: &[usize]) -> Option<f64> {
    let (gram, n) = (matrix.gram?, matrix.columns);
    let pairs = |row: &[f32]| -> f64 {
        let of = |i: &usize| {
            let sums = &gram.sums[i * n..(i + 1) * n];
            f64::from(row[*i]) * columns.iter().map(|&j| f64::from(sums[j]) * f64::from(row[j])).sum::<f64>()
        };
        columns.iter().map(of).sum()
    };
    Some(matrix.weight.par_chunks_exact(n).map(pairs).sum())
}

/// tr(D G Dᵀ).
fn energy(rows: &[f32], matrix: &Matrix, gram: &Gram) -> Result<f64> {
    let d = Tensor::from_slice(rows, (matrix.out, matrix.columns), &Device::Cpu)?;
    let g = Tensor::from_slice(&gram.sums, (gram.columns, gram.columns), &Device::Cpu)?;
    let product: Vec<f32> = d.matmul(&g)?.flatten_all()?.to_vec1()?;
    Ok(product.iter().zip(rows).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
}

/// Inputs that go one set after the other, each time the one whose leaving adds the least to the output's error once the
/// others make up for it (the block form of Optimal Brain Surgeon).
pub(super) struct Surgeon {
    columns: usize,
    /// (out, columns)
    weight: Vec<f64>,
    /// (G + λI)⁻¹ of what is left.
    inverse: Vec<f64>,
}

impl Surgeon {
    /// None where what the matrix is multiplied by is nothing.
    pub(super) fn new(matrix: &Matrix) -> Option<Surgeon> {
        let all: Vec<usize> = (0..matrix.columns).collect();
        let factor = damped(matrix.gram?, &all, DAMPING)?;
        let weight = matrix.weight.iter().map(|&x| f64::from(x)).collect();
        Some(Surgeon { columns: matrix.columns, weight, inverse: factor.inverse() })
    }

    /// What is added to the error where these go.
    pub(super) fn cost(&self, inputs: &[usize]) -> f64 {
        let out = self.weight.len() / self.columns;
        if let [one] = inputs {
            let squares: f64 = (0..out).map(|row| self.weight[row * self.columns + one].powi(2)).sum();
            return squares / self.inverse[one * self.columns + one];
        }
        let own: Vec<f64> = inputs
            .iter()
            .flat_map(|&input| (0..out).map(move |row| (row, input)))
            .map(|(row, input)| self.weight[row * self.columns + input])
            .collect();
        let Some(factor) = self.factor(inputs) else { return f64::INFINITY };
        let mut solved = own.clone();
        factor.solve(&mut solved, out);
        own.iter().zip(&solved).map(|(a, b)| a * b).sum()
    }

    /// Takes them out: the others make up for them.
    pub(super) fn remove(&mut self, inputs: &[usize]) {
        let n = self.columns;
        let Some(factor) = self.factor(inputs) else { return };
        let rows: Vec<f64> =
            inputs.iter().flat_map(|&input| self.inverse[input * n..(input + 1) * n].to_vec()).collect();
        // [H⁻¹]ₛₛ⁻¹ H⁻¹[S, :]
        let mut solved = rows;
        factor.solve(&mut solved, n);
        for matrix in [&mut self.weight, &mut self.inverse] {
            for row in matrix.chunks_exact_mut(n) {
                let own: Vec<f64> = inputs.iter().map(|&input| row[input]).collect();
                for (by, solved) in own.iter().zip(solved.chunks_exact(n)) {
                    row.iter_mut().zip(solved).for_each(|(x, s)| *x -= by * s);
                }
            }
        }
    }

    fn factor(&self, inputs: &[usize]) -> Option<Factor> {
        let pairs = inputs.iter().flat_map(|&row| inputs.iter().map(move |&column| row * self.columns + column));
        Factor::of(pairs.map(|at| self.inverse[at]).collect(), inputs.len())
    }
}
