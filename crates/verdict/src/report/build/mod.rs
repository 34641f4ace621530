//! Builds the page from a run, its rows and its advice: what is said, in which order. Every number comes from
//! recommend's summaries; nothing is computed again here.

mod charts;
mod records;
mod sections;

use super::page::{Page, Section};
use crate::recommend::Advice;
use crate::recommend::advice::words::{Words, words};
use crate::recommend::summary::VariantSummary;
use bantam_core::record::{ModelRef, Row, Run};
use serde_json::json;

/// What the page is made of.
pub(super) struct Inputs<'a> {
    pub run: &'a Run,
    pub rows: &'a [Row],
    pub advice: &'a Advice,
    pub words: Words,
}

impl Inputs<'_> {
    /// Models in the order in which they first stand among the rows: a model keeps its colour everywhere.
    fn group(&self, summary: &VariantSummary) -> usize {
        let mut models: Vec<&str> = Vec::new();
        for row in self.rows {
            let name = row.trial.variant.model.name.as_str();
            if !models.contains(&name) {
                models.push(name);
            }
        }
        models.iter().position(|m| *m == summary.variant.model.name).unwrap_or(0)
    }

    /// The models that were measured, each once, with the commits of those that are from the hub.
    fn models(&self) -> Vec<&ModelRef> {
        let mut models: Vec<&ModelRef> = Vec::new();
        for model in self.run.trials.iter().map(|trial| &trial.variant.model) {
            if models.iter().all(|m| m.name != model.name) {
                models.push(model);
            }
        }
        models
    }

    fn is_advised(&self, summary: &VariantSummary) -> bool {
        self.advice.advised().is_some_and(|advised| advised.id() == summary.id())
    }

    /// Standings in the order of the plan.
    fn planned(&self) -> Vec<&VariantSummary> {
        let place = |s: &VariantSummary| self.rows.iter().position(|r| r.trial.variant.id == *s.id());
        let mut all: Vec<&VariantSummary> = self.advice.summaries.iter().collect();
        all.sort_by_key(|s| place(s));
        all
    }
}

/// The whole report as data.
pub fn page(run: &Run, rows: &[Row], advice: &Advice) -> Page {
    let inputs = Inputs { run, rows, advice, words: words(advice) };
    let sections: [fn(&Inputs) -> Option<Section>; 8] = [
        sections::advice,
        sections::trade,
        sections::reference,
        sections::slices,
        sections::speed,
        sections::evidence,
        sections::left_out,
        sections::origin,
    ];
    Page {
        title: title(run),
        subtitle: sections::subtitle(run, rows),
        sections: sections.iter().filter_map(|section| section(&inputs)).collect(),
        records: records::all(&inputs),
        data: data(&inputs),
    }
}

fn title(run: &Run) -> String {
    let profile: Option<toml::Table> = run.profile.parse().ok();
    let title = profile.and_then(|p| p.get("title").and_then(|t| t.as_str()).map(str::to_owned));
    title.unwrap_or_else(|| run.profile_name.clone())
}

/// What programs read: `results.json` less its records.
fn data(inputs: &Inputs) -> serde_json::Value {
    let Inputs { run, rows, advice, words } = inputs;
    let trials: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "id": row.trial.id,
                "variant": row.trial.variant.label(),
                "variant_id": row.trial.variant.id,
                "ask": row.trial.ask.label(),
                "status": if row.outcome.result.is_ok() { "finished" } else { "failed" },
                "reason": row.outcome.result.as_ref().err().map(|f| f.sentence()),
                "items": row.outcome.items.len(),
                "samples": row.outcome.samples.len(),
                "wall_seconds": row.outcome.wall,
                "warnings": row.outcome.warnings,
            })
        })
        .collect();
    json!({
        "bantam": run.version,
        "run": { "id": run.id, "profile": run.profile_name, "started": run.started, "finished": run.finished },
        "profile": run.profile,
        "host": run.host,
        "words": words,
        "advice": advice,
        "models": inputs.models(),
        "trials": trials,
        "left_out": run.left_out,
    })
}
