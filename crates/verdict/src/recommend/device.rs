//! How fast a model is on another device, predicted from cards: a roofline of what its kernels and its memory were measured
//! to do, and a cost for each product that is there however small it is. How far that is off is told by predicting what is
//! known: every measured speed of every setting, from every other setting, by a law that was fitted without it.
//!
//! ```text
//!   roof   Σ over types of bytes / rate, the rate that of weights in cache or in memory; the cache of keys at the bandwidth
//!   law    seconds a token = a · roof + b · products         a, b ≥ 0, least squares of relative errors over what was measured
//!   here to there   what was measured here · law there / law here
//! ```
//!
//! Williams, Waterman, Patterson, "Roofline", CACM 52 (2009).

use bantam_core::device::{DeviceCard, Kernel, Setting, Source, Speed, Work};
use bantam_core::stats::percentile;
use serde::Serialize;

/// What of the last cache weights can have: the rest is for activations, keys and other programs.
const OF_CACHE: f64 = 0.75;

/// A data sheet's memory reads so much of what it says, and its kernels so much of that, at most as here.
const UNKNOWN: f64 = 2.0;

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading a prompt.
    Prefill,
    /// Writing an answer.
    Decode,
}

/// A device in one of its settings.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// Its card.
    pub card: &'a DeviceCard,
    /// The setting.
    pub setting: &'a Setting,
}

/// A prediction with how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Predicted {
    /// Tokens a second.
    pub rate: f64,
    /// The factor by which predictions of what was measured were off, in 95 of 100 cases or in all there are.
    pub off_by: f64,
    /// How many predictions that rests on; 0 where nothing is known and the factor is an assumption.
    pub tried: usize,
}

/// Seconds a token = a · roof + b · products.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Law {
    a: f64,
    b: f64,
}

impl Law {
    fn seconds(self, roof: f64, products: f64) -> f64 {
        self.a * roof + self.b * products
    }
}

impl<'a> At<'a> {
    /// Seconds of a token if nothing but reading or multiplying its weights took time; none where that cannot be told.
    fn roof(&self, work: &Work, phase: Phase, like: Option<At>) -> Option<f64> {
        let cached = self.card.cache.is_some_and(|cache| work.bytes() <= OF_CACHE * cache.0 as f64);
        let mut seconds = 0.0;
        for part in &work.weights {
            let kernel = self.kernel(&part.kind, like)?;
            seconds += match phase {
                Phase::Prefill => 2.0 * part.count / (kernel.many * 1e9),
                Phase::Decode if cached => part.bytes / (kernel.cached * 1e9),
                Phase::Decode => part.bytes / (kernel.memory * 1e9),
            };
        }
        let keys = if phase == Phase::Decode { work.cache / (self.setting.bandwidth * 1e9) } else { 0.0 };
        Some(seconds + keys)
    }

    /// A type's products: measured, or those of a like device scaled by the bandwidths of the two.
    fn kernel(&self, kind: &str, like: Option<At>) -> Option<Kernel> {
        let measured = |setting: &Setting| {
            let own = setting.kernels.iter().find(|kernel| kernel.kind == kind).cloned();
            // a type that was not measured is as fast as the slowest that was: rather too slow than too fast
            own.or_else(|| {
                let least = |of: fn(&Kernel) -> f64| setting.kernels.iter().map(of).reduce(f64::min);
                Some(Kernel {
                    kind: kind.to_owned(),
                    memory: least(|k| k.memory)?,
                    cached: least(|k| k.cached)?,
                    many: least(|k| k.many)?,
                })
            })
        };
        measured(self.setting).or_else(|| {
            let like = like?;
            let kernel = measured(like.setting)?;
            let scale = self.setting.bandwidth / like.setting.bandwidth;
            let scaled = |rate: f64| rate * scale;
            Some(Kernel {
                memory: scaled(kernel.memory),
                cached: scaled(kernel.cached),
                many: scaled(kernel.many),
                ..kernel
            })
        })
    }

    /// The law of this setting by its measured models, those but `without`; roof alone where fewer than two are left.
    fn law(&self, phase: Phase, without: Option<&Speed>) -> Law {
        let points: Vec<(f64, f64)> = self
            .setting
            .speeds
            .iter()
            .filter(|speed| without.is_none_or(|left| left != *speed))
            .filter_map(|speed| {
                let seconds = 1.0 / rate(speed, phase);
                Some((self.roof(&speed.work, phase, None)? / seconds, speed.work.products / seconds))
            })
            .collect();
        let only = Law { a: mean_ratio(&points), b: 0.0 };
        if points.len() < 2 {
            return only;
        }
        // minimize Σ (a·x + b·y − 1)²
        let sum = |of: fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(*x, *y)).sum::<f64>();
        let (xx, xy, yy) = (sum(|x, _| x * x), sum(|x, y| x * y), sum(|_, y| y * y));
        let (x, y) = (sum(|x, _| x), sum(|_, y| y));
        let determinant = xx * yy - xy * xy;
        if determinant <= 1e-12 * xx * yy {
            return only;
        }
        let law = Law { a: (x * yy - y * xy) / determinant, b: (y * xx - x * xy) / determinant };
        match (law.a > 0.0, law.b > 0.0) {
            (true, true) => law,
            (true, false) => only,
            (false, _) => Law { a: 0.0, b: y / yy },
        }
    }
}

