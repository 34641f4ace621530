//! Builds the page from a run, its rows and its advice: what is said, in which order. Every number comes from
//! recommend's summaries; nothing is computed again here.

mod answers;
mod charts;
mod decision;
mod loss;
mod money;
mod records;
mod sections;
mod systems;
mod wording;

use super::page::{AdvisedFile, Page, Section};
use crate::recommend::Advice;
use crate::recommend::advice::words::Words;
use crate::recommend::advice::{told, unfinished};
use crate::recommend::summary::{TaskName, VariantSummary};
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, ModelRef, Provenance, Reading, Row, Run, WarningKind};
use serde_json::json;

/// What the page is made of.
pub(super) struct Inputs<'a> {
    pub run: &'a Run,
    pub rows: &'a [Row],
    pub advice: &'a Advice,
    pub file: Option<&'a AdvisedFile>,
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

    fn is_reference(&self, summary: &VariantSummary) -> bool {
        self.advice.is_reference(summary.id())
    }

    /// The models in the order of their colours.
    fn model_names(&self) -> Vec<String> {
        self.models().into_iter().map(|model| model.name.clone()).collect()
    }

    /// Why a cost of a variant is to be read with care, though it was measured: what disturbed its speed shapes, that its
    /// time was cut short, or that it was not repeated.
    fn doubt(&self, summary: &VariantSummary, metric: Metric, reading: &Reading) -> Option<String> {
        let all = self.doubts(summary, metric, reading);
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The same, one after the other.
    fn doubts(&self, summary: &VariantSummary, metric: Metric, reading: &Reading) -> Vec<String> {
        let measured = reading.known().filter(|figure| figure.provenance != Provenance::Estimated);
        let Some(figure) = measured.filter(|_| is_timed(metric)) else { return Vec::new() };
        let once = (figure.n == Some(1)).then(|| "measured only once".to_owned());
        let speed = |row: &&Row| row.trial.variant.id == *summary.id() && matches!(row.trial.ask, Ask::Speed(_));
        let warnings = self.rows.iter().filter(speed).flat_map(|row| &row.outcome.warnings);
        let told = warnings.filter(|warning| disturbs(warning.kind)).map(|warning| warning.text.clone());
        let mut all: Vec<String> = once.into_iter().chain(told).collect();
        all.dedup();
        all
    }

    /// Summaries by group (those that qualify first), within a group in the order of the plan.
    fn grouped(&self) -> Vec<&VariantSummary> {
        let mut all = self.planned();
        all.sort_by_key(|summary| summary.standing.group());
        all
    }

    /// Standings in the order of the plan.
    fn planned(&self) -> Vec<&VariantSummary> {
        let place = |s: &VariantSummary| self.rows.iter().position(|r| r.trial.variant.id == *s.id());
        let mut all: Vec<&VariantSummary> = self.advice.summaries.iter().collect();
        all.sort_by_key(|s| place(s));
        all
    }
}

/// What a clock or a power meter gives, and other programs can disturb.
fn is_timed(metric: Metric) -> bool {
    use Metric::{DecodeEnergy, DecodeTps, Energy1000, InterToken, PrefillEnergy, PrefillTps, Ttft};
    matches!(metric, PrefillTps | DecodeTps | Ttft | InterToken | PrefillEnergy | DecodeEnergy | Energy1000)
}

fn disturbs(kind: WarningKind) -> bool {
    use WarningKind::{BudgetSpent, ForeignLoad, Steal, Swap, Throttling};
    matches!(kind, ForeignLoad | Steal | Throttling | Swap | BudgetSpent)
}

/// The whole report as data; `file` tells where what it advises is.
pub fn page(run: &Run, rows: &[Row], advice: &Advice, file: Option<&AdvisedFile>) -> Page {
    let words = told(run, rows, advice);
    // an unfinished run advises no file
    let inputs = Inputs { run, rows, advice, file: file.filter(|_| words.found), words };
    let sections: [fn(&Inputs) -> Option<Section>; 16] = [
        decision::advice,
        decision::why,
        sections::file,
        sections::trade,
        sections::reference,
        sections::slices,
        loss::lost,
        answers::cost,
        money::costs,
        systems::together,
        answers::calibration,
        wording::spread,
        sections::speed,
        sections::evidence,
        sections::left_out,
        sections::origin,
    ];
    Page {
        title: title(run),
        subtitle: sections::subtitle(run, rows, advice),
        sections: sections.iter().filter_map(|section| section(&inputs)).collect(),
        records: records::all(&inputs),
        profile: profile(run, &inputs),
        data: data(&inputs),
        faces: decision::faces(&inputs),
    }
}

fn title(run: &Run) -> String {
    let profile: Option<toml::Table> = run.profile.parse().ok();
    let title = profile.and_then(|p| p.get("title").and_then(|t| t.as_str()).map(str::to_owned));
    title.unwrap_or_else(|| run.profile_name.clone())
}

/// How many items of a row have a score; rows may have been read without them.
fn items(advice: &Advice, row: &Row) -> usize {
    let score = || advice.summary(&row.trial.variant.id)?.score(&TaskName::of(row)?);
    score().map_or(0, |score| score.items)
}

/// The profile as a file, and above it what it was; as it was kept, where an earlier version kept it otherwise.
fn profile(run: &Run, inputs: &Inputs) -> String {
    let mut text = format!(
        "# What bantam {} was asked on {}, in run {}. `bantam run profile.toml` asks it again.\n",
        run.version,
        sections::date(run.started),
        run.id
    );
    for (name, commit) in inputs.models().into_iter().filter_map(|m| Some((&m.name, m.commit.as_ref()?))) {
        text += &format!("# {} was commit {commit}; NAME@COMMIT in its place pins that.\n", name.replace('\n', " "));
    }
    text.push('\n');
    text + &Profile::from_resolved(&run.profile).map_or_else(|_| run.profile.clone(), |profile| profile.to_toml())
}

/// What programs read: `results.json` less its records.
fn data(inputs: &Inputs) -> serde_json::Value {
    let Inputs { run, rows, advice, file, words } = inputs;
    let trials: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "id": row.trial.id,
                "variant": row.trial.variant.label(),
                "variant_id": row.trial.variant.id,
                "ask": row.trial.ask.label(),
                "task": match &row.trial.ask {
                    Ask::Task(task) => Some(task),
                    Ask::Speed(_) => None,
                },
                "engine": row.trial.conditions.engine,
                "status": if row.outcome.result.is_ok() { "finished" } else { "failed" },
                "reason": row.outcome.result.as_ref().err().map(|f| f.sentence()),
                "items": items(advice, row),
                "samples": row.outcome.samples.len(),
                "wall_seconds": row.outcome.wall,
                "warnings": row.outcome.warnings,
            })
        })
        .collect();
    json!({
        "bantam": run.version,
        "run": {
            "id": run.id,
            "profile": run.profile_name,
            "started": run.started,
            "finished": run.finished,
            "complete": unfinished(run, rows).is_none(),
        },
        "profile": run.profile,
        "host": run.host,
        "words": words,
        "advice": advice,
        "advised_file": file,
        "models": inputs.models(),
        "trials": trials,
        "left_out": run.left_out,
    })
}
