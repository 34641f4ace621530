//! What everything else in bantam rests on: units, metrics, the records of what was asked and what came out, what
//! happens meanwhile, what the numbers allow one to say, and what a user wants of a run.
//!
//! Plain data and plain functions; nothing here knows a model, a file format, a database or a screen.

pub mod cancel;
pub mod disk;
pub mod event;
pub mod metric;
pub mod profile;
pub mod record;
pub mod stats;
pub mod sync;
pub mod unit;
