//! Forms: what is known of a model before its weights are read. A step changes it when it plans and when it is done.

use crate::types::Types;
use anyhow::{Context, Result, anyhow, ensure};
use bantam_core::cancel::Cancel;
use bantam_model::{Config, Tokenizer};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
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
    planning: Planning,
}

/// What planning takes long for is done once for all forms of a source, with somebody who hears of it and may stop it.
#[derive(Clone, Default)]
pub(crate) struct Planning {
    watch: Option<Rc<Watch>>,
    trimmed: Rc<RefCell<Option<TrimmedOf>>>,
}

/// Whoever waits for a plan.
struct Watch {
    cancel: Cancel,
    tell: Box<dyn Fn(&'static str, usize, usize)>,
}

/// A tokenizer without the tokens that a text never uses, and what it was made of.
#[derive(Clone)]
pub(crate) struct TrimmedOf {
    /// The tokenizer that it was.
    pub(crate) whole: Arc<Tokenizer>,
    /// The text, by its hash.
    pub(crate) text: String,
    /// What it became.
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// The old number of each token.
    pub(crate) kept: Arc<Vec<u32>>,
}

impl Planning {
    /// Has somebody hear of what takes long: of what, how much of it is done, and of how much.
    pub(crate) fn watched(self, cancel: &Cancel, tell: Box<dyn Fn(&'static str, usize, usize)>) -> Planning {
        Planning { watch: Some(Rc::new(Watch { cancel: cancel.clone(), tell })), ..self }
    }

    /// Says how far it is, and hears the wish to stop.
    ///
    /// # Errors
    /// Where it is cancelled.
    pub(crate) fn step(&self, of: &'static str, done: usize, total: usize) -> Result<()> {
        let Some(watch) = &self.watch else { return Ok(()) };
        ensure!(!watch.cancel.is_cancelled(), "cancelled");
        (watch.tell)(of, done, total);
        Ok(())
    }

    /// What was trimmed of a tokenizer by a text before.
    pub(crate) fn trimmed(&self, whole: &Arc<Tokenizer>, text: &str) -> Option<TrimmedOf> {
        let known = self.trimmed.borrow();
        known.as_ref().filter(|known| Arc::ptr_eq(&known.whole, whole) && known.text == text).cloned()
    }

    /// Keeps what was trimmed last.
    pub(crate) fn keep(&self, trimmed: TrimmedOf) {
        self.trimmed.replace(Some(trimmed));
    }
}

impl fmt::Debug for Planning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Planning").field("is_watched", &self.watch.is_some()).finish_non_exhaustive()
    }
}

impl Form {
    /// The form of a model that no step has changed. A model whose config cannot be read, for the reason given, can
    /// still be stored in other types.
    pub fn new(config: Result<Config, String>, types: Types) -> Form {
        Form { config, tokenizer: None, original: None, types, rewritten: false, planning: Planning::default() }
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
    pub fn with_original(self, tokenizer: Arc<Tokenizer>) -> Form {
        Form { original: Some(tokenizer), ..self }
    }

    /// The form whose planning is shared with others of the same source.
    pub(crate) fn with_planning(self, planning: Planning) -> Form {
        Form { planning, ..self }
    }

    /// What planning shares.
    pub(crate) fn planning(&self) -> &Planning {
        &self.planning
    }

    /// The tokenizer that goes with the weights, changed or not.
    ///
    /// # Errors
    /// Where no step of the recipe says that it asks for it.
    pub fn current_tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        self.tokenizer.as_ref().or(self.original.as_ref()).context("the model's tokenizer is not at hand")
    }

    /// Says that the model has another tokenizer.
    pub fn set_tokenizer(&mut self, tokenizer: Arc<Tokenizer>) {
        self.tokenizer = Some(tokenizer);
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
