//! `bantam devices`: the machines whose speed is known, by measurement or by data sheet, and what a model would do there.

use super::args::{Common, at_least_one};
use super::run::execute;
use super::{Exit, adhoc};
use crate::run::{Workplace, device};
use crate::show::out::{self, note, say};
use crate::show::{Table, counted};
use anyhow::{Context, Result, bail};
use bantam_core::device::{DeviceCard, Source, Speed};
use bantam_core::unit::{Bytes, Seconds, Unit};
use bantam_verdict::recommend::device::{At, Phase, Predicted, error, predict};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct DevicesArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON on stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print a card
    Show {
        /// Its name
        name: String,
    },
    /// Keep a card that was measured elsewhere
    Add {
        /// A file that `bantam bench --device-card` wrote there
        file: PathBuf,
    },
    /// Forget a card that was measured or added here
    Remove {
        /// Its name
        name: String,
    },
    /// Measure a model here and predict what it would do on other devices
    Predict(Predict),
}

#[derive(Debug, clap::Args)]
struct Predict {
    /// Bundled model, folder, .gguf file or ORG/NAME[@REVISION] of the hub
    model: String,
    /// After quantization to these types, with commas, or after a recipe in short, beside the model as it is
    #[arg(long, value_name = "TYPE")]
    quant: Vec<String>,
    /// The devices; all where none is named
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    on: Vec<String>,
    /// Prompt tokens
    #[arg(long, short, default_value_t = 128, value_parser = at_least_one)]
    prompt: usize,
    /// Generated tokens
    #[arg(long, short = 'n', default_value_t = 64, value_parser = at_least_one)]
    output: usize,
    /// No progress lines
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: DevicesArgs) -> Result<Exit> {
    let workplace = Workplace::open()?;
    match args.what {
        None => list(&device::all(&workplace.home)?, args.json)?,
        Some(What::Show { name }) => {
            let cards = device::all(&workplace.home)?;
            let card = device::find(&cards, &name)?;
            match args.json {
                true => out::pretty_json(&serde_json::to_value(card)?)?,
                false => card.to_toml().lines().try_for_each(|line| say!("{line}"))?,
            }
        }
        Some(What::Add { file }) => {
            let card = device::read(&file)?;
            let kept = device::keep(&workplace.home, &card)?;
            note!("device {}: {}", card.name, kept.display());
        }
        Some(What::Remove { name }) => {
            device::find(&device::all(&workplace.home)?, &name)?;
            let file = device::folder(&workplace.home).join(format!("{name}.toml"));
            if !file.exists() {
                bail!("{name} came along with bantam; a card of one's own of that name goes before it");
            }
            std::fs::remove_file(&file).with_context(|| file.display().to_string())?;
        }
        Some(What::Predict(asked)) => predicted(&asked, args.json, &workplace)?,
    }
    Ok(Exit::Done)
}

fn source(card: &DeviceCard) -> &'static str {
    match card.source {
        Source::Measured => "measured",
        Source::DataSheet => "data sheet",
    }
}

fn list(cards: &[DeviceCard], json: bool) -> Result<()> {
    let (prefill, decode) = (error(Phase::Prefill, cards), error(Phase::Decode, cards));
    if json {
        let all: Vec<_> = cards
            .iter()
            .map(|card| {
                json!({ "name": card.name, "source": card.source, "origin": card.origin, "date": card.date, "cpu": card.cpu,
                    "memory": card.memory, "threads": card.settings.iter().map(|s| s.threads).collect::<Vec<_>>() })
            })
            .collect();
        let off = |(by, tried): (f64, usize)| json!({ "factor": by, "tried": tried });
        return Ok(out::pretty_json(
            &json!({ "devices": all, "off_by": { "prefill": off(prefill), "decode": off(decode) } }),
        )?);
    }
    let mut table = Table::new().text("device").text("known by").number("memory").number("bandwidth").text("processor");
    for card in cards {
        let bandwidth = card.setting(None).map_or_else(|| "–".into(), |setting| format!("{} GB/s", setting.bandwidth));
        table.row(vec![card.name.clone(), source(card).into(), card.memory.to_string(), bandwidth, card.cpu.clone()]);
    }
    table.print(&mut out::stdout())?;
    say!()?;
    match decode.1 {
        0 => say!("No measured card has the speeds of models, so that nothing tells how far predictions are off.")?,
        tried => say!(
            "Predicting what was measured from what was measured elsewhere is off by up to ×{:.2} in decode and ×{:.2} in \
             prefill (95 of 100 of {}); for a data sheet twice that is said, for nothing of it was measured.",
            decode.0,
            prefill.0,
            counted(tried, "prediction")
        )?,
    }
    Ok(())
}

