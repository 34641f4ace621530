//! From results to advice: what every variant can do and costs, how it compares with the reference, and which one to
//! use.
//!
//! Works on records alone: no model, no database, no screen. The sentences of the advice are made in `advice::words`
//! alone, which report, screen and command line share.
//!
//! ```text
//!   rows ──► score ─┐                                ┌─► pareto: which are beaten by none
//!        └─► cost ──┴─► summary ─┬─► constraint ─┐  ├─► tie: which cannot be told apart
//!                                 └─► compare ────┴──┴─► advice ──► words
//! ```

pub mod advice;
mod answer_cost;
pub mod calibration;
pub mod choices;
pub mod compare;
pub mod constraint;
pub mod cost;
pub mod decided;
mod desk;
pub mod device;
pub mod figures;
mod influence;
pub mod known;
pub mod loss;
pub mod money;
pub mod overall;
pub mod pareto;
pub mod race;
pub mod rate;
pub mod score;
pub mod skill;
pub mod standing;
pub mod summary;
pub mod systems;
pub mod tie;
mod weighed;
pub mod whatif;

#[cfg(test)]
mod coverage;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod regroup;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod twice;

pub use advice::{Advice, Conclusion, advise, advise_knowing};
pub use choices::Choices;
pub use compare::{Comparison, Flip, flips};
pub use constraint::{Check, Requirement, Status};
pub use desk::Desk;
pub use known::Known;
pub use standing::{Group, Standing};
pub use summary::{TaskName, VariantSummary};
