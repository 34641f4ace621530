//! One run of a profile, whole: read it, fetch what it names, plan it, do what is missing, decide. The workbench and every headless command
//! call this and nothing beside it, so that nothing exists on only one of them.

use crate::library::config;
use crate::library::extends;
use crate::library::home::Home;
use crate::library::inventory;
use crate::run::plan::Plan;
use crate::run::process::Process;
use crate::run::racing::Racing;
use crate::run::schedule::{Exhaustive, Scheduler};
use anyhow::{Context, Result, bail};
use bantam_bundled::profiles;
use bantam_core::cancel::Cancel;
use bantam_core::event::Observer;
use bantam_core::meant::meant_words;
use bantam_core::profile::{Profile, Race};
use bantam_core::record::{Row, Run};
use bantam_hub::Settings;
use bantam_verdict::recommend::advice::words::Words;
use bantam_verdict::recommend::systems::{self, Systems};
use bantam_verdict::recommend::{Advice, advice, advise_knowing};
use bantam_verdict::report::{self, AdvisedFile, Page};
use bantam_verdict::store::Store;
use std::collections::BTreeSet;
use std::path::Path;

pub use advised::{place, quoted};

mod advised;
mod at_chance;
pub mod decide;
pub mod deployed;
pub mod device;
mod divergence;
pub mod emit;
mod endpoints;
pub mod engine;
pub mod examine;
pub mod fetch;
pub mod load;
pub mod lock;
pub mod lost;
pub mod merge;
pub mod plan;
pub mod process;
pub mod protocol;
pub mod racing;
pub mod remaining;
pub mod runner;
pub mod schedule;
pub mod session;
pub mod spec;
pub mod steer;
pub mod worker;

#[cfg(test)]
mod tests;

/// Where results are kept, opened.
pub struct Workplace {
    pub home: Home,
    pub store: Store,
}

impl Workplace {
    /// # Errors
    /// One sentence on the folder or the store that cannot be used.
    pub fn open() -> Result<Workplace> {
        let home = Home::find()?;
        let store = Store::open(&home.store())?;
        Ok(Workplace { home, store })
    }
}

/// A run that has ended, and what it comes to.
pub struct Done {
    pub run: Run,
    /// Without their items, which the store has.
    pub rows: Vec<Row>,
    pub advice: Advice,
    /// Somebody stopped it; the rows are those that were finished.
    pub cancelled: bool,
    /// Where the file of what is advised is, and how to run it; None where nothing is advised.
    pub file: Option<AdvisedFile>,
}

impl Done {
    /// Rows as they are in the store, decided upon; what was worked out of them before is in the store, too.
    ///
    /// # Errors
    /// Where the profile's limits are meant for a device that is not known.
    pub fn of(run: Run, rows: Vec<Row>, profile: &Profile, cancelled: bool, workplace: &Workplace) -> Result<Done> {
        let (rows, profile, systems) = decidable(rows, profile, workplace)?;
        let advice = Advice { systems, ..advise_knowing(&rows, &profile, &workplace.store) };
        let file = advised::file(&advice, &run, workplace);
        Ok(Done { run, rows, advice, cancelled, file })
    }

    /// The rows with all their items, one after the other.
    ///
    /// # Errors
    /// The store's.
    pub fn whole_rows(&self, workplace: &Workplace) -> impl Iterator<Item = Result<Row>> {
        self.rows.iter().map(|row| {
            let mut row = row.clone();
            if row.outcome.items.is_empty() {
                row.outcome.items = workplace.store.items_of(&row.trial.id)?;
            }
            Ok(row)
        })
    }

    /// The report.
    pub fn page(&self) -> Page {
        report::page(&self.run, &self.rows, &self.advice, self.file.as_ref())
    }

    /// The report with what each item gave, which results.json has for those who hold another run against this one.
    ///
    /// # Errors
    /// The store's.
    pub fn whole_page(&self, store: &Store) -> Result<Page> {
        let mut page = self.page();
        for row in &self.rows {
            match row.outcome.items.is_empty() {
                true => page.add_scores(&row.trial, &store.items_of(&row.trial.id)?),
                false => page.add_scores(&row.trial, &row.outcome.items),
            }
        }
        Ok(page)
    }

    /// The same for a folder of its own, on whose page limits and margins can be turned, which takes longer to make.
    ///
    /// # Errors
    /// The store's, and that of a stored profile.
    pub fn report(&self, store: &Store) -> Result<Page> {
        let mut page = self.whole_page(store)?;
        let profile = Profile::from_resolved(&self.run.profile)
            .with_context(|| format!("the stored profile of run {}", self.run.id))?;
        page.add_choices(&self.run, &self.rows, &profile, store);
        Ok(page)
    }

    /// How many trials are over, and of how many, where somebody stopped it before its end.
    pub fn stopped(&self) -> Option<(usize, usize)> {
        advice::unfinished(&self.run, &self.rows).filter(|_| self.cancelled)
    }

    /// What it comes to, in words; an unfinished run advises nothing.
    pub fn words(&self) -> Words {
        advice::told(&self.run, &self.rows, &self.advice)
    }
}

/// Rows as they are decided over, and the profile by which: speeds are those of the device that limits are meant for, and the
/// systems that the profile asks for stand behind the variants; with what systems come to.
///
/// # Errors
/// Where the device is not known, or this machine has no card of its own.
pub fn decidable(
    rows: Vec<Row>,
    profile: &Profile,
    workplace: &Workplace,
) -> Result<(Vec<Row>, Profile, Option<Systems>)> {
    let (mut rows, profile) = device::translated(rows, profile, workplace)?;
    let Some((systems, composed)) = systems::consider(&rows, &profile, &workplace.store) else {
        return Ok((rows, profile, None));
    };
    rows.extend(composed);
    Ok((rows, profile, Some(systems)))
}

