//! bench: measuring one variant on this host.
//!
//! `meter` tells the joules, and refuses to where they cannot be believed.

pub mod meter;
