//! The lines of the list: what is on this machine and what the hub found, as one kind of row that can be sorted by any of
//! its columns and is held against the limits.

use crate::library::fit::{self, HostFit};
use crate::library::inventory::Origin;
use crate::library::shelf::{Shelf, Shelved};
use crate::tui::filter;
use bantam_core::unit::Bytes;
use bantam_hub::Hit;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

/// A column that the list can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Column {
    /// As it was found: what is here, then in the order of the hub.
    #[default]
    Found,
    Name,
    From,
    Parameters,
    Quant,
    Licence,
    Downloads,
    Fit,
    Speed,
    State,
}

impl Column {
    pub(crate) const ALL: [Column; 10] = {
        use Column::{Downloads, Fit, Found, From, Licence, Name, Parameters, Quant, Speed, State};
        [Found, Name, From, Parameters, Quant, Licence, Downloads, Fit, Speed, State]
    };

    /// What stands above it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Column::Found => "as found",
            Column::Name => "model",
            Column::From => "from",
            Column::Parameters => "params",
            Column::Quant => "types",
            Column::Licence => "licence",
            Column::Downloads => "downloads",
            Column::Fit => "fit",
            Column::Speed => "≈tok/s",
            Column::State => "state",
        }
    }
}

/// Where a row is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// This machine, by its place on the shelf.
    Shelf(usize),
    /// The hub, by its place among what was found.
    Hit(usize),
}

/// Whether a row keeps the limits, as far as can be reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Keeps {
    Yes,
    /// Something that is not told.
    Unknown,
    /// The limit that it breaks.
    No(&'static str),
}

/// Where a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whereabouts {
    Planned,
    Here,
    Hub,
    Broken,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub at: At,
    pub name: String,
    pub from: &'static str,
    pub parameters: Option<u64>,
    pub quant: String,
    pub licence: String,
    pub downloads: Option<u64>,
    pub memory: Option<Bytes>,
    /// Tokens a second that the memory's bandwidth lets through.
    pub speed: Option<f64>,
    pub keeps: Keeps,
    pub whereabouts: Whereabouts,
}

/// What rows are held against.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Limits {
    /// Bytes; the memory of this machine where the profile has no limit.
    pub memory: Option<f64>,
    /// Tokens a second.
    pub decode: Option<f64>,
    /// A word of the licence's name.
    pub licence: Option<String>,
}

impl Limits {
    fn held(&self, runs: Option<bool>, memory: Option<Bytes>, speed: Option<f64>, licence: &str) -> Keeps {
        let licensed = self.licence.as_ref().map(|wanted| match licence {
            "" => None,
            told => Some(told.to_lowercase().contains(&wanted.to_lowercase())),
        });
        let within = self.memory.map(|most| memory.map(|bytes| bytes.0 as f64 <= most));
        let fast = self.decode.map(|least| speed.map(|speed| speed >= least));
        let told = [("family", Some(runs)), ("memory", within), ("decode", fast), ("licence", licensed)];
        let asked = || told.iter().filter_map(|(name, kept)| Some((*name, (*kept)?)));
        match asked().find(|(_, kept)| *kept == Some(false)) {
            Some((name, _)) => Keeps::No(name),
            None if asked().all(|(_, kept)| kept == Some(true)) => Keeps::Yes,
            None => Keeps::Unknown,
        }
    }
}

/// What rows are made of.
pub(super) struct Known<'a> {
    pub shelf: Option<&'a Shelf>,
    pub hits: &'a [Hit],
    pub infos: &'a BTreeMap<String, Result<HostFit, String>>,
    pub limits: &'a Limits,
    /// The models that are tried, as they are named.
    pub planned: &'a [String],
    /// Words that what is here has to have in its name.
    pub text: &'a str,
}

/// All rows, in the order in which they were found.
pub(super) fn all(known: &Known) -> Vec<Row> {
    let shelf = known.shelf.map_or(&[][..], |shelf| &shelf.models);
    let mut rows: Vec<Row> = shelf
        .iter()
        .enumerate()
        .filter(|(_, model)| filter::has_words(known.text, &model.typed))
        .map(|(place, model)| of_shelf(place, model, known))
        .collect();
    let kept = kept(shelf);
    rows.extend(known.hits.iter().enumerate().map(|(place, hit)| of_hit(place, hit, &kept, known)));
    rows
}

