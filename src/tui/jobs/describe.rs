//! Describes a plan and its results in the plain numbers and names that the screens lay out.

use super::expect;
use crate::library::{models, suites};
use crate::run::Done;
use crate::run::plan::Plan;
use crate::tui::results::{ResultColumn, ResultRow, Results};
use crate::tui::setup::{ModelEntry, ModelInfo, Setup, SuiteEntry, SuiteInfo};
use anyhow::{Result, anyhow};
use bantam_core::metric::Metric;
use bantam_core::profile::{Profile, RecipeRef};
use bantam_core::record::{LeftOut, Row};
use bantam_core::unit::Bytes;
use bantam_lab::{self as lab, Recipe};
use bantam_model::{Container, KvType, encoder};
use bantam_verdict::recommend::summary::VariantSummary;
use bantam_verdict::recommend::{Advice, Standing};

/// Describes a planned profile: `whole` is the profile as written, `chosen` what of it is taken in.
pub(super) fn setup(whole: &Profile, chosen: &Profile, plan: &Plan, rows: &[Row]) -> Setup {
    let mut profile = whole.clone();
    profile.objective = chosen.objective.clone();
    profile.constraints = chosen.constraints.clone();
    let suites: Vec<SuiteEntry> = whole.suites.iter().map(|name| suite_entry(name, whole.measure.limit)).collect();
    Setup {
        models: whole.models.iter().map(|name| model_entry(name, &whole.recipes)).collect(),
        grid: expect::grid(plan, &suites, rows),
        suites,
        trials: plan.run.trials.clone(),
        variants: plan.variants.len(),
        unmakable: plan.run.left_out.iter().map(short_reason).collect(),
        done: plan.done.iter().cloned().collect(),
        host: plan.host.words.clone(),
        energy: energy(whole),
        warnings: plan.host.warnings.iter().map(|w| w.text.clone()).collect(),
        profile,
    }
}

/// A pair that is shown with its model's name needs no path of the same model before its reason.
fn short_reason(pair: &LeftOut) -> LeftOut {
    let of_it = |(file, _): &(&str, &str)| file.contains(&pair.model) && !file.contains(' ');
    let reason = pair.reason.split_once(": ").filter(of_it).map_or(pair.reason.as_str(), |(_, reason)| reason);
    LeftOut { reason: reason.to_owned(), ..pair.clone() }
}

/// How energy will be told, before any meter is proven.
fn energy(profile: &Profile) -> String {
    let found = bantam_host::meter::find(&bantam_host::meter::Places::default());
    let names: Vec<String> = found.meters.iter().map(|m| m.identity().name.clone()).collect();
    match (names.is_empty(), profile.measure.tdp_watts) {
        (false, _) => format!("{}, once it has moved under load", names.join(", ")),
        (true, Some(watts)) => format!("estimated from the profile's {watts} W"),
        (true, None) => {
            let why = found.refused.first().map_or("no meter was found", |r| r.reason.as_str());
            format!("not available: {why}")
        }
    }
}

fn model_entry(typed: &str, recipes: &[RecipeRef]) -> ModelEntry {
    let name = typed.strip_prefix("bundled:").unwrap_or(typed).to_owned();
    let info = model_info(typed, recipes).map_err(|e| crate::show::sentence(&e));
    ModelEntry { name, typed: typed.into(), info }
}

fn model_info(typed: &str, recipes: &[RecipeRef]) -> Result<ModelInfo> {
    let found = models::find(typed)?;
    let facts = match models::inspect(&found.place)? {
        models::ModelFacts::Decoder(facts) => facts,
        models::ModelFacts::Encoder(facts) => return Ok(encoder_info(&facts)),
    };
    let source = models::source(&found.name, &found.place);
    let (config, cost) = (&facts.config, &facts.cost);
    let kv = cost.cache_bytes_per_token(KvType::default());
    let context = kv * config.max_positions as u64;
    let after = |recipe: &Recipe| -> Result<u64> {
        let source = source.as_ref().map_err(|error| anyhow!("{}", crate::show::sentence(error)))?;
        Ok(lab::plan_types(source, recipe)?.bytes)
    };
    let size = |(name, bytes): (String, Result<u64>)| {
        let sizes = bytes.map(|bytes| (Bytes(bytes), Bytes(bytes + context)));
        (name, sizes.map_err(|error| crate::show::sentence(&error)))
    };
    let sizes = |named: &RecipeRef| -> Vec<(String, Result<u64>)> {
        let (name, recipes) = match named {
            RecipeRef::Base => return vec![("base".to_owned(), Ok(facts.bytes))],
            RecipeRef::Quantize(name) => (name.clone(), Recipe::all_named(name)),
            RecipeRef::File(path) => {
                let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
                (stem, Recipe::read_all(path))
            }
        };
        match recipes {
            Ok(all) => all.iter().map(|recipe| (recipe.name.clone(), after(recipe))).collect(),
            Err(error) => vec![(name, Err(error))],
        }
    };
    let stored: Vec<&str> = facts.types.keys().map(String::as_str).collect();
    Ok(ModelInfo {
        architecture: config.architecture.class().into(),
        parameters: facts.parameters(),
        layers: config.layers.len(),
        hidden: config.dim,
        heads: config.heads,
        kv_heads: config.kv_heads,
        vocab: config.vocab,
        context: config.max_positions,
        kv_bytes_per_token: Some(Bytes(kv)),
        stored: Bytes(facts.bytes),
        weights: match facts.container {
            Container::Gguf { mixture: Some(mixture), chosen: false, .. } => mixture.into(),
            _ => stored.join(", "),
        },
        sizes: recipes.iter().flat_map(sizes).map(size).collect(),
    })
}

