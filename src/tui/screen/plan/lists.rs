//! The lists of the plan as lines: what the profile names first, then what else is known.

use crate::library::catalog::Known;
use crate::library::own;
use crate::show::counted;
use crate::tui::setup::{Expected, GridRow, ModelEntry, SuiteEntry, SuiteInfo};
use crate::tui::shared::Shared;
use bantam_core::profile::RecipeRef;
use bantam_core::unit::Seconds;
use std::collections::HashSet;

/// The lists, in the order in which the arrows go through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum List {
    Models,
    #[default]
    Recipes,
    Suites,
    Variants,
}

impl List {
    pub(super) const ALL: [List; 4] = [List::Models, List::Recipes, List::Suites, List::Variants];

    pub(super) fn name(self) -> &'static str {
        match self {
            List::Models => "Models",
            List::Recipes => "Recipes",
            List::Suites => "Suites",
            List::Variants => "Variants",
        }
    }
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub name: String,
    pub about: String,
    pub taken: bool,
    pub place: Where,
    /// It cannot be used as it stands.
    pub is_bad: bool,
}

/// Where a line comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Where {
    /// The profile's own, or taken in: its place there.
    Own(usize),
    /// Known, by the name that a profile would have for it.
    Known(String),
    Variant(usize),
}

/// Of so many lines what stands beside the names is put together for those alone that are seen.
const MANY: usize = 500;

/// How wide that is.
pub(super) const ABOUT: usize = 20;

pub(super) fn lines(list: List, shared: &Shared) -> Vec<Line> {
    let Some(setup) = shared.ready() else { return Vec::new() };
    let (selection, catalog) = (&shared.selection, &shared.catalog);
    match list {
        List::Models => {
            let has_about = setup.models.len() < MANY;
            let own = setup.models.iter().enumerate().map(|(at, entry)| of_model(at, entry, has_about, shared));
            let named: Vec<&str> = setup.models.iter().map(|entry| entry.typed.as_str()).collect();
            own.chain(others(&catalog.models, &named)).collect()
        }
        List::Recipes => {
            let own = setup.profile.recipes.iter().enumerate().map(|(at, recipe)| Line {
                name: recipe_name(recipe),
                about: String::new(),
                taken: taken(&selection.recipes, at),
                place: Where::Own(at),
                is_bad: false,
            });
            let named: Vec<String> = setup.profile.recipes.iter().map(recipe_typed).collect();
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            let others = others(&catalog.recipes, &named).into_iter().map(|line| Line { about: String::new(), ..line });
            own.chain(others).collect()
        }
        List::Suites => {
            let own = setup.suites.iter().enumerate().map(|(at, suite)| Line {
                name: suite.name.clone(),
                about: suite_about(suite),
                taken: taken(&selection.suites, at),
                place: Where::Own(at),
                is_bad: suite.info.is_err(),
            });
            let named: Vec<&str> = setup.profile.suites.iter().map(String::as_str).collect();
            own.chain(others(&catalog.suites, &named)).collect()
        }
        List::Variants => {
            let has_about = setup.grid.len() < MANY;
            setup.grid.iter().enumerate().map(|(at, row)| of_variant(at, row, has_about)).collect()
        }
    }
}

/// One line of a list alone, as [`lines`] has it there; None where it is not known so quickly.
pub(super) fn own_line(list: List, at: usize, shared: &Shared) -> Option<Line> {
    let setup = shared.ready()?;
    match list {
        List::Models => Some(of_model(at, setup.models.get(at)?, true, shared)),
        List::Variants => Some(of_variant(at, setup.grid.get(at)?, true)),
        List::Recipes | List::Suites => None,
    }
}

fn taken(list: &[bool], at: usize) -> bool {
    list.get(at).copied().unwrap_or(true)
}

fn of_model(at: usize, entry: &ModelEntry, has_about: bool, shared: &Shared) -> Line {
    let about = || entry.info.as_ref().map_or_else(|_| "✗".into(), |info| info.stored.to_string());
    Line {
        name: entry.name.clone(),
        about: if has_about { about() } else { String::new() },
        taken: taken(&shared.selection.models, at),
        place: Where::Own(at),
        is_bad: entry.info.is_err(),
    }
}

fn of_variant(at: usize, row: &GridRow, has_about: bool) -> Line {
    Line {
        name: row.label.clone(),
        about: if has_about { variant_about(row) } else { String::new() },
        taken: true,
        place: Where::Variant(at),
        is_bad: false,
    }
}

/// What is known and not named, by whatever way it is written.
fn others(known: &[Known], named: &[&str]) -> Vec<Line> {
    let bare = |typed: &str| {
        let typed = typed.strip_prefix("bundled:").unwrap_or(typed);
        typed.strip_prefix("./").unwrap_or(typed).to_owned()
    };
    // types of quantization are known in letters of either case
    let named: HashSet<String> = named.iter().map(|name| bare(name).to_lowercase()).collect();
    let line = |known: &Known| Line {
        name: bare(&known.typed),
        about: known.about.clone(),
        taken: false,
        place: Where::Known(known.typed.clone()),
        is_bad: false,
    };
    known.iter().filter(|known| !named.contains(&bare(&known.typed).to_lowercase())).map(line).collect()
}

pub(super) fn recipe_name(recipe: &RecipeRef) -> String {
    match recipe {
        RecipeRef::Base => "base (as it is)".into(),
        RecipeRef::Quantize(name) => name.clone(),
        RecipeRef::File(path) => path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned()),
    }
}

fn recipe_typed(recipe: &RecipeRef) -> String {
    match recipe {
        RecipeRef::Base => "base".into(),
        RecipeRef::Quantize(name) => name.clone(),
        RecipeRef::File(path) => path.to_string_lossy().into_owned(),
    }
}

/// "100/360: 8 points", of items taken and there; of several tasks the one that can show least.
fn suite_about(suite: &SuiteEntry) -> String {
    match &suite.info {
        Err(reason) => reason.clone(),
        Ok(info) => {
            let items = match info.items < info.available {
                true => format!("{}/{}", info.items, info.available),
                false => info.items.to_string(),
            };
            let tasks =
                if info.tasks.len() > 1 { format!("{} of {items}", counted(info.tasks.len(), "task")) } else { items };
            match least_shown(info) {
                Some(least) => format!("{tasks}: {}", own::points(least)),
                None => format!("{tasks} {}", info.metric.name()),
            }
        }
    }
}

/// The smallest loss that a suite's tasks could show, of the task that can show least of it.
pub(super) fn least_shown(info: &SuiteInfo) -> Option<f64> {
    info.tasks.iter().filter_map(|task| task.smallest).reduce(f64::max)
}

/// "1.2 MiB  ≈ 40 s".
fn variant_about(row: &GridRow) -> String {
    let time = match (row.trials - row.done, &row.expected) {
        (0, _) => "measured".to_owned(),
        (_, Some(expected)) => format!("≈ {}", rough(expected)),
        (_, None) => "?".to_owned(),
    };
    format!("{:>10} {time:>9}", row.disk.to_string())
}

/// "40 s", "3 min", "2 h".
pub(super) fn rough(expected: &Expected) -> String {
    let Seconds(seconds) = expected.time;
    match seconds {
        s if s < 1.0 => "1 s".into(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
