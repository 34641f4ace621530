//! The costs of a variant: speed, latency and energy of every shape, memory and disk of the whole.
//!
//! Rates are means over the repeats with Student's interval, as llama-bench reports them.

use super::score::as_record;
use bantam_core::metric::Metric;
use bantam_core::record::{Ask, Figure, Outcome, Provenance, Reading, Row, Shape, SpeedSample};
use bantam_core::stats::{Level, Percentiles, Sample, interval};
use serde::{Deserialize, Serialize};

/// The costs of one variant at one speed shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShapeCost {
    /// How many tokens went in and came out.
    pub shape: Shape,
    /// Every metric of speed, energy and memory; those not measured are missing with the reason.
    pub readings: Vec<(Metric, Reading)>,
    /// How many repeats were measured; 0 where the trial failed.
    pub repeats: usize,
    /// Seconds to the first token over the repeats; `None` where the shape was not measured.
    pub ttft: Option<Percentiles>,
    /// Seconds between tokens over all repeats; `None` where nothing was decoded.
    pub inter_token: Option<Percentiles>,
}

impl ShapeCost {
    /// Works out the costs of one shape; `None` for a row that asked a task.
    pub fn of(row: &Row, level: Level) -> Option<ShapeCost> {
        let Ask::Speed(shape) = row.trial.ask else { return None };
        let outcome = &row.outcome;
        let samples = if outcome.result.is_ok() { outcome.samples.as_slice() } else { &[] };
        let gaps: Vec<f64> = samples.iter().flat_map(|s| s.inter_token.iter().copied()).collect();
        Some(ShapeCost {
            shape,
            readings: TIMED
                .iter()
                .map(|&(metric, of)| (metric, timed(outcome, shape, metric, of, level)))
                .chain(POWERED.iter().map(|&(metric, of)| (metric, powered(outcome, shape, metric, of, level))))
                .chain([
                    (Metric::DecodeCeiling, outcome.ceiling.clone()),
                    (Metric::PeakMemory, outcome.peak_memory.clone()),
                ])
                .collect(),
            repeats: samples.len(),
            ttft: percentiles(samples.iter().map(|s| s.ttft.0).collect()),
            inter_token: percentiles(gaps),
        })
    }

    /// Finds a metric's reading; `None` where it is no metric of a shape.
    pub fn reading(&self, metric: Metric) -> Option<&Reading> {
        self.readings.iter().find(|(m, _)| *m == metric).map(|(_, reading)| reading)
    }
}

fn percentiles(values: Vec<f64>) -> Option<Percentiles> {
    Sample::new(values).ok().map(|sample| sample.percentiles())
}

/// One repeat's value; None where the repeat cannot give it.
type Of = fn(&SpeedSample, Shape) -> Option<f64>;

const TIMED: [(Metric, Of); 4] = [
    (Metric::PrefillTps, |s, shape| Some(shape.prompt as f64 / s.prefill.0)),
    (Metric::DecodeTps, |s, shape| decodes(s).then(|| decoded(s, shape) / s.decode.0)),
    (Metric::Ttft, |s, _| Some(s.ttft.0)),
    (Metric::InterToken, |s, shape| decodes(s).then(|| s.decode.0 / decoded(s, shape))),
];

const POWERED: [(Metric, Of); 3] = [
    (Metric::PrefillEnergy, |s, shape| Some(s.energy?.prefill_joules / shape.prompt as f64)),
    (Metric::DecodeEnergy, |s, shape| decodes(s).then_some(s.energy?.decode_joules / decoded(s, shape))),
    (Metric::Energy1000, |s, _| s.energy.map(|e| (e.prefill_joules + e.decode_joules) * 1000.0 / 3600.0)),
];

/// An encoder decodes nothing, and nor does who is asked for one token, which comes out of the prefill.
fn decodes(sample: &SpeedSample) -> bool {
    sample.decode.0 > 0.0
}

/// The tokens that `decode` took the time of: the first one comes out of the prefill.
fn decoded(sample: &SpeedSample, shape: Shape) -> f64 {
    match sample.inter_token.len() {
        0 => shape.output.saturating_sub(1).max(1) as f64,
        gaps => gaps as f64,
    }
}

