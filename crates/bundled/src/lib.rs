//! What bantam carries inside its binary, so that the first run needs neither files nor a network: three small models,
//! suites to ask them, the quick start's profile, and a text to calibrate on. Bytes by name, and no meaning.

#![warn(missing_docs)]

pub mod calibration;
pub mod models;
pub mod profiles;
pub mod suites;
