//! `bantam compare A B --suite S`: item by item, with verdicts and the answers that changed; `--kld TEXT` is `kld`'s.

use super::args::Compare;
use super::run::{execute, print_json};
use super::{Exit, adhoc, kld};
use crate::run::Workplace;
use crate::show::counted;
use crate::show::out::say;
use anyhow::{Result, bail, ensure};
use bantam_core::cache_type::CacheType;
use bantam_core::record::{Ask, Id, Row};
use bantam_verdict::recommend::Advice;
use bantam_verdict::recommend::advice::words;
use bantam_verdict::recommend::flips;
use std::collections::BTreeSet;

/// The candidates, with the types of caches that they are to be tried with: of the reference where no other is named.
fn candidates(args: &Compare) -> Vec<String> {
    if args.kv.is_empty() {
        return args.candidates.clone();
    }
    let named = if args.candidates.is_empty() { std::slice::from_ref(&args.reference) } else { &args.candidates[..] };
    let bare = |typed: &String| CacheType::split(typed).0.to_owned();
    named.iter().map(bare).flat_map(|model| args.kv.iter().map(move |kv| kv.behind(&model))).collect()
}

/// Changed answers shown per task; all of them stand in the JSON.
const SHOWN: usize = 10;

pub(super) fn run(mut args: Compare) -> Result<Exit> {
    args.candidates = candidates(&args);
    if let Some(text) = args.kld.clone() {
        return kld::run(args, text);
    }
    let [candidate] = &args.candidates[..] else {
        bail!(
            "suites compare two models, and here are {}; `--kld TEXT` holds any number against the first",
            1 + args.candidates.len()
        )
    };
    ensure!(
        args.reference != *candidate,
        "'{}' is compared with itself; name two models, or a model and its compressed .gguf file",
        args.reference
    );
    ensure!((0.0..=1.0).contains(&args.margin), "--margin is {}; allowed is 0 to 1", args.margin);
    let mut profile = adhoc::profile("compare", vec![args.reference.clone(), candidate.clone()], &[]);
    adhoc::under(&mut profile, &args.endpoint)?;
    profile.suites = adhoc::suites(args.suite);
    profile.chat = args.chat.ways()?;
    profile.measure.limit = args.limit;
    profile.measure.threads = args.threads;
    profile.objective.margin = args.margin;
    if args.loss {
        profile.loss = Some(adhoc::loss(args.loss_of)?);
    }
    // one behind an address stands among the profile's endpoints
    let (reference, candidate) = (args.reference.clone(), candidate.clone());
    profile.objective.reference = Some(args.reference);
    let done = execute(&profile, &args.common)?;
    let variants: BTreeSet<&Id> = done.run.trials.iter().map(|trial| &trial.variant.id).collect();
    ensure!(
        variants.len() > 1 || !done.run.left_out.is_empty(),
        "{reference} and {candidate} are one model, byte for byte: there is nothing to compare"
    );
    if args.common.json {
        print_json(&done)?;
    } else {
        let reference = done.advice.reference().map(|s| s.id().clone());
        for summary in done.advice.summaries.iter().filter(|s| Some(s.id()) != reference.as_ref()) {
            say!("{} against the reference:", summary.variant.label())?;
            for comparison in &summary.comparisons {
                say!("  {}", words::verdict(comparison))?;
            }
            if summary.comparisons.is_empty() {
                say!("  {}", summary.standing.reason().unwrap_or("nothing was compared"))?;
            }
        }
        print_losses(&done.advice)?;
        for doubt in words::doubts(&done.advice) {
            say!("  {doubt}")?;
        }
        print_flips(&done.whole_rows(&Workplace::open()?).collect::<Result<Vec<Row>>>()?)?;
    }
    let failed = done.advice.failed_trials() > 0;
    Ok(match (done.stopped().is_some(), failed) {
        (true, _) => Exit::Interrupted,
        (_, true) => Exit::SomeFailed,
        _ => Exit::Done,
    })
}

/// What every variant lost of its base, the least kept first.
pub(super) fn print_losses(advice: &Advice) -> Result<()> {
    for loss in &advice.losses {
        say!()?;
        say!("What {} lost of {}:", loss.label, loss.base_label)?;
        for line in loss.lines() {
            say!("  {line}")?;
        }
    }
    Ok(())
}

fn print_flips(rows: &[Row]) -> Result<()> {
    let tasks = rows.iter().filter(|r| matches!(r.trial.ask, Ask::Task(_)));
    let mut pairs: Vec<(&Row, &Row)> = Vec::new();
    for row in tasks {
        let first = rows.iter().find(|r| r.trial.ask == row.trial.ask && r.trial.variant.id != row.trial.variant.id);
        if let Some(first) = first.filter(|_| !pairs.iter().any(|(a, _)| a.trial.ask == row.trial.ask)) {
            pairs.push((row, first));
        }
    }
    for (reference, candidate) in pairs {
        let changed = flips(reference, candidate);
        if changed.is_empty() {
            continue;
        }
        say!()?;
        say!("{}: {} changed", reference.trial.ask.label(), counted(changed.len(), "answer"))?;
        for flip in changed.iter().take(SHOWN) {
            let text = |t: &Option<String>| t.as_deref().unwrap_or("–").replace('\n', "⏎");
            let (before, after) = (text(&flip.reference), text(&flip.candidate));
            say!("  item {}: {before} → {after} (right: {})", flip.index, text(&flip.target))?;
        }
        if changed.len() > SHOWN {
            say!("  … and {} more", changed.len() - SHOWN)?;
        }
    }
    Ok(())
}