/// A profile file, or a bundled profile by its name.
///
/// # Errors
/// One sentence naming the file, the key or line, and what is allowed.
pub fn profile(named: &Path) -> Result<Profile> {
    profile_offline_if(named, false)
}

/// The same; where it extends one at an address and is `offline`, that has to be here.
///
/// # Errors
/// As [`profile`].
pub fn profile_offline_if(named: &Path, offline: bool) -> Result<Profile> {
    let mut profile = read_profile(named, offline)?;
    let threads = config::settled().threads.as_ref().map(|given| given.value);
    profile.measure.threads = profile.measure.threads.or(threads);
    Ok(profile)
}

fn read_profile(named: &Path, offline: bool) -> Result<Profile> {
    if let Some(text) = named.to_str().and_then(profiles::text).filter(|_| !named.exists()) {
        return Ok(Profile::parse(text, named)?);
    }
    if !named.exists() {
        let names: Vec<&str> = profiles::PROFILES.iter().map(|(name, _)| *name).collect();
        bail!(
            "{}: no such profile{}; give a TOML file or the name of a bundled one: {}",
            named.display(),
            meant_profile(named, &names),
            names.join(", ")
        );
    }
    let bring = |address: &str| {
        let offline = offline || Settings::from_env().is_ok_and(|settings| settings.offline);
        extends::bring(address, offline).map_err(|error| format!("{error:#}"))
    };
    Ok(Profile::load_with(named, &bring)?)
}

/// " (profiles/quickstart.toml?)" behind a path that may have meant a profile beside it, or a bundled one.
fn meant_profile(named: &Path, bundled: &[&str]) -> String {
    let folder = named.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let profiles = files.filter(|file| file.extension().is_some_and(|ending| ending == "toml"));
    let beside: Vec<String> =
        profiles.map(|file| file.strip_prefix("./").unwrap_or(&file).display().to_string()).collect();
    let typed = named.strip_prefix("./").unwrap_or(named).display().to_string();
    meant_words(&typed, beside.iter().map(String::as_str).chain(bundled.iter().copied()))
}

/// Plans a profile. `fresh` has everything measured again; what the store has of a trial stays until its turn comes.
pub fn plan(profile: &Profile, workplace: &mut Workplace, fresh: bool) -> Result<Plan> {
    let mut plan = Plan::make(profile, &workplace.store)?;
    if fresh {
        plan.again = plan.run.trials.iter().map(|trial| trial.id.clone()).collect();
        plan.done.clear();
    }
    Ok(plan)
}

/// Does what is missing of a plan in worker processes, and decides.
pub fn execute(
    plan: &Plan,
    profile: &Profile,
    workplace: &mut Workplace,
    observers: &mut [&mut dyn Observer],
    cancel: &Cancel,
) -> Result<Done> {
    inventory::sweep(&workplace.home);
    let mut runner = Process::new(&workplace.home).context("cannot find bantam's own binary to start workers from")?;
    let scheduler: &mut dyn Scheduler = match profile.race {
        Race::Off => &mut Exhaustive::of(plan),
        Race::Futility | Race::Fast => &mut Racing::of(plan, profile),
    };
    let rows = session::run(plan, scheduler, &mut runner, &mut workplace.store, observers, cancel)?;
    divergence::measure(plan, profile, &rows, workplace, cancel)?;
    // when it ended stands in the store
    let finished = workplace.store.run(&plan.run.id)?.and_then(|run| run.finished);
    let run = Run { finished, ..plan.run.clone() };
    Done::of(run, rows, profile, cancel.is_cancelled(), workplace)
}

/// What can be reported, profiles first: a command's run is called as the command is.
fn stored_runs(names: impl Iterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.collect();
    let (commands, profiles): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| COMMANDS.contains(&name.as_str()));
    let profiles = match profiles.is_empty() {
        true => "no profile's run is stored yet; `bantam run PROFILE` makes one".to_owned(),
        false => format!("runs of these profiles are stored: {}", profiles.join(", ")),
    };
    match &commands[..] {
        [] => profiles,
        commands => {
            let commands: Vec<String> = commands.iter().map(|name| format!("{name} (`bantam {name}`)")).collect();
            format!("{profiles}; of commands the latest run each: {}", commands.join(", "))
        }
    }
}

/// Commands whose run is stored under their own name.
const COMMANDS: [&str; 3] = ["bench", "compare", "eval"];

/// A stored run again: by its id, or the latest of a profile's name.
pub fn stored(named: &str, workplace: &Workplace) -> Result<Done> {
    let (run, rows, profile) = laid_out(named, workplace)?;
    Done::of(run, rows, &profile, false, workplace)
}

/// A stored run with its rows, without their items, and its profile: ready to be decided over.
pub fn laid_out(named: &str, workplace: &Workplace) -> Result<(Run, Vec<Row>, Profile)> {
    let id = bantam_core::record::Id(named.into());
    let found = match workplace.store.run(&id)? {
        Some(run) => Some(run),
        None => workplace.store.latest(named)?,
    };
    let Some(run) = found else {
        let names: Vec<String> = workplace.store.runs()?.into_iter().map(|run| run.profile_name).collect();
        bail!(
            "no run is called '{named}'{}; {}",
            meant_words(named, names.iter().map(String::as_str)),
            stored_runs(names.iter().cloned())
        );
    };
    let rows = workplace.store.light_rows(&run.id)?;
    let profile =
        Profile::from_resolved(&run.profile).with_context(|| format!("the stored profile of run {}", run.id))?;
    Ok((run, rows, profile))
}