fn timed(outcome: &Outcome, shape: Shape, metric: Metric, of: Of, level: Level) -> Reading {
    let why_none = match outcome.samples.is_empty() {
        true => "no repeat was finished",
        false => NOTHING_DECODED,
    };
    mean(outcome, shape, metric, of, level, Provenance::Measured, why_none)
}

const NOTHING_DECODED: &str = "nothing was decoded: an encoder answers in one pass, and so does a single output token";

/// The weakest origin among the repeats labels them all: a mean of measured and estimated is an estimate.
fn powered(outcome: &Outcome, shape: Shape, metric: Metric, of: Of, level: Level) -> Reading {
    let estimated = |s: &SpeedSample| s.energy.is_some_and(|e| e.provenance == Provenance::Estimated);
    let provenance = match outcome.samples.iter().any(estimated) {
        true => Provenance::Estimated,
        false => Provenance::Measured,
    };
    let why_none = match &outcome.energy {
        _ if metric == Metric::DecodeEnergy && !outcome.samples.is_empty() && !outcome.samples.iter().any(decodes) => {
            NOTHING_DECODED
        }
        Reading::Missing { reason } => reason.as_str(),
        Reading::Known(_) => "the energy of single repeats was not read",
    };
    mean(outcome, shape, metric, of, level, provenance, why_none)
}

fn mean(
    outcome: &Outcome,
    shape: Shape,
    metric: Metric,
    of: Of,
    level: Level,
    provenance: Provenance,
    why_none: &str,
) -> Reading {
    if let Err(failure) = &outcome.result {
        return Reading::missing(failure.sentence());
    }
    let values = outcome.samples.iter().filter_map(|s| of(s, shape)).collect();
    let Ok(sample) = Sample::new(values) else { return Reading::missing(why_none) };
    let interval = interval::student(&sample, level).ok().map(as_record);
    Reading::Known(Figure {
        value: sample.mean(),
        unit: metric.unit(),
        provenance,
        interval,
        no_interval: None,
        n: Some(sample.len()),
        how: format!("mean of {} repeats at {shape}", sample.len()),
    })
}

/// Gives the memory a variant needs at work: the highest peak over its speed shapes, or over its tasks where no speed
/// was measured (scoring many items at once takes more than answering one). Missing as soon as one of them is: what ran
/// out of memory has no peak, and the peaks of what did fit would hide that.
pub fn peak_memory(rows: &[&Row]) -> Reading {
    let speed: Vec<&Row> = rows.iter().copied().filter(|row| matches!(row.trial.ask, Ask::Speed(_))).collect();
    let at_work = if speed.is_empty() { rows } else { &speed };
    let mut highest: Option<(&Row, &Figure)> = None;
    for row in at_work {
        match &row.outcome.peak_memory {
            Reading::Missing { reason } => {
                return Reading::missing(format!("unknown at {}: {reason}", row.trial.ask.label()));
            }
            Reading::Known(figure) if highest.is_none_or(|(_, most)| figure.value > most.value) => {
                highest = Some((row, figure));
            }
            Reading::Known(_) => {}
        }
    }
    match highest {
        Some((row, most)) => Reading::Known(Figure {
            how: format!("{}, highest at {}", most.how, row.trial.ask.label()),
            ..most.clone()
        }),
        None => Reading::missing("nothing was run"),
    }
}

