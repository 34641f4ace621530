//! The settings of a decision, a line each: knobs and the preference; what a notch of each is.

use crate::run::decide::Turned;
use bantam_core::profile::{Knob, Prefer, Profile, knob};
use bantam_verdict::recommend::{Advice, whatif};

/// A line that can be turned.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    Knob(Knob),
    Prefer,
}

/// What a setting is turned to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum To {
    Number(Option<f64>),
    Prefer(Prefer),
}

/// All settings in the order shown.
pub(super) fn all(profile: &Profile, tasks: &[String]) -> Vec<Setting> {
    let knobs = knob::all(profile, tasks).into_iter().map(Setting::Knob);
    let at = |setting: &Setting| matches!(setting, Setting::Knob(Knob::Margin | Knob::TaskMargin(_) | Knob::Weight(_)));
    let mut all: Vec<Setting> = knobs.collect();
    let margins = all.iter().position(at).unwrap_or(all.len());
    all.insert(margins, Setting::Prefer);
    all
}

/// A setting a notch up or down from where the profile has it; None where it cannot go there.
pub(super) fn notched(setting: &Setting, profile: &Profile, advice: &Advice, up: bool) -> Option<(Setting, To)> {
    let to = match setting {
        Setting::Prefer => To::Prefer(next(profile.objective.prefer, advice, up)?),
        Setting::Knob(Knob::Limit(metric)) => To::Number(limit(&Knob::Limit(*metric), profile, advice, up)?),
        Setting::Knob(knob @ Knob::TaskMargin(_)) => {
            let from = knob.value(profile).unwrap_or(profile.objective.margin);
            To::Number(Some(knob.notch(from, up)?))
        }
        Setting::Knob(knob @ Knob::Weight(_)) => {
            let next = knob.notch(knob.value(profile).unwrap_or_default(), up)?;
            // the last weight stays
            let others = profile.objective.weights().iter().filter(|(_, weight)| *weight > 0.0).count();
            (next > 0.0 || others > 1).then_some(To::Number(Some(next).filter(|next| *next > 0.0)))?
        }
        Setting::Knob(knob) => To::Number(Some(knob.notch(knob.value(profile)?, up)?)),
    };
    Some((setting.clone(), to))
}

/// The preference before or behind, among those whose cost is known of somebody.
fn next(from: Prefer, advice: &Advice, up: bool) -> Option<Prefer> {
    let is_known = |prefer: &Prefer| *prefer == from || whatif::is_known(advice, *prefer);
    let known: Vec<Prefer> = Prefer::ALL.into_iter().filter(is_known).collect();
    let at = known.iter().position(|prefer| *prefer == from)?;
    let next = if up { at + 1 } else { at.checked_sub(1)? };
    known.get(next).copied()
}

/// A limit a notch up or down: from none to the loosest that all keep, and from beyond that to none.
fn limit(knob: &Knob, profile: &Profile, advice: &Advice, up: bool) -> Option<Option<f64>> {
    let Knob::Limit(metric) = knob else { return None };
    let looser = up == knob.is_looser_above();
    let sign = if knob.is_looser_above() { 1.0 } else { -1.0 };
    let all_keep = advice.summaries.iter().filter_map(|summary| {
        let reading = summary.cost(*metric);
        let figure = reading.known()?;
        Some(figure.interval.map_or(figure.value, |i| if sign > 0.0 { i.high } else { i.low }))
    });
    let all_keep = all_keep.max_by(|a, b| (sign * a).total_cmp(&(sign * b))).map(|value| knob.keeping(value))?;
    match (knob.value(profile), looser) {
        (None, true) => None,
        (None, false) => Some(Some(all_keep)),
        (Some(from), true) if sign * from >= sign * all_keep => Some(None),
        // a limit that nobody comes near is turned no further than to where the first does
        (Some(from), false) if sign * from > sign * all_keep => Some(Some(all_keep)),
        (Some(from), _) => knob.notch(from, up).filter(|next| *next > 0.0).map(Some),
    }
}

/// What is turned with this, too; a setting that is back where the profile has it is not turned.
pub(super) fn with(turned: &Turned, base: &Profile, setting: &Setting, to: To) -> Turned {
    let mut turned = turned.clone();
    match (setting, to) {
        (_, To::Prefer(prefer)) => turned.prefer = Some(prefer).filter(|prefer| *prefer != base.objective.prefer),
        (Setting::Knob(knob), To::Number(number)) => {
            turned.knobs.retain(|(other, _)| other != knob);
            if knob.value(base) != number {
                turned.knobs.push((knob.clone(), number));
            }
        }
        (Setting::Prefer, To::Number(_)) => {}
    }
    turned
}

/// Whether a setting is otherwise than the profile has it.
pub(super) fn is_turned(turned: &Turned, setting: &Setting) -> bool {
    match setting {
        Setting::Prefer => turned.prefer.is_some(),
        Setting::Knob(knob) => turned.knobs.iter().any(|(other, _)| other == knob),
    }
}
