//! The workbench: screens over the same rooms that the headless commands use.
//!
//! ```text
//!   loop (here)          waits in one place; drains, updates, draws once
//!   jobs                 slow work on its own threads; speaks in messages
//!   app   draw           which screen is shown; the picture around it
//!   screen/*             a file each: keys, state, update, draw, hit
//!   palette              a command by its name, on every screen
//!   shared  keys  words  cursor  layout  widget  theme  ground
//! ```
//!
//! Arrows go down only. State is numbers; `update` changes them, `draw` turns them into words and places those.

mod action;
mod app;
#[cfg(test)]
mod begin_tests;
mod cursor;
#[cfg(test)]
mod decide_tests;
mod draw;
mod filter;
#[cfg(test)]
mod find_tests;
mod ground;
mod jobs;
mod keys;
mod layout;
mod palette;
#[cfg(test)]
mod plan_tests;
mod progress;
mod results;
mod screen;
mod setup;
mod shared;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod widget;
mod words;

pub use theme::ThemeName;

use crate::library::config;
use action::{Command, Message, Page, Selection};
use anyhow::{Context, Result, bail};
use app::App;
use crossterm::event as input;
use ground::Late;
use jobs::Jobs;
use ratatui::layout::Rect;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use theme::Theme;

/// Between two pictures that only messages ask for. Keys are answered at once.
const FRAME: Duration = Duration::from_millis(33);
/// The clock on the screen goes on when nothing happens.
const TICK: Duration = Duration::from_millis(500);
/// How often the input thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// What wakes the loop.
enum Wake {
    Input(input::Event),
    Message(Message),
    /// SIGTERM or SIGHUP: leave as after a confirmed quit.
    Leave,
    /// SIGCONT: a shell had the terminal meanwhile.
    Continued,
}

/// Where messages go from other threads.
#[derive(Clone)]
struct Say(Sender<Wake>);

impl Say {
    /// A screen that is gone needs no messages.
    fn say(&self, message: Message) {
        let _ = self.0.send(Wake::Message(message));
    }
}

/// How the workbench looks and listens.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// A theme that was asked for; else the environment and the terminal say.
    pub theme: Option<ThemeName>,
    /// Clicks and the wheel come to the workbench, and are not the terminal's.
    pub mouse: bool,
    /// Opens on the page for who has a model and data and nothing else yet.
    pub begin: bool,
}

/// Whether a terminal of this TERM can be drawn on.
pub fn draws_on(term: &str) -> bool {
    !matches!(term, "" | "dumb" | "unknown")
}

/// Opens the workbench on a profile and returns when the user leaves.
///
/// # Errors
/// Where there is no terminal, or the terminal cannot be drawn on.
pub fn run(profile: PathBuf, look: Look) -> Result<()> {
    let term = std::env::var("TERM").unwrap_or_default();
    if matches!(term.as_str(), "" | "dumb" | "unknown") {
        let command = profile.display();
        bail!(
            "TERM={term:?} is a terminal that nothing can be drawn on; `bantam run {command}` does the same in lines"
        );
    }
    let settings = config::settled();
    if let Err(why) = keys::settle(settings) {
        bail!("{why}");
    }
    let name = match ThemeName::settled(look.theme, |name| std::env::var_os(name), settings) {
        Ok(name) => name,
        Err(why) => bail!("{why}"),
    };
    let told = std::env::var("COLORFGBG").ok().and_then(|told| ground::told(&told));
    let title = profile.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut jobs = Jobs::new(profile);
    let (mut guard, greeting) = terminal::Guard::take(look.mouse, name != ThemeName::Plain && told.is_none())
        .context("the workbench needs a terminal; use `bantam run` without one")?;
    let theme = Theme::on(name, greeting.ground.or(told), theme::has_colours(&term));
    let size = guard.terminal.size().context("asking the terminal for its size")?;
    let mut app = App::new(title, theme, Rect::new(0, 0, size.width, size.height));
    app.shared.mouse = look.mouse;
    picture(&mut guard, &app)?;

    let (sender, wakes) = channel();
    let ended = Arc::new(AtomicBool::new(false));
    for typed in greeting.typed {
        let _ = sender.send(Wake::Input(typed));
    }
    listen(sender.clone(), ended.clone(), Late::awaited(greeting.late));
    signals(sender.clone()).context("installing signal handlers")?;
    let say = Say(sender);
    jobs::watch_load(say.clone(), ended.clone());
    jobs.carry_out(app.plan(Selection::default()), &say);
    if look.begin
        && let Some(command) = app.open(Page::Begin)
    {
        jobs.carry_out(command, &say);
    }
    let result = wait(&mut app, &mut guard, &wakes, &mut jobs, &say);
    ended.store(true, Ordering::SeqCst);
    drop(guard);
    jobs.finish();
    result
}

