//! `bantam compress MODEL --quant TYPE`: a compressed model as a GGUF file that other tools load.

use super::args::{Compress, RoundingMethod};
use super::live::LiveLine;
use super::train;
use super::verify::{self, Allowed};
use super::{Exit, at_least, stop};
use crate::library::home::Home;
use crate::library::models;
use crate::show::Table;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, anyhow, bail};
use bantam_core::cancel::Cancel;
use bantam_core::output;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use bantam_lab::export::base_name;
use bantam_lab::transform::{Calibrate, Pinned};
use bantam_lab::{self as lab, Artifact, Found, Method, Mixture, Plan, Progress, Quantize, Recipe, Source, Stage};
use serde_json::json;
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

pub(super) fn run(mut args: Compress) -> Result<Exit> {
    // a step may train
    train::settle(None)?;
    if args.at_least.is_empty() {
        anyhow::ensure!(args.limit.is_none(), "--limit goes with --at-least, whose suites have items");
    } else {
        anyhow::ensure!(args.limit != Some(0), "--limit is 0; allowed is a whole number from 1 on");
        let found = models::find(&args.model)?;
        let least = lab::least_bits(&models::source(&found.name, &found.place)?)?;
        args.bpw = Some(at_least::fewest_bits(&args, least)?);
    }
    let has_goal = args.budget.is_some() || args.bpw.is_some() || args.max_kld.is_some();
    let recipe = match (&args.quant, &args.recipe) {
        _ if has_goal => weighed(None, &args)?,
        (Some(name), _) => weighed(Some(name), &args)?,
        (None, Some(recipe)) => Recipe::of(recipe)?,
        (None, None) => bail!(
            "compress what {} to? Give --quant TYPE, which is one of {}, or --recipe FILE.toml, with a step such as \
             `[[step]]` and below it `quantize = {{ type = \"Q4_K_M\" }}`, or steps in short such as \
             --recipe 'prune:layers=2 > quantize:q4_k_m' (steps: {})",
            args.model,
            Mixture::all().map(|mixture| mixture.to_string()).collect::<Vec<_>>().join(", "),
            lab::transform::kinds().join(", ")
        ),
    };
    let found = models::find(&args.model)?;
    let source = match args.requantize {
        true => models::unpacked(&found.name, &found.place)?,
        false => models::source(&found.name, &found.place)?,
    };
    let named = || PathBuf::from(format!("{}-{}.gguf", base_name(&found.name), plain(&recipe.name)));
    let out = args.out.clone().unwrap_or_else(named);
    if !args.dry_run {
        output::check(&out, args.force, &models::files(&found.place), &lab::is_ours)?;
    }
    let cancel = stop::on_signals()?;
    let live = Rc::new(LiveLine::logged());
    let told = live.clone();
    let planning = move |of: &str, done, total| told.show(|| format!("prune: {of} {done} of {total}"));
    let source = source.watched(&cancel, Box::new(planning)).of_commit(found.commit.clone());
    let wanted =
        Wanted { source: &source, recipe: &recipe, place: &found.place, out: &out, cancel: &cancel, live: &live };
    match wanted.make(&args) {
        Err(_) if cancel.is_cancelled() => Ok(interrupted(&live)),
        made => made.inspect_err(|_| live.clear()),
    }
}

/// What is made of what, and where.
struct Wanted<'a> {
    source: &'a Source<'static>,
    recipe: &'a Recipe,
    place: &'a Place,
    out: &'a Path,
    cancel: &'a Cancel,
    live: &'a LiveLine,
}

