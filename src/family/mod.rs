//! family

pub mod corpus;