/// An encoder keeps nothing while it reads, and no recipe makes another of it.
fn encoder_info(facts: &encoder::Facts) -> ModelInfo {
    let (config, stored) = (&facts.config, Bytes(facts.bytes));
    ModelInfo {
        architecture: config.class.into(),
        parameters: facts.parameters(),
        layers: config.layers,
        hidden: config.dim,
        heads: config.heads,
        kv_heads: config.heads,
        vocab: config.vocab,
        context: facts.context,
        kv_bytes_per_token: None,
        stored,
        weights: facts.types.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        sizes: vec![("base".into(), Ok((stored, stored)))],
    }
}

fn suite_entry(named: &str, limit: Option<usize>) -> SuiteEntry {
    match suites::load(named) {
        Err(error) => SuiteEntry { name: named.into(), info: Err(error.to_string()) },
        Ok(suite) => {
            let available = suite.tasks.iter().map(|t| t.items().len());
            let tasks = suite.tasks.iter().map(|task| expect::task(task, limit)).collect();
            let info = SuiteInfo {
                tasks,
                items: available.clone().map(|n| limit.map_or(n, |limit| n.min(limit))).sum(),
                available: available.sum(),
                metric: suite.tasks.first().map_or(Metric::Acc, |t| t.deciding()),
            };
            SuiteEntry { name: suite.name.clone(), info: Ok(info) }
        }
    }
}

/// Describes rows and their advice as the table of results. Before the run is over nobody is judged: limits would be held
/// against what tasks took, and verdicts against tasks that not everybody was asked.
pub(super) fn results(rows: &[Row], advice: &Advice, over: bool) -> Results {
    const COSTS: [(Metric, &str); 6] = [
        (Metric::DecodeTps, "decode"),
        (Metric::PeakMemory, "memory"),
        (Metric::Disk, "disk"),
        (Metric::PrefillTps, "prefill"),
        (Metric::Ttft, "first token"),
        (Metric::DecodeEnergy, "energy"),
    ];
    // money is a column where there are prices
    let cents = advice.money.as_ref().map(|_| (Metric::CentsPerCorrect, "ct/correct"));
    let costs: Vec<(Metric, &str)> = COSTS.into_iter().chain(cents).collect();
    let overall = advice.summaries.first().map_or(Metric::Acc, |s| s.overall.metric);
    let mut columns = vec![ResultColumn { title: "mean".into(), metric: overall }];
    columns.extend(advice.tasks.iter().map(|t| ResultColumn { title: t.name.to_string(), metric: t.metric }));
    columns.extend(costs.iter().map(|(metric, title)| ResultColumn { title: (*title).into(), metric: *metric }));
    let advised = advice.advised().map(|s| s.id().clone());
    let row = |s: &VariantSummary| {
        let mut cells = vec![s.overall.reading.clone()];
        cells.extend(advice.tasks.iter().map(|t| {
            let missing = || bantam_core::record::Reading::missing("not measured yet");
            s.score(&t.name).map_or_else(missing, |score| score.reading().clone())
        }));
        cells.extend(costs.iter().map(|(metric, _)| s.cost(*metric)));
        ResultRow {
            variant: s.variant.clone(),
            cells,
            on_front: over && s.standing.qualifies() && advice.on_front(Metric::PeakMemory, s.id()),
            standing: match over {
                true => s.standing.clone(),
                false => Standing::CannotTell { reason: "The run is not over.".into() },
            },
            advised: over && advised.as_ref() == Some(s.id()),
            at: s.peak_memory.value().zip(s.overall.reading.value()),
        }
    };
    let place = |s: &VariantSummary| rows.iter().position(|r| r.trial.variant.id == *s.id());
    let mut summaries: Vec<&VariantSummary> = advice.summaries.iter().collect();
    summaries.sort_by_key(|s| place(s));
    Results { columns, rows: summaries.into_iter().map(row).collect() }
}

/// Where the advised variant's file is, and what runs it.
pub(super) fn how_to_run(done: &Done) -> Vec<String> {
    let Some(file) = done.file.as_ref().filter(|_| done.words().found) else { return Vec::new() };
    let command = |(what, command): &(_, String)| format!("{what} {command}");
    [format!("{}.", file.sentence())].into_iter().chain(file.commands.iter().map(command)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_does_not_repeat_the_path_of_the_model_that_it_stands_beside() {
        let of = |reason: &str| {
            let pair = LeftOut { model: "m.Q8_0".into(), recipe: "Q2_K".into(), reason: reason.into() };
            short_reason(&pair).reason
        };
        assert_eq!(of("/a/b/m.Q8_0.gguf: it is stored as Q8_0: export it"), "it is stored as Q8_0: export it");
        assert_eq!(of("no room: 3 GiB are free"), "no room: 3 GiB are free");
    }
}
