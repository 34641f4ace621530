//! What it costs in money, by the profile's own prices: a million tokens in and out, a million requests and a million right
//! answers, of this machine and of endpoints; and from how many requests a month on this machine is the cheaper one.
//!
//! A machine's hour costs the same whether it works or not: what an answer costs goes with the share of time that it works
//! (`utilisation`). Where it breaks even does not: there the whole month's cost is held against what the requests would cost
//! elsewhere.

use super::rate::{Pricing, Rate};
use super::summary::VariantSummary;
use bantam_core::endpoint::TokenPrice;
use bantam_core::metric::Metric;
use bantam_core::profile::Price;
use bantam_core::record::{Figure, Id, Interval, Provenance, Reading, Shape};
use bantam_core::unit::{Unit, grouped, significant};
use serde::{Deserialize, Serialize};

/// Hours of a month, a twelfth of a year of 365.25 days.
const MONTH: f64 = 730.5;
/// Joules in a kilowatt-hour.
const KWH: f64 = 3.6e6;
/// What prices are of.
const MILLION: f64 = 1e6;

/// What variants cost, and where they break even.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Money {
    /// The currency of all its figures.
    pub currency: String,
    /// The prices that they rest on, a sentence each.
    pub basis: Vec<String>,
    /// Every variant at every shape and on every task.
    pub rows: Vec<Cost>,
    /// Every variant of this machine against every endpoint, on every task that both were asked.
    pub break_even: Vec<BreakEven>,
}

/// What one variant costs at a shape, or on a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The variant.
    pub variant: Id,
    /// Its label.
    pub label: String,
    /// The shape or the task.
    pub of: String,
    /// A million tokens that are read; None on a task, where they are not told apart.
    pub input: Option<Reading>,
    /// A million tokens that are written; None on a task.
    pub output: Option<Reading>,
    /// A million requests.
    pub requests: Reading,
    /// A million right answers; None at a shape.
    pub correct: Option<Reading>,
}

/// From how many requests a month on a variant of this machine costs less than an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// The variant of this machine.
    pub here: String,
    /// The endpoint.
    pub there: String,
    /// The task.
    pub task: String,
    /// Requests a month, or why there is no such number.
    pub requests: Reading,
    /// The requests that this machine can answer in a month.
    pub capacity: f64,
}

/// Works out what all variants cost; None where the profile has no price.
pub(super) fn money(summaries: &[VariantSummary], pricing: &Pricing) -> Option<Money> {
    let currency = pricing.currency()?;
    let machine = pricing.machine().into_iter().flat_map(|price| [price.sentence()]);
    let endpoints = summaries.iter().filter_map(|s| match pricing.rate(&s.variant.model) {
        Rate::Tokens(price) => Some(format!("{}: {}", s.variant.label(), price.sentence())),
        _ => None,
    });
    let basis = machine.chain(endpoints).collect();
    let mut rows = Vec::new();
    for summary in summaries {
        let rate = pricing.rate(&summary.variant.model);
        rows.extend(of_shapes(summary, rate));
        rows.extend(of_tasks(summary));
    }
    let break_even = match pricing.machine() {
        Some(price) => break_even(summaries, pricing, price),
        None => Vec::new(),
    };
    Some(Money { currency: currency.to_owned(), basis, rows, break_even })
}

fn of_shapes(summary: &VariantSummary, rate: Rate) -> Vec<Cost> {
    let cost = |input: Reading, output: Reading, shape: Shape| Cost {
        variant: summary.id().clone(),
        label: summary.variant.label(),
        of: shape.to_string(),
        requests: request(&input, &output, shape),
        input: Some(input),
        output: Some(output),
        correct: None,
    };
    let shapes = summary.shapes.iter();
    match rate {
        Rate::Tokens(price) => {
            shapes.map(|s| cost(listed(price, price.input), listed(price, price.output), s.shape)).collect()
        }
        Rate::Machine(price) => {
            let tokens = |shape: &super::cost::ShapeCost, rate, energy| {
                let of =
                    |metric| shape.reading(metric).cloned().unwrap_or_else(|| Reading::missing("it was not measured"));
                by_time(price, &of(rate), &of(energy))
            };
            let one = |s: &super::cost::ShapeCost| {
                let input = tokens(s, Metric::PrefillTps, Metric::PrefillEnergy);
                cost(input, tokens(s, Metric::DecodeTps, Metric::DecodeEnergy), s.shape)
            };
            shapes.map(one).collect()
        }
        // a system has no price of its own for a token
        Rate::Unasked | Rate::Parts | Rate::Missing(_) => Vec::new(),
    }
}

