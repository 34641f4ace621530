//! Channels inside the feed-forward part taken out, as many in each layer: rows of gate and up, columns of down, which is
//! fitted to those that stay. Which go is each layer's own choice, by the norm of what a channel adds to the stream.

use super::refit::{self, Matrix, Surgeon};
use super::{By, Prune};
use crate::calibrate::Calibration;
use crate::history::StepNote;
use crate::transform::cut::{Kept, Pieces, Selection};
use crate::transform::{Amount, Checkpoint, Form};
use anyhow::{Result, ensure};
use bantam_model::Config;
use bantam_model::names::{Part, Place};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Channels go in blocks of so many, the smallest that weights are quantized in, and one block at least: with another number
/// of them down's rows would be whole blocks of no type, and the file larger than before.
const BLOCK: usize = 32;

/// How many channels stay.
fn left(config: &Config, amount: Amount) -> Result<usize> {
    ensure!(config.experts.is_none(), "the channels of experts are not taken out; `experts=` takes whole experts out");
    let gone = amount.of(config.ffn, "channels")?;
    if !config.ffn.is_multiple_of(BLOCK) || config.ffn == BLOCK {
        return Ok(config.ffn - gone);
    }
    let blocks = config.ffn / BLOCK;
    let gone = ((gone as f64 / BLOCK as f64).round() as usize).clamp(1, blocks - 1);
    Ok((blocks - gone) * BLOCK)
}

/// "in blocks of 32", where the amount that was asked for is not the one that goes.
fn rounded_words(config: &Config, amount: Amount, gone: usize) -> String {
    match amount.of(config.ffn, "channels") {
        Ok(asked) if asked != gone => format!(", {asked} rounded to blocks of {BLOCK}"),
        _ => String::new(),
    }
}

pub(super) fn plan(amount: Amount, form: &mut Form) -> Result<()> {
    let config = form.config()?;
    let ffn = left(config, amount)?;
    let smaller = Config { ffn, ..config.clone() };
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
    let ffn = left(&before, amount)?;
    let after = Config { ffn, ..before.clone() };
    let mut draw = ChaCha8Rng::seed_from_u64(prune.seed());
    let cutting = refit::cut(prune, Part::Down, &checkpoint, calibration, &mut |matrix| {
        Ok(choose(prune, matrix, ffn, &mut draw))
    })?;
    let numbers =
        |kept: &[usize], offset: usize| kept.iter().map(move |&row| (row + offset) as u32).collect::<Vec<_>>();
    let single: Vec<Kept> = cutting.kept.iter().map(|kept| Arc::new(numbers(kept, 0))).collect();
    let both: Vec<Kept> =
        cutting.kept.iter().map(|kept| Arc::new([numbers(kept, 0), numbers(kept, before.ffn)].concat())).collect();
    let select = |place: &Place| match place.part {
        Part::Gate | Part::Up => Selection { rows: Some(single[place.layer].clone()), ..Selection::default() },
        Part::GateUp => Selection { rows: Some(both[place.layer].clone()), ..Selection::default() },
        // its bias is the stream's, and stays whole
        Part::Down => Selection { columns: Some(single[place.layer].clone()), ..Selection::default() },
        _ => Selection::default(),
    };
    let pieces = Pieces::new(&before, &after, &select)?;
    checkpoint.form.set_config(after);
    let gone = before.ffn - ffn;
    let did = format!(
        "channels={amount} came to {gone} of {} channels of each layer ({:.1}%{}), by {}{}",
        before.ffn,
        100.0 * gone as f64 / before.ffn as f64,
        rounded_words(&before, amount, gone),
        prune.by.unwrap_or(By::Activation),
        cutting.words(prune.compensates())
    );
    let note = prune.noted(StepNote::new("prune", did)).with("channels_left", ffn).with("errors", cutting.errors());
    Ok(checkpoint.overlaid(|inner| pieces.over(inner, cutting.made)).noted(note))
}

/// The channels of a layer that stay, in order.
fn choose(prune: &Prune, matrix: &Matrix, left: usize, draw: &mut ChaCha8Rng) -> Vec<usize> {
    if prune.by == Some(By::Error)
        && let Some(surgeon) = Surgeon::new(matrix)
    {
        return one_by_one(surgeon, matrix.columns, left);
    }
    let norms = |channel: usize| -> f64 {
        matrix.weight.iter().skip(channel).step_by(matrix.columns).map(|&w| f64::from(w).powi(2)).sum()
    };
    let seen = |channel: usize| matrix.gram.map_or(1.0, |gram| f64::from(gram.sums[channel * (gram.columns + 1)]));
    let score = |channel: usize| match prune.by {
        Some(By::Random) => draw.random(),
        Some(By::Magnitude) => norms(channel),
        _ => norms(channel) * seen(channel),
    };
    let scores: Vec<f64> = (0..matrix.columns).map(score).collect();
    let mut order: Vec<usize> = (0..matrix.columns).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate(left);
    order.sort_unstable();
    order
}

fn one_by_one(mut surgeon: Surgeon, columns: usize, left: usize) -> Vec<usize> {
    let mut stay: Vec<usize> = (0..columns).collect();
    while stay.len() > left {
        let costs = stay.iter().enumerate().map(|(at, &channel)| (at, surgeon.cost(&[channel])));
        let Some((at, _)) = costs.min_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        surgeon.remove(&[stay.remove(at)]);
    }
    stay
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn channels_go_in_whole_blocks_however_few_are_asked_for() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/llama256/config.json");
        let text = std::fs::read(&file).expect("a config");
        let config = Config { ffn: 1536, ..Config::from_json(&text, "config.json").expect("a config") };
        let of = |amount| left(&config, amount).expect("some");
        let percent = [0.1, 1.0, 2.0, 3.2, 25.0, 99.0, 99.9].map(|percent| of(Amount::Percent(percent)));
        assert_eq!(percent, [1504, 1504, 1504, 1472, 1152, 32, 32]);
        assert_eq!([1, 32, 40, 1535].map(|count| of(Amount::Count(count))), [1504, 1504, 1504, 32]);
        assert_eq!(rounded_words(&config, Amount::Percent(1.0), 32), ", 15 rounded to blocks of 32");
        assert_eq!(rounded_words(&config, Amount::Percent(25.0), 384), "");
        // of rows that are no whole blocks as it is, each channel counts
        let odd = Config { ffn: 1530, ..config };
        assert_eq!(left(&odd, Amount::Count(5)).expect("some"), 1525);
    }
}
