//! The app: which screen is shown, and what all of them share, changed only here and in the screens' own `update`. It
//! may ask for one thing of the world; nothing here waits, reads a file or draws.

use super::action::{Action, Command, Message, Page, Selection};
use super::keys;
use super::layout;
use super::palette::{self, Meant, Palette};
use super::screen::{self, Screen, advice, help, plan, run};
use super::shared::Shared;
use super::theme::Theme;
use crossterm::event::{Event as Input, KeyEvent, KeyEventKind, MouseButton, MouseEventKind};
use ratatui::layout::{Position, Rect};
use std::path::Path;

pub(super) struct App {
    pub shared: Shared,
    screens: Vec<Box<dyn Screen>>,
    /// The screen that is shown, by its place among them.
    shown: usize,
    /// What was opened from it, the last one on top; esc closes it.
    opened: Vec<Box<dyn Screen>>,
    pub help: bool,
    /// The first line of help that is seen.
    pub help_from: usize,
    /// Asking whether to quit in mid-run.
    pub asking: bool,
    /// A command is being typed.
    pub palette: Option<Palette>,
}

impl App {
    pub(super) fn new(profile_name: String, theme: Theme, size: Rect) -> App {
        App::with(screen::all(), profile_name, theme, size)
    }

    /// An app of these screens.
    pub(super) fn with(screens: Vec<Box<dyn Screen>>, profile_name: String, theme: Theme, size: Rect) -> App {
        App {
            shared: Shared::new(profile_name, theme, size),
            screens,
            shown: 0,
            opened: Vec::new(),
            help: false,
            help_from: 0,
            asking: false,
            palette: None,
        }
    }

    /// What is worked in: the screen that is shown, or what was opened from it.
    pub(super) fn screen(&self) -> &dyn Screen {
        &**self.opened.last().unwrap_or(&self.screens[self.shown])
    }

    fn screen_mut(&mut self) -> (&mut dyn Screen, &mut Shared) {
        let screen = self.opened.last_mut().unwrap_or(&mut self.screens[self.shown]);
        (&mut **screen, &mut self.shared)
    }

