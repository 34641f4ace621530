//! What was lost between a base and its variants, task by task: how much, whether that is shown, how much of what the base had
//! above guessing is kept, where it is concentrated, and which answers changed. Where no loss is shown, the smallest one that
//! would have been seen is said, since "no loss" of few items says little.

use super::compare::{self, Comparison, Flip, Flips, Scale};
use super::figures::{self, counted};
use super::known::{Known, Memo};
use super::score::{self, Confidence};
use super::summary::{TaskName, VariantSummary};
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Figure, Id, Interval, ItemResult, Outcome, Provenance, Reading, Row, TaskRef};
use bantam_core::stats::interaction;
use bantam_core::stats::{Clusters, Pairs, power, ratio};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;

/// The suite of made items that tell losses; its tasks decide nothing.
pub const BATTERY: &str = "battery";
/// Changed answers that are kept of a task, to be browsed.
const FLIPS: usize = 40;
/// A slice with a cell for each of two others, which is drawn and not tested.
const CELL: &str = "cell";

/// What one variant lost of its base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantLoss {
    /// The variant.
    pub variant: Id,
    /// Its name.
    pub label: String,
    /// The base that it is held against: its own model as it is, or the reference.
    pub base: Id,
    /// The base's name.
    pub base_label: String,
    /// The loss on every task that both were asked.
    pub tasks: Vec<TaskLoss>,
    /// How far its predictions over a text moved; None where none was read.
    pub divergence: Option<Divergence>,
}

/// What was lost on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLoss {
    /// The task.
    pub task: TaskName,
    /// The metric it is told by.
    pub metric: Metric,
    /// The base's score.
    pub base: Reading,
    /// The variant's.
    pub variant: Reading,
    /// Variant less base in points, or the ratio of perplexities.
    pub difference: Reading,
    /// What is shown.
    pub shown: Change,
    /// The smallest loss that would have been seen four times in five, where none is shown: on the metric's scale.
    pub smallest_seen: Option<f64>,
    /// The share of what the base had above guessing that the variant keeps.
    pub kept: Reading,
    /// How many answers changed.
    pub flips: Flips,
    /// Some of the answers that changed, those that were right first.
    pub flipped: Vec<Flip>,
    /// The same for every value of every slice.
    pub slices: Vec<SliceLoss>,
    /// For each slice, whether the loss is the same in all its values.
    pub concentrated: Vec<Concentration>,
}

/// What a difference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The variant is shown worse.
    Lost,
    /// The variant is shown better.
    Gained,
    /// Neither is shown.
    Neither,
    /// There is no difference to look at; the reading says why.
    Unknown,
}

/// The loss over the items of one value of a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceLoss {
    /// The slice's name.
    pub slice: String,
    /// The value that these items have in common.
    pub value: String,
    /// How many items there are.
    pub items: usize,
    /// Variant less base.
    pub difference: Reading,
}

/// Whether a loss is concentrated in some values of a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concentration {
    /// The slice's name.
    pub slice: String,
    /// The chance of losses so far apart, were they all alike; or why there is none.
    pub p: Result<f64, String>,
    /// The value that lost most.
    pub worst: String,
}

/// How far a variant's predictions over a text moved, in llama-perplexity's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The text's file.
    pub text: String,
    /// Tokens that were scored.
    pub tokens: usize,
    /// Mean KL divergence in nats, and its standard error.
    pub mean: (f64, f64),
    /// 99% of the tokens diverge by less.
    pub p99: f64,
    /// Share of tokens of which both find the same one the likeliest, and its standard error.
    pub same_top: (f64, f64),
    /// The variant's perplexity over the base's, with the error of pairs.
    pub ratio: (f64, f64),
}

/// The key under which a divergence is kept.
pub fn divergence_key(base: &Id, variant: &Id, settings: &bantam_core::profile::Loss) -> Id {
    Id::of(&("kld 1", base, variant, &settings.text, settings.ctx, settings.chunks))
}

/// Which variant is held against which base: its own model as it is where that was tried, else the reference.
pub fn pairs<'a>(
    summaries: &'a [VariantSummary],
    reference: Option<&Id>,
) -> Vec<(&'a VariantSummary, &'a VariantSummary)> {
    let base_of = |s: &VariantSummary| {
        let own = summaries.iter().find(|b| b.variant.is_base() && b.variant.model.digest == s.variant.model.digest);
        own.filter(|base| base.id() != s.id())
            .or_else(|| summaries.iter().find(|b| Some(b.id()) == reference))
            .filter(|base| base.id() != s.id())
    };
    summaries.iter().filter_map(|s| Some((base_of(s)?, s))).collect()
}

