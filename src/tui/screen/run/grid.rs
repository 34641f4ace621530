//! The run as a grid: a line a variant, a column a task or shape, a cell a trial with its figure or how it is.

use super::state_words;
use crate::show::{left, middle, right, short};
use crate::tui::layout::scroll;
use crate::tui::progress::TrialState;
use crate::tui::results::Results;
use crate::tui::shared::Shared;
use crate::tui::widget::{inside, panel};
use bantam_core::metric::Metric;
use bantam_core::record::{Ask, Id, Trial, Variant};
use bantam_verdict::recommend::figures;
use ratatui::Frame;
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use std::collections::HashMap;
use unicode_width::UnicodeWidthStr;

/// Width of a column, with the gap before it.
const CELL: usize = 11;

/// The trials by variant and by what is asked, in the order of the plan.
pub(super) struct Grid<'a> {
    pub variants: Vec<&'a Variant>,
    pub asks: Vec<String>,
    cells: HashMap<(&'a Id, String), &'a Trial>,
}

impl<'a> Grid<'a> {
    pub(super) fn of(trials: &'a [Trial]) -> Grid<'a> {
        let (mut variants, mut asks): (Vec<&Variant>, Vec<String>) = (Vec::new(), Vec::new());
        let mut cells = HashMap::new();
        let mut seen: HashMap<&Id, ()> = HashMap::new();
        for trial in trials {
            let label = trial.ask.label();
            if seen.insert(&trial.variant.id, ()).is_none() {
                variants.push(&trial.variant);
            }
            if !asks.contains(&label) {
                asks.push(label.clone());
            }
            cells.insert((&trial.variant.id, label), trial);
        }
        Grid { variants, asks, cells }
    }

    /// The trial of a cell; None where that is not asked of the variant.
    pub(super) fn at(&self, line: usize, column: usize) -> Option<&'a Trial> {
        let (variant, ask) = (self.variants.get(line)?, self.asks.get(column)?);
        self.cells.get(&(&variant.id, ask.clone())).copied()
    }
}

/// The place of the cells, below their head.
fn cells(place: Rect) -> Rect {
    let inner = inside(place);
    Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner }
}

/// So many lines are seen at once.
pub(super) fn page(place: Rect) -> usize {
    cells(place).height as usize
}

/// Where columns begin and which are seen.
struct Columns {
    name: usize,
    first: usize,
    seen: usize,
}

impl Columns {
    fn of(grid: &Grid, column: usize, width: usize) -> Columns {
        let widest = grid.variants.iter().map(|variant| variant.label().width()).max().unwrap_or(0);
        let room = width.saturating_sub(CELL * grid.asks.len().min(3));
        let name = widest.clamp(8, room.max(8)).min(44);
        let seen = (width.saturating_sub(name) / CELL).clamp(1, grid.asks.len().max(1));
        Columns { name, first: scroll(column, grid.asks.len(), seen), seen }
    }
}

/// The line and column of a position.
pub(super) fn hit(
    place: Rect,
    at: Position,
    shared: &Shared,
    (line, column): (usize, usize),
) -> Option<(usize, usize)> {
    let (grid, cells) = (Grid::of(&shared.progress.trials), cells(place));
    let columns = Columns::of(&grid, column, cells.width as usize);
    let first = scroll(line, grid.variants.len(), cells.height as usize);
    let over = (at.x.checked_sub(cells.x)? as usize).checked_sub(columns.name).map_or(0, |over| over / CELL);
    let found = (first + at.y.checked_sub(cells.y)? as usize, columns.first + over);
    (cells.contains(at) && found.0 < grid.variants.len() && found.1 < grid.asks.len()).then_some(found)
}

pub(super) fn draw(frame: &mut Frame, place: Rect, (line, column): (usize, usize), shared: &Shared) {
    let theme = shared.theme;
    let grid = Grid::of(&shared.progress.trials);
    let rows = cells(place);
    let columns = Columns::of(&grid, column, rows.width as usize);
    let seen = columns.first..(columns.first + columns.seen).min(grid.asks.len());
    let more = match seen.len() < grid.asks.len() {
        true => format!(" columns {} to {} of {} ", seen.start + 1, seen.end, grid.asks.len()),
        false => String::new(),
    };
    let block = panel("Variants and what is asked of them", theme)
        .title_bottom(Line::styled(more, theme.soft()).alignment(Alignment::Right));
    frame.render_widget(block, place);
    let mut head = vec![Span::styled(left("variant", columns.name), theme.soft())];
    head.extend(seen.clone().map(|n| Span::styled(right(&middle(&grid.asks[n], CELL - 2), CELL), theme.soft())));
    frame.render_widget(Line::from(head), Rect { y: rows.y - 1, height: 1, ..rows });
    let labels: Vec<String> = grid.variants.iter().map(|variant| variant.label()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let names = short(&labels, columns.name.saturating_sub(1));
    let first = scroll(line, grid.variants.len(), rows.height as usize);
    for n in (first..grid.variants.len()).take(rows.height as usize) {
        let at = Rect { y: rows.y + (n - first) as u16, height: 1, ..rows };
        let mut spans = vec![Span::raw(left(&names[n], columns.name))];
        for m in seen.clone() {
            let (text, style) = cell(grid.at(n, m), shared);
            let style = if (n, m) == (line, column) { theme.selected() } else { style };
            spans.push(Span::styled(right(&text, CELL), style));
        }
        frame.render_widget(Line::from(spans), at);
    }
}

/// A trial's figure where it has one, else how it is.
fn cell(trial: Option<&Trial>, shared: &Shared) -> (String, Style) {
    let Some(trial) = trial else { return ("–".into(), shared.theme.soft()) };
    let state = shared.progress.state_of(&trial.id);
    let (mark, style, _) = state_words(state, shared);
    let text = match state {
        TrialState::Running { done, of: Some(of), .. } => {
            format!("▶ {:.0}%", 100.0 * *done as f64 / (*of).max(1) as f64)
        }
        TrialState::Kept | TrialState::Finished { .. } => match figure(trial, &shared.results) {
            Some(figure) => figure,
            None => mark.into(),
        },
        TrialState::Waiting if shared.progress.skipped.contains(&trial.variant.id) => "skipped".into(),
        _ => mark.into(),
    };
    (text, style)
}

/// What came of a trial, as the results have it: its score, or the speed of decoding.
fn figure(trial: &Trial, results: &Results) -> Option<String> {
    let is_of = |column: &crate::tui::results::ResultColumn| match &trial.ask {
        Ask::Task(task) => column.title == task.task,
        Ask::Speed(_) => column.metric == Metric::DecodeTps,
    };
    let column = results.columns.iter().position(is_of)?;
    let row = results.rows.iter().find(|row| row.variant.id == trial.variant.id)?;
    row.cells.get(column)?.known().map(figures::shown)
}
