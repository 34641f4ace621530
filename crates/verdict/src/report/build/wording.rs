//! What the wording of a task does, beside what compression does: tasks that differ in nothing but their template (TASK~NAME) or in how
//! a model is asked (TASK@NAME).

use super::Inputs;
use super::sections::{cell, column, section};
use crate::recommend::score::TaskScore;
use crate::recommend::summary::VariantSummary;
use crate::report::page::{Block, Cell, Column, DataTable, Section, TableRow};
use bantam_core::record::{Figure, Provenance, Reading};

/// A task and the name of its wording.
fn parts(task: &str) -> Option<(&str, &str)> {
    let at = task.find(['~', '@'])?;
    Some((&task[..at], &task[at + 1..]))
}

/// The wordings of one task that a variant was asked in, each with its score.
struct Worded<'a> {
    suite: &'a str,
    task: &'a str,
    forms: Vec<(&'a str, &'a Figure)>,
}

impl Worded<'_> {
    fn mean(&self) -> f64 {
        self.forms.iter().map(|(_, figure)| figure.value).sum::<f64>() / self.forms.len() as f64
    }

    fn derived(&self, value: f64, how: &str) -> Reading {
        let unit = self.forms[0].1.unit;
        Reading::Known(Figure {
            value,
            unit,
            provenance: Provenance::Derived,
            interval: None,
            no_interval: Some("of wordings that were chosen, not drawn, there is no interval".into()),
            n: Some(self.forms.len()),
            how: how.to_owned(),
        })
    }
}

fn worded(summary: &VariantSummary) -> Vec<Worded<'_>> {
    let mut all: Vec<Worded> = Vec::new();
    for score in &summary.scores {
        let TaskScore { suite, task, .. } = score;
        let (Some((task, form)), Some(figure)) = (parts(task), score.reading().known()) else { continue };
        match all.iter_mut().find(|worded| worded.suite == suite && worded.task == task) {
            Some(worded) => worded.forms.push((form, figure)),
            None => all.push(Worded { suite, task, forms: vec![(form, figure)] }),
        }
    }
    all.retain(|worded| worded.forms.len() > 1);
    all
}

/// The spread over wordings of each variant, and how far its mean lies from its model's as published.
pub(super) fn spread(inputs: &Inputs) -> Option<Section> {
    let planned = inputs.planned();
    let mut rows = Vec::new();
    for summary in &planned {
        for own in worded(summary) {
            let base =
                planned.iter().find(|s| s.variant.is_base() && s.variant.model.name == summary.variant.model.name);
            let base = base.and_then(|base| {
                worded(base).into_iter().find(|w| (w.suite, w.task) == (own.suite, own.task)).map(|w| w.mean())
            });
            let by_value = |a: &&(&str, &Figure), b: &&(&str, &Figure)| a.1.value.total_cmp(&b.1.value);
            let (Some(least), Some(most)) = (own.forms.iter().min_by(by_value), own.forms.iter().max_by(by_value))
            else {
                continue;
            };
            let known = |figure: &Figure| cell(&Reading::Known(figure.clone()));
            let from_base = match (summary.variant.is_base(), base) {
                (true, _) => Cell::missing("it is the model as published"),
                (false, None) => Cell::missing("the model as published was not asked in several wordings"),
                (false, Some(base)) => {
                    cell(&own.derived(own.mean() - base, "mean over wordings, less that of the model as published"))
                }
            };
            let cells = vec![
                Cell::text(summary.variant.label()),
                Cell::text(own.task.to_owned()),
                cell(&own.derived(own.mean(), "mean over wordings")),
                Cell::text(least.0.to_owned()),
                known(least.1),
                Cell::text(most.0.to_owned()),
                known(most.1),
                cell(&own.derived(most.1.value - least.1.value, "most less least over wordings")),
                from_base,
            ];
            rows.push(TableRow { cells, advised: inputs.is_advised(summary) });
        }
    }
    if rows.is_empty() {
        return None;
    }
    let mut columns: Vec<Column> =
        ["variant", "task"].map(|t| Column { title: t.into(), numeric: false, hint: String::new() }).to_vec();
    let text = |title: &str| Column { title: title.into(), numeric: false, hint: String::new() };
    columns.push(column("mean", "mean over wordings"));
    columns.push(text("least by"));
    columns.push(column("least", "the wording with the least score"));
    columns.push(text("most by"));
    columns.push(column("most", "the wording with the greatest score"));
    columns.push(column("between wordings", "most less least"));
    columns.push(column("from the published", "mean less the mean of the model as published: what compression does"));
    let said = "The same questions in several wordings (TASK~NAME) or ways of asking (TASK@NAME). What lies between wordings is often more than what \
                compression costs: a loss that is smaller is no reason to prefer a larger file, and another wording may win more than one.";
    let table = DataTable {
        caption: "Small print is the interval, over items. – is missing; the reason is the tooltip, or the note."
            .into(),
        columns,
        rows,
    };
    section("wording", "What the wording does", vec![Block::Text(said.into()), Block::Table(table)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_wording() {
        assert_eq!(parts("routing~short"), Some(("routing", "short")));
        assert_eq!(parts("routing:strict@chat"), Some(("routing:strict", "chat")));
        assert_eq!(parts("routing"), None);
    }
}
