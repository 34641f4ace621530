//! `bantam systems RUN`: what the variants of a stored run come to together, small first and large where the small one is
//! unsure, or one for each task. No model is asked.

use super::Exit;
use crate::run::{self, Workplace, quoted};
use crate::show::out::{self, note, say};
use crate::show::{Table, counted};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::meant::meant_words;
use bantam_core::output;
use bantam_core::profile::{Hold, Profile, Systems as Asked};
use bantam_core::record::{Place, Row};
use bantam_core::system::{ANY_TASK, Router, Sureness};
use bantam_core::unit::Unit;
use bantam_verdict::recommend::figures;
use bantam_verdict::recommend::systems::{self, Considered, Pays, Systems};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct SystemsArgs {
    /// A profile's name, for its latest run, or a run's id
    pub run: String,
    /// A cascade of two variants as tables name them, in place of those that look best; may be repeated
    #[arg(long, num_args = 2, value_names = ["SMALL", "LARGE"])]
    pub pair: Vec<String>,
    /// What is in memory at a time: all members, or one
    #[arg(long, value_name = "WHAT", value_parser = ["all", "one"])]
    pub hold: Option<String>,
    /// Write the rules of the first system (or of the one named by --only) as a router's file, which `bantam serve` obeys
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Write a LiteLLM configuration for that router
    #[arg(long, value_name = "FILE")]
    pub litellm: Option<PathBuf>,
    /// The system that is exported, by its label
    #[arg(long, value_name = "SYSTEM")]
    pub only: Option<String>,
    /// Cut the items into halves in so many ways, and tell how often the promised scores and costs held
    #[arg(long, value_name = "WAYS", conflicts_with_all = ["export", "litellm"])]
    pub splits: Option<usize>,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// The most ways to cut the items: more tell nothing more.
const MOST_SPLITS: usize = 10_000;

pub(super) fn run(args: SystemsArgs) -> Result<Exit> {
    let workplace = Workplace::open()?;
    let (stored, rows, profile) = run::laid_out(&args.run, &workplace)?;
    let profile = Profile { systems: Some(asked(&args, &profile)), ..profile };
    if let Some(ways) = args.splits {
        ensure!((1..=MOST_SPLITS).contains(&ways), "--splits is {ways}; allowed are 1 to {MOST_SPLITS}");
        // with all their items at once, which are looked at again and again
        let rows = workplace.store.rows(&stored.id)?;
        return over_splits(&rows, &profile, &workplace, ways, args.json);
    }
    let (found, _) = systems::consider(&rows, &profile, &workplace.store).expect("the profile asks for systems now");
    match args.json {
        true => out::pretty_json(&serde_json::to_value(&found)?)?,
        false => print(&found)?,
    }
    if args.export.is_some() || args.litellm.is_some() {
        let chosen = chosen(&found, args.only.as_deref())?;
        let router = router(chosen, &rows, &workplace)?;
        if let Some(file) = &args.export {
            let text = format!("{}{}", head(chosen, &found, &args.run), router.to_toml());
            write(file, &text)?;
            note!("router: {} (`bantam serve {}` obeys it)", file.display(), quoted(&file.display().to_string()));
        }
        if let Some(file) = &args.litellm {
            write(file, &litellm(&router))?;
            note!("LiteLLM: {} (`litellm --config {}`)", file.display(), quoted(&file.display().to_string()));
        }
    }
    Ok(match found.considered.iter().any(|considered| considered.pays == Pays::Yes) {
        true => Exit::Done,
        false => Exit::NothingFits,
    })
}

/// How often promises held over many splits; exit code 3 where they did in fewer than the profile's confidence says.
fn over_splits(rows: &[Row], profile: &Profile, workplace: &Workplace, ways: usize, json: bool) -> Result<Exit> {
    let found = systems::splits(rows, profile, &workplace.store, ways);
    if json {
        out::pretty_json(&serde_json::to_value(&found)?)?;
    } else if found.is_empty() {
        say!("No pair of variants and no choice of one for each task was of any use.")?;
    } else {
        let mut table = Table::new().text("system").number("splits").number("all held").text("scores").text("costs");
        table = table.number("pays").number("does not");
        for one in &found {
            let share = |count: usize| format!("{:.1}%", 100.0 * count as f64 / one.splits as f64);
            let scores: Vec<String> =
                one.scores.iter().map(|(task, held)| format!("{task} {}", share(*held))).collect();
            let costs: Vec<String> =
                one.costs.iter().map(|(metric, held)| format!("{} {}", metric.label(), share(*held))).collect();
            table.row(vec![
                one.label.clone(),
                one.splits.to_string(),
                share(one.held),
                scores.join(", "),
                costs.join(", "),
                share(one.pays),
                share(one.pays_not),
            ]);
        }
        table.print(&mut out::stdout())?;
        say!(
            "Promised is that all of a system hold together in {:.0}% of the splits.",
            100.0 * profile.objective.confidence
        )?;
    }
    let kept = |one: &systems::Splits| one.held as f64 >= profile.objective.confidence * one.splits as f64;
    Ok(if found.iter().all(kept) { Exit::Done } else { Exit::NothingFits })
}

fn asked(args: &SystemsArgs, profile: &Profile) -> Asked {
    let mut asked = profile.systems.clone().unwrap_or_default();
    if !args.pair.is_empty() {
        asked.pairs = args.pair.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        (asked.cascade, asked.specialists) = (true, false);
    }
    if let Some(hold) = &args.hold {
        asked.hold = if hold == "one" { Hold::One } else { Hold::All };
    }
    asked
}

fn print(found: &Systems) -> Result<()> {
    for line in found.words() {
        say!("{line}")?;
    }
    if found.considered.is_empty() {
        return Ok(());
    }
    if let Some(single) = &found.single {
        let cost = found.metric.unit().show(single.cost);
        say!("One variant alone: {} at {cost} an item ({}).", single.label, found.metric.label())?;
    }
    let mut table =
        Table::new().text("system").text("pays").number("an item").number("promised").number("memory").text("");
    for considered in &found.considered {
        let cost = considered.costs.iter().find(|(metric, _)| *metric == found.metric).map(|(_, kept)| kept);
        let shown = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| found.metric.unit().show(value));
        let memory = considered.memory_of_all.known().map_or_else(|| "–".into(), figures::shown);
        table.row(vec![
            considered.variant.label(),
            considered.pays.label().into(),
            shown(cost.map(|kept| kept.found)),
            shown(cost.map(|kept| kept.bound)).replacen("", "≤ ", 1),
            memory,
            if considered.tried { String::new() } else { "looked at only".into() },
        ]);
    }
    say!()?;
    table.print(&mut out::stdout())?;
    for considered in &found.considered {
        say!()?;
        say!("{}", considered.variant.label())?;
        for told in &considered.tasks {
            let score = &told.score;
            let kept = if score.held { "" } else { ", which was not kept" };
            say!(
                "  {}; score {} on {} (promised: {}{kept})",
                told.words(considered),
                Unit::Fraction.show(score.found),
                counted(score.items, "new item"),
                Unit::Fraction.show(score.bound),
            )?;
        }
        for broken in considered.broken() {
            say!("  not kept: {broken}")?;
        }
    }
    Ok(())
}

