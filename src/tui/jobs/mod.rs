//! Carries out the app's commands on threads of their own. The only file of the workbench that knows the rooms below:
//! it plans, runs, decides and writes reports by the same calls as the headless commands, and turns what comes out into
//! the plain numbers and names that the screens show.

mod ask;
pub(super) mod begin;
mod describe;
mod desk;
mod expect;
mod hub;

use super::Say;
use super::action::{Command, Message, Recorded, Selection};
use super::progress::rate;
use super::results::Told;
use super::setup::Setup;
use crate::library::catalog::Catalog;
use crate::run::examine;
use crate::run::lock::Lock;
use crate::run::plan::Plan;
use crate::run::steer::Steer;
use crate::run::{self, Done, Workplace};
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_core::event::{Event, Observer};
use bantam_core::metric::Aggregation;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, ItemResult, Row, Trial};
use bantam_core::sync::lock;
use bantam_verdict::recommend::advice::unfinished;
use bantam_verdict::recommend::advise_knowing;
use bantam_verdict::recommend::known::{Known, Nothing};
use bantam_verdict::report;
use desk::DeskJob;
use hub::HubJobs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a wish to plan waits for the next one.
const MOMENT: Duration = Duration::from_millis(250);

/// The work behind the screens.
pub(super) struct Jobs {
    named: PathBuf,
    /// What the last plan said; a run does this.
    planned: Arc<Mutex<Option<(Profile, Plan)>>>,
    /// The last results, for the report.
    done: Arc<Mutex<Option<Done>>>,
    /// Newest wish to plan; older ones say nothing any more.
    wish: Arc<AtomicU64>,
    /// One decides at a time: intervals take both processors as it is.
    deciding: Arc<Mutex<()>>,
    cancel: Cancel,
    running: Option<JoinHandle<()>>,
    /// What is wished of the run that goes on.
    steer: Steer,
    /// Decides again and again; None until something is to be decided.
    desk: Option<DeskJob>,
    hub: HubJobs,
    begin: begin::BeginJobs,
    ask: ask::AskJobs,
}

impl Jobs {
    /// Jobs for a profile file, or a bundled profile's name.
    pub(super) fn new(named: PathBuf) -> Jobs {
        Jobs {
            named,
            planned: Arc::default(),
            done: Arc::default(),
            wish: Arc::default(),
            deciding: Arc::default(),
            cancel: Cancel::new(),
            desk: None,
            running: None,
            steer: Steer::default(),
            hub: HubJobs::default(),
            begin: begin::BeginJobs::default(),
            ask: ask::AskJobs::default(),
        }
    }

    pub(super) fn carry_out(&mut self, command: Command, say: &Say) {
        match command {
            Command::Plan(selection) => self.plan(selection, say.clone()),
            Command::Start => self.start(say.clone()),
            Command::Stop => self.cancel.cancel(),
            Command::Report => self.report(say.clone()),
            Command::Decide(turned) => self.desk(say).decide(turned),
            Command::Examine(id) => self.desk(say).examine(id),
            Command::Contrast(one, other) => self.desk(say).contrast(one, other),
            Command::Save(profile) => save(*profile, say.clone()),
            Command::LookAround(folder) => begin::look_around(folder, say.clone()),
            Command::LookAt(file) => begin::look_at(file, say.clone()),
            Command::Draft(number, question) => self.begin.draft(number, *question, say.clone()),
            Command::Write(draft) => begin::write(*draft, say.clone()),
            Command::OpenProfile(profile) => {
                self.named = profile;
                *lock(&self.done) = None;
                self.plan(Selection::default(), say.clone());
            }
            Command::Ask(number, both, text) => self.ask.ask(number, &both, text, say),
            Command::StopAnswers => self.ask.stop(),
            Command::LookAtTrial(trial) => look_at_trial(*trial, say.clone()),
            Command::Skip(variant, skipped) => self.steer.skip(&variant, skipped),
            Command::First(variant) => self.steer.first(variant),
            Command::Search(asked) => self.hub.search(asked, say.clone()),
            Command::More(asked, next) => self.hub.more(asked, next, say.clone()),
            Command::ModelInfo(id) => self.hub.model_info(id, say.clone()),
            Command::Readme(name) => self.hub.readme(name, say.clone()),
            Command::Shelve { with_bandwidth } => hub::shelve(with_bandwidth, say.clone()),
            Command::Pull(wanted) => self.hub.pull(wanted, say),
            Command::Fetch(selection) => {
                let named = self.named.clone();
                let profile = move || Ok(selection.taken(&selection.whole(&run::profile(&named)?)));
                self.hub.fetch(profile, say.clone());
            }
            Command::StopPull(name) => self.hub.stop(&name, say),
            // the terminal's business, and the app's
            Command::Suspend | Command::Mouse(_) | Command::Copy(_) | Command::Quit => {}
            Command::Open(_) | Command::Close => {}
        }
    }

    /// Stops what is running and waits until its workers are gone.
    pub(super) fn finish(&mut self) {
        self.cancel.cancel();
        self.ask.stop();
        self.hub.finish();
        if let Some(running) = self.running.take() {
            // a panic of the job has been told on the screen already
            let _ = running.join();
        }
    }

