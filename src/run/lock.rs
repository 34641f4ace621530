//! profile.lock: what a profile was measured with, pinned beside it. A run that finds one refuses to measure anything else
//! under the profile's name, and says which weight, which line of a suite or which engine it is.
//!
//! Models are pinned by their files (SHA-256) and each of their tensors, tasks by each item as it is asked and by what stands
//! beside the items, recipes by their steps, the engine by its revision; not by its instruction set, which differs from machine
//! to machine of one team and stands in every trial. What the lock has and the profile does not ask for does no harm.

use crate::library::pins::{self, FilePin};
use crate::library::suites;
use crate::run::engine;
use crate::run::plan::{Plan, battery};
use anyhow::{Context, Result, anyhow, bail, ensure};
use bantam_core::input;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Id, ModelRef, TaskRef, Variant};
use bantam_core::unit::counted;
use bantam_eval::TaskPrints;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Raised where a key changes its meaning.
const VERSION: u32 = 1;
/// The most bytes of a lock: the lines of a hundred large tasks.
const MOST: u64 = 256 << 20;
/// Changes that are named; the rest is counted.
const NAMED: usize = 3;

/// What is pinned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The version of bantam that wrote it; for people.
    bantam: String,
    /// The engine's revision.
    engine: String,
    #[serde(default, rename = "model")]
    models: Vec<ModelPin>,
    #[serde(default, rename = "recipe")]
    recipes: Vec<RecipePin>,
    #[serde(default, rename = "task")]
    tasks: Vec<TaskPin>,
    /// Where it was read; for sentences.
    #[serde(skip)]
    file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelPin {
    name: String,
    /// The identity of its files.
    digest: Id,
    /// Of one from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(rename = "file")]
    files: Vec<FilePin>,
    /// Each tensor by its hash.
    tensors: BTreeMap<String, Id>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipePin {
    name: String,
    /// Of its steps, with the hashes of the files that they name.
    digest: Id,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskPin {
    task: String,
    suite: String,
    /// As the profile asked it when it was pinned.
    digest: Id,
    /// Of what stands beside the items.
    beside: Id,
    /// Each item: its line, and the hash of what is asked.
    lines: Vec<String>,
}

/// The lock of a profile: beside its file, or here for a bundled one.
pub fn beside(profile: &Path) -> PathBuf {
    match profile.extension() {
        Some(_) => profile.with_extension("lock"),
        None => PathBuf::from(format!("{}.lock", profile.display())),
    }
}

impl Lock {
    /// Pins what a plan found. Models and suites are read once more, to have each tensor and each line.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn of(plan: &Plan, profile: &Profile) -> Result<Lock> {
        let models = models(plan).into_iter().map(ModelPin::of).collect::<Result<_>>()?;
        let prints = prints(profile)?;
        let pin = |task: &TaskRef| {
            let prints = prints.get(&(task.suite.clone(), task.task.clone()));
            let prints = prints.with_context(|| format!("{}: has no task '{}' any more", task.file, task.task))?;
            Ok(TaskPin::of(task, prints))
        };
        let tasks = tasks(plan).into_iter().map(pin).collect::<Result<_>>()?;
        let recipes = recipes(plan).into_iter().map(RecipePin::of).collect();
        let engine = engine::here().revision;
        Ok(Lock {
            version: VERSION,
            bantam: env!("CARGO_PKG_VERSION").into(),
            engine,
            models,
            recipes,
            tasks,
            file: PathBuf::new(),
        })
    }

    /// The lock as a file.
    ///
    /// # Errors
    /// None that can be met: what it holds has names in TOML.
    pub fn to_toml(&self, profile: &Path) -> Result<String> {
        let name = profile.display().to_string().replace('\n', " ");
        let text = toml::to_string_pretty(self).context("writing the lock")?;
        Ok(format!(
            "# What `bantam lock {name}` found; `bantam run` refuses to measure anything else under that name.\n\
             # Written by bantam, to be committed beside the profile.\n{text}"
        ))
    }

    /// Reads the lock that stands beside a profile; None where there is none.
    ///
    /// # Errors
    /// One sentence where it cannot be read, or is of another version.
    pub fn read_beside(profile: &Path) -> Result<Option<Lock>> {
        let file = beside(profile);
        if !file.exists() {
            return Ok(None);
        }
        let text = input::read_to_string(&file, MOST).with_context(|| format!("{}: cannot be read", file.display()))?;
        let named = || {
            format!(
                "{}: is no lock of this version; `bantam lock {}` writes it anew",
                file.display(),
                profile.display()
            )
        };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let found: Versioned = toml::from_str(&text).map_err(|e| anyhow!("{} ({})", named(), e.message()))?;
        ensure!(found.version == VERSION, "{} (it is version {}, this one writes {VERSION})", named(), found.version);
        let lock: Lock = toml::from_str(&text).map_err(|e| anyhow!("{} ({})", named(), e.message()))?;
        Ok(Some(Lock { file, ..lock }))
    }

    /// How much is pinned: "3 models, 6 tasks of 2,192 lines, engine kernels 4".
    pub fn words(&self) -> String {
        let lines: usize = self.tasks.iter().map(|task| task.lines.len()).sum();
        format!(
            "{}, {} of {}, {}, engine {}",
            counted(self.models.len(), "model"),
            counted(self.tasks.len(), "task"),
            counted(lines, "line"),
            counted(self.recipes.len(), "recipe"),
            self.engine
        )
    }

    /// Holds what a plan found against the lock.
    ///
    /// # Errors
    /// One sentence that names what changed: which weights, which lines of which suite, which recipe, or the engine.
    pub fn check(&self, plan: &Plan, profile: &Profile) -> Result<()> {
        let changes = self.changes(plan, profile)?;
        let Some(first) = changes.first() else { return Ok(()) };
        let more = match changes.len() {
            1 => String::new(),
            n => format!("; and {} more", counted(n - 1, "change")),
        };
        bail!(
            "{}: {first}{more}; `bantam lock` pins what is there now, `--ignore-lock` measures it all the same",
            self.file.display()
        )
    }

    /// What is not as it was pinned, a clause each.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn changes(&self, plan: &Plan, profile: &Profile) -> Result<Vec<String>> {
        let mut changes = Vec::new();
        let engine = engine::here().revision;
        if engine != self.engine {
            changes.push(format!("the engine is '{engine}' and the lock pins '{}'", self.engine));
        }
        for model in models(plan) {
            changes.extend(self.model(model)?);
        }
        for variant in recipes(plan) {
            changes.extend(self.recipe(variant));
        }
        // suites are read again only where one is not what it was
        let mut read = None;
        for task in tasks(plan) {
            let pinned = self.tasks.iter().find(|pin| pin.task == task.task && pin.suite == task.suite);
            match pinned {
                Some(pin) if pin.digest == task.digest => {}
                None => changes.push(format!("task {} is not in the lock", task.task)),
                Some(pin) => {
                    let prints = match &mut read {
                        Some(prints) => prints,
                        none => none.insert(prints(profile)?),
                    };
                    let now = prints.get(&(task.suite.clone(), task.task.clone()));
                    changes.extend(now.and_then(|now| pin.change(now, task.items)));
                }
            }
        }
        Ok(changes)
    }

    fn model(&self, model: &ModelRef) -> Result<Option<String>> {
        let mut of_name = self.models.iter().filter(|pin| pin.name == model.name).peekable();
        if of_name.peek().is_none() {
            return Ok(Some(format!("model {} is not in the lock", model.name)));
        }
        if self.models.iter().any(|pin| pin.name == model.name && pin.digest == model.digest) {
            return Ok(None);
        }
        match of_name.next() {
            Some(pin) => pin.change(model).map(Some),
            None => Ok(None),
        }
    }

    fn recipe(&self, variant: &Variant) -> Option<String> {
        let now = RecipePin::of(variant);
        if self.recipes.contains(&now) {
            return None;
        }
        Some(match self.recipes.iter().any(|pin| pin.name == now.name) {
            true => format!("recipe {} has other steps, or a file that it names has other bytes", now.name),
            false => format!("recipe {} is not in the lock", now.name),
        })
    }
}

