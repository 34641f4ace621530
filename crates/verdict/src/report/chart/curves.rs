//! Curves in a square of shares: how often right by how sure (reliability), with the diagonal of who is right as often as sure.

use super::axis::{AxisScale, frame};
use super::canvas::{Align, Canvas, INK, P, SOFT, colour, shortened};
use super::{Axis, Curves};
use anyhow::Result;
use plotters::prelude::DrawingBackend;

const PER_LINE: usize = 3;

/// Dashes by place within a group: the base is solid.
const DASHES: [(f64, f64); 4] = [(1.0, 0.0), (7.0, 3.0), (3.0, 3.0), (10.0, 3.0)];

fn legend_lines(chart: &Curves) -> usize {
    chart.series.len().div_ceil(PER_LINE)
}

pub(super) fn height(chart: &Curves) -> u32 {
    480 + 20 * legend_lines(chart) as u32
}

pub(super) fn draw<DB: DrawingBackend>(chart: &Curves, canvas: &Canvas<DB>) -> Result<()> {
    let (width, height) = canvas.size();
    let foot = 62.0 + 20.0 * legend_lines(chart) as f64;
    let (low, high) = ((76.0, 66.0), (width - 28.0, height - foot));
    let all = || chart.series.iter().flat_map(|s| &s.points);
    let scale = |values: Vec<f64>, axis: &Axis, from, to| AxisScale::new(values, axis, from, to);
    let x = scale(all().map(|p| p.x).collect(), &chart.x, low.0, high.0);
    let ends = all().flat_map(|p| [p.y, p.ends.map_or(p.y, |e| e.0), p.ends.map_or(p.y, |e| e.1)]);
    let y = scale(ends.chain(all().map(|p| p.x)).collect(), &chart.y, high.1, low.1);
    frame(canvas, low, high, Some((&x, &chart.x)), Some((&y, &chart.y)))?;
    // the diagonal, as far as both scales go
    let (first, last) = (x.ticks[0].max(y.ticks[0]), x.ticks[x.ticks.len() - 1].min(y.ticks[y.ticks.len() - 1]));
    if last > first {
        canvas.dashed(&[(x.at(first), y.at(first)), (x.at(last), y.at(last))], &SOFT, 1.2, 5.0, 4.0)?;
    }
    for series in &chart.series {
        let ink = colour(series.group);
        let (on, off) = DASHES[series.dash % DASHES.len()];
        let line: Vec<P> = series.points.iter().map(|p| (x.at(p.x), y.at(p.y))).collect();
        if line.len() > 1 {
            canvas.dashed(&line, &ink, 1.8, on, off)?;
        }
        for (point, at) in series.points.iter().zip(&line) {
            if let Some((a, b)) = point.ends {
                canvas.path(&[(at.0, y.at(a)), (at.0, y.at(b))], &ink, 1.0)?;
            }
            canvas.disc(*at, 3.5, &ink, true)?;
        }
    }
    let column = (high.0 - low.0) / PER_LINE as f64;
    for (n, series) in chart.series.iter().enumerate() {
        let (at_x, at_y) = (low.0 + column * (n % PER_LINE) as f64, high.1 + 56.0 + 20.0 * (n / PER_LINE) as f64);
        let (on, off) = DASHES[series.dash % DASHES.len()];
        canvas.dashed(&[(at_x, at_y), (at_x + 26.0, at_y)], &colour(series.group), 1.8, on, off)?;
        let label = shortened(canvas, &series.label, 11.0, column - 38.0);
        canvas.text(&label, (at_x + 32.0, at_y), 11.0, &INK, Align::Left)?;
    }
    Ok(())
}
