//! Sensitivity: what the model's predictions lose where one tensor is stored in a smaller type. Of every tensor the
//! squared error of each type is computed, weighed by importance, and the KL divergence of one of them is measured by
//! having the model read with that tensor rounded and all others as they are. The others follow by the ratio of their
//! errors: to the second order, divergence grows with the square of what is changed. Of some tensors a second type is
//! measured, too, so that it can be seen how far that holds.

use crate::GgufTensor;
use crate::allocate::Choice;
use crate::block;
use crate::importance::Importance;
use crate::source::{Rows, Source};
use crate::transform::Checkpoint;
use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk;
use bantam_core::sync::lock;
use bantam_format::ggml::Type;
use bantam_format::gguf;
use bantam_kernels::isa;
use bantam_model::checkpoint::gguf::Placed;
use bantam_model::divergence::Windows;
use bantam_model::{self as model, Config, Decoder, Linear, Weights};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

/// The types that a search chooses from.
const TYPES: [Type; 20] = [
    Type::IQ1_S,
    Type::IQ1_M,
    Type::IQ2_XXS,
    Type::IQ2_XS,
    Type::IQ2_S,
    Type::Q2_K,
    Type::IQ3_XXS,
    Type::IQ3_S,
    Type::Q3_K,
    Type::IQ4_XS,
    Type::IQ4_NL,
    Type::Q4_0,
    Type::Q4_K,
    Type::Q4_1,
    Type::Q5_0,
    Type::Q5_K,
    Type::Q5_1,
    Type::Q6_K,
    Type::Q8_0,
    Type::F16,
];

/// Tokens of a window, and how many are read.
const WINDOW: usize = 256;
const WINDOWS: usize = 3;
/// Tensors whose rounding is tried side by side: the base reads once for all.
const SIDE_BY_SIDE: usize = 4;
/// Of each so many tensors one is measured in a second type.
const CHECKED: usize = 12;

/// What is known of a model's tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sensitivity {
    /// In the order of the file.
    pub tensors: Vec<TensorSensitivity>,
}

/// What is known of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorSensitivity {
    /// Its GGUF name.
    pub name: String,
    /// Σ of importance times squared error, by type.
    pub errors: Vec<(String, f64)>,
    /// KL divergences that were measured, by type; the first gives the scale.
    pub measured: Vec<(String, f64)>,
}

impl TensorSensitivity {
    fn error(&self, kind: &str) -> Option<f64> {
        self.errors.iter().find(|(known, _)| known == kind).map(|(_, error)| *error)
    }

    /// The divergence that a type is expected to make.
    pub fn expected(&self, kind: Type) -> Option<f64> {
        let (probe, divergence) = self.measured.first()?;
        let (error, of_probe) = (self.error(kind.name())?, self.error(probe)?);
        Some(if of_probe > 0.0 { divergence * error / of_probe } else { 0.0 })
    }

    /// How many times the measured divergence the expected one is, where a second type was measured.
    pub fn check(&self) -> Option<f64> {
        let (kind, measured) = self.measured.get(1)?;
        let kind = TYPES.into_iter().find(|known| known.name() == kind)?;
        Some(self.expected(kind)? / measured).filter(|ratio| ratio.is_finite())
    }

    pub(crate) fn choices(&self, weights: u64) -> Vec<Choice<Type>> {
        let choice = |kind: Type| {
            let bytes = kind.bytes(weights as usize)? as u64;
            Some(Choice { kind, bytes, loss: self.expected(kind)? })
        };
        TYPES.into_iter().filter_map(choice).collect()
    }
}

impl Sensitivity {
    /// What was kept of an earlier pass, whole or not.
    fn kept(file: &Path) -> Sensitivity {
        let read = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.unwrap_or_default()
    }

