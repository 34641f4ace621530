//! A thin canvas over plotters' backends: lines, marks and text in points that scale with the output.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) type P = (f64, f64);

/// Okabe and Ito's palette (2008), told apart with every kind of colour vision; a group takes the next one.
const GROUPS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

pub(super) const INK: RGBColor = RGBColor(34, 38, 43);
pub(super) const SOFT: RGBColor = RGBColor(107, 114, 124);
pub(super) const GRID: RGBColor = RGBColor(226, 229, 233);
pub(super) const LIMIT: RGBColor = RGBColor(176, 42, 55);

pub(super) fn colour(group: usize) -> RGBColor {
    GROUPS[group % GROUPS.len()]
}

/// Where the text stands relative to its point.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

pub(super) struct Canvas<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    scale: f64,
}

impl<'a, DB: DrawingBackend> Canvas<'a, DB> {
    pub(super) fn new(area: &'a DrawingArea<DB, Shift>, scale: f64) -> Self {
        Canvas { area, scale }
    }

    /// Width and height in points.
    pub(super) fn size(&self) -> P {
        let (w, h) = self.area.dim_in_pixel();
        (w as f64 / self.scale, h as f64 / self.scale)
    }

    pub(super) fn clear(&self) -> Result<()> {
        self.area.fill(&WHITE).map_err(wrong)
    }

    pub(super) fn present(&self) -> Result<()> {
        self.area.present().map_err(wrong)
    }

    pub(super) fn title(&self, text: &str) -> Result<()> {
        self.write(text, (16.0, 24.0), 15.0, &INK, Align::Left, true)
    }

    fn px(&self, p: P) -> (i32, i32) {
        ((p.0 * self.scale).round() as i32, (p.1 * self.scale).round() as i32)
    }

    fn stroke(&self, colour: &RGBColor, width: f64) -> ShapeStyle {
        colour.stroke_width((width * self.scale).round().max(1.0) as u32)
    }

    pub(super) fn path(&self, points: &[P], colour: &RGBColor, width: f64) -> Result<()> {
        let points: Vec<_> = points.iter().map(|&p| self.px(p)).collect();
        self.area.draw(&PathElement::new(points, self.stroke(colour, width))).map_err(wrong)
    }

    /// A dashed line along `points`; `on` and `off` in points.
    pub(super) fn dashed(&self, points: &[P], colour: &RGBColor, width: f64, on: f64, off: f64) -> Result<()> {
        if off <= 0.0 {
            return self.path(points, colour, width);
        }
        let mut left = on;
        let mut drawing = true;
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            loop {
                let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                let length = dx.hypot(dy);
                if length <= f64::EPSILON {
                    break;
                }
                let step = left.min(length);
                let next = (from.0 + dx / length * step, from.1 + dy / length * step);
                if drawing {
                    self.path(&[from, next], colour, width)?;
                }
                from = next;
                left -= step;
                if left <= 1e-9 {
                    drawing = !drawing;
                    left = if drawing { on } else { off };
                }
            }
        }
        Ok(())
    }

    pub(super) fn rect(&self, a: P, b: P, colour: &RGBColor, filled: bool) -> Result<()> {
        let style = if filled { colour.filled() } else { self.stroke(colour, 1.2) };
        self.area.draw(&Rectangle::new([self.px(a), self.px(b)], style)).map_err(wrong)
    }

    pub(super) fn disc(&self, at: P, radius: f64, colour: &RGBColor, filled: bool) -> Result<()> {
        let style = if filled { colour.filled() } else { self.stroke(colour, 1.6) };
        self.area.draw(&Circle::new(self.px(at), (radius * self.scale).round() as i32, style)).map_err(wrong)
    }

    /// Text whose vertical middle is at `at`.
    pub(super) fn text(&self, text: &str, at: P, size: f64, colour: &RGBColor, align: Align) -> Result<()> {
        self.write(text, at, size, colour, align, false)
    }

    pub(super) fn bold(&self, text: &str, at: P, size: f64, colour: &RGBColor, align: Align) -> Result<()> {
        self.write(text, at, size, colour, align, true)
    }

    fn write(&self, text: &str, at: P, size: f64, colour: &RGBColor, align: Align, bold: bool) -> Result<()> {
        let weight = if bold { FontStyle::Bold } else { FontStyle::Normal };
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = TextStyle::from((super::FONT, size * self.scale, weight).into_font())
            .color(colour)
            .pos(Pos::new(horizontal, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), self.px(at), style)).map_err(wrong)
    }

    /// Width of the text in points; bold text is the wider of the two, so that it always has room.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        let font = (super::FONT, size * self.scale, FontStyle::Bold).into_font();
        font.box_size(text).map_or(text.len() as f64 * size * 0.6, |(w, _)| w as f64 / self.scale)
    }
}

/// The text where it has room, else without its middle: a name says most at its ends (model and recipe).
pub(super) fn shortened<DB: DrawingBackend>(canvas: &Canvas<DB>, text: &str, size: f64, room: f64) -> String {
    if canvas.width(text, size) <= room {
        return text.to_owned();
    }
    let all: Vec<char> = text.chars().collect();
    let without = |cut: usize| {
        let head = (all.len() - cut).div_ceil(2);
        let tail = all.len() - cut - head;
        all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect::<String>()
    };
    let fitting = (1..all.len()).map(without).find(|short| canvas.width(short, size) <= room);
    fitting.unwrap_or_else(|| "…".into())
}

fn wrong<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("drawing a chart: {error}")
}
