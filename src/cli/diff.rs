//! `bantam diff A B`: what is other about two runs: what they asked of whom, where and with which engine; which scores and
//! costs moved; and whether the advice did.

use super::Exit;
use super::check::{COSTS, past};
use crate::show::Table;
use crate::show::out::{self, say};
use anyhow::Result;
use bantam_core::profile::{Objective, Profile};
use bantam_core::unit::counted;
use bantam_verdict::past::Past;
use bantam_verdict::past::hold::{self, By, Finding, Findings, Rule};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The one: a results.json, a report's folder, a profile's name (its latest run) or a run's id
    pub before: String,
    /// The other
    pub now: String,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: DiffArgs) -> Result<Exit> {
    let (before, now) = (past(&args.before)?, past(&args.now)?);
    let profile = Profile::from_resolved(&now.profile).ok();
    let rule = Rule {
        objective: profile.as_ref().map_or_else(Objective::default, |profile| profile.objective.clone()),
        tolerance: COSTS.map(|metric| (metric, 0.0)).to_vec(),
        seed: profile.map_or(1, |profile| profile.measure.seed),
    };
    let found = hold::hold(&before, &now, &rule);
    let changes = changes(&before, &now);
    if args.json {
        let moved: Vec<serde_json::Value> = found
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "variant": finding.variant, "ask": finding.ask, "metric": finding.metric, "before": finding.before,
                    "now": finding.now, "change": finding.change, "moved": finding.moved(), "by": finding.by,
                    "why": finding.change.is_none().then_some(&finding.why),
                })
            })
            .collect();
        out::pretty_json(&json!({
            "schema": "bantam.diff/1",
            "before": { "name": before.name, "run": before.run, "advised": before.advised },
            "now": { "name": now.name, "run": now.run, "advised": now.advised },
            "changes": changes, "gone": found.gone, "new": found.new, "figures": moved,
        }))?;
        return Ok(Exit::Done);
    }
    print(&before, &now, &changes, &found)?;
    Ok(Exit::Done)
}

fn print(before: &Past, now: &Past, changes: &[String], found: &Findings) -> Result<()> {
    say!("{} (run {}) → {} (run {})", before.name, before.run, now.name, now.run)?;
    changes.iter().try_for_each(|change| say!("  {change}"))?;
    found.gone.iter().try_for_each(|variant| say!("  − {variant}"))?;
    found.new.iter().try_for_each(|variant| say!("  + {variant}"))?;
    let (moved, still): (Vec<&Finding>, Vec<&Finding>) = found.findings.iter().partition(|finding| finding.moved());
    say!()?;
    match moved.is_empty() {
        true => say!("No figure is shown to have moved.")?,
        false => {
            let mut table = Table::new().text("moved").text("").text("metric").text("before → now").text("change");
            for finding in moved {
                let change =
                    finding.change.map_or_else(String::new, bantam_verdict::recommend::advice::words::difference);
                table.row(vec![
                    finding.variant.clone(),
                    finding.ask.clone(),
                    finding.metric.name().into(),
                    finding.figures(),
                    change,
                ]);
            }
            table.print(&mut out::stdout())?;
        }
    }
    let (same, rest): (Vec<&Finding>, Vec<&Finding>) = still.into_iter().partition(|finding| finding.by == By::Same);
    let (open, told): (Vec<&Finding>, Vec<&Finding>) = rest.into_iter().partition(|finding| finding.change.is_none());
    say!()?;
    if !same.is_empty() {
        say!("{} the same to the digit: the same weights, task and engine.", counted(same.len(), "score"))?;
    }
    if !told.is_empty() {
        say!("{} not shown to have moved: the interval of the change holds none.", counted(told.len(), "figure"))?;
    }
    for finding in open {
        say!("Not compared: {}: {}", finding.what(), finding.why)?;
    }
    match (&before.advised, &now.advised) {
        (Some(one), Some(other)) if one == other => say!("Both advise {one}.")?,
        _ => {
            let told = |past: &Past| {
                past.advised.clone().map_or_else(|| past.conclusion.clone(), |label| format!("use {label}"))
            };
            say!("Advice: {} → {}", told(before), told(now))?;
        }
    }
    Ok(())
}