    /// Measures what is not kept in `file` yet, tensor by tensor, and keeps it there: a pass that was stopped goes on.
    ///
    /// # Errors
    /// Where the model cannot be read, the disk does not take what was found, or it is cancelled.
    #[allow(clippy::too_many_arguments, reason = "a pass over a model: what is read, what is known, who hears of it")]
    pub(crate) fn measure(
        source: &Source,
        checkpoint: &Checkpoint,
        tensors: &[GgufTensor],
        importance: &Importance,
        windows: &dyn Fn() -> Result<Windows>,
        file: &Path,
        cancel: &Cancel,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Sensitivity> {
        let mut known = Sensitivity::kept(file);
        known.tensors.retain(|known| tensors.iter().any(|tensor| tensor.name == known.name));
        let config = checkpoint.config()?;
        let cached = Cached::new(checkpoint.weights());
        let mut base = None;
        let mut reading = None;
        for some in tensors.chunks(SIDE_BY_SIDE) {
            let missing: Vec<&GgufTensor> =
                some.iter().filter(|tensor| !known.tensors.iter().any(|one| one.name == tensor.name)).collect();
            if missing.is_empty() {
                continue;
            }
            ensure!(!cancel.is_cancelled(), "cancelled");
            if base.is_none() {
                base = Some(Decoder::new(config, &cached)?);
                reading = Some(windows()?);
            }
            let (base, windows) = base.as_ref().zip(reading.as_ref()).context("they were made just now")?;
            let mut probes: Vec<(&GgufTensor, Type)> = Vec::new();
            for tensor in &missing {
                let number = tensors.iter().position(|one| one.name == tensor.name).unwrap_or(0);
                let kinds = probe_types(tensor);
                probes
                    .extend(kinds.iter().take(if number % CHECKED == 0 { 2 } else { 1 }).map(|kind| (*tensor, *kind)));
            }
            let found = divergences(config, &cached, base, importance, windows, &probes)?;
            for tensor in missing {
                let own = probes.iter().zip(&found).filter(|((of, _), _)| of.name == tensor.name);
                known.tensors.push(TensorSensitivity {
                    name: tensor.name.clone(),
                    errors: errors(source, checkpoint, tensor, importance)?,
                    measured: own.map(|((_, kind), divergence)| (kind.name().to_owned(), *divergence)).collect(),
                });
            }
            disk::write(file, &serde_json::to_vec(&known)?).with_context(|| file.display().to_string())?;
            progress(known.tensors.len(), tensors.len());
        }
        Ok(known)
    }

    /// The tensor of a name.
    pub fn of(&self, name: &str) -> Option<&TensorSensitivity> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

/// The bytes that a tensor takes in a file in each type that a search chooses from.
pub(crate) fn sizes(tensor: &GgufTensor) -> impl Iterator<Item = u64> {
    let (columns, weights) = (tensor.shape.last().copied().unwrap_or(0), tensor.weights() as usize);
    let fitting = TYPES.into_iter().filter(move |kind| columns.is_multiple_of(kind.block()));
    fitting.filter_map(move |kind| Some(gguf::aligned(kind.bytes(weights)? as u64)))
}

/// The windows that are read, spread over a text.
pub(crate) fn windows(tokens: Vec<u32>, tokenizer: &model::Tokenizer, config: &Config) -> Result<Windows> {
    let len = WINDOW.min(config.max_positions);
    let count = tokens.len() / len;
    ensure!(count > 0, "the text has {} tokens, and at least {len} are needed to see what a model loses", tokens.len());
    let each = (count / WINDOWS).max(1);
    let spread = (0..WINDOWS.min(count)).flat_map(|number| tokens[number * each * len..][..len].to_vec());
    Ok(Windows::of_tokens(spread.collect(), tokenizer, len, None)?)
}

/// The types that a tensor is measured in: one that loses much, so that what is seen is its own, and a gentler one.
fn probe_types(tensor: &GgufTensor) -> [Type; 2] {
    let columns = tensor.shape.last().copied().unwrap_or(0);
    match columns.is_multiple_of(256) {
        true => [Type::Q3_K, Type::Q4_K],
        false => [Type::Q4_0, Type::Q5_0],
    }
}

/// Mean KL divergences of the model with one tensor rounded each.
fn divergences(
    config: &Config,
    cached: &Cached,
    base: &Decoder,
    importance: &Importance,
    windows: &Windows,
    probes: &[(&GgufTensor, Type)],
) -> Result<Vec<f64>> {
    let decoder = |(tensor, kind): &(&GgufTensor, Type)| {
        let rounded = Rounded { inner: cached, config, tensor: &tensor.name, kind: *kind, importance };
        Decoder::new(config, &rounded)
    };
    let variants = probes.iter().map(decoder).collect::<model::Result<Vec<Decoder>>>()?;
    let variants: Vec<&Decoder> = variants.iter().collect();
    let mut sums = vec![0.0; probes.len()];
    for number in 0..windows.count() {
        let found = windows.compare_decoders(number, config.vocab, base, &variants)?;
        for (sum, scored) in sums.iter_mut().zip(found) {
            *sum += scored.iter().map(|token| token.divergence).sum::<f64>();
        }
    }
    let tokens = (windows.count() * windows.scored()) as f64;
    Ok(sums.into_iter().map(|sum| sum / tokens).collect())
}

/// Σ of importance times squared error of a tensor in each type that its rows fit.
fn errors(
    source: &Source,
    checkpoint: &Checkpoint,
    tensor: &GgufTensor,
    importance: &Importance,
) -> Result<Vec<(String, f64)>> {
    let rows = source.rows(tensor, checkpoint.weights())?;
    let matrices = crate::matrices(tensor, &rows);
    let all = importance.of_tensor(&tensor.name, matrices, rows.columns)?;
    let fitting = TYPES.into_iter().filter(|kind| rows.columns.is_multiple_of(kind.block()));
    let error = |kind: Type| (kind.name().to_owned(), error_of(&rows, kind, all.as_deref(), matrices));
    Ok(fitting.map(error).collect())
}

fn error_of(rows: &Rows, kind: Type, importance: Option<&[f32]>, matrices: usize) -> f64 {
    let rows_per_matrix = (rows.count / matrices).max(1);
    let one = |index: usize| {
        let mut row = vec![0.0; rows.columns];
        rows.read(index, &mut row);
        let columns = index / rows_per_matrix * rows.columns;
        let own = importance.map(|all| &all[columns..columns + rows.columns]);
        let before = row.clone();
        through(kind, &mut row, own);
        let miss = before.iter().zip(&row).enumerate();
        miss.map(|(i, (a, b))| f64::from(own.map_or(1.0, |own| own[i])) * f64::from(a - b).powi(2)).sum::<f64>()
    };
    // summed in order, so that the same comes out on any number of threads
    (0..rows.count).into_par_iter().map(one).collect::<Vec<f64>>().iter().sum()
}

/// A row as it is read back from a type.
fn through(kind: Type, row: &mut [f32], importance: Option<&[f32]>) {
    let mut bytes = vec![0; kind.bytes(row.len()).expect("types are tried only where their blocks divide the rows")];
    block::encode(kind, row, importance.filter(|_| kind.is_quantized()), &mut bytes);
    let of_kind = bantam_kernels::block::of(kind).expect("types are tried that are computed with");
    of_kind.decode(isa(), &bytes, row).expect("as many blocks as the row has");
}

/// Weights that are read once and handed out again and again.
struct Cached<'w> {
    inner: &'w dyn Weights,
    tensors: Mutex<HashMap<String, Tensor>>,
    linears: Mutex<HashMap<String, Linear>>,
}

impl<'w> Cached<'w> {
    fn new(inner: &'w dyn Weights) -> Cached<'w> {
        Cached { inner, tensors: Mutex::default(), linears: Mutex::default() }
    }
}

impl Weights for Cached<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        if let Some(found) = lock(&self.tensors).get(name) {
            return Ok(found.clone());
        }
        let read = self.inner.tensor(name, shape)?;
        lock(&self.tensors).insert(name.to_owned(), read.clone());
        Ok(read)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        if let Some(found) = lock(&self.linears).get(name) {
            return Ok(found.clone());
        }
        let read = self.inner.linear(name, out, inp)?;
        lock(&self.linears).insert(name.to_owned(), read.clone());
        Ok(read)
    }
}

