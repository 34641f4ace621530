//! bench: measuring one variant on this host.
//!
//! `host` is the card of the machine and what makes its numbers doubtful; `meter` tells the joules, and refuses to
//! where they cannot be believed.

pub mod host;
pub mod meter;
