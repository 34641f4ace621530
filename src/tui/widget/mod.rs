//! Pieces that screens draw with and that are more than a few lines.

pub mod scatter;
