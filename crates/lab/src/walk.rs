//! The layer walk: a calibration text goes through a model layer by layer, all of its windows through one layer before
//! the next is looked at. Whoever walks along sees what each matrix of the layer is multiplied by, may replace its
//! weights, and finds at the next layer the inputs that the changed weights make. Memory holds the weights as they are
//! stored, one layer in f32, and the windows' hidden states.
//!
//! ```text
//! let mut walk = Walk::new(config, weights, &windows)?;
//! while let Some(layer) = walk.layer() {
//!     let grams = walk.grams(&walk.matrices()?, 0..walk.windows())?;    // as often as wanted, and of some at a time
//!     walk.replace(name, changed)?;
//!     walk.advance()?;
//! }
//! ```
//!
//! A channel or a head that is taken out later is one of zeros here, and a layer that is taken out is skipped.

use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::sync::lock;
use bantam_model::pieces::{Ends, OneLayer};
use bantam_model::{self as model, Config, InputObserver, Linear, Observed, Span, Weights};
use candle_core::{DType, Tensor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A text on its way through a model.
pub struct Walk<'a> {
    config: &'a Config,
    weights: &'a dyn Weights,
    ends: Ends,
    /// What each window is at the layer that comes next, (T, dim) each.
    hidden: Vec<Tensor>,
    /// The same in the model as it is, where both are held against each other.
    original: Option<Vec<Tensor>>,
    next: usize,
    layer: Held<'a>,
    cancel: Cancel,
    progress: Option<&'a dyn Fn(usize, usize)>,
}

/// XᵀX of what a matrix is multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    /// How many inputs the matrix has.
    pub columns: usize,
    /// Rows that were seen: one a token, fewer for an expert that not every token goes to.
    pub rows: u64,
    /// (columns, columns), symmetric.
    pub sums: Vec<f32>,
}

/// What became of the hidden states in a layer that was walked through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// The layer's number, from 0.
    pub layer: usize,
    /// How far what leaves it lies from what leaves it in the untouched model: ‖x − x₀‖ / ‖x₀‖, the mean over tokens.
    /// None where that is not followed.
    pub error: Option<f64>,
}

