//! `bantam train MODEL --data FILE -o DIR`: a LoRA adapter that learns from the user's examples, as a folder that PEFT
//! and bantam load.

use super::args::Train;
use super::kld::start_threads;
use super::live::LiveLine;
use super::{Exit, stop};
use crate::library::home::Home;
use crate::library::models;
use crate::show::counted;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, ensure};
use bantam_core::disk::DraftFolder;
use bantam_core::unit::Bytes;
use bantam_host as host;
use bantam_host::card::{Roots, memory};
use bantam_lab::Lora;
use bantam_lab::train::{Keeping, Outlook, SUMMARY, Summary, Told, TrainingProgress};
use bantam_lab::transform::Pinned;
use bantam_model::{Adapter, cost};
use serde_json::json;
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) fn run(args: Train) -> Result<Exit> {
    settle(args.threads)?;
    let lora = Lora {
        data: args.data.as_deref().map(Pinned::new),
        suite: args.suite,
        prompt: args.prompt.map(|text| written(&text)),
        completion: args.completion.map(|text| written(&text)),
        ..args.lora.as_deref().map(Lora::short).transpose()?.unwrap_or_default()
    };
    let lora = lora.settled()?;
    let found = models::find(&args.model)?;
    let source = models::unpacked(&found.name, &found.place)?;
    // what is wrong with the settings is said before what stands in the way of their result
    lora.check_for(source.form().config()?)?;
    check_place(&args.out, args.force)?;
    let cancel = stop::on_signals()?;
    let shelf = Home::find()?.artifacts();
    let live = LiveLine::new();
    let (begun, rate) = (Instant::now(), Cell::new(None));
    let tell = |told: Told| {
        if let Told::Progress(progress) = told {
            rate.set(Some(progress.tokens_per_second));
        }
        show(&live, told);
    };
    let trained = bantam_lab::train_adapter(&source, &lora, Keeping { folder: &shelf, cancel: &cancel, tell: &tell });
    live.clear();
    let Some(folder) = trained? else {
        note!("stopped; the same command goes on where this one was");
        return Ok(Exit::Interrupted);
    };
    copy(&folder, &args.out)?;
    let adapter = Adapter::open(&args.out)?;
    let summary = Summary::of(&args.out);
    let peak = memory::own_peak(&Roots::default()).value().map(|bytes| Bytes(bytes as u64));
    if args.json {
        let config = source.form().config().ok().map(|config| cost(config).parameters);
        return out::json(&json!({
            "adapter": args.out,
            "parameters": adapter.parameters(),
            "of": config,
            "steps": summary.as_ref().map(|summary| summary.steps),
            "tokens": summary.as_ref().map(|summary| summary.tokens),
            // of this sitting; null where what was trained before was found
            "tokens_per_second": rate.get(),
            "loss": summary.as_ref().map(|summary| summary.loss_last),
            "held_out_loss": summary.as_ref().and_then(|summary| summary.held_out_best),
            "seconds": begun.elapsed().as_secs_f64(),
            "peak_bytes": peak.map(|bytes| bytes.0),
            "data_sha256": lora.data.as_ref().and_then(|data| data.sha256.clone()).or_else(|| lora.lessons.clone()),
            "training": summary,
        }))
        .map(|()| Exit::Done)
        .context("printing the result");
    }
    let peak = peak.map_or_else(String::new, |bytes| format!(", at most {bytes} in memory"));
    let how = summary.map_or_else(String::new, |summary| format!(" ({})", summary.words()));
    say!("{}: {adapter}, made in {}{peak}{how}", args.out.display(), time(begun.elapsed()))?;
    Ok(Exit::Done)
}

