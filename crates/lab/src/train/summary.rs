//! What a run of training did, as numbers: kept beside what came out of it, so that a recipe that finds it again can tell, too.

use super::trainer::TrainingProgress;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file in the folder of what came out.
pub const SUMMARY: &str = "bantam_training.json";

/// A run of training in numbers. Losses are in nats a token that counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Parameters that learnt.
    pub parameters: u64,
    /// Updates that were made.
    pub steps: u64,
    /// Tokens that were read for them.
    pub tokens: u64,
    /// Documents that were trained on.
    pub documents: usize,
    /// Documents that were held out.
    pub held_out_documents: usize,
    /// Documents that were too long.
    pub left_out: usize,
    /// The loss of the first step.
    pub loss_first: f64,
    /// The mean of about the last ten steps.
    pub loss_last: f64,
    /// The loss of what was held out before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_first: Option<f64>,
    /// The same after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_last: Option<f64>,
    /// The same at its lowest, whose values are what came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_best: Option<f64>,
    /// The learning rate at its highest.
    pub rate: f64,
    /// What orders and first values were drawn from.
    pub seed: u64,
    /// Seconds of training over all sittings.
    pub seconds: f64,
    /// SHA-256 of the documents as tokens, with what of them counts.
    pub documents_sha256: String,
}

/// What is known of a run before it begins.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    pub(super) parameters: u64,
    pub(super) documents: usize,
    pub(super) held_out_documents: usize,
    pub(super) left_out: usize,
    pub(super) rate: f64,
    pub(super) seed: u64,
    pub(super) documents_sha256: String,
}

impl Beginning {
    /// With what came of it.
    pub(super) fn ended(self, progress: &TrainingProgress) -> Summary {
        Summary {
            parameters: self.parameters,
            steps: progress.steps,
            tokens: progress.tokens,
            documents: self.documents,
            held_out_documents: self.held_out_documents,
            left_out: self.left_out,
            loss_first: progress.loss_first,
            loss_last: progress.loss,
            held_out_first: progress.held_out_first,
            held_out_last: progress.held_out.map(|(last, _)| last),
            held_out_best: progress.held_out.map(|(_, best)| best),
            rate: self.rate,
            seed: self.seed,
            seconds: progress.seconds,
            documents_sha256: self.documents_sha256,
        }
    }
}

impl Summary {
    /// What stands in a folder; None where nothing does.
    pub fn of(folder: &Path) -> Option<Summary> {
        serde_json::from_slice(&std::fs::read(folder.join(SUMMARY)).ok()?).ok()
    }

    /// The file's text.
    pub(super) fn written(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What a file says of how it was trained: all but the seconds, so that the same training makes the same file.
    pub fn noted(&self) -> serde_json::Value {
        let mut noted = serde_json::to_value(self).expect("numbers and words");
        if let Some(known) = noted.as_object_mut() {
            known.remove("seconds");
        }
        noted
    }

    /// "300 steps, 61,440 tokens; held-out loss 5.967 before, 0.0457 at its best".
    pub fn words(&self) -> String {
        let held_out = match (self.held_out_first, self.held_out_best) {
            (Some(first), Some(best)) if best < first => {
                format!("held-out loss {first:.4} before, {best:.4} at its best")
            }
            (Some(first), _) => {
                format!("the held-out loss was never below the {first:.4} that it was before the first step")
            }
            _ => format!(
                "loss {:.4} in the first step, {:.4} over the last ten, nothing held out",
                self.loss_first, self.loss_last
            ),
        };
        format!("{} steps, {} tokens; {held_out}", self.steps, self.tokens)
    }
}
