//! The app: which screen is shown, and what all of them share, changed only here and in the screens' own `update`. It
//! may ask for one thing of the world; nothing here waits, reads a file or draws.

use super::action::{Action, Command, Message};
use super::keys;
use super::layout;
use super::screen::{self, Screen, advice, run};
use super::shared::Shared;
use super::theme::Theme;
use crossterm::event::{Event as Input, KeyEvent, KeyEventKind, MouseButton, MouseEventKind};
use ratatui::layout::{Position, Rect};

pub(super) struct App {
    pub shared: Shared,
    screens: Vec<Box<dyn Screen>>,
    /// The screen that is shown, by its place among them.
    shown: usize,
    pub help: bool,
    /// Asking whether to quit in mid-run.
    pub asking: bool,
}

impl App {
    pub(super) fn new(profile_name: String, theme: Theme, size: Rect) -> App {
        App::with(screen::all(), profile_name, theme, size)
    }

    /// An app of these screens.
    pub(super) fn with(screens: Vec<Box<dyn Screen>>, profile_name: String, theme: Theme, size: Rect) -> App {
        App { shared: Shared::new(profile_name, theme, size), screens, shown: 0, help: false, asking: false }
    }

    pub(super) fn screen(&self) -> &dyn Screen {
        &*self.screens[self.shown]
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
            Message::Planned(planned) => shared.planned((**planned).clone()),
            Message::Run(event) => shared.progress.on(event, shared.clock),
            Message::Results(results) => shared.results = (**results).clone(),
            Message::Advised(advice) => shared.advice = Some((**advice).clone()),
            Message::Over(error) => self.over(error.clone()),
            Message::Reported(Ok(path)) => shared.notice = Some(format!("report written: {}", path.display())),
            Message::Reported(Err(error)) | Message::Refused(error) => shared.notice = Some(error.clone()),
            // what one screen alone understands
            Message::Found { .. } | Message::ModelInfo(..) | Message::Pulling(_) | Message::Pulled(..) => {}
            Message::Fetching(_) | Message::Fetched(_) => {}
        }
        let mut command = None;
        for screen in &mut self.screens {
            command = screen.hear(&message, &mut self.shared).or(command);
        }
        command
    }

    fn over(&mut self, error: Option<String>) {
        self.shared.progress.end(self.shared.clock);
        match error {
            Some(error) => self.shared.notice = Some(error),
            None if self.shared.advice.is_some() && self.screen().title() == run::TITLE => self.go(advice::TITLE),
            None => {}
        }
    }

    /// A key, a click or a new size.
    pub(super) fn input(&mut self, input: Input) -> Option<Command> {
        let action = match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.action(key)?,
            Input::Paste(text) if self.typing() => Action::Write(text),
            Input::Mouse(mouse) => match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Action::Click(Position::new(mouse.column, mouse.row)),
                MouseEventKind::ScrollDown => Action::Down,
                MouseEventKind::ScrollUp => Action::Up,
                _ => return None,
            },
            Input::Resize(width, height) => {
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
            Some(beside) if !self.help => keys::letter(key, beside),
            _ => keys::action(key, self.screen().keys(), &self.titles()),
        }
    }

    /// Keys are letters now.
    pub(super) fn typing(&self) -> bool {
        self.screen().typing().is_some() && !self.help && !self.asking
    }

    pub(super) fn update(&mut self, action: Action) -> Option<Command> {
        if self.asking {
            self.asking = action != Action::No && action != Action::Yes;
            return (action == Action::Yes).then_some(Command::Quit);
        }
        if self.help && action != Action::Quit {
            self.help = !matches!(action, Action::Help | Action::Back | Action::Click(_));
            return None;
        }
        self.shared.notice = None;
        match action {
            Action::Go(title) => self.go(title),
            Action::NextScreen => self.show(self.shown + 1),
            Action::PreviousScreen => self.show(self.shown + self.screens.len() - 1),
            Action::Start => return self.start(),
            Action::Help => self.help = true,
            Action::Quit if self.shared.running() => self.asking = true,
            Action::Quit => return Some(Command::Quit),
            Action::Click(at) => return self.click(at),
            action => return self.screens[self.shown].update(action, &mut self.shared),
        }
        None
    }

    fn go(&mut self, title: &str) {
        if let Some(place) = self.place_of(title) {
            self.show(place);
        }
    }

    /// Shows the screen at a place; behind the last comes the first.
    fn show(&mut self, place: usize) {
        self.shown = place % self.screens.len();
        self.screens[self.shown].enter();
    }

    fn start(&mut self) -> Option<Command> {
        let command = self.shared.start()?;
        self.go(run::TITLE);
        Some(command)
    }

    fn click(&mut self, at: Position) -> Option<Command> {
        let frame = layout::frame(self.shared.size)?;
        if let Some(place) = layout::tabs(frame.tabs, &self.titles()).iter().position(|tab| tab.contains(at)) {
            self.show(place);
            return None;
        }
        let action = self.screen().hit(frame.body, at, &self.shared).filter(|_| frame.body.contains(at))?;
        self.screens[self.shown].update(action, &mut self.shared)
    }
}