fn predicted(asked: &Predict, json: bool, workplace: &Workplace) -> Result<()> {
    let cards = device::all(&workplace.home)?;
    let here = device::here(&cards)?;
    let on: Vec<&DeviceCard> = match asked.on.is_empty() {
        true => cards.iter().filter(|card| card.name != here.name).collect(),
        false => asked.on.iter().map(|name| device::find(&cards, name)).collect::<Result<_>>()?,
    };
    let shape = adhoc::shape(asked.prompt, asked.output)?;
    let mut profile = adhoc::profile("devices", vec![asked.model.clone()], &asked.quant);
    profile.measure.speed = vec![shape];
    let done = execute(&profile, &Common { json, fresh: false, offline: false, quiet: asked.quiet })?;
    let from = At { card: here, setting: here.setting(None).context("this machine's card has no setting")? };
    let known = device::speeds(&done.advice, shape, workplace).into_iter().map(|speed| {
        let summary = done.advice.summaries.iter().find(|summary| summary.variant.label() == speed.model);
        let memory = summary.and_then(|summary| summary.peak_memory.value());
        (speed, memory)
    });
    let speeds: Vec<(Speed, Option<f64>)> = known.collect();
    let mut rows = Vec::new();
    for (speed, memory) in &speeds {
        for card in &on {
            let Some(setting) = card.setting(None) else { continue };
            let to = At { card, setting };
            let of = |phase, measured| predict(&speed.work, phase, Some((from, measured)), to, &cards);
            let (prefill, decode) = (of(Phase::Prefill, speed.prefill), of(Phase::Decode, speed.decode));
            rows.push((speed, *card, *memory, prefill, decode));
        }
    }
    let ttft = |prefill: Option<Predicted>, decode: Option<Predicted>| {
        Some(asked.prompt as f64 / prefill?.rate + 1.0 / decode?.rate)
    };
    if json {
        let all: Vec<_> = rows
            .iter()
            .map(|(speed, card, memory, prefill, decode)| {
                json!({
                    "model": speed.model, "device": card.name, "source": card.source, "memory": memory,
                    "fits": memory.map(|memory| memory <= card.memory.0 as f64),
                    "prefill": prefill, "decode": decode, "first_token_seconds": ttft(*prefill, *decode),
                    "joules_per_token": card.watts.zip(*decode).map(|(watts, decode)| watts / decode.rate),
                })
            })
            .collect();
        return Ok(out::pretty_json(&json!({ "from": here.name, "predicted": all }))?);
    }
    let mut table = Table::new()
        .text("variant")
        .text("device")
        .text("fits")
        .number("≈ prefill")
        .number("≈ decode")
        .number("≈ first token")
        .number("≈ energy")
        .number("off by up to");
    for (speed, card, memory, prefill, decode) in &rows {
        let rate = |of: &Option<Predicted>| of.map_or_else(|| "–".into(), |of| Unit::TokensPerSecond.show(of.rate));
        let fits = memory.map_or("?", |memory| if memory <= card.memory.0 as f64 { "yes" } else { "no" });
        let joules = card
            .watts
            .zip(*decode)
            .map(|(watts, decode)| format!("{} a token", Unit::Joules.show(watts / decode.rate)));
        table.row(vec![
            speed.model.clone(),
            card.name.clone(),
            fits.into(),
            rate(prefill),
            rate(decode),
            ttft(*prefill, *decode).map_or_else(|| "–".into(), |seconds| Seconds(seconds).to_string()),
            joules.unwrap_or_else(|| "–".into()),
            decode.map_or_else(|| "–".into(), |of| format!("×{:.2}", of.off_by)),
        ]);
    }
    table.print(&mut out::stdout())?;
    for (speed, memory) in &speeds {
        let memory = memory.map_or_else(|| "unknown memory".into(), |m| Bytes(m as u64).to_string());
        say!(
            "{}, measured here: prefill {}, decode {}, {memory} at {shape}.",
            speed.model,
            Unit::TokensPerSecond.show(speed.prefill),
            Unit::TokensPerSecond.show(speed.decode)
        )?;
    }
    say!("Predicted with {}, from its card and those of the devices; – is not known of a device.", here.name)?;
    Ok(())
}

/// Measures this machine's card: `bantam bench --device-card FILE`.
pub(super) fn card(file: &std::path::Path, models: Vec<String>, quant: &[String], how: &Common) -> Result<Exit> {
    bantam_core::output::check(file, false, &[], &|_| false)?;
    let cancel = super::stop::on_signals()?;
    let workplace = Workplace::open()?;
    let name = file.file_stem().map_or_else(|| "here".into(), |stem| stem.to_string_lossy().into_owned());
    let all = bantam_host::card::Card::here().threads();
    let mut counts: Vec<usize> = std::iter::successors(Some(1), |n| Some(n * 2)).take_while(|n| *n < all).collect();
    counts.push(all);
    let models = match models.is_empty() {
        true => crate::library::models::bundled_names().iter().map(|name| format!("bundled:{name}")).collect(),
        false => models,
    };
    let quant = if quant.is_empty() { vec!["Q8_0,Q4_K_M".to_owned()] } else { quant.to_vec() };
    let shape = adhoc::shape(128, 64)?;
    let mut settings = Vec::new();
    for threads in counts {
        if !how.quiet {
            note!("{}: bandwidth, and the products of every type", counted(threads, "thread"));
        }
        let mut setting = device::kernels(threads, &cancel)?;
        if cancel.is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        let mut profile = adhoc::profile("device-card", models.clone(), &quant);
        profile.measure.speed = vec![shape];
        profile.measure.threads = Some(threads);
        profile.measure.budget = Seconds(3.0);
        let done = execute(&profile, how)?;
        if done.cancelled {
            return Ok(Exit::Interrupted);
        }
        setting.speeds = device::speeds(&done.advice, shape, &workplace);
        settings.push(setting);
    }
    let date = time::OffsetDateTime::now_utc().date().to_string();
    let card = device::measured(&name, date, settings);
    bantam_core::disk::write(file, card.to_toml().as_bytes())
        .with_context(|| format!("{}: cannot be written", file.display()))?;
    device::keep(&workplace.home, &card)?;
    let (off, tried) = error(Phase::Decode, std::slice::from_ref(&card));
    out::path(file)?;
    if !how.quiet {
        note!("decode of one setting from another is off by up to ×{off:.2} here ({})", counted(tried, "prediction"));
    }
    Ok(Exit::Done)
}