/// Works out what every variant lost.
pub(super) fn losses<'a>(
    rows: &'a [Row],
    profile: &Profile,
    summaries: &[VariantSummary],
    reference: Option<&Id>,
    confidence: Confidence,
    memo: &Memo<'a>,
    known: &dyn Known,
) -> Vec<VariantLoss> {
    let Some(settings) = &profile.loss else { return Vec::new() };
    let of = |id: &Id| rows.iter().filter(|row| row.trial.variant.id == *id).collect::<Vec<&Row>>();
    let lost = |(base, variant): (&VariantSummary, &VariantSummary)| {
        let mut tasks: Vec<TaskLoss> = Vec::new();
        for before in of(base.id()) {
            let Some(after) = of(variant.id()).into_iter().find(|row| row.trial.ask == before.trial.ask) else {
                continue;
            };
            let found =
                memo.get("loss", &[before, after], &confidence, |rows| task_losses(rows[0], rows[1], confidence));
            tasks.extend(found);
        }
        let key = divergence_key(base.id(), variant.id(), settings);
        VariantLoss {
            variant: variant.id().clone(),
            label: variant.variant.label(),
            base: base.id().clone(),
            base_label: base.variant.label(),
            tasks,
            divergence: known.find(&key).and_then(|record| serde_json::from_str(&record).ok()),
        }
    };
    pairs(summaries, reference).into_iter().map(lost).collect()
}

/// The losses of two rows of one task: by the metric that decides, and by what is wrong with generated answers.
fn task_losses(before: &Row, after: &Row, confidence: Confidence) -> Vec<TaskLoss> {
    let Ask::Task(task) = &before.trial.ask else { return Vec::new() };
    let beside = [Metric::Repetition, Metric::Truncation, Metric::Refusal];
    let metrics = task.metrics.iter().enumerate().filter(|(place, metric)| *place == 0 || beside.contains(metric));
    metrics.filter_map(|(_, metric)| task_loss(&by(before, *metric), &by(after, *metric), confidence)).collect()
}

/// The row as if this metric decided.
fn by(row: &Row, metric: Metric) -> Cow<'_, Row> {
    let Ask::Task(task) = &row.trial.ask else { return Cow::Borrowed(row) };
    if task.metrics.first() == Some(&metric) {
        return Cow::Borrowed(row);
    }
    let mut row = row.clone();
    if let Ask::Task(task) = &mut row.trial.ask {
        task.metrics.retain(|other| *other != metric);
        task.metrics.insert(0, metric);
    }
    Cow::Owned(row)
}

/// The row with some of its items only; all of them may be more than memory holds twice.
fn with(row: &Row, items: &[&ItemResult]) -> Row {
    let (all, trial) = (&row.outcome, row.trial.clone());
    let outcome = Outcome {
        trial: all.trial.clone(),
        result: all.result.clone(),
        items: items.iter().map(|item| (*item).clone()).collect(),
        samples: Vec::new(),
        peak_memory: all.peak_memory.clone(),
        energy: all.energy.clone(),
        disk: all.disk.clone(),
        ceiling: all.ceiling.clone(),
        load: all.load,
        loaded_by: all.loaded_by.clone(),
        wall: all.wall,
        warnings: Vec::new(),
        started: all.started,
        predicted: None,
        settled: None,
    };
    Row { trial, outcome }
}

fn task_loss(before: &Row, after: &Row, confidence: Confidence) -> Option<TaskLoss> {
    let Ask::Task(task) = &before.trial.ask else { return None };
    let metric = *task.metrics.first()?;
    let comparison = compare::compare(before, after, 0.0, confidence)?;
    let reading = |row: &Row| match &row.outcome.result {
        Err(failure) => Reading::missing(failure.sentence()),
        Ok(()) => score::reading(&row.outcome.items.iter().collect::<Vec<_>>(), metric, confidence.level),
    };
    let paired = compare::paired(before, after).ok();
    let is_rate = matches!(metric, Metric::Repetition | Metric::Truncation | Metric::Refusal);
    let mut flipped = compare::flips(before, after);
    flipped.sort_by_key(|flip| flip.kind != compare::FlipKind::Lost);
    flipped.truncate(FLIPS);
    let shown = change(&comparison);
    let smallest_seen =
        paired.as_ref().filter(|_| matches!(shown, Change::Neither | Change::Gained)).map(|(pairs, _)| {
            let smallest = power::smallest_seen(pairs, confidence.level.tail());
            if compare::scale(metric) == Scale::LogRatio { smallest.exp() - 1.0 } else { smallest }
        });
    Some(TaskLoss {
        task: comparison.task.clone(),
        metric,
        base: reading(before),
        variant: reading(after),
        difference: difference(&comparison),
        shown,
        smallest_seen: smallest_seen.filter(|smallest| smallest.is_finite()),
        kept: if is_rate {
            Reading::missing("it is no share of right answers")
        } else {
            kept(task, before, after, metric, confidence)
        },
        flips: if is_rate { Flips::default() } else { comparison.flips },
        flipped: if is_rate { Vec::new() } else { flipped },
        slices: if is_rate { Vec::new() } else { slices(before, after, confidence) },
        concentrated: match paired {
            Some((pairs, _)) if !is_rate => concentrated(before, after, metric, &pairs, confidence),
            _ => Vec::new(),
        },
    })
}

