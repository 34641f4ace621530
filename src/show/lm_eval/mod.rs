//! What lm-evaluation-harness would say of a run: its scores with their standard errors, those of groups, its files of results and
//! samples; and what such files and the hub tell, beside ours.

pub mod beside;
pub mod report;
pub mod results;
pub mod samples;
pub mod scores;
