//! model

pub mod ops;
