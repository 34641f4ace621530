//! What is on this machine, by name: models, suites and results, wherever they are kept. Here the crates that know
//! files, the hub and what is bundled meet.

pub mod catalog;
pub mod config;
pub mod extends;
pub mod fit;
pub mod home;
pub mod inventory;
pub mod models;
pub mod own;
pub mod pins;
pub mod shelf;
pub mod stamp;
pub mod suites;
