//! What bantam carries inside its binary, so that the first run needs neither files nor a network: three small models,
//! suites to ask them, and the quick start's profile. Bytes by name, and no meaning.

#![warn(missing_docs)]

pub mod models;
pub mod profiles;
pub mod suites;
