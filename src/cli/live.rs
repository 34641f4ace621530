//! Live lines on stderr while work goes on, drawn by indicatif: on a terminal only, and gone when the work is over. What
//! stays is printed between them as plain lines, which is all that a log or a pipe gets; where nothing would be printed for
//! minutes, these get a live line now and then.

use crate::show::out::note;
use bantam_core::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Pictures a second, at most: few beside a measurement.
const LINE_RATE: u8 = 5;
const BARS_RATE: u8 = 10;
/// Full, eighths of a character, empty: as `show::bar` draws it.
const BAR: &str = "█▉▊▋▌▍▎▏░";

/// How often a log is told.
const LOG_RATE: Duration = Duration::from_secs(5);

/// One line of words below what is printed.
pub(super) struct LiveLine {
    bar: ProgressBar,
    /// When a log was told last, where it is told.
    told: Option<Cell<Instant>>,
}

impl LiveLine {
    pub(super) fn new() -> LiveLine {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(LINE_RATE));
        bar.set_style(style("{wide_msg}"));
        LiveLine { bar, told: None }
    }

    /// One that a log is told now and then, too.
    pub(super) fn logged() -> LiveLine {
        LiveLine { told: Some(Cell::new(Instant::now())), ..LiveLine::new() }
    }

    /// Says how far the work is; the words are not made where nobody would see them.
    pub(super) fn show(&self, words: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            return self.bar.set_message(text::plain(&words()).into_owned());
        }
        if let Some(told) = self.told.as_ref().filter(|told| told.get().elapsed() >= LOG_RATE) {
            told.set(Instant::now());
            note!("{}", words());
        }
    }

    /// Prints a line that stays, above the live one.
    pub(super) fn print(&self, line: &str) {
        self.bar.set_message("");
        self.bar.suspend(|| note!("{line}"));
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Several bars with a name before and words behind each; the last one stands for all.
pub(super) struct LiveBars {
    all: MultiProgress,
    whole: ProgressBar,
}

impl LiveBars {
    pub(super) fn new() -> LiveBars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(BARS_RATE));
        let whole = all.add(bar(0, "all".into()));
        LiveBars { all, whole }
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.all.is_hidden()
    }

    /// Adds a bar above the one for all.
    pub(super) fn add(&self, name: String, length: u64) -> ProgressBar {
        self.all.insert_before(&self.whole, bar(length, text::plain(&name).into_owned()))
    }

    pub(super) fn remove(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.all.remove(bar);
    }

    /// Moves the bar for all.
    pub(super) fn show(&self, at: u64, length: u64, words: String) {
        self.whole.set_length(length);
        self.whole.set_position(at);
        self.whole.set_message(text::plain(&words).into_owned());
    }

    /// Prints a line that stays, above the bars.
    pub(super) fn print(&self, line: &str) {
        // indicatif's suspend panics where the terminal is gone; the next picture draws the bars again
        self.clear();
        note!("{line}");
    }

    pub(super) fn clear(&self) {
        // nothing is left to tell where the terminal is gone
        let _ = self.all.clear();
    }
}

fn bar(length: u64, name: String) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
    bar.set_style(style("{prefix}  {bar:20}  {msg}"));
    bar.set_prefix(name);
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates here are whole").progress_chars(BAR)
}