impl Wanted<'_> {
    fn make(&self, args: &Compress) -> Result<Exit> {
        let &Wanted { source, recipe, place, out, cancel, live } = self;
        let begun = Instant::now();
        let artifacts = Home::find()?.artifacts();
        let ahead = Ahead::of(lab::needs(source, recipe)?);
        if args.dry_run && !recipe.asks_for_a_goal() {
            ahead.tell("when it is made: ", live);
            return dry(&lab::plan_types(source, recipe)?, None, args.json);
        }
        let mut show = |progress: Progress| {
            ahead.before(&progress, live);
            show(live, progress);
        };
        let staged = lab::stage(source, recipe, &artifacts, cancel, &mut show)?;
        let (begun_with, recipe) = match &staged {
            Some((source, rest)) => {
                ahead.only(lab::needs(source, rest)?);
                (source, rest)
            }
            None => (source, recipe),
        };
        let (settled, searched) = lab::settle(begun_with, recipe, &artifacts, cancel, &mut show)?;
        let plan = lab::plan_types(begun_with, &settled)?;
        if args.dry_run {
            live.clear();
            dry(&plan, searched.as_ref(), args.json)?;
            expected(searched.as_ref(), &plan);
            return Ok(Exit::Done);
        }
        let artifact = lab::write_to_keeping(begun_with, &settled, out, Some(&artifacts), cancel, &mut show)?;
        live.clear();
        if args.verify {
            verify::bytes(out, &artifact.sha256)?;
            verify::models(place, None, &Place::Gguf(out.to_owned()), Allowed::Recipe)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        tell(&artifact, &plan, searched.as_ref(), out, seconds, args.json).context("printing the result")?;
        expected(searched.as_ref(), &plan);
        let again = source
            .quantized_words()
            .map(|types| format!("the weights were {types} before, and lost what that loses already"));
        for note in again.iter().chain(&plan.fallback_words()).chain(source.notes()) {
            note!("note: {note}");
        }
        Ok(Exit::Done)
    }
}

/// What steps will need, said before the first of them begins: what is found again needs nothing.
struct Ahead(RefCell<Vec<String>>);

impl Ahead {
    fn of(needs: Vec<String>) -> Ahead {
        Ahead(RefCell::new(needs))
    }

    /// Has only these needs left.
    fn only(&self, needs: Vec<String>) {
        self.0.replace(needs);
    }

    fn before(&self, progress: &Progress, live: &LiveLine) {
        if matches!(progress.stage, Stage::Calibrate | Stage::Step { .. } | Stage::Probe | Stage::Train(_)) {
            self.tell("", live);
        }
    }

    fn tell(&self, when: &str, live: &LiveLine) {
        self.0.take().iter().for_each(|need| live.print(&format!("{when}{need}")));
    }
}

fn interrupted(live: &LiveLine) -> Exit {
    live.clear();
    note!("stopped; no file was written, what was found so far is kept, and the same command goes on from there");
    Exit::Interrupted
}

fn show(live: &LiveLine, progress: Progress) {
    let Progress { stage, done, total } = progress;
    match stage {
        Stage::Write { tensor, kind } => live.show(|| format!("{:>3}% {tensor} → {kind}", done * 100 / total.max(1))),
        Stage::Calibrate => live.show(|| format!("calibrating, window {done} of {total}")),
        Stage::Step { of } => live.show(|| format!("{of} {done} of {total}")),
        Stage::Train(told) => train::show(live, told),
        Stage::Probe => live.show(|| format!("seeing what each tensor costs: {done} of {total}, once for all budgets")),
        _ => (),
    }
}

/// How many mixtures are named beside what a search found, those nearest in size.
const NAMED_BESIDE: usize = 6;

/// What the search expects of the file, beside what it expects of the named mixtures.
fn expected(searched: Option<&Found>, plan: &Plan) {
    let Some(found) = searched else { return };
    if let Some((plain, most)) = found.room_for_all {
        note!(
            "note: that leaves room for every tensor in {plain}, which takes {most}: nothing was searched or rounded further"
        );
    }
    let Some(expected) = found.expected else { return };
    // the search knows of no other way to round
    let of = match found.method {
        Method::Rounding => "",
        Method::Gptq => " with each weight rounded for itself; what gptq makes of these types is not estimated",
        Method::Best => {
            " with each weight rounded for itself; what the better of both makes of these types is not estimated"
        }
    };
    note!("expected mean KLD {expected:.4}{of} (estimated; `bantam compare --kld` measures it), {}", Bytes(plan.bytes));
    let mut near: Vec<_> = found.named.iter().filter(|(.., loss)| loss.is_finite()).collect();
    near.sort_by_key(|(_, bytes, _)| bytes.abs_diff(plan.bytes));
    near.truncate(NAMED_BESIDE);
    near.sort_by_key(|(_, bytes, _)| std::cmp::Reverse(*bytes));
    for (mixture, bytes, loss) in near {
        note!("  {mixture} would have {} and lose {loss:.4}", Bytes(*bytes));
    }
}

