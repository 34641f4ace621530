//! Headers out of a file's first bytes, as range requests bring them.

/// A header, or how many bytes of the file have to be here before it can be read.
#[derive(Debug, Clone, PartialEq)]
pub enum Need<T> {
    Have(T),
    /// So many, from the beginning.
    More(u64),
}
