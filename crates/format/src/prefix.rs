//! Headers read from a file's first bytes, as range requests bring them.

/// A header, or how many bytes of the file are needed before it can be read.
#[derive(Debug, Clone, PartialEq)]
pub enum Need<T> {
    /// The header.
    Have(T),
    /// The bytes needed, counted from the beginning of the file; more may be needed then.
    More(u64),
}