/// The one loop: wait, drain, update, draw once.
fn wait(app: &mut App, guard: &mut terminal::Guard, wakes: &Receiver<Wake>, jobs: &mut Jobs, say: &Say) -> Result<()> {
    let begun = Instant::now();
    let mut drawn = Instant::now();
    loop {
        let first = match wakes.recv_timeout(TICK) {
            Ok(wake) => Some(wake),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let mut urgent = false;
        // the clock wants nothing
        app.hear(Message::Clock(begun.elapsed().as_secs_f64()));
        let mut next = first;
        loop {
            while let Some(wake) = next.take() {
                let command = match wake {
                    Wake::Message(message) => app.hear(message),
                    Wake::Input(event) => {
                        urgent = true;
                        app.input(event)
                    }
                    Wake::Leave => Some(Command::Quit),
                    Wake::Continued => {
                        urgent = true;
                        again(app, guard)?
                    }
                };
                match command {
                    Some(Command::Quit) => return Ok(()),
                    Some(Command::Suspend) => {
                        guard.suspend().context("giving the terminal to the shell")?;
                        again(app, guard)?;
                    }
                    Some(Command::Copy(text)) => guard.copy(&text).context("handing text to the terminal")?,
                    Some(Command::Mouse(on)) => guard.mouse(on).context("telling the terminal about the mouse")?,
                    Some(command) => jobs.carry_out(command, say),
                    None => {}
                }
                next = wakes.try_recv().ok();
            }
            // messages alone may wait for the next picture; whatever comes meanwhile goes into it
            let rest = FRAME.saturating_sub(drawn.elapsed());
            if urgent || rest.is_zero() {
                break;
            }
            next = wakes.recv_timeout(rest).ok();
        }
        picture(guard, app)?;
        drawn = Instant::now();
    }
}

/// Goes on after a shell had the terminal, whose size may be another one now.
fn again(app: &mut App, guard: &mut terminal::Guard) -> Result<Option<Command>> {
    guard.take_again().context("taking the terminal again")?;
    let size = guard.terminal.size().context("asking the terminal for its size")?;
    Ok(app.input(input::Event::Resize(size.width, size.height)))
}

fn picture(guard: &mut terminal::Guard, app: &App) -> Result<()> {
    guard.terminal.draw(|frame| draw::draw(frame, app)).context("drawing on the terminal")?;
    Ok(())
}

/// Reads keys, the mouse and sizes on a thread of its own.
fn listen(sender: Sender<Wake>, ended: Arc<AtomicBool>, mut late: Late) {
    thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            match input::poll(LOOK) {
                Ok(false) => {}
                Ok(true) => {
                    let Ok(event) = input::read() else { return };
                    if late.is_part(&event) {
                        continue;
                    }
                    if sender.send(Wake::Input(event)).is_err() {
                        return;
                    }
                }
                Err(_) => {
                    let _ = sender.send(Wake::Leave);
                    return;
                }
            }
        }
    });
}

fn signals(sender: Sender<Wake>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGCONT, SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let wake = if signal == SIGCONT { Wake::Continued } else { Wake::Leave };
            if sender.send(wake).is_err() {
                return;
            }
        }
    });
    Ok(())
}
