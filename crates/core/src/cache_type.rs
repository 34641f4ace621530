//! How a model's keys and values are kept between passes: a condition of what is measured, named as llama.cpp's
//! `--cache-type-k` names it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The type of the numbers in a model's cache of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CacheType {
    /// As they are computed, 32 bits a number.
    F32,
    /// Half precision, 16 bits a number: what is taken where nothing is said.
    #[default]
    F16,
    /// Eight bits and a scale for each 32 numbers: 8.5 bits a number.
    Q8_0,
    /// Four bits and a scale for each 32 numbers: 4.5 bits a number.
    Q4_0,
}

/// Between a model's name and the type of its cache.
const WITH: &str = " kv:";

impl CacheType {
    /// All of them, widest first.
    pub const ALL: [CacheType; 4] = [CacheType::F32, CacheType::F16, CacheType::Q8_0, CacheType::Q4_0];

    /// Gives its name.
    pub fn name(self) -> &'static str {
        match self {
            CacheType::F32 => "f32",
            CacheType::F16 => "f16",
            CacheType::Q8_0 => "q8_0",
            CacheType::Q4_0 => "q4_0",
        }
    }

    /// Whether it is what is taken where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == CacheType::default()
    }

    /// Writes it behind a model's name: "bantam-l kv:q4_0".
    pub fn behind(self, model: &str) -> String {
        format!("{model}{WITH}{self}")
    }

    /// Takes a type that stands behind a model's name off it.
    pub fn split(typed: &str) -> (&str, Option<CacheType>) {
        let split = typed.rsplit_once(WITH).and_then(|(model, name)| Some((model, name.parse().ok()?)));
        split.map_or((typed, None), |(model, ty)| (model, Some(ty)))
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CacheType {
    type Err = String;

    fn from_str(name: &str) -> Result<CacheType, String> {
        let found = CacheType::ALL.into_iter().find(|ty| ty.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("'{name}' is no type of keys and values; there are f32, f16, q8_0 and q4_0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Id, ModelRef, Place, Variant};

    #[test]
    fn a_type_is_read_as_it_is_written() {
        for ty in CacheType::ALL {
            assert_eq!(ty.name().parse(), Ok(ty));
            assert_eq!(serde_json::to_string(&ty).expect("writes"), format!("\"{ty}\""));
            assert_eq!(CacheType::split(&ty.behind("a model")), ("a model", Some(ty)));
        }
        assert!("q5_1".parse::<CacheType>().is_err_and(|why| why.contains("there are f32, f16")));
        assert_eq!(CacheType::split("folder kv:notes"), ("folder kv:notes", None));
    }

    #[test]
    fn a_variant_of_another_type_is_another_and_one_of_the_default_is_known_as_before() {
        let model = ModelRef {
            name: "bantam-l".into(),
            place: Place::Bundled("bantam-l".into()),
            digest: Id::of(&1),
            parameters: 1,
            commit: None,
            adapter: None,
        };
        let plain = Variant::new(model, None);
        assert_eq!(plain.clone().keeping(CacheType::F16), plain);
        assert_eq!(plain.id, Id::of(&("variant 1", Id::of(&1), "")), "results of before there were types stay");
        assert!(!serde_json::to_string(&plain).expect("writes").contains("kv"));
        let small = plain.clone().keeping(CacheType::Q4_0);
        assert!(small.id != plain.id && small.id != plain.clone().keeping(CacheType::Q8_0).id);
        assert_eq!((small.label().as_str(), small.treatment().as_str()), ("bantam-l · kv:q4_0", "base kv:q4_0"));
        assert!(small.has_own_files() && !small.is_base() && small.is_called("bundled:bantam-l kv:q4_0"));
        assert!(!small.is_called("bantam-l") && plain.is_called("bantam-l") && plain.is_called("bantam-l kv:f16"));
        let back: Variant = serde_json::from_str(&serde_json::to_string(&small).expect("writes")).expect("reads");
        assert_eq!(back, small);
    }
}