impl ModelPin {
    fn of(model: &ModelRef) -> Result<ModelPin> {
        Ok(ModelPin {
            name: model.name.clone(),
            digest: model.digest.clone(),
            commit: model.commit.clone(),
            files: pins::files(model)?,
            tensors: pins::tensors(&model.place)?,
        })
    }

    /// What is another model about the one that goes by the name now.
    fn change(&self, model: &ModelRef) -> Result<String> {
        let now = ModelPin::of(model)?;
        let commits = match (&self.commit, &now.commit) {
            (Some(before), Some(now)) if before != now => format!(" (commit {now}, pinned is {before})"),
            _ => String::new(),
        };
        let tensors = differing(
            self.tensors.iter().map(|(name, id)| (name.as_str(), id)),
            now.tensors.iter().map(|(name, id)| (name.as_str(), id)),
        );
        if let Some(named) = named(&tensors, "weight") {
            return Ok(format!("model {}{commits}: {named}", model.name));
        }
        let files = differing(
            self.files.iter().map(|file| (file.name.as_str(), &file.sha256)),
            now.files.iter().map(|file| (file.name.as_str(), &file.sha256)),
        );
        let named = named(&files, "file");
        Ok(format!("model {}{commits}: {}", model.name, named.unwrap_or_else(|| "it has another identity".into())))
    }
}

