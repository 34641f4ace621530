//! A suite of somebody's own data: which columns a file has, which of them is the question and which the answer, and the
//! suite's file that asks for it.
//!
//! ```text
//!   columns   what stands in each column
//!   guess     which column is what, where that is unmistakable; a sentence where it is not
//!   write     the suite's file, as a person would write it
//! ```

mod columns;
mod guess;
mod write;

pub use columns::{Column, Columns, Holds};
pub use guess::{Asked, How, Options, Picked, RightIs, Unclear};
pub use write::SuiteFile;
