//! The sections of a report, top to bottom: the advice first, where it comes from last.

use super::{Inputs, charts};
use crate::recommend::advice::words;
use crate::recommend::compare::Compared;
use crate::recommend::figures::{self, counted};
use crate::recommend::summary::VariantSummary;
use crate::recommend::{Advice, Group};
use crate::report::page::{Block, Cell, CellMark, Column, DataTable, Section, TableRow};
use bantam_core::metric::Metric;
use bantam_core::record::{Ask, Engine, Provenance, Reading, Row, Run};
use bantam_core::stats::Verdict;
use bantam_core::unit::{Bytes, Unit};

pub(super) fn subtitle(run: &Run, rows: &[Row], advice: &Advice) -> String {
    // rows may have been read without their items
    let items: usize = advice.summaries.iter().flat_map(|summary| &summary.scores).map(|score| score.items).sum();
    format!(
        "bantam {} · profile {} · {} · {}, {} asked",
        run.version,
        run.profile_name,
        date(run.started),
        counted(rows.len(), "trial"),
        counted(items, "item")
    )
}

/// 2026-11-21 03:04 UTC
pub(super) fn date(epoch: f64) -> String {
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp(epoch as i64) else { return "no date".into() };
    let (date, hour, minute) = (at.date(), at.hour(), at.minute());
    format!("{}-{:02}-{:02} {hour:02}:{minute:02} UTC", date.year(), u8::from(date.month()), date.day())
}

pub(super) fn section(id: &str, title: &str, blocks: Vec<Block>) -> Option<Section> {
    (!blocks.is_empty()).then(|| Section { id: id.into(), title: title.into(), blocks })
}

/// Where the advised variant's file is, and what to do with it.
pub(super) fn file(inputs: &Inputs) -> Option<Section> {
    let file = inputs.file?;
    let mut blocks = vec![Block::Text(format!("{}.", file.sentence()))];
    blocks.extend((!file.commands.is_empty()).then(|| Block::Commands(file.commands.clone())));
    section("file", "Where it is and how to run it", blocks)
}

/// All variants: what they can do and what they cost.
pub(super) fn trade(inputs: &Inputs) -> Option<Section> {
    let blocks = vec![Block::Text(conditions(inputs)), Block::Table(variants(inputs))];
    section("variants", "What each variant can do, and what it costs", blocks)
}

/// What the costs in the table hold for: another engine or another context gives others.
fn conditions(inputs: &Inputs) -> String {
    let engine = inputs.run.host.get("engine").and_then(|e| serde_json::from_value::<Engine>(e.clone()).ok());
    let engine = engine.map_or(String::new(), |engine| format!(" ({engine})"));
    let mut shapes: Vec<String> = Vec::new();
    for row in inputs.rows {
        if let Ask::Speed(shape) = &row.trial.ask
            && !shapes.contains(&shape.to_string())
        {
            shapes.push(shape.to_string());
        }
    }
    let at = match shapes.is_empty() {
        true => "while the tasks were answered".to_owned(),
        false => format!("at {}", shapes.join(" and ")),
    };
    let longer = inputs.file.and_then(|file| file.context.clone());
    let longer = longer.map_or_else(|| " A longer context takes more.".into(), |longer| format!(" {longer}"));
    format!(
        "Speeds are those of bantam's own engine{engine} on this machine: another engine, such as llama.cpp, has others. \
         Memory is the worker's peak {at}, weights, cache and program together.{longer}"
    )
}

pub(super) fn column(title: &str, hint: impl Into<String>) -> Column {
    Column { title: title.into(), numeric: true, hint: hint.into() }
}

fn variants(inputs: &Inputs) -> DataTable {
    const COSTS: [(Metric, &str); 6] = [
        (Metric::DecodeTps, "decode"),
        (Metric::PrefillTps, "prefill"),
        (Metric::Ttft, "first token"),
        (Metric::PeakMemory, "memory"),
        (Metric::Disk, "disk"),
        (Metric::DecodeEnergy, "energy"),
    ];
    // money is a column where there are prices
    let cents = inputs.advice.money.as_ref().map(|_| (Metric::CentsPerCorrect, "ct a right answer"));
    let costs: Vec<(Metric, &str)> = COSTS.into_iter().chain(cents).collect();
    let tasks: Vec<_> = inputs.advice.tasks.iter().collect();
    let mut columns = vec![
        Column { title: "variant".into(), numeric: false, hint: "a model after a recipe".into() },
        Column {
            title: "standing".into(),
            numeric: false,
            hint: "whether it meets every constraint and is shown not worse than the reference, and the one reason why not"
                .into(),
        },
        column("mean", "mean of the deciding tasks that are shares of right answers; derived"),
    ];
    columns.extend(
        tasks.iter().map(|t| column(&t.name.to_string(), format!("{}, {}", t.metric, counted(t.items, "item")))),
    );
    let head =
        |(metric, title): &(Metric, &str)| column(title, format!("{}, {}", metric.label(), metric.unit().name()));
    columns.extend(costs.iter().map(head));
    let row = |s: &VariantSummary| {
        let mut cells = vec![Cell::text(s.variant.label()), standing(s), cell(&s.overall.reading)];
        cells.extend(tasks.iter().map(|t| {
            s.score(&t.name).map_or_else(|| Cell::missing("it was not asked"), |score| cell(score.reading()))
        }));
        cells.extend(costs.iter().map(|(metric, _)| cost(inputs, s, *metric)));
        TableRow { cells, advised: inputs.is_advised(s) }
    };
    DataTable {
        caption: "Those that qualify come first, then those of which the items cannot tell, then those that are out. Small \
                  print is the interval. ≈ marks estimates. * marks what was measured while the machine was disturbed, was \
                  cut short by its budget, or only once. – is missing. Reasons are the tooltips, or the notes."
            .into(),
        columns,
        rows: inputs.grouped().into_iter().map(row).collect(),
    }
}

