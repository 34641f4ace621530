//! The scatter in a terminal: letters for the advised variant, the front and the line under the cursor, signs of their group
//! for the others; the front as a staircase; axes with their ends. It shows what qualifies, or everything.

use super::{groups, letter};
use crate::tui::results::Results;
use crate::tui::theme::Theme;
use bantam_core::unit::Bytes;
use bantam_verdict::recommend::pareto::stairs;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::canvas::{Canvas, Line as Stroke};
use unicode_width::UnicodeWidthStr;

/// A row of the results on the axes: the logarithm of its memory, and its score.
#[derive(Debug, Clone, Copy)]
struct Point {
    row: usize,
    x: f64,
    y: f64,
}

/// The ends of both axes.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    x: [f64; 2],
    y: [f64; 2],
}

impl Bounds {
    fn around(points: &[Point]) -> Bounds {
        Bounds { x: range(points.iter().map(|p| p.x), 0.1), y: range(points.iter().map(|p| p.y), 0.02) }
    }

    fn holds(&self, point: &Point) -> bool {
        (self.x[0]..=self.x[1]).contains(&point.x) && (self.y[0]..=self.y[1]).contains(&point.y)
    }

    /// The cell of a plot that a point falls into; one outside falls on its edge.
    fn cell(&self, plot: Rect, point: &Point) -> (u16, u16) {
        let share = |value: f64, [low, high]: [f64; 2]| ((value - low) / (high - low)).clamp(0.0, 1.0);
        // as the canvas counts, so that a mark stands on its corner of the stairs: a cell has 2 by 4 dots
        let along = |share: f64, cells: u16, dots: u16| {
            let last = (cells * dots).saturating_sub(1);
            (share * f64::from(last)).round() as u16 / dots
        };
        let x = plot.x + along(share(point.x, self.x), plot.width, 2);
        let y = plot.y + along(1.0 - share(point.y, self.y), plot.height, 4);
        (x, y)
    }
}

pub(super) fn draw(
    frame: &mut Frame,
    place: Rect,
    (results, selected, whole): (&Results, Option<usize>, bool),
    theme: Theme,
) {
    let all = points(results);
    if all.is_empty() {
        let text = "needs a score and a memory figure; they come as trials finish";
        return frame.render_widget(Line::styled(text, theme.soft()), place);
    }
    let bounds = near(results, &all).filter(|_| !whole).unwrap_or_else(|| Bounds::around(&all));
    let outside = all.iter().filter(|p| !bounds.holds(p)).count();
    let said = match (outside, all.len(), results.rows.len()) {
        (0, 1, rows) if rows > 1 => Some(format!("one point: the other {} lack a score or a memory figure", rows - 1)),
        (0, 1, _) => Some("one point: nothing else was measured".to_owned()),
        (0, ..) => None,
        (n, ..) => Some(format!("{n} outside: z shows everything")),
    };
    axes(frame, place, bounds, said, theme);
    let plot =
        Rect { x: place.x + 6, width: place.width.saturating_sub(7), height: place.height.saturating_sub(3), ..place };
    draw_front(frame, plot, (results, &all), bounds, theme);
    draw_points(frame, plot, (results, &all, selected), bounds, theme);
}

/// Whether what qualifies is shown larger than everything is.
pub(super) fn can_zoom(results: &Results) -> bool {
    let all = points(results);
    near(results, &all).is_some_and(|bounds| all.iter().any(|point| !bounds.holds(point)))
}

/// Around what qualifies; None where that is less than two places, which a picture of says nothing.
fn near(results: &Results, all: &[Point]) -> Option<Bounds> {
    let near: Vec<Point> = all.iter().filter(|p| results.rows[p.row].standing.qualifies()).copied().collect();
    let first = near.first()?;
    near.iter().any(|p| (p.x, p.y) != (first.x, first.y)).then(|| Bounds::around(&near))
}

fn points(results: &Results) -> Vec<Point> {
    let rows = results.rows.iter().enumerate();
    rows.filter_map(|(row, r)| r.at.filter(|(x, _)| *x > 0.0).map(|(x, y)| Point { row, x: x.log2(), y })).collect()
}

fn draw_front(frame: &mut Frame, plot: Rect, (results, all): (&Results, &[Point]), bounds: Bounds, theme: Theme) {
    let front = all.iter().filter(|p| results.rows[p.row].on_front);
    let stairs = stairs(front.map(|p| (p.x, p.y)).collect());
    let color = theme.rule().fg.unwrap_or(Color::Reset);
    let canvas = Canvas::default().marker(Marker::Braille).x_bounds(bounds.x).y_bounds(bounds.y).paint(|ctx| {
        for pair in stairs.windows(2) {
            ctx.draw(&Stroke { x1: pair[0].0, y1: pair[0].1, x2: pair[1].0, y2: pair[1].1, color });
        }
    });
    frame.render_widget(canvas, plot);
}

/// A cell where points fall: the one that is shown, and how many more lie under it.
struct Mark {
    at: (u16, u16),
    rank: u8,
    row: usize,
    under: usize,
}

impl Mark {
    /// Cells of its sign and its count.
    fn width(&self) -> u16 {
        if self.under == 0 { 1 } else { 2 + self.under.to_string().len() as u16 }
    }

    /// Where it is drawn: a count at the edge moves it in.
    fn begins(&self, right: u16) -> u16 {
        self.at.0.min(right.saturating_sub(self.width()))
    }
}

