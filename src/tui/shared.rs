//! What all screens share: the profile and what of it is taken in, how the run is, what came of it, the line at the foot.
//! It knows no screen.

use super::action::{Command, Page, Selection};
use super::progress::{RunProgress, RunState};
use super::results::{Results, Told};
use super::setup::{ModelEntry, Setup};
use super::theme::Theme;
use crate::library::catalog::Catalog;
use crate::show::counted;
use bantam_core::event::Event;
use bantam_core::profile::{Prefer, Race};
use bantam_core::record::{Id, LeftOut, Variant};
use ratatui::layout::Rect;
use std::path::Path;

/// Why a variant is neither skipped nor put first.
const NO_STEER: &str = "no run goes on that could be steered; a race decides itself whom it asks";

pub(super) struct Shared {
    pub profile_name: String,
    /// The last plan that could be made; None before the first.
    pub setup: Option<Setup>,
    /// Why the newest wish could not be planned; what is shown below it is the last plan that could.
    pub error: Option<String>,
    /// A wish to plan is on its way: what is shown is not it yet.
    pub planning: bool,
    pub selection: Selection,
    /// What it was before each change.
    before: Vec<Selection>,
    /// What there is to choose from on this machine.
    pub catalog: Catalog,
    pub progress: RunProgress,
    pub results: Results,
    pub advice: Option<Told>,
    /// So many comparisons are being worked out; results and advice are those of before.
    pub working: Option<usize>,
    /// The variant that the next one is compared with, and its name.
    pub held: Option<(Id, String)>,
    /// One line at the foot: a report written, a wish that cannot be met now.
    pub notice: Option<String>,
    /// Processes that want a processor here; None where the system does not tell.
    pub load: Option<f64>,
    /// The number of the last prompt for two variants.
    pub asked: u64,
    /// A pull that is going on, and how far it is.
    pub pull: Option<(String, f64)>,
    pub clock: f64,
    pub size: Rect,
    pub theme: Theme,
    /// Clicks come here, and not to the terminal.
    pub mouse: bool,
}

impl Shared {
    pub(super) fn new(profile_name: String, theme: Theme, size: Rect) -> Shared {
        Shared {
            profile_name,
            setup: None,
            error: None,
            planning: false,
            selection: Selection::default(),
            before: Vec::new(),
            catalog: Catalog::default(),
            progress: RunProgress::default(),
            results: Results::default(),
            advice: None,
            working: None,
            held: None,
            notice: None,
            load: None,
            pull: None,
            asked: 0,
            clock: 0.0,
            size,
            theme,
            mouse: true,
        }
    }

    /// Goes on with another profile: nothing of the one before is left.
    pub(super) fn begin(&mut self, profile: &Path) {
        let name = profile.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        *self = Shared {
            notice: self.notice.take(),
            load: self.load,
            pull: self.pull.take(),
            asked: self.asked,
            clock: self.clock,
            mouse: self.mouse,
            planning: true,
            catalog: std::mem::take(&mut self.catalog),
            ..Shared::new(name, self.theme, self.size)
        };
    }

    pub(super) fn ready(&self) -> Option<&Setup> {
        self.setup.as_ref()
    }

    /// What the profile asks for and cannot be made.
    pub(super) fn unmakable(&self) -> &[LeftOut] {
        self.setup.as_ref().map_or(&[], |setup| &setup.unmakable)
    }

    /// What is shown of results and advice is not of the present selection, or not yet.
    pub(super) fn is_old(&self) -> bool {
        self.planning || self.working.is_some() || self.error.is_some()
    }