/// Refuses a folder that cannot be made or would be lost, before an hour is spent on what would go there. An adapter that
/// bantam trained may be replaced, and by `force` any adapter; nothing else ever is.
fn check_place(out: &Path, force: bool) -> Result<()> {
    if !out.exists() {
        std::fs::create_dir_all(out).with_context(|| format!("{}: cannot make the folder", out.display()))?;
        return std::fs::remove_dir(out).with_context(|| out.display().to_string());
    }
    let (name, is_ours) = (out.display(), Summary::of(out).is_some());
    ensure!(out.is_dir(), "{name}: it is there already and no folder; name another");
    let is_empty = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(
        is_empty || Adapter::open(out).is_ok(),
        "{name}: it is there already and holds no adapter; name another folder"
    );
    ensure!(
        is_empty || is_ours || force,
        "{name}: it is there already, and not an adapter that bantam trained; name another folder, or replace it with --force"
    );
    Ok(())
}

/// Gets the process ready to train on so many threads, before there is another one.
pub(super) fn settle(threads: Option<usize>) -> Result<()> {
    host::settle_for_training();
    // who is asked for none has all; without a word here, rayon would take the one that training leaves to candle
    start_threads(Some(threads.unwrap_or(std::thread::available_parallelism().map_or(1, usize::from))))
}

/// How a run of training goes, for every command that trains.
pub(super) fn show(live: &LiveLine, told: Told) {
    match told {
        Told::Outlook(outlook) => live.print(&ahead(outlook)),
        Told::Progress(progress) => live.show(|| line(progress)),
        Told::Found(folder) => live.print(&format!("trained before: {}", folder.display())),
        Told::Made(folder) => live.print(&format!("what was learnt is kept as {}", folder.display())),
    }
    // what a log should have: each look at what is held out
    if let Told::Progress(progress) = told
        && progress.is_look
    {
        live.print(&line(progress));
    }
}

/// What a run will be.
fn ahead(outlook: &Outlook) -> String {
    let Outlook {
        trained, parameters, documents, held_out, left_out, tokens, steps, epochs, time: left, bytes, ..
    } = outlook;
    let share = 100.0 * *trained as f64 / *parameters as f64;
    let left_out = match left_out {
        0 => String::new(),
        n => format!(", {n} too long and left out"),
    };
    let again = match outlook.resumed {
        0 => String::new(),
        done => format!("; goes on after step {done}"),
    };
    let layers = if outlook.recomputes { ", layers computed again for their gradients" } else { "" };
    format!(
        "trains {trained} parameters ({share:.2}% of {parameters}) on {documents} documents ({held_out} held out{left_out}): \
         {steps} steps of {tokens} tokens in all, {epochs:.1} times through; about {} and {} (estimated{layers}){again}",
        time(*left),
        Bytes(*bytes)
    )
}

fn line(progress: &TrainingProgress) -> String {
    let held_out = match progress.held_out {
        Some((last, best)) => format!(", held out {last:.4} (best {best:.4})"),
        None => String::new(),
    };
    if progress.steps == 0 {
        return format!("before the first step{held_out}");
    }
    let share = 100.0 * progress.tokens as f64 / progress.total_tokens.max(1) as f64;
    format!(
        "step {}, {share:.0}%, loss {:.4} over the last {}{held_out}, {:.0} tokens/s, {} left",
        progress.steps,
        progress.loss,
        counted(progress.steps.min(10) as usize, "step"),
        progress.tokens_per_second,
        time(progress.left)
    )
}

/// "1 h 2 min", "3 min", "12 s".
fn time(time: Duration) -> String {
    match time.as_secs() {
        s if s < 100 => format!("{s} s"),
        s if s < 6000 => format!("{} min", s.div_ceil(60)),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// A template as a shell hands it over, where \n is written with two characters.
fn written(typed: &str) -> String {
    typed.replace("\\n", "\n")
}

/// Copies an adapter's folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("{}: the adapter cannot be written", to.display());
    let draft = DraftFolder::of(to).with_context(failed)?;
    for file in Adapter::open(from)?.files() {
        let name = file.file_name().context("a file has a name")?;
        std::fs::copy(&file, draft.path().join(name)).with_context(failed)?;
    }
    if let Ok(told) = std::fs::read(from.join(SUMMARY)) {
        std::fs::write(draft.path().join(SUMMARY), told).with_context(failed)?;
    }
    draft.replace().with_context(failed)
}