/// What was typed as `--quant`, with what its rounding goes by.
fn weighed(typed: Option<&str>, args: &Compress) -> Result<Recipe> {
    let method = match args.method {
        RoundingMethod::Rounding => Method::Rounding,
        RoundingMethod::Gptq => Method::Gptq,
        RoundingMethod::Best => Method::Best,
    };
    let rests = args.imatrix.is_some() || args.calibrate.is_some() || args.awq || method != Method::Rounding;
    if let Some(typed) = typed.filter(|_| !rests) {
        return Recipe::named(typed);
    }
    let named = |typed: &str| match typed.contains([':', '>']) {
        true => Err(anyhow!(
            "--imatrix, --calibrate, --method and --awq go with a type; in a recipe they are settings of its quantize step, such as \
             quantize:q4_k_m,method=gptq,calibrate"
        )),
        false => typed
            .parse()
            .map_err(|e: String| anyhow!("{e}; --imatrix, --calibrate, --method and --awq go with one of these")),
    };
    let mixture = typed.map(named).transpose()?;
    let calibrate = args.calibrate.as_deref().map(Calibrate::typed);
    Recipe::of_quantize(Quantize {
        mixture,
        method,
        awq: args.awq,
        imatrix: args.imatrix.as_deref().map(Pinned::new),
        calibrate,
        budget: args.budget.clone(),
        bpw: args.bpw,
        max_kld: args.max_kld,
        ..Quantize::default()
    })
}

/// A recipe's name as part of a file's: what a file's name should not have becomes one dash between words.
fn plain(name: &str) -> String {
    let stays = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    name.split(|c| !stays(c))
        .map(|word| word.trim_matches('-'))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn tell(
    artifact: &Artifact,
    plan: &Plan,
    searched: Option<&Found>,
    file: &Path,
    seconds: f64,
    as_json: bool,
) -> io::Result<()> {
    // what the steps before this one's did stands in the file, too
    let steps = lab::history::of_file(file).unwrap_or_else(|_| artifact.steps.clone());
    if as_json {
        let mut line = planned(plan, searched);
        let made = json!({
            "steps": steps,
            "file": file,
            "bytes": artifact.bytes,
            "sha256": artifact.sha256,
            "seconds": seconds,
        });
        if let (Some(line), serde_json::Value::Object(made)) = (line.as_object_mut(), made) {
            line.extend(made);
        }
        return out::json(&line);
    }
    let (bytes, bits) = (Bytes(artifact.bytes), plan.bits_per_weight());
    steps.iter().for_each(|step| note!("{}: {}", step.step, step.did));
    say!("{}: {bytes}, {bits:.2} bits a weight, made in {seconds:.1} s", file.display())
}

/// How many tensors each other type stands in for the mixture's own.
fn fallbacks(plan: &Plan) -> serde_json::Map<String, serde_json::Value> {
    plan.fallbacks.iter().map(|(kind, count)| (kind.to_string(), json!(count))).collect()
}

/// What is known of the file before it is made.
fn planned(plan: &Plan, searched: Option<&Found>) -> serde_json::Value {
    let tensor = |t: &lab::TensorInfo| json!({ "name": t.name, "type": t.kind.to_string(), "bytes": t.bytes() });
    json!({
        "bytes": plan.bytes,
        "bits_per_weight": plan.bits_per_weight(),
        "fallbacks": fallbacks(plan),
        "tensors": plan.tensors.iter().map(tensor).collect::<Vec<_>>(),
        "expected_kld": searched.and_then(|found| found.expected),
        // whatever the method: what it makes of the types is not estimated
        "expected_kld_of": searched.and_then(|found| found.expected).map(|_| "rounding"),
        "requantized_from": plan.requantized_from(),
    })
}

fn dry(plan: &Plan, searched: Option<&Found>, as_json: bool) -> Result<Exit> {
    if as_json {
        out::json(&planned(plan, searched))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new().text("tensor").text("type").number("size");
    for tensor in &plan.tensors {
        table.row(vec![tensor.name.clone(), tensor.kind.to_string(), Bytes(tensor.bytes()).to_string()]);
    }
    table.print(&mut out::stdout()).context("printing the table")?;
    say!("{}, {:.2} bits a weight", Bytes(plan.bytes), plan.bits_per_weight())?;
    plan.fallback_words().iter().for_each(|words| note!("note: {words}"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipes_name_in_a_files_has_one_dash_between_words() {
        assert_eq!(plain("prune:layers=2 > quantize:q4_k_m"), "prune-layers-2-quantize-q4_k_m");
        assert_eq!(plain("prune:heads=30%,of=groups"), "prune-heads-30-of-groups");
        assert_eq!(plain("Q4_K_M-imatrix"), "Q4_K_M-imatrix");
        assert_eq!(plain("budget-1.5 MB"), "budget-1.5-MB");
    }
}
