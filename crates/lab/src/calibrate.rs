//! Calibration: texts that run through a model so that its matrices' inputs are seen. What is collected of them is what
//! an importance matrix holds: for each column of each matrix the sum of the squares of what it was multiplied by.

use anyhow::{Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::sync::lock;
use bantam_model::{self as model, Config, Decoder, InputObserver, Observed, Span, Weights};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Rows that go through the head together: its outputs are as wide as the vocabulary.
const HEAD_ROWS: usize = 32;

/// What steps calibrate on: texts as tokens of the model, and the wish to stop.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    texts: Vec<Vec<u32>>,
    cancel: Cancel,
}

/// What one matrix was multiplied by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSquares {
    /// The sum of squares in each input column.
    pub sums: Vec<f64>,
    /// Rows seen: one a token, fewer for an expert that not every token goes to.
    pub rows: u64,
}

impl Calibration {
    /// Calibration on nothing, for recipes whose steps need none.
    pub fn none() -> Calibration {
        Calibration::default()
    }

    /// Calibration on texts, until cancelled. Each is read by itself and has to fit the model's positions.
    pub fn new(texts: Vec<Vec<u32>>, cancel: &Cancel) -> Calibration {
        Calibration { texts, cancel: cancel.clone() }
    }

    /// Runs the texts through the model of a config and its weights, and collects what each matrix is multiplied by, by
    /// the matrix's checkpoint name. An embedding is there only where it is the head too.
    ///
    /// # Errors
    /// Where there is no text, a token or a text does not fit the model, memory is short, or it is cancelled.
    pub fn input_squares(&self, config: &Config, weights: &dyn Weights) -> Result<BTreeMap<String, InputSquares>> {
        ensure!(self.texts.iter().any(|text| !text.is_empty()), "there is no text to calibrate on");
        let collector = Arc::new(Collector::default());
        let decoder = Decoder::new(config, &Observed::new(weights, collector.clone()))?;
        for text in self.texts.iter().filter(|text| !text.is_empty()) {
            ensure!(!self.cancel.is_cancelled(), "cancelled");
            let hidden = decoder.forward(text, &[Span { len: text.len(), parent: None, past: None }], &mut [])?;
            for first in (0..text.len()).step_by(HEAD_ROWS) {
                decoder.logits(&hidden.narrow(0, first, HEAD_ROWS.min(text.len() - first))?)?;
            }
        }
        Ok(std::mem::take(&mut *lock(&collector.by_matrix)))
    }
}

/// Adds up the squares of all that is shown to it.
#[derive(Default)]
struct Collector {
    by_matrix: Mutex<BTreeMap<String, InputSquares>>,
}

impl InputObserver for Collector {
    fn see(&self, matrix: &str, x: &Tensor) -> model::Result<()> {
        let columns = x.dim(1)?;
        let numbers = x.flatten_all()?.to_vec1::<f32>()?;
        let mut by_matrix = lock(&self.by_matrix);
        if !by_matrix.contains_key(matrix) {
            by_matrix.insert(matrix.to_owned(), InputSquares { sums: vec![0.0; columns], rows: 0 });
        }
        let seen = by_matrix.get_mut(matrix).expect("it was put there");
        for row in numbers.chunks_exact(columns.max(1)) {
            seen.sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
            seen.rows += 1;
        }
        Ok(())
    }
}
