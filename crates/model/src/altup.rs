//! Several streams in place of one (Gemma 3n): a layer computes with one of them, predicts all from what they were, and
//! corrects the others by how far the prediction of its own was off (AltUp: Baykal et al. 2023, arXiv:2301.13310). Beside
//! attention stands a second way past it, through a matrix of low rank (LAuReL: Menghani et al. 2024, arXiv:2411.07501).
//!
//! A token's streams stand in one row, one after the other. As in transformers' `modeling_gemma3n.py`.

use candle_core::{D, Tensor};

use super::builder::{Builder, Named};
use super::config::Streams as Sizes;
use super::error::Result;
use super::linear::Linear;
use super::names::Part;
use super::norm::Norm;

/// The way from one stream to several before the first layer, and back behind the last.
pub(crate) struct Streams {
    out: Vec<Linear>,
    back: Vec<Linear>,
    sizes: Sizes,
}

impl Streams {
    /// Builds the matrices between the first stream and each other.
    ///
    /// # Errors
    /// Where one is missing or has another shape.
    pub(crate) fn new(builder: &Builder, sizes: Sizes) -> Result<Self> {
        let dim = builder.config.dim;
        let all = |part| -> Result<Vec<Linear>> {
            (0..sizes.count - 1).map(|nth| builder.nth_linear(part, nth, dim, dim, false)).collect()
        };
        Ok(Self { out: all(Part::StreamOut)?, back: all(Part::StreamBack)?, sizes })
    }

    /// Takes x (T, dim) to all streams, (T, count · dim).
    pub(crate) fn spread(&self, x: &Tensor) -> Result<Tensor> {
        let others = self.out.iter().map(|linear| as_large_as(x, &linear.forward(x)?));
        let all = std::iter::once(Ok(x.clone())).chain(others).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&all, 1)?)
    }

    /// Takes all streams, (T, count · dim), to their mean, (T, dim), each brought back to the first one's place and size.
    pub(crate) fn gathered(&self, x: &Tensor) -> Result<Tensor> {
        let dim = x.dim(1)? / self.sizes.count;
        let stream = |nth: usize| x.narrow(1, nth * dim, dim)?.contiguous();
        let first = stream(0)?;
        let mut sum = first.clone();
        for (nth, linear) in self.back.iter().enumerate() {
            sum = (sum + as_large_as(&first, &linear.forward(&stream(nth + 1)?)?)?)?;
        }
        Ok((sum / self.sizes.count as f64)?)
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        let out = self.out.iter().enumerate().map(|(nth, linear)| (Part::StreamOut, nth, linear));
        out.chain(self.back.iter().enumerate().map(|(nth, linear)| (Part::StreamBack, nth, linear))).collect()
    }
}

/// y scaled row by row so that its root mean square is that of x.
fn as_large_as(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let wanted = x.sqr()?.mean_keepdim(D::Minus1)?.sqrt()?;
    let own = y.sqr()?.mean_keepdim(D::Minus1)?.maximum(1e-5)?.sqrt()?;
    Ok(y.broadcast_mul(&(wanted / own)?)?)
}

/// The prediction and correction of streams about one layer, and the second way past its attention.
pub(crate) struct AltUp {
    predict: Linear,
    correct: Linear,
    router: Linear,
    router_norm: Norm,
    /// What the layer's own stream is multiplied by before the layer's input is gated with it, (dim).
    scale: Option<Tensor>,
    down: Linear,
    up: Linear,
    norm: Norm,
    sizes: Sizes,
}

impl AltUp {
    /// Builds those of the builder's layer.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape.
    pub(crate) fn new(builder: &Builder, sizes: Sizes) -> Result<Self> {
        let (dim, count) = (builder.config.dim, sizes.count);
        Ok(Self {
            predict: builder.linear(Part::StreamPredict, count * count, count, false)?,
            correct: builder.linear(Part::StreamCorrect, count, count, false)?,
            router: builder.linear(Part::StreamRouter, count, dim, false)?,
            router_norm: builder.norm(Part::StreamRouterNorm, dim)?,
            scale: Some(builder.bare(Part::StreamScale, dim)?).filter(|_| sizes.scaled),
            down: builder.linear(Part::LaurelDown, sizes.rank, dim, false)?,
            up: builder.linear(Part::LaurelUp, dim, sizes.rank, false)?,
            norm: builder.norm(Part::LaurelNorm, dim)?,
            sizes,
        })
    }

    /// Gives what each stream is predicted to be, (T, count, dim), of what all are, (T, count · dim).
    pub(crate) fn predicted(&self, x: &Tensor) -> Result<Tensor> {
        let (count, dim) = (self.sizes.count, x.dim(1)? / self.sizes.count);
        let streams = x.reshape((x.dim(0)?, count, dim))?;
        let shares = self.predict.forward(&self.routed(&self.active(&streams)?)?)?;
        // (T, to, from)
        let shares = shares.reshape((x.dim(0)?, count, count))?;
        Ok((shares.matmul(&streams)? + streams)?)
    }

    /// The stream of these, (T, count, dim), that the layer computes with, (T, dim).
    pub(crate) fn active(&self, streams: &Tensor) -> Result<Tensor> {
        Ok(streams.narrow(1, self.sizes.active, 1)?.squeeze(1)?.contiguous()?)
    }

    /// Corrects predicted streams (T, count, dim) by what the layer made of its own, (T, dim).
    pub(crate) fn corrected(&self, predicted: &Tensor, made: &Tensor) -> Result<Tensor> {
        let off = (made - self.active(predicted)?)?.unsqueeze(1)?;
        let shares = (self.correct.forward(&self.routed(made)?)? + 1.0)?.unsqueeze(2)?;
        Ok((predicted + shares.broadcast_mul(&off)?)?)
    }

    /// What the layer's input is gated with, (T, dim), of corrected streams.
    pub(crate) fn read(&self, corrected: &Tensor) -> Result<Tensor> {
        let own = self.active(corrected)?;
        Ok(match &self.scale {
            Some(scale) => own.broadcast_mul(scale)?,
            None => own,
        })
    }

    /// Adds y (T, dim), if there is any, to all streams (T, count, dim) but the first, and puts them into one row a token.
    pub(crate) fn added_to_others(&self, streams: &Tensor, y: Option<&Tensor>) -> Result<Tensor> {
        let (tokens, count, dim) = streams.dims3()?;
        let Some(y) = y else { return Ok(streams.reshape((tokens, count * dim))?) };
        let (first, others) = (streams.narrow(1, 0, 1)?, streams.narrow(1, 1, count - 1)?);
        let others = others.broadcast_add(&y.unsqueeze(1)?)?;
        Ok(Tensor::cat(&[first, others], 1)?.reshape((tokens, count * dim))?)
    }

    /// x (T, dim) and what its second way adds.
    pub(crate) fn past_attention(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x + self.norm.forward(&self.up.forward(&self.down.forward(x)?)?)?)?)
    }

    /// How much of each stream's nature x (T, dim) has, (T, count).
    fn routed(&self, x: &Tensor) -> Result<Tensor> {
        let normed = (self.router_norm.forward(x)? / x.dim(1)? as f64)?;
        Ok(self.router.forward(&normed)?.tanh()?)
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        vec![
            (Part::StreamPredict, 0, &self.predict),
            (Part::StreamCorrect, 0, &self.correct),
            (Part::StreamRouter, 0, &self.router),
            (Part::LaurelDown, 0, &self.down),
            (Part::LaurelUp, 0, &self.up),
        ]
    }
}
