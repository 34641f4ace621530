//! What became of a quantized checkpoint in memory: how many matrices are held in which type, and why the others are
//! wider than they were.

use std::collections::BTreeMap;

use crate::linear::Linear;

/// Why no block type has a matrix exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Widened {
    /// f32 was asked for.
    Asked,
    /// Scales that f16 does not have.
    Scales,
    /// Integers of more than eight bits once the zero point is taken off.
    Range,
    /// A group size that 32 does not divide.
    Group(usize),
    /// Scattered groups that cannot be gathered into blocks.
    Order,
    /// A row length that 32 does not divide.
    Width(usize),
    /// Weights that are numbers of a table, not multiples of a step.
    CodeBook,
    /// Floats of eight bits, whose scales no type of GGUF has.
    SmallFloats,
}

impl std::fmt::Display for Widened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("f32 was asked for"),
            Self::Scales => f.write_str("f16 does not have its scales exactly"),
            Self::Range => f.write_str("its integers need more than 8 bits"),
            Self::Group(size) => write!(f, "its groups of {size} are no multiple of 32"),
            Self::Order => f.write_str("its scattered groups are no multiple of 32"),
            Self::Width(inp) => write!(f, "its rows of {inp} are no multiple of 32"),
            Self::SmallFloats => f.write_str("no GGUF type has floats of 8 bits"),
            Self::CodeBook => f.write_str("no GGUF type has its code book"),
        }
    }
}

/// The matrices of a loaded checkpoint that were packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Matrices by the name of the type they are held in.
    pub held: BTreeMap<&'static str, usize>,
    /// Matrices that are held wider than they were stored, by the reason.
    pub widened: BTreeMap<Widened, usize>,
    /// Bytes they took in the file, with their scales.
    pub stored_bytes: u64,
    /// Bytes they take in memory.
    pub held_bytes: u64,
}

impl Summary {
    pub(super) fn add(&mut self, linear: &Linear, widened: Option<Widened>, stored: u64) {
        *self.held.entry(linear.format()).or_default() += 1;
        if let Some(why) = widened {
            *self.widened.entry(why).or_default() += 1;
        }
        self.stored_bytes += stored;
        self.held_bytes += linear.bytes() as u64;
    }

    /// A sentence for each reason that made matrices wider than they were stored; none where f32 was asked for.
    pub fn warnings(&self) -> Vec<String> {
        let told = self.widened.iter().filter(|(why, _)| **why != Widened::Asked);
        let sentence = |(why, count): (&Widened, &usize)| match count {
            1 => format!("1 quantized matrix is held dense: {why}"),
            _ => format!("{count} quantized matrices are held dense, each because {why}"),
        };
        told.map(sentence).collect()
    }
}

/// "14 as Q4_0, 2 as F32 (f16 does not have their scales exactly)".
impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held: Vec<_> = self.held.iter().map(|(name, count)| format!("{count} as {name}")).collect();
        f.write_str(&held.join(", "))?;
        let why: Vec<_> = self.widened.keys().map(ToString::to_string).collect();
        if why.is_empty() { Ok(()) } else { write!(f, " ({})", why.join("; ")) }
    }
}
