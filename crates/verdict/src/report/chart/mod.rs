//! Charts as data: what is drawn, not how. A page carries them; [`svg()`] and [`png()`] draw them.

mod axis;
mod bars;
mod canvas;
mod curves;
mod heat;
mod lines;
mod scatter;

pub(super) use scatter::Place;

use crate::recommend::Group;
use anyhow::{Context, Result};
use bantam_core::unit::Unit;
use plotters::prelude::*;
use serde::Serialize;

/// One chart of a page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// File stem: `score-memory` is written as charts/score-memory.svg and .png.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// What the reader should know: what the intervals are, what is missing and why.
    pub note: String,
    /// What is drawn.
    pub plot: Plot,
}

/// A kind of chart and its data.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// Points in a plane.
    Scatter(Scatter),
    /// A bar a row.
    Bars(Bars),
    /// A line a variant.
    Lines(Lines),
    /// A curve a variant, against a diagonal.
    Curves(Curves),
    /// A panel a variant, of a share by two things.
    Heat(Heat),
}

/// Shares against shares, with the diagonal on which both are the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curves {
    /// What goes to the right.
    pub x: Axis,
    /// What goes up.
    pub y: Axis,
    /// The curves.
    pub series: Vec<Curve>,
}

/// A curve of a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// Name of the variant.
    pub label: String,
    /// Which model it belongs to: its colour.
    pub group: usize,
    /// Which dash within its group: the base is solid.
    pub dash: usize,
    /// Its points from left to right.
    pub points: Vec<CurvePoint>,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Where it stands.
    pub x: f64,
    /// Its value.
    pub y: f64,
    /// The ends of the value's interval.
    pub ends: Option<(f64, f64)>,
}

/// A share by two ordered things, a panel each for several variants.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heat {
    /// What the columns are.
    pub x_label: String,
    /// What the rows are.
    pub y_label: String,
    /// The columns in their order.
    pub columns: Vec<String>,
    /// The rows in their order.
    pub rows: Vec<String>,
    /// The panels.
    pub panels: Vec<Panel>,
}

/// A panel of a heat map.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Panel {
    /// Name of the variant.
    pub label: String,
    /// A share from 0 to 1 for each row and column, None where nothing is known.
    pub cells: Vec<Vec<Option<f64>>>,
}

/// An axis: what it shows and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// What stands beside it.
    pub label: String,
    /// The unit of its numbers.
    pub unit: Unit,
    /// Sizes and speeds span decades.
    pub log: bool,
}

/// One value against another, with the Pareto front.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scatter {
    /// The cost.
    pub x: Axis,
    /// The score.
    pub y: Axis,
    /// Whether more of the cost is better, as of a speed; of most costs less is.
    pub more_is_better: bool,
    /// The models in the order of their colours.
    pub models: Vec<String>,
    /// The variants.
    pub points: Vec<Point>,
    /// Constraints on x and y, drawn as lines.
    pub limits: Vec<Limit>,
}

/// A variant in a scatter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its name.
    pub label: String,
    /// Its cost.
    pub x: f64,
    /// Its score.
    pub y: f64,
    /// The ends of the interval of its score.
    pub y_interval: Option<(f64, f64)>,
    /// Which model it belongs to: its colour and mark.
    pub group: usize,
    /// Which of the three groups it is in: its mark.
    pub standing: Group,
    /// Whether it stands on the Pareto front of those that qualify.
    pub on_front: bool,
    /// Whether it is what the others are held against.
    pub reference: bool,
    /// Whether it is advised.
    pub advised: bool,
}

/// A constraint in a scatter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limit {
    /// Whether it limits x; y otherwise.
    pub on_x: bool,
    /// Where it stands.
    pub value: f64,
    /// What it is called.
    pub label: String,
}

/// One value per row, with its interval; a row without a value says why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bars {
    /// The axis of the values.
    pub value: Axis,
    /// A bar each.
    pub rows: Vec<Bar>,
}

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// Name of the variant.
    pub label: String,
    /// How long it is, or why there is none.
    pub value: Result<f64, String>,
    /// The ends of its interval.
    pub interval: Option<(f64, f64)>,
    /// Which model it belongs to: its colour.
    pub group: usize,
    /// Whether the value was estimated.
    pub estimated: bool,
    /// Whether the measurement was disturbed, cut short or not repeated.
    pub doubtful: bool,
    /// Whether the variant is advised.
    pub advised: bool,
}