impl RecipePin {
    fn of(variant: &Variant) -> RecipePin {
        RecipePin {
            name: variant.recipe.clone().unwrap_or_else(|| "base".into()),
            digest: Id::of_bytes(variant.steps.as_bytes()),
        }
    }
}

impl TaskPin {
    fn of(task: &TaskRef, prints: &TaskPrints) -> TaskPin {
        TaskPin {
            task: task.task.clone(),
            suite: task.suite.clone(),
            digest: task.digest.clone(),
            beside: prints.beside.clone(),
            lines: prints.items.iter().map(|(place, id)| format!("{} {id}", short(place))).collect(),
        }
    }

    /// What changed of the `asked` first items; None where it is only how many of them are asked.
    fn change(&self, now: &TaskPrints, asked: usize) -> Option<String> {
        let pinned: Vec<(&str, &str)> = self.lines.iter().filter_map(|line| line.rsplit_once(' ')).collect();
        let places: Vec<String> = now.items.iter().map(|(place, _)| short(place)).collect();
        let items = places.iter().map(String::as_str).zip(now.items.iter().map(|(_, id)| id.0.as_str())).take(asked);
        let asked_of_all = asked >= now.items.len();
        let before = pinned.iter().copied().take(if asked_of_all { pinned.len() } else { asked });
        let lines = differing(before, items);
        let task = &self.task;
        match (named(&lines, "line"), self.beside == now.beside) {
            // what all items share is written into each of them
            (Some(_), _) if lines.len() > 1 && lines.len() >= now.items.len().min(asked) => Some(format!(
                "task {task}: all its {} changed, as where its template, its examples or its whole file did",
                counted(lines.len(), "line")
            )),
            (Some(named), _) => Some(format!("task {task}: {named}")),
            (None, false) => Some(format!("task {task}: its metrics, filters or settings changed")),
            (None, true) => None,
        }
    }
}

/// The place of a line without the folders.
fn short(place: &str) -> String {
    place.rsplit('/').next().unwrap_or(place).to_owned()
}

/// What is other, gone or new, by name, in that order.
fn differing<'a, T: PartialEq + ?Sized + 'a>(
    before: impl IntoIterator<Item = (&'a str, &'a T)>,
    now: impl IntoIterator<Item = (&'a str, &'a T)>,
) -> Vec<(&'a str, &'static str)> {
    let before: BTreeMap<&str, &T> = before.into_iter().collect();
    let now: Vec<(&str, &T)> = now.into_iter().collect();
    let here: BTreeMap<&str, &T> = now.iter().copied().collect();
    let other = now
        .iter()
        .filter(|(name, id)| before.get(name).is_some_and(|was| was != id))
        .map(|(name, _)| (*name, "changed"));
    let gone = before.keys().filter(|name| !here.contains_key(*name)).map(|name| (*name, "is gone"));
    let new = now.iter().filter(|(name, _)| !before.contains_key(name)).map(|(name, _)| (*name, "is new"));
    other.chain(gone).chain(new).collect()
}

/// "weight a.b changed, weight c.d is new and 3 more"; None where there is nothing to name.
fn named(changes: &[(&str, &str)], what: &str) -> Option<String> {
    let first: Vec<String> = changes.iter().take(NAMED).map(|(name, how)| format!("{what} {name} {how}")).collect();
    let more = changes.len().saturating_sub(NAMED);
    match first.is_empty() {
        true => None,
        false if more > 0 => Some(format!("{} and {more} more", first.join(", "))),
        false => Some(first.join(", ")),
    }
}