    fn desk(&mut self, say: &Say) -> DeskJob {
        self.desk.get_or_insert_with(|| DeskJob::start(say.clone())).clone()
    }

    /// Plans what is wished last: a wish waits a moment for the next one, and what comes of an older one is not told.
    fn plan(&mut self, selection: Selection, say: Say) {
        let desk = self.desk(&say);
        let (named, planned, done) = (self.named.clone(), self.planned.clone(), self.done.clone());
        let (wish, deciding) = (self.wish.clone(), self.deciding.clone());
        let mine = wish.fetch_add(1, Ordering::SeqCst) + 1;
        thread::spawn(move || {
            let is_last = || wish.load(Ordering::SeqCst) == mine;
            if mine > 1 {
                thread::sleep(MOMENT);
            }
            if !is_last() {
                return;
            }
            say.say(Message::Catalog(Box::new(Catalog::here(Path::new(".")))));
            let made = caught(|| make_plan(&named, &selection));
            if !is_last() {
                return;
            }
            let (setup, profile, plan, rows) = match made {
                Ok(made) => made,
                Err(error) => return say.say(Message::Planned(Box::new(Err(crate::show::sentence(&error))))),
            };
            *lock(&planned) = Some((profile.clone(), plan.clone()));
            desk.lay(plan.run.clone(), profile.clone());
            say.say(Message::Planned(Box::new(Ok(setup))));
            if rows.is_empty() {
                *lock(&done) = None;
                return;
            }
            let _one = lock(&deciding);
            if !is_last() {
                return;
            }
            let ended = caught(|| Done::of(plan.run, rows, &profile, false, &Workplace::open()?));
            match ended {
                _ if !is_last() => {}
                Ok(ended) => tell(&say, ended, &done),
                Err(error) => say.say(Message::Planned(Box::new(Err(crate::show::sentence(&error))))),
            }
        });
    }

    fn start(&mut self, say: Say) {
        let Some((profile, mut plan)) = lock(&self.planned).clone() else { return };
        if let Some(before) = self.running.take() {
            let _ = before.join();
        }
        self.cancel = Cancel::new();
        self.steer = Steer::default();
        plan.steer = self.steer.clone();
        let (cancel, done, desk) = (self.cancel.clone(), self.done.clone(), self.desk(&say));
        self.running = Some(thread::spawn(move || {
            let ended = caught(|| {
                let mut workplace = Workplace::open()?;
                let kept = plan.run.trials.iter().filter(|t| plan.done.contains(&t.id));
                let kept = kept.filter_map(|t| {
                    let outcome = workplace.store.outcome_of(&t.id).ok()??;
                    Some(Row { trial: t.clone(), outcome })
                });
                desk.lay(plan.run.clone(), profile.clone());
                let mut listener = Listener::new(&plan, &profile, kept.collect(), say.clone());
                listener.desk = Some(desk.clone());
                run::execute(&plan, &profile, &mut workplace, &mut [&mut listener], &cancel)
            });
            desk.lay(plan.run.clone(), profile.clone());
            match ended {
                Ok(ended) => {
                    tell(&say, ended, &done);
                    say.say(Message::Over(None));
                }
                Err(error) => say.say(Message::Over(Some(crate::show::sentence(&error)))),
            }
        }));
    }

    fn report(&self, say: Say) {
        let done = self.done.clone();
        thread::spawn(move || {
            let written = caught(|| {
                let done = lock(&done);
                let Some(done) = done.as_ref() else { anyhow::bail!("nothing is measured yet; r starts the run") };
                let folder = Path::new("reports").join(&done.run.profile_name);
                report::write(&done.report(&Workplace::open()?.store)?, &folder)?;
                Ok(folder.join("report.html"))
            });
            say.say(Message::Reported(written.map_err(|e| crate::show::sentence(&e))));
        });
    }
}

/// The most of a worker's log that is shown: its end.
const LOG: usize = 16 << 10;

/// The share of right answers after each item, where the first score of all is one of right or wrong.
fn shares(items: &[ItemResult]) -> Vec<f64> {
    let scores = items.iter().map(|item| item.scores.first().filter(|s| s.metric.aggregation() == Aggregation::Mean));
    let values: Option<Vec<f64>> = scores.map(|score| score.map(|score| score.value)).collect();
    let (mut sum, mut shares) = (0.0, Vec::new());
    for (n, value) in values.unwrap_or_default().into_iter().enumerate() {
        sum += value;
        shares.push(sum / (n + 1) as f64);
    }
    if shares.iter().all(|share| (0.0..=1.0).contains(share)) { shares } else { Vec::new() }
}

