//! The types of ggml: how many weights make a block and how many bytes it takes. One table for everything that reads,
//! writes, multiplies or refuses them.
//!
//! Facts: `ggml_type` in ggml.h, the block structs in ggml-common.h (github.com/ggml-org/ggml), and `GGML_QUANT_SIZES`
//! of the `gguf` package (0.19.0).

use std::fmt;
use std::str::FromStr;

use self::Use::*;

/// Gives the enum and its table from one row a type: its name as llama.cpp writes it, its number in a GGUF file,
/// weights and bytes of a block, and what it is used for.
macro_rules! types {
    ($($name:ident $id:literal $block:literal $bytes:literal $used:ident)*) => {
        /// A storage type of ggml, in use or removed.
        #[allow(non_camel_case_types, missing_docs)] // ggml's own names, which say everything
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Type { $($name = $id,)* }

        /// A row for each type, in the order of their numbers.
        const TABLE: &[Row] =
            &[$(Row { ty: Type::$name, name: stringify!($name), block: $block, bytes: $bytes, used: $used },)*];
    };
}

types! {
    F32       0   1   4  Plain
    F16       1   1   2  Plain
    Q4_0      2  32  18  Quants
    Q4_1      3  32  20  Quants
    Q4_2      4  16  10  Removed
    Q4_3      5  16  12  Removed
    Q5_0      6  32  22  Quants
    Q5_1      7  32  24  Quants
    Q8_0      8  32  34  Quants
    Q8_1      9  32  36  Inner
    Q2_K     10 256  84  Quants
    Q3_K     11 256 110  Quants
    Q4_K     12 256 144  Quants
    Q5_K     13 256 176  Quants
    Q6_K     14 256 210  Quants
    Q8_K     15 256 292  Inner
    IQ2_XXS  16 256  66  Quants
    IQ2_XS   17 256  74  Quants
    IQ3_XXS  18 256  98  Quants
    IQ1_S    19 256  50  Quants
    IQ4_NL   20  32  18  Quants
    IQ3_S    21 256 110  Quants
    IQ2_S    22 256  82  Quants
    IQ4_XS   23 256 136  Quants
    I8       24   1   1  Plain
    I16      25   1   2  Plain
    I32      26   1   4  Plain
    I64      27   1   8  Plain
    F64      28   1   8  Plain
    IQ1_M    29 256  56  Quants
    BF16     30   1   2  Plain
    Q4_0_4_4 31  32  18  Removed
    Q4_0_4_8 32  32  18  Removed
    Q4_0_8_8 33  32  18  Removed
    TQ1_0    34 256  54  Quants
    TQ2_0    35 256  66  Quants
    IQ4_NL_4_4 36 32 18  Removed
    IQ4_NL_4_8 37 32 18  Removed
    IQ4_NL_8_8 38 32 18  Removed
    MXFP4    39  32  17  Quants
    NVFP4    40  64  36  Quants
    Q1_0     41 128  18  Quants
    Q2_0     42  64  18  Quants
}

/// What a type of ggml is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Each number for itself.
    Plain,
    /// Weights as small integers that share scales.
    Quants,
    /// Intermediate results of ggml, which no file holds.
    Inner,
    /// Removed from ggml, which no longer reads files of such types.
    Removed,
}

/// What is known of a type.
#[derive(Debug)]
struct Row {
    ty: Type,
    name: &'static str,
    block: usize,
    bytes: usize,
    used: Use,
}

/// A word that names no type of ggml.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a type of ggml, such as Q4_K")]
pub struct UnknownType(pub String);

impl Type {
    /// Lists all types, in the order of their numbers.
    pub fn all() -> impl ExactSizeIterator<Item = Type> {
        TABLE.iter().map(|row| row.ty)
    }

    /// Finds the type with this number in a GGUF file.
    pub const fn from_id(id: u32) -> Option<Type> {
        // the table has no holes, which `number_and_place_agree` holds it to
        if (id as usize) < TABLE.len() { Some(TABLE[id as usize].ty) } else { None }
    }

    /// Finds the type of this name, in capital or small letters.
    pub fn from_name(name: &str) -> Option<Type> {
        TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name)).map(|row| row.ty)
    }

    /// Gives the type's number in a GGUF file.
    pub const fn id(self) -> u32 {
        self as u32
    }

    /// Gives the type's name, as llama.cpp writes it.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Gives the number of weights in a block; a row has a multiple of them.
    pub const fn block(self) -> usize {
        self.row().block
    }

    /// Gives the bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.row().bytes
    }

    /// Tells what the type is used for.
    pub const fn used_for(self) -> Use {
        self.row().used
    }

    /// Tells whether weights are stored as integers with shared scales.
    pub const fn is_quantized(self) -> bool {
        self.block() > 1
    }

    /// Gives the bytes of so many weights; `None` where they are no whole blocks, or more than memory can address.
    pub const fn bytes(self, weights: usize) -> Option<usize> {
        let row = self.row();
        if weights.is_multiple_of(row.block) { (weights / row.block).checked_mul(row.bytes) } else { None }
    }

    /// Gives the bytes of `rows` rows of `columns` weights; `None` where a row is no whole blocks, or all are too many.
    pub const fn matrix_bytes(self, rows: usize, columns: usize) -> Option<usize> {
        match self.bytes(columns) {
            Some(row) => row.checked_mul(rows),
            None => None,
        }
    }

    /// Gives the bits that a weight takes, scales included.
    pub const fn bits_per_weight(self) -> f64 {
        let row = self.row();
        (8 * row.bytes) as f64 / row.block as f64
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(name: &str) -> Result<Type, UnknownType> {
        Type::from_name(name).ok_or_else(|| UnknownType(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_place_agree() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!((row.ty.id() as usize, row.ty.name()), (place, row.name));
            assert_eq!(Type::from_id(place as u32), Some(row.ty));
            assert_eq!(row.name.to_lowercase().parse(), Ok(row.ty));
        }
        assert_eq!(Type::from_id(TABLE.len() as u32), None);
        assert_eq!("Q4_9".parse::<Type>(), Err(UnknownType("Q4_9".into())));
    }

    #[test]
    fn bytes_are_those_of_whole_blocks() {
        assert_eq!(Type::Q4_K.bytes(512), Some(288));
        assert_eq!(Type::Q4_K.bytes(288), None);
        assert_eq!(Type::Q8_0.matrix_bytes(3, 288), Some(918));
        assert_eq!(Type::F32.matrix_bytes(usize::MAX, 8), None);
        assert_eq!(Type::F16.bytes(usize::MAX), None);
        assert_eq!(Type::Q4_K.bits_per_weight(), 4.5);
    }

    #[test]
    fn what_no_file_should_hold_is_known_by_name() {
        let removed: Vec<&str> = Type::all().filter(|ty| ty.used_for() == Removed).map(Type::name).collect();
        assert_eq!(removed.len(), 8);
        assert_eq!(Type::from_id(31).map(Type::name), Some("Q4_0_4_4"));
        assert_eq!(Type::from_id(40).map(|ty| ty.used_for()), Some(Quants));
    }
}
