//! The app: all that the screens show, changed only here. `update` changes state and may ask for one thing of the
//! world; nothing here waits, reads a file or draws.

use super::action::{Action, Command, Message, Screen, Selection};
use super::facts::{Setup, Table};
use super::hub::HubState;
use super::keys;
use super::layout;
use super::progress::{Progress, State};
use super::theme::Theme;
use bantam_core::metric::Direction;
use bantam_core::profile::Prefer;
use bantam_hub::Hits;
use bantam_verdict::recommend::advice::words::Words;
use crossterm::event::{Event as Input, KeyEventKind, MouseButton, MouseEventKind};
use ratatui::layout::{Position, Rect};
use std::path::PathBuf;

pub struct App {
    pub screen: Screen,
    pub help: bool,
    /// Asking whether to quit in mid-run.
    pub asking: bool,
    pub profile_name: String,
    /// None while it is being planned.
    pub setup: Option<Result<Setup, String>>,
    pub selection: Selection,
    pub progress: Progress,
    pub table: Table,
    pub advice: Option<Words>,
    /// One line at the foot: a report written, a wish that cannot be met now.
    pub notice: Option<String>,
    pub hub: HubState,
    pub cursors: [usize; Screen::COUNT],
    /// Plan screen: recipes or suites.
    pub second_list: bool,
    pub sort: Sort,
    pub first_column: usize,
    pub chart: bool,
    pub clock: f64,
    pub size: Rect,
    pub theme: Theme,
}

/// Column of the results table, None for the order of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    pub column: Option<usize>,
    pub reversed: bool,
}

const PAGE: usize = 10;

impl App {
    pub fn new(profile_name: String, theme: Theme, size: Rect) -> App {
        App {
            screen: Screen::Models,
            help: false,
            asking: false,
            profile_name,
            setup: None,
            selection: Selection::default(),
            progress: Progress::default(),
            table: Table::default(),
            advice: None,
            notice: None,
            hub: HubState::default(),
            cursors: [0; Screen::COUNT],
            second_list: false,
            sort: Sort::default(),
            first_column: 0,
            chart: false,
            clock: 0.0,
            size,
            theme,
        }
    }

    pub fn ready(&self) -> Option<&Setup> {
        self.setup.as_ref().and_then(|s| s.as_ref().ok())
    }

    pub fn running(&self) -> bool {
        matches!(self.progress.state, State::Running | State::Stopping)
    }

    pub fn cursor(&self) -> usize {
        self.cursors[self.screen.index()]
    }

