//! Charts as data: what is drawn, not how. A page carries them; [`svg()`] and [`png()`] draw them.

mod axis;
mod bars;
mod canvas;
mod lines;
mod scatter;

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
    /// Whether it stands on the Pareto front.
    pub on_front: bool,
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

/// The chart as one SVG document.
pub fn svg(chart: &Chart) -> Result<String> {
    register_fonts()?;
    let mut text = String::new();
    let (width, height) = size(chart);
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(chart, &area, 1.0)?;
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
    draw(chart, &area, SCALE as f64)?;
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
        Plot::Scatter(_) => (860, 520),
        Plot::Bars(bars) => (860, bars::height(bars)),
        Plot::Lines(lines) => (860, lines::height(lines)),
    }
}

fn draw<DB: DrawingBackend>(chart: &Chart, area: &DrawingArea<DB, plotters::coord::Shift>, scale: f64) -> Result<()> {
    let canvas = canvas::Canvas::new(area, scale);
    canvas.clear()?;
    canvas.title(&chart.title)?;
    match &chart.plot {
        Plot::Scatter(scatter) => scatter::draw(scatter, &canvas)?,
        Plot::Bars(bars) => bars::draw(bars, &canvas)?,
        Plot::Lines(lines) => lines::draw(lines, &canvas)?,
    }
    canvas.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(label: &str, unit: Unit, log: bool) -> Axis {
        Axis { label: label.into(), unit, log }
    }

    fn samples() -> [Chart; 3] {
        let point = |label: &str, x: f64, y: f64, group, on_front, advised| Point {
            label: label.into(),
            x,
            y,
            y_interval: Some((y - 0.03, (y + 0.03).min(1.0))),
            group,
            on_front,
            advised,
        };
        let points = vec![
            point("bantam-l", 24e6, 0.93, 0, true, false),
            point("bantam-l · Q8_0", 19e6, 0.93, 0, true, false),
            point("bantam-l · Q4_K_M", 17e6, 0.91, 0, true, true),
            point("bantam-l · Q2_K", 16e6, 0.55, 0, false, false),
            point("bantam-m", 15.5e6, 0.78, 1, true, false),
            point("bantam-s", 12e6, 0.42, 2, true, false),
        ];
        let limits = vec![Limit { on_x: true, value: 20e6, label: "max_memory 19.1 MiB".into() }];
        let scatter = Plot::Scatter(Scatter {
            x: axis("peak memory", Unit::Bytes, true),
            y: axis("mean score", Unit::Fraction, false),
            points,
            limits,
        });
        let bar = |label: &str, value: Result<f64, String>, group, estimated| Bar {
            label: label.into(),
            interval: value.as_ref().ok().map(|v| (v * 0.95, v * 1.05)),
            value,
            group,
            estimated,
            advised: group == 1,
        };
        let rows = vec![
            bar("bantam-l", Ok(3200.0), 0, false),
            bar("bantam-m <&>", Ok(8800.0), 1, true),
            bar("bantam-s", Err("the worker was killed for memory".into()), 2, false),
        ];
        let bars = Plot::Bars(Bars { value: axis("decode", Unit::TokensPerSecond, false), rows });
        let series = |label: &str, group, dash, values: [Option<f64>; 4]| Series {
            label: label.into(),
            group,
            dash,
            points: values.map(|v| v.map(|v| (v, Some((v - 0.05, v + 0.04))))).to_vec(),
        };
        let lines = Plot::Lines(Lines {
            x_label: "depth".into(),
            steps: ["1", "2", "3", "4"].map(String::from).to_vec(),
            y: axis("exact match", Unit::Fraction, false),
            series: vec![
                series("bantam-l", 0, 0, [Some(0.95), Some(0.9), Some(0.7), Some(0.6)]),
                series("bantam-l · Q2_K", 0, 1, [Some(0.6), None, Some(0.3), Some(0.2)]),
            ],
            chance: Some(0.25),
        });
        [("scatter", scatter), ("bars", bars), ("lines", lines)].map(|(name, plot)| Chart {
            name: name.into(),
            title: format!("A {name} chart"),
            note: String::new(),
            plot,
        })
    }

    #[test]
    fn every_kind_is_drawn_as_svg_and_png_with_its_words() {
        for chart in samples() {
            let svg = svg(&chart).expect("draws");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("bantam-l") && svg.contains(&chart.title), "{svg}");
            assert!(!svg.contains("<&>"), "names are escaped");
            let png = png(&chart).expect("draws");
            assert_eq!(&png[1..4], b"PNG");
            if let Ok(folder) = std::env::var("BANTAM_SHOW_CHARTS") {
                std::fs::write(format!("{folder}/{}.png", chart.name), png).expect("the folder is there");
                std::fs::write(format!("{folder}/{}.svg", chart.name), svg).expect("the folder is there");
            }
        }
    }

    #[test]
    fn a_missing_bar_says_why_instead_of_standing_at_zero() {
        let [_, bars, _] = samples();
        assert!(svg(&bars).expect("draws").contains("not available: the worker was killed for memory"));
    }

    #[test]
    fn charts_without_points_are_still_charts() {
        let empty = |plot| Chart { name: "empty".into(), title: "Empty".into(), note: String::new(), plot };
        let x = axis("x", Unit::Bytes, true);
        let scatter = Scatter { x: x.clone(), y: x.clone(), points: vec![], limits: vec![] };
        let lines = Lines { x_label: "x".into(), steps: vec![], y: x.clone(), series: vec![], chance: None };
        for plot in [Plot::Scatter(scatter), Plot::Bars(Bars { value: x, rows: vec![] }), Plot::Lines(lines)] {
            assert!(svg(&empty(plot)).is_ok());
        }
    }
}
