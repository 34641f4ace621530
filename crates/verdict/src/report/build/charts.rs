//! Which charts a report has: score against memory, bars of speed and energy, scores by ordered slices.

use super::Inputs;
use crate::recommend::score::TaskScore;
use crate::recommend::summary::VariantSummary;
use crate::report::chart::{Axis, Bar, Bars, Chart, Limit, Lines, Plot, Point, Scatter, Series};
use bantam_core::metric::Metric;
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

/// The mean score against the memory at work, with the front. None where no variant has both.
pub(super) fn trade(inputs: &Inputs) -> Option<Chart> {
    let front = |s: &VariantSummary| inputs.advice.on_front(Metric::PeakMemory, s.id());
    let points: Vec<Point> = inputs
        .planned()
        .into_iter()
        .filter_map(|s| {
            Some(Point {
                label: s.variant.label(),
                x: s.peak_memory.value()?,
                y: s.overall.reading.value()?,
                y_interval: ends(&s.overall.reading),
                group: inputs.group(s),
                on_front: front(s),
                advised: inputs.is_advised(s),
            })
        })
        .collect();
    let first = inputs.advice.summaries.first().filter(|_| !points.is_empty())?;
    let metric = first.overall.metric;
    let label = if metric.unit() == Unit::Fraction { "mean score of the deciding tasks" } else { metric.label() };
    let limit = memory_limit(inputs);
    Some(Chart {
        name: "score-memory".into(),
        title: "Score against memory".into(),
        note: "Peak memory is VmHWM of the worker process. Filled marks stand on the Pareto front: nothing tried has \
               both a better score and less memory. The ring marks the advice."
            .into(),
        plot: Plot::Scatter(Scatter {
            x: axis(Metric::PeakMemory, true),
            y: Axis { label: label.into(), unit: metric.unit(), log: false },
            points,
            limits: limit.into_iter().collect(),
        }),
    })
}

fn memory_limit(inputs: &Inputs) -> Option<Limit> {
    let profile: toml::Table = inputs.run.profile.parse().ok()?;
    let value = profile.get("constraints")?.get("max_memory")?.as_integer()? as f64;
    Some(Limit { on_x: true, value, label: format!("max_memory {}", Unit::Bytes.show(value)) })
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
        format!("Mean over the repeats with its interval.{outline}")
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
            let Some(steps) = ordered(&steps) else { continue };
            charts.push(by_slice(inputs, &shown, score, slice, &steps));
        }
    }
    charts
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
        name: format!("{}-by-{slice}", score.task).replace(['/', ' '], "-"),
        title: format!("{} by {slice}", score.task),
        note: format!("{} with its interval; {} items in all.", score.metric.label(), score.items),
        plot: Plot::Lines(Lines {
            x_label: slice.into(),
            steps: steps.iter().map(|s| (*s).to_owned()).collect(),
            y: axis(score.metric, false),
            series: series.collect(),
            chance: score.chance,
        }),
    }
}
