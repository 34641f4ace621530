//! Forms: what is known of a model before its weights are read. A step changes it when it plans and when it is done.

use crate::types::Types;
use anyhow::{Result, anyhow};
use bantam_model::{Config, Tokenizer};
use std::sync::Arc;

/// A model's config, its tokenizer, and the types its tensors will be stored in.
#[derive(Debug, Clone)]
pub struct Form {
    /// Or why there is none.
    config: Result<Config, String>,
    /// Where it is no longer the source's.
    tokenizer: Option<Arc<Tokenizer>>,
    /// What each tensor will be stored as.
    pub types: Types,
    rewritten: bool,
}

impl Form {
    /// The form of a model that no step has changed. A model whose config cannot be read, for the reason given, can
    /// still be stored in other types.
    pub fn new(config: Result<Config, String>, types: Types) -> Form {
        Form { config, tokenizer: None, types, rewritten: false }
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
