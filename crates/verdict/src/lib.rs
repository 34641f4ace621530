//! The `bantam-verdict` crate: what is kept of measurements and what follows from them. `store` keeps every finished
//! item, `recommend` compares variants item by item and advises, `report` prints it as a page, `past` reads one again and holds
//! two against each other. It knows no model.

#![warn(missing_docs)]

pub mod past;
pub mod recommend;
pub mod report;
pub mod store;