impl<'a> Walk<'a> {
    /// Looks up the tokens of all windows, each a sequence of its own, and stands before the first layer.
    ///
    /// # Errors
    /// Where there is no text, a token or a window does not fit the model, or its embedding cannot be read.
    pub fn new(config: &'a Config, weights: &'a dyn Weights, windows: &[Vec<u32>]) -> Result<Walk<'a>> {
        let windows: Vec<&Vec<u32>> = windows.iter().filter(|window| !window.is_empty()).collect();
        ensure!(!windows.is_empty(), "there is no text to calibrate on");
        let ends = Ends::new(config, weights)?;
        let hidden = windows.iter().map(|window| ends.embed(window, &[span(window.len())]));
        Ok(Walk {
            hidden: hidden.collect::<model::Result<_>>()?,
            config,
            weights,
            ends,
            original: None,
            next: 0,
            layer: Held::new(weights),
            cancel: Cancel::new(),
            progress: None,
        })
    }

    /// Ends with an error once this is set.
    pub fn until(self, cancel: &Cancel) -> Walk<'a> {
        Walk { cancel: cancel.clone(), ..self }
    }

    /// Says how many layers of how many are done.
    pub fn with_progress(self, progress: &'a dyn Fn(usize, usize)) -> Walk<'a> {
        Walk { progress: Some(progress), ..self }
    }

    /// Carries the untouched model's hidden states along, so that each layer's error is known. Twice the activations, and
    /// one pass a layer more.
    pub fn beside_the_original(self) -> Walk<'a> {
        Walk { original: Some(self.hidden.clone()), ..self }
    }

    /// The layer that comes next; None behind the last.
    pub fn layer(&self) -> Option<usize> {
        (self.next < self.layers()).then_some(self.next)
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.config.layers.len()
    }

    /// How many windows are on the way.
    pub fn windows(&self) -> usize {
        self.hidden.len()
    }

    /// The hidden states that the layer ahead reads, (T, dim) for each window.
    pub fn hidden(&self) -> &[Tensor] {
        &self.hidden
    }

    /// The checkpoint names of the layer's matrices, in the order in which it multiplies: nothing is behind itself.
    ///
    /// # Errors
    /// Behind the last layer, and where the layer's weights cannot be read.
    pub fn matrices(&self) -> Result<Vec<String>> {
        let layer = self.built(&self.layer)?;
        Ok(layer.linears().into_iter().map(|(name, _)| name).collect())
    }

    /// The layer's matrix of that name as it is now, (out, inp) f32.
    ///
    /// # Errors
    /// Where the layer ahead has no such matrix, or its weights cannot be read.
    pub fn matrix(&self, name: &str) -> Result<Tensor> {
        let layer = self.built(&self.layer)?;
        let found = layer.linears().into_iter().find(|(known, _)| known == name);
        let (_, linear) = found.with_context(|| format!("layer {} has no matrix {name}", self.next))?;
        Ok(linear.dequantized()?)
    }

    /// The layer's tensor of that name as it is now, f32: a matrix, (out, inp), a norm or a bias.
    ///
    /// # Errors
    /// Where the layer ahead has no such tensor, or its weights cannot be read.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.built(&self.layer)?;
        let found = lock(&self.layer.tensors).get(name).cloned();
        found.with_context(|| format!("layer {} has no tensor {name}", self.next))
    }

    /// Puts a matrix, or a norm or a bias, in the place of the layer's own from now on, f32 and of its shape.
    ///
    /// # Errors
    /// Where it is of another shape than the one that stands there.
    pub fn replace(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        self.built(&self.layer)?;
        let shape = self.layer.shape(name);
        let shape = shape.with_context(|| format!("layer {} has no tensor {name}", self.next))?;
        ensure!(
            shape == tensor.dims(),
            "{name} has shape {shape:?}, and {:?} cannot stand in its place",
            tensor.dims()
        );
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        lock(&self.layer.tensors).insert(name.to_owned(), tensor);
        Ok(())
    }

    /// Shows what some of the layer's matrices are multiplied by, window by window, (T, inp) each: `see` hears the
    /// window's number, the matrix and its input. An expert that no token of a window goes to is not shown there.
    ///
    /// # Errors
    /// Where the layer cannot be computed, `see` fails, or it is cancelled.
    pub fn inputs(
        &self,
        matrices: &[String],
        over: Range<usize>,
        see: &mut dyn FnMut(usize, &str, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let watch = Arc::new(Watch::of(matrices));
        let layer = OneLayer::new(self.config, &Observed::new(&self.layer, watch.clone()), self.ahead()?)?;
        for (number, x) in self.hidden.iter().enumerate().take(over.end).skip(over.start) {
            self.go_on()?;
            let passed = layer.forward(x, &[span(x.dim(0)?)]);
            // what lies behind the last matrix that is watched is not computed
            if !watch.has_seen_all.swap(false, Ordering::Relaxed) {
                passed?;
            }
            let seen = std::mem::take(&mut *lock(&watch.seen));
            seen.iter().try_for_each(|(name, x)| see(number, name, x))?;
        }
        Ok(())
    }

    /// The Gram matrices of what some of the layer's matrices are multiplied by in some windows. Matrices that read the
    /// same share one; an expert that no token went to has none.
    ///
    /// # Errors
    /// As `inputs`, and where what a matrix is multiplied by is not finite.
    pub fn grams(&self, matrices: &[String], over: Range<usize>) -> Result<BTreeMap<String, Arc<Gram>>> {
        let mut found: BTreeMap<String, Gram> = BTreeMap::new();
        // whose Gram matrix is the matrix's own, too
        let mut shared: BTreeMap<String, String> = BTreeMap::new();
        let mut last = None;
        self.inputs(matrices, over, &mut |_, name, x| {
            let reader = match &last {
                Some((id, reader)) if *id == x.id() => String::clone(reader),
                _ => name.to_owned(),
            };
            last = Some((x.id(), reader.clone()));
            let owner = shared.entry(name.to_owned()).or_insert(reader);
            match *owner == name {
                true => found.entry(name.to_owned()).or_insert(Gram::empty(x.dim(1)?)).add(x),
                false => Ok(()),
            }
        })?;
        let mut whole: BTreeMap<String, Arc<Gram>> = BTreeMap::new();
        for (name, gram) in found {
            let gram = gram.mirrored();
            ensure!(
                gram.sums.iter().all(|sum| sum.is_finite()),
                "layer {}: what {name} is multiplied by is not finite; the model's weights may be damaged",
                self.next
            );
            whole.insert(name, Arc::new(gram));
        }
        Ok(shared.into_iter().filter_map(|(name, owner)| Some((name, whole.get(&owner)?.clone()))).collect())
    }

    /// Takes all windows through the layer as it is now, and stands before the next.
    ///
    /// # Errors
    /// Where the layer cannot be computed or what leaves it is not finite, and where it is cancelled.
    pub fn advance(&mut self) -> Result<Passed> {
        let layer = self.built(&self.layer)?;
        let before = std::mem::take(&mut self.hidden);
        self.hidden = self.through(&layer, before)?;
        let error = match self.original.take() {
            None => None,
            Some(original) => {
                let untouched = self.built(&Held::new(self.weights))?;
                let original = self.through(&untouched, original)?;
                let error = distance(&self.hidden, &original)?;
                self.original = Some(original);
                Some(error)
            }
        };
        Ok(Passed { layer: self.step(), error })
    }

    /// Leaves the layer out: the next reads what this one would have read.
    ///
    /// # Errors
    /// As `advance`, where the untouched model is followed.
    pub fn skip(&mut self) -> Result<Passed> {
        self.ahead()?;
        let error = match self.original.take() {
            None => None,
            Some(original) => {
                let original = self.through(&self.built(&Held::new(self.weights))?, original)?;
                let error = distance(&self.hidden, &original)?;
                self.original = Some(original);
                Some(error)
            }
        };
        Ok(Passed { layer: self.step(), error })
    }

    /// What leaves the final norm, which the head is multiplied by, of each window.
    ///
    /// # Errors
    /// Where there are layers ahead, and where it is not finite.
    pub fn end(&self) -> Result<Vec<Tensor>> {
        ensure!(self.layer().is_none(), "layer {} of {} is ahead", self.next, self.layers());
        Ok(self.hidden.iter().map(|x| self.ends.norm(x)).collect::<model::Result<_>>()?)
    }

    fn through(&self, layer: &OneLayer, windows: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let one = |x: Tensor| {
            self.go_on()?;
            Ok(layer.forward(&x, &[span(x.dim(0)?)])?)
        };
        windows.into_iter().map(one).collect()
    }

    fn step(&mut self) -> usize {
        let done = self.next;
        (self.next, self.layer) = (done + 1, Held::new(self.weights));
        if let Some(progress) = self.progress {
            progress(self.next, self.layers());
        }
        done
    }

    fn built(&self, weights: &dyn Weights) -> Result<OneLayer> {
        Ok(OneLayer::new(self.config, weights, self.ahead()?)?)
    }

    fn ahead(&self) -> Result<usize> {
        self.layer().with_context(|| format!("all {} layers are behind", self.layers()))
    }

    fn go_on(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => bail!("cancelled"),
            false => Ok(()),
        }
    }
}

