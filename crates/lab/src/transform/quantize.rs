//! The quantize step: weights stored in fewer bits. It settles which type each tensor gets; the rows become blocks when
//! the file is written, see `encode`.

use super::{Form, Transform};
use crate::mixture::Mixture;
use crate::types::Types;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Stores the weights in a mixture of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The mixture, such as Q4_K_M.
    #[serde(rename = "type", with = "by_name")]
    pub mixture: Mixture,
}

impl Transform for Quantize {
    fn plan(&self, form: &mut Form) -> Result<()> {
        form.types = Types::of_mixture(self.mixture);
        Ok(())
    }

    fn is_last(&self) -> bool {
        true
    }
}

mod by_name {
    use super::Mixture;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(mixture: &Mixture, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mixture.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mixture, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
