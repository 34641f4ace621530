//! Whole layers taken out: those that change the least of what passes through them (block influence,
//! <https://arxiv.org/abs/2403.03853>), a run of neighbours that turns it the least
//! (<https://arxiv.org/abs/2403.17887>), drawn ones, or those that the recipe lists.
//!
//! What a layer does by its place (a sliding window, a rope of its own, experts) is what files say of places and not of
//! layers: of those that stay each must do what the layer did whose place it takes. Which set of layers changes the
//! least under that rule is found by going through layers and places side by side.

use super::{By, Prune};
use crate::calibrate::Calibration;
use crate::history::StepNote;
use crate::transform::cut::{Pieces, Selection};
use crate::transform::{Amount, Checkpoint, Form};
use crate::walk::Walk;
use anyhow::{Context, Result, bail, ensure};
use bantam_model::Config;
use bantam_model::config::{Layer, Mixer};
use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{HashMap, VecDeque};

/// Of so many tokens one stands for all where a run of layers is looked at, whose ends have to be kept.
const SAMPLE: usize = 8;

/// Which layers go.
pub(super) enum Which<'p> {
    /// So many, by what they do.
    Amount(Amount),
    /// These.
    Listed(&'p [usize]),
}

pub(super) fn plan(which: &Which, form: &mut Form) -> Result<()> {
    let config = form.config()?;
    let kept = match which {
        Which::Amount(amount) => {
            let count = amount.of(config.layers.len(), "layers")?;
            (0..config.layers.len() - count).collect()
        }
        Which::Listed(listed) => kept(config, listed)?,
    };
    let smaller = without(config, &kept);
    form.set_config(smaller);
    Ok(())
}

pub(super) fn apply<'a>(
    prune: &Prune,
    which: &Which,
    mut checkpoint: Checkpoint<'a>,
    calibration: &Calibration,
) -> Result<Checkpoint<'a>> {
    let before = checkpoint.config()?.clone();
    let scores = match which {
        Which::Listed(_) => None,
        Which::Amount(amount) => Some(scores(prune, *amount, &checkpoint, calibration)?),
    };
    let kept = match (which, &scores) {
        (Which::Listed(listed), _) => kept(&before, listed)?,
        (Which::Amount(amount), Some(Scores::OfLayers(scores))) => {
            strongest(&before, scores, before.layers.len() - amount.of(before.layers.len(), "layers")?)?
        }
        (_, Some(Scores::OfRuns(run, scores))) => quietest_run(&before, scores, *run)?,
        (Which::Amount(_), None) => bail!("layers are chosen by a score"),
    };
    let after = without(&before, &kept);
    let select = |place: &bantam_model::names::Place| Selection {
        layer: place.part.is_within_layer().then(|| kept[place.layer]),
        ..Selection::default()
    };
    let pieces = Pieces::new(&before, &after, &select)?;
    checkpoint.form.set_config(after);
    let note = note(prune, &before, &kept, scores.as_ref());
    Ok(checkpoint.overlaid(|inner| pieces.over(inner, HashMap::new())).noted(note))
}

enum Scores {
    /// One a layer: how much it changes.
    OfLayers(Vec<f64>),
    /// The length of a run, and for each layer where one can begin how much it changes.
    OfRuns(usize, Vec<f64>),
}

