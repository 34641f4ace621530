//! Horizontal bars with intervals; a row without a value says why instead of standing at zero.

use super::Bars;
use super::axis::{AxisScale, frame};
use super::canvas::{Align, Canvas, INK, SOFT, colour, shortened};
use crate::recommend::figures;
use anyhow::Result;
use plotters::prelude::DrawingBackend;

const ROW: f64 = 26.0;
const TOP: f64 = 50.0;
const FOOT: f64 = 56.0;

pub(super) fn height(chart: &Bars) -> u32 {
    (TOP + FOOT + ROW * chart.rows.len().max(1) as f64) as u32
}

pub(super) fn draw<DB: DrawingBackend>(chart: &Bars, canvas: &Canvas<DB>) -> Result<()> {
    let (width, height) = canvas.size();
    let names = chart.rows.iter().map(|r| canvas.width(&r.label, 12.0)).fold(60.0, f64::max).min(width * 0.4);
    let (low, high) = ((names + 32.0, TOP), (width - 96.0, height - FOOT));
    let scale = AxisScale::new(scale_values(chart), &chart.value, low.0, high.0);
    frame(canvas, low, high, Some((&scale, &chart.value)), None)?;
    for (i, row) in chart.rows.iter().enumerate() {
        let middle = TOP + ROW * (i as f64 + 0.5);
        let label = (low.0 - 10.0, middle);
        let name = shortened(canvas, &row.label, 12.0, names);
        if row.advised {
            canvas.bold(&name, label, 12.0, &INK, Align::Right)?;
        } else {
            canvas.text(&name, label, 12.0, &INK, Align::Right)?;
        }
        let value = match &row.value {
            Ok(value) => *value,
            Err(reason) => {
                let text = format!("not available: {reason}");
                canvas.text(
                    &shorten(canvas, &text, high.0 - low.0),
                    (low.0 + 8.0, middle),
                    11.0,
                    &SOFT,
                    Align::Left,
                )?;
                continue;
            }
        };
        let ink = colour(row.group);
        let end = scale.at(value);
        canvas.rect((low.0, middle - 7.0), (end, middle + 7.0), &ink, !row.estimated)?;
        let mut right = end;
        if let Some((a, b)) = row.interval {
            let (from, to) = (scale.at(a), scale.at(b));
            canvas.path(&[(from, middle), (to, middle)], &INK, 1.2)?;
            // an end that lies outside the chart has no cap
            for (_, x) in [(a, from), (b, to)].into_iter().filter(|(value, _)| scale.covers(*value)) {
                canvas.path(&[(x, middle - 4.0), (x, middle + 4.0)], &INK, 1.2)?;
            }
            right = right.max(to);
        }
        let mark = if row.estimated { "≈ " } else { "" };
        let doubt = if row.doubtful { " *" } else { "" };
        let text = format!("{mark}{}{doubt}", figures::value(chart.value.unit, value, row.interval));
        canvas.text(&text, (right + 8.0, middle), 11.0, &INK, Align::Left)?;
    }
    Ok(())
}

/// What the scale covers: zero, all values, and the ends of intervals that are no wider than what they belong to; one
/// disturbed row does not press all others together.
fn scale_values(chart: &Bars) -> Vec<f64> {
    let known = chart.rows.iter().filter_map(|row| Some((*row.value.as_ref().ok()?, row.interval)));
    let ends = known.map(|(value, interval)| match interval {
        Some((_, high)) if high <= 2.0 * value => high,
        _ => value,
    });
    let zero = (!chart.value.log).then_some(0.0);
    ends.chain(zero).collect()
}

fn shorten<DB: DrawingBackend>(canvas: &Canvas<DB>, text: &str, room: f64) -> String {
    if canvas.width(text, 11.0) <= room {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while !kept.is_empty() && canvas.width(&kept.iter().collect::<String>(), 11.0) > room - 14.0 {
        kept.pop();
    }
    kept.into_iter().chain(['…']).collect()
}
