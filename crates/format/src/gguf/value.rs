//! Values of a GGUF file's metadata.

/// A value of the metadata, in the types of the format.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned integer of 8 bits.
    U8(u8),
    /// A signed integer of 8 bits.
    I8(i8),
    /// An unsigned integer of 16 bits.
    U16(u16),
    /// A signed integer of 16 bits.
    I16(i16),
    /// An unsigned integer of 32 bits.
    U32(u32),
    /// A signed integer of 32 bits.
    I32(i32),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A signed integer of 64 bits.
    I64(i64),
    /// A float of 32 bits.
    F32(f32),
    /// A float of 64 bits.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// A text in UTF-8.
    String(String),
    /// A list of values of one type, with the format's number for the type, since a list may be empty.
    Array(u32, Vec<Value>),
}

impl Value {
    /// A key is at least its length, a type, and one byte.
    pub(super) const LEAST_BYTES: usize = 8 + 4 + 1;

    /// Gives the value if it is a whole number of any width.
    pub fn integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(n) => n.into(),
            Self::I8(n) => n.into(),
            Self::U16(n) => n.into(),
            Self::I16(n) => n.into(),
            Self::U32(n) => n.into(),
            Self::I32(n) => n.into(),
            Self::U64(n) => n.into(),
            Self::I64(n) => n.into(),
            _ => return None,
        })
    }

    /// Gives the value if it is a number of any type.
    pub fn float(&self) -> Option<f64> {
        match *self {
            Self::F32(x) => Some(x.into()),
            Self::F64(x) => Some(x),
            _ => self.integer().map(|n| n as f64),
        }
    }
}