fn speed(known: &Known, weights: u64) -> Option<f64> {
    let bandwidth = *known.shelf?.bandwidth.as_ref().ok()?;
    (weights > 0).then(|| bandwidth / weights as f64)
}

fn is_planned(known: &Known, name: &str) -> bool {
    known.planned.iter().any(|planned| is_same(planned, name))
}

/// Whether two names mean one model: a repository with one GGUF file is named with its types or without.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.strip_prefix("bundled:").unwrap_or(one), other.strip_prefix("bundled:").unwrap_or(other));
    let without_types = |long: &str, short: &str| {
        let repo = long.split_once(':').filter(|(repo, _)| repo.contains('/'));
        repo.is_some_and(|(repo, _)| repo == short)
    };
    one == other || without_types(one, other) || without_types(other, one)
}

/// The repositories of the hub of which something is on the shelf.
fn kept(shelf: &[Shelved]) -> HashSet<&str> {
    let of_hub = shelf.iter().filter(|model| model.origin == Origin::Cache);
    of_hub.filter_map(|model| model.typed.split(':').next()).collect()
}

fn of_shelf(place: usize, model: &Shelved, known: &Known) -> Row {
    let facts = model.facts.as_ref().ok();
    let (memory, speed) = (facts.map(|facts| facts.memory(model.bytes)), speed(known, model.bytes.0));
    let licence = facts.and_then(|facts| facts.licence.clone()).unwrap_or_default();
    Row {
        at: At::Shelf(place),
        name: model.typed.clone(),
        from: model.origin.name(),
        parameters: facts.map(|facts| facts.parameters),
        quant: facts.map_or_else(String::new, |facts| facts.quant.clone()),
        keeps: match facts {
            None => Keeps::No("broken"),
            Some(_) => known.limits.held(Some(true), memory, speed, &licence),
        },
        speed: speed.filter(|_| facts.is_some()),
        licence,
        downloads: None,
        memory,
        whereabouts: match facts {
            None => Whereabouts::Broken,
            Some(_) if is_planned(known, &model.typed) => Whereabouts::Planned,
            Some(_) => Whereabouts::Here,
        },
    }
}

fn of_hit(place: usize, hit: &Hit, kept: &HashSet<&str>, known: &Known) -> Row {
    let id = hit.repo.id();
    let info = known.infos.get(&id).and_then(|info| info.as_ref().ok());
    let need = info.and_then(|info| info.needs.get(chosen(info, known.limits)));
    // two bytes a number, as most are stored, until the heads of the files are read
    let stored = hit.parameters.map(|parameters| parameters.saturating_mul(2));
    let weights = need.map(|need| need.weights.0).or(stored).unwrap_or(0);
    let memory = match need {
        Some(need) => need.memory,
        None => stored.map(|bytes| fit::at_work(bytes, 0)),
    };
    let licence = hit.page.licence.clone().unwrap_or_default();
    let runs = info.map_or_else(|| fit::architecture_is_known(&hit.page), |info| Some(info.runs.is_ok()));
    let speed = speed(known, weights);
    Row {
        at: At::Hit(place),
        from: "hub",
        parameters: hit.parameters,
        quant: match (need, info) {
            (Some(need), _) if need.quant.is_some() => need.name.clone(),
            (_, Some(info)) => info.model_info.header.as_ref().map(fit::stored).unwrap_or_default(),
            (_, None) if id.to_uppercase().contains("GGUF") => "GGUF".into(),
            (_, None) => String::new(),
        },
        keeps: known.limits.held(runs, memory, speed, &licence),
        licence,
        downloads: hit.page.downloads,
        memory,
        speed,
        whereabouts: match () {
            () if is_planned(known, &id) => Whereabouts::Planned,
            () if kept.contains(id.as_str()) => Whereabouts::Here,
            () => Whereabouts::Hub,
        },
        name: id,
    }
}

