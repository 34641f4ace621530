//! Several costs in one number: the geometric mean of a variant's shares of the reference's costs, as the profile weighs
//! them. 62% is what costs 0.62 times as much all in all; where more is better (tokens a second) the share is turned round.

use super::decided;
use super::summary::VariantSummary;
use bantam_core::metric::{Direction, Metric};
use bantam_core::record::{Figure, Interval, Provenance, Reading};
use bantam_core::unit::Unit;

/// Gives a variant's weighed cost beside the reference's, whose own costs are taken as they are. Missing as soon as one
/// that counts is; its interval is of independent costs, by what each end of theirs is away (Zou and Donner 2008, "MOVER").
pub(super) fn cost(summary: &VariantSummary, reference: &VariantSummary, weights: &[(Metric, f64)]) -> Reading {
    let counted: Vec<(Metric, f64)> = weights.iter().copied().filter(|(_, weight)| *weight > 0.0).collect();
    let all: f64 = counted.iter().map(|(_, weight)| weight).sum();
    let (mut sum, mut below, mut above) = (0.0, 0.0, 0.0);
    let (mut provenance, mut level, mut open) = (Provenance::Derived, None, None);
    for &(metric, weight) in &counted {
        let (reading, base) = (summary.cost(metric), reference.cost(metric));
        let (figure, base) = match (&reading, &base) {
            (Reading::Known(figure), Reading::Known(base)) if figure.value > 0.0 && base.value > 0.0 => (figure, base),
            (Reading::Missing { reason }, _) | (_, Reading::Missing { reason }) => {
                return Reading::missing(format!("{} is not known: {reason}", metric.label()));
            }
            _ => return Reading::missing(format!("{} is zero, of which there is no share", metric.label())),
        };
        let sign = if metric.direction() == Direction::Lower { 1.0 } else { -1.0 };
        let share = weight / all;
        let log = |value: f64| sign * (value / base.value).ln();
        sum += share * log(figure.value);
        if figure.provenance == Provenance::Estimated {
            provenance = Provenance::Estimated;
        }
        match figure.interval.filter(|interval| interval.low > 0.0) {
            Some(interval) => {
                let ends = [log(interval.low), log(interval.high)];
                let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                below += (share * (log(figure.value) - low)).powi(2);
                above += (share * (high - log(figure.value))).powi(2);
                level = Some(interval.level);
            }
            None if decided::scatters(metric) => open = Some(metric),
            None => {}
        }
    }
    if counted.is_empty() {
        return Reading::missing("the profile weighs no costs");
    }
    // what scatters and has no interval decides nothing, and neither does a sum with it
    if open.is_some() && provenance == Provenance::Derived {
        provenance = Provenance::Measured;
    }
    let ends = level.filter(|_| open.is_none()).map(|level| Interval {
        low: (sum - f64::sqrt(below)).exp(),
        high: (sum + f64::sqrt(above)).exp(),
        level,
    });
    let parts: Vec<String> = counted.iter().map(|(metric, weight)| format!("{} × {weight}", metric.label())).collect();
    Reading::Known(Figure {
        value: sum.exp(),
        unit: Unit::Fraction,
        provenance,
        interval: ends,
        no_interval: open.map(|metric| format!("{} has none", metric.label())),
        n: None,
        how: format!("geometric mean of its shares of {}'s costs: {}", reference.variant.label(), parts.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, summary};

    fn of(mib: u64, tps: &[f64]) -> VariantSummary {
        summary(&Made::base(&format!("m{mib}"), mib).task("t", &[1, 0]).speed(tps).rows())
    }

    #[test]
    fn half_the_memory_at_half_the_speed_costs_as_much() {
        let (big, small) = (of(100, &[50.0, 50.1, 49.9]), of(50, &[25.0, 25.05, 24.95]));
        let alike = [(Metric::PeakMemory, 1.0), (Metric::DecodeTps, 1.0)];
        let reading = cost(&small, &big, &alike);
        let figure = reading.known().expect("both are known");
        assert!((figure.value - 1.0).abs() < 1e-6, "{figure:?}");
        let interval = figure.interval.expect("of the speed");
        assert!(interval.low < 1.0 && interval.high > 1.0 && figure.provenance == Provenance::Derived);
        // (1/2)² · 2, the third root
        let heavy = cost(&small, &big, &[(Metric::PeakMemory, 2.0), (Metric::DecodeTps, 1.0)]);
        assert!(heavy.value().is_some_and(|value| (value - 0.5_f64.cbrt()).abs() < 1e-6), "{heavy:?}");
        assert!(figure.how.contains("peak memory × 1, decode × 1"), "{}", figure.how);
    }

    #[test]
    fn what_is_not_known_is_missing_and_one_repeat_decides_nothing() {
        let (big, once) = (of(100, &[50.0, 50.1, 49.9]), of(50, &[200.0]));
        let energy = cost(&once, &big, &[(Metric::DecodeEnergy, 1.0)]);
        assert!(matches!(&energy, Reading::Missing { reason } if reason.starts_with("decode energy is not known")));
        let speed = cost(&once, &big, &[(Metric::DecodeTps, 1.0)]);
        assert!(!decided::may_decide(Metric::WeighedCost, &speed), "{speed:?}");
        let memory = cost(&once, &big, &[(Metric::PeakMemory, 1.0)]);
        assert!(decided::may_decide(Metric::WeighedCost, &memory) && memory.value() == Some(0.5), "{memory:?}");
    }
}
