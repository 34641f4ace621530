//! Which charts a report has: score against memory, bars of speed and energy, scores by ordered slices.

use super::Inputs;
use crate::recommend::Conclusion;
use crate::recommend::advice::words;
use crate::recommend::figures::counted;
use crate::recommend::score::TaskScore;
use crate::recommend::summary::VariantSummary;
use crate::report::chart::{Axis, Bar, Bars, Chart, Limit, Lines, Plot, Point, Scatter, Series};
use bantam_core::metric::{Direction, Metric};
use bantam_core::record::{Provenance, Reading};
use bantam_core::unit::Unit;

/// More lines than this in one chart are not told apart.
const MAX_LINES: usize = 9;

fn axis(metric: Metric, log: bool) -> Axis {
    Axis { label: metric.label().into(), unit: metric.unit(), log }
}

fn ends(reading: &Reading) -> Option<(f64, f64)> {
    reading.known()?.interval.map(|i| (i.low, i.high))
}

/// The score against what the advice was picked by (the memory at work, where that is not known), with the front. None
/// where no variant has both.
pub(super) fn trade(inputs: &Inputs) -> Option<Chart> {
    let cost = match inputs.advice.conclusion {
        Conclusion::Advised { by: Some(metric), .. } => metric,
        _ => Metric::PeakMemory,
    };
    let point = |s: &VariantSummary| {
        Some(Point {
            label: s.variant.label(),
            x: s.cost(cost).value()?,
            y: s.overall.reading.value()?,
            y_interval: ends(&s.overall.reading),
            group: inputs.group(s),
            standing: s.standing.group(),
            on_front: inputs.advice.on_front(cost, s.id()),
            reference: inputs.is_reference(s),
            advised: inputs.is_advised(s),
        })
    };
    let points: Vec<Point> = inputs.planned().into_iter().filter_map(point).collect();
    let first = inputs.advice.summaries.first().filter(|_| !points.is_empty())?;
    let metric = first.overall.metric;
    let label = if metric.unit() == Unit::Fraction { "mean score of the deciding tasks" } else { metric.label() };
    let missing = inputs.advice.summaries.len() - points.len();
    let left_out = match missing {
        0 => String::new(),
        1 => format!(" 1 variant without a score or {} is not drawn.", cost.label()),
        n => format!(" {n} variants without a score or {} are not drawn.", cost.label()),
    };
    Some(Chart {
        name: if cost == Metric::PeakMemory { "score-memory" } else { "score-cost" }.into(),
        title: if cost == Metric::PeakMemory {
            "Score against memory".into()
        } else {
            format!("Score against {}", cost.label())
        },
        note: format!(
            "Discs qualify, of rings the items cannot tell, crosses are out. The line joins the front: of those that \
             qualify, none has both a better score and a better {}. The large ring marks the advice. Only the front, the \
             advice and the reference are named; all stand in the table.{left_out}",
            cost.label()
        ),
        plot: Plot::Scatter(Scatter {
            x: axis(cost, true),
            y: Axis { label: label.into(), unit: metric.unit(), log: false },
            more_is_better: cost.direction() == Direction::Higher,
            models: inputs.model_names(),
            points,
            limits: limit(inputs, cost).into_iter().collect(),
        }),
    })
}

/// The profile's limit on a cost.
fn limit(inputs: &Inputs, cost: Metric) -> Option<Limit> {
    let checks = inputs.advice.summaries.iter().flat_map(|summary| &summary.checks);
    let check = checks.filter(|check| check.metric == Some(cost)).find(|check| check.limit.is_some())?;
    let value = check.limit?;
    let label = format!("{} {}", words::name(&check.requirement), cost.unit().show(value));
    Some(Limit { on_x: true, value, label })
}

