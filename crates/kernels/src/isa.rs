//! Which instruction set runs, found out once while running: a binary built for any processor uses what this one has.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::error::Error;

/// An instruction set that kernels are written for: x86-64's from the plainest to the fastest, then aarch64's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// What every processor has: the reference.
    Scalar,
    /// AVX2, FMA and F16C: 2013 and later.
    Avx2,
    /// AVX2 with byte products in 32 bits (AVX-VNNI): processors without AVX-512 of 2021 and later.
    AvxVnni,
    /// AVX-512 with BW, VL and VNNI: servers of 2019 and later, Zen 4 and later.
    Avx512,
    /// NEON: every aarch64.
    Neon,
    /// NEON with byte products in 32 bits (the extension `dotprod`): Apple's M1, Neoverse N1 and Cortex-A76 and later.
    NeonDot,
}

impl Isa {
    /// All of them, the plainest of a kind of processor first.
    pub const ALL: [Isa; 6] = [Isa::Scalar, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Neon, Isa::NeonDot];

    /// The word for it, as `BANTAM_ISA` takes it and records show it.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
            Isa::NeonDot => "neondot",
        }
    }

    /// Whether this processor has it.
    pub fn is_here(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => crate::simd::avx2::Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => crate::simd::avx2::AvxVnni::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => crate::simd::avx512::Avx512::new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => crate::simd::neon::Neon::new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDot => crate::simd::neon::NeonDot::new().is_some(),
            _ => false, // of other processors
        }
    }

    /// Those that this processor has, the plainest first.
    pub fn here() -> impl DoubleEndedIterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_here())
    }

    /// The fastest that this processor has.
    pub fn best() -> Isa {
        Isa::here().next_back().expect("scalar is everywhere")
    }

    /// The one that the environment's `BANTAM_ISA` names, or the fastest where it is not set.
    ///
    /// # Errors
    /// Where the word is no instruction set, or one that this processor does not have.
    pub fn from_env() -> Result<Isa, Error> {
        match std::env::var_os("BANTAM_ISA").filter(|word| !word.is_empty()) {
            None => Ok(Isa::best()),
            Some(word) => word.to_string_lossy().parse::<Isa>()?.or_refuse(),
        }
    }

    fn or_refuse(self) -> Result<Isa, Error> {
        let names = || Isa::here().map(Isa::name).collect::<Vec<_>>().join(", ");
        if self.is_here() { Ok(self) } else { Err(Error::IsaNotHere { wanted: self.name(), has: names() }) }
    }
}

/// The instruction set of this process, chosen at the first call and kept: what `BANTAM_ISA` names, or the fastest
/// where it is not set or names none that is here. A program that takes the variable seriously asks `Isa::from_env`
/// first.
pub fn isa() -> Isa {
    static CHOSEN: OnceLock<Isa> = OnceLock::new();
    *CHOSEN.get_or_init(|| Isa::from_env().unwrap_or_else(|_| Isa::best()))
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(word: &str) -> Result<Isa, Error> {
        let named = Isa::ALL.into_iter().find(|isa| isa.name().eq_ignore_ascii_case(word));
        named.ok_or_else(|| Error::UnknownIsa(word.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_they_say() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        let refused = "sse9".parse::<Isa>().expect_err("no such set").to_string();
        assert_eq!(refused, "BANTAM_ISA is \"sse9\"; allowed are scalar, avx2, avxvnni, avx512, neon, neondot");
    }

    #[test]
    fn a_set_of_another_processor_is_refused_in_a_sentence() {
        assert_eq!(Isa::Scalar.or_refuse(), Ok(Isa::Scalar));
        for foreign in Isa::ALL.into_iter().filter(|isa| !isa.is_here()) {
            let said = foreign.or_refuse().expect_err("not here").to_string();
            assert!(said.contains("which this processor does not have; it has scalar"), "{said}");
        }
    }
}