/// A price as it is listed, in hundredths.
fn listed(price: &TokenPrice, of: f64) -> Reading {
    figure(100.0 * of, Provenance::Derived, None, price.sentence())
}

/// A million tokens by the time that each takes, and by the power that it draws.
fn by_time(price: &Price, rate: &Reading, energy: &Reading) -> Reading {
    let rate = match rate {
        Reading::Known(rate) => rate,
        Reading::Missing { reason } => return Reading::missing(reason.clone()),
    };
    let hours = |rate: f64| 100.0 * price.busy_hour().unwrap_or(0.0) * MILLION / rate / 3600.0;
    let (power, provenance) = match (price.per_kwh, energy) {
        (None, _) => (0.0, Provenance::Derived),
        (Some(per_kwh), Reading::Known(joules)) => {
            let provenance = match joules.provenance {
                Provenance::Estimated => Provenance::Estimated,
                _ => Provenance::Derived,
            };
            (100.0 * per_kwh * MILLION * joules.value / KWH, provenance)
        }
        (Some(_), Reading::Missing { reason }) => return Reading::missing(reason.clone()),
    };
    // that of the time; the joules' own is left out of it
    let interval = rate.interval.filter(|i| i.low > 0.0 && power == 0.0).map(|i| Interval {
        low: hours(i.high),
        high: hours(i.low),
        level: i.level,
    });
    figure(hours(rate.value) + power, provenance, interval, format!("{}; {}", price.sentence(), rate.how))
}

/// A million requests of a shape.
fn request(input: &Reading, output: &Reading, shape: Shape) -> Reading {
    let parts = [(input, shape.prompt), (output, shape.output)];
    let mut sum = 0.0;
    let mut provenance = Provenance::Derived;
    for (reading, tokens) in parts {
        match reading {
            Reading::Known(figure) => {
                sum += figure.value * tokens as f64;
                if figure.provenance == Provenance::Estimated {
                    provenance = Provenance::Estimated;
                }
            }
            Reading::Missing { reason } => return Reading::missing(reason.clone()),
        }
    }
    figure(sum, provenance, None, format!("{} tokens in and {} out", shape.prompt, shape.output))
}

fn of_tasks(summary: &VariantSummary) -> Vec<Cost> {
    let million = |reading: &Reading| match reading {
        Reading::Known(f) => Reading::Known(Figure {
            value: f.value * MILLION,
            interval: f.interval.map(|i| Interval { low: i.low * MILLION, high: i.high * MILLION, ..i }),
            ..f.clone()
        }),
        missing => missing.clone(),
    };
    let of = |score: &super::score::TaskScore| {
        Some(Cost {
            variant: summary.id().clone(),
            label: summary.variant.label(),
            of: score.task.clone(),
            input: None,
            output: None,
            requests: million(score.cost(Metric::CentsPerItem)?),
            correct: Some(million(score.cost(Metric::CentsPerCorrect)?)),
        })
    };
    summary.scores.iter().filter_map(of).collect()
}

