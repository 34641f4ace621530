//! What everything else in bantam rests on: units (`unit`) and metrics (`metric`), the records of what was asked and
//! what came out (`record`), what is said and asked meanwhile (`event`, `cancel`), what the numbers allow one to say
//! (`stats`), what a user wants of a run (`profile`), how models that talk are asked (`chat`), what machines can do (`device`) and those behind an address (`endpoint`), several
//! that answer as one (`system`), how keys and values are kept
//! (`cache_type`), files that are read (`input`) and written (`disk`), their stamps and digests (`stamp`, `digest`), locks
//! (`sync`), foreign text that is to be shown (`text`), and what a mistyped word may have meant (`meant`).
//!
//! Plain data and plain functions; nothing here knows a model, a format of weights, a database or a screen.

#![warn(missing_docs)]

pub mod cache_type;
pub mod cancel;
pub mod chat;
pub mod device;
pub mod digest;
pub mod disk;
pub mod endpoint;
pub mod event;
pub mod input;
pub mod meant;
pub mod metric;
pub mod output;
pub mod profile;
pub mod record;
pub mod stamp;
pub mod stats;
pub mod sync;
pub mod system;
pub mod text;
pub mod unit;