    /// The table's rows in the order shown.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.table.rows.len()).collect();
        if let Some(column) = self.sort.column.filter(|c| *c < self.table.columns.len()) {
            let lower = self.table.columns[column].metric.direction() == Direction::Lower;
            let key = |row: &usize| self.table.rows[*row].cells.get(column).and_then(|r| r.value());
            order.sort_by(|a, b| match (key(a), key(b)) {
                (Some(x), Some(y)) => {
                    let best_first = if lower { x.total_cmp(&y) } else { y.total_cmp(&x) };
                    if self.sort.reversed { best_first.reverse() } else { best_first }
                }
                (x, y) => x.is_none().cmp(&y.is_none()),
            });
        } else if self.sort.reversed {
            order.reverse();
        }
        order
    }

    /// What came from the world, and what that makes the app want of it.
    pub fn hear(&mut self, message: Message) -> Option<Command> {
        match message {
            Message::Found { number, found, is_first } => return self.found(number, *found, is_first),
            Message::Card(id, card) => {
                self.hub.cards.insert(id, *card);
            }
            Message::Pulling(progress) => self.hub.pulled(&progress, self.clock),
            Message::Pulled(name, pulled) => return self.pulled(name, pulled),
            Message::Clock(seconds) => self.clock = seconds,
            Message::Planned(planned) => self.planned(*planned),
            Message::Job(event) => self.progress.on(&event, self.clock),
            Message::Results(table) => self.table = *table,
            Message::Advised(advice) => self.advice = Some(*advice),
            Message::Over(error) => self.over(error),
            Message::Reported(Ok(path)) => self.notice = Some(format!("report written: {}", path.display())),
            Message::Reported(Err(error)) => self.notice = Some(error),
        }
        None
    }

    fn found(&mut self, number: u64, found: Result<Hits, String>, is_first: bool) -> Option<Command> {
        self.hub.found(number, found, is_first);
        let cursor = &mut self.cursors[Screen::Hub.index()];
        if is_first {
            *cursor = 0;
        }
        self.hub.card_wanted(*cursor)
    }

    /// A model that is here now is tried beside the profile's, where bantam can run it.
    fn pulled(&mut self, name: String, pulled: Result<PathBuf, String>) -> Option<Command> {
        self.hub.pull = None;
        match pulled {
            Err(error) => {
                self.notice = Some(error);
                None
            }
            Ok(folder) if !self.hub.runs(&name) => {
                self.notice = Some(format!("{name} is here, in {}; bantam cannot run it", folder.display()));
                None
            }
            Ok(_) if self.running() => {
                self.notice = Some(format!("{name} is here; name it in a profile to try it"));
                None
            }
            Ok(_) if !self.selection.pulled.contains(&name) => {
                self.notice = Some(format!("{name} is here and among the models now (1)"));
                self.selection.pulled.push(name);
                Some(Command::Plan(self.selection.clone()))
            }
            Ok(_) => {
                self.notice = Some(format!("{name} is whole"));
                None
            }
        }
    }

    fn planned(&mut self, planned: Result<Setup, String>) {
        if let Ok(setup) = &planned {
            self.profile_name = setup.profile.name.clone();
            let fit = |list: &mut Vec<bool>, len: usize| list.resize(len, true);
            fit(&mut self.selection.models, setup.models.len());
            fit(&mut self.selection.suites, setup.suites.len());
            if self.selection.recipes.is_empty() {
                fit(&mut self.selection.recipes, setup.profile.recipes.len());
            }
            if !self.running() {
                self.progress.plan(setup.trials.clone(), setup.done.iter().cloned());
            }
        }
        self.setup = Some(planned);
    }

    fn over(&mut self, error: Option<String>) {
        self.progress.end(self.clock);
        match error {
            Some(error) => self.notice = Some(error),
            None if self.advice.is_some() && self.screen == Screen::Run => self.screen = Screen::Advice,
            None => {}
        }
    }

    /// A key, a click or a new size.
    pub fn input(&mut self, input: Input) -> Option<Command> {
        let action = match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => match self.typing() {
                true => keys::letter(key)?,
                false => keys::action(key, self.screen, self.asking)?,
            },
            Input::Paste(text) if self.typing() => return self.hub.write(&text),
            Input::Mouse(mouse) => {
                let at = Position::new(mouse.column, mouse.row);
                match mouse.kind {
                    MouseEventKind::Down(MouseButton::Left) => Action::Click(at),
                    MouseEventKind::ScrollDown => Action::Scroll { down: true, at },
                    MouseEventKind::ScrollUp => Action::Scroll { down: false, at },
                    _ => return None,
                }
            }
            Input::Resize(width, height) => {
                self.size = Rect::new(0, 0, width, height);
                return None;
            }
            _ => return None,
        };
        self.update(action)
    }

    /// Keys are letters of the search line now.
    pub fn typing(&self) -> bool {
        self.screen == Screen::Hub && self.hub.typing && !self.help && !self.asking
    }

    pub fn update(&mut self, action: Action) -> Option<Command> {
        if self.asking {
            self.asking = action != Action::No && action != Action::Yes;
            return (action == Action::Yes).then_some(Command::Quit);
        }
        if self.help && action != Action::Quit {
            self.help = !matches!(action, Action::Help | Action::Back | Action::Click(_));
            return None;
        }
        self.notice = None;
        match action {
            Action::Go(screen) => self.go(screen),
            Action::NextScreen => self.go(Screen::ALL[(self.screen.index() + 1) % Screen::COUNT]),
            Action::PreviousScreen => self.go(Screen::ALL[(self.screen.index() + Screen::COUNT - 1) % Screen::COUNT]),
            Action::Up => return self.step(-1),
            Action::Down => return self.step(1),
            Action::PageUp => return self.step(-(PAGE as isize)),
            Action::PageDown => return self.step(PAGE as isize),
            Action::First => return self.step(isize::MIN),
            Action::Last => return self.step(isize::MAX),
            Action::Type => self.hub.typing = true,
            Action::Leave => self.hub.typing = false,
            Action::Letter(letter) => return self.hub.write(letter.encode_utf8(&mut [0; 4])),
            Action::Erase { all } => return self.hub.erase(all),
            Action::SearchSort => return self.hub.sort_next(),
            Action::SearchKind => return self.hub.filter_next(),
            Action::Pull => return self.pull(),
            Action::Left | Action::Right => self.sideways(action == Action::Right),
            Action::Toggle => return self.toggle(),
            Action::Start => return self.start(),
            Action::Stop => return self.stop(),
            Action::SortNext => self.sort_next(),
            Action::SortReverse => self.sort.reversed = !self.sort.reversed,
            Action::Prefer => return self.prefer(),
            Action::Chart => self.chart = !self.chart,
            Action::Report => return self.report(),
            Action::Help => self.help = true,
            Action::Quit if self.running() => self.asking = true,
            Action::Quit => return Some(Command::Quit),
            Action::Click(at) => return self.click(at),
            Action::Scroll { down, .. } => return self.step(if down { 1 } else { -1 }),
            Action::Back | Action::Yes | Action::No => {}
        }
        None
    }

    fn go(&mut self, screen: Screen) {
        self.screen = screen;
        // nothing to look at yet: what can be done there is to type
        self.hub.typing = screen == Screen::Hub && self.hub.text.is_empty();
    }

    /// How many lines the cursor of this screen can stand on.
    pub fn lines(&self) -> usize {
        match self.screen {
            Screen::Models => self.ready().map_or(0, |s| s.models.len()),
            Screen::Plan if self.second_list => self.ready().map_or(0, |s| s.suites.len()),
            Screen::Plan => self.ready().map_or(0, |s| s.profile.recipes.len()),
            Screen::Run => self.progress.trials.len(),
            Screen::Results => self.table.rows.len(),
            Screen::Advice => self
                .advice
                .as_ref()
                .map_or(0, |a| a.lines.len() + a.evidence.iter().map(|e| e.lines.len() + 2).sum::<usize>()),
            Screen::Hub => self.hub.hits.len(),
        }
    }

    fn step(&mut self, by: isize) -> Option<Command> {
        self.stand(self.cursor().saturating_add_signed(by))
    }

    /// Puts the cursor on a line, or on the last one.
    fn stand(&mut self, line: usize) -> Option<Command> {
        let line = line.min(self.lines().saturating_sub(1));
        let moved = line != self.cursor();
        self.cursors[self.screen.index()] = line;
        if self.screen == Screen::Hub && moved { self.hub.look(line) } else { None }
    }

    fn pull(&mut self) -> Option<Command> {
        if self.hub.pull.is_some() {
            self.notice = Some("a pull is going on; x stops it, what is fetched is kept".into());
            return None;
        }
        let Some(name) = self.hub.name(self.cursor()) else {
            self.notice = Some("nothing is found yet; / and type a name".into());
            return None;
        };
        Some(self.hub.begin(name))
    }

    fn sideways(&mut self, right: bool) {
        match self.screen {
            Screen::Plan => {
                self.second_list = right;
                self.cursors[Screen::Plan.index()] = 0;
            }
            Screen::Results => {
                let last = self.table.columns.len().saturating_sub(1);
                self.first_column = self.first_column.saturating_add_signed(if right { 1 } else { -1 }).min(last);
            }
            Screen::Hub => self.hub.choose(self.cursor(), right),
            _ => {}
        }
    }

    fn sort_next(&mut self) {
        let columns = self.table.columns.len();
        self.sort.column = match self.sort.column {
            None if columns > 0 => Some(0),
            Some(c) if c + 1 < columns => Some(c + 1),
            _ => None,
        };
        if let Some(column) = self.sort.column {
            self.first_column = column.saturating_sub(2);
        } else {
            self.first_column = 0;
        }
    }

    fn toggle(&mut self) -> Option<Command> {
        if self.running() {
            self.notice = Some("the run is going on; stop it (3, then x) to change what is tried".into());
            return None;
        }
        let cursor = self.cursor();
        let list = match (self.screen, self.second_list) {
            (Screen::Models, _) => &mut self.selection.models,
            (_, false) => &mut self.selection.recipes,
            (_, true) => &mut self.selection.suites,
        };
        let chosen = list.iter().filter(|b| **b).count();
        let item = list.get_mut(cursor)?;
        if *item && chosen == 1 {
            self.notice = Some("at least one has to stay in".into());
            return None;
        }
        *item = !*item;
        Some(Command::Plan(self.selection.clone()))
    }

    fn prefer(&mut self) -> Option<Command> {
        let current = self.selection.prefer.or(self.ready().map(|s| s.profile.objective.prefer))?;
        self.selection.prefer = Some(match current {
            Prefer::Smallest => Prefer::Fastest,
            Prefer::Fastest => Prefer::Leanest,
            Prefer::Leanest => Prefer::Smallest,
        });
        if self.running() {
            self.notice = Some("the run is going on; stop it (3, then x) to change the objective".into());
            self.selection.prefer = Some(current);
            return None;
        }
        Some(Command::Plan(self.selection.clone()))
    }

    fn start(&mut self) -> Option<Command> {
        if self.running() {
            self.notice = Some("the run is going on already".into());
            return None;
        }
        match &self.setup {
            Some(Ok(_)) => {
                self.progress.begin(self.clock);
                self.advice = None;
                self.go(Screen::Run);
                Some(Command::Start)
            }
            Some(Err(_)) => {
                self.notice = Some("the profile cannot be run; see the message above".into());
                None
            }
            None => {
                self.notice = Some("still reading the profile; try again in a moment".into());
                None
            }
        }
    }

    fn stop(&mut self) -> Option<Command> {
        if self.screen == Screen::Hub {
            let Some(pull) = &mut self.hub.pull else {
                self.notice = Some("no pull is going on; p begins one".into());
                return None;
            };
            pull.stopping = true;
            return Some(Command::StopPull);
        }
        if self.progress.state != State::Running {
            self.notice = Some("nothing is running; r starts".into());
            return None;
        }
        self.progress.state = State::Stopping;
        Some(Command::Stop)
    }

    fn report(&mut self) -> Option<Command> {
        if self.table.rows.is_empty() {
            self.notice = Some("nothing is measured yet; r starts the run".into());
            return None;
        }
        Some(Command::Report)
    }

    fn click(&mut self, at: Position) -> Option<Command> {
        let frame = layout::frame(self.size)?;
        if let Some((screen, _)) = layout::tabs(frame.tabs).into_iter().find(|(_, place)| place.contains(at)) {
            self.go(screen);
            return None;
        }
        if !frame.body.contains(at) {
            return None;
        }
        let (place, second) = super::screen::list_at(self, frame.body, at)?;
        if self.screen == Screen::Plan && second != self.second_list {
            self.second_list = second;
            self.cursors[Screen::Plan.index()] = 0;
        }
        let room = place.height as usize;
        let first = layout::scroll(self.cursor(), self.lines(), room);
        let line = first + (at.y - place.y) as usize;
        self.hub.typing = false;
        if line < self.lines() { self.stand(line) } else { None }
    }
}
