//! `bantam completions SHELL`: prints what a shell runs to complete by asking bantam itself, so that models, suites, profiles,
//! runs and types of this machine are completed, too, and not only the words that are the same everywhere.

use super::Exit;
use super::args::{Args, Completions, Shell};
use crate::library::home::Home;
use crate::library::models;
use crate::run::Workplace;
use crate::show::out;
use anyhow::{Context, Result};
use bantam_bundled::{profiles, suites};
use bantam_core::cache_type::CacheType;
use bantam_core::profile::Prefer;
use bantam_hub::{Cache, Stores};
use bantam_lab::Mixture;
use clap::CommandFactory;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};
use std::ffi::OsStr;
use std::io::Write;

/// By this variable a shell asks what may follow; its own, so that no other program's is taken for it.
const ASKED: &str = "BANTAM_COMPLETE";

pub(super) fn run(args: Completions) -> Result<Exit> {
    let shell = match args.shell {
        Shell::Bash => "bash",
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Zsh => "zsh",
    };
    let completer = Shells::builtins();
    let completer = completer.completer(shell).context("the shell is one of clap's")?;
    let mut script = Vec::new();
    completer
        .write_registration(ASKED, "bantam", "bantam", "bantam", &mut script)
        .context("writing the completions")?;
    out::stdout().write_all(&script).context("printing the completions")?;
    Ok(Exit::Done)
}

/// Answers a shell that asks what may follow, and ends the process; else does nothing.
pub fn answer() {
    CompleteEnv::with_factory(Args::command).var(ASKED).bin("bantam").complete();
}

/// Those of these words that begin as typed.
fn words<W: AsRef<str>>(words: impl IntoIterator<Item = W>, current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let fits = |word: &W| word.as_ref().starts_with(&*typed);
    words.into_iter().filter(fits).map(|word| CompletionCandidate::new(word.as_ref().to_owned())).collect()
}

/// The same for the last of several with commas between.
fn listed<W: AsRef<str>>(all: impl IntoIterator<Item = W>, current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let (before, last) = typed.rsplit_once(',').unwrap_or(("", &typed));
    let head = if before.is_empty() { String::new() } else { format!("{before},") };
    let fits = |word: &W| word.as_ref().to_lowercase().starts_with(&last.to_lowercase());
    all.into_iter().filter(fits).map(|word| CompletionCandidate::new(format!("{head}{}", word.as_ref()))).collect()
}

/// Bundled models, those of the hub's cache and of other programs' stores, folders and files.
pub(super) fn model(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = words(models::bundled_names(), current);
    all.extend(words(Cache::here().models(), current));
    all.extend(words(Stores::here().kept().into_iter().map(|stored| stored.name), current));
    all.extend(PathCompleter::any().complete(current));
    all
}

/// Bundled suites, and files.
pub(super) fn suite(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = listed(suites::names(), current);
    all.extend(PathCompleter::file().complete(current));
    all
}

/// Bundled profiles, and files.
pub(super) fn profile(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = words(profiles::PROFILES.iter().map(|(name, _)| *name), current);
    all.extend(PathCompleter::file().complete(current));
    all
}

/// Profiles of which a run is stored.
pub(super) fn run_name(current: &OsStr) -> Vec<CompletionCandidate> {
    // who only asks what may follow makes no store
    let is_there = Home::find().is_ok_and(|home| home.store().exists());
    let runs = is_there.then(|| Workplace::open().ok()?.store.runs().ok()).flatten().unwrap_or_default();
    let mut names: Vec<String> = runs.into_iter().map(|run| run.profile_name).collect();
    names.sort();
    names.dedup();
    words(names, current)
}

/// Types of weights.
pub(super) fn mixture(current: &OsStr) -> Vec<CompletionCandidate> {
    listed(Mixture::all().map(Mixture::name), current)
}

/// Types of keys and values.
pub(super) fn cache_type(current: &OsStr) -> Vec<CompletionCandidate> {
    listed(CacheType::ALL.map(CacheType::name), current)
}

/// Words of preferences.
pub(super) fn prefer(current: &OsStr) -> Vec<CompletionCandidate> {
    words(Prefer::ALL.map(Prefer::label), current)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: fn(&OsStr) -> Vec<CompletionCandidate>, typed: &str) -> Vec<String> {
        of(typed.as_ref()).iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn values_that_are_known_here_are_completed() {
        assert_eq!(values(suite, "rout"), ["routing"]);
        assert_eq!(values(suite, "routing,ex"), ["routing,extract"]);
        assert!(values(model, "bantam-").contains(&"bantam-l".to_owned()));
        assert_eq!(values(profile, "quick"), ["quickstart"]);
        assert!(values(mixture, "q4_k").contains(&"Q4_K_M".to_owned()));
        assert_eq!(values(prefer, "fast"), ["fastest"]);
        assert!(values(prefer, "nothing").is_empty());
    }
}
