//! The limits that stand above the list, edited in place: memory and decode are the profile's own, so that Plan and Decide go
//! on with them; the licence is Find's alone.

use super::rows::Limits;
use crate::tui::shared::Shared;
use bantam_core::metric::Metric;
use bantam_core::profile::{Knob, knob};
use bantam_core::unit::Bytes;

/// The fields in their order.
pub(super) const FIELDS: usize = 3;
const MEMORY: Knob = Knob::Limit(Metric::PeakMemory);
const DECODE: Knob = Knob::Limit(Metric::DecodeTps);
/// The longest word of a licence that is typed.
const LONGEST: usize = 30;

/// A limit that is being edited.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Edit {
    /// Which of the fields.
    pub field: usize,
    /// What is typed into it.
    pub typed: Option<String>,
}

/// What comes of an edit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    Knob(Knob, Option<f64>),
    Licence(Option<String>),
}

fn knob_of(field: usize) -> Option<Knob> {
    [MEMORY, DECODE].into_iter().nth(field)
}

/// What the profile has there, as it is turned.
fn value(knob: &Knob, shared: &Shared) -> Option<f64> {
    match shared.selection.limits.iter().find(|(turned, _)| turned == knob) {
        Some((_, to)) => *to,
        None => shared.ready().and_then(|setup| knob.value(&setup.profile)),
    }
}

/// The limits that rows are held against; without one of the memory it is what this machine has.
pub(super) fn held(shared: &Shared, licence: Option<&String>, memory: Option<Bytes>) -> Limits {
    Limits {
        memory: value(&MEMORY, shared).or(memory.map(|bytes| bytes.0 as f64)),
        decode: value(&DECODE, shared),
        licence: licence.cloned(),
    }
}

/// The fields as they are shown: name, sign and value.
pub(super) fn shown(shared: &Shared, licence: Option<&String>) -> [(&'static str, String); FIELDS] {
    let of = |knob: Knob| match value(&knob, shared) {
        Some(value) => format!("{} {}", knob.sign(), knob.show(value)),
        None => "any".into(),
    };
    [("memory", of(MEMORY)), ("decode", of(DECODE)), ("licence", licence.cloned().unwrap_or_else(|| "any".into()))]
}

impl Edit {
    pub(super) fn step(&mut self, right: bool) {
        let by = if right { 1 } else { FIELDS - 1 };
        *self = Edit { field: (self.field + by) % FIELDS, typed: None };
    }

    pub(super) fn write(&mut self, text: &str) {
        let typed = self.typed.get_or_insert_default();
        let room = LONGEST.saturating_sub(typed.chars().count());
        typed.extend(text.chars().filter(|c| !c.is_control()).take(room));
    }

    pub(super) fn erase(&mut self, all: bool) {
        match &mut self.typed {
            Some(typed) if !all => drop(typed.pop()),
            typed => *typed = Some(String::new()),
        }
    }

    /// A notch up or down; None where there is none.
    pub(super) fn notch(&self, up: bool, shared: &Shared, memory: Option<Bytes>) -> Option<Turn> {
        let knob = knob_of(self.field)?;
        let to = match value(&knob, shared) {
            Some(from) => knob.notch(from, up).filter(|to| *to > 0.0),
            // the first notch of none: what this machine has, or one token a second
            None if knob == MEMORY => memory.map(|bytes| knob.keeping(bytes.0 as f64)),
            None => up.then_some(1.0),
        }?;
        Some(Turn::Knob(knob, Some(to)))
    }

    /// What was typed, where it is a limit; None where nothing was.
    ///
    /// # Errors
    /// One sentence with an example where it is no number of the field.
    pub(super) fn taken(&self) -> Result<Option<Turn>, String> {
        let Some(typed) = &self.typed else { return Ok(None) };
        let bare = typed.trim().trim_start_matches(['<', '>', '=', '≤', '≥']).trim();
        let none = ["", "any", "none", "off"].contains(&bare);
        Ok(Some(match knob_of(self.field) {
            Some(knob) if none => Turn::Knob(knob, None),
            Some(knob) => {
                let number = knob::number(&knob, bare)?;
                Turn::Knob(knob, Some(number))
            }
            None => Turn::Licence((!none).then(|| bare.to_owned())),
        }))
    }
}