/// Marks of which none covers another's count: those that would are one, with the more important one's sign.
fn apart(mut marks: Vec<Mark>, right: u16) -> Vec<Mark> {
    marks.sort_by_key(|mark| (mark.at.1, mark.at.0));
    let mut out: Vec<Mark> = Vec::new();
    for mut mark in marks {
        while let Some(last) =
            out.pop_if(|last| last.at.1 == mark.at.1 && mark.begins(right) < last.begins(right) + last.width())
        {
            let under = last.under + mark.under + 1;
            let main = if last.rank > mark.rank { last } else { mark };
            mark = Mark { under, ..main };
        }
        out.push(mark);
    }
    out
}

/// Draws a mark a cell; those that matter most come last and lie on top.
fn draw_points(
    frame: &mut Frame,
    plot: Rect,
    (results, all, selected): (&Results, &[Point], Option<usize>),
    bounds: Bounds,
    theme: Theme,
) {
    let rank = |row: usize| {
        let data = &results.rows[row];
        match (selected == Some(row), data.advised, data.on_front) {
            (true, ..) => 3,
            (_, true, _) => 2,
            (.., true) => 1,
            _ => 0,
        }
    };
    let mut marks: Vec<Mark> = Vec::new();
    // of what is outside only the chosen row is shown, at the edge
    for point in all.iter().filter(|p| bounds.holds(p) || selected == Some(p.row)) {
        let (at, rank) = (bounds.cell(plot, point), rank(point.row));
        match marks.iter_mut().find(|mark| mark.at == at) {
            None => marks.push(Mark { at, rank, row: point.row, under: 0 }),
            Some(mark) => {
                mark.under += 1;
                if rank > mark.rank {
                    (mark.rank, mark.row) = (rank, point.row);
                }
            }
        }
    }
    let mut marks = apart(marks, plot.right());
    marks.sort_by_key(|mark| mark.rank);
    let groups = groups(results);
    for mark in &marks {
        let (text, style) = told(mark, (results, groups[mark.row]), selected, theme);
        let width = (text.width() as u16).min(plot.width);
        let x = mark.begins(plot.right());
        frame.render_widget(Span::styled(text, style), Rect { x, y: mark.at.1, width, height: 1 });
    }
}

/// The sign or letter of a mark, with "+2" where two more lie under it.
fn told(mark: &Mark, (results, group): (&Results, usize), selected: Option<usize>, theme: Theme) -> (String, Style) {
    let data = &results.rows[mark.row];
    let own = match (data.advised, mark.rank) {
        (true, _) => "★".to_owned(),
        (false, 0) => data.standing.group().sign().to_owned(),
        (false, _) => letter(mark.row),
    };
    let more = if mark.under > 0 { format!("+{}", mark.under) } else { String::new() };
    let style = match (selected == Some(mark.row), mark.rank) {
        (true, _) => theme.selected(),
        (false, 0) => theme.soft(),
        (false, _) => theme.group(group).add_modifier(Modifier::BOLD),
    };
    (own + &more, style)
}

fn range(values: impl Iterator<Item = f64>, least: f64) -> [f64; 2] {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let room = ((high - low) * 0.08).max(least);
    [low - room, high + room]
}

fn axes(frame: &mut Frame, place: Rect, bounds: Bounds, said: Option<String>, theme: Theme) {
    let foot = place.bottom().saturating_sub(2);
    let left = format!("{:>6}{}", "", size(bounds.x[0].exp2()));
    let right = format!("{} →", size(bounds.x[1].exp2()));
    let room = (place.width as usize).saturating_sub(left.width() + right.width());
    let text = format!("{left}{:^room$}{right}", "peak memory (log)");
    frame.render_widget(Line::styled(text, theme.soft()), Rect { y: foot, height: 1, ..place });
    let below = match said {
        None if place.width < 46 => "★ advised  ? cannot tell  ✗ out".to_owned(),
        None => "★ advised  ✓ qualifies  ? cannot tell  ✗ out".to_owned(),
        Some(said) => said,
    };
    frame.render_widget(Line::styled(format!(" {below}"), theme.soft()), Rect { y: foot + 1, height: 1, ..place });
    let rule = Rect { y: foot.saturating_sub(1), height: 1, ..place };
    let line = format!("     └{}", "─".repeat((place.width as usize).saturating_sub(6)));
    frame.render_widget(Line::styled(line, theme.rule()), rule);
    let height = place.height.saturating_sub(3);
    for line in 0..height {
        let share = 1.0 - line as f64 / height.max(2).saturating_sub(1) as f64;
        let value = bounds.y[0] + share * (bounds.y[1] - bounds.y[0]);
        let labelled = line == 0 || line == height / 2 || line + 1 == height;
        let text = if labelled { format!("{:>4.0}%┤", value * 100.0) } else { "     │".to_owned() };
        let style = if labelled { theme.soft() } else { theme.rule() };
        frame.render_widget(Line::styled(text, style), Rect { y: place.y + line, height: 1, width: 6, ..place });
    }
}

/// A size on an axis.
fn size(bytes: f64) -> String {
    Bytes(bytes as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_never_cover_each_other() {
        let mark = |x, rank, under| Mark { at: (x, 5), rank, row: x as usize, under };
        let told = |marks: Vec<Mark>| apart(marks, 40).iter().map(|m| (m.row, m.under)).collect::<Vec<_>>();
        assert_eq!(told(vec![mark(3, 0, 0), mark(4, 0, 0)]), [(3, 0), (4, 0)], "signs may stand side by side");
        assert_eq!(told(vec![mark(4, 0, 1), mark(3, 0, 1)]), [(4, 3)], "two and two are four");
        assert_eq!(told(vec![mark(3, 2, 1), mark(5, 0, 0), mark(8, 0, 0)]), [(3, 2), (8, 0)]);
        assert_eq!(told(vec![mark(36, 0, 0), mark(39, 0, 12)]), [(39, 13)], "at the edge a count moves in");
    }
}