/// A cost, marked where it is to be read with care.
pub(super) fn cost(inputs: &Inputs, summary: &VariantSummary, metric: Metric) -> Cell {
    let reading = summary.cost(metric);
    let cell = cell(&reading);
    match inputs.doubt(summary, metric, &reading) {
        Some(doubt) => Cell { mark: CellMark::Doubtful, hint: format!("{doubt} ({})", cell.hint), ..cell },
        None => cell,
    }
}

pub(super) fn cell(reading: &Reading) -> Cell {
    match reading {
        Reading::Missing { reason } => Cell::missing(reason.clone()),
        Reading::Known(f) => Cell {
            text: figures::shown(f),
            small: match f.interval {
                Some(i) => with_one_unit(&figures::ends(f.unit, i)),
                None => f.no_interval.as_ref().map_or(String::new(), |_| "too few".into()),
            },
            hint: match &f.no_interval {
                Some(reason) => format!("{}: {}; no interval: {reason}", f.provenance.label(), f.how),
                None => format!("{}: {}", f.provenance.label(), f.how),
            },
            mark: if f.provenance == Provenance::Estimated { CellMark::Estimated } else { CellMark::None },
            sort: Some(f.value),
        },
    }
}

/// Both ends of an interval with their unit said once, where it is the same: "15.8 to 16.2 tok/s".
fn with_one_unit(ends: &str) -> String {
    let split = |end: &str| end.rsplit_once(' ').map(|(number, unit)| (number.to_owned(), unit.to_owned()));
    match ends.split_once(" to ").map(|(low, high)| (split(low), split(high), high)) {
        Some((Some((low, one)), Some((_, other)), high)) if one == other => format!("{low} to {high}"),
        _ => ends.to_owned(),
    }
}

/// The group that a variant is in, with its one reason.
fn standing(summary: &VariantSummary) -> Cell {
    let group = summary.standing.group();
    Cell {
        mark: match group {
            Group::Qualifies => CellMark::Good,
            Group::CannotTell => CellMark::None,
            Group::Out => CellMark::Bad,
        },
        small: summary.standing.reason().unwrap_or_default().to_owned(),
        sort: Some(-f64::from(group as u8)),
        ..Cell::text(group.label())
    }
}

/// Every variant against the reference, task by task.
pub(super) fn reference(inputs: &Inputs) -> Option<Section> {
    let advice = inputs.advice;
    let reference = advice.reference()?;
    let tasks: Vec<_> = advice.deciding().collect();
    if tasks.is_empty() || advice.summaries.len() < 2 {
        return None;
    }
    let mut columns = vec![Column { title: "variant".into(), numeric: false, hint: String::new() }];
    columns.extend(tasks.iter().map(|t| column(&t.name.to_string(), format!("difference in {}", t.metric))));
    let rows = inputs.planned().into_iter().filter(|s| s.id() != reference.id()).map(|s| {
        let compared = tasks.iter().map(|t| {
            let found = s.comparisons.iter().find(|c| c.task == t.name);
            found.map_or_else(|| Cell::missing("it was not compared"), comparison)
        });
        let cells = [Cell::text(s.variant.label())].into_iter().chain(compared).collect();
        TableRow { cells, advised: inputs.is_advised(s) }
    });
    let text = format!(
        "Item by item against {}: the difference with its interval, and the verdict at {:.0}% confidence with a margin \
         of {} (Holm's correction over all variants). 'Not worse' means shown; 'cannot tell' means that more items are needed. \
         An interval stands for its own comparison alone, so that a verdict may be the stricter.",
        reference.variant.label(),
        advice.level.get() * 100.0,
        words::margins_of(advice)
    );
    let table = DataTable {
        caption: "Points of the score; for perplexities the ratio. Small print: answers lost and gained.".into(),
        columns,
        rows: rows.collect(),
    };
    section("reference", "Against the reference", vec![Block::Text(text), Block::Table(table)])
}