/// Looks what the store and the log have of a trial.
fn look_at_trial(trial: Trial, say: Say) {
    thread::spawn(move || {
        let looked = caught(|| {
            let workplace = Workplace::open()?;
            let prompts = match &trial.ask {
                Ask::Task(task) => {
                    examine::prompts(task, trial.conditions.limit).map_err(|e| crate::show::sentence(&e))
                }
                Ask::Speed(_) => Ok(Default::default()),
            };
            let log = std::fs::read(workplace.home.log(&trial.id)).unwrap_or_default();
            let samples = workplace.store.samples_of(&trial.id)?;
            let items = workplace.store.items_of(&trial.id)?;
            Ok(Recorded {
                shares: shares(&items),
                last: items.into_iter().next_back(),
                prompts,
                repeats: samples.iter().filter_map(rate).collect(),
                log: String::from_utf8_lossy(&log[log.len().saturating_sub(LOG)..]).into_owned(),
            })
        });
        match looked {
            Ok(recorded) => say.say(Message::Recorded(trial.id, Box::new(recorded))),
            Err(error) => say.say(Message::Refused(crate::show::sentence(&error))),
        }
    });
}

/// How often the load is looked at.
const LOAD: Duration = Duration::from_secs(2);

/// Tells the load of this host as long as somebody listens.
pub(super) fn watch_load(say: Say, ended: Arc<AtomicBool>) {
    thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            let load = bantam_host::card::Load::read(&bantam_host::card::Roots::default());
            if let Some([minute, ..]) = load.average.known() {
                say.say(Message::Load(*minute));
            }
            thread::sleep(LOAD);
        }
    });
}

/// Writes a profile under the first name that is free.
fn save(profile: Profile, say: Say) {
    thread::spawn(move || {
        let file = run::decide::free_file(&profile.name);
        let saved = caught(|| run::decide::save(&profile, &file)).map(|()| file);
        say.say(Message::Saved(saved.map_err(|e| crate::show::sentence(&e))));
    });
}

/// Sends results and advice to the screen and keeps them for the report.
fn tell(say: &Say, ended: Done, done: &Mutex<Option<Done>>) {
    let unfinished = unfinished(&ended.run, &ended.rows).is_some();
    say.say(Message::Results(Box::new(describe::results(&ended.rows, &ended.advice, !unfinished))));
    let how_to_run = describe::how_to_run(&ended);
    say.say(Message::Advised(Box::new(Told { words: ended.words(), unfinished, how_to_run })));
    *lock(done) = Some(ended);
}

/// A panic of a job is an error of the job, not the end of the workbench.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(anyhow::anyhow!("bantam has a fault: {text}; what is finished is kept"))
    })
}

type Made = (Setup, Profile, Plan, Vec<Row>);

fn make_plan(named: &Path, selection: &Selection) -> Result<Made> {
    let whole = selection.whole(&run::profile(named)?);
    let profile = selection.taken(&whole);
    let mut workplace = Workplace::open()?;
    let plan = run::plan(&profile, &mut workplace, false).map_err(|error| with_remedy(error, &profile))?;
    let mut rows = Vec::new();
    for trial in &plan.run.trials {
        if let Some(outcome) = workplace.store.outcome_of(&trial.id)? {
            rows.push(Row { trial: trial.clone(), outcome });
        }
    }
    if let Some(lock) = Lock::read_beside(named)? {
        lock.check(&plan, &profile)?;
    }
    let setup = describe::setup(&whole, &profile, &plan, &rows);
    Ok((setup, profile, plan, rows))
}

/// What is missing can be fetched: the error says how.
fn with_remedy(error: anyhow::Error, profile: &Profile) -> anyhow::Error {
    match run::fetch::missing(profile).is_ok_and(|missing| !missing.is_empty()) {
        true => anyhow::anyhow!("{}; f fetches what the profile names of the hub", crate::show::sentence(&error)),
        false => error,
    }
}

/// Passes events on, and has the results worked out anew after every trial, on a thread of its own: intervals take a
/// while, and a job must not wait for them.
struct Listener {
    say: Say,
    plan: Plan,
    finished: Sender<Row>,
    desk: Option<DeskJob>,
}

impl Listener {
    fn new(plan: &Plan, profile: &Profile, kept: Vec<Row>, say: Say) -> Listener {
        let (finished, rows) = channel();
        let (profile, to) = (profile.clone(), say.clone());
        thread::spawn(move || work_out(&profile, kept, &rows, &to));
        Listener { say, plan: plan.clone(), finished, desk: None }
    }
}

fn work_out(profile: &Profile, mut rows: Vec<Row>, finished: &Receiver<Row>, say: &Say) {
    let workplace = Workplace::open();
    let known: &dyn Known = workplace.as_ref().map_or(&Nothing, |workplace| &workplace.store);
    while let Ok(row) = finished.recv() {
        rows.push(row);
        rows.extend(finished.try_iter());
        say.say(Message::Results(Box::new(describe::results(&rows, &advise_knowing(&rows, profile, known), false))));
    }
}

impl Observer for Listener {
    fn on(&mut self, event: &Event) {
        self.say.say(Message::Run(Box::new(event.clone())));
        if let Event::Finished { trial, outcome } = event
            && let Some(trial) = self.plan.run.trials.iter().find(|t| t.id == *trial)
        {
            // the results' thread ends with the job
            let _ = self.finished.send(Row { trial: trial.clone(), outcome: (**outcome).clone() });
            self.desk.iter().for_each(DeskJob::more);
        }
    }
}