/// Values over ordered steps (depth, context length), one line a variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lines {
    /// What the steps are.
    pub x_label: String,
    /// The steps in their order.
    pub steps: Vec<String>,
    /// The axis of the values.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// The score of guessing.
    pub chance: Option<f64>,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Name of the variant.
    pub label: String,
    /// Which model it belongs to: its colour.
    pub group: usize,
    /// Which dash within its group: the base is solid.
    pub dash: usize,
    /// One for each step, None where nothing is known.
    pub points: Vec<Option<Known>>,
}

/// A value and the ends of its interval.
pub type Known = (f64, Option<(f64, f64)>);

const FONT: &str = "DejaVu Sans";

fn register_fonts() -> Result<()> {
    let regular = include_bytes!("../font/DejaVuSans.subset.ttf");
    let bold = include_bytes!("../font/DejaVuSans-Bold.subset.ttf");
    for (style, bytes) in [(FontStyle::Normal, &regular[..]), (FontStyle::Bold, &bold[..])] {
        plotters::style::register_font(FONT, style, bytes)
            .ok()
            .context("the embedded chart font is damaged; rebuild bantam")?;
    }
    Ok(())
}

/// The chart as one SVG document, which is dark where its reader's screens are.
pub fn svg(chart: &Chart) -> Result<String> {
    let text = drawn(chart, true)?;
    let end = text.find('>').map_or(0, |end| end + 1);
    Ok(format!("{}\n<style>{DARK}</style>{}", &text[..end], &text[end..]))
}

/// What the colours of charts are on dark paper; a page gives its own charts the same.
pub(super) const DARK: &str = include_str!("dark.css");

/// The chart for a page that colours it by its own rules, and that draws the marks of a scatter itself.
pub(super) fn bare(chart: &Chart) -> Result<String> {
    drawn(chart, false)
}

/// The marks of a scatter, in the units of its drawing; none of other charts.
pub(super) fn places(chart: &Chart) -> Vec<Place<'_>> {
    match &chart.plot {
        // measuring text asks for the fonts, and drawing has registered them
        Plot::Scatter(scatter) => scatter::marks(scatter, WIDTH.into()),
        _ => Vec::new(),
    }
}

/// The width of every chart.
const WIDTH: u32 = 860;

fn drawn(chart: &Chart, marked: bool) -> Result<String> {
    register_fonts()?;
    let mut text = String::new();
    let (width, height) = size(chart);
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(chart, &area, 1.0, marked)?;
    drop(area);
    // plotters names the embedded font; a browser without it should take its own sans.
    Ok(text.replace(&format!("\"{FONT}\""), "\"DejaVu Sans, Verdana, sans-serif\""))
}

/// The chart as a PNG of twice the SVG's size.
pub fn png(chart: &Chart) -> Result<Vec<u8>> {
    const SCALE: u32 = 2;
    register_fonts()?;
    let (width, height) = size(chart);
    let (width, height) = (width * SCALE, height * SCALE);
    let mut pixels = vec![0u8; (width * height * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
    draw(chart, &area, SCALE as f64, true)?;
    drop(area);
    encode_png(&pixels, width, height)
}

fn encode_png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().context("writing a PNG header")?;
    writer.write_image_data(pixels).context("writing a PNG")?;
    writer.finish().context("closing a PNG")?;
    Ok(bytes)
}

fn size(chart: &Chart) -> (u32, u32) {
    match &chart.plot {
        Plot::Scatter(scatter) => (WIDTH, scatter::height(scatter)),
        Plot::Bars(bars) => (WIDTH, bars::height(bars)),
        Plot::Lines(lines) => (WIDTH, lines::height(lines)),
        Plot::Curves(curves) => (WIDTH, curves::height(curves)),
        Plot::Heat(heat) => (WIDTH, heat::height(heat)),
    }
}

fn draw<DB: DrawingBackend>(
    chart: &Chart,
    area: &DrawingArea<DB, plotters::coord::Shift>,
    scale: f64,
    marked: bool,
) -> Result<()> {
    let canvas = canvas::Canvas::new(area, scale);
    canvas.clear()?;
    canvas.title(&chart.title)?;
    match &chart.plot {
        Plot::Scatter(scatter) => scatter::draw(scatter, &canvas, marked)?,
        Plot::Bars(bars) => bars::draw(bars, &canvas)?,
        Plot::Lines(lines) => lines::draw(lines, &canvas)?,
        Plot::Curves(curves) => curves::draw(curves, &canvas)?,
        Plot::Heat(heat) => heat::draw(heat, &canvas)?,
    }
    canvas.present()
}

#[cfg(test)]
mod tests;