fn comparison(comparison: &crate::recommend::Comparison) -> Cell {
    let (Some(judgement), Some(shown)) = (comparison.judgement(), comparison.shown()) else {
        let reason = match &comparison.result {
            Compared::Not { reason } => reason.clone(),
            Compared::Judged(_) => String::new(),
        };
        return Cell::missing(reason);
    };
    let flips = comparison.flips;
    let changed = match flips.gained + flips.lost {
        0 => String::new(),
        _ => format!(" · {} lost, {} gained", flips.lost, flips.gained),
    };
    Cell {
        text: words::verdict_name(judgement.verdict).into(),
        small: format!("{}{changed}", words::explained(judgement, shown)),
        hint: words::verdict(comparison),
        mark: match judgement.verdict {
            Verdict::Better | Verdict::NotWorse => CellMark::Good,
            Verdict::Worse => CellMark::Bad,
            Verdict::Inconclusive => CellMark::None,
        },
        sort: Some(judgement.difference),
    }
}

/// Scores broken down: lines where the slice is ordered, tables where it is not, gaps between groups.
pub(super) fn slices(inputs: &Inputs) -> Option<Section> {
    let mut blocks: Vec<Block> = charts::slices(inputs).into_iter().map(Block::Chart).collect();
    blocks.extend(named_slices(inputs).map(Block::Table));
    blocks.extend(gaps(inputs).map(Block::Table));
    section("slices", "Broken down", blocks)
}

/// Slices whose values are names: one table, a row a slice, a column a base variant and the advised one.
fn named_slices(inputs: &Inputs) -> Option<DataTable> {
    let shown: Vec<&VariantSummary> =
        inputs.planned().into_iter().filter(|s| s.variant.is_base() || inputs.is_advised(s)).collect();
    let of = |s: &'_ VariantSummary| -> Vec<((String, String, String), Reading)> {
        let named = s.scores.iter().flat_map(|t| t.slices.iter().map(move |v| (t, v)));
        named
            .filter(|(_, v)| v.value.parse::<f64>().is_err() && v.slice != "cell")
            .map(|(t, v)| ((t.task.clone(), v.slice.clone(), v.value.clone()), v.reading.clone()))
            .collect()
    };
    let mut keys: Vec<(String, String, String)> = shown.iter().flat_map(|s| of(s)).map(|(k, _)| k).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return None;
    }
    let mut columns: Vec<Column> =
        ["task", "slice"].map(|t| Column { title: t.into(), numeric: false, hint: String::new() }).to_vec();
    columns.extend(shown.iter().map(|s| column(&s.variant.label(), "the deciding metric over the slice's items")));
    let row = |key: &(String, String, String)| {
        let found = shown.iter().map(|s| of(s).into_iter().find(|(k, _)| k == key).map(|(_, r)| r));
        let cells = found.map(|r| r.map_or_else(|| Cell::missing("no items"), |r| cell(&r)));
        let names = [Cell::text(key.0.clone()), Cell::text(format!("{} = {}", key.1, key.2))];
        TableRow { cells: names.into_iter().chain(cells).collect(), advised: false }
    };
    let caption = "The untouched models and the advised variant; all variants stand in results.csv.".into();
    Some(DataTable { caption, columns, rows: keys.iter().map(row).collect() })
}

fn gaps(inputs: &Inputs) -> Option<DataTable> {
    let columns = vec![
        Column { title: "variant".into(), numeric: false, hint: String::new() },
        Column { title: "task".into(), numeric: false, hint: String::new() },
        Column { title: "best and worst group".into(), numeric: false, hint: String::new() },
        column("gap", "best less worst group over minimal pairs, which differ in nothing else"),
    ];
    let rows: Vec<TableRow> = inputs
        .planned()
        .into_iter()
        .flat_map(|s| s.scores.iter().flat_map(move |t| t.gaps.iter().map(move |g| (s, t, g))))
        .map(|(s, t, g)| TableRow {
            cells: vec![
                Cell::text(s.variant.label()),
                Cell::text(t.task.clone()),
                Cell::text(format!("{} over {} ({})", g.best, g.worst, g.slice)),
                gap(&g.reading),
            ],
            advised: inputs.is_advised(s),
        })
        .collect();
    let caption = "Items of a pair differ only in the group's name; an interval that holds zero shows no gap.".into();
    (!rows.is_empty()).then_some(DataTable { caption, columns, rows })
}

