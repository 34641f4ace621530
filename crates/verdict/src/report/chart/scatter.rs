//! The scatter with its front among those that qualify: points by model and by group, intervals, a legend. The front, the
//! advised and the reference have labels; the frame holds what qualifies, and says at its edges what lies beyond.

use super::axis::{AxisScale, frame};
use super::canvas::{Align, Canvas, INK, LIMIT, P, SOFT, colour, shortened};
use super::{Axis, Point, Scatter};
use crate::recommend::Group;
use crate::recommend::pareto::stairs;
use anyhow::Result;
use plotters::prelude::{DrawingBackend, WHITE};
use std::ops::RangeInclusive;

const LABEL: f64 = 11.0;
/// A label is no wider than this.
const WIDEST: f64 = 300.0;
/// Points nearer to each other than this are one to the eye.
const TOGETHER: f64 = 4.0;
const LEGEND_LINE: f64 = 20.0;
const PER_LINE: usize = 3;

pub(super) fn height(chart: &Scatter) -> u32 {
    520 + (LEGEND_LINE * (1 + chart.models.len().div_ceil(PER_LINE)) as f64) as u32
}

/// Where everything stands, for a width.
struct Layout<'a> {
    low: P,
    high: P,
    window: Window,
    inside: Vec<&'a Point>,
    x: AxisScale,
    y: AxisScale,
}

impl<'a> Layout<'a> {
    fn of(chart: &'a Scatter, width: f64) -> Layout<'a> {
        let (low, high) = ((76.0, 66.0), (width - 28.0, 520.0 - 56.0));
        let window = Window::of(chart);
        let inside: Vec<&Point> = chart.points.iter().filter(|point| window.holds(point)).collect();
        let ys = inside.iter().flat_map(|p| ends(p));
        let x = AxisScale::new(inside.iter().map(|p| p.x), &chart.x, low.0 + 12.0, high.0 - 12.0);
        let y = AxisScale::new(ys, &chart.y, high.1, low.1);
        Layout { low, high, window, inside, x, y }
    }
}

/// A mark of a scatter, for who draws it: the point, its place, and the ends of its interval from top to bottom.
pub(in crate::report) struct Place<'a> {
    pub point: &'a Point,
    pub at: P,
    pub ends: Option<(f64, f64)>,
}

/// The marks that stand within the frame, those that matter most last.
pub(super) fn marks(chart: &Scatter, width: f64) -> Vec<Place<'_>> {
    let Layout { mut inside, x, y, .. } = Layout::of(chart, width);
    inside.sort_by_key(|p| rank(p));
    let place = |point| Place {
        point,
        at: (x.at(point.x), y.at(point.y)),
        ends: point.y_interval.map(|(low, high)| (y.at(high), y.at(low))),
    };
    inside.into_iter().map(|point: &Point| place(point)).collect()
}

/// What matters most is drawn last.
fn rank(p: &Point) -> (bool, bool, bool, std::cmp::Reverse<Group>) {
    (p.advised, p.on_front, p.reference, std::cmp::Reverse(p.standing))
}

/// Draws the chart; without its marks where `marked` is not set, for who draws them over it.
pub(super) fn draw<DB: DrawingBackend>(chart: &Scatter, canvas: &Canvas<DB>, marked: bool) -> Result<()> {
    let Layout { low, high, window, inside, x, y } = Layout::of(chart, canvas.size().0);
    frame(canvas, low, high, Some((&x, &chart.x)), Some((&y, &chart.y)))?;
    limits(chart, canvas, (&x, &y), low, high)?;
    let stairs = front(chart, &inside, (&x, &y));
    if stairs.len() > 1 {
        canvas.path(&stairs, &SOFT, 1.4)?;
    }
    let groups = together(&inside, (&x, &y));
    let mut order = inside.clone();
    order.sort_by_key(|p| rank(p));
    for point in order.into_iter().filter(|_| marked) {
        mark(point, (x.at(point.x), y.at(point.y)), canvas, Some(&y))?;
    }
    let taken = taken(&inside, &stairs, (&x, &y));
    let beyond = edges(chart, &window, canvas, (low, high))?;
    labels(&groups, canvas, taken.into_iter().chain(beyond).collect(), (low, high))?;
    legend(chart, canvas, (low.0, 520.0), (high.0 - low.0) / PER_LINE as f64)
}