    /// The title of the tab that is shown.
    pub(super) fn tab(&self) -> &'static str {
        self.screens[self.shown].title()
    }

    /// Something was opened from the screen that is shown.
    pub(super) fn has_opened(&self) -> bool {
        !self.opened.is_empty()
    }

    pub(super) fn titles(&self) -> Vec<&'static str> {
        self.screens.iter().map(|screen| screen.title()).collect()
    }

    /// The place of a screen among the tabs.
    pub(super) fn place_of(&self, title: &str) -> Option<usize> {
        self.screens.iter().position(|screen| screen.title() == title)
    }

    /// What came from the world, and what that makes the app want of it.
    pub(super) fn hear(&mut self, message: Message) -> Option<Command> {
        let shared = &mut self.shared;
        match &message {
            Message::Clock(seconds) => shared.clock = *seconds,
            Message::Load(load) => shared.load = Some(*load),
            Message::Planned(planned) => shared.planned((**planned).clone()),
            Message::Run(event) => shared.heard(event),
            Message::Results(results) => shared.results = (**results).clone(),
            Message::Advised(told) => shared.advised((**told).clone()),
            Message::Over(error) => self.over(error.clone()),
            Message::Reported(Ok(path)) => shared.notice = Some(format!("report written: {}", path.display())),
            Message::Reported(Err(error)) | Message::Refused(error) => shared.notice = Some(error.clone()),
            // what one screen alone understands
            Message::Found { .. } | Message::ModelInfo(..) | Message::Pulling(..) | Message::Pulled(..) => {}
            Message::Readme(..) | Message::Shelf(_) | Message::Recorded(..) => {}
            Message::Fetching(_) | Message::Fetched(_) | Message::Decided(_) | Message::Turns(..) => {}
            Message::Examined(..) | Message::Contrasted(..) | Message::Said(..) | Message::Answered(..) => {}
            Message::Saved(Ok(path)) => shared.notice = Some(saved(path)),
            Message::Saved(Err(error)) => shared.notice = Some(error.clone()),
            Message::Catalog(catalog) => shared.catalog = (**catalog).clone(),
            Message::Around(..) | Message::Looked(..) | Message::Drafted(..) | Message::Written(Err(_)) => {}
            Message::Written(Ok(profile)) => return self.noted(Some(Command::OpenProfile(profile.clone()))),
        }
        let mut command = None;
        for screen in self.screens.iter_mut().chain(&mut self.opened) {
            command = screen.hear(&message, &mut self.shared).or(command);
        }
        self.noted(command)
    }

    /// Wishes to plan this.
    pub(super) fn plan(&mut self, selection: Selection) -> Command {
        self.shared.planning = true;
        Command::Plan(selection)
    }

    /// What is to be known of a command before anything comes of it.
    fn noted(&mut self, command: Option<Command>) -> Option<Command> {
        match command {
            Some(Command::Plan(_)) => self.shared.planning = true,
            Some(Command::Open(page)) => return self.open(page),
            Some(Command::Close) => drop(self.opened.pop()),
            Some(Command::OpenProfile(_)) if self.shared.running() => {
                return self.shared.refuse("the run is going on; stop it (3, then x) to go on with another profile");
            }
            Some(Command::OpenProfile(ref profile)) => {
                self.shared.begin(profile);
                self.go(plan::TITLE);
                self.shared.notice = Some(format!("{}: r measures and decides", profile.display()));
            }
            _ => {}
        }
        command
    }

    /// Opens a page over what is shown.
    pub(super) fn open(&mut self, page: Page) -> Option<Command> {
        let mut screen = screen::page(page);
        let command = screen.enter(&mut self.shared);
        self.opened.push(screen);
        command
    }

    fn over(&mut self, error: Option<String>) {
        self.shared.ended();
        match error {
            Some(error) => self.shared.notice = Some(error),
            // a run that was stopped has no advice to go to
            None if self.shared.is_decided() && self.tab() == run::TITLE => {
                self.go(advice::TITLE);
            }
            None => {}
        }
    }

    /// A key, a click or a new size.
    pub(super) fn input(&mut self, input: Input) -> Option<Command> {
        let action = match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.action(key)?,
            Input::Paste(text) if self.typing() => Action::Write(text),
            Input::Paste(_) => {
                self.shared.notice = Some("what is pasted is text and no keys; on 6 Find, / takes it as a name".into());
                return None;
            }
            Input::Mouse(mouse) => match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Action::Click(Position::new(mouse.column, mouse.row)),
                MouseEventKind::ScrollDown => Action::Down,
                MouseEventKind::ScrollUp => Action::Up,
                _ => return None,
            },
            Input::Resize(width, height) => {
                self.help_from = 0;
                self.shared.size = Rect::new(0, 0, width, height);
                return None;
            }
            _ => return None,
        };
        self.update(action)
    }

    fn action(&self, key: KeyEvent) -> Option<Action> {
        match self.screen().typing() {
            _ if self.asking => keys::answer(key),
            _ if self.palette.is_some() => keys::letter(key, keys::PALETTE),
            Some(beside) if !self.help => keys::letter(key, beside),
            _ => keys::action(key, self.screen().keys(), &self.titles()),
        }
    }

    /// Whether a key that is shown at the foot does something now.
    pub(super) fn acts(&self, action: &Action) -> bool {
        match action {
            Action::Start => self.shared.can_start(),
            Action::Help | Action::Quit | Action::Back | Action::Yes | Action::No => true,
            action => self.screen().acts(action, &self.shared),
        }
    }

    /// Keys are letters now.
    pub(super) fn typing(&self) -> bool {
        (self.screen().typing().is_some() || self.palette.is_some()) && !self.help && !self.asking
    }

    pub(super) fn update(&mut self, action: Action) -> Option<Command> {
        let command = self.updated(action);
        self.noted(command)
    }

    fn updated(&mut self, action: Action) -> Option<Command> {
        if action == Action::Suspend {
            return Some(Command::Suspend);
        }
        if self.asking {
            self.asking = action != Action::No && action != Action::Yes;
            return (action == Action::Yes).then_some(Command::Quit);
        }
        if self.palette.is_some() {
            return self.command(&action);
        }
        // a digit, tab and what the frame knows go on from help; everything else is help's
        self.help &= !matches!(action, Action::Go(_) | Action::NextScreen | Action::PreviousScreen);
        if self.help && !matches!(action, Action::Quit | Action::Theme | Action::Mouse) {
            return self.turn_help(&action);
        }
        self.shared.notice = None;
        match action {
            Action::Go(title) => return self.go(title),
            Action::NextScreen => return self.show(self.shown + 1),
            Action::PreviousScreen => return self.show(self.shown + self.screens.len() - 1),
            Action::Start => return self.start(),
            Action::Help => (self.help, self.help_from) = (true, 0),
            Action::Palette => self.palette = Some(Palette::default()),
            Action::Copy => return self.copy(),
            Action::Theme => self.next_theme(),
            Action::Mouse => return Some(self.turn_mouse()),
            Action::Quit if self.shared.running() => self.asking = true,
            Action::Quit => return Some(Command::Quit),
            Action::Click(at) => return self.click(at),
            Action::Back if self.has_opened() && !self.typing() => drop(self.opened.pop()),
            action => {
                let (screen, shared) = self.screen_mut();
                return screen.update(action, shared);
            }
        }
        None
    }

    /// The commands that can be typed here.
    pub(super) fn commands(&self) -> Vec<palette::Entry> {
        palette::entries(self.screen(), &self.titles())
    }

    /// A key while a command is typed.
    fn command(&mut self, action: &Action) -> Option<Command> {
        let entries = self.commands();
        let palette = self.palette.as_mut()?;
        match action {
            Action::Write(text) => palette.write(text),
            Action::Erase { all } if *all || !palette.text.is_empty() => palette.erase(*all),
            // what is erased beyond the beginning closes it, as in other editors
            Action::Erase { .. } | Action::Back => self.palette = None,
            Action::Up | Action::Down => palette.step(*action == Action::Down, &entries),
            Action::Right => palette.complete(&entries),
            Action::Open => {
                let meant = palette.meant(&entries);
                self.palette = None;
                match meant {
                    Meant::Do(action) => return self.updated(action),
                    Meant::Nothing(why) => self.shared.notice = Some(why),
                }
            }
            Action::Quit => {
                self.palette = None;
                return self.updated(Action::Quit);
            }
            _ => {}
        }
        None
    }

    fn copy(&mut self) -> Option<Command> {
        match self.screen().copied(&self.shared) {
            Some(text) => {
                let first = text.lines().next().unwrap_or_default().to_owned();
                self.shared.notice = Some(format!("copied, where the terminal takes it: {first}"));
                Some(Command::Copy(text))
            }
            None => self.shared.refuse("there is nothing to copy here"),
        }
    }

    /// Keys move help where it is longer than the terminal, and close it else.
    fn turn_help(&mut self, action: &Action) -> Option<Command> {
        let last = help::last_line(self.shared.size, self.screen(), &self.titles());
        let page = self.shared.size.height.saturating_sub(4) as usize;
        self.help_from = match action {
            Action::Down => self.help_from + 1,
            Action::Up => self.help_from.saturating_sub(1),
            Action::PageDown => self.help_from + page,
            Action::PageUp => self.help_from.saturating_sub(page),
            Action::First => 0,
            Action::Last => last,
            _ => self.help_from,
        }
        .min(last);
        self.help = !matches!(action, Action::Help | Action::Back | Action::Click(_));
        None
    }

    fn next_theme(&mut self) {
        self.shared.theme = self.shared.theme.next();
        let name = self.shared.theme.name.name();
        self.shared.notice = Some(format!("theme {name}; --theme {name} or BANTAM_THEME={name} begins with it"));
    }

    fn turn_mouse(&mut self) -> Command {
        self.shared.mouse = !self.shared.mouse;
        let whose = match self.shared.mouse {
            true => "the mouse clicks and scrolls here",
            false => "the mouse is the terminal's: mark and copy with it; m takes it back",
        };
        self.shared.notice = Some(whose.into());
        Command::Mouse(self.shared.mouse)
    }

    fn go(&mut self, title: &str) -> Option<Command> {
        self.show(self.place_of(title)?)
    }

    /// Shows the screen at a place; behind the last comes the first.
    fn show(&mut self, place: usize) -> Option<Command> {
        self.opened.clear();
        self.shown = place % self.screens.len();
        self.screens[self.shown].enter(&mut self.shared)
    }

    fn start(&mut self) -> Option<Command> {
        let command = self.shared.start()?;
        self.go(run::TITLE);
        Some(command)
    }

    fn click(&mut self, at: Position) -> Option<Command> {
        let frame = layout::frame(self.shared.size)?;
        if let Some(place) = layout::tabs(frame.tabs, &self.titles()).iter().position(|tab| tab.contains(at)) {
            return self.show(place);
        }
        let action = self.screen().hit(frame.body, at, &self.shared).filter(|_| frame.body.contains(at))?;
        let (screen, shared) = self.screen_mut();
        screen.update(action, shared)
    }
}

/// Where a profile was written, and what to do with it.
fn saved(path: &Path) -> String {
    format!("saved: `bantam run {}` measures by it", path.display())
}
