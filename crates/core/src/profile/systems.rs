//! The table `[systems]` of a profile: which variants are to be tried as one.

use super::Error;
use super::raw::RawSystems;
use super::resolve::Check;
use serde::{Deserialize, Serialize};

/// Which systems of variants are tried beside the variants themselves. They ask no model anything: they are put together
/// of what the variants answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Systems {
    /// Cascades are tried: small first, large where the small one is unsure.
    pub cascade: bool,
    /// Only these pairs of variants (small, large), as tables name them; empty for those that look best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<(String, String)>,
    /// One variant for each task is tried.
    pub specialists: bool,
    /// What is in memory at a time.
    pub hold: Hold,
}

impl Default for Systems {
    fn default() -> Systems {
        Systems { cascade: true, pairs: Vec::new(), specialists: true, hold: Hold::All }
    }
}

/// What of a system is in memory at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// All members, so that none has to be loaded before it answers.
    #[default]
    All,
    /// One member; another is loaded in its place when it is to answer.
    One,
}

impl Hold {
    /// Gives the word for it in profiles.
    pub fn label(self) -> &'static str {
        match self {
            Hold::All => "all",
            Hold::One => "one",
        }
    }
}

/// Resolves the table.
pub(super) fn resolved(check: &Check, raw: RawSystems) -> Result<Systems, Error> {
    let default = Systems::default();
    let mut pairs = Vec::new();
    for (place, pair) in raw.pairs.unwrap_or_default().into_iter().enumerate() {
        let key = format!("systems.pairs {}", place + 1);
        let [small, large] = &pair[..] else {
            return check.wrong(&key, format!("has {} names; write the small one and the large one", pair.len()));
        };
        if small == large {
            return check.wrong(&key, format!("names '{small}' twice; a cascade needs two"));
        }
        pairs.push((small.clone(), large.clone()));
    }
    let systems = Systems {
        cascade: raw.cascade.unwrap_or(default.cascade),
        specialists: raw.specialists.unwrap_or(default.specialists),
        hold: raw.hold.unwrap_or(default.hold),
        pairs,
    };
    match systems.cascade || systems.specialists {
        true => Ok(systems),
        false => check.wrong("systems", "asks for nothing; set cascade or specialists to true, or leave the table out"),
    }
}