fn mean_ratio(points: &[(f64, f64)]) -> f64 {
    match points.len() {
        0 => 1.0,
        _ => points.iter().map(|(x, _)| x).sum::<f64>() / points.iter().map(|(x, _)| x * x).sum::<f64>(),
    }
}

fn rate(speed: &Speed, phase: Phase) -> f64 {
    match phase {
        Phase::Prefill => speed.prefill,
        Phase::Decode => speed.decode,
    }
}

/// Predicts how fast a model is on a device: from what was measured of it here where that is known, else from the device's
/// own law alone. `others` are all cards that are known, by which it is told how far predictions are off.
pub fn predict(
    work: &Work,
    phase: Phase,
    here: Option<(At, f64)>,
    there: At,
    others: &[DeviceCard],
) -> Option<Predicted> {
    let like = here.map(|(at, _)| at);
    let (law, is_sheet) = match there.card.source {
        Source::Measured => (there.law(phase, None), false),
        // what products cost beside the roof is taken from here
        Source::DataSheet => (like.map_or(Law { a: 1.0, b: 0.0 }, |like| like.law(phase, None)), true),
    };
    let seconds = law.seconds(there.roof(work, phase, like)?, work.products);
    let seconds = match here {
        Some((at, measured)) => {
            let expected = at.law(phase, None).seconds(at.roof(work, phase, None)?, work.products);
            seconds * (1.0 / measured) / expected
        }
        None => seconds,
    };
    let (off_by, tried) = error(phase, others);
    let unknown = if is_sheet || tried == 0 { UNKNOWN } else { 1.0 };
    (seconds > 0.0 && seconds.is_finite()).then_some(Predicted { rate: 1.0 / seconds, off_by: off_by * unknown, tried })
}