/// The models of a plan, each once.
fn models(plan: &Plan) -> Vec<&ModelRef> {
    let mut models: Vec<&ModelRef> = Vec::new();
    for model in plan.variants.iter().map(|planned| &planned.variant.model) {
        if models.iter().all(|known| known.name != model.name || known.digest != model.digest) {
            models.push(model);
        }
    }
    models
}

/// A variant of each recipe of a plan.
fn recipes(plan: &Plan) -> Vec<&Variant> {
    let mut recipes: Vec<&Variant> = Vec::new();
    for variant in plan.variants.iter().map(|planned| &planned.variant).filter(|variant| variant.recipe.is_some()) {
        if recipes.iter().all(|known| RecipePin::of(known) != RecipePin::of(variant)) {
            recipes.push(variant);
        }
    }
    recipes
}

/// The tasks of a plan, each once.
fn tasks(plan: &Plan) -> Vec<&TaskRef> {
    let mut tasks: Vec<&TaskRef> = Vec::new();
    for trial in plan.variants.iter().flat_map(|planned| &planned.trials) {
        if let Ask::Task(task) = &trial.ask
            && tasks.iter().all(|known| known.digest != task.digest || known.task != task.task)
        {
            tasks.push(task);
        }
    }
    tasks
}

/// The hashes of a profile's tasks, with all their items whatever the profile's limit, by suite and task.
fn prints(profile: &Profile) -> Result<BTreeMap<(String, String), TaskPrints>> {
    let mut all = BTreeMap::new();
    let battery = battery(profile)?;
    for way in profile.ways() {
        for name in profile.suites.iter().chain(&battery) {
            for task in suites::load_as(name, &way)?.tasks {
                all.insert((task.suite.clone(), task.name.clone()), task.prints());
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(items: &[(&str, &str)], beside: &str) -> TaskPrints {
        let id = |text: &&str| Id((*text).into());
        TaskPrints {
            beside: id(&beside),
            items: items.iter().map(|(place, hash)| (format!("/a/{place}"), id(hash))).collect(),
        }
    }

    fn pinned(prints: &TaskPrints) -> TaskPin {
        let task = TaskRef {
            suite: "s".into(),
            task: "t".into(),
            digest: Id("d".into()),
            file: "s.toml".into(),
            items: prints.items.len(),
            metrics: Vec::new(),
            chance: None,
            chat: bantam_core::chat::Chat::default(),
        };
        TaskPin::of(&task, prints)
    }

    #[test]
    fn the_line_that_changed_is_named_and_another_limit_is_no_change() {
        let before = prints(&[("d.jsonl:1", "a"), ("d.jsonl:2", "b"), ("d.jsonl:3", "c"), ("d.jsonl:5", "e")], "x");
        let pin = pinned(&before);
        assert_eq!(pin.change(&before, 4), None);
        assert_eq!(pin.change(&before, 2), None, "the profile asks for fewer");
        let after = prints(&[("d.jsonl:1", "a"), ("d.jsonl:2", "B"), ("d.jsonl:3", "c"), ("d.jsonl:6", "f")], "x");
        assert_eq!(
            pin.change(&after, 4).expect("changed"),
            "task t: line d.jsonl:2 changed, line d.jsonl:5 is gone, line d.jsonl:6 is new"
        );
        assert_eq!(pin.change(&after, 1), None, "of the line that is asked nothing changed");
        let template = prints(&[("d.jsonl:1", "1"), ("d.jsonl:2", "2"), ("d.jsonl:3", "3"), ("d.jsonl:5", "5")], "x");
        assert!(pin.change(&template, 4).expect("changed").contains("all its 4 lines changed"));
        let scorer = TaskPrints { beside: Id("y".into()), ..before };
        assert_eq!(pin.change(&scorer, 4).expect("changed"), "task t: its metrics, filters or settings changed");
    }

    #[test]
    fn a_lock_lies_beside_its_profile() {
        assert_eq!(beside(Path::new("a/b.toml")), Path::new("a/b.lock"));
        assert_eq!(beside(Path::new("quickstart")), Path::new("quickstart.lock"));
    }
}