fn change(comparison: &Comparison) -> Change {
    let Some(judgement) = comparison.judgement() else { return Change::Unknown };
    match (judgement.interval.low, judgement.interval.high) {
        (_, high) if high < 0.0 => Change::Lost,
        (low, _) if low > 0.0 => Change::Gained,
        _ => Change::Neither,
    }
}

/// The difference as a figure: points as a share, perplexities as a ratio.
fn difference(comparison: &Comparison) -> Reading {
    let Some((judgement, shown)) = comparison.judgement().zip(comparison.shown()) else {
        let reason = match &comparison.result {
            compare::Compared::Not { reason } => reason.clone(),
            compare::Compared::Judged(_) => String::new(),
        };
        return Reading::missing(reason);
    };
    let how = match shown.scale {
        Scale::Points => "variant less base",
        Scale::LogRatio => "variant over base",
    };
    Reading::Known(Figure {
        value: shown.value,
        unit: if shown.scale == Scale::Points { comparison.metric.unit() } else { Unit::Number },
        provenance: Provenance::Derived,
        interval: Some(Interval { low: shown.low, high: shown.high, level: judgement.interval.level.get() }),
        no_interval: None,
        n: Some(judgement.items),
        how: format!("{how}, over {}, {} interval", counted(judgement.items, "item"), judgement.interval.method),
    })
}

/// The share kept of what the base has above guessing, item by item.
fn kept(task: &TaskRef, before: &Row, after: &Row, metric: Metric, confidence: Confidence) -> Reading {
    let guessing = task.chance.unwrap_or(0.0);
    let part = |row: &Row| -> std::collections::BTreeMap<usize, f64> {
        row.outcome
            .items
            .iter()
            .filter_map(|item| Some((item.index, super::answer_cost::right(item, metric)?)))
            .collect()
    };
    let (had, keeps) = (part(before), part(after));
    let both: Vec<(&ItemResult, f64, f64)> = before
        .outcome
        .items
        .iter()
        .filter_map(|item| Some((item, had.get(&item.index)? - guessing, keeps.get(&item.index)? - guessing)))
        .collect();
    if both.is_empty() {
        return Reading::missing("its items are not right or wrong");
    }
    let items: Vec<&ItemResult> = both.iter().map(|(item, ..)| *item).collect();
    let (had, keeps): (Vec<f64>, Vec<f64>) = both.iter().map(|(_, had, keeps)| (*had, *keeps)).unzip();
    let found = score::clusters(&items).and_then(|clusters| ratio::kept(&keeps, &had, &clusters, confidence.level));
    match found {
        Ok((value, interval)) => Reading::Known(Figure {
            value,
            unit: Unit::Fraction,
            provenance: Provenance::Derived,
            interval: Some(score::as_record(interval)),
            no_interval: None,
            n: Some(items.len()),
            how: match task.chance {
                Some(_) => "score less guessing, variant over base, Fieller's interval".into(),
                None => "score, variant over base, Fieller's interval".into(),
            },
        }),
        Err(bantam_core::stats::StatsError::NoSpread) => {
            Reading::missing("the base is not shown to be above guessing there, so there is nothing to keep")
        }
        Err(e) => Reading::missing(score::too_few(&e)),
    }
}

fn slices(before: &Row, after: &Row, confidence: Confidence) -> Vec<SliceLoss> {
    let [of_before, of_after] = [before, after].map(|row| row.outcome.items.iter().collect::<Vec<&ItemResult>>());
    let names = score::slice_names(&of_before).into_iter().filter(|slice| *slice != CELL);
    let mut found = Vec::new();
    for slice in names {
        let afterwards = score::groups(&of_after, slice);
        for (value, items) in score::groups(&of_before, slice) {
            let Some((_, now)) = afterwards.iter().find(|(other, _)| *other == value) else { continue };
            let comparison = compare::compare(&with(before, &items), &with(after, now), 0.0, confidence);
            found.extend(comparison.map(|comparison| SliceLoss {
                slice: slice.into(),
                value: value.into(),
                items: items.len(),
                difference: difference(&comparison),
            }));
        }
    }
    found
}

