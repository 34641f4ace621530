//! Scores that were told elsewhere, each beside ours: of the same task, metric and filter of lm-evaluation-harness, item by item where its
//! samples are there; and what the hub reports of the same dataset, as it stands there.

use super::samples::prompts;
use super::scores::{self, Score};
use crate::run::{Done, Workplace};
use crate::show::Table;
use anyhow::Result;
use bantam_core::record::{Ask, Row};
use bantam_eval::told::{Paired, Teller, Told, ToldScore, paired};
use bantam_eval::{TaskFacts, TaskMetric};

/// A score of ours and one that was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    pub variant: String,
    pub task: String,
    pub here: Score,
    pub there: ToldScore,
    pub teller: Teller,
    /// Whose it is there.
    pub model: Option<String>,
    pub paired: Option<Paired>,
}

/// Everything that was told of what a run asked.
///
/// # Errors
/// Where a result or a task's file cannot be read any more.
pub fn of(done: &Done, told: &[Told], workplace: &Workplace) -> Result<Vec<Beside>> {
    let mut all = Vec::new();
    for row in done.whole_rows(workplace) {
        let row = row?;
        if let Some((facts, filter)) = scores::described(&row)? {
            told.iter().for_each(|told| all.extend(of_row(&row, &facts, &filter, told)));
        }
    }
    Ok(all)
}

fn of_row(row: &Row, facts: &TaskFacts, filter: &str, told: &Told) -> Vec<Beside> {
    let Ask::Task(asked) = &row.trial.ask else { return Vec::new() };
    let samples = told.samples_of(&facts.name, filter);
    let prompts = samples.map(|_| prompts(asked)).unwrap_or_default();
    let one = |metric: &TaskMetric, there: &ToldScore| {
        Some(Beside {
            variant: row.trial.variant.label(),
            task: facts.name.clone(),
            here: scores::score(metric, filter, &row.outcome.items)?,
            there: there.clone(),
            teller: told.teller,
            model: told.model.clone(),
            paired: samples.and_then(|of| paired(&row.outcome.items, metric.metric, of, &metric.name, &prompts)),
        })
    };
    match told.teller {
        Teller::Harness => {
            let same = |metric: &TaskMetric, there: &&ToldScore| {
                there.task == facts.name && there.filter == filter && there.metric.as_ref() == Some(&metric.name)
            };
            facts
                .metrics
                .iter()
                .filter_map(|metric| one(metric, told.scores.iter().find(|there| same(metric, there))?))
                .collect()
        }
        // which metric a report means it does not say: the first is a benchmark's own
        Teller::Reported => {
            let dataset = facts.config.get("dataset_path").and_then(|path| path.as_str());
            let of_it = told.scores.iter().filter(|there| there.dataset.as_deref() == dataset && dataset.is_some());
            of_it.filter_map(|there| one(facts.metrics.first()?, there)).collect()
        }
    }
}

/// The table of all of them.
pub fn table(all: &[Beside]) -> Table {
    let mut table = Table::new().text("variant").text("task").text("metric").text("filter");
    table = table.number("here").number("told").number("difference").text("item by item").text("told by");
    for one in all {
        let Beside { variant, task, here, there, teller, model, paired } = one;
        let with = |value: f64, stderr: Option<f64>| match stderr {
            Some(stderr) => format!("{value:.4} ± {stderr:.4}"),
            None => format!("{value:.4}"),
        };
        let (name, difference) = match teller {
            Teller::Harness => (here.metric.clone(), format!("{:+.4}", here.value - there.value)),
            // its scale is whatever its writer took
            Teller::Reported => (format!("{} here", here.metric), "–".into()),
        };
        let whose = match (teller, model) {
            (Teller::Harness, Some(model)) => format!("lm-evaluation-harness, {model}"),
            (Teller::Harness, None) => "lm-evaluation-harness".into(),
            (Teller::Reported, _) => {
                format!(
                    "reported, {}{}",
                    there.task,
                    there.notes.as_ref().map_or(String::new(), |notes| format!(": {notes}"))
                )
            }
        };
        table.row(vec![
            variant.clone(),
            task.clone(),
            name,
            here.filter.clone(),
            with(here.value, here.stderr),
            with(there.value, there.stderr),
            difference,
            paired.as_ref().map_or_else(|| "no samples are there".into(), told_of),
            whose,
        ]);
    }
    table
}

/// "200 items: 2 right here only, 3 there only (p 1.00)".
fn told_of(paired: &Paired) -> String {
    let Paired { items, same, table, asked_otherwise, interval, difference } = paired;
    let mut said = match table {
        Some(table) if table.flips() == 0 => format!("{items} items, all alike"),
        Some(table) => {
            format!(
                "{items} items: {} right here only, {} there only (p {:.2})",
                table.gained,
                table.lost,
                table.mcnemar()
            )
        }
        None if same == items => format!("{items} items, all alike"),
        None => format!("{items} items, {} alike: {difference:+.4}", same),
    };
    if let Some(interval) = interval.filter(|_| same < items) {
        said += &format!(", {:+.4} to {:+.4}", interval.low, interval.high);
    }
    if *asked_otherwise > 0 {
        said += &format!("; {asked_otherwise} were asked with another prompt");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::stats::Table as Counts;

    #[test]
    fn pairs_are_told_with_what_flipped() {
        let counts = Counts { both: 5, gained: 2, lost: 1, neither: 2 };
        let paired =
            Paired { items: 10, same: 7, difference: 0.1, interval: None, table: Some(counts), asked_otherwise: 3 };
        assert_eq!(
            told_of(&paired),
            "10 items: 2 right here only, 1 there only (p 1.00); 3 were asked with another prompt"
        );
        let alike = Paired { same: 10, table: None, asked_otherwise: 0, ..paired };
        assert_eq!(told_of(&alike), "10 items, all alike");
    }
}
