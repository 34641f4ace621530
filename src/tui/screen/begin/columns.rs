//! The columns as they are picked: a row for each thing that can be changed, each with what it may be.

use crate::library::own::{MARGIN, Wish};
use crate::tui::action::{Action, Question};
use crate::tui::cursor::Cursor;
use bantam_eval::own::{Asked, Columns, Holds, How, Options, Picked};
use ratatui::layout::{Position, Rect};
use std::sync::Arc;

/// Examples that can be asked for.
const SHOTS: [usize; 5] = [0, 2, 4, 8, 16];
/// Margins that can be asked for.
const MARGINS: [f64; 6] = [0.01, 0.02, MARGIN, 0.05, 0.1, 0.2];

/// The rows, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Question,
    Answer,
    How,
    Shots,
    Margin,
}

impl Row {
    pub(super) const ALL: [Row; 5] = [Row::Question, Row::Answer, Row::How, Row::Shots, Row::Margin];

    pub(super) fn name(self) -> &'static str {
        match self {
            Row::Question => "question",
            Row::Answer => "right answer",
            Row::How => "answered",
            Row::Shots => "examples before it",
            Row::Margin => "good enough",
        }
    }
}

/// What is picked of the columns, and what else is wished.
#[derive(Debug)]
pub(super) struct Chosen {
    pub columns: Arc<Columns>,
    picked: Picked,
    /// What the library made of it the last time it could.
    asked: Option<Asked>,
    shots: usize,
    margin: usize,
    pub cursor: Cursor,
}

impl Chosen {
    pub(super) fn of(columns: Arc<Columns>) -> Chosen {
        let margin = MARGINS.iter().position(|margin| *margin == MARGIN).unwrap_or(0);
        let asked = columns.ask(&Picked::default()).ok();
        Chosen { columns, picked: Picked::default(), asked, shots: 0, margin, cursor: Cursor::default() }
    }

    /// What is asked of the library.
    pub(super) fn question(&self, model: String) -> Question {
        let wish = Wish { shots: SHOTS[self.shots], margin: self.margin(), ..Wish::of(vec![model]) };
        Question { columns: self.columns.clone(), picked: self.picked.clone(), wish }
    }

    pub(super) fn margin(&self) -> f64 {
        MARGINS[self.margin]
    }

    /// What the library made of it.
    pub(super) fn settle(&mut self, asked: &Asked) {
        self.asked = Some(asked.clone());
    }

    /// What a row says now, and a word on where that is from.
    pub(super) fn value(&self, row: Row) -> (String, &'static str) {
        let guessed = |picked: bool| if picked { "" } else { "guessed" };
        let asked = self.asked.as_ref();
        match row {
            Row::Question => {
                let names = if self.picked.question.is_empty() {
                    asked.map_or_else(|| "?".into(), |asked| asked.question.join(" and "))
                } else {
                    self.picked.question.join(" and ")
                };
                (names, guessed(!self.picked.question.is_empty()))
            }
            Row::Answer => {
                let name = self.picked.answer.clone().or_else(|| asked.map(|asked| asked.answer.clone()));
                (name.unwrap_or_else(|| "?".into()), guessed(self.picked.answer.is_some()))
            }
            Row::How => {
                let how = self.picked.how.or(asked.map(Asked::how));
                let labels = asked.filter(|asked| Some(asked.how()) == how).map(|asked| &asked.options);
                let words = match (how, labels) {
                    (Some(How::Labels), Some(Options::Labels(labels))) => format!("one of {} labels", labels.len()),
                    (Some(How::Labels), _) => "one of its labels".into(),
                    (Some(How::Written), _) => "in its own words".into(),
                    (Some(How::Options), Some(Options::Columns(columns, _))) => {
                        format!("one of {}", columns.join(", "))
                    }
                    (Some(How::Options), Some(Options::List(list, _))) => format!("one of {list}"),
                    (Some(How::Options), _) => "one of the options beside it".into(),
                    (None, _) => "?".into(),
                };
                (words, guessed(self.picked.how.is_some()))
            }
            Row::Shots => match SHOTS[self.shots] {
                0 => ("none".into(), ""),
                shots => (format!("{shots}, taken out of the data"), ""),
            },
            Row::Margin => (format!("at most {} worse", crate::library::own::points(self.margin())), ""),
        }
    }

    pub(super) fn row(&self) -> Row {
        Row::ALL[self.cursor.at().min(Row::ALL.len() - 1)]
    }

    pub(super) fn follow(&mut self, action: &Action) {
        self.cursor.follow(action, Row::ALL.len(), Row::ALL.len());
    }

    pub(super) fn hit(&self, place: Rect, at: Position) -> Option<Action> {
        let line = self.cursor.line_at(place, at, Row::ALL.len())?;
        Some(Action::Choose { list: 0, line })
    }

    /// Changes the row under the cursor to the next or the one before; says whether it changed.
    pub(super) fn turn(&mut self, forward: bool) -> bool {
        let names: Vec<String> =
            self.columns.columns.iter().filter(|c| c.holds != Holds::Nothing).map(|c| c.name.clone()).collect();
        match self.row() {
            Row::Question => {
                let now = self.value(Row::Question).0;
                let Some(next) = next(&names, &now, forward) else { return false };
                self.picked.question = vec![next];
            }
            Row::Answer => {
                let now = self.value(Row::Answer).0;
                let Some(next) = next(&names, &now, forward) else { return false };
                self.picked.answer = Some(next);
            }
            Row::How => {
                let now = self.picked.how.or(self.asked.as_ref().map(Asked::how));
                let at = How::ALL.iter().position(|how| Some(*how) == now);
                self.picked.how = Some(How::ALL[around(at, How::ALL.len(), forward)]);
            }
            Row::Shots => return step(&mut self.shots, SHOTS.len(), forward),
            Row::Margin => return step(&mut self.margin, MARGINS.len(), forward),
        }
        true
    }
}

/// The name after or before one; the first where it is none of them.
fn next(names: &[String], now: &str, forward: bool) -> Option<String> {
    let at = names.iter().position(|name| name == now);
    names.get(around(at, names.len(), forward)).cloned()
}

/// The place after or before one, round the end.
fn around(at: Option<usize>, len: usize, forward: bool) -> usize {
    match (at, forward) {
        (None, _) => 0,
        (Some(at), true) => (at + 1) % len.max(1),
        (Some(at), false) => (at + len.max(1) - 1) % len.max(1),
    }
}

/// A step that ends at the ends.
fn step(at: &mut usize, len: usize, forward: bool) -> bool {
    let next = if forward { (*at + 1).min(len - 1) } else { at.saturating_sub(1) };
    let moved = next != *at;
    *at = next;
    moved
}
