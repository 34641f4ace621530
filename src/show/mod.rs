//! Words and drawings that the command line and the workbench share: errors as sentences, bars, shortened names, tables,
//! and lines on the standard streams. It knows neither of the two.

mod bar;
mod cells;
mod difference;
pub mod lm_eval;
mod names;
pub mod out;
mod sentence;
pub mod strip;
mod table;
mod text;

pub use bantam_core::unit::counted;
pub use bar::bar;
pub use cells::{left, middle, right, wrapped};
pub use difference::{Piece, difference, wrapped_pieces};
pub use names::short;
pub use sentence::sentence;
pub use table::Table;
pub use text::{beginning, ending};