/// For each slice a test whether all its values lose alike.
fn concentrated(
    before: &Row,
    after: &Row,
    metric: Metric,
    pairs: &Pairs,
    confidence: Confidence,
) -> Vec<Concentration> {
    let now = after.outcome.items.iter().filter(|item| item.score(metric).is_some());
    let now: HashSet<usize> = now.map(|item| item.index).collect();
    let scored = |item: &&ItemResult| item.score(metric).is_some() && now.contains(&item.index);
    let mut items: Vec<&ItemResult> = before.outcome.items.iter().filter(scored).collect();
    items.sort_by_key(|item| item.index); // as the pairs are
    let differences: Vec<f64> = pairs.differences().collect();
    if items.len() != differences.len() {
        return Vec::new(); // items without weight were left out of the pairs
    }
    let mut names: Vec<&String> = items.iter().flat_map(|item| item.slices.keys()).collect();
    names.sort();
    names.dedup();
    let test = |slice: &&String| {
        let mut values: Vec<&String> = items.iter().filter_map(|item| item.slices.get(*slice)).collect();
        values.sort();
        values.dedup();
        if values.len() < 2 {
            return None;
        }
        let chosen: Vec<(usize, usize)> = (0..items.len())
            .filter_map(|i| Some((i, values.iter().position(|v| Some(*v) == items[i].slices.get(*slice))?)))
            .collect();
        let some: Vec<&ItemResult> = chosen.iter().map(|(i, _)| items[*i]).collect();
        let lost: Vec<f64> = chosen.iter().map(|(i, _)| differences[*i]).collect();
        let labels: Vec<usize> = chosen.iter().map(|(_, label)| *label).collect();
        let mean = |label: usize| {
            let of: Vec<f64> = lost.iter().zip(&labels).filter(|(_, l)| **l == label).map(|(d, _)| *d).collect();
            of.iter().sum::<f64>() / of.len().max(1) as f64
        };
        let worst = (0..values.len()).min_by(|a, b| mean(*a).total_cmp(&mean(*b)))?;
        let found = Clusters::by(&score::cluster_keys(&some))
            .and_then(|clusters| interaction::interaction(&lost, &labels, &clusters, pairs.span(), confidence.seed));
        Some(Concentration {
            slice: (*slice).clone(),
            p: found.map(|found| found.p).map_err(|e| score::too_few(&e)),
            worst: values[worst].clone(),
        })
    };
    names.iter().filter(|name| name.as_str() != CELL).filter_map(test).collect()
}

impl TaskLoss {
    /// Says it in one sentence without the variant's name.
    pub fn sentence(&self) -> String {
        let Some(figure) = self.difference.known() else {
            let Reading::Missing { reason } = &self.difference else { return String::new() };
            return format!("{}: not told, {reason}", self.task);
        };
        let is_points = compare::scale(self.metric) == Scale::Points;
        let amount = |x: f64| if is_points { figures::points(x) } else { format!("{:.1}%", x * 100.0) };
        let ends = figure.interval.map_or(String::new(), |i| match is_points {
            true => format!(" ({:+.1} to {:+.1} points)", i.low * 100.0, i.high * 100.0),
            false => format!(" ({:.3} to {:.3} times)", i.low, i.high),
        });
        let by = if is_points { figure.value.abs() } else { (figure.value - 1.0).abs() };
        let kept = self.kept.known().map_or(String::new(), |kept| {
            format!(
                ", {} of what the base had above guessing kept{}",
                Unit::Fraction.show(kept.value),
                kept.interval.map_or(String::new(), |i| format!(" ({})", figures::ends(Unit::Fraction, i)))
            )
        });
        let what = match self.shown {
            Change::Lost => format!("{} worse{ends}{kept}", amount(by)),
            Change::Gained => format!("{} better{ends}", amount(by)),
            Change::Neither | Change::Unknown => {
                let open = self
                    .smallest_seen
                    .map_or(String::new(), |s| format!("; a loss of {} would have been seen", amount(s)));
                format!("no loss shown{ends}{open}")
            }
        };
        let named = match self.metric {
            Metric::Repetition | Metric::Truncation | Metric::Refusal => {
                format!("{} of {}", self.metric.label(), self.task)
            }
            _ => self.task.to_string(),
        };
        let mut where_ = String::new();
        for found in &self.concentrated {
            if let Ok(p) = &found.p
                && *p <= 0.05 / self.concentrated.len() as f64
            {
                where_ += &format!("; unlike by {} (p {p:.3}), most at {}", found.slice, found.worst);
            }
        }
        format!("{named}: {what}{where_}")
    }
}

