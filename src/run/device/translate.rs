//! What was measured here as it would be on another device, by the two cards: for limits that are meant for a phone or a
//! board. All of it is an estimate, and says so.

use crate::run::Workplace;
use anyhow::{Context, Result};
use bantam_core::device::DeviceCard;
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, PhaseEnergy, Place, Provenance, Reading, Row, Shape, SpeedSample, Variant};
use bantam_core::unit::Seconds;
use bantam_verdict::recommend::device::{At, Phase, Predicted, predict};
use std::collections::HashMap;

/// Where a variant's files are, to be looked at.
pub(super) fn place(variant: &Variant, workplace: &Workplace) -> Option<Place> {
    match crate::run::place(variant, workplace) {
        Some(path) if path.is_dir() => Some(Place::Folder(path)),
        Some(path) if path.exists() => Some(Place::Gguf(path)),
        Some(_) => None,
        None if variant.has_own_files() => Some(variant.model.place.clone()),
        None => None,
    }
}

/// Rows whose speeds are those of the device that the profile's limits are meant for, and the profile with that device's
/// memory as a limit; as they are where it names none.
///
/// # Errors
/// Where the device is not known, or this machine has no card of its own.
pub fn translated(mut rows: Vec<Row>, profile: &Profile, workplace: &Workplace) -> Result<(Vec<Row>, Profile)> {
    let mut profile = profile.clone();
    let Some(name) = &profile.constraints.device else { return Ok((rows, profile)) };
    let cards = super::all(&workplace.home)?;
    let there = super::find(&cards, name).context("constraints.device")?;
    let here = super::here(&cards).context("constraints.device")?;
    let most = profile.constraints.max_memory.unwrap_or(there.memory);
    profile.constraints.max_memory = Some(if most < there.memory { most } else { there.memory });
    let mut known: HashMap<(String, Shape), Option<Place>> = HashMap::new();
    for row in &mut rows {
        let Ask::Speed(shape) = row.trial.ask else { continue };
        if row.outcome.result.is_err() || row.outcome.predicted.is_some() {
            continue;
        }
        let variant = &row.trial.variant;
        let place = known.entry((variant.id.to_string(), shape)).or_insert_with(|| place(variant, workplace));
        let ratios = place.as_ref().and_then(|place| ratios(place, row, shape, (here, there), &cards));
        let outcome = &mut row.outcome;
        outcome.predicted = Some(match &ratios {
            Some((prefill, decode)) => {
                outcome.samples.iter_mut().for_each(|sample| stretch(sample, prefill.0, decode.0, there.watts));
                format!(
                    "for {name}, predicted from here by the two cards: off by up to ×{:.2} in prefill and ×{:.2} in decode ({})",
                    prefill.1.off_by,
                    decode.1.off_by,
                    match (decode.1.tried, there.source) {
                        (0, _) => "an assumption: no card tells".to_owned(),
                        (tried, bantam_core::device::Source::Measured) =>
                            format!("{tried} such predictions were held against what was measured"),
                        (tried, _) => format!(
                            "{tried} such predictions were held against what was measured; the data sheet doubles it"
                        ),
                    }
                )
            }
            None => {
                outcome.samples.clear();
                format!("not predicted for {name}: its files are not here, or the card has no kernels")
            }
        });
        outcome.ceiling = Reading::missing(format!("predicted for {name}"));
    }
    Ok((rows, profile))
}

/// What the seconds of prefill and of decode are to be multiplied with.
type Ratio = (f64, Predicted);

fn ratios(
    place: &Place,
    row: &Row,
    shape: Shape,
    (here, there): (&DeviceCard, &DeviceCard),
    cards: &[DeviceCard],
) -> Option<(Ratio, Ratio)> {
    let work = super::work(place, row.trial.variant.kv, shape).ok()?;
    let from = At { card: here, setting: here.setting(Some(row.trial.conditions.threads)).or(here.setting(None))? };
    let to = At { card: there, setting: there.setting(None)? };
    let ratio = |phase: Phase| {
        let predicted = predict(&work, phase, Some((from, 1.0)), to, cards)?;
        Some((1.0 / predicted.rate, predicted))
    };
    Some((ratio(Phase::Prefill)?, ratio(Phase::Decode)?))
}

fn stretch(sample: &mut SpeedSample, prefill: f64, decode: f64, watts: Option<f64>) {
    let first = (sample.ttft.0 - sample.prefill.0).max(0.0);
    sample.prefill = Seconds(sample.prefill.0 * prefill);
    sample.ttft = Seconds(sample.prefill.0 + first * decode);
    sample.decode = Seconds(sample.decode.0 * decode);
    sample.inter_token.iter_mut().for_each(|gap| *gap *= decode);
    // what it draws there is known by its card alone
    sample.energy = watts.map(|watts| PhaseEnergy {
        prefill_joules: watts * sample.prefill.0,
        decode_joules: watts * sample.decode.0,
        provenance: Provenance::Estimated,
    });
    if let Some(turn) = &mut sample.turn {
        turn.disturbed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_stretched_in_its_two_phases() {
        let mut sample = SpeedSample {
            prefill: Seconds(1.0),
            ttft: Seconds(1.1),
            decode: Seconds(2.0),
            inter_token: vec![0.1, 0.2],
            energy: None,
            turn: None,
        };
        stretch(&mut sample, 3.0, 2.0, Some(5.0));
        assert_eq!((sample.prefill.0, sample.decode.0), (3.0, 4.0));
        assert!((sample.ttft.0 - 3.2).abs() < 1e-12);
        assert_eq!(sample.inter_token, [0.2, 0.4]);
        assert_eq!(sample.energy.map(|e| (e.prefill_joules, e.decode_joules)), Some((15.0, 20.0)));
    }
}
