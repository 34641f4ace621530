//! Python's own rules where a task's meaning rests on them: its random numbers, regular expressions, literals and what it
//! prints. Task files are written for lm-evaluation-harness, which is Python.

mod literal;
mod print;
mod random;
mod regex;
mod text;

pub(crate) use literal::literal;
pub(crate) use print::{number, printed, represented};
pub(crate) use random::Random;
pub(crate) use regex::{regex, replacement};
pub(crate) use text::{capitalized, split, stripped};