/// One bar a variant for a cost; missing ones say why.
pub(super) fn bars(inputs: &Inputs, metric: Metric, name: &str, title: &str) -> Option<Chart> {
    let rows: Vec<Bar> = inputs
        .planned()
        .into_iter()
        .map(|s| {
            let reading = s.cost(metric);
            Bar {
                label: s.variant.label(),
                interval: ends(&reading),
                group: inputs.group(s),
                estimated: reading.known().is_some_and(|f| f.provenance == Provenance::Estimated),
                doubtful: inputs.doubt(s, metric, &reading).is_some(),
                advised: inputs.is_advised(s),
                value: match reading {
                    Reading::Known(figure) => Ok(figure.value),
                    Reading::Missing { reason } => Err(reason),
                },
            }
        })
        .collect();
    let known = rows.iter().any(|r| r.value.is_ok());
    let note = if known {
        let estimated = rows.iter().any(|r| r.estimated);
        let outline = if estimated { " Outlined bars (≈) are estimates, not measurements." } else { "" };
        let doubt = match rows.iter().any(|r| r.doubtful) {
            true => " * marks what was disturbed, cut short or measured once: the table says which.",
            false => "",
        };
        format!("Over the repeats, with the interval.{outline}{doubt}")
    } else {
        "Nothing could be measured here; the reasons stand in the chart.".into()
    };
    (!rows.is_empty()).then(|| Chart {
        name: name.into(),
        title: title.into(),
        note,
        plot: Plot::Bars(Bars { value: axis(metric, false), rows }),
    })
}

/// One chart for every slice whose values are numbers: depth, length.
pub(super) fn slices(inputs: &Inputs) -> Vec<Chart> {
    let mut charts = Vec::new();
    let shown = drawn(inputs);
    let Some(most) = shown.iter().max_by_key(|s| s.scores.len()) else { return charts };
    for score in &most.scores {
        for slice in distinct(score.slices.iter().map(|s| s.slice.as_str())) {
            let steps: Vec<&str> = score.slices.iter().filter(|s| s.slice == slice).map(|s| s.value.as_str()).collect();
            if slice == "cell" {
                continue; // drawn as a heat map
            }
            let Some(steps) = ordered(&steps) else { continue };
            charts.push(by_slice(inputs, &shown, score, slice, &steps));
        }
    }
    charts
}

/// A name of a file that leads nowhere else and needs no quotes.
pub(super) fn file_stem(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let stem: String = name.chars().map(safe).collect();
    stem.trim_start_matches('.').to_owned()
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// Steps by their number; None where one is no number.
fn ordered<'a>(steps: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut numbers: Vec<(f64, &str)> = steps.iter().map(|s| Some((s.parse().ok()?, *s))).collect::<Option<_>>()?;
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
    (numbers.len() > 1).then(|| numbers.into_iter().map(|(_, s)| s).collect())
}

/// The untouched models and all variants of the reference's and the advised model, as many as can be told apart.
fn drawn<'a>(inputs: &'a Inputs) -> Vec<&'a VariantSummary> {
    let models: Vec<&str> = [inputs.advice.advised(), inputs.advice.reference()]
        .into_iter()
        .flatten()
        .map(|s| s.variant.model.name.as_str())
        .collect();
    let mut all: Vec<&VariantSummary> = inputs
        .planned()
        .into_iter()
        .filter(|s| s.variant.is_base() || models.contains(&s.variant.model.name.as_str()))
        .collect();
    if all.len() > MAX_LINES {
        let keep = |s: &&VariantSummary| s.variant.is_base() || inputs.is_advised(s);
        let mut room = MAX_LINES.saturating_sub(all.iter().filter(|s| keep(s)).count());
        all.retain(|s| {
            keep(s) || {
                let fits = room > 0;
                room = room.saturating_sub(1);
                fits
            }
        });
    }
    all
}

fn by_slice(inputs: &Inputs, shown: &[&VariantSummary], score: &TaskScore, slice: &str, steps: &[&str]) -> Chart {
    let series = shown.iter().map(|s| {
        let same = s.scores.iter().find(|t| t.suite == score.suite && t.task == score.task);
        let at = |step: &str| {
            let found = same?.slices.iter().find(|v| v.slice == slice && v.value == step)?;
            Some((found.reading.value()?, ends(&found.reading)))
        };
        let before = shown.iter().take_while(|o| o.id() != s.id());
        Series {
            label: s.variant.label(),
            group: inputs.group(s),
            dash: before.filter(|o| o.variant.model.name == s.variant.model.name).count(),
            points: steps.iter().map(|step| at(step)).collect(),
        }
    });
    Chart {
        name: file_stem(&format!("{}-{}-by-{slice}", score.suite, score.task)),
        title: format!("{} by {slice}", score.task),
        note: format!("{} with its interval; {} in all.", score.metric.label(), counted(score.items, "item")),
        plot: Plot::Lines(Lines {
            x_label: slice.into(),
            steps: steps.iter().map(|s| (*s).to_owned()).collect(),
            y: axis(score.metric, false),
            series: series.collect(),
            chance: score.chance,
        }),
    }
}
