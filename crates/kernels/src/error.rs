//! What can be wrong with a call, a sentence each.

use bantam_format::ggml::Type;

/// Why a product, a decoding or an encoding is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing here computes with the type.
    #[error("nothing here computes with weights of type {0}; allowed are {allowed}", allowed = crate::block::names())]
    Type(Type),
    /// Nothing here writes the type.
    #[error("nothing here writes weights of type {0}")]
    NoEncoder(Type),
    /// A row is no whole blocks.
    #[error("a row of {columns} weights is no whole blocks of {ty}, which have {block}", block = ty.block())]
    Columns {
        /// The type of the weights.
        ty: Type,
        /// Weights in a row.
        columns: usize,
    },
    /// A slice has another length than the shapes say.
    #[error("{what} has length {is}, not {should}")]
    Length {
        /// The slice.
        what: &'static str,
        /// Its length.
        is: usize,
        /// The length that the shapes make.
        should: usize,
    },
    /// Sizes whose product no memory could hold.
    #[error("a matrix of {out} rows and {inp} columns is larger than memory")]
    TooLarge {
        /// Rows.
        out: usize,
        /// Columns.
        inp: usize,
    },
    /// A row of a matrix that it has not.
    #[error("row {row} was asked of a matrix of {out} rows")]
    Row {
        /// The row that was asked for.
        row: usize,
        /// Rows that there are.
        out: usize,
    },
    /// `BANTAM_ISA` is no instruction set.
    #[error("BANTAM_ISA is {0:?}; allowed are scalar, avx2, avxvnni, avx512, neon, neondot")]
    UnknownIsa(String),
    /// `BANTAM_ISA` is an instruction set that this processor has not.
    #[error("BANTAM_ISA is {wanted}, which this processor does not have; it has {has}")]
    IsaNotHere {
        /// What was asked for.
        wanted: &'static str,
        /// Names of those that are there.
        has: String,
    },
}

impl Error {
    /// Refuses a slice that is not as long as it should be.
    pub(crate) fn unless_long(what: &'static str, is: usize, should: usize) -> Result<(), Error> {
        if is == should { Ok(()) } else { Err(Error::Length { what, is, should }) }
    }
}
