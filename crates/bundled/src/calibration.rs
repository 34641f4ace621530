//! The text that models are calibrated on where the user names none: prose, conversation, code, tables and mathematics in
//! several languages. Its parts are bantam's own or in the public domain, as the file beside it says; another text makes
//! other artifacts, so that it is changed seldom.

/// The text; paragraphs stand between empty lines, by twos what is asked and what is answered.
pub const TEXT: &str = include_str!("../calibration/default.txt");