impl Gram {
    /// Of nothing yet.
    pub fn empty(columns: usize) -> Gram {
        Gram { columns, rows: 0, sums: vec![0.0; columns * columns] }
    }

    /// Adds rows (T, columns) to the upper triangle.
    fn add(&mut self, x: &Tensor) -> Result<()> {
        let numbers = x.flatten_all()?.to_vec1::<f32>()?;
        bantam_kernels::add_gram(&numbers, self.columns, &mut self.sums);
        self.rows += x.dim(0)? as u64;
        Ok(())
    }

    /// Of what either has seen.
    ///
    /// # Panics
    /// Where they have different columns.
    pub fn plus(&self, other: &Gram) -> Gram {
        assert_eq!(self.columns, other.columns, "Gram matrices of the same inputs are added up");
        let sums = self.sums.iter().zip(&other.sums).map(|(a, b)| a + b).collect();
        Gram { columns: self.columns, rows: self.rows + other.rows, sums }
    }

    fn mirrored(mut self) -> Gram {
        for i in 0..self.columns {
            for j in 0..i {
                self.sums[i * self.columns + j] = self.sums[j * self.columns + i];
            }
        }
        self
    }

    /// The mean square of each column: what an importance matrix holds.
    pub fn mean_squares(&self) -> Vec<f32> {
        let diagonal = self.sums.iter().step_by(self.columns + 1);
        diagonal.map(|sum| sum / self.rows.max(1) as f32).collect()
    }
}

