//! From values to points and back: nice ticks, linear and logarithmic scales, the frame with its grid.

use super::Axis;
use super::canvas::{Align, Canvas, GRID, P, SOFT};
use anyhow::Result;
use bantam_core::unit::{Unit, grouped};
use plotters::prelude::DrawingBackend;

/// A scale from values to points along one direction.
pub(super) struct AxisScale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    pub ticks: Vec<f64>,
}

impl AxisScale {
    /// Covers `values` with a little room, between the points `from` and `to`.
    pub(super) fn new(values: impl IntoIterator<Item = f64>, axis: &Axis, from: f64, to: f64) -> AxisScale {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite() && (!axis.log || *v > 0.0)).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = if values.is_empty() { (1.0, 2.0) } else { (least, most) };
        if axis.log {
            Self::log(least, most, axis.unit, from, to)
        } else {
            Self::linear(least, most, axis.unit, from, to)
        }
    }

    fn linear(least: f64, most: f64, unit: Unit, from: f64, to: f64) -> AxisScale {
        let spread = if most > least { most - least } else { most.abs().max(1e-9) };
        let mut low = least - spread * 0.06;
        let mut high = most + spread * 0.06;
        if least >= 0.0 {
            low = low.max(0.0);
        }
        if unit == Unit::Fraction {
            (low, high) = (low.max(0.0), high.min(1.0).max(low + 0.05));
        }
        let step = nice((high - low) / 5.0, unit);
        let low = (low / step).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        let count = ((high - low) / step).round() as usize;
        let ticks = (0..=count).map(|i| low + i as f64 * step).collect();
        AxisScale { low, high, from, to, log: false, ticks }
    }

    fn log(least: f64, most: f64, unit: Unit, from: f64, to: f64) -> AxisScale {
        let room = (most / least).powf(0.08).max(1.15);
        let (low, high) = (least / room, most * room);
        let base = if unit == Unit::Bytes { 2.0 } else { 10.0 };
        let per = (high / low).log(base);
        let steps: &[f64] = match (unit, per) {
            (Unit::Bytes, p) if p < 1.5 => &[1.0, 1.125, 1.25, 1.5, 1.75],
            (Unit::Bytes, p) if p < 4.0 => &[1.0, 1.25, 1.5],
            (Unit::Bytes, _) => &[1.0],
            (_, p) if p < 1.5 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            (_, p) if p < 3.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let first = low.log(base).floor() as i32;
        let last = high.log(base).ceil() as i32;
        let mut ticks: Vec<f64> = (first..=last)
            .flat_map(|e| steps.iter().map(move |s| s * base.powi(e)))
            .filter(|v| *v >= low && *v <= high)
            .collect();
        while ticks.len() > 9 {
            ticks = ticks.into_iter().step_by(2).collect();
        }
        if ticks.len() < 2 {
            ticks = vec![least, most];
            ticks.dedup();
        }
        AxisScale { low, high, from, to, log: true, ticks }
    }

    /// The point of a value, clamped to the frame.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    pub(super) fn covers(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }
}

/// The next 1, 2, 2.5 or 5 times a power of ten; powers of two for bytes.
fn nice(rough: f64, unit: Unit) -> f64 {
    if unit == Unit::Bytes {
        return 2f64.powf(rough.max(1.0).log2().ceil());
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|s| s * power >= rough - 1e-12).unwrap_or(10.0);
    step * power
}

/// A tick's words: no needless digits.
pub(super) fn tick(value: f64, unit: Unit) -> String {
    match unit {
        // steps of a half or a quarter of a point have their digits
        Unit::Fraction => format!("{}%", plain((value * 1e5).round() / 1e3)),
        Unit::Bytes => unit.show(value).replace(".00 ", " ").replace(".0 ", " "),
        Unit::Number | Unit::TokensPerSecond | Unit::BitsPerByte | Unit::WattHours => plain(value),
        _ => {
            let shown = unit.show(value);
            let (number, rest) = shown.split_once(' ').unwrap_or((&shown, ""));
            let number = if number.contains('.') && !number.contains('e') {
                number.trim_end_matches('0').trim_end_matches('.')
            } else {
                number
            };
            format!("{number} {rest}").trim_end().to_owned()
        }
    }
}

fn plain(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, part) = text.split_once('.').map_or((text, None), |(w, p)| (w, Some(p)));
    let grouped = grouped(whole.trim_start_matches('-'));
    let sign = if whole.starts_with('-') { "-" } else { "" };
    part.map_or(format!("{sign}{grouped}"), |p| format!("{sign}{grouped}.{p}"))
}

/// The label of an axis with its unit, where the ticks do not carry it.
pub(super) fn label(axis: &Axis) -> String {
    match axis.unit {
        Unit::TokensPerSecond | Unit::BitsPerByte | Unit::WattHours => {
            format!("{} ({})", axis.label, axis.unit.symbol())
        }
        _ => axis.label.clone(),
    }
}

/// The grid, ticks and labels of a frame with two scales.
pub(super) fn frame<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    (left, top): P,
    (right, bottom): P,
    x: Option<(&AxisScale, &Axis)>,
    y: Option<(&AxisScale, &Axis)>,
) -> Result<()> {
    if let Some((scale, axis)) = y {
        for &t in &scale.ticks {
            let at = scale.at(t);
            canvas.path(&[(left, at), (right, at)], &GRID, 1.0)?;
            canvas.text(&tick(t, axis.unit), (left - 8.0, at), 11.0, &SOFT, Align::Right)?;
        }
        canvas.text(&label(axis), (left, top - 14.0), 12.0, &SOFT, Align::Left)?;
    }
    if let Some((scale, axis)) = x {
        for &t in &scale.ticks {
            let at = scale.at(t);
            canvas.path(&[(at, top), (at, bottom)], &GRID, 1.0)?;
            canvas.text(&tick(t, axis.unit), (at, bottom + 14.0), 11.0, &SOFT, Align::Centre)?;
        }
        canvas.text(&label(axis), ((left + right) / 2.0, bottom + 34.0), 12.0, &SOFT, Align::Centre)?;
    }
    canvas.path(&[(left, bottom), (right, bottom)], &SOFT, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(unit: Unit, log: bool) -> Axis {
        Axis { label: "x".into(), unit, log }
    }

    #[test]
    fn a_scale_covers_its_values_and_keeps_their_order() {
        for (values, unit, log) in [
            (vec![0.41, 0.93], Unit::Fraction, false),
            (vec![3e6, 9e6, 1.4e7], Unit::Bytes, true),
            (vec![120.0, 8000.0], Unit::TokensPerSecond, true),
            (vec![5.0], Unit::Number, false),
            (vec![0.0, 0.0], Unit::Joules, false),
            (vec![], Unit::Number, true),
        ] {
            let scale = AxisScale::new(values.clone(), &axis(unit, log), 0.0, 100.0);
            assert!(scale.ticks.len() >= 2 || values.len() < 2, "{values:?} {:?}", scale.ticks);
            assert!(values.iter().all(|&v| scale.covers(v)), "{values:?}");
            assert!(values.windows(2).all(|w| scale.at(w[0]) <= scale.at(w[1])));
        }
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(tick(0.25, Unit::Fraction), "25%");
        assert_eq!(tick(0.975, Unit::Fraction), "97.5%", "97.5 is not 98");
        assert_eq!(tick(4194304.0, Unit::Bytes), "4 MiB");
        assert_eq!(tick(12000.0, Unit::TokensPerSecond), "12,000");
        assert_eq!(tick(0.5, Unit::Number), "0.5");
    }
}
