//! `bantam pull ORG/NAME`: files from the hub into the cache, with a bar for each that is on its way and one for all.
//! The last line on stdout is where they are.

use super::args::Pull;
use super::live::LiveBars;
use super::{Exit, stop};
use crate::show::ending;
use crate::show::out::{note, say};
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_core::unit::{Bytes, Seconds};
use bantam_hub::{DataName, Error, Hub, Name, Progress, Pulled, Settings, Tally, Want};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two pictures on a terminal.
const LIVE: Duration = Duration::from_millis(100);
/// Files on their way that are shown at once.
const ROWS: usize = 6;
/// Width of a bar, as `live` draws it.
const BAR: usize = 20;

pub(super) fn run(args: Pull) -> Result<Exit> {
    let name = Name::parse(&args.model)?;
    let settings = Settings::from_env()?.offline_if(args.offline);
    let want = Want { include: args.include, quant: args.quant };
    let pulled = pull(&name, &want, settings, args.quiet, &stop::on_signals()?)?;
    say!("{}", place(&pulled).display())?;
    Ok(Exit::Done)
}

/// Pulls with progress on stderr; profiles that name models of the hub are served by this, too.
pub(super) fn pull(
    name: &Name,
    want: &Want,
    settings: Settings,
    quiet: bool,
    cancel: &Cancel,
) -> Result<Pulled, Error> {
    let hub = Hub::new(settings, cancel);
    painted(name.to_string(), quiet, &|say| hub.pull(name, want, say))
}

/// The same for a split of a dataset.
pub(super) fn pull_data(data: &DataName, settings: Settings, quiet: bool, cancel: &Cancel) -> Result<Pulled, Error> {
    let hub = Hub::new(settings, cancel);
    painted(data.to_string(), quiet, &|say| hub.pull_data(data, say))
}

type Work<'a> = &'a dyn Fn(&(dyn Fn(Progress) + Sync)) -> Result<Pulled, Error>;

fn painted(name: String, quiet: bool, work: Work) -> Result<Pulled, Error> {
    let painter = Mutex::new(Painter::new(name, quiet));
    let pulled = work(&|progress| lock(&painter).on(&progress));
    lock(&painter).end(pulled.as_ref().ok());
    pulled
}

/// The one GGUF file, else the folder: what the other commands take as a path.
fn place(pulled: &Pulled) -> &std::path::Path {
    let gguf = |file: &&std::path::PathBuf| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    pulled.files.iter().find(gguf).unwrap_or(&pulled.folder)
}

/// A panic while painting left the numbers as they were.
fn lock(painter: &Mutex<Painter>) -> std::sync::MutexGuard<'_, Painter> {
    painter.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Painter {
    name: String,
    progress: Tally,
    begun: Instant,
    bars: LiveBars,
    /// The files on their way that have a bar, by their numbers.
    open: BTreeMap<usize, ProgressBar>,
    painted: Option<Instant>,
    quiet: bool,
    told: Vec<bool>,
}

impl Painter {
    fn new(name: String, quiet: bool) -> Painter {
        Painter {
            name,
            progress: Tally::default(),
            begun: Instant::now(),
            bars: LiveBars::new(),
            open: BTreeMap::new(),
            painted: None,
            quiet,
            told: vec![],
        }
    }

    fn on(&mut self, progress: &Progress) {
        self.progress.on(progress, self.begun.elapsed().as_secs_f64());
        if self.quiet {
            return;
        }
        if let Progress::Planned { commit, files } = progress {
            self.told = files.iter().map(|file| file.there == file.size).collect();
            let (there, size) = (Bytes(self.progress.there()), Bytes(self.progress.size()));
            let kept = if there.0 > 0 { format!(", {there} of it here already") } else { String::new() };
            let commit = &commit[..7.min(commit.len())];
            self.bars.print(&format!("{} at {commit}: {} files, {size}{kept}", self.name, files.len()));
        }
        self.tell_finished();
        let due = matches!(progress, Progress::Waiting { .. });
        if !self.bars.is_hidden() && (due || self.painted.is_none_or(|at| at.elapsed() >= LIVE)) {
            self.paint();
        }
    }

    /// A line for each file that has become whole.
    fn tell_finished(&mut self) {
        for i in 0..self.told.len() {
            let file = &self.progress.files[i];
            if !self.told[i] && file.there == file.size {
                let line = format!("{:>10}  {}", Bytes(file.size).to_string(), file.path);
                self.told[i] = true;
                if let Some(bar) = self.open.remove(&i) {
                    self.bars.remove(&bar);
                }
                self.bars.print(&line);
            }
        }
    }

    fn paint(&mut self) {
        let width = crossterm::terminal::size().map_or(80, |(width, _)| width as usize);
        let names = width.saturating_sub(BAR + 34).clamp(12, 60);
        for (i, file) in self.progress.files.iter().enumerate() {
            let waiting = self.progress.waiting[i].as_ref();
            if file.there == file.size || (file.there == 0 && waiting.is_none()) {
                continue;
            }
            if !self.open.contains_key(&i) && self.open.len() < ROWS {
                let name = format!("{:names$}", ending(&file.path, names));
                self.open.insert(i, self.bars.add(name, file.size));
            }
            let Some(bar) = self.open.get(&i) else { continue };
            let share = file.there as f64 * 100.0 / file.size.max(1) as f64;
            bar.set_position(file.there);
            bar.set_message(match waiting {
                Some(why) => format!("waiting: {why}"),
                None => format!("{share:>4.0}%  {} of {}", Bytes(file.there), Bytes(file.size)),
            });
        }
        self.bars.show(self.progress.there(), self.progress.size(), self.whole());
        self.painted = Some(Instant::now());
    }

    fn whole(&self) -> String {
        let rate = self.progress.rate().map_or(String::new(), |rate| format!("  {}/s", Bytes(rate as u64)));
        let left = self.progress.left().map_or(String::new(), |left| format!("  {} left", Seconds(left.max(1.0))));
        let (there, size) = (Bytes(self.progress.there()), Bytes(self.progress.size()));
        format!("{:>4.0}%  {there} of {size}{rate}{left}", self.progress.share() * 100.0)
    }

    fn end(&mut self, pulled: Option<&Pulled>) {
        self.bars.clear();
        let Some(pulled) = pulled.filter(|_| !self.quiet) else { return };
        let seconds = self.begun.elapsed().as_secs_f64();
        match pulled.fetched.0 {
            0 => note!("{} is here already, at {}", self.name, pulled.commit),
            fetched => {
                let rate = Bytes((fetched as f64 / seconds) as u64);
                note!("{} verified, {} fetched in {} ({rate}/s)", pulled.bytes, pulled.fetched, Seconds(seconds));
            }
        }
    }
}