fn break_even(summaries: &[VariantSummary], pricing: &Pricing, price: &Price) -> Vec<BreakEven> {
    let is_there = |s: &&VariantSummary| matches!(pricing.rate(&s.variant.model), Rate::Tokens(_));
    let mut all = Vec::new();
    for here in summaries.iter().filter(|s| matches!(pricing.rate(&s.variant.model), Rate::Machine(_))) {
        for there in summaries.iter().filter(is_there) {
            for score in &here.scores {
                let other = there.scores.iter().find(|other| other.suite == score.suite && other.task == score.task);
                let Some(other) = other else { continue };
                let read = |of: &super::score::TaskScore, metric| {
                    of.cost(metric).cloned().unwrap_or_else(|| Reading::missing("it was not measured"))
                };
                let (seconds, joules) = (read(score, Metric::SecondsPerItem), read(score, Metric::JoulesPerItem));
                let Some(seconds) = seconds.value().filter(|seconds| *seconds > 0.0) else { continue };
                let capacity = MONTH * 3600.0 / seconds;
                all.push(BreakEven {
                    here: here.variant.label(),
                    there: there.variant.label(),
                    task: score.task.clone(),
                    requests: even(price, &joules, &read(other, Metric::CentsPerItem), capacity),
                    capacity,
                });
            }
        }
    }
    all
}

/// The requests of a month whose price elsewhere is that of the machine and its power.
fn even(price: &Price, joules: &Reading, there: &Reading, capacity: f64) -> Reading {
    let there = match there {
        Reading::Known(figure) => figure,
        Reading::Missing { reason } => return Reading::missing(reason.clone()),
    };
    let power = match (price.per_kwh, joules) {
        (None, _) => 0.0,
        (Some(per_kwh), Reading::Known(joules)) => 100.0 * per_kwh * joules.value / KWH,
        (Some(_), Reading::Missing { reason }) => return Reading::missing(reason.clone()),
    };
    let Some(month) = price.per_month(MONTH) else {
        return Reading::missing("the machine has no price: give per_hour, or hardware and years, in [price]");
    };
    if there.value <= power {
        return Reading::missing("never: the power of an answer here costs as much as the answer there");
    }
    let requests = 100.0 * month / (there.value - power);
    if requests > capacity {
        return Reading::missing(format!(
            "never on one machine: {} requests a month would pay for it, and it answers {} at most",
            about(requests),
            about(capacity)
        ));
    }
    let how = format!(
        "{} {} a month over {} ct an answer there less {} ct of power here",
        significant(month),
        price.currency,
        significant(there.value),
        significant(power)
    );
    Reading::Known(Figure { unit: Unit::Number, ..known(requests, Provenance::Derived, None, how) })
}

fn known(value: f64, provenance: Provenance, interval: Option<Interval>, how: String) -> Figure {
    Figure { value, unit: Unit::Cents, provenance, interval, no_interval: None, n: None, how }
}

fn figure(value: f64, provenance: Provenance, interval: Option<Interval>, how: String) -> Reading {
    Reading::Known(known(value, provenance, interval, how))
}

/// A count as a person says it: "1,240,000".
fn about(count: f64) -> String {
    let step = 10f64.powi((count.abs().max(1.0).log10().floor() as i32 - 2).max(0));
    grouped(&format!("{:.0}", (count / step).round() * step))
}

impl Money {
    /// An amount in whole units of the currency: "12.3 EUR".
    pub fn amount(&self, cents: f64) -> String {
        format!("{} {}", significant(cents / 100.0), self.currency)
    }

    /// What it comes to for the variants that are `wanted`, a line each: at each shape and task, then where they break even.
    pub fn lines(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for cost in self.rows.iter().filter(|cost| wanted(&cost.label)) {
            let Some(requests) = cost.requests.known() else { continue };
            let mark = if requests.provenance == Provenance::Estimated { "≈ " } else { "" };
            let correct = cost.correct.as_ref().and_then(Reading::value);
            let correct = correct.map(|cents| format!(", {} for a million that are right", self.amount(cents)));
            let tokens =
                cost.input.as_ref().and_then(Reading::value).zip(cost.output.as_ref().and_then(Reading::value));
            let tokens = tokens.map(|(input, output)| {
                format!(" ({} for a million tokens in, {} out)", self.amount(input), self.amount(output))
            });
            lines.push(format!(
                "{} at {}: {mark}{} for a million requests{}",
                cost.label,
                cost.of,
                self.amount(requests.value),
                correct.or(tokens).unwrap_or_default()
            ));
        }
        let even = self.break_even.iter().filter(|even| wanted(&even.here) && wanted(&even.there));
        lines.extend(even.map(BreakEven::sentence));
        lines
    }
}

