//! Plan: three checklists of all models, recipes and suites that are known, and the variants that come of what is taken in,
//! each with its size and the time that it will take; what matters, and what the items can show.

mod draw;
mod lists;

use super::Screen;
use crate::tui::action::{Action, Command, Page};
use crate::tui::cursor::Cursor;
use crate::tui::filter::Filter;
use crate::tui::keys::{self, Binding};
use crate::tui::layout;
use crate::tui::shared::Shared;
use crate::tui::widget::{below_error, draw_error, inside};
use crate::tui::words::{self as glossary, Word};
use bantam_core::meant::meant_words;
use crossterm::event::KeyCode::Char;
use lists::{Line, List, Where};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line as Text;

pub(crate) const TITLE: &str = "Plan";
const FEWER: Action = Action::Own("fewer items");
const MORE: Action = Action::Own("more items");
pub(crate) const UNDO: Action = Action::Own("undo plan");
pub(crate) const SAVE: Action = Action::Own("save plan");
const OTHERS: Action = Action::Own("other profiles");

#[rustfmt::skip]
const KEYS: &[Binding] = &[
    Binding { hint: "take", ..keys::TOGGLE },
    Binding { action: FEWER, codes: &[Char('-')], keys: "-", hint: "fewer", help: "fewer items of each task", foot: true },
    Binding { action: MORE, codes: &[Char('+'), Char('=')], keys: "+", hint: "more items", help: "more items of each task", foot: true },
    Binding { foot: false, ..keys::PREFER },
    keys::left_too("left: to the list before"),
    keys::right_too("right: to the next list"),
    Binding { foot: false, ..keys::FILTER },
    Binding { foot: false, ..keys::BEGIN },
    Binding { action: UNDO, codes: &[Char('u')], keys: "u", hint: "undo", help: "take the last change back", foot: true },
    Binding { action: SAVE, codes: &[Char('W')], keys: "W", hint: "save", help: "write what is taken in as a profile beside the others; none is replaced", foot: true },
    Binding { action: OTHERS, codes: &[Char('O')], keys: "O", hint: "open", help: "go on with another profile", foot: false },
];

/// Commands that are typed with what they are to be.
const TYPED: &[(&str, &str)] = &[
    ("model", "model my.gguf, model ORG/NAME: try this one, too"),
    ("recipe", "recipe quantize:q4_k_m,calibrate: try this one, too"),
    ("suite", "suite tickets.suite.toml, suite lm_eval:hellaswag: ask this one, too"),
    ("items", "items 100 of each task, items all"),
];

/// Items that - and + step through.
const ITEMS: [usize; 10] = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

#[derive(Default)]
pub(crate) struct PlanScreen {
    list: List,
    /// The cursor of each list, where it was left.
    cursors: [Cursor; List::ALL.len()],
    filters: [Filter; List::ALL.len()],
}

impl PlanScreen {
    fn cursor(&self, list: List) -> Cursor {
        self.cursors[list as usize]
    }

    fn filter(&self) -> &Filter {
        &self.filters[self.list as usize]
    }

    /// The lines of a list that its filter shows.
    fn lines(&self, list: List, shared: &Shared) -> Vec<Line> {
        let filter = &self.filters[list as usize];
        let all = lists::lines(list, shared);
        all.into_iter().filter(|line| filter.shows(|| format!("{} {}", line.name, line.about))).collect()
    }

    fn line(&self, shared: &Shared) -> Option<Line> {
        let at = self.cursor(self.list).at();
        // of ten thousand lines one is looked at
        let own = if self.filter().is_on() { None } else { lists::own_line(self.list, at, shared) };
        own.or_else(|| self.lines(self.list, shared).get(at).cloned())
    }

    fn toggle(&self, shared: &mut Shared) -> Option<Command> {
        let line = self.line(shared)?;
        match (&line.place, self.list) {
            (Where::Own(at), List::Models) => shared.toggle(|s| &mut s.models, *at),
            (Where::Own(at), List::Recipes) => shared.toggle(|s| &mut s.recipes, *at),
            (Where::Own(at), List::Suites) => shared.toggle(|s| &mut s.suites, *at),
            (Where::Known(typed), list) => self.add(list, typed.clone(), shared),
            _ => shared.refuse("a variant comes of its model and its recipe: space on these leaves it out"),
        }
    }

    /// Takes something in that the profile does not name.
    fn add(&self, list: List, typed: String, shared: &mut Shared) -> Option<Command> {
        shared.change(|selection| {
            let added = match list {
                List::Models => &mut selection.pulled,
                List::Recipes => &mut selection.recipes_added,
                _ => &mut selection.suites_added,
            };
            if !added.contains(&typed) {
                added.push(typed);
            }
        })
    }

    /// The next limit of items downwards or upwards, None in it for all; nothing where there is none.
    fn next_items(more: bool, shared: &Shared) -> Option<Option<usize>> {
        let setup = shared.ready()?;
        let tasks = setup.suites.iter().filter_map(|suite| suite.info.as_ref().ok()).flat_map(|info| &info.tasks);
        let most = tasks.map(|task| task.available).max().unwrap_or(0);
        let now = setup.profile.measure.limit.unwrap_or(most).min(most);
        match more {
            true if now >= most => None,
            true => Some(ITEMS.into_iter().find(|items| *items > now).filter(|items| *items < most)),
            false => ITEMS.into_iter().rev().find(|items| *items < now).map(Some),
        }
    }

