//! `bantam pull ORG/NAME`: files from the hub into the cache, with a bar for each that is on its way and one for all.
//! The last line on stdout is where they are.

use super::args::Pull;
use super::live::LiveBars;
use super::{Exit, stop};
use crate::run::fetch::{Fetching, Missing};
use crate::show::out::{self, note};
use crate::show::{counted, ending};
use anyhow::Result;
use bantam_core::sync::lock;
use bantam_core::text;
use bantam_core::unit::{Bytes, Seconds};
use bantam_hub::{Hub, Name, Progress, PullProgress, Pulled, Settings, Want};
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
    let want = Want { include: args.include, quant: args.quant, verify: args.verify };
    let hub = Hub::new(settings, &stop::on_signals()?);
    let missing = Missing::Model(name.clone());
    let pulled = painted(args.quiet, &|say| {
        say(Fetching::Begun(&missing));
        let pulled = hub.pull(&name, &want, &|progress| say(Fetching::Progress(progress)))?;
        say(Fetching::Done(&pulled));
        Ok(pulled)
    })?;
    out::path(place(&pulled))?;
    Ok(Exit::Done)
}

type Work<'a, T> = &'a dyn Fn(&(dyn Fn(Fetching) + Sync)) -> Result<T>;

/// Fetches with progress on stderr, one thing after the other.
pub(super) fn painted<T>(quiet: bool, work: Work<T>) -> Result<T> {
    let painter = Mutex::new(None::<Painter>);
    let fetched = work(&|fetching| {
        let mut painter = lock(&painter);
        match (fetching, painter.as_mut()) {
            (Fetching::Begun(missing), _) => {
                if !quiet {
                    note!("{missing}: asking the hub …");
                }
                *painter = Some(Painter::new(missing.to_string(), quiet));
            }
            (Fetching::Progress(progress), Some(painter)) => painter.on(&progress),
            (Fetching::Done(pulled), Some(painter)) => painter.end(Some(pulled)),
            (Fetching::Progress(_) | Fetching::Done(_), None) => {}
        }
    });
    if let (Err(_), Some(painter)) = (&fetched, lock(&painter).as_mut()) {
        painter.end(None);
    }
    fetched
}

/// The one GGUF file, else the folder: what the other commands take as a path.
fn place(pulled: &Pulled) -> &std::path::Path {
    let gguf = |file: &&std::path::PathBuf| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    pulled.files.iter().find(gguf).unwrap_or(&pulled.folder)
}

struct Painter {
    name: String,
    progress: PullProgress,
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
            progress: PullProgress::default(),
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
            self.bars.print(&format!("{} at {commit}: {}, {size}{kept}", self.name, counted(files.len(), "file")));
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
                Some(why) => text::plain(&format!("waiting: {why}")).into_owned(),
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
            0 => note!("{} is here already, {} verified, at {}", self.name, pulled.bytes, pulled.commit),
            fetched => {
                let rate = Bytes((fetched as f64 / seconds) as u64);
                note!("{} verified, {} fetched in {} ({rate}/s)", pulled.bytes, pulled.fetched, Seconds(seconds));
            }
        }
    }
}
