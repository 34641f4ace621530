//! Where a variant stands: it qualifies, the measurements cannot tell, or it is out. Three groups, the same ones in
//! every table, chart and sentence, and of each that does not qualify the one reason.

use serde::{Deserialize, Serialize};

/// Where a variant stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "group", rename_all = "snake_case")]
pub enum Standing {
    /// It keeps every limit and is shown not worse than the reference on every deciding task.
    Qualifies,
    /// Nothing is shown against it, but something is not shown: too few items, a limit within an interval, a trial
    /// without a result.
    CannotTell {
        /// The one reason, in a sentence.
        reason: String,
    },
    /// It breaks a limit, or is shown worse than the reference.
    Out {
        /// The one reason, in a sentence.
        reason: String,
    },
}

/// The three groups, in the order in which they are drawn and listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Those that qualify.
    Qualifies,
    /// Those of which the measurements cannot tell.
    CannotTell,
    /// Those that are out.
    Out,
}

impl Group {
    /// All groups, in their order.
    pub const ALL: [Group; 3] = [Group::Qualifies, Group::CannotTell, Group::Out];

    /// The word for the group in tables, legends and lists.
    pub fn label(self) -> &'static str {
        match self {
            Group::Qualifies => "qualifies",
            Group::CannotTell => "cannot tell",
            Group::Out => "out",
        }
    }

    /// The sign of the group, where there is no room for its word.
    pub fn sign(self) -> &'static str {
        match self {
            Group::Qualifies => "✓",
            Group::CannotTell => "?",
            Group::Out => "✗",
        }
    }
}

impl Standing {
    /// The group it is in.
    pub fn group(&self) -> Group {
        match self {
            Standing::Qualifies => Group::Qualifies,
            Standing::CannotTell { .. } => Group::CannotTell,
            Standing::Out { .. } => Group::Out,
        }
    }

    /// Why it does not qualify, in one sentence; `None` where it does.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Standing::Qualifies => None,
            Standing::CannotTell { reason } | Standing::Out { reason } => Some(reason),
        }
    }

    /// Whether it qualifies.
    pub fn qualifies(&self) -> bool {
        *self == Standing::Qualifies
    }
}