fn ends(point: &Point) -> [f64; 2] {
    point.y_interval.map_or([point.y; 2], |(a, b)| [a, b])
}

/// The part of the plane that is drawn: what qualifies and the reference, with as much again on every side.
struct Window {
    x: RangeInclusive<f64>,
    y: RangeInclusive<f64>,
}

impl Window {
    fn of(chart: &Scatter) -> Window {
        let core: Vec<&Point> = chart.points.iter().filter(|p| is_core(p)).collect();
        let core = if core.len() < 2 { chart.points.iter().collect() } else { core };
        let xs = around(core.iter().map(|p| p.x), &chart.x);
        let ys = around(core.iter().flat_map(|p| ends(p)), &chart.y);
        Window { x: xs, y: ys }
    }

    fn holds(&self, point: &Point) -> bool {
        is_core(point) || (self.x.contains(&point.x) && self.y.contains(&point.y))
    }
}

fn is_core(point: &Point) -> bool {
    point.standing == Group::Qualifies || point.reference || point.advised
}

/// The range of the values with the same again below and above; no less than a tenth of the largest, or a factor of
/// one and a half.
fn around(values: impl Iterator<Item = f64>, axis: &Axis) -> RangeInclusive<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if axis.log && low > 0.0 {
        let room = (high / low).max(1.5);
        return low / room..=high * room;
    }
    let room = (high - low).max(high.abs() / 10.0);
    low - room..=high + room
}

/// The corners of the front's staircase. The advised variant is on it, though another may be its equal by a hair.
fn front(chart: &Scatter, inside: &[&Point], (x, y): (&AxisScale, &AxisScale)) -> Vec<P> {
    let on = inside.iter().filter(|p| p.on_front || p.advised);
    match chart.more_is_better {
        false => stairs(on.map(|p| (x.at(p.x), y.at(p.y))).collect()),
        true => {
            let mirrored = stairs(on.map(|p| (-x.at(p.x), y.at(p.y))).collect());
            mirrored.into_iter().map(|(x, y)| (-x, y)).collect()
        }
    }
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

/// A disc qualifies, a ring cannot be told, a cross is out; a larger ring is around the advice.
fn mark<DB: DrawingBackend>(point: &Point, at: P, canvas: &Canvas<DB>, y: Option<&AxisScale>) -> Result<()> {
    let ink = colour(point.group);
    if let (Some((a, b)), Some(y)) = (point.y_interval, y) {
        canvas.path(&[(at.0, y.at(a)), (at.0, y.at(b))], &ink, 1.2)?;
        for end in [a, b] {
            canvas.path(&[(at.0 - 3.0, y.at(end)), (at.0 + 3.0, y.at(end))], &ink, 1.2)?;
        }
    }
    match point.standing {
        Group::Qualifies => canvas.disc(at, 5.0, &ink, true)?,
        Group::CannotTell => {
            canvas.disc(at, 5.0, &ink, true)?;
            canvas.disc(at, 3.0, &WHITE, true)?;
        }
        Group::Out => {
            for (dx, dy) in [(4.0, 4.0), (4.0, -4.0)] {
                canvas.path(&[(at.0 - dx, at.1 - dy), (at.0 + dx, at.1 + dy)], &ink, 1.6)?;
            }
        }
    }
    if point.advised {
        canvas.disc(at, 9.0, &INK, false)?;
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

/// What no label should cover.
fn taken(inside: &[&Point], stairs: &[P], (x, y): (&AxisScale, &AxisScale)) -> Vec<Box2> {
    let marks = inside.iter().map(|p| Box2::around(&[(x.at(p.x), y.at(p.y))], 6.0));
    let bars = inside.iter().filter_map(|p| p.y_interval.map(|(a, b)| (p, a, b)));
    let bars = bars.map(|(p, a, b)| Box2::around(&[(x.at(p.x), y.at(a)), (x.at(p.x), y.at(b))], 3.0));
    let lines = stairs.windows(2).map(|pair| Box2::around(pair, 2.0));
    marks.chain(bars).chain(lines).collect()
}

/// Points that stand at one place, those with a name first.
struct Together<'a> {
    at: P,
    points: Vec<&'a Point>,
}

fn is_named(point: &Point) -> bool {
    point.advised || point.on_front || point.reference
}

fn together<'a>(inside: &[&'a Point], (x, y): (&AxisScale, &AxisScale)) -> Vec<Together<'a>> {
    let mut order: Vec<&Point> = inside.to_vec();
    order.sort_by_key(|p| (!p.advised, !p.on_front, !p.reference, p.standing));
    let mut groups: Vec<Together> = Vec::new();
    for point in order {
        let at = (x.at(point.x), y.at(point.y));
        let near = |other: &&mut Together| (other.at.0 - at.0).hypot(other.at.1 - at.1) < TOGETHER;
        match groups.iter_mut().find(near) {
            Some(group) => group.points.push(point),
            None => groups.push(Together { at, points: vec![point] }),
        }
    }
    groups
}