/// The factor by which predictions of measured speeds are off, 95 of 100 of them (all of fewer than twenty), and how many
/// were tried: every speed of every setting, from every other setting where the same model was measured, and from nothing.
pub fn error(phase: Phase, cards: &[DeviceCard]) -> (f64, usize) {
    let measured: Vec<At> = cards
        .iter()
        .filter(|card| card.source == Source::Measured)
        .flat_map(|card| card.settings.iter().map(move |setting| At { card, setting }))
        .collect();
    let mut off = Vec::new();
    for there in &measured {
        for speed in &there.setting.speeds {
            let Some(roof) = there.roof(&speed.work, phase, None) else { continue };
            let law = there.law(phase, Some(speed));
            let own = law.seconds(roof, speed.work.products);
            let truth = 1.0 / rate(speed, phase);
            if there.setting.speeds.len() > 2 {
                off.push((own / truth).ln().abs());
            }
            for here in measured.iter().filter(|here| !std::ptr::eq(here.setting, there.setting)) {
                let same = |other: &&Speed| other.model == speed.model && other.work == speed.work;
                let Some(known) = here.setting.speeds.iter().find(same) else { continue };
                let Some(roof) = here.roof(&known.work, phase, None) else { continue };
                let expected = here.law(phase, Some(known)).seconds(roof, known.work.products);
                off.push((own / expected / rate(known, phase) / truth).ln().abs());
            }
        }
    }
    off.retain(|error| error.is_finite());
    off.sort_by(f64::total_cmp);
    let most = match off.len() {
        0 => 0.0,
        count if count < 20 => off[count - 1],
        _ => percentile::of_sorted(&off, 95.0),
    };
    (most.exp(), off.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::device::{Part, SCHEMA};
    use bantam_core::unit::Bytes;

    /// A machine whose tokens take what the law says, each model a few percent off.
    fn made(name: &str, memory: f64, cached: f64, many: f64, each: f64, noise: f64) -> DeviceCard {
        let mut card = DeviceCard {
            schema: SCHEMA.into(),
            name: name.into(),
            source: Source::Measured,
            origin: "made up".into(),
            date: "2026-11-30".into(),
            host: String::new(),
            cpu: String::new(),
            memory: Bytes(8 << 30),
            cache: Some(Bytes(4 << 20)),
            watts: None,
            settings: vec![Setting {
                threads: 2,
                bandwidth: memory * 1.2,
                kernels: ["Q4_K", "Q8_0"].map(|kind| Kernel { kind: kind.into(), memory, cached, many }).to_vec(),
                speeds: Vec::new(),
            }],
        };
        let speeds: Vec<Speed> = works()
            .into_iter()
            .enumerate()
            .map(|(at, (model, work))| {
                let at_card = At { card: &card, setting: &card.settings[0] };
                let off = 1.0 + noise * ((at * 7 % 5) as f64 - 2.0) / 2.0;
                let seconds = |phase, products: f64| {
                    (1.1 * at_card.roof(&work, phase, None).expect("a roof") + products * work.products) * off
                };
                let (prefill, decode) = (1.0 / seconds(Phase::Prefill, 0.0), 1.0 / seconds(Phase::Decode, each));
                Speed { model, prompt: 128, output: 64, prefill, decode, work }
            })
            .collect();
        card.settings[0].speeds = speeds;
        card
    }

    fn work(kind: &str, count: f64, bytes_each: f64, layers: f64) -> Work {
        let part = Part { kind: kind.into(), bytes: count * bytes_each, count };
        Work { weights: vec![part], cache: 1e4, products: 7.0 * layers }
    }

    fn works() -> Vec<(String, Work)> {
        [("s", "Q4_K", 3e6, 6.0), ("m", "Q8_0", 6e6, 8.0), ("l", "Q4_K", 13e6, 10.0), ("xl", "Q8_0", 135e6, 30.0)]
            .map(|(name, kind, count, layers)| {
                (name.to_owned(), work(kind, count, if kind == "Q4_K" { 0.5625 } else { 1.0625 }, layers))
            })
            .to_vec()
    }

    fn cards() -> [DeviceCard; 3] {
        [
            made("laptop", 30.0, 80.0, 300.0, 2e-6, 0.05),
            made("board", 6.0, 15.0, 40.0, 8e-6, 0.08),
            made("phone", 14.0, 40.0, 120.0, 4e-6, 0.06),
        ]
    }

    #[test]
    fn three_made_machines_are_predicted_from_each_other_within_the_stated_error() {
        let all = cards();
        // a model that none of them has measured
        let new = work("Q4_K", 60e6, 0.5625, 20.0);
        for there in &all {
            let others: Vec<DeviceCard> = all.iter().filter(|card| card.name != there.name).cloned().collect();
            for here in &others {
                let (from, to) =
                    (At { card: here, setting: &here.settings[0] }, At { card: there, setting: &there.settings[0] });
                let truth = |at: At, each: f64| {
                    1.0 / (1.1 * at.roof(&new, Phase::Decode, None).expect("a roof") + each * new.products)
                };
                let each = |name: &str| {
                    if name == "laptop" {
                        2e-6
                    } else if name == "board" {
                        8e-6
                    } else {
                        4e-6
                    }
                };
                let measured = truth(from, each(&here.name));
                let predicted = predict(&new, Phase::Decode, Some((from, measured)), to, &all).expect("predicted");
                let off = (predicted.rate / truth(to, each(&there.name))).ln().abs().exp();
                assert!(off <= predicted.off_by, "{} from {}: off by {off}, {predicted:?}", there.name, here.name);
                assert!(predicted.off_by < 1.5 && predicted.tried >= 20, "{predicted:?}");
            }
        }
    }

    #[test]
    fn a_data_sheet_is_predicted_by_the_bandwidths_and_with_more_doubt() {
        let [laptop, ..] = cards();
        let sheet = DeviceCard {
            name: "pi".into(),
            source: Source::DataSheet,
            settings: vec![Setting { threads: 4, bandwidth: 18.0, kernels: Vec::new(), speeds: Vec::new() }],
            ..laptop.clone()
        };
        let new = work("Q4_K", 600e6, 0.5625, 20.0);
        let (from, to) =
            (At { card: &laptop, setting: &laptop.settings[0] }, At { card: &sheet, setting: &sheet.settings[0] });
        let predicted =
            predict(&new, Phase::Decode, Some((from, 70.0)), to, std::slice::from_ref(&laptop)).expect("predicted");
        // half the bandwidth, and the same for each product
        assert!(predicted.rate > 34.0 && predicted.rate < 40.0, "{predicted:?}");
        assert!(predicted.off_by >= UNKNOWN);
        assert_eq!(predict(&new, Phase::Decode, None, to, &[]), None, "nothing is known of its kernels");
    }

    #[test]
    fn without_speeds_nothing_tells_how_far_it_is_off() {
        let mut card = cards()[0].clone();
        card.settings[0].speeds.clear();
        assert_eq!(error(Phase::Decode, std::slice::from_ref(&card)), (1.0, 0));
        let at = At { card: &card, setting: &card.settings[0] };
        let predicted =
            predict(&works()[0].1, Phase::Decode, None, at, std::slice::from_ref(&card)).expect("predicted");
        assert_eq!((predicted.off_by, predicted.tried), (UNKNOWN, 0));
    }
}
