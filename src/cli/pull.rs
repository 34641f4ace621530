//! `bantam pull ORG/NAME`: files from the hub into the cache, with a bar for each that is on its way and one for all.
//! The last line on stdout is where they are.

use super::args::Pull;
use super::{Exit, bar, ending, stop};
use crate::run::fetch::{Fetching, Missing};
use anyhow::Result;
use bantam_core::unit::{Bytes, Seconds};
use bantam_hub::{Hub, Name, Progress, Pulled, Settings, Tally, Want};
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two pictures on a terminal.
const LIVE: Duration = Duration::from_millis(100);
/// Files on their way that are shown at once.
const ROWS: usize = 6;
const BAR: usize = 20;

pub fn run(args: Pull) -> Result<Exit> {
    let name = Name::parse(&args.model)?;
    let settings = Settings::from_env()?.offline_if(args.offline);
    let want = Want { include: args.include, quant: args.quant };
    let hub = Hub::new(settings, &stop::on_signals()?);
    let missing = Missing::Model(name.clone());
    let pulled = painted(args.quiet, &|say| {
        say(Fetching::Begun(&missing));
        let pulled = hub.pull(&name, &want, &|progress| say(Fetching::Progress(progress)))?;
        say(Fetching::Done(&pulled));
        Ok(pulled)
    })?;
    println!("{}", place(&pulled).display());
    Ok(Exit::Done)
}

type Work<'a, T> = &'a dyn Fn(&(dyn Fn(Fetching) + Sync)) -> Result<T>;

/// Fetches with progress on stderr, one thing after the other.
pub fn painted<T>(quiet: bool, work: Work<T>) -> Result<T> {
    let painter = Mutex::new(None::<Painter>);
    let fetched = work(&|fetching| {
        let mut painter = lock(&painter);
        match (fetching, painter.as_mut()) {
            (Fetching::Begun(missing), _) => *painter = Some(Painter::new(missing.to_string(), quiet)),
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

/// A panic while painting left the numbers as they were.
fn lock(painter: &Mutex<Option<Painter>>) -> std::sync::MutexGuard<'_, Option<Painter>> {
    painter.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Painter {
    name: String,
    tally: Tally,
    begun: Instant,
    /// On a terminal: when the picture was drawn, and how many lines it has.
    live: Option<Instant>,
    drawn: usize,
    quiet: bool,
    told: Vec<bool>,
}

impl Painter {
    fn new(name: String, quiet: bool) -> Painter {
        let live = io::stderr().is_terminal().then(Instant::now);
        Painter { name, tally: Tally::default(), begun: Instant::now(), live, drawn: 0, quiet, told: vec![] }
    }

    fn on(&mut self, progress: &Progress) {
        self.tally.on(progress, self.begun.elapsed().as_secs_f64());
        if self.quiet {
            return;
        }
        if let Progress::Planned { commit, files } = progress {
            self.told = files.iter().map(|file| file.there == file.size).collect();
            let (there, size) = (Bytes(self.tally.there()), Bytes(self.tally.size()));
            let kept = if there.0 > 0 { format!(", {there} of it here already") } else { String::new() };
            eprintln!("{} at {}: {} files, {size}{kept}", self.name, &commit[..7.min(commit.len())], files.len());
        }
        self.tell_finished();
        let due = matches!(progress, Progress::Waiting { .. });
        if self.live.is_some_and(|drawn| due || drawn.elapsed() >= LIVE) {
            self.paint();
        }
    }

    /// A line for each file that has become whole.
    fn tell_finished(&mut self) {
        for i in 0..self.told.len() {
            let file = &self.tally.files[i];
            if !self.told[i] && file.there == file.size {
                let line = format!("{:>10}  {}", Bytes(file.size).to_string(), file.path);
                self.told[i] = true;
                self.clear();
                eprintln!("{line}");
            }
        }
    }

    fn paint(&mut self) {
        let width = crossterm::terminal::size().map_or(80, |(width, _)| width as usize);
        let mut lines = self.on_their_way(width);
        lines.push(self.whole());
        self.clear();
        for line in &lines {
            eprintln!("{}", line.chars().take(width.saturating_sub(1)).collect::<String>());
        }
        let _ = io::stderr().flush();
        self.drawn = lines.len();
        self.live = Some(Instant::now());
    }

    fn on_their_way(&self, width: usize) -> Vec<String> {
        let open = |(i, file): &(usize, &bantam_hub::Planned)| {
            file.there < file.size && (file.there > 0 || self.tally.waiting[*i].is_some())
        };
        let names = width.saturating_sub(BAR + 34).clamp(12, 60);
        let line = |(i, file): (usize, &bantam_hub::Planned)| {
            let share = file.there as f64 / file.size.max(1) as f64;
            let state = match &self.tally.waiting[i] {
                Some(why) => format!("waiting: {why}"),
                None => format!("{:>4.0}%  {} of {}", share * 100.0, Bytes(file.there), Bytes(file.size)),
            };
            format!("{:names$}  {}  {state}", ending(&file.path, names), bar(share, BAR))
        };
        self.tally.files.iter().enumerate().filter(open).take(ROWS).map(line).collect()
    }

    fn whole(&self) -> String {
        let rate = self.tally.rate().map_or(String::new(), |rate| format!("  {}/s", Bytes(rate as u64)));
        let left = self.tally.left().map_or(String::new(), |left| format!("  {} left", Seconds(left.max(1.0))));
        let (there, size) = (Bytes(self.tally.there()), Bytes(self.tally.size()));
        let share = self.tally.share();
        format!("all  {}  {:>4.0}%  {there} of {size}{rate}{left}", bar(share, BAR), share * 100.0)
    }

    fn clear(&mut self) {
        if self.drawn > 0 {
            eprint!("\x1b[{}A\r\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn end(&mut self, pulled: Option<&Pulled>) {
        self.clear();
        let Some(pulled) = pulled.filter(|_| !self.quiet) else { return };
        let seconds = self.begun.elapsed().as_secs_f64();
        match pulled.fetched.0 {
            0 => eprintln!("{} is here already, at {}", self.name, pulled.commit),
            fetched => {
                let rate = Bytes((fetched as f64 / seconds) as u64);
                eprintln!("{} verified, {} fetched in {} ({rate}/s)", pulled.bytes, pulled.fetched, Seconds(seconds));
            }
        }
    }
}
