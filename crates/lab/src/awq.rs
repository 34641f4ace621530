//! Scaling before rounding (AWQ, Lin et al. 2023, arXiv:2306.00978): inputs that are large are made smaller and the columns
//! that they are multiplied by larger, so that these lose less of themselves when their row is rounded. What makes the
//! inputs smaller is folded into what they come from: the norm before q, k and v and before gate and up; the rows of up
//! before down; the rows of v before o, where heads have their own. The model computes what it computed.

use crate::gptq::{self, Matrix};
use crate::walk::{Gram, Walk};
use anyhow::{Context, Result};
use bantam_format::ggml::Type;
use bantam_model::architecture::{MlpKind, Projections, Residual};
use bantam_model::names::Part;
use bantam_model::{self as model, Config, Linear, StoredTensor, Weights};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The powers of the inputs' sizes that are tried: n-tenths.
const POWERS: u32 = 10;

/// Rows of a matrix that powers are tried on.
const TRIED: usize = 128;

/// What a tensor of the checkpoint is multiplied by.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Fold {
    /// Each column of a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<f32>>,
    /// Each row of a matrix, or each number of a bias or a norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<f32>>,
    /// What a norm adds to its weights before it multiplies by them.
    #[serde(default)]
    plus: f32,
}

/// By checkpoint names.
pub(crate) type Folds = BTreeMap<String, Fold>;

/// Matrices that read the same, and what it comes from.
struct Site {
    readers: Vec<String>,
    /// Tensors whose rows, or numbers, are divided.
    origins: Vec<(String, f32)>,
}

/// Looks for the scales of a layer, and lays them over it. `kinds` are the types that its matrices will have.
pub(crate) fn fold(config: &Config, walk: &mut Walk, kinds: &BTreeMap<String, Type>) -> Result<Folds> {
    let mut folds = Folds::new();
    for site in sites(config, walk)? {
        let readers: Vec<String> = site.readers.iter().filter(|name| kinds.contains_key(*name)).cloned().collect();
        // a reader that is not rounded is scaled with the others
        let Some(first) = readers.first() else { continue };
        let grams = walk.grams(std::slice::from_ref(first), 0..walk.windows())?;
        let Some(scales) = grams.get(first).map(|gram| scales(walk, &readers, kinds, gram)).transpose()?.flatten()
        else {
            continue;
        };
        let inverse: Vec<f32> = scales.iter().map(|scale| 1.0 / scale).collect();
        for name in &site.readers {
            folds.entry(name.clone()).or_default().columns = Some(scales.clone());
        }
        for (name, plus) in &site.origins {
            let fold = folds.entry(name.clone()).or_default();
            (fold.rows, fold.plus) = (Some(inverse.clone()), *plus);
        }
    }
    lay(&folds, walk)?;
    Ok(folds)
}

/// Lays the scales of a layer over it.
pub(crate) fn lay(folds: &Folds, walk: &mut Walk) -> Result<()> {
    for (name, fold) in folds {
        let tensor = walk.tensor(name)?;
        walk.replace(name, fold.of(&tensor)?)?;
    }
    Ok(())
}

/// What can be folded in a layer of this family.
fn sites(config: &Config, walk: &Walk) -> Result<Vec<Site>> {
    let layer = walk.layer().context("a layer is ahead")?;
    let architecture = config.architecture;
    let stem = |part: Part| architecture.stem(part, layer, 0);
    let matrix = |part: Part| Some(format!("{}.weight", stem(part)?));
    let there = walk.matrices()?;
    let readers = |parts: &[Part]| -> Vec<String> {
        parts.iter().filter_map(|part| matrix(*part)).filter(|name| there.contains(name)).collect()
    };
    let with_bias = |part: Part, biased: bool, plus: f32| -> Vec<(String, f32)> {
        let Some(stem) = stem(part) else { return Vec::new() };
        let bias = biased.then(|| (format!("{stem}.bias"), 0.0));
        [(format!("{stem}.weight"), plus)].into_iter().chain(bias).collect()
    };
    let plus = if architecture.norm.is_plus_one() { 1.0 } else { 0.0 };
    let norm = |part: Part| with_bias(part, architecture.norm.has_bias(), plus);
    let has_norm =
        architecture.residual != Residual::PostNorm && !config.shares_norm() && architecture.norm.has_weight();
    let dense = config.experts.is_none() || !config.layers[layer].experts;
    let mut sites = Vec::new();
    if has_norm {
        sites.push(Site {
            readers: readers(&[Part::Q, Part::K, Part::V, Part::Qkv]),
            origins: norm(Part::AttentionNorm),
        });
    }
    if has_norm && dense {
        sites.push(Site { readers: readers(&[Part::Gate, Part::Up, Part::GateUp]), origins: norm(Part::MlpNorm) });
    }
    let passes = config.heads == config.kv_heads && config.qkv_clip.is_none();
    if architecture.projections == Projections::Separate && passes {
        sites.push(Site { readers: readers(&[Part::Output]), origins: with_bias(Part::V, config.biases.qkv, 0.0) });
    }
    if dense && architecture.mlp == MlpKind::Gated {
        sites.push(Site { readers: readers(&[Part::Down]), origins: with_bias(Part::Up, config.biases.mlp, 0.0) });
    }
    Ok(sites.into_iter().filter(|site| !site.readers.is_empty() && !site.origins.is_empty()).collect())
}