impl Together<'_> {
    /// The names of those that have one, and how many more stand here; nothing of a point alone without a name.
    fn label(&self) -> Option<String> {
        let named: Vec<&str> = self.points.iter().filter(|p| is_named(p)).map(|p| p.label.as_str()).collect();
        let more = self.points.len() - named.len().min(2);
        match (&named[..], more) {
            ([], 1) => None,
            ([], all) => Some(format!("{all} here")),
            (names, 0) => Some(names.join(", ")),
            (names, more) => Some(format!("{} and {more} more here", names[..names.len().min(2)].join(", "))),
        }
    }
}

/// Each label takes the place around its point that covers least of what already stands; the advice first.
fn labels<DB: DrawingBackend>(
    groups: &[Together],
    canvas: &Canvas<DB>,
    mut taken: Vec<Box2>,
    (low, high): (P, P),
) -> Result<()> {
    for group in groups {
        let Some(label) = group.label() else { continue };
        let label = shortened(canvas, &label, LABEL, WIDEST);
        let best = places(group.at, canvas.width(&label, LABEL))
            .map(|place| {
                let outside = (low.0 - place.low.0).max(0.0) + (place.high.0 - high.0).max(0.0);
                let above = (low.1 - place.low.1).max(0.0) + (place.high.1 - high.1).max(0.0);
                let covered: f64 = taken.iter().map(|t| t.overlap(&place)).sum();
                (covered + 40.0 * (outside + above), place)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, place)) = best else { continue };
        let middle = (place.low.0, (place.low.1 + place.high.1) / 2.0);
        if group.points.iter().any(|p| p.advised) {
            canvas.bold(&label, middle, LABEL, &INK, Align::Left)?;
        } else {
            let ink = if group.points.iter().any(|p| is_named(p)) { INK } else { SOFT };
            canvas.text(&label, middle, LABEL, &ink, Align::Left)?;
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

/// Says at the edges how many variants lie beyond, and how far the farthest.
fn edges<DB: DrawingBackend>(
    chart: &Scatter,
    window: &Window,
    canvas: &Canvas<DB>,
    (low, high): (P, P),
) -> Result<Vec<Box2>> {
    let beyond: Vec<&Point> = chart.points.iter().filter(|point| !window.holds(point)).collect();
    let mut places = Vec::new();
    for (edge, these) in [
        (Edge::Below, of(&beyond, |p| p.y < *window.y.start())),
        (Edge::Above, of(&beyond, |p| p.y > *window.y.end())),
        (Edge::Left, of(&beyond, |p| window.y.contains(&p.y) && p.x < *window.x.start())),
        (Edge::Right, of(&beyond, |p| window.y.contains(&p.y) && p.x > *window.x.end())),
    ] {
        let Some(words) = edge.words(&these, chart) else { continue };
        let (at, align) = edge.place(low, high);
        canvas.text(&words, at, LABEL, &SOFT, align)?;
        let width = canvas.width(&words, LABEL);
        let left = if align == Align::Left { at.0 } else { at.0 - width };
        places.push(Box2 { low: (left, at.1 - 7.0), high: (left + width, at.1 + 7.0) });
    }
    Ok(places)
}

fn of<'a>(points: &[&'a Point], is: impl Fn(&Point) -> bool) -> Vec<&'a Point> {
    points.iter().copied().filter(|p| is(p)).collect()
}

