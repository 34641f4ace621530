//! `bantam decide RUN --limit 'memory<=64MiB' --margin routing=5`: the advice over a stored run with other limits, margins
//! and preference, what changed by them and what would change it. No model is asked.

use super::args::Decide;
use super::{Exit, groups};
use crate::run::decide::{self, Decided, Turned};
use crate::run::{self, Workplace};
use crate::show::counted;
use crate::show::out::{self, note, say};
use anyhow::{Result, anyhow, bail};
use bantam_core::meant::meant_words;
use bantam_core::profile::{Prefer, knob};
use bantam_verdict::recommend::Desk;
use bantam_verdict::recommend::advice::{self, Conclusion, words};
use bantam_verdict::recommend::whatif::{self, Turn};

/// Turns told, at most.
const TOLD: usize = 8;

pub(super) fn run(args: Decide) -> Result<Exit> {
    let workplace = Workplace::open()?;
    let (run, rows, profile) = run::laid_out(&args.run, &workplace)?;
    if let Some((over, all)) = advice::unfinished(&run, &rows) {
        note!("the run is not over ({over} of {}): what is decided here is of what is there", counted(all, "trial"));
    }
    let (rows, profile, _) = run::decidable(rows, &profile, &workplace)?;
    let desk = Desk::new(&rows, &workplace.store);
    let before = desk.advise(&profile);
    let turned = turned(&args, &whatif::task_names(&before))?;
    let decided = decide::decided(&desk, turned.of(&profile), &before);
    if let Some(file) = &args.save {
        decide::save(&decided.profile, file)?;
        note!("profile: {} (`bantam run` takes it)", file.display());
    }
    let turns = decide::turns(&desk, &decided, &|| false);
    match args.json {
        true => print_json(&decided, &turns)?,
        false => print(&decided, &turns, turned == Turned::default())?,
    }
    Ok(match decided.advice.conclusion {
        Conclusion::Advised { .. } => Exit::Done,
        _ => Exit::NothingFits,
    })
}

/// What the arguments turn, over these tasks.
fn turned(args: &Decide, tasks: &[String]) -> Result<Turned> {
    let mut turned = Turned::default();
    for limit in &args.limit {
        turned.knobs.push(knob::limit_of(limit, tasks).map_err(|why| anyhow!("--limit: {why}"))?);
    }
    for margin in &args.margin {
        turned.knobs.push(knob::margin_of(margin, tasks).map_err(|why| anyhow!("--margin: {why}"))?);
    }
    for weight in &args.weight {
        turned.knobs.push(knob::weight_of(weight).map_err(|why| anyhow!("--weight: {why}"))?);
        turned.prefer = Some(Prefer::Weighed);
    }
    if let Some(word) = &args.prefer {
        let words = Prefer::ALL.map(Prefer::label);
        turned.prefer = Prefer::parse(word);
        if turned.prefer.is_none() {
            bail!("--prefer: there is no '{word}'{}; there are {}", meant_words(word, words), words.join(", "));
        }
    }
    Ok(turned)
}

fn print_json(decided: &Decided, turns: &[Turn]) -> Result<()> {
    let told: Vec<_> =
        turns.iter().map(|turn| serde_json::json!({ "turn": turn, "words": turn.words(&decided.advice) })).collect();
    let json = serde_json::json!({
        "profile": decided.profile.to_toml(),
        "advice": decided.advice,
        "words": words::words(&decided.advice),
        "changed": decided.changed,
        "would_change": told,
    });
    Ok(out::pretty_json(&json)?)
}

fn print(decided: &Decided, turns: &[Turn], is_as_it_ran: bool) -> Result<()> {
    let advice = &decided.advice;
    say!("{}", whatif::headline(advice))?;
    if !is_as_it_ran {
        say!("Against the profile as it ran: {}", decided.changed.words(advice))?;
    }
    say!()?;
    groups::table(advice, None).print(&mut out::stdout())?;
    say!()?;
    match turns.is_empty() {
        true => say!("No single turn of a limit, a margin or the preference would change it.")?,
        false => say!("What would change it, the nearest first:")?,
    }
    for turn in turns.iter().take(TOLD) {
        say!("  {}", turn.words(advice))?;
    }
    if turns.len() > TOLD {
        say!("  … and {} more (--json has them)", turns.len() - TOLD)?;
    }
    Ok(())
}
