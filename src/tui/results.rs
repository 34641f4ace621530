//! Results as the screens know them: readings that were worked out in `jobs`, in a table.

use crate::run::decide::Decided;
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::{Reading, Variant};
use bantam_verdict::recommend::Standing;
use bantam_verdict::recommend::advice::words::Words;

/// The advice as the screens show it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    pub words: Words,
    /// Some trials have no result yet: it is no advice.
    pub unfinished: bool,
    /// Where the advised model's file is, and how to run it.
    pub how_to_run: Vec<String>,
}

/// Results so far: a row a variant, a column a figure.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Results {
    pub columns: Vec<ResultColumn>,
    pub rows: Vec<ResultRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResultColumn {
    /// "routing", "decode", "memory".
    pub title: String,
    pub metric: Metric,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResultRow {
    pub variant: Variant,
    pub cells: Vec<Reading>,
    pub standing: Standing,
    pub on_front: bool,
    pub advised: bool,
    /// Where the scatter puts it: memory and mean score.
    pub at: Option<(f64, f64)>,
}

/// What was measured, decided over with what the user turned.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    /// Which one; what would change it comes later, under the same number.
    pub number: u64,
    /// The profile before anything was turned.
    pub base: Profile,
    pub decided: Decided,
    /// The tasks that decide, as a profile names them.
    pub tasks: Vec<String>,
    /// How many trials of how many it rests on, where some are not over.
    pub unfinished: Option<(usize, usize)>,
}
