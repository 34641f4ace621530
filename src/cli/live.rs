//! Live lines on stderr while work goes on, drawn by indicatif: on a terminal only, and gone when the work is over. What
//! stays is printed between them as plain lines, which is all that a log or a pipe gets; where nothing would be printed for
//! half a minute, these are told what is going on, so that nobody takes work for a program that hangs.

use crate::show::out::note;
use bantam_core::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Pictures a second, at most: few beside a measurement.
const LINE_RATE: u8 = 5;
const BARS_RATE: u8 = 10;
/// Full, eighths of a character, empty: as `show::bar` draws it.
const BAR: &str = "█▉▊▋▌▍▎▏░";

/// How often a log is told.
const LOG_RATE: Duration = Duration::from_secs(5);

/// No log is silent for longer.
const SILENCE: Duration = Duration::from_secs(30);
/// How often the clock of a live line goes on, and how often it is looked whether a log has been silent.
const BEAT: Duration = Duration::from_secs(1);

/// One line of words below what is printed, with a bar before them where it is known how much there is to do.
pub(super) struct LiveLine {
    bar: ProgressBar,
    /// When a log was told last, where it is told.
    told: Option<Cell<Instant>>,
    pulse: Pulse,
}

impl LiveLine {
    pub(super) fn new() -> LiveLine {
        LiveLine::styled(None, "{wide_msg} {elapsed}")
    }

    /// One that a log is told now and then, too.
    pub(super) fn logged() -> LiveLine {
        LiveLine { told: Some(Cell::new(Instant::now())), ..LiveLine::new() }
    }

    /// One with a bar.
    pub(super) fn counted() -> LiveLine {
        LiveLine::styled(Some(0), "{bar:20} {pos}/{len}  {wide_msg} {elapsed}")
    }

    fn styled(length: Option<u64>, template: &str) -> LiveLine {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(LINE_RATE));
        bar.set_style(style(template));
        if !bar.is_hidden() {
            // the clock goes on where nothing happens; no thread for who sees nothing
            bar.enable_steady_tick(BEAT);
        }
        LiveLine { pulse: Pulse::start(bar.is_hidden()), bar, told: None }
    }

    /// Moves the bar.
    pub(super) fn at(&self, position: usize, length: usize) {
        self.bar.set_length(length as u64);
        self.bar.set_position(position as u64);
    }

    /// Says how far the work is; the words are not made where nobody would see them.
    pub(super) fn show(&self, words: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            return self.bar.set_message(text::plain(&words()).into_owned());
        }
        match self.told.as_ref().filter(|told| told.get().elapsed() >= LOG_RATE) {
            Some(told) => {
                told.set(Instant::now());
                let words = words();
                note!("{words}");
                self.pulse.told(words);
            }
            None if self.pulse.is_due() => self.pulse.on(words()),
            None => {}
        }
    }

    /// Prints a line that stays, above the live one.
    pub(super) fn print(&self, line: &str) {
        self.bar.set_message("");
        self.bar.suspend(|| note!("{line}"));
        self.pulse.told(String::new());
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Does work of which nothing is told but what it is.
pub(super) fn during<T>(quiet: bool, words: &str, work: impl FnOnce() -> T) -> T {
    if quiet {
        return work();
    }
    let line = LiveLine::new();
    line.show(|| words.to_owned());
    line.pulse.on(words.to_owned());
    let done = work();
    line.clear();
    done
}

/// What a log was told last, and when.
struct Heard {
    at: Instant,
    begun: Instant,
    words: String,
}

/// Tells a log what is going on where it was silent for long.
struct Pulse {
    heard: Arc<Mutex<Heard>>,
    ended: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Pulse {
    fn start(beats: bool) -> Pulse {
        let now = Instant::now();
        let heard = Arc::new(Mutex::new(Heard { at: now, begun: now, words: String::new() }));
        let ended = Arc::new(AtomicBool::new(false));
        let (of, end) = (heard.clone(), ended.clone());
        let beat = move || {
            while !end.load(Ordering::Relaxed) {
                thread::park_timeout(BEAT);
                let mut heard = of.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.at.elapsed() >= SILENCE && !end.load(Ordering::Relaxed) {
                    let words = if heard.words.is_empty() { "at work" } else { &heard.words };
                    note!("… {words} ({} s so far)", heard.begun.elapsed().as_secs());
                    heard.at = Instant::now();
                }
            }
        };
        // where no thread can be started there is silence, and no less work
        let spawned = beats.then(|| thread::Builder::new().name("pulse".into()).spawn(beat).ok()).flatten();
        Pulse { heard, ended, thread: spawned.map(|handle| handle.thread().clone()) }
    }

    /// Whether what is going on should be known: half of the silence is over.
    fn is_due(&self) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.thread.is_some() && heard.at.elapsed() >= SILENCE / 2
    }

    /// Keeps what is going on, for when it is told.
    fn on(&self, words: String) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).words = words;
    }

    /// A log was told something.
    fn told(&self, words: String) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = Heard { at: Instant::now(), begun: heard.begun, words };
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
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
