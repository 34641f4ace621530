//! A heat map a panel: a share by two ordered things, such as context length and position.

use super::Heat;
use super::canvas::{Align, Canvas, GRID, INK, SOFT, shortened};
use anyhow::Result;
use plotters::prelude::{DrawingBackend, RGBColor};

const PER_LINE: usize = 3;
const ROW: f64 = 26.0;
/// Title, labels and gap of a panel.
const BESIDE: f64 = 78.0;

fn lines(chart: &Heat) -> usize {
    chart.panels.len().div_ceil(PER_LINE)
}

pub(super) fn height(chart: &Heat) -> u32 {
    (52.0 + lines(chart) as f64 * (chart.rows.len() as f64 * ROW + BESIDE)) as u32
}

pub(super) fn draw<DB: DrawingBackend>(chart: &Heat, canvas: &Canvas<DB>) -> Result<()> {
    let (width, _) = canvas.size();
    let across = chart.panels.len().clamp(1, PER_LINE);
    let each = (width - 24.0) / across as f64;
    for (n, panel) in chart.panels.iter().enumerate() {
        let left = 16.0 + each * (n % PER_LINE) as f64;
        let top = 50.0 + (n / PER_LINE) as f64 * (chart.rows.len() as f64 * ROW + BESIDE);
        let (from, cell) = (left + 62.0, (each - 80.0) / chart.columns.len().max(1) as f64);
        let label = shortened(canvas, &panel.label, 12.0, each - 20.0);
        canvas.bold(&label, (left, top), 12.0, &INK, Align::Left)?;
        let first = top + 18.0;
        for (row, name) in chart.rows.iter().enumerate() {
            let at = first + row as f64 * ROW;
            canvas.text(name, (from - 8.0, at + ROW / 2.0), 11.0, &SOFT, Align::Right)?;
            for column in 0..chart.columns.len() {
                let corner = (from + column as f64 * cell, at);
                let far = (corner.0 + cell - 2.0, corner.1 + ROW - 2.0);
                let middle = ((corner.0 + far.0) / 2.0, (corner.1 + far.1) / 2.0);
                match panel.cells.get(row).and_then(|cells| cells.get(column)).copied().flatten() {
                    None => {
                        canvas.rect(corner, far, &GRID, false)?;
                        canvas.text("–", middle, 10.0, &SOFT, Align::Centre)?;
                    }
                    Some(share) => {
                        canvas.rect(corner, far, &shade(share), true)?;
                        let ink = if share > 0.55 { PALE } else { DEEP };
                        canvas.text(&format!("{:.0}", share * 100.0), middle, 10.0, &ink, Align::Centre)?;
                    }
                }
            }
        }
        let foot = first + chart.rows.len() as f64 * ROW + 10.0;
        for (column, name) in chart.columns.iter().enumerate() {
            canvas.text(name, (from + (column as f64 + 0.5) * cell, foot), 10.0, &SOFT, Align::Centre)?;
        }
        canvas.text(
            &chart.x_label,
            (from + cell * chart.columns.len() as f64 / 2.0, foot + 16.0),
            11.0,
            &SOFT,
            Align::Centre,
        )?;
        if n % PER_LINE == 0 {
            canvas.text(&chart.y_label, (left, first - 4.0), 10.0, &SOFT, Align::Left)?;
        }
    }
    Ok(())
}

/// Text on a pale cell, which stays pale on dark screens.
const DEEP: RGBColor = RGBColor(33, 37, 42);

/// Text on a dark cell; not the white of the paper, which is dark on dark screens.
const PALE: RGBColor = RGBColor(254, 254, 254);

/// From nearly white to a dark blue, in even steps of lightness.
fn shade(share: f64) -> RGBColor {
    let share = share.clamp(0.0, 1.0);
    let mix = |from: f64, to: f64| (from + (to - from) * share).round() as u8;
    RGBColor(mix(236.0, 8.0), mix(241.0, 69.0), mix(246.0, 120.0))
}