fn span(len: usize) -> Span {
    Span { len, parent: None, past: None }
}

/// ‖x − y‖ / ‖y‖, the mean over tokens, so that a few that are a thousand times larger than all others do not stand for
/// them.
fn distance(x: &[Tensor], y: &[Tensor]) -> Result<f64> {
    let (mut sum, mut tokens) = (0.0, 0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x.to_vec2::<f32>()?, y.to_vec2::<f32>()?);
        for (x, y) in x.iter().zip(&y) {
            let square = |far: &dyn Fn(f32, f32) -> f32| -> f64 {
                x.iter().zip(y).map(|(&x, &y)| f64::from(far(x, y)).powi(2)).sum()
            };
            let (off, size) = (square(&|x, y| x - y), square(&|_, y| y));
            sum += if size > 0.0 { (off / size).sqrt() } else { 0.0 };
            tokens += 1;
        }
    }
    Ok(sum / f64::from(tokens.max(1)))
}

/// The weights of one layer in f32, read once, some of them replaced.
struct Held<'w> {
    inner: &'w dyn Weights,
    tensors: Mutex<HashMap<String, Tensor>>,
}

impl<'w> Held<'w> {
    fn new(inner: &'w dyn Weights) -> Held<'w> {
        Held { inner, tensors: Mutex::default() }
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        lock(&self.tensors).get(name).map(|tensor| tensor.dims().to_vec())
    }

    fn get(&self, name: &str, read: impl FnOnce() -> model::Result<Tensor>) -> model::Result<Tensor> {
        if let Some(found) = lock(&self.tensors).get(name) {
            return Ok(found.clone());
        }
        let read = read()?.to_dtype(DType::F32)?;
        lock(&self.tensors).insert(name.to_owned(), read.clone());
        Ok(read)
    }
}

impl Weights for Held<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.get(name, || self.inner.tensor(name, shape))
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        let whole = self.get(name, || self.inner.linear(name, out, inp)?.dequantized());
        Ok(Linear::dense(whole?))
    }
}

/// Keeps what some matrices are shown, and stops the pass once all of them were.
struct Watch {
    wanted: HashSet<String>,
    seen: Mutex<Vec<(String, Tensor)>>,
    has_seen_all: AtomicBool,
}

impl Watch {
    fn of(matrices: &[String]) -> Watch {
        Watch {
            wanted: matrices.iter().cloned().collect(),
            seen: Mutex::default(),
            has_seen_all: AtomicBool::new(false),
        }
    }
}

impl InputObserver for Watch {
    fn see(&self, matrix: &str, x: &Tensor) -> model::Result<()> {
        if !self.wanted.contains(matrix) {
            return Ok(());
        }
        let mut seen = lock(&self.seen);
        seen.push((matrix.to_owned(), x.clone()));
        match seen.len() == self.wanted.len() {
            false => Ok(()),
            true => {
                self.has_seen_all.store(true, Ordering::Relaxed);
                Err(model::Error::Request("all that is watched was seen".into()))
            }
        }
    }
}