/// Which way to have a model is fetched where nobody chose: of several GGUF files the largest that keeps the memory, else
/// the smallest.
pub(super) fn chosen(info: &HostFit, limits: &Limits) -> usize {
    let quants = || info.needs.iter().enumerate().filter(|(_, need)| need.quant.is_some());
    let most = limits.memory.or(info.memory.as_ref().ok().map(|bytes| bytes.0 as f64));
    let keeps = |need: &fit::Need| need.memory.zip(most).is_some_and(|(memory, most)| memory.0 as f64 <= most);
    let found = quants().find(|(_, need)| keeps(need)).or_else(|| quants().next_back());
    found.map_or(0, |(place, _)| place)
}

/// Sorts rows by a column: the most of a number first, words by their letters; what is not told stands last.
pub(super) fn sort(rows: &mut [Row], column: Column, reversed: bool) {
    fn told<T>(a: &Option<T>, b: &Option<T>, order: impl Fn(&T, &T) -> Ordering, reversed: bool) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if reversed => order(b, a),
            (Some(a), Some(b)) => order(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
    let words = |a: &str, b: &str| {
        let of = |text: &str| (!text.is_empty()).then(|| text.to_lowercase());
        told(&of(a), &of(b), String::cmp, reversed)
    };
    let order = |a: &Row, b: &Row| match column {
        Column::Found => Ordering::Equal,
        Column::Name => words(&a.name, &b.name),
        Column::From => words(a.from, b.from),
        Column::Quant => words(&a.quant, &b.quant),
        Column::Licence => words(&a.licence, &b.licence),
        Column::Parameters => told(&a.parameters, &b.parameters, |a, b| b.cmp(a), reversed),
        Column::Downloads => told(&a.downloads, &b.downloads, |a, b| b.cmp(a), reversed),
        Column::Speed => told(&a.speed, &b.speed, |a, b| b.total_cmp(a), reversed),
        Column::Fit => told(&Some(a.keeps), &Some(b.keeps), Keeps::cmp, reversed),
        Column::State => told(&Some(a.whereabouts), &Some(b.whereabouts), Whereabouts::cmp, reversed),
    };
    rows.sort_by(order);
    if column == Column::Found && reversed {
        rows.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, parameters: Option<u64>) -> Row {
        Row {
            at: At::Hit(0),
            name: name.into(),
            from: "hub",
            parameters,
            quant: String::new(),
            licence: String::new(),
            downloads: None,
            memory: None,
            speed: None,
            keeps: Keeps::Unknown,
            whereabouts: Whereabouts::Hub,
        }
    }

    #[test]
    fn what_is_not_told_stands_last_whichever_way_it_is_sorted() {
        let mut rows = [row("b", Some(1)), row("a", None), row("C", Some(3))];
        let names = |rows: &[Row]| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        sort(&mut rows, Column::Parameters, false);
        assert_eq!(names(&rows), ["C", "b", "a"]);
        sort(&mut rows, Column::Parameters, true);
        assert_eq!(names(&rows), ["b", "C", "a"]);
        sort(&mut rows, Column::Name, false);
        assert_eq!(names(&rows), ["a", "b", "C"]);
    }

    #[test]
    fn a_repository_is_the_same_with_and_without_its_types() {
        assert!(is_same("org/m-GGUF:Q4_1", "org/m-GGUF") && is_same("bundled:m", "m") && is_same("a", "a"));
        assert!(
            !is_same("org/m-GGUF:Q4_1", "org/m-GGUF:Q8_0") && !is_same("ollama:m:1b", "ollama") && !is_same("a", "b")
        );
    }

    #[test]
    fn a_limit_that_is_broken_is_named_and_what_is_not_told_is_unknown() {
        let limits = Limits { memory: Some(100.0), decode: Some(20.0), licence: Some("apache".into()) };
        let held = |memory, speed, licence| limits.held(Some(true), Some(Bytes(memory)), speed, licence);
        assert_eq!(held(100, Some(20.0), "Apache-2.0"), Keeps::Yes);
        assert_eq!(held(101, Some(20.0), "apache-2.0"), Keeps::No("memory"));
        assert_eq!(held(100, Some(19.0), "apache-2.0"), Keeps::No("decode"));
        assert_eq!(held(100, Some(20.0), "gemma"), Keeps::No("licence"));
        assert_eq!(held(100, None, ""), Keeps::Unknown);
        assert_eq!(limits.held(Some(false), None, None, ""), Keeps::No("family"));
        assert_eq!(Limits::default().held(Some(true), None, None, ""), Keeps::Yes, "nothing is asked");
    }
}
