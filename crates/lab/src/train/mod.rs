//! Training: the bundled family from nothing, adapters and students, all through one loop.
//!
//! ```text
//! Documents (i) ─► Batch ─► shards ─► Network.logits ─► Loss ─► gradients ─► clip, AdamW ─► Vars
//!                                                                        every few minutes: Checkpoint
//! ```
//!
//! A step is a function of the variables, the moments and the index of the next document, and all of them stand in the
//! checkpoint: a killed run goes on and ends bit for bit where an undisturbed one ends, given the same number of
//! shards. What is trained on is not known here, nor which architecture.

mod adamw;
pub mod adapter;
mod batch;
mod checkpoint;
pub mod corpus;
mod objective;
mod schedule;
pub mod student;
mod summary;
mod trainer;
pub mod tune;
mod vars;

pub use adamw::AdamW;
pub use batch::{Batch, Example};
pub use objective::{Loss, Network, Objective, Recomputed, Taped, next_token};
pub use schedule::Schedule;
pub use summary::{SUMMARY, Summary};
pub use trainer::{Diverged, Documents, HeldOut, Trainer, TrainingPlan, TrainingProgress};
pub use tune::{Keeping, Outlook, Pace, Told};
pub use vars::Vars;

#[cfg(test)]
mod tests;