/// Weights of which one GGUF tensor has been through a type.
struct Rounded<'w> {
    inner: &'w Cached<'w>,
    config: &'w Config,
    tensor: &'w str,
    kind: Type,
    importance: &'w Importance,
}

impl Weights for Rounded<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        let linear = self.inner.linear(name, out, inp)?;
        let Some(placed) = Placed::of(self.config, name).filter(|placed| placed.tensor == self.tensor) else {
            return Ok(linear);
        };
        let all = self.importance.of_tensor(self.tensor, placed.stacked, inp);
        let all = all.map_err(|error| model::Error::Request(error.to_string()))?;
        let own = all.as_deref().map(|all| &all[placed.index * inp..(placed.index + 1) * inp]);
        let mut numbers = linear.dequantized()?.flatten_all()?.to_vec1::<f32>()?;
        let kind = self.kind;
        let rounded = |row: &mut [f32]| match &placed.columns {
            None => through(kind, row, own),
            // blocks are of columns that stand together in the file
            Some(columns) => {
                let mut stored: Vec<f32> = columns.iter().map(|&column| row[column]).collect();
                through(kind, &mut stored, own);
                stored.iter().zip(columns).for_each(|(x, &column)| row[column] = *x);
            }
        };
        numbers.par_chunks_mut(inp.max(1)).for_each(rounded);
        Ok(Linear::dense(Tensor::from_vec(numbers, (out, inp), &Device::Cpu)?))
    }
}