/// The system that is exported.
fn chosen<'a>(found: &'a Systems, only: Option<&str>) -> Result<&'a Considered> {
    let labels = || found.considered.iter().map(|considered| considered.variant.label());
    let Some(only) = only else {
        return found
            .considered
            .first()
            .with_context(|| found.none.clone().unwrap_or_else(|| "there is no system".into()));
    };
    let known: Vec<String> = labels().collect();
    let found = found.considered.iter().find(|considered| considered.variant.label() == only);
    found.with_context(|| {
        let meant = meant_words(only, known.iter().map(String::as_str));
        format!("--only: there is no system '{only}'{meant}; there are {}", known.join(", "))
    })
}

/// Where its members are.
fn router(considered: &Considered, rows: &[Row], workplace: &Workplace) -> Result<Router> {
    let mut typed = Vec::new();
    for member in &considered.system().members {
        let row = rows.iter().find(|row| row.trial.variant.id == member.variant);
        let variant = &row.with_context(|| format!("{}: has no results here", member.label))?.trial.variant;
        ensure!(
            variant.model.adapter.is_none(),
            "{}: has an adapter; merge it first, a router loads whole models",
            member.label
        );
        let path = run::place(variant, workplace);
        let model = match (&variant.model.place, path) {
            (Place::Bundled(name), None) if variant.has_own_files() => format!("bundled:{name}"),
            (Place::Endpoint(at), _) => {
                bail!("{}: answers at an address, and a router serves models of this machine", at.label())
            }
            (_, Some(path)) if path.exists() => path.display().to_string(),
            _ => bail!(
                "{}: its file is not here any more; `bantam run` makes it again, or `bantam compress` with its recipe",
                member.label
            ),
        };
        typed.push(if variant.kv.is_default() { model } else { variant.kv.behind(&model) });
    }
    Ok(systems::router(considered, |place| typed[place].clone()))
}

/// What a reader of the router's file should know.
fn head(considered: &Considered, found: &Systems, run: &str) -> String {
    let mut lines =
        vec![format!("`bantam systems {run}` made this; `bantam serve` obeys it."), considered.words(found.metric)];
    lines.extend(considered.tasks.iter().map(|told| told.words(considered)));
    lines.push("Limits hold for answers without a temperature, put as the tasks put them.".into());
    lines.iter().map(|line| format!("# {}\n", line.replace('\n', " "))).collect::<String>() + "\n"
}

/// LiteLLM asks the router, by the names of its tasks and its own. It knows no limits on how sure a model is: these are
/// the router's.
fn litellm(router: &Router) -> String {
    let mut lines = vec![
        "# For LiteLLM's proxy, with `bantam serve` and the router's file behind it.".to_owned(),
        "model_list:".to_owned(),
    ];
    let names = router.rules.iter().map(|rule| if rule.task == ANY_TASK { &router.name } else { &rule.task });
    for name in names {
        // a JSON string is one of YAML's
        lines.push(format!("  - model_name: {}", json!(name)));
        lines.push("    litellm_params:".into());
        lines.push(format!("      model: {}", json!(format!("openai/{name}"))));
        lines.push("      api_base: http://127.0.0.1:8080/v1".into());
        lines.push("      api_key: none".into());
    }
    let by_choices = router.rules.iter().any(|rule| rule.escalate.as_ref().is_some_and(|e| e.by == Sureness::Share));
    if by_choices {
        lines.push(
            "# Tasks with choices are told how sure a model is by structured_outputs: {\"choice\": [..]}.".into(),
        );
    }
    lines.join("\n") + "\n"
}

fn write(file: &Path, text: &str) -> Result<()> {
    output::check(file, false, &[], &|_| false)?;
    std::fs::write(file, text).with_context(|| format!("{}: cannot be written", file.display()))
}
