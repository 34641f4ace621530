//! Checkpoints between two steps: a form, and weights that are overlays of overlays.

use super::Form;
use crate::compensate::Compensated;
use crate::history::StepNote;
use crate::importance::Importance;
use crate::types::Types;
use anyhow::Result;
use bantam_model::{Config, Weights};

/// A model as a step finds it and leaves it. Weights are asked for by the names and shapes that the config gives, and
/// are made when they are asked for.
pub struct Checkpoint<'a> {
    /// What is known of it without its weights.
    pub form: Form,
    weights: Box<dyn Weights + 'a>,
    importance: Option<Importance>,
    notes: Vec<StepNote>,
    compensated: Option<Compensated>,
}

impl<'a> Checkpoint<'a> {
    /// The checkpoint of a form and the weights that go with it.
    pub fn new(form: Form, weights: Box<dyn Weights + 'a>) -> Checkpoint<'a> {
        Checkpoint { form, weights, importance: None, notes: Vec::new(), compensated: None }
    }

    /// The checkpoint of a config and its weights, which stay as they are stored.
    pub fn of_config(config: &Config, weights: Box<dyn Weights + 'a>) -> Checkpoint<'a> {
        Checkpoint::new(Form::new(Ok(config.clone()), Types::as_stored(config)), weights)
    }

    /// The config that its weights go with.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub fn config(&self) -> Result<&Config> {
        self.form.config()
    }

    /// Its weights.
    pub fn weights(&self) -> &(dyn Weights + 'a) {
        &*self.weights
    }

    /// How much an error in each column matters, where a step found that out.
    pub fn importance(&self) -> Option<&Importance> {
        self.importance.as_ref()
    }

    /// Has rounding weigh its errors.
    pub fn weighed_by(self, importance: Option<Importance>) -> Checkpoint<'a> {
        Checkpoint { importance, ..self }
    }

    /// What the matrices of its layers became, where that was found by their outputs.
    pub(crate) fn compensated(&self) -> Option<&Compensated> {
        self.compensated.as_ref()
    }

    /// Has the matrices of its layers stored as they became.
    pub(crate) fn compensated_by(self, compensated: Compensated) -> Checkpoint<'a> {
        Checkpoint { compensated: Some(compensated), ..self }
    }

    /// What the steps so far have told of themselves, in their order.
    pub fn notes(&self) -> &[StepNote] {
        &self.notes
    }

    /// Keeps what a step tells of itself.
    pub fn noted(mut self, note: StepNote) -> Checkpoint<'a> {
        self.notes.push(note);
        self
    }

    /// Lays an overlay over the weights.
    pub fn overlaid<W: Weights + 'a>(mut self, overlay: impl FnOnce(Box<dyn Weights + 'a>) -> W) -> Checkpoint<'a> {
        self.form.rewrite();
        self.weights = Box::new(overlay(self.weights));
        self
    }
}
