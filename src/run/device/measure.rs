//! A card of this machine: its bandwidth, the products of every type, and the speeds of models.

use crate::run::Workplace;
use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::device::{DeviceCard, Kernel, SCHEMA, Setting, Source, Speed};
use bantam_core::metric::Metric;
use bantam_core::record::Shape;
use bantam_core::unit::Bytes;
use bantam_host::card::{Card, bandwidth};
use bantam_kernels::{Matrix, block, made, product};
use bantam_verdict::recommend::Advice;
use std::time::{Duration, Instant};

/// Numbers in a row of weights.
const ROW: usize = 2048;
/// Weights that are read from memory, and such that lie in cache, in bytes.
const FAR: usize = 64 << 20;
const NEAR: usize = 1 << 20;
/// Rows of a product with many, and its output.
const MANY: (usize, usize) = (256, 512);
/// Time for each of the three products of a type.
const EACH: Duration = Duration::from_millis(90);

/// Measures bandwidth and products with so many threads.
///
/// # Errors
/// Where memory or threads cannot be had. A cancel ends it early.
pub fn kernels(threads: usize, cancel: &Cancel) -> Result<Setting> {
    let read =
        bandwidth::measure(threads, bandwidth::BUFFER, bandwidth::PASSES).context("the bandwidth took no time")?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")?;
    let mut kernels = Vec::new();
    for block in block::types() {
        if cancel.is_cancelled() {
            break;
        }
        let ty = block.ggml_type();
        let Some(row) = ty.bytes(ROW) else { continue };
        let x = made::floats(MANY.0 * ROW);
        let rate = |rows: usize, out: usize, amount: f64| -> Result<f64> {
            let bytes = made::weights(block, out * ROW)?;
            let w = Matrix::new(ty, out, ROW, &bytes)?;
            let mut y = vec![0.0; rows * out];
            product(&x[..rows * ROW], rows, &w, &mut y)?;
            // what worked once works again
            Ok(pool.install(|| amount / best(|| drop(product(&x[..rows * ROW], rows, &w, &mut y)))))
        };
        kernels.push(Kernel {
            kind: ty.name().to_owned(),
            memory: rounded(rate(1, FAR / row, (FAR / row * row) as f64 * 1e-9)?),
            cached: rounded(rate(1, NEAR / row, (NEAR / row * row) as f64 * 1e-9)?),
            many: rounded(rate(MANY.0, MANY.1, 2e-9 * (MANY.0 * MANY.1 * ROW) as f64)?),
        });
    }
    Ok(Setting { threads, bandwidth: rounded(read.bytes_per_second * 1e-9), kernels, speeds: Vec::new() })
}

/// Four digits: more are noise.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The shortest time of one call, in seconds: what a machine can do is what it did once.
fn best(mut call: impl FnMut()) -> f64 {
    let (begun, mut least, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while begun.elapsed() < EACH || calls < 3 {
        let start = Instant::now();
        call();
        least = least.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    least.max(1e-9)
}

/// The card of this machine with these settings.
pub fn measured(name: &str, date: String, settings: Vec<Setting>) -> DeviceCard {
    let card = Card::here();
    DeviceCard {
        schema: SCHEMA.into(),
        name: name.into(),
        source: Source::Measured,
        origin: format!("bantam {} ({}) on the machine itself", env!("CARGO_PKG_VERSION"), crate::run::engine::here()),
        date,
        host: card.id().to_string(),
        cpu: card.cpu.model.known().cloned().unwrap_or_default(),
        memory: card.memory_ceiling().unwrap_or(Bytes(0)),
        cache: cache(),
        watts: None,
        settings,
    }
}

/// The last cache of the first processor, as Linux tells it.
fn cache() -> Option<Bytes> {
    let folder = std::path::Path::new("/sys/devices/system/cpu/cpu0/cache");
    let sizes = std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("size")).ok()?;
        text.trim().strip_suffix('K')?.parse::<u64>().ok().map(|kib| Bytes(kib << 10))
    });
    sizes.max()
}

/// The speeds of a run at a shape, of every variant whose work is known; what the machine reached, which differs least from
/// one time to the next.
pub fn speeds(advice: &Advice, shape: Shape, workplace: &Workplace) -> Vec<Speed> {
    let speed = |summary: &bantam_verdict::recommend::VariantSummary| {
        let cost = summary.shapes.iter().find(|cost| cost.shape == shape)?;
        let of = |wanted: Metric| {
            cost.attainable.iter().find(|(metric, _)| *metric == wanted).map(|(_, figure)| figure.value)
        };
        let place = super::translate::place(&summary.variant, workplace)?;
        Some(Speed {
            model: summary.variant.label(),
            prompt: shape.prompt,
            output: shape.output,
            prefill: rounded(of(Metric::PrefillTps)?),
            decode: rounded(of(Metric::DecodeTps)?),
            work: super::work(&place, summary.variant.kv, shape).ok()?,
        })
    };
    advice.summaries.iter().filter_map(speed).collect()
}