fn scores(prune: &Prune, amount: Amount, checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Scores> {
    let count = checkpoint.config()?.layers.len();
    match prune.by.unwrap_or(By::Influence) {
        By::Random => {
            let mut draw = ChaCha8Rng::seed_from_u64(prune.seed());
            Ok(Scores::OfLayers((0..count).map(|_| draw.random()).collect()))
        }
        By::Angular => {
            let run = amount.of(count, "layers")?;
            Ok(Scores::OfRuns(run, turns(prune, run, checkpoint, calibration)?))
        }
        _ => Ok(Scores::OfLayers(influences(prune, checkpoint, calibration)?)),
    }
}

/// The block influence of each layer: 1 − cos(what enters, what leaves), the mean over tokens.
fn influences(prune: &Prune, checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Vec<f64>> {
    let config = checkpoint.config()?;
    let windows = prune.windows(config, calibration)?;
    let mut walk = Walk::new(config, checkpoint.weights(), &windows)?.until(calibration.cancel());
    let mut influences = Vec::new();
    while let Some(layer) = walk.layer() {
        calibration.step("layer", layer, walk.layers())?;
        let before = walk.hidden().to_vec();
        walk.advance()?;
        influences.push(1.0 - mean(&before, walk.hidden(), &|cosine| cosine)?);
    }
    Ok(influences)
}

/// For each layer that a run can begin with the angle by which the run turns what passes, over π.
fn turns(prune: &Prune, run: usize, checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Vec<f64>> {
    let config = checkpoint.config()?;
    let windows = prune.windows(config, calibration)?;
    let mut walk = Walk::new(config, checkpoint.weights(), &windows)?.until(calibration.cancel());
    let (mut turns, mut entered) = (Vec::new(), VecDeque::new());
    while let Some(layer) = walk.layer() {
        calibration.step("layer", layer, walk.layers())?;
        entered.push_back(sampled(walk.hidden())?);
        walk.advance()?;
        if entered.len() == run {
            let before = entered.pop_front().context("a run has a first layer")?;
            turns.push(mean(&before, &sampled(walk.hidden())?, &|cosine| cosine.acos() / std::f64::consts::PI)?);
        }
    }
    Ok(turns)
}

/// Every so many-th row, the last of each window among them.
fn sampled(windows: &[Tensor]) -> Result<Vec<Tensor>> {
    let some = |x: &Tensor| {
        let rows = x.dim(0)?;
        let kept: Vec<u32> = (0..rows).rev().step_by(SAMPLE).map(|row| row as u32).collect();
        Ok(x.index_select(&Tensor::new(kept, x.device())?, 0)?)
    };
    windows.iter().map(some).collect()
}

/// The mean over tokens of what is made of the cosine between two hidden states.
fn mean(from: &[Tensor], to: &[Tensor], of: &dyn Fn(f64) -> f64) -> Result<f64> {
    let (mut sum, mut tokens) = (0.0, 0u64);
    for (x, y) in from.iter().zip(to) {
        for (x, y) in x.to_vec2::<f32>()?.iter().zip(&y.to_vec2::<f32>()?) {
            let dot =
                |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
            let size = (dot(x, x) * dot(y, y)).sqrt();
            sum += of(if size > 0.0 { (dot(x, y) / size).clamp(-1.0, 1.0) } else { 1.0 });
            tokens += 1;
        }
    }
    Ok(sum / tokens.max(1) as f64)
}

/// What of a layer goes by its place.
fn kind(layer: &Layer) -> (Option<usize>, Option<usize>, bool, Mixer) {
    (layer.window, layer.rope, layer.experts, layer.mixer)
}

/// The layers that stay where some are listed to go.
fn kept(config: &Config, listed: &[usize]) -> Result<Vec<usize>> {
    let count = config.layers.len();
    let mut sorted = listed.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    ensure!(sorted.len() == listed.len(), "drop lists a layer twice");
    ensure!(!listed.is_empty(), "drop lists no layer");
    if let Some(beyond) = listed.iter().find(|layer| **layer >= count) {
        bail!("there is no layer {beyond}; the model has {count}, 0 to {}", count - 1);
    }
    ensure!(listed.len() < count, "all {count} layers are listed, and nothing would be left");
    let kept: Vec<usize> = (0..count).filter(|layer| !listed.contains(layer)).collect();
    let moved =
        kept.iter().enumerate().find(|(place, layer)| kind(&config.layers[*place]) != kind(&config.layers[**layer]));
    match moved {
        None => Ok(kept),
        Some((place, layer)) => bail!(
            "layer {layer} would come to the place of layer {place}, and they differ in window, rope or experts, which \
             files say of places only; `layers={}` finds layers that can go",
            listed.len()
        ),
    }
}

/// The `places` layers that stay and together have the highest score, each of the kind of the place that it comes to:
/// best[place] after a layer is the best of that many of the layers up to it.
fn strongest(config: &Config, scores: &[f64], places: usize) -> Result<Vec<usize>> {
    ensure!(scores.iter().all(|score| score.is_finite()), "what passes through the layers is not finite");
    let mut best: Vec<Option<(f64, Vec<usize>)>> = vec![None; places + 1];
    best[0] = Some((0.0, Vec::new()));
    for (layer, score) in scores.iter().enumerate() {
        for place in (0..places.min(layer + 1)).rev() {
            if kind(&config.layers[place]) != kind(&config.layers[layer]) {
                continue;
            }
            let with = best[place].as_ref().map(|(sum, kept)| (sum + score, [&kept[..], &[layer]].concat()));
            let known = best[place + 1].as_ref().map_or(f64::NEG_INFINITY, |(sum, _)| *sum);
            if let Some(with) = with.filter(|(sum, _)| *sum > known) {
                best[place + 1] = Some(with);
            }
        }
    }
    let found = best.pop().flatten().map(|(_, kept)| kept);
    // the first ones always fit their own places
    Ok(found.unwrap_or_else(|| (0..places).collect()))
}

/// The layers that stay without the run that turns the least and leaves the others at places of their kind.
fn quietest_run(config: &Config, turns: &[f64], run: usize) -> Result<Vec<usize>> {
    ensure!(turns.iter().all(|turn| turn.is_finite()), "what passes through the layers is not finite");
    let count = config.layers.len();
    let fits = |begin: &usize| {
        (begin + run..count).all(|layer| kind(&config.layers[layer]) == kind(&config.layers[layer - run]))
    };
    let begin = (0..turns.len()).filter(fits).min_by(|a, b| turns[*a].total_cmp(&turns[*b]));
    let begin = begin.context("no run of layers can go")?;
    Ok((0..begin).chain(begin + run..count).collect())
}

/// The config with the layers that stay.
fn without(config: &Config, kept: &[usize]) -> Config {
    Config { layers: kept.iter().map(|&layer| config.layers[layer]).collect(), ..config.clone() }
}

fn note(prune: &Prune, before: &Config, kept: &[usize], scores: Option<&Scores>) -> StepNote {
    let count = before.layers.len();
    let gone: Vec<usize> = (0..count).filter(|layer| !kept.contains(layer)).collect();
    let list = gone.iter().map(|layer| layer.to_string()).collect::<Vec<_>>().join(", ");
    let by =
        if prune.drop.is_some() { "as listed".to_owned() } else { format!("by {}", prune.by.unwrap_or(By::Influence)) };
    let note = StepNote::new("prune", format!("{} of {count} layers taken out, {by}: {list}", gone.len()));
    let note = prune.noted(note).with("removed_layers", gone);
    match scores {
        None => note,
        Some(Scores::OfLayers(scores)) => note.with("scores", scores.clone()),
        Some(Scores::OfRuns(run, scores)) => note.with("run", *run).with("scores", scores.clone()),
    }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;

    /// Layers that differ by place: five with a window, then one without.
    fn patterned(count: usize) -> Config {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/llama/config.json");
        let config = Config::from_json(&std::fs::read(file).expect("a golden"), "config.json").expect("a config");
        let layer = |at: usize| Layer { window: (at % 6 != 5).then_some(8), ..config.layers[0] };
        Config { layers: (0..count).map(layer).collect(), ..config }
    }

    #[test]
    fn the_weakest_layers_go_and_each_place_keeps_its_kind() {
        let plain = Config { layers: vec![patterned(1).layers[0]; 5], ..patterned(1) };
        assert_eq!(strongest(&plain, &[0.5, 0.1, 0.4, 0.2, 0.9], 3).expect("layers"), [0, 2, 4]);
        let config = patterned(12);
        let mut scores = vec![1.0; 12];
        scores[5] = 0.0;
        scores[2] = 0.1;
        let kept = strongest(&config, &scores, 10).expect("layers");
        assert_eq!(kept.len(), 10);
        assert!(
            kept.iter().enumerate().all(|(place, layer)| kind(&config.layers[place]) == kind(&config.layers[*layer]))
        );
        assert_eq!(
            quietest_run(&config, &[0.9, 0.8, 0.1, 0.3, 0.2, 0.5, 0.6], 6).expect("a run"),
            [0, 1, 8, 9, 10, 11]
        );
    }

    #[test]
    fn listed_layers_that_would_move_others_out_of_their_kind_are_refused() {
        let config = patterned(12);
        let said = |listed: &[usize]| kept(&config, listed).expect_err("refused").to_string();
        assert!(said(&[0]).starts_with("layer 5 would come to the place of layer 4"), "{}", said(&[0]));
        assert!(said(&[12]).contains("there is no layer 12"));
        assert!(said(&[1, 1]).contains("twice"));
        assert_eq!(kept(&config, &[10, 11]).expect("the last"), (0..10).collect::<Vec<_>>());
    }
}
