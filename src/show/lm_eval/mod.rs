//! What lm-evaluation-harness would say of a run: its scores with their standard errors, those of groups, its results files.

pub mod results;
pub mod scores;