impl BreakEven {
    /// "NAME costs less than OTHER on routing from 1,240 requests a month on; it answers up to 90,000".
    pub fn sentence(&self) -> String {
        let BreakEven { here, there, task, requests, capacity } = self;
        match requests {
            Reading::Known(figure) => format!(
                "{here} costs less than {there} on {task} from {} requests a month on; this machine answers up to {}",
                about(figure.value),
                about(*capacity)
            ),
            Reading::Missing { reason } => format!("{here} against {there} on {task}: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        Price {
            currency: "EUR".into(),
            per_hour: Some(0.1),
            per_kwh: Some(0.36),
            hardware: None,
            years: None,
            utilisation: None,
            idle_watts: None,
            date: "2026-11-29".into(),
            source: "a bill".into(),
        }
    }

    fn cents(value: f64) -> Reading {
        figure(value, Provenance::Derived, None, "x".into())
    }

    fn reason(reading: &Reading) -> String {
        match reading {
            Reading::Missing { reason } => reason.clone(),
            known => panic!("{known:?}"),
        }
    }

    #[test]
    fn tokens_cost_their_time_and_their_power() {
        let rate = Reading::Known(Figure {
            unit: Unit::TokensPerSecond,
            ..known(100.0, Provenance::Measured, None, "timed".into())
        });
        let joules = Reading::Known(Figure {
            unit: Unit::JoulesPerToken,
            ..known(2.0, Provenance::Measured, None, "RAPL".into())
        });
        let all = by_time(&price(), &rate, &joules).value().unwrap();
        // 10,000 s of 10 ct an hour, and 2 MJ at 36 ct a kWh
        assert!((all - (10.0 * 1e4 / 3600.0 + 36.0 * 2e6 / 3.6e6)).abs() < 1e-9, "{all}");
        let rarely = Price { utilisation: Some(0.25), ..price() };
        let idle = by_time(&rarely, &rate, &joules).value().unwrap();
        assert!((idle - (4.0 * 10.0 * 1e4 / 3600.0 + 20.0)).abs() < 1e-9, "{idle}");
        assert_eq!(reason(&by_time(&price(), &rate, &Reading::missing("no meter"))), "no meter");
        let unpowered = Price { per_kwh: None, ..price() };
        assert!(by_time(&unpowered, &rate, &Reading::missing("no meter")).value().is_some());
        let shape = Shape { prompt: 100, output: 10 };
        assert_eq!(request(&cents(1.0), &cents(5.0), shape).value(), Some(150.0));
    }

    #[test]
    fn a_machine_pays_from_so_many_requests_on_or_never() {
        // 73.05 EUR a month over 0.1 ct less 0.02 ct: 200 J are 0.002 ct
        let joules =
            Reading::Known(Figure { unit: Unit::Joules, ..known(2000.0, Provenance::Measured, None, "RAPL".into()) });
        let even_at = even(&price(), &joules, &cents(0.1), 1e6).value().unwrap();
        assert!((even_at - 7305.0 / (0.1 - 0.02)).abs() < 1e-6, "{even_at}");
        assert!(reason(&even(&price(), &joules, &cents(0.1), 1e4)).contains("never on one machine: 91,300 requests"));
        assert!(reason(&even(&price(), &joules, &cents(0.01), 1e6)).contains("never: the power"));
        let bought =
            Price { per_hour: None, hardware: Some(1200.0), years: Some(3.0), idle_watts: Some(10.0), ..price() };
        // 1200 over 36 months and 7.305 kWh of idling
        let month = bought.per_month(MONTH).unwrap();
        assert!((month - (1200.0 / 36.0 + 7.305 * 0.36)).abs() < 1e-9, "{month}");
    }

    #[test]
    fn counts_are_said_with_three_digits() {
        assert_eq!([about(91312.5), about(1_237_891.0), about(42.4)], ["91,300", "1,240,000", "42"]);
    }
}
