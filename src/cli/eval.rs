//! `bantam eval MODEL… --suite S`: scores as lm-evaluation-harness computes them, with intervals and slices.

use super::args::Eval;
use super::bench::exit_of;
use super::compare::print_losses;
use super::run::{execute, exit, print_json};
use super::{Exit, adhoc};
use crate::library::suites;
use crate::run::{Done, Workplace};
use crate::show::Table;
use crate::show::lm_eval::scores::{self, Score, VariantScores};
use crate::show::lm_eval::{beside, report, results, samples};
use crate::show::out::{self, say};
use anyhow::{Context, Result, ensure};
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::{Ask, ItemScore, Reading};
use bantam_core::text;
use bantam_eval::LmEvalTask;
use bantam_eval::told::{self, Told};
use bantam_verdict::recommend::figures;
use bantam_verdict::recommend::score::TaskScore;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

pub(super) fn run(args: Eval) -> Result<Exit> {
    let mut profile = adhoc::profile("eval", adhoc::adapted(args.models, args.adapter.as_deref()), &args.quant);
    adhoc::under(&mut profile, &args.endpoint)?;
    profile.suites = adhoc::suites(args.suite);
    profile.chat = args.chat.ways()?;
    let blank = args.tasks.iter().any(|task| task.trim().is_empty());
    ensure!(!blank, "--tasks names no task: give names or files of task definitions, with commas");
    profile.suites.extend(suites::lm_eval(&args.tasks, args.num_fewshot, &args.include_path, args.allow_code)?);
    // what is told cannot be read is said before anything runs
    let told = args.beside.iter().map(|path| told::read(path)).collect::<Result<Vec<_>, _>>()?.concat();
    if args.loss {
        profile.loss = Some(adhoc::loss(args.loss_of)?);
    }
    profile.kv = adhoc::kv(args.kv);
    profile.measure.limit = args.limit;
    profile.measure.max_length = args.max_length;
    profile.measure.threads = args.threads;
    let done = execute(&profile, &args.common)?;
    let named = profile.suites.iter().any(|name| LmEvalTask::is_named(name));
    let workplace = if named { Some(Workplace::open()?) } else { None };
    let harness =
        workplace.as_ref().map_or(Ok(Vec::new()), |workplace| scores::of(&done, &profile.suites, workplace))?;
    if let Some(folder) = &args.output_path {
        let samples = workplace.as_ref().filter(|_| args.log_samples);
        written(&harness, &done, args.limit, folder, samples, args.eval_results)?;
    }
    if args.items {
        print_items(&done).context("printing the items")?;
    } else if args.common.json {
        print_json(&done)?;
    } else {
        let mut table = Table::new().text("variant").text("task").text("metric").text("slice");
        table = table.number("items").number("value").text("interval");
        for head in ["s/item", "s/correct", "tokens/correct", "J/correct"] {
            table = table.number(head);
        }
        for summary in &done.advice.summaries {
            for score in &summary.scores {
                rows(&summary.variant.label(), score, &mut table);
            }
            let label = summary.variant.label();
            harness.iter().filter(|scores| scores.variant == label).for_each(|scores| group_rows(scores, &mut table));
        }
        table.print(&mut out::stdout()).context("printing the table")?;
        print_losses(&done.advice)?;
        if let Some(workplace) = workplace.as_ref().filter(|_| !told.is_empty()) {
            print_beside(&done, &told, workplace)?;
        }
    }
    Ok(exit_of(exit(&done)))
}

/// The scores of groups, each with twice its standard error on both sides, as lm-evaluation-harness tells them.
fn group_rows(scores: &VariantScores, table: &mut Table) {
    for (group, of_group, size) in &scores.groups {
        for Score { metric, filter, value, stderr } in of_group {
            let slice = if filter == "none" { "group".to_owned() } else { format!("group, {filter}") };
            let interval = match stderr {
                Some(stderr) => format!("± {:.4} (standard error)", stderr),
                None => "no standard error of it is known".to_owned(),
            };
            let none = || "–".to_owned();
            let row = [
                scores.variant.clone(),
                group.alias.clone(),
                metric.clone(),
                slice,
                size.to_string(),
                format!("{value:.4}"),
                interval,
            ];
            table.row(row.into_iter().chain([none(), none(), none(), none()]).collect());
        }
    }
}

/// What was told elsewhere of the same tasks.
fn print_beside(done: &Done, told: &[Told], workplace: &Workplace) -> Result<()> {
    let all = beside::of(done, told, workplace)?;
    say!()?;
    match all.is_empty() {
        true => say!("The files beside tell nothing of these tasks, metrics and filters.")?,
        false => beside::table(&all).print(&mut out::stdout()).context("printing the table")?,
    }
    Ok(())
}

