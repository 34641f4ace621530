//! Experts of a mixture taken out, as many in each layer: those that the fewest tokens of a text go to, by the shares
//! that the router gives them. The others keep their scores, and a token that would have gone to one that is gone goes to
//! the next best.

use super::{By, Prune};
use crate::calibrate::Calibration;
use crate::history::StepNote;
use crate::transform::cut::{Kept, Pieces, Selection};
use crate::transform::{Amount, Checkpoint, Form};
use crate::walk::Walk;
use anyhow::{Context, Result, ensure};
use bantam_model::Config;
use bantam_model::config::Experts;
use bantam_model::names::{Part, Place};
use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::sync::Arc;

fn after(config: &Config, amount: Amount) -> Result<Config> {
    let experts = config.experts.context("the model has no experts; `channels=` takes parts of its MLPs out")?;
    let gone = amount.of(experts.count, "experts")?;
    let left = experts.count - gone;
    ensure!(
        left >= experts.used,
        "{amount} of {} experts leaves {left}, and each token goes to {}; allowed are 1 to {}",
        experts.count,
        experts.used,
        experts.count - experts.used
    );
    Ok(Config { experts: Some(Experts { count: left, ..experts }), ..config.clone() })
}

pub(super) fn plan(amount: Amount, form: &mut Form) -> Result<()> {
    let smaller = after(form.config()?, amount)?;
    form.set_config(smaller);
    Ok(())
}

pub(super) fn apply<'a>(
    prune: &Prune,
    amount: Amount,
    mut checkpoint: Checkpoint<'a>,
    calibration: &Calibration,
) -> Result<Checkpoint<'a>> {
    let before = checkpoint.config()?.clone();
    let after = after(&before, amount)?;
    let left = after.experts.map_or(0, |experts| experts.count);
    let masses = masses(prune, &checkpoint, calibration)?;
    let kept: Vec<Vec<usize>> = masses.iter().map(|masses| heaviest(masses, left)).collect();
    let rows: Vec<Kept> =
        kept.iter().map(|kept| Arc::new(kept.iter().map(|&expert| expert as u32).collect())).collect();
    let select = |place: &Place| match place.part {
        Part::Router => Selection { rows: Some(rows[place.layer].clone()), ..Selection::default() },
        part if part.is_expert() => Selection { index: Some(kept[place.layer][place.index]), ..Selection::default() },
        _ => Selection::default(),
    };
    let pieces = Pieces::new(&before, &after, &select)?;
    checkpoint.form.set_config(after);
    let count = before.experts.map_or(0, |experts| experts.count);
    let gone: Vec<Vec<usize>> =
        kept.iter().map(|kept| (0..count).filter(|expert| !kept.contains(expert)).collect()).collect();
    let lost = gone.iter().zip(&masses).map(|(gone, masses)| {
        gone.iter().map(|&expert| masses[expert]).sum::<f64>() / masses.iter().sum::<f64>().max(f64::MIN_POSITIVE)
    });
    let lost: Vec<f64> = lost.collect();
    let mean = 100.0 * lost.iter().sum::<f64>() / lost.len().max(1) as f64;
    let by = prune.by.unwrap_or(By::Mass);
    let words = if by == By::Mass { format!("; {mean:.1}% of the routed mass went to them") } else { String::new() };
    let did = format!("{} of {count} experts of each layer taken out, by {by}{words}", count - left);
    let note = prune.noted(StepNote::new("prune", did)).with("removed_experts", gone).with("mass_shares", lost);
    Ok(checkpoint.overlaid(|inner| pieces.over(inner, HashMap::new())).noted(note))
}

/// What each expert of each layer is worth; nothing in layers without.
fn masses(prune: &Prune, checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Vec<Vec<f64>>> {
    let config = checkpoint.config()?;
    let experts = config.experts.context("the model has no experts")?;
    if prune.by == Some(By::Random) {
        let mut draw = ChaCha8Rng::seed_from_u64(prune.seed());
        return Ok(config.layers.iter().map(|_| (0..experts.count).map(|_| draw.random()).collect()).collect());
    }
    let windows = prune.windows(config, calibration)?;
    let mut walk = Walk::new(config, checkpoint.weights(), &windows)?.until(calibration.cancel());
    let mut all = Vec::new();
    while let Some(layer) = walk.layer() {
        calibration.step("layer", layer, walk.layers())?;
        let mut masses = vec![0.0; experts.count];
        if config.layers[layer].experts {
            let stem = config.architecture.stem(Part::Router, layer, 0).context("a mixture has a router")?;
            let name = format!("{stem}.weight");
            let router = walk.matrix(&name)?.t()?.contiguous()?;
            walk.inputs(&[name], 0..walk.windows(), &mut |_, _, x| routed(x, &router, experts.used, &mut masses))?;
        }
        ensure!(masses.iter().all(|mass| mass.is_finite()), "layer {layer}: the router's scores are not finite");
        all.push(masses);
        walk.advance()?;
    }
    Ok(all)
}

/// Adds the shares that the router gives to the experts which each token goes to.
fn routed(x: &Tensor, router: &Tensor, used: usize, masses: &mut [f64]) -> Result<()> {
    for scores in x.matmul(router)?.to_vec2::<f32>()? {
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f64> = scores.iter().map(|&score| f64::from(score - top).exp()).collect();
        let sum: f64 = shares.iter().sum();
        for expert in heaviest(&shares, used) {
            masses[expert] += shares[expert] / sum;
        }
    }
    Ok(())
}

/// The so many heaviest, in order of their numbers.
fn heaviest(masses: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..masses.len()).collect();
    order.sort_by(|a, b| masses[*b].total_cmp(&masses[*a]));
    order.truncate(count);
    order.sort_unstable();
    order
}
