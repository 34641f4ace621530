//! Embeddings of a model that was made to generate: its states after the final norm, pooled. A folder with modules.json
//! says how (decoders trained to embed have one); for all others the caller does.

use std::path::Path;

use candle_core::Device;

use super::graph::Input;
use super::load::{finite, passes};
use super::pipeline::{Loaded, Pipeline};
use super::pooling::{Mode, Pooling};
use super::text::{Prepare, Role, Texts};
use crate::error::Result;
use crate::load::Model;
use crate::ops::Span;

/// Makes embeddings of texts with one decoder.
pub struct Embedder {
    texts: Texts,
    /// The checkpoint's own.
    pipeline: Option<Loaded>,
}

impl Embedder {
    /// Prepares to embed with a model that was loaded from `folder`, or from a single file. It holds a tokenizer of its
    /// own, which cuts texts to what the model takes.
    ///
    /// # Errors
    /// Where the folder has a pipeline that is damaged, not supported, or of another width than the model's states.
    pub fn new(model: &Model, folder: Option<&Path>) -> Result<Self> {
        let own = match folder.map(|folder| (folder, Pipeline::read(folder))) {
            Some((folder, Ok((pipeline, transformer)))) if pipeline.own => Some((folder, pipeline, transformer)),
            Some((_, Err(error))) => return Err(error),
            _ => None,
        };
        let Some((folder, pipeline, transformer)) = own else {
            let texts = Texts::new(model.tokenizer.inner(), Prepare::default(), model.max_length())?;
            return Ok(Self { texts, pipeline: None });
        };
        pipeline.check(model.config.dim)?;
        let prepare = Prepare::read(folder, &transformer)?;
        let max_length = model.max_length().min(prepare.max_length.unwrap_or(usize::MAX));
        let texts = Texts::new(model.tokenizer.inner(), prepare, max_length)?;
        Ok(Self { texts, pipeline: Some(pipeline.load(&Device::Cpu)?) })
    }

    /// Gives the tokens of a text.
    ///
    /// # Errors
    /// Where the text cannot be tokenized, or has no tokens.
    pub fn read(&self, text: &str, role: Role) -> Result<Input> {
        self.texts.read(text, None, role)
    }

    /// Makes a vector of each input: by the checkpoint's own pipeline, or pooled by `mode` where it has none.
    ///
    /// # Errors
    /// On a token outside the vocabulary, and where the output is not finite.
    pub fn embed(&self, model: &Model, inputs: &[Input], mode: Mode) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(inputs.len());
        for pass in passes(inputs) {
            let tokens: Vec<u32> = pass.iter().flat_map(|input| input.tokens.iter().copied()).collect();
            let spans: Vec<Span> =
                pass.iter().map(|input| Span { len: input.tokens.len(), parent: None, past: None }).collect();
            let states = model.decoder.forward(&tokens, &spans, &mut [])?;
            let dim = states.dims2()?.1;
            let states = states.flatten_all()?.to_vec1::<f32>()?;
            let mut rest = &states[..];
            for input in pass {
                let (own, after) = rest.split_at(input.tokens.len() * dim);
                rest = after;
                vectors.push(finite(match &self.pipeline {
                    Some(pipeline) => pipeline.run(own, dim)?,
                    None => Pooling::from(mode).pool(own, dim),
                })?);
            }
        }
        Ok(vectors)
    }
}
