//! What all screens share: the profile and what of it is taken in, how the run is, what came of it, the line at the foot.
//! It knows no screen.

use super::action::{Command, Selection};
use super::progress::{RunProgress, RunState};
use super::results::Results;
use super::setup::Setup;
use super::theme::Theme;
use bantam_core::profile::Prefer;
use bantam_verdict::recommend::advice::words::Words;
use ratatui::layout::Rect;

pub(super) struct Shared {
    pub profile_name: String,
    /// None while it is being planned.
    pub setup: Option<Result<Setup, String>>,
    pub selection: Selection,
    pub progress: RunProgress,
    pub results: Results,
    pub advice: Option<Words>,
    /// One line at the foot: a report written, a wish that cannot be met now.
    pub notice: Option<String>,
    pub clock: f64,
    pub size: Rect,
    pub theme: Theme,
}

impl Shared {
    pub(super) fn new(profile_name: String, theme: Theme, size: Rect) -> Shared {
        Shared {
            profile_name,
            setup: None,
            selection: Selection::default(),
            progress: RunProgress::default(),
            results: Results::default(),
            advice: None,
            notice: None,
            clock: 0.0,
            size,
            theme,
        }
    }

    pub(super) fn ready(&self) -> Option<&Setup> {
        self.setup.as_ref().and_then(|s| s.as_ref().ok())
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
        if let Ok(setup) = &planned {
            self.profile_name = setup.profile.name.clone();
            let fit = |list: &mut Vec<bool>, len: usize| list.resize(len, true);
            fit(&mut self.selection.models, setup.models.len());
            fit(&mut self.selection.suites, setup.suites.len());
            if self.selection.recipes.is_empty() {
                fit(&mut self.selection.recipes, setup.profile.recipes.len());
            }
            if !self.running() {
                self.progress.plan(setup.trials.clone(), setup.done.iter().cloned());
            }
        }
        self.setup = Some(planned);
    }

    /// Takes a line of one of the selection's lists in, or leaves it out; one always stays in.
    pub(super) fn toggle(&mut self, list: fn(&mut Selection) -> &mut Vec<bool>, line: usize) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on; stop it (3, then x) to change what is tried");
        }
        let list = list(&mut self.selection);
        let chosen = list.iter().filter(|b| **b).count();
        let item = list.get_mut(line)?;
        if *item && chosen == 1 {
            return self.refuse("at least one has to stay in");
        }
        *item = !*item;
        Some(Command::Plan(self.selection.clone()))
    }

    /// Prefers the next of smallest, fastest and leanest.
    pub(super) fn prefer(&mut self) -> Option<Command> {
        let current = self.selection.prefer.or(self.ready().map(|s| s.profile.objective.prefer))?;
        if self.running() {
            self.selection.prefer = Some(current);
            return self.refuse("the run is going on; stop it (3, then x) to change the objective");
        }
        self.selection.prefer = Some(match current {
            Prefer::Smallest => Prefer::Fastest,
            Prefer::Fastest => Prefer::Leanest,
            Prefer::Leanest => Prefer::Smallest,
        });
        Some(Command::Plan(self.selection.clone()))
    }

    pub(super) fn report(&mut self) -> Option<Command> {
        if self.results.rows.is_empty() {
            return self.refuse("nothing is measured yet; r starts the run");
        }
        Some(Command::Report)
    }

    /// Begins the run, if there is one to begin.
    pub(super) fn start(&mut self) -> Option<Command> {
        if self.running() {
            return self.refuse("the run is going on already");
        }
        match &self.setup {
            Some(Ok(_)) => {
                self.progress.begin(self.clock);
                self.advice = None;
                Some(Command::Start)
            }
            Some(Err(_)) => self.refuse("the profile cannot be run; see the message above"),
            None => self.refuse("still reading the profile; try again in a moment"),
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
