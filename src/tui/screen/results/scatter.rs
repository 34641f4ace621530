//! The scatter in a terminal: letters for variants, the front as a staircase, axes with their ends.

use super::{group, letter};
use crate::tui::results::Results;
use crate::tui::theme::Theme;
use bantam_core::unit::Bytes;
use bantam_verdict::recommend::pareto::stairs;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::canvas::{Canvas, Line as Stroke};

pub(super) fn draw(frame: &mut Frame, place: Rect, results: &Results, theme: Theme) {
    let points: Vec<(usize, f64, f64)> = results
        .rows
        .iter()
        .enumerate()
        .filter_map(|(row, r)| r.at.filter(|(x, _)| *x > 0.0).map(|(x, y)| (row, x.log2(), y)))
        .collect();
    if points.is_empty() {
        let text = "needs a score and a memory figure; they come as trials finish";
        return frame.render_widget(Line::styled(text, theme.soft()), place);
    }
    let (x, y) = (range(points.iter().map(|p| p.1), 0.1), range(points.iter().map(|p| p.2), 0.02));
    axes(frame, place, x, y, theme);
    let plot =
        Rect { x: place.x + 6, width: place.width.saturating_sub(7), height: place.height.saturating_sub(2), ..place };
    let front = points.iter().filter(|p| results.rows[p.0].on_front);
    let stairs = stairs(front.map(|p| (p.1, p.2)).collect());
    let canvas = Canvas::default().marker(Marker::Braille).x_bounds(x).y_bounds(y).paint(|ctx| {
        for pair in stairs.windows(2) {
            ctx.draw(&Stroke {
                x1: pair[0].0,
                y1: pair[0].1,
                x2: pair[1].0,
                y2: pair[1].1,
                color: theme.soft().fg.unwrap_or(ratatui::style::Color::Reset),
            });
        }
        ctx.layer();
        for &(row, px, py) in &points {
            let data = &results.rows[row];
            let mark = if data.advised { "★".to_owned() } else { letter(row).to_string() };
            let mut style = theme.group(group(results, row));
            if data.on_front || data.advised {
                style = style.add_modifier(Modifier::BOLD);
            }
            ctx.print(px, py, Span::styled(mark, style));
        }
    });
    frame.render_widget(canvas, plot);
}

fn range(values: impl Iterator<Item = f64>, least: f64) -> [f64; 2] {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let room = ((high - low) * 0.08).max(least);
    [low - room, high + room]
}

fn axes(frame: &mut Frame, place: Rect, x: [f64; 2], y: [f64; 2], theme: Theme) {
    let foot = place.bottom().saturating_sub(1);
    let left = format!("{:>6}{}", "", size(x[0].exp2()));
    let right = format!("{} →", size(x[1].exp2()));
    let middle = "peak memory (log)";
    let room = (place.width as usize).saturating_sub(left.chars().count() + right.chars().count());
    let text = format!("{left}{middle:^room$}{right}");
    frame.render_widget(Line::styled(text, theme.soft()), Rect { y: foot, height: 1, ..place });
    let rule = Rect { y: foot.saturating_sub(1), height: 1, ..place };
    let line = format!("     └{}", "─".repeat((place.width as usize).saturating_sub(6)));
    frame.render_widget(Line::styled(line, theme.soft()), rule);
    let height = place.height.saturating_sub(2);
    for line in 0..height {
        let share = 1.0 - line as f64 / height.max(2).saturating_sub(1) as f64;
        let value = y[0] + share * (y[1] - y[0]);
        let labelled = line == 0 || line == height / 2 || line + 1 == height;
        let text = if labelled { format!("{:>4.0}%┤", value * 100.0) } else { "     │".to_owned() };
        frame.render_widget(Line::styled(text, theme.soft()), Rect { y: place.y + line, height: 1, width: 6, ..place });
    }
}

/// A size on an axis.
fn size(bytes: f64) -> String {
    Bytes(bytes as u64).to_string()
}
