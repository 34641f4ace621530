//! Lines over ordered steps: score by depth, by context length. The legend stands below, ordered as the last step.

use super::axis::{AxisScale, frame};
use super::canvas::{Align, Canvas, INK, LIMIT, P, SOFT, colour, shortened};
use super::{Lines, Series};
use anyhow::Result;
use plotters::prelude::DrawingBackend;

const PER_LINE: usize = 4;

/// Dashes by place within a group: the base is solid.
const DASHES: [(f64, f64); 6] = [(1.0, 0.0), (7.0, 3.0), (3.0, 3.0), (10.0, 3.0), (1.5, 3.0), (5.0, 6.0)];

fn legend_lines(chart: &Lines) -> usize {
    chart.series.len().div_ceil(PER_LINE)
}

pub(super) fn height(chart: &Lines) -> u32 {
    420 + 20 * legend_lines(chart) as u32
}

pub(super) fn draw<DB: DrawingBackend>(chart: &Lines, canvas: &Canvas<DB>) -> Result<()> {
    let (width, height) = canvas.size();
    let foot = 62.0 + 20.0 * legend_lines(chart) as f64;
    let (low, high) = ((76.0, 66.0), (width - 28.0, height - foot));
    let values = chart.series.iter().flat_map(|s| s.points.iter().flatten()).flat_map(|(v, interval)| {
        let (a, b) = interval.unwrap_or((*v, *v));
        [*v, a, b]
    });
    let y = AxisScale::new(values.chain(chart.chance), &chart.y, high.1, low.1);
    frame(canvas, low, high, None, Some((&y, &chart.y)))?;
    let step = (high.0 - low.0) / chart.steps.len().max(1) as f64;
    let at = |i: usize| low.0 + step * (i as f64 + 0.5);
    for (i, name) in chart.steps.iter().enumerate() {
        canvas.text(name, (at(i), high.1 + 14.0), 11.0, &SOFT, Align::Centre)?;
    }
    canvas.text(&chart.x_label, ((low.0 + high.0) / 2.0, high.1 + 34.0), 12.0, &SOFT, Align::Centre)?;
    if let Some(chance) = chart.chance {
        canvas.dashed(&[(low.0, y.at(chance)), (high.0, y.at(chance))], &LIMIT, 1.2, 5.0, 4.0)?;
        canvas.text("guessing", (high.0 - 4.0, y.at(chance) - 9.0), 11.0, &LIMIT, Align::Right)?;
    }
    for (n, series) in chart.series.iter().enumerate() {
        // neighbours stand a little apart, so that their intervals can be told from each other
        let shift =
            (n as f64 - (chart.series.len() - 1) as f64 / 2.0) * (step * 0.4 / chart.series.len() as f64).min(7.0);
        line(series, canvas, &y, |i| at(i) + shift)?;
    }
    legend(chart, canvas, (low.0, high.1 + 56.0), (high.0 - low.0) / PER_LINE as f64)
}

fn line<DB: DrawingBackend>(
    series: &Series,
    canvas: &Canvas<DB>,
    y: &AxisScale,
    at: impl Fn(usize) -> f64,
) -> Result<()> {
    let ink = colour(series.group);
    let (on, off) = DASHES[series.dash % DASHES.len()];
    let known = |i: usize| series.points[i].map(|(v, _)| (at(i), y.at(v)));
    let runs: Vec<Vec<P>> = (0..series.points.len()).fold(vec![Vec::new()], |mut runs, i| {
        match known(i) {
            Some(p) => runs.last_mut().expect("starts with one run").push(p),
            None => runs.push(Vec::new()),
        }
        runs
    });
    for run in runs.iter().filter(|r| r.len() > 1) {
        canvas.dashed(run, &ink, 1.8, on, off)?;
    }
    for (i, point) in series.points.iter().enumerate() {
        let Some((v, interval)) = point else { continue };
        if let Some((a, b)) = interval {
            canvas.path(&[(at(i), y.at(*a)), (at(i), y.at(*b))], &ink, 1.0)?;
        }
        canvas.disc((at(i), y.at(*v)), 3.5, &ink, true)?;
    }
    Ok(())
}

fn legend<DB: DrawingBackend>(chart: &Lines, canvas: &Canvas<DB>, from: P, column: f64) -> Result<()> {
    for (n, series) in chart.series.iter().enumerate() {
        let x = from.0 + column * (n % PER_LINE) as f64;
        let y = from.1 + 20.0 * (n / PER_LINE) as f64;
        let (on, off) = DASHES[series.dash % DASHES.len()];
        canvas.dashed(&[(x, y), (x + 26.0, y)], &colour(series.group), 1.8, on, off)?;
        let label = shortened(canvas, &series.label, 11.0, column - 38.0);
        canvas.text(&label, (x + 32.0, y), 11.0, &INK, Align::Left)?;
    }
    Ok(())
}
