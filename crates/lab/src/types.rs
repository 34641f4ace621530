//! Types: what each tensor of a file is stored as, a mixture's rule and the exceptions to it.

use crate::mixture::{Anatomy, Mixture};
use bantam_format::ggml::Type;
use bantam_model::Config;
use bantam_model::config::Stored;
use std::collections::BTreeMap;

/// Which type each tensor gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Types {
    mixture: Mixture,
    exceptions: BTreeMap<String, Type>,
    /// Whether rounding knows how much each column matters, on which some mixtures rely.
    weighed: bool,
}

impl Types {
    /// The types that a mixture gives.
    pub fn of_mixture(mixture: Mixture) -> Types {
        Types { mixture, exceptions: BTreeMap::new(), weighed: false }
    }

    /// The types of a checkpoint that is written as it is stored.
    pub fn as_stored(config: &Config) -> Types {
        Types::of_mixture(match config.stored {
            Some(Stored::F16) => Mixture::F16,
            Some(Stored::Bf16) => Mixture::BF16,
            Some(Stored::F32) | None => Mixture::F32,
        })
    }

    /// Says whether rounding knows how much each column matters.
    pub fn weighed(self, weighed: bool) -> Types {
        Types { weighed, ..self }
    }

    /// The mixture that names the file's type.
    pub fn mixture(&self) -> Mixture {
        self.mixture
    }

    /// Gives one tensor, by its GGUF name, a type whatever the mixture says. Its blocks must divide the tensor's rows.
    pub fn set(&mut self, tensor: &str, kind: Type) {
        self.exceptions.insert(tensor.to_owned(), kind);
    }

    /// Whether tensors have types of their own, whatever the mixture says.
    pub(crate) fn are_chosen(&self) -> bool {
        !self.exceptions.is_empty()
    }

    /// The type of a tensor by its GGUF name, the row length last in its shape; `None` for one that keeps its
    /// precision.
    pub(crate) fn of(&self, name: &str, shape: &[usize], anatomy: &Anatomy) -> Option<Type> {
        let fits = |kind: &Type| shape.last().is_some_and(|columns| columns.is_multiple_of(kind.block()));
        let exception = self.exceptions.get(name).copied().filter(fits);
        exception.or_else(|| self.mixture.tensor_type(name, shape, anatomy, self.weighed))
    }

    /// Whether the tensor gets another type than the mixture means for it, since its rows are no whole blocks.
    pub(crate) fn falls_back(&self, name: &str, shape: &[usize], anatomy: &Anatomy) -> bool {
        !self.exceptions.contains_key(name) && self.mixture.falls_back(name, shape, anatomy, self.weighed)
    }
}
