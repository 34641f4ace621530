//! bantam finds the smallest model that does your job: it compresses models on this machine, measures what each
//! version still can and what it costs, and recommends the right-sized one, with the evidence.
//!
//! The map of the house, in reading order. Reading goes down only: a room may use the rooms listed above it here,
//! except that rooms of one group do not know each other.

// plain facts: everything may read these; they know nothing of the rooms below
pub mod event;
pub mod job;
pub mod metric;
pub mod record;
pub mod stats;
pub mod unit;

// wish: what to try and what matters
pub mod profile;

// keep, ask, answer
pub mod hub;
pub mod model;
pub mod store;
pub mod suite;

// change
pub mod compress;
pub mod family;
pub mod train;

// do
pub mod bench;

// decide
pub mod recommend;

// print
pub mod report;

// the whole loop, for whoever shows it
pub mod run;

// show
pub mod cli;
pub mod tui;
