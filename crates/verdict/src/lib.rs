//! What is kept of measurements and what follows from them: `store` keeps every finished item, `recommend` compares in
//! pairs and advises, `report` prints it as a page. It knows no model.

pub mod recommend;
pub mod report;
pub mod store;