/// Writes lm-evaluation-harness's results of every variant, with the samples where a place to take them from is given.
fn written(
    harness: &[VariantScores],
    done: &Done,
    limit: Option<usize>,
    folder: &Path,
    samples: Option<&Workplace>,
    reports: bool,
) -> Result<()> {
    let started = done.run.started;
    let seconds = done.run.finished.map_or(0.0, |finished| finished - started);
    let date = results::date(started);
    for scores in harness {
        let file = results::write(scores, results::Asked { limit, started, seconds }, folder, &date)?;
        out::note!("wrote {}", file.display());
        if reports {
            match report::write(scores, started, folder)? {
                Some(file) => out::note!("wrote {}", file.display()),
                None => {
                    out::note!("no task of {} has a dataset of the hub, so that nothing is reported", scores.variant)
                }
            }
        }
    }
    if let Some(workplace) = samples {
        for file in samples::write(done, workplace, folder, &date)? {
            out::note!("wrote {}", file.display());
        }
    }
    Ok(())
}

fn rows(variant: &str, score: &TaskScore, table: &mut Table) {
    let whole = score.readings.iter().map(|(metric, reading)| (*metric, String::new(), reading));
    let slices = score.slices.iter().map(|s| (score.metric, format!("{}={}", s.slice, s.value), &s.reading));
    let gaps =
        score.gaps.iter().map(|g| (score.metric, format!("gap {}: {} − {}", g.slice, g.best, g.worst), &g.reading));
    let cost = |metric| score.cost(metric).and_then(Reading::known).map_or_else(|| "–".into(), figures::shown);
    let costs = [Metric::SecondsPerItem, Metric::SecondsPerCorrect, Metric::TokensPerCorrect, Metric::JoulesPerCorrect];
    for (place, (metric, slice, reading)) in whole.chain(slices).chain(gaps).enumerate() {
        let names = [variant, &score.task, metric.name(), &slice].map(str::to_owned);
        let [n, value, interval] = match reading {
            Reading::Missing { reason } => [String::new(), "–".into(), reason.clone()],
            Reading::Known(f) => [
                f.n.map_or(String::new(), |n| n.to_string()),
                figures::shown(f),
                match f.interval {
                    Some(i) => figures::ends(f.unit, i),
                    None => f.no_interval.clone().unwrap_or_default(),
                },
            ],
        };
        // of the whole task, beside the metric that decides
        let costs = costs.map(|metric| if place == 0 { cost(metric) } else { String::new() });
        table.row(names.into_iter().chain([n, value, interval]).chain(costs).collect());
    }
}

/// A score in the words of its metric: `value` is the item's own, and beside it stands what the task's is made of. An
/// item alone has no correlation and no F1.
fn score_json(score: &ItemScore) -> Value {
    let &ItemScore { metric, value, weight } = score;
    let own = metric.aggregate([(value, weight)]);
    match metric.aggregation() {
        Aggregation::Mean | Aggregation::None => json!({ "metric": metric, "value": value }),
        Aggregation::BitsPerByte => json!({ "metric": metric, "value": own, "loglikelihood": value, "bytes": weight }),
        Aggregation::WeightedPerplexity => {
            let unit = match metric {
                Metric::WordPerplexity => "words",
                Metric::BytePerplexity => "bytes",
                _ => "continuations",
            };
            json!({ "metric": metric, "value": own, "loglikelihood": value, unit: weight })
        }
        Aggregation::Bleu | Aggregation::Chrf => json!({ "metric": metric, "value": own }),
        Aggregation::MacroF1 | Aggregation::Mcc | Aggregation::F1 => {
            json!({ "metric": metric, "found": value, "right": weight })
        }
        Aggregation::Spearman | Aggregation::Pearson => json!({ "metric": metric, "said": value, "given": weight }),
    }
}

/// One JSON line an item: which variant and task, and all that was recorded.
fn print_items(done: &Done) -> Result<()> {
    let workplace = Workplace::open()?;
    let mut out = io::BufWriter::new(out::stdout());
    for row in done.whole_rows(&workplace) {
        let row = row?;
        let Ask::Task(task) = &row.trial.ask else { continue };
        for item in &row.outcome.items {
            let mut line = json!({ "variant": row.trial.variant.label(), "task": task.task, "item": item });
            line["item"]["scores"] = item.scores.iter().map(score_json).collect();
            writeln!(out, "{}", text::json(&line.to_string()))?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_of_an_item_is_what_its_metric_says() {
        let json = |metric, value, weight| score_json(&ItemScore { metric, value, weight });
        let bits = json(Metric::BitsPerByte, -2.0 * std::f64::consts::LN_2, 4.0);
        assert_eq!((&bits["value"], &bits["bytes"]), (&json!(0.5), &json!(4.0)));
        assert_eq!(bits["loglikelihood"], json!(-2.0 * std::f64::consts::LN_2));
        let words = json(Metric::WordPerplexity, 0.0, 3.0);
        assert_eq!(words, json!({ "metric": "word_perplexity", "value": 1.0, "loglikelihood": 0.0, "words": 3.0 }));
        assert_eq!(json(Metric::Acc, 1.0, 1.0), json!({ "metric": "acc", "value": 1.0 }));
        assert_eq!(json(Metric::Mcc, 2.0, 1.0), json!({ "metric": "mcc", "found": 2.0, "right": 1.0 }));
        // an empty text costs nothing a byte that it has not
        assert_eq!(json(Metric::BitsPerByte, 0.0, 0.0)["value"], Value::Null);
    }
}
