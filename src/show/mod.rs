//! Words and drawings that the command line and the workbench share: errors as sentences, bars, shortened names, tables,
//! and lines on the standard streams. It knows neither of the two.

mod bar;
pub mod out;
mod sentence;
mod table;
mod text;

pub use bar::bar;
pub use sentence::sentence;
pub use table::Table;
pub use text::{beginning, counted, ending};
