//! The scatter with its Pareto front: points by model, intervals, labels that keep clear of each other.

use super::axis::{AxisScale, frame};
use super::canvas::{Align, Canvas, GRID, INK, LIMIT, P, SOFT, colour};
use super::{Point, Scatter};
use crate::recommend::pareto::stairs;
use anyhow::Result;
use plotters::prelude::DrawingBackend;

const LABEL: f64 = 11.0;

pub(super) fn draw<DB: DrawingBackend>(chart: &Scatter, canvas: &Canvas<DB>) -> Result<()> {
    let (width, height) = canvas.size();
    let (low, high) = ((76.0, 66.0), (width - 28.0, height - 56.0));
    let ys = chart.points.iter().flat_map(|p| {
        let (a, b) = p.y_interval.unwrap_or((p.y, p.y));
        [p.y, a, b]
    });
    let x = AxisScale::new(chart.points.iter().map(|p| p.x), &chart.x, low.0 + 12.0, high.0 - 12.0);
    let y = AxisScale::new(ys, &chart.y, high.1, low.1);
    frame(canvas, low, high, Some((&x, &chart.x)), Some((&y, &chart.y)))?;
    limits(chart, canvas, (&x, &y), low, high)?;
    let front = chart.points.iter().filter(|p| p.on_front).map(|p| (x.at(p.x), y.at(p.y)));
    let stairs = stairs(front.collect());
    if stairs.len() > 1 {
        canvas.path(&stairs, &SOFT, 1.4)?;
    }
    marks(chart, canvas, (&x, &y))?;
    labels(chart, canvas, (&x, &y), &stairs, (low, high))
}

fn limits<DB: DrawingBackend>(
    chart: &Scatter,
    canvas: &Canvas<DB>,
    (x, y): (&AxisScale, &AxisScale),
    low: P,
    high: P,
) -> Result<()> {
    for limit in &chart.limits {
        let scale = if limit.on_x { x } else { y };
        if !scale.covers(limit.value) {
            continue;
        }
        let at = scale.at(limit.value);
        if limit.on_x {
            canvas.dashed(&[(at, low.1), (at, high.1)], &LIMIT, 1.2, 5.0, 4.0)?;
            canvas.text(&limit.label, (at - 6.0, high.1 - 10.0), 11.0, &LIMIT, Align::Right)?;
        } else {
            canvas.dashed(&[(low.0, at), (high.0, at)], &LIMIT, 1.2, 5.0, 4.0)?;
            canvas.text(&limit.label, (high.0 - 4.0, at + 10.0), 11.0, &LIMIT, Align::Right)?;
        }
    }
    Ok(())
}

fn marks<DB: DrawingBackend>(chart: &Scatter, canvas: &Canvas<DB>, (x, y): (&AxisScale, &AxisScale)) -> Result<()> {
    for point in &chart.points {
        let (px, py) = (x.at(point.x), y.at(point.y));
        let ink = colour(point.group);
        if let Some((a, b)) = point.y_interval {
            canvas.path(&[(px, y.at(a)), (px, y.at(b))], &ink, 1.2)?;
            for end in [a, b] {
                canvas.path(&[(px - 3.0, y.at(end)), (px + 3.0, y.at(end))], &ink, 1.2)?;
            }
        }
        canvas.disc((px, py), 5.0, &ink, true)?;
        if !point.on_front {
            canvas.disc((px, py), 2.5, &GRID, true)?;
        }
        if point.advised {
            canvas.disc((px, py), 9.0, &INK, false)?;
        }
    }
    Ok(())
}

struct Box2 {
    low: P,
    high: P,
}

impl Box2 {
    fn around(points: &[P], room: f64) -> Box2 {
        let fold = |pick: fn(&P) -> f64, best: fn(f64, f64) -> f64, start| points.iter().map(pick).fold(start, best);
        let low = (fold(|p| p.0, f64::min, f64::INFINITY) - room, fold(|p| p.1, f64::min, f64::INFINITY) - room);
        let high =
            (fold(|p| p.0, f64::max, f64::NEG_INFINITY) + room, fold(|p| p.1, f64::max, f64::NEG_INFINITY) + room);
        Box2 { low, high }
    }

    fn overlap(&self, other: &Box2) -> f64 {
        let w = self.high.0.min(other.high.0) - self.low.0.max(other.low.0);
        let h = self.high.1.min(other.high.1) - self.low.1.max(other.low.1);
        w.max(0.0) * h.max(0.0)
    }
}

/// Each label takes the place around its point that covers least of what already stands; the front first.
fn labels<DB: DrawingBackend>(
    chart: &Scatter,
    canvas: &Canvas<DB>,
    (x, y): (&AxisScale, &AxisScale),
    stairs: &[P],
    (low, high): (P, P),
) -> Result<()> {
    let marks = chart.points.iter().map(|p| Box2::around(&[(x.at(p.x), y.at(p.y))], 6.0));
    let bars = chart.points.iter().filter_map(|p| p.y_interval.map(|(a, b)| (p, a, b)));
    let bars = bars.map(|(p, a, b)| Box2::around(&[(x.at(p.x), y.at(a)), (x.at(p.x), y.at(b))], 3.0));
    let lines = stairs.windows(2).map(|pair| Box2::around(pair, 2.0));
    let mut taken: Vec<Box2> = marks.chain(bars).chain(lines).collect();
    let mut order: Vec<&Point> = chart.points.iter().collect();
    order.sort_by_key(|p| (!p.advised, !p.on_front));
    for point in order {
        let at = (x.at(point.x), y.at(point.y));
        let width = canvas.width(&point.label, LABEL);
        let best = places(at, width)
            .map(|place| {
                let outside = (low.0 - place.low.0).max(0.0) + (place.high.0 - high.0).max(0.0);
                let above = (low.1 - place.low.1).max(0.0) + (place.high.1 - high.1).max(0.0);
                let covered: f64 = taken.iter().map(|t| t.overlap(&place)).sum();
                (covered + 40.0 * (outside + above), place)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, place)) = best else { continue };
        let middle = (place.low.0, (place.low.1 + place.high.1) / 2.0);
        if point.advised {
            canvas.bold(&point.label, middle, LABEL, &INK, Align::Left)?;
        } else {
            let ink = if point.on_front { INK } else { SOFT };
            canvas.text(&point.label, middle, LABEL, &ink, Align::Left)?;
        }
        taken.push(place);
    }
    Ok(())
}

/// Places around a point, the nicer ones first.
fn places(at: P, width: f64) -> impl Iterator<Item = Box2> {
    const H: f64 = 7.0;
    let centre = -width / 2.0;
    let offsets = [
        (11.0, 0.0),
        (-width - 11.0, 0.0),
        (centre, -17.0),
        (centre, 17.0),
        (9.0, -13.0),
        (9.0, 13.0),
        (-width - 9.0, -13.0),
        (-width - 9.0, 13.0),
        (centre, -30.0),
        (centre, 30.0),
        (12.0, -26.0),
        (12.0, 26.0),
    ];
    offsets
        .into_iter()
        .map(move |(dx, dy)| Box2 { low: (at.0 + dx, at.1 + dy - H), high: (at.0 + dx + width, at.1 + dy + H) })
}