    /// Fewer or more items of each task.
    fn items(&self, more: bool, shared: &mut Shared) -> Option<Command> {
        match PlanScreen::next_items(more, shared) {
            Some(limit) => shared.change(|selection| selection.limit = Some(limit)),
            None if shared.running() => shared.change(|_| ()),
            None if more => shared.refuse("these are all items that there are"),
            None => shared.refuse("fewer items would tell nothing"),
        }
    }

    /// A command that was typed with what it is to be.
    fn tell(&mut self, text: &str, shared: &mut Shared) -> Option<Command> {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let rest = rest.trim();
        match (word, rest) {
            (_, "") => {
                let help = TYPED.iter().find(|(name, _)| *name == word).map_or("", |(_, help)| *help);
                shared.refuse(&format!("as in: {help}"))
            }
            ("items", "all") => shared.change(|selection| selection.limit = Some(None)),
            ("items", count) => match count.parse::<usize>() {
                Ok(count) if count > 0 => shared.change(|selection| selection.limit = Some(Some(count))),
                _ => shared.refuse(&format!("'{count}' is no number of items; 100, or all")),
            },
            ("recipe", typed) => match bantam_lab::Recipe::all_named(typed) {
                Ok(_) => self.add(List::Recipes, typed.to_owned(), shared),
                Err(_) if typed.ends_with(".toml") || typed == "base" => {
                    self.add(List::Recipes, typed.to_owned(), shared)
                }
                Err(error) => shared.refuse(&crate::show::sentence(&error)),
            },
            ("model", typed) => self.add(List::Models, typed.to_owned(), shared),
            ("suite", typed) => self.add(List::Suites, typed.to_owned(), shared),
            (other, _) => {
                let names: Vec<&str> = TYPED.iter().map(|(name, _)| *name).collect();
                shared.refuse(&format!("there is no {other}{}", meant_words(other, names)))
            }
        }
    }

    fn go(&mut self, forward: bool) {
        let at = List::ALL.iter().position(|list| *list == self.list).unwrap_or(0);
        let next = if forward { (at + 1).min(List::ALL.len() - 1) } else { at.saturating_sub(1) };
        self.list = List::ALL[next];
    }
}

impl Screen for PlanScreen {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn words(&self) -> &'static [Word] {
        &[
            glossary::VARIANT,
            glossary::RECIPE,
            glossary::SUITE,
            glossary::TRIAL,
            glossary::SHOWN,
            glossary::MARGIN,
            glossary::REFERENCE,
            glossary::PREFER,
        ]
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn typing(&self) -> Option<&'static [Binding]> {
        self.filter().typing.then_some(keys::FILTERING)
    }

    fn typed_commands(&self) -> &'static [(&'static str, &'static str)] {
        TYPED
    }

    fn copied(&self, shared: &Shared) -> Option<String> {
        Some(self.line(shared)?.name)
    }

    fn acts(&self, action: &Action, shared: &Shared) -> bool {
        let ready = shared.ready().is_some();
        match *action {
            Action::Toggle => {
                ready && self.list != List::Variants && shared.can_take(self.line(shared).map(|l| l.taken))
            }
            Action::Prefer => shared.can_prefer(),
            Action::Left => ready && self.list != List::ALL[0],
            Action::Right => ready && self.list != List::ALL[List::ALL.len() - 1],
            FEWER | MORE => !shared.running() && PlanScreen::next_items(*action == MORE, shared).is_some(),
            SAVE => ready && !shared.running(),
            UNDO => shared.can_undo(),
            Action::Filter => ready,
            Action::Erase { .. } | Action::Back => true,
            _ => true,
        }
    }

    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command> {
        let at = self.list as usize;
        if shared.ready().is_some() && self.filters[at].follow(&action) {
            self.cursors[at] = Cursor::default();
            return None;
        }
        match action {
            Action::Toggle => return self.toggle(shared),
            Action::Prefer => return shared.prefer(),
            Action::Left => self.go(false),
            Action::Right => self.go(true),
            FEWER => return self.items(false, shared),
            MORE => return self.items(true, shared),
            UNDO => return shared.undo(),
            SAVE => return shared.save(),
            Action::Begin => return Some(Command::Open(Page::Begin)),
            OTHERS => return Some(Command::Open(Page::Profiles)),
            Action::Tell(text) => return self.tell(&text, shared),
            Action::Choose { list, .. } => self.list = List::ALL[list.min(List::ALL.len() - 1)],
            _ => {}
        }
        let place = self.place(self.list, below_error(layout::body(shared.size), shared).1, shared);
        let lines = self.lines(self.list, shared).len();
        self.cursors[self.list as usize].follow(&action, lines, inside(place).height as usize);
        None
    }

    fn hit(&self, body: Rect, at: Position, shared: &Shared) -> Option<Action> {
        shared.ready()?;
        let below = below_error(body, shared).1;
        List::ALL.into_iter().find_map(|list| {
            let place = inside(self.place(list, below, shared));
            let lines = self.lines(list, shared).len();
            let line = self.cursor(list).line_at(place, at, lines)?;
            Some(Action::Choose { list: list as usize, line })
        })
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        let theme = shared.theme;
        let body = draw_error(frame, body, shared);
        if shared.ready().is_none() {
            let text = if shared.error.is_some() { "" } else { " reading the profile …" };
            return frame.render_widget(Text::styled(text, theme.soft()), body);
        }
        draw::draw(frame, body, self, shared);
    }
}

impl PlanScreen {
    fn place(&self, list: List, body: Rect, shared: &Shared) -> Rect {
        draw::areas(body, shared)[list as usize]
    }
}