#[derive(Clone, Copy)]
enum Edge {
    Below,
    Above,
    Left,
    Right,
}

impl Edge {
    fn words(self, points: &[&Point], chart: &Scatter) -> Option<String> {
        let xs = || points.iter().map(|p| p.x);
        let ys = || points.iter().map(|p| p.y);
        let (arrow, far, axis) = match self {
            Edge::Below => ("↓", ys().reduce(f64::min)?, &chart.y),
            Edge::Above => ("↑", ys().reduce(f64::max)?, &chart.y),
            Edge::Left => ("←", xs().reduce(f64::min)?, &chart.x),
            Edge::Right => ("→", xs().reduce(f64::max)?, &chart.x),
        };
        let count = match points.len() {
            1 => "1 variant".to_owned(),
            n => format!("{n} variants"),
        };
        let word = if matches!(self, Edge::Below | Edge::Left) { "down to" } else { "up to" };
        Some(format!("{arrow} {count} beyond this edge, {word} {}", axis.unit.show(far)))
    }

    fn place(self, low: P, high: P) -> (P, Align) {
        let middle = (low.1 + high.1) / 2.0;
        match self {
            Edge::Below => ((low.0 + 6.0, high.1 - 9.0), Align::Left),
            Edge::Above => ((low.0 + 6.0, low.1 + 9.0), Align::Left),
            Edge::Left => ((low.0 + 6.0, middle), Align::Left),
            Edge::Right => ((high.0 - 4.0, middle), Align::Right),
        }
    }
}

/// The three groups with how many are in each, then the models with their colours.
fn legend<DB: DrawingBackend>(chart: &Scatter, canvas: &Canvas<DB>, from: P, column: f64) -> Result<()> {
    const GREY: usize = 6;
    let plain = |standing| Point {
        label: String::new(),
        x: 0.0,
        y: 0.0,
        y_interval: None,
        group: GREY,
        standing,
        on_front: false,
        reference: false,
        advised: false,
    };
    for (i, group) in Group::ALL.into_iter().enumerate() {
        let at = (from.0 + column * i as f64 + 6.0, from.1);
        mark(&plain(group), at, canvas, None)?;
        let count = chart.points.iter().filter(|p| p.standing == group).count();
        canvas.text(&format!("{} ({count})", group.label()), (at.0 + 12.0, at.1), LABEL, &INK, Align::Left)?;
    }
    for (i, model) in chart.models.iter().enumerate() {
        let at = (from.0 + column * (i % PER_LINE) as f64 + 6.0, from.1 + LEGEND_LINE * (1 + i / PER_LINE) as f64);
        canvas.rect((at.0 - 5.0, at.1 - 5.0), (at.0 + 5.0, at.1 + 5.0), &colour(i), true)?;
        canvas.text(&shortened(canvas, model, LABEL, column - 24.0), (at.0 + 12.0, at.1), LABEL, &INK, Align::Left)?;
    }
    Ok(())
}