    /// Why what is shown is of before, as a title.
    pub(super) fn why_old(&self) -> &'static str {
        match self.error {
            Some(_) => "Of before the change, which cannot be planned (1 says why)",
            None => "Of before; what follows from the change is being worked out",
        }
    }

    /// The advice is there, and rests on all that was planned.
    pub(super) fn is_decided(&self) -> bool {
        !self.is_old() && self.advice.as_ref().is_some_and(|told| !told.unfinished)
    }

    /// What is being worked out, in words.
    pub(super) fn working_words(&self) -> Option<String> {
        match self.working {
            Some(0) => Some("working out the results …".into()),
            Some(n) => Some(format!("working out {} …", counted(n, "comparison"))),
            None if self.planning && self.setup.is_some() => Some("planning …".into()),
            None => None,
        }
    }

    pub(super) fn running(&self) -> bool {
        matches!(self.progress.state, RunState::Running | RunState::Stopping)
    }

    /// Says a line at the foot, and wants nothing.
    pub(super) fn refuse(&mut self, why: &str) -> Option<Command> {
        self.notice = Some(why.into());
        None
    }

    pub(super) fn planned(&mut self, planned: Result<Setup, String>) {
        self.planning = false;
        match planned {
            Ok(setup) => self.take(setup),
            Err(error) => self.keep(error),
        }
    }

    fn take(&mut self, setup: Setup) {
        self.profile_name = setup.profile.name.clone();
        let fit = |list: &mut Vec<bool>, len: usize| list.resize(len, true);
        fit(&mut self.selection.models, setup.models.len());
        fit(&mut self.selection.suites, setup.suites.len());
        fit(&mut self.selection.recipes, setup.profile.recipes.len());
        if !self.running() {
            self.progress.plan(setup.trials.clone(), setup.done.iter().cloned());
            let kept = self.progress.counts().0;
            self.working = (kept > 0).then(|| self.progress.comparisons());
            if kept == 0 {
                (self.results, self.advice) = (Results::default(), None);
            }
        }
        (self.setup, self.error) = (Some(setup), None);
    }

    /// An error of planning takes nothing away; what was added stands among the models, so that it can be taken out.
    fn keep(&mut self, error: String) {
        if let Some(setup) = &mut self.setup {
            for name in &self.selection.pulled {
                if !setup.models.iter().any(|entry| entry.typed == *name) {
                    let info = Err("it could not be planned; see above, and d takes it away again".to_owned());
                    setup.models.push(ModelEntry { name: name.clone(), typed: name.clone(), info });
                }
            }
            self.selection.models.resize(setup.models.len(), true);
        }
        (self.error, self.working) = (Some(error), None);
    }

    /// Takes a model away again that was added to the profile's.
    pub(super) fn take_away(&mut self, line: usize) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on; stop it (3, then x) to change what is tried");
        }
        let here = self.setup.as_ref().and_then(|setup| setup.models.get(line)).map(|entry| entry.typed.clone());
        // before the first plan there is no list to choose from: the last one that was added
        let name = if self.setup.is_some() { here } else { self.selection.pulled.last().cloned() };
        let Some(at) = name.and_then(|name| self.selection.pulled.iter().position(|pulled| *pulled == name)) else {
            return self.refuse("that is the profile's own; space leaves it out");
        };
        let name = self.selection.pulled.remove(at);
        if let Some(setup) = &mut self.setup
            && let Some(line) = setup.models.iter().position(|entry| entry.typed == name)
        {
            setup.models.remove(line);
            if line < self.selection.models.len() {
                self.selection.models.remove(line);
            }
        }
        if !self.selection.models.contains(&true) {
            self.selection.models.fill(true);
        }
        self.notice = Some(format!("{name} is not tried any more; its files stay"));
        Some(Command::Plan(self.selection.clone()))
    }

    /// Something happened in the run.
    pub(super) fn heard(&mut self, event: &Event) {
        self.progress.on(event, self.clock);
        if let Event::Finished { trial, outcome } = event
            && outcome.result.is_ok()
        {
            self.measured(trial);
        }
        if let Event::Ended { .. } = event {
            self.working = Some(self.progress.comparisons());
        }
    }

    /// The plan knows of a trial that is measured now.
    fn measured(&mut self, trial: &Id) {
        let Some(setup) = &mut self.setup else { return };
        if !setup.done.insert(trial.clone()) {
            return;
        }
        let label = setup.trials.iter().find(|known| known.id == *trial).map(|known| known.variant.label());
        if let Some(row) = setup.grid.iter_mut().find(|row| Some(&row.label) == label.as_ref()) {
            row.done += 1;
        }
    }

    /// Leaves a variant out of the run that goes on, or takes it in again.
    pub(super) fn skip(&mut self, variant: &Variant) -> Option<Command> {
        if !self.can_steer() {
            return self.refuse(NO_STEER);
        }
        let skipped = !self.progress.skipped.remove(&variant.id);
        let label = variant.label();
        self.notice = Some(match skipped {
            true => format!("{label} is left out of this run; s takes it in again, and the next run asks it"),
            false => format!("{label} is in the run again"),
        });
        if skipped {
            self.progress.skipped.insert(variant.id.clone());
        }
        Some(Command::Skip(variant.id.clone(), skipped))
    }

    /// Has a variant's tasks come next in the run that goes on.
    pub(super) fn first(&mut self, variant: &Variant) -> Option<Command> {
        if !self.can_steer() {
            return self.refuse(NO_STEER);
        }
        let label = variant.label();
        let is_first = self.progress.first.as_ref() != Some(&variant.id);
        self.progress.first = is_first.then(|| variant.id.clone());
        self.notice = Some(match is_first {
            true => format!("the tasks of {label} come next"),
            false => "the tasks come in their own order again".into(),
        });
        Some(Command::First(self.progress.first.clone()))
    }

    /// Whether the run that goes on can be steered: a race decides itself whom it asks.
    fn can_steer(&self) -> bool {
        self.running() && self.ready().is_some_and(|setup| setup.profile.race == Race::Off)
    }

    pub(super) fn advised(&mut self, told: Told) {
        (self.advice, self.working) = (Some(told), None);
    }

    /// The run is over and whatever came of it is told.
    pub(super) fn ended(&mut self) {
        self.progress.end(self.clock);
        self.working = None;
    }

    /// Takes a line of one of the selection's lists in, or leaves it out; one always stays in.
    pub(super) fn toggle(&mut self, list: fn(&mut Selection) -> &mut Vec<bool>, line: usize) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on; stop it (3, then x) to change what is tried");
        }
        let before = self.selection.clone();
        let list = list(&mut self.selection);
        let chosen = list.iter().filter(|b| **b).count();
        let item = list.get_mut(line)?;
        if *item && chosen == 1 {
            return self.refuse("at least one has to stay in");
        }
        *item = !*item;
        self.before.push(before);
        Some(Command::Plan(self.selection.clone()))
    }

    /// Changes the selection, so that it can be taken back.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Selection)) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on; stop it (3, then x) to change what is tried");
        }
        let before = self.selection.clone();
        change(&mut self.selection);
        if self.selection == before {
            return self.refuse("that is so already");
        }
        self.before.push(before);
        Some(Command::Plan(self.selection.clone()))
    }

    /// Takes the last change of the selection back.
    pub(super) fn undo(&mut self) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on; stop it (3, then x) to change what is tried");
        }
        match self.before.pop() {
            None => self.refuse("there is nothing to take back"),
            Some(before) => {
                self.selection = before;
                Some(Command::Plan(self.selection.clone()))
            }
        }
    }

    pub(super) fn can_undo(&self) -> bool {
        !self.running() && !self.before.is_empty()
    }

    /// Writes what is taken in as a profile beside the others.
    pub(super) fn save(&mut self) -> Option<Command> {
        match (self.running(), self.ready()) {
            (true, _) => self.refuse("the run is going on; it is saved when it is over"),
            (_, None) => self.refuse("there is no plan yet; try again in a moment"),
            (_, Some(setup)) => Some(Command::Save(Box::new(self.selection.taken(&setup.profile)))),
        }
    }

    /// Whether a line that is taken in or not can be turned now.
    pub(super) fn can_take(&self, taken: Option<bool>) -> bool {
        !self.running() && taken.is_some()
    }

    /// Prefers the next of smallest, fastest and leanest.
    pub(super) fn prefer(&mut self) -> Option<Command> {
        let current = self.selection.prefer.or(self.ready().map(|s| s.profile.objective.prefer))?;
        if self.running() {
            self.selection.prefer = Some(current);
            return self.refuse("the run is going on; stop it (3, then x) to change the objective");
        }
        self.before.push(self.selection.clone());
        self.selection.prefer = Some(match current {
            Prefer::Smallest => Prefer::Fastest,
            Prefer::Fastest => Prefer::Leanest,
            Prefer::Leanest => Prefer::Weighed,
            Prefer::Weighed => Prefer::SecondsPerCorrect,
            Prefer::SecondsPerCorrect => Prefer::TokensPerCorrect,
            Prefer::TokensPerCorrect => Prefer::JoulesPerCorrect,
            Prefer::JoulesPerCorrect => Prefer::CentsPerCorrect,
            Prefer::CentsPerCorrect => Prefer::Smallest,
        });
        Some(Command::Plan(self.selection.clone()))
    }

    /// Holds a variant for the next one, or compares it with the one that is held.
    pub(super) fn compare(&mut self, id: &Id, label: &str) -> Option<Command> {
        match self.held.take() {
            Some((held, _)) if held == *id => self.refuse(&format!("{label} is held no more")),
            Some((held, _)) => Some(Command::Open(Page::Contrast(held, id.clone()))),
            None => {
                self.held = Some((id.clone(), label.to_owned()));
                self.refuse(&format!("{label} is held: c on another variant holds that one against it"))
            }
        }
    }

    /// Whether a line of one of the selection's lists can be taken in or left out now.
    pub(super) fn can_toggle(&self, list: &[bool], line: usize) -> bool {
        let others = list.iter().enumerate().any(|(n, taken)| *taken && n != line);
        !self.running() && list.get(line).is_some_and(|taken| !*taken || others)
    }

    /// Whether the objective can be changed now.
    pub(super) fn can_prefer(&self) -> bool {
        !self.running() && self.ready().is_some()
    }

    /// Whether there is something to write a report of.
    pub(super) fn can_report(&self) -> bool {
        !self.is_old() && !self.results.rows.is_empty()
    }

    /// Whether a run can begin now.
    pub(super) fn can_start(&self) -> bool {
        !self.running() && self.error.is_none() && self.setup.is_some() && !self.planning
    }

    /// Whether the model of a line was added to the profile's.
    pub(super) fn can_take_away(&self, line: usize) -> bool {
        let here = self.setup.as_ref().and_then(|setup| setup.models.get(line));
        !self.running()
            && match (&self.setup, here) {
                (None, _) => !self.selection.pulled.is_empty(),
                (Some(_), here) => here.is_some_and(|entry| self.selection.pulled.contains(&entry.typed)),
            }
    }

    pub(super) fn report(&mut self) -> Option<Command> {
        match (self.is_old(), self.results.rows.is_empty()) {
            (true, _) => self.refuse("the results are being worked out; try again in a moment"),
            (false, true) => self.refuse("nothing is measured yet; r starts the run"),
            (false, false) => Some(Command::Report),
        }
    }

    /// Begins the run, if there is one to begin.
    pub(super) fn start(&mut self) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on already");
        }
        match (&self.error, &self.setup) {
            (Some(_), _) => self.refuse("this cannot be run; see the message on 1 Models"),
            (None, None) => self.refuse("still reading the profile; try again in a moment"),
            (None, Some(_)) if self.planning => self.refuse("still planning the change; try again in a moment"),
            (None, Some(_)) => {
                self.progress.begin(self.clock);
                (self.advice, self.working) = (None, None);
                Some(Command::Start)
            }
        }
    }

    pub(super) fn stop(&mut self) -> Option<Command> {
        if self.progress.state != RunState::Running {
            return self.refuse("nothing is running; r starts");
        }
        self.progress.state = RunState::Stopping;
        Some(Command::Stop)
    }
}
