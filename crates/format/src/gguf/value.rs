//! Values of a GGUF file's metadata.

/// A value of the metadata, in the types of the format.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    /// Values of one type; the format's number for it, since an array may be empty.
    Array(u32, Vec<Value>),
}

impl Value {
    /// A key is at least its length, a type, and one byte.
    pub(super) const LEAST_BYTES: usize = 8 + 4 + 1;

    /// The value if it is a whole number of any width.
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

    /// The value if it is a number.
    pub fn float(&self) -> Option<f64> {
        match *self {
            Self::F32(x) => Some(x.into()),
            Self::F64(x) => Some(x),
            _ => self.integer().map(|n| n as f64),
        }
    }
}
