//! The machine that is measured on: its card and what makes its numbers doubtful (`card`), its joules (`meter`), worker
//! processes with limits and a reason for their end (`sandbox`), how timings are taken (`speed`), what a process that
//! trains sets for itself (`process`), and the whole machine in one look (`doctor`). It knows no model.

#![warn(missing_docs)]
#![allow(unsafe_code)] // talks to the system

pub mod card;
pub mod doctor;
pub mod meter;
mod process;
pub mod sandbox;
pub mod speed;

pub use doctor::{Doctor, doctor};
pub use process::{release_code, settle_for_training};