/// What is other about the two beside their figures, a line each.
fn changes(before: &Past, now: &Past) -> Vec<String> {
    let mut changes = Vec::new();
    let mut other = |what: &str, one: &str, two: &str| {
        if one != two {
            changes.push(format!("{what}: {one} → {two}"));
        }
    };
    other("bantam", &before.version, &now.version);
    other("engine", &before.engines().join("; "), &now.engines().join("; "));
    let machine = |past: &Past| past.machine().unwrap_or_else(|| "unknown".into());
    other("machine", &machine(before), &machine(now));
    for model in &now.models {
        if let Some(earlier) = before.models.iter().find(|earlier| earlier.name == model.name)
            && earlier.digest != model.digest
        {
            let named = |model: &bantam_core::record::ModelRef| match &model.commit {
                Some(commit) => format!("{} (commit {commit})", model.digest),
                None => model.digest.to_string(),
            };
            changes.push(format!(
                "model {}: other weights, config or tokenizer: {} → {}",
                model.name,
                named(earlier),
                named(model)
            ));
        }
    }
    tasks(before, now, &mut changes);
    keys(&before.profile, &now.profile, &mut changes);
    changes
}

fn tasks(before: &Past, now: &Past, changes: &mut Vec<String>) {
    let (then, here) = (before.tasks(), now.tasks());
    // a file of before tasks were told says nothing of them
    if then.is_empty() || here.is_empty() {
        return;
    }
    for task in &here {
        match then.iter().find(|earlier| earlier.suite == task.suite && earlier.task == task.task) {
            None => changes.push(format!("task {}: new", task.task)),
            Some(earlier) if earlier.digest != task.digest => {
                let items = match earlier.items == task.items {
                    true => counted(task.items, "item"),
                    false => format!("{} → {}", earlier.items, counted(task.items, "item")),
                };
                changes.push(format!(
                    "task {}: another version ({items}): a line of its data, its template or its scorer changed: {} → {}",
                    task.task, earlier.digest, task.digest
                ));
            }
            Some(_) => {}
        }
    }
    for task in then.iter().filter(|task| !here.iter().any(|h| h.suite == task.suite && h.task == task.task)) {
        changes.push(format!("task {}: gone", task.task));
    }
}

/// The keys of the profile that have other values; lists of what is tried are told by what was measured.
fn keys(before: &str, now: &str, changes: &mut Vec<String>) {
    let flat = |text: &str| {
        let mut keys = BTreeMap::new();
        flatten("", &toml::Value::Table(text.parse().unwrap_or_default()), &mut keys);
        keys.retain(|key, _| !["name", "title", "models", "recipes", "suites"].iter().any(|told| key == told));
        keys
    };
    let (then, here) = (flat(before), flat(now));
    let all: std::collections::BTreeSet<&String> = then.keys().chain(here.keys()).collect();
    for key in all {
        let (one, two) = (then.get(key), here.get(key));
        if one != two {
            let value = |value: Option<&String>| value.cloned().unwrap_or_else(|| "not set".into());
            changes.push(format!("profile: {key}: {} → {}", value(one), value(two)));
        }
    }
}

fn flatten(prefix: &str, value: &toml::Value, keys: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            flatten(&key, value, keys);
        }),
        other => drop(keys.insert(prefix.into(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_profiles_are_told_by_their_tables() {
        let mut changes = Vec::new();
        keys(
            "name = 'a'\n[objective]\nmargin = 0.02\n",
            "name = 'b'\n[objective]\nmargin = 0.03\nseed = 2\n",
            &mut changes,
        );
        assert_eq!(changes, ["profile: objective.margin: 0.02 → 0.03", "profile: objective.seed: not set → 2"]);
    }
}
