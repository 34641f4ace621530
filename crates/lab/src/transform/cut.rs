//! Cuts: a smaller model laid over a larger one. Each of its tensors is some rows and some columns of one of the larger
//! model's, which may have another name, or was worked out anew. Tensors are cut when they are asked for.

use anyhow::{Context, Result};
use bantam_model::names::Place;
use bantam_model::{self as model, Config, Linear, StoredTensor, Weights, cost};
use candle_core::{DType, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// Which rows or columns stay, in order.
pub(crate) type Kept = Arc<Vec<u32>>;

/// What a tensor of the smaller model is of the larger one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// The layer in the larger model; None for the same.
    pub layer: Option<usize>,
    /// The expert in the larger model; None for the same.
    pub index: Option<usize>,
    /// The rows that stay; None for all. Of a norm or a bias, its numbers.
    pub rows: Option<Kept>,
    /// The columns that stay; None for all.
    pub columns: Option<Kept>,
}

/// Weights of the smaller model.
pub(crate) struct Cut<W> {
    inner: W,
    pieces: HashMap<String, Piece>,
    made: HashMap<String, Tensor>,
}

#[derive(Debug)]
struct Piece {
    from: String,
    /// In the larger model.
    shape: Vec<usize>,
    rows: Option<Kept>,
    columns: Option<Kept>,
}

/// What each tensor of a smaller model is made of.
#[derive(Default)]
pub(crate) struct Pieces(HashMap<String, Piece>);

impl Pieces {
    /// Works out for each tensor of `after` what it is of `before`.
    ///
    /// # Errors
    /// Where it is of none there.
    pub(crate) fn new(before: &Config, after: &Config, select: &dyn Fn(&Place) -> Selection) -> Result<Pieces> {
        let shapes: HashMap<String, Vec<usize>> =
            cost(before).tensors.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        let architecture = before.architecture;
        let piece = |name: &str| {
            let place = architecture.place(name)?;
            let Selection { layer, index, rows, columns } = select(&place);
            let (layer, index) = (layer.unwrap_or(place.layer), index.unwrap_or(place.index));
            let from = architecture.named(Place { layer, index, ..place })?;
            let shape = shapes.get(&from)?.clone();
            let columns = columns.filter(|_| shape.len() == 2);
            Some(Piece { from, shape, rows, columns })
        };
        let all = cost(after).tensors.into_iter().map(|tensor| {
            let piece = piece(&tensor.name).with_context(|| format!("{} is of no tensor of the model", tensor.name))?;
            Ok((tensor.name, piece))
        });
        Ok(Pieces(all.collect::<Result<_>>()?))
    }

    /// Lays them over the larger model's weights, with what was worked out anew in place of what it stands for.
    pub(crate) fn over<W: Weights>(self, inner: W, made: HashMap<String, Tensor>) -> Cut<W> {
        Cut { inner, pieces: self.0, made }
    }
}

impl Piece {
    fn is_whole(&self) -> bool {
        self.rows.is_none() && self.columns.is_none()
    }

    fn cut(&self, tensor: &Tensor) -> model::Result<Tensor> {
        let mut tensor = tensor.clone();
        for (side, kept) in [(0, &self.rows), (1, &self.columns)] {
            if let Some(kept) = kept {
                tensor = tensor.index_select(&Tensor::new(&kept[..], tensor.device())?, side)?;
            }
        }
        Ok(tensor)
    }
}

/// The type that a matrix's numbers are kept in: what is cut of it, or worked out for it, is no wider.
pub(crate) fn stored_dtype(linear: &Linear) -> DType {
    match linear.weight() {
        model::linear::Weight::Dense(tensor) => tensor.dtype(),
        // quantized before: 16 bits lose nothing that counts
        _ => DType::F16,
    }
}

impl<W: Weights> Weights for Cut<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        if let Some(made) = self.made.get(name) {
            return Ok(made.to_dtype(DType::F32)?);
        }
        match self.pieces.get(name) {
            None => self.inner.tensor(name, shape),
            Some(piece) => piece.cut(&self.inner.tensor(&piece.from, &piece.shape)?),
        }
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        if let Some(made) = self.made.get(name) {
            return Ok(Linear::dense(made.clone()));
        }
        let Some(piece) = self.pieces.get(name) else { return self.inner.linear(name, out, inp) };
        let (rows, columns) = match piece.shape[..] {
            [rows, columns] => (rows, columns),
            _ => (out, inp),
        };
        let linear = self.inner.linear(&piece.from, rows, columns)?;
        if piece.is_whole() {
            return Ok(linear);
        }
        let dtype = stored_dtype(&linear);
        Ok(Linear::dense(piece.cut(&linear.dequantized()?)?.to_dtype(dtype)?.contiguous()?))
    }

    fn stored(&self, name: &str) -> model::Result<Option<StoredTensor<'_>>> {
        if self.made.contains_key(name) {
            return Ok(None);
        }
        match self.pieces.get(name) {
            None => self.inner.stored(name),
            Some(piece) if piece.is_whole() => self.inner.stored(&piece.from),
            Some(_) => Ok(None),
        }
    }
}
