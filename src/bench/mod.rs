//! bench: measuring one variant on this host, and all of a profile's.
//!
//! In reading order: `plan` turns a profile into trials, `session` does them one by one, `runner` says what doing one
//! is, `process` does it in a worker process, `sandbox` keeps that process, and `protocol` is what the two say to each
//! other. `answer` puts a suite's questions to a model; `speed` is how timings are taken, `meter` tells the joules and
//! refuses to where they cannot be believed, `host` is the card of the machine and what makes its numbers doubtful,
//! `doctor` puts these together; `appraise` reckons what a model of
//! the hub would need here; `home` is where things are kept, `inventory` what is there.

pub mod answer;
pub mod appraise;
pub mod doctor;
mod doubt;
pub mod home;
pub mod host;
pub mod inventory;
pub mod meter;
pub mod models;
pub mod plan;
pub mod process;
pub mod protocol;
pub mod runner;
pub mod sandbox;
pub mod session;
pub mod speed;
pub mod suites;
pub mod worker;

pub use doctor::{Doctor, doctor};

#[cfg(test)]
mod tests;
