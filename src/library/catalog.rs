//! What there is to choose from on this machine: all models, recipes and suites that are known, whatever a profile names.
//! Looking reads names and headers of files, and no weights.

use crate::library::home::Home;
use crate::library::inventory::{self, Origin};
use crate::library::own;
use bantam_bundled::suites as bundled;
use bantam_core::profile::Raw;
use bantam_hub::{Cache, Stores};
use bantam_lab::{Mixture, Recipe};
use std::path::{Path, PathBuf};

/// Something that can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// As a profile names it.
    pub typed: String,
    /// What it is, or how large, in a few words.
    pub about: String,
}

/// Everything that can be tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    pub models: Vec<Known>,
    pub recipes: Vec<Known>,
    pub suites: Vec<Known>,
    /// Profiles that can be opened.
    pub profiles: Vec<Known>,
}

/// Recipes of several steps or with settings, an example of each step that needs no file of the user's.
const RECIPES: [(&str, &str); 7] = [
    ("quantize:q4_k_m,calibrate", "weighed by a matrix of importance"),
    ("quantize:q4_k_m,calibrate,method=gptq", "errors are passed on to weights rounded later"),
    ("prune:layers=1 > quantize:q8_0", "without the layer that does least"),
    ("prune:channels=20% > quantize:q8_0", "without a fifth of the channels"),
    ("prune:heads=30% > quantize:q8_0", "without a third of the heads"),
    ("prune:sparsity=50%,by=wanda > quantize:q8_0", "half of the weights are zero"),
    ("quantize:q4_0", "4 bits, the plainest form"),
];

impl Catalog {
    /// Looks about in a folder and on this machine.
    pub fn here(folder: &Path) -> Catalog {
        let around = own::around(folder);
        Catalog {
            models: models(&around.models),
            recipes: recipes(&around.written),
            suites: suites(&around.written),
            profiles: profiles(&around.written),
        }
    }
}

fn known(typed: impl Into<String>, about: impl Into<String>) -> Known {
    Known { typed: typed.into(), about: about.into() }
}

/// A path as a profile in the same folder names it: one that no bundled name is taken for.
fn path(file: &Path) -> String {
    let text = file.to_string_lossy();
    if text.contains('/') || text.ends_with(".gguf") || text.ends_with(".toml") {
        text.into_owned()
    } else {
        format!("./{text}")
    }
}

fn models(around: &[(PathBuf, bantam_core::unit::Bytes)]) -> Vec<Known> {
    let here = around.iter().map(|(file, bytes)| known(path(file), bytes.to_string()));
    let all = |home: Home| inventory::take(&Cache::here(), &Stores::here(), &home, &[]);
    let kept = Home::find().map_err(Into::into).and_then(all);
    let is_model = |entry: &inventory::Entry| entry.is_usable() && entry.origin != Origin::Artifact;
    let kept: Vec<Known> = kept
        .unwrap_or_default()
        .into_iter()
        .filter(is_model)
        .map(|entry| known(entry.name, entry.bytes.to_string()))
        .collect();
    here.chain(kept).collect()
}

fn recipes(written: &[PathBuf]) -> Vec<Known> {
    let mixtures = Mixture::all().map(|mixture| known(mixture.name(), "quantized"));
    let steps = RECIPES.into_iter().map(|(typed, about)| known(typed, about));
    let is_recipe = |file: &&PathBuf| Recipe::read_all(file).is_ok();
    let files = written.iter().filter(is_recipe).map(|file| known(path(file), "your file"));
    [known("base", "as it is")].into_iter().chain(mixtures).chain(steps).chain(files).collect()
}

fn suites(written: &[PathBuf]) -> Vec<Known> {
    let is_suite = |file: &&PathBuf| table(file).is_some_and(|table| table.contains_key("task"));
    let files = written.iter().filter(is_suite).map(|file| known(path(file), "your file"));
    files.chain(bundled::names().map(|name| known(name, "bundled"))).collect()
}

/// Profiles beside the bundled ones; what cannot be read as one is none.
fn profiles(written: &[PathBuf]) -> Vec<Known> {
    let title = |file: &PathBuf| {
        let table = table(file).filter(|table| table.contains_key("models") || table.contains_key("extends"))?;
        let raw = Raw::parse(&toml::to_string(&table).ok()?, file).ok()?;
        Some(known(file.to_string_lossy(), raw.title.or(raw.name).unwrap_or_default()))
    };
    let bundled = bantam_bundled::profiles::PROFILES.iter().map(|(name, text)| {
        let title = Raw::parse(text, Path::new(name)).ok().and_then(|raw| raw.title);
        known(*name, format!("bundled: {}", title.unwrap_or_default()))
    });
    written.iter().filter_map(title).chain(bundled).collect()
}

fn table(file: &Path) -> Option<toml::Table> {
    let text = bantam_core::input::read_to_string(file, bantam_core::input::WRITTEN_BY_HAND).ok()?;
    toml::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_by_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in [
            ("mine.toml", "title = 'Mine'\nmodels = ['bantam-s']\nsuites = ['routing']\n"),
            ("tickets.suite.toml", "[[task]]\ntask = 'tickets'\ndata = 'x.jsonl'\n"),
            ("small.toml", "[[step]]\nquantize = 'q4_k_m'\n"),
            ("Cargo.toml", "[package]\nname = 'x'\n"),
        ] {
            std::fs::write(folder.path().join(file), text).expect("written");
        }
        let catalog = Catalog::here(folder.path());
        let has = |list: &[Known], end: &str| list.iter().any(|known| known.typed.ends_with(end));
        assert!(has(&catalog.profiles, "mine.toml") && has(&catalog.profiles, "quickstart"), "{:?}", catalog.profiles);
        assert!(!has(&catalog.profiles, "Cargo.toml") && !has(&catalog.profiles, "small.toml"));
        assert!(
            has(&catalog.suites, "tickets.suite.toml")
                && has(&catalog.suites, "needle")
                && !has(&catalog.suites, "mine.toml")
        );
        assert!(has(&catalog.models, "bundled:bantam-s"));
        assert_eq!(catalog.recipes[0].typed, "base");
        for known in &catalog.recipes[1..] {
            assert!(Recipe::all_named(&known.typed).is_ok(), "{} is a recipe", known.typed);
        }
    }
}