/// The scales under which the readers lose least when each weight is rounded for itself; None where that is none.
fn scales(walk: &Walk, readers: &[String], kinds: &BTreeMap<String, Type>, gram: &Gram) -> Result<Option<Vec<f32>>> {
    let sizes = gram.mean_squares();
    let samples = readers.iter().map(|name| sample(&walk.matrix(name)?)).collect::<Result<Vec<Vec<f32>>>>()?;
    let mut best = (None, f64::INFINITY);
    for power in 0..=POWERS {
        let scales = of_power(&sizes, power as f32 / POWERS as f32);
        let mut lost = 0.0;
        for (name, numbers) in readers.iter().zip(&samples) {
            lost += loss(Matrix { columns: gram.columns, numbers }, kinds[name], &scales, &sizes, gram)?;
        }
        if lost < best.1 {
            best = ((power > 0).then_some(scales), lost);
        }
    }
    Ok(best.0)
}

/// Rows that lie evenly in a matrix.
fn sample(matrix: &Tensor) -> Result<Vec<f32>> {
    let rows = matrix.dim(0)?;
    let every = rows.div_ceil(TRIED).max(1);
    let ids: Vec<u32> = (0..rows).step_by(every).map(|row| row as u32).collect();
    Ok(matrix.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?.flatten_all()?.to_vec1()?)
}

/// The inputs' sizes to a power, about 1; of inputs that are always 0 it is 1.
fn of_power(squares: &[f32], power: f32) -> Vec<f32> {
    let sizes: Vec<f32> = squares.iter().map(|square| square.sqrt().powf(power)).collect();
    let seen = || sizes.iter().copied().filter(|size| *size > 0.0 && size.is_finite());
    let (least, most) = (seen().fold(f32::INFINITY, f32::min), seen().fold(0.0, f32::max));
    let middle = (least * most).sqrt();
    let scale = |size: f32| match size > 0.0 && middle > 0.0 && middle.is_finite() {
        true => (size / middle).clamp(1e-3, 1e3),
        false => 1.0,
    };
    sizes.into_iter().map(scale).collect()
}

/// tr(ΔW H ΔWᵀ) of rows that are scaled, rounded, and scaled back.
fn loss(matrix: Matrix, kind: Type, scales: &[f32], squares: &[f32], gram: &Gram) -> Result<f64> {
    let columns = matrix.columns;
    let scaled: Vec<f32> =
        matrix.numbers.chunks_exact(columns).flat_map(|row| row.iter().zip(scales).map(|(x, by)| x * by)).collect();
    let importance: Vec<f32> = squares.iter().zip(scales).map(|(square, by)| square / (by * by)).collect();
    let mut rounded = gptq::each(Matrix { columns, numbers: &scaled }, kind, Some(&importance))?;
    for row in rounded.values.chunks_exact_mut(columns) {
        row.iter_mut().zip(scales).for_each(|(x, by)| *x /= by);
    }
    Ok(rounded.error_on(matrix, gram))
}

impl Fold {
    /// Whether it is of a matrix whose inputs were scaled.
    pub(crate) fn has_columns(&self) -> bool {
        self.columns.is_some()
    }

    fn of(&self, tensor: &Tensor) -> model::Result<Tensor> {
        let own = |numbers: &[f32]| Tensor::new(numbers, &Device::Cpu);
        if tensor.rank() == 1 {
            let Some(rows) = &self.rows else { return Ok(tensor.clone()) };
            return Ok((((tensor + f64::from(self.plus))? * own(rows)?)? - f64::from(self.plus))?);
        }
        let mut scaled = tensor.clone();
        if let Some(columns) = &self.columns {
            scaled = scaled.broadcast_mul(&own(columns)?)?;
        }
        if let Some(rows) = &self.rows {
            scaled = scaled.broadcast_mul(&own(rows)?.unsqueeze(1)?)?;
        }
        Ok(scaled)
    }
}

/// Weights with scales folded into them.
pub(crate) struct Folded<W> {
    pub(crate) inner: W,
    pub(crate) folds: Folds,
}

impl<W: Weights> Weights for Folded<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        let tensor = self.inner.tensor(name, shape)?;
        self.folds.get(name).map_or(Ok(tensor.clone()), |fold| fold.of(&tensor))
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        let linear = self.inner.linear(name, out, inp)?;
        match self.folds.get(name) {
            None => Ok(linear),
            Some(fold) => Ok(Linear::dense(fold.of(&linear.dequantized()?)?)),
        }
    }

    fn stored(&self, name: &str) -> model::Result<Option<StoredTensor<'_>>> {
        if self.folds.contains_key(name) { Ok(None) } else { self.inner.stored(name) }
    }
}
