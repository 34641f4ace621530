//! Forms: what is known of a model before its weights are read. A step changes it when it plans and when it is done.

use crate::types::Types;
use anyhow::{Context, Result, anyhow};
use bantam_model::{Config, Tokenizer};
use std::sync::Arc;

/// A model's config, its tokenizer, and the types its tensors will be stored in.
#[derive(Debug, Clone)]
pub struct Form {
    /// Or why there is none.
    config: Result<Config, String>,
    /// Where it is no longer the source's.
    tokenizer: Option<Arc<Tokenizer>>,
    /// The source's, where a step asks for it.
    original: Option<Arc<Tokenizer>>,
    /// What each tensor will be stored as.
    pub types: Types,
    rewritten: bool,
}

impl Form {
    /// The form of a model that no step has changed. A model whose config cannot be read, for the reason given, can
    /// still be stored in other types.
    pub fn new(config: Result<Config, String>, types: Types) -> Form {
        Form { config, tokenizer: None, original: None, types, rewritten: false }
    }

    /// The model's config.
    ///
    /// # Errors
    /// The reason why it cannot be read, in one sentence.
    pub fn config(&self) -> Result<&Config> {
        self.config.as_ref().map_err(|why| anyhow!("{why}"))
    }

    /// Says that the model has another config, and with it other weights.
    pub fn set_config(&mut self, config: Config) {
        self.config = Ok(config);
        self.rewritten = true;
    }

    /// The tokenizer, where a step has changed it.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_deref()
    }

    /// The form with the source's tokenizer, for steps that ask for it.
    pub fn with_original(self, tokenizer: Tokenizer) -> Form {
        Form { original: Some(Arc::new(tokenizer)), ..self }
    }

    /// The tokenizer that goes with the weights, changed or not.
    ///
    /// # Errors
    /// Where no step of the recipe says that it asks for it.
    pub fn current_tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer().or(self.original.as_deref()).context("the model's tokenizer is not at hand")
    }

    /// Says that the model has another tokenizer.
    pub fn set_tokenizer(&mut self, tokenizer: Tokenizer) {
        self.tokenizer = Some(Arc::new(tokenizer));
        self.rewritten = true;
    }

    /// Says that weights have other values.
    pub fn rewrite(&mut self) {
        self.rewritten = true;
    }

    /// Whether any weight, the config or the tokenizer is no longer the source's.
    pub fn is_rewritten(&self) -> bool {
        self.rewritten
    }
}