/// Gives the size of the variant's files, in bytes.
pub fn disk(rows: &[&Row]) -> Reading {
    let readings = || rows.iter().map(|row| &row.outcome.disk);
    let known = readings().find(|reading| reading.known().is_some());
    known.or(readings().next()).cloned().unwrap_or_else(|| Reading::missing("nothing was run"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, bytes};
    use bantam_core::record::Failure;

    fn cost(made: Made) -> ShapeCost {
        ShapeCost::of(&made.rows()[0], Level::P95).unwrap()
    }

    #[test]
    fn rates_are_means_with_intervals_over_repeats() {
        let cost = cost(Made::base("m", 10).speed(&[100.0, 110.0, 90.0]));
        let decode = cost.reading(Metric::DecodeTps).unwrap().known().unwrap();
        assert!((decode.value - 100.0).abs() < 1e-9);
        // scipy.stats.t.interval(0.95, 2, 100, 10 / sqrt(3))
        let interval = decode.interval.unwrap();
        assert!((interval.low - 75.158622882).abs() < 1e-6 && (interval.high - 124.841377117).abs() < 1e-6);
        assert_eq!((decode.n, cost.repeats), (Some(3), 3));
        assert!(cost.inter_token.unwrap().p50 > 0.0 && cost.ttft.is_some());
    }

    #[test]
    fn energy_without_a_meter_is_missing_with_its_reason() {
        let cost = cost(Made::base("m", 10).speed(&[100.0, 110.0]));
        assert_eq!(cost.reading(Metric::DecodeEnergy), Some(&Reading::missing("no meter here")));
    }

    #[test]
    fn one_estimated_repeat_makes_the_mean_an_estimate() {
        let mut row = Made::base("m", 10).speed(&[100.0, 110.0]).joules(2.0, Provenance::Measured).rows().remove(0);
        let read = |row: &Row| {
            ShapeCost::of(row, Level::P95).unwrap().reading(Metric::DecodeEnergy).unwrap().known().unwrap().clone()
        };
        assert_eq!(read(&row).provenance, Provenance::Measured);
        assert!((read(&row).value - 2.0).abs() < 1e-9);
        row.outcome.samples[1].energy.as_mut().unwrap().provenance = Provenance::Estimated;
        assert_eq!(read(&row).provenance, Provenance::Estimated);
    }

    #[test]
    fn memory_is_that_of_the_speed_shapes_where_there_are_some() {
        let rows = Made::base("m", 10).task("t", &[1, 0]).speed(&[100.0, 110.0]).rows();
        let mut rows: Vec<Row> = rows;
        rows[0].outcome.peak_memory = bytes(900.0);
        rows[1].outcome.peak_memory = bytes(500.0);
        let all: Vec<&Row> = rows.iter().collect();
        assert_eq!(peak_memory(&all).value(), Some(500.0));
        assert_eq!(peak_memory(&all[..1]).value(), Some(900.0));
        assert!(peak_memory(&[]).known().is_none());
    }

    #[test]
    fn what_ran_out_of_memory_has_no_peak() {
        let mut rows = Made::base("m", 10).speed(&[100.0, 110.0]).speed(&[90.0, 91.0]).rows();
        rows[1].outcome.peak_memory = Reading::missing("killed at 2 GiB");
        let reading = peak_memory(&rows.iter().collect::<Vec<_>>());
        assert!(matches!(&reading, Reading::Missing { reason } if reason.contains("killed at 2 GiB")), "{reading:?}");
    }

    #[test]
    fn what_decodes_nothing_has_no_decode_speed_and_says_why() {
        let mut row = Made::base("m", 10).speed(&[100.0, 110.0]).rows().remove(0);
        for sample in &mut row.outcome.samples {
            (sample.decode, sample.inter_token) = (bantam_core::unit::Seconds(0.0), Vec::new());
        }
        let cost = ShapeCost::of(&row, Level::P95).unwrap();
        for metric in [Metric::DecodeTps, Metric::InterToken, Metric::DecodeEnergy] {
            assert_eq!(cost.reading(metric), Some(&Reading::missing(NOTHING_DECODED)), "{metric}");
        }
        assert!(cost.reading(Metric::PrefillTps).unwrap().known().is_some() && cost.inter_token.is_none());
    }

    #[test]
    fn a_failed_shape_has_no_numbers() {
        let mut row = Made::base("m", 10).speed(&[100.0, 110.0]).rows().remove(0);
        row.outcome.result = Err(Failure::Timeout { seconds: 5.0 });
        let cost = ShapeCost::of(&row, Level::P95).unwrap();
        assert!(cost.reading(Metric::DecodeTps).unwrap().known().is_none() && cost.ttft.is_none());
    }
}
