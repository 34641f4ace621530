//! bantam finds the smallest model that does your job: it compresses models on this machine, measures what each
//! version still can and what it costs, and recommends the right-sized one, with the evidence.
//!
//! The map of the house: this crate is its upper floor, over the library crates whose walls the compiler keeps.
//!
//! ```text
//!   show, print         cli  tui
//!   words, drawings     show
//!   do                  run  serve  package  subject  library (this crate)
//!   decide              bantam-verdict
//!   change              bantam-lab
//!   keep, ask, answer   bantam-eval  bantam-model  bantam-hub  bantam-host
//!   files               bantam-format
//!   facts               bantam-core  bantam-bundled
//! ```
//!
//! Arrows go down only; crates side by side do not know each other.

// what is here, by name
pub mod library;
// who is asked
pub mod subject;

// the whole loop, for whoever shows it
pub mod run;

// a model behind an API
pub mod serve;

// what is chosen, ready for where it is to run
pub mod package;

// words and drawings of both that follow
pub mod show;

// show
pub mod cli;
pub mod tui;