/// A gap is a difference of scores, and so counted in points.
fn gap(reading: &Reading) -> Cell {
    let cell = cell(reading);
    let Some(figure) = reading.known().filter(|figure| figure.unit == Unit::Fraction) else { return cell };
    let ends = figure.interval.map(|i| format!("{:.1} to {:.1} points", i.low * 100.0, i.high * 100.0));
    Cell { text: figures::points(figure.value), small: ends.unwrap_or(cell.small), ..cell }
}

pub(super) fn speed(inputs: &Inputs) -> Option<Section> {
    if inputs.advice.summaries.iter().all(|s| s.shapes.is_empty()) {
        return None;
    }
    let wanted = [
        (Metric::DecodeTps, "decode", "Decode speed"),
        (Metric::PrefillTps, "prefill", "Prefill speed"),
        (Metric::DecodeEnergy, "energy", "Energy per decoded token"),
    ];
    let known = |metric: Metric| inputs.advice.summaries.iter().any(|s| s.cost(metric).known().is_some());
    let drawn = wanted.iter().filter(|(metric, ..)| known(*metric));
    let charts = drawn.filter_map(|(metric, name, title)| charts::bars(inputs, *metric, name, title));
    let mut blocks: Vec<Block> = charts.map(Block::Chart).collect();
    blocks.extend(wanted.iter().filter(|(metric, ..)| !known(*metric)).filter_map(|(metric, _, title)| {
        let why = inputs.advice.summaries.iter().find_map(|s| match s.cost(*metric) {
            Reading::Missing { reason } => Some(reason),
            Reading::Known(_) => None,
        });
        Some(Block::Text(format!("{title} is not known: {}.", why?.trim_end_matches('.'))))
    }));
    section("speed", "Speed and energy", blocks)
}

/// The evidence behind the advice, and what makes it doubtful.
pub(super) fn evidence(inputs: &Inputs) -> Option<Section> {
    let lists = inputs.words.evidence.iter().filter(|e| !e.lines.is_empty());
    let blocks = lists.flat_map(|e| [Block::Text(format!("{}:", e.title)), Block::List(e.lines.clone())]);
    section("evidence", "Evidence and doubts", blocks.collect())
}

/// What the profile asks for and cannot be made, where there is such.
pub(super) fn left_out(inputs: &Inputs) -> Option<Section> {
    let pairs = &inputs.run.left_out;
    let lines = pairs.iter().map(|pair| format!("{}: {}", pair.label(), pair.reason)).collect();
    (!pairs.is_empty()).then(|| section("left-out", "What was left out", vec![Block::List(lines)]))?
}

/// Where the numbers come from and how to get them again.
pub(super) fn origin(inputs: &Inputs) -> Option<Section> {
    let run = inputs.run;
    let text = |pointer: &str| {
        let known = run.host.pointer(&format!("{pointer}/known")).or_else(|| run.host.pointer(pointer));
        known.and_then(|v| v.as_str().map(str::to_owned).or_else(|| v.as_u64().map(|n| n.to_string())))
    };
    let bytes = |pointer: &str| text(pointer).and_then(|t| t.parse().ok()).map(|n| Bytes(n).to_string());
    let mut facts = vec![("bantam".to_owned(), run.version.clone()), ("run".to_owned(), run.id.to_string())];
    let host = [
        ("processor", text("/cpu/model")),
        ("logical cores", text("/cpu/logical")),
        ("memory", bytes("/memory/total")),
        ("system", text("/system/os")),
        ("kernel", text("/system/kernel")),
    ];
    facts.extend(host.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let pinned = inputs.models().into_iter().filter_map(|model| Some((model.name.clone(), model.commit.as_ref()?)));
    facts.extend(pinned.map(|(name, commit)| (name, format!("commit {commit} of the hub"))));
    facts.push(("started".into(), date(run.started)));
    let again = "profile.toml in this folder is what was asked: run it to get these numbers again. Scores are the same to the \
                 last digit on the same processor; speeds vary with the machine. The whole host card stands in results.json.";
    let command = ("In this report's folder:".to_owned(), "bantam run profile.toml".to_owned());
    let blocks = vec![Block::Facts(facts), Block::Text(again.into()), Block::Commands(vec![command])];
    section("origin", "Where the numbers come from", blocks)
}

#[cfg(test)]
mod tests {
    use super::with_one_unit;

    #[test]
    fn a_unit_that_both_ends_have_is_said_once() {
        assert_eq!(with_one_unit("15.8 tok/s to 16.2 tok/s"), "15.8 to 16.2 tok/s");
        assert_eq!(with_one_unit("995 µs to 1.44 ms"), "995 µs to 1.44 ms");
        assert_eq!(with_one_unit("91.0 to 95.2%"), "91.0 to 95.2%");
        assert_eq!(with_one_unit("2.13 to 2.21"), "2.13 to 2.21");
    }
}