impl VariantLoss {
    /// Lines for a terminal: what was lost, the most first by what is kept.
    pub fn lines(&self) -> Vec<String> {
        let divergence = self.divergence.as_ref().map(Divergence::sentence);
        divergence.into_iter().chain(self.ordered().into_iter().map(TaskLoss::sentence)).collect()
    }

    /// The tasks, those of which least is kept first, those without such a share last.
    pub fn ordered(&self) -> Vec<&TaskLoss> {
        let mut all: Vec<&TaskLoss> = self.tasks.iter().collect();
        let share = |task: &TaskLoss| task.kept.value().unwrap_or(f64::INFINITY);
        all.sort_by(|a, b| share(a).total_cmp(&share(b)));
        all
    }
}

impl Divergence {
    /// "predictions over text.txt: mean KLD 0.01234 ± 0.0001 nats, same top token 95.1 ± 0.2%, …"
    pub fn sentence(&self) -> String {
        format!(
            "predictions over {}: mean KLD {:.5} ± {:.5} nats (99% of tokens under {:.3}), same likeliest token {:.2} ± {:.2}%, \
             perplexity × {:.4} ± {:.4}; {} tokens, ± one standard error",
            self.text,
            self.mean.0,
            self.mean.1,
            self.p99,
            self.same_top.0 * 100.0,
            self.same_top.1 * 100.0,
            self.ratio.0,
            self.ratio.1,
            self.tokens
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, answers, confidence};

    fn row(made: Made) -> Row {
        made.rows().remove(0)
    }

    fn loss(before: &Row, after: &Row) -> TaskLoss {
        task_losses(before, after, confidence()).remove(0)
    }

    #[test]
    fn a_loss_is_told_with_what_is_kept() {
        let base = row(Made::base("big", 10).task_with_chance("t", &answers(400, 80, 0), 0.25));
        let small = row(Made::base("m", 10).task_with_chance("t", &answers(400, 190, 0), 0.25));
        let lost = loss(&base, &small);
        assert_eq!((lost.shown, lost.smallest_seen), (Change::Lost, None));
        // (0.525 − 0.25) / (0.8 − 0.25)
        assert!((lost.kept.value().unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(lost.flips, Flips { gained: 0, lost: 110, still_wrong: 0 });
        assert!(
            lost.sentence().contains("27.5 points worse") && lost.sentence().contains("50.0% of what"),
            "{}",
            lost.sentence()
        );
    }

    #[test]
    fn no_loss_says_which_would_have_been_seen() {
        let base = row(Made::base("big", 10).task("t", &answers(100, 20, 0)));
        let lost = loss(&base, &row(Made::base("m", 10).task("t", &answers(100, 20, 0))));
        let smallest = lost.smallest_seen.unwrap();
        assert!(lost.shown == Change::Neither && (0.06..0.09).contains(&smallest), "{smallest}");
        assert!(lost.sentence().contains("no loss shown") && lost.sentence().contains("would have been seen"));
    }

    #[test]
    fn a_loss_in_one_slice_is_said_to_be_there() {
        let slice = |mut row: Row| {
            for item in &mut row.outcome.items {
                item.slices.insert("language".into(), ["de", "en", "fr", "sw"][item.index % 4].into());
            }
            row
        };
        let base = slice(row(Made::base("big", 10).task("t", &[1; 400])));
        let right: Vec<u8> = (0..400).map(|i| u8::from(i % 4 != 3 || i % 3 == 0)).collect();
        let small = slice(row(Made::base("m", 10).task("t", &right)));
        let lost = loss(&base, &small);
        assert_eq!(lost.slices.len(), 4);
        let found = &lost.concentrated[0];
        assert!(found.worst == "sw" && found.p.clone().unwrap() < 0.01, "{found:?}");
        assert!(lost.sentence().contains("unlike by language") && lost.sentence().contains("most at sw"));
    }

    #[test]
    fn who_guesses_has_nothing_to_keep() {
        let guess: Vec<u8> = (0..200).map(|i| u8::from(i % 4 == 0)).collect();
        let base = row(Made::base("big", 10).task_with_chance("t", &guess, 0.25));
        let lost = loss(&base, &base.clone());
        assert!(
            matches!(&lost.kept, Reading::Missing { reason } if reason.contains("nothing to keep")),
            "{:?}",
            lost.kept
        );
    }
}
