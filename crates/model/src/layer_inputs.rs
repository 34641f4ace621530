//! What a layer reads of a token beside the stream: a few numbers for each layer, out of a table of all tokens and out of the
//! embedding (Gemma 3n and 4). The table is as large as the model and only ever looked up.
//!
//! As in transformers' `modeling_gemma3n.py` (`project_per_layer_inputs`).

use std::f64::consts::FRAC_1_SQRT_2;

use candle_core::Tensor;

use super::builder::{Builder, Named};
use super::config::LayerInputs as Sizes;
use super::error::Result;
use super::linear::Linear;
use super::names::Part;
use super::norm::Norm;
use super::ops::{self, Activation};

/// Where the inputs of all layers come from.
pub(crate) struct LayerInputs {
    /// (rows, layers · width).
    table: Linear,
    projection: Linear,
    norm: Norm,
    sizes: Sizes,
    layers: usize,
    dim: usize,
}

impl LayerInputs {
    /// Builds the table and the projection.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape.
    pub(crate) fn new(builder: &Builder, sizes: Sizes) -> Result<Self> {
        let (layers, dim) = (builder.config.layers.len(), builder.config.dim);
        let all = layers * sizes.width;
        Ok(Self {
            table: builder.linear(Part::LayerTable, sizes.rows, all, false)?,
            projection: builder.linear(Part::LayerProjection, all, dim, false)?,
            norm: builder.norm(Part::LayerProjectionNorm, sizes.width)?,
            sizes,
            layers,
            dim,
        })
    }

    /// Gives the inputs of all layers, (T, layers, width), of tokens and what they are embedded as, (T, dim). A token
    /// without a row has the first one's.
    pub(crate) fn of(&self, tokens: &[u32], embedded: &Tensor) -> Result<Tensor> {
        let Sizes { width, rows } = self.sizes;
        let shape = (tokens.len(), self.layers, width);
        let ids: Vec<u32> = tokens.iter().map(|&token| if (token as usize) < rows { token } else { 0 }).collect();
        let own = (self.table.rows(&ids)? * (width as f64).sqrt())?.reshape(shape)?;
        let told = (self.projection.forward(embedded)? / (self.dim as f64).sqrt())?.reshape(shape)?;
        Ok(((self.norm.forward(&told)? + own)? * FRAC_1_SQRT_2)?)
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> [(Part, &Linear); 2] {
        [(Part::LayerTable, &self.table), (Part::LayerProjection, &self.projection)]
    }
}

/// How one layer reads its input.
pub(crate) struct LayerInput {
    gate: Linear,
    projection: Linear,
    norm: Norm,
    activation: Activation,
}

impl LayerInput {
    /// Builds that of the builder's layer.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape.
    pub(crate) fn new(builder: &Builder, sizes: Sizes) -> Result<Self> {
        let dim = builder.config.dim;
        Ok(Self {
            gate: builder.linear(Part::LayerInputGate, sizes.width, dim, false)?,
            projection: builder.linear(Part::LayerInputProjection, dim, sizes.width, false)?,
            norm: builder.norm(Part::LayerInputNorm, dim)?,
            activation: builder.config.activation,
        })
    }

    /// Gives what x (T, dim) makes of the layer's input, (T, width): N(W(act(gate x) · input)).
    pub(crate) fn read(&self, x: &Tensor, input: &Tensor) -> Result<Tensor> {
        let gated = ops::gate_mul_into(self.gate.forward(x)?, &input.contiguous()?, self.activation)?;
        self.norm.forward(&self.projection.forward(&gated)?)
    }

    /// Lists its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        vec![(Part::LayerInputGate, 0, &self.gate), (Part::LayerInputProjection, 0, &self.projection)]
    }
}
