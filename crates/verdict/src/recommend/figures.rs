//! Figures and counts as every sentence, table and chart shows them, so that one figure reads the same wherever it stands.

use bantam_core::record::{Figure, Interval};
use bantam_core::unit::Unit;
pub use bantam_core::unit::counted;

/// An interval that reaches further than this share of its figure to each side takes digits from it.
const WIDE: f64 = 0.05;

/// Writes a figure with its unit and no more digits than its interval allows: 794 ± 210 tok/s is "800 tok/s".
pub fn shown(figure: &Figure) -> String {
    value(figure.unit, figure.value, figure.interval.map(|i| (i.low, i.high)))
}

/// Writes a number as [`shown`] does. Shares keep their one decimal: scores are counts of items.
pub fn value(unit: Unit, value: f64, ends: Option<(f64, f64)>) -> String {
    let half = ends.map_or(0.0, |(low, high)| 0.5 * (high - low));
    // two digits stay, however wide the interval is: with one alone a number would be off by up to a third
    let step = 10_f64.powf(half.log10().floor().min(value.abs().log10().floor() - 1.0));
    match half > WIDE * value.abs() && step.is_finite() && step > 0.0 && unit != Unit::Fraction {
        true => unit.show((value / step).round() * step),
        false => unit.show(value),
    }
}

/// Writes both ends of an interval: "91.0 to 95.2%", the unit once where it is a percentage.
pub fn ends(unit: Unit, interval: Interval) -> String {
    match unit {
        Unit::Fraction => format!("{:.1} to {:.1}%", interval.low * 100.0, interval.high * 100.0),
        _ => format!("{} to {}", unit.show(interval.low), unit.show(interval.high)),
    }
}

/// Writes how well a rate is known, "±37.9%": half of its interval on the scale of logarithms, on which it was made and on
/// which `measure.half_width` is asked. `None` where there is no interval above zero.
pub fn half_width(figure: &Figure) -> Option<String> {
    let interval = figure.interval.filter(|i| i.low > 0.0 && i.high > 0.0)?;
    Some(format!("±{:.1}%", 50.0 * (interval.high / interval.low).ln()))
}

/// What [`half_width`] is, to be said once beside such figures.
pub const HALF_WIDTH: &str = "± is half of the 95% interval, on the scale of logarithms";

/// Writes a difference of scores: "4.2 points".
pub fn points(difference: f64) -> String {
    let shown = trimmed(difference * 100.0, 2);
    format!("{shown} point{}", if shown == "1" { "" } else { "s" })
}

/// Without zeros that say nothing, and with so many decimals at most: 2, 2.5, 1.02.
pub(crate) fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::record::Provenance;

    fn figure(value: f64, low: f64, high: f64, unit: Unit) -> Figure {
        Figure {
            value,
            unit,
            provenance: Provenance::Measured,
            interval: Some(Interval { low, high, level: 0.95 }),
            no_interval: None,
            n: Some(5),
            how: String::new(),
        }
    }

    #[test]
    fn digits_follow_the_interval_but_for_shares() {
        assert_eq!(shown(&figure(794.0, 584.0, 1004.0, Unit::TokensPerSecond)), "790 tok/s");
        assert_eq!(shown(&figure(794.0, 784.0, 804.0, Unit::TokensPerSecond)), "794 tok/s");
        assert_eq!(
            shown(&figure(50.0, 1.0, 2000.0, Unit::TokensPerSecond)),
            "50.0 tok/s",
            "digits that are there stay"
        );
        assert_eq!(
            shown(&figure(0.0135, 0.002, 0.04, Unit::Seconds)),
            "14.0 ms",
            "one digit alone would make it 10 ms"
        );
        assert_eq!(shown(&figure(0.453, 0.42, 0.49, Unit::Fraction)), "45.3%");
    }

    #[test]
    fn a_half_width_is_that_of_the_logarithms() {
        // what a linear half-width would call 38.8%
        let (low, high) = (100.0 * (-0.379_f64).exp(), 100.0 * 0.379_f64.exp());
        assert_eq!(half_width(&figure(100.0, low, high, Unit::TokensPerSecond)).as_deref(), Some("±37.9%"));
        assert_eq!(half_width(&figure(1.0, -1.0, 3.0, Unit::Joules)), None, "below zero there is no logarithm");
    }

    #[test]
    fn one_is_no_plural_and_points_are_no_percent() {
        assert_eq!([counted(1, "task"), counted(2, "task"), counted(0, "task")], ["1 task", "2 tasks", "0 tasks"]);
        assert_eq!([points(0.02), points(0.042), points(0.01)], ["2 points", "4.2 points", "1 point"]);
        assert_eq!([trimmed(100.0, 0), trimmed(1.020, 3)], ["100", "1.02"]);
    }
}
