//! How far every variant's predictions over the profile's text moved from its base's: `bantam compare --kld`, in a process of its
//! own, since two models are held at once there. What was found is kept beside what is worked out of rows.

use crate::run::Workplace;
use crate::run::plan::Plan;
use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::profile::{Loss, Profile};
use bantam_core::record::{Place, Row, Variant};
use bantam_verdict::recommend::loss::{Divergence, divergence_key, pairs};
use bantam_verdict::recommend::{Known, VariantSummary, advise_knowing};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often it is looked whether the process is done, or is not wanted any more.
const LOOK: Duration = Duration::from_millis(50);

/// Measures what is not known yet of every variant and its base.
///
/// # Errors
/// Where the text cannot be read, or the comparison of a pair fails, in one sentence.
pub(super) fn measure(
    plan: &Plan,
    profile: &Profile,
    rows: &[Row],
    workplace: &Workplace,
    cancel: &Cancel,
) -> Result<()> {
    let Some((settings, text)) = profile.loss.as_ref().and_then(|loss| Some((loss, loss.text.as_ref()?))) else {
        return Ok(());
    };
    let store = &workplace.store;
    let advice = advise_knowing(rows, profile, store);
    for (base, variant) in pairs(&advice.summaries, advice.reference.as_ref()) {
        let key = divergence_key(base.id(), variant.id(), settings);
        let fresh = plan.again.iter().any(|id| rows.iter().any(|r| r.trial.id == *id));
        if cancel.is_cancelled() || (!fresh && store.find(&key).is_some()) {
            continue;
        }
        let places = place(&base.variant, workplace).zip(place(&variant.variant, workplace));
        let (Some((base_place, variant_place)), Some(trial)) = (places, trial_of(rows, variant)) else { continue };
        let found = compare(settings, text, &base_place, &variant_place, cancel);
        let found = found
            .with_context(|| format!("loss.text: {} against {}", variant.variant.label(), base.variant.label()))?;
        if let Some(found) = found {
            store.keep(&key, &trial, &serde_json::to_string(&found)?);
        }
    }
    Ok(())
}

fn trial_of(rows: &[Row], variant: &VariantSummary) -> Option<bantam_core::record::Id> {
    rows.iter().find(|row| row.trial.variant.id == *variant.id()).map(|row| row.trial.id.clone())
}

/// Where a variant's files are, as a command names them, with how its keys and values are kept.
fn place(variant: &Variant, workplace: &Workplace) -> Option<String> {
    let files = match &variant.model.place {
        _ if !variant.has_own_files() => workplace.store.place_of(&variant.id).ok().flatten()?.display().to_string(),
        Place::Bundled(name) => format!("bundled:{name}"),
        Place::Folder(path) | Place::Gguf(path) => path.display().to_string(),
        Place::Endpoint(_) | Place::System(_) => return None,
    };
    Some(if variant.kv.is_default() { files } else { variant.kv.behind(&files) })
}

/// None after a cancel.
fn compare(settings: &Loss, text: &Path, base: &str, variant: &str, cancel: &Cancel) -> Result<Option<Divergence>> {
    let mut command = Command::new(std::env::current_exe().context("cannot find bantam's own binary")?);
    command.args(["compare", "--json", "--quiet", "--kld"]).arg(text).args(["--ctx", &settings.ctx.to_string()]);
    if let Some(chunks) = settings.chunks {
        command.args(["--chunks", &chunks.to_string()]);
    }
    command.args(["--arithmetic", "fast", "--", base, variant]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    while child.try_wait()?.is_none() {
        if cancel.is_cancelled() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
    let said = child.wait_with_output()?;
    let why = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success(), "{}", why.lines().last().unwrap_or("it ended without a word"));
    let json: Value = serde_json::from_slice(&said.stdout).context("what the comparison said is no JSON")?;
    let kld = &json["variants"][0]["kld"];
    let number = |value: &Value| value.as_f64().context("the comparison said no number");
    let figure = |key: &str| Ok::<_, anyhow::Error>((number(&kld[key]["value"])?, number(&kld[key]["error"])?));
    Ok(Some(Divergence {
        text: text.file_name().map_or_else(|| text.display().to_string(), |name| name.to_string_lossy().into_owned()),
        tokens: number(&kld["tokens"])? as usize,
        mean: figure("mean")?,
        p99: number(&kld["p99"])?,
        same_top: figure("same_top")?,
        ratio: figure("ratio")?,
    }))
}
