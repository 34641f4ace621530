//! Device cards: what a machine can do, measured there or read off a data sheet, as TOML that teams share. Speeds elsewhere
//! are predicted from them.

use crate::meant;
use crate::unit::Bytes;
use serde::{Deserialize, Serialize};

/// The form of a card's file.
pub const SCHEMA: &str = "bantam.device/1";

/// What a machine can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceCard {
    /// The form of this file: "bantam.device/1".
    pub schema: String,
    /// What profiles and commands call it: "pi5".
    pub name: String,
    /// Whether its numbers were measured.
    pub source: Source,
    /// What measured them, or where they stand.
    pub origin: String,
    /// The day on which they were: "2026-11-30".
    pub date: String,
    /// The host's identity in results, of a card that was measured: what was measured there is known by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The processor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cpu: String,
    /// The memory that a program may have: "8 GiB", or bytes.
    #[serde(deserialize_with = "bytes")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub memory: Bytes,
    /// The processor's last cache, all of it together; none where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_bytes")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cache: Option<Bytes>,
    /// Watts that it draws at work above idle; none where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watts: Option<f64>,
    /// How fast it is, by the threads that compute.
    #[serde(rename = "setting")]
    pub settings: Vec<Setting>,
}

/// Where a card's numbers are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Measured on the machine, by `bantam bench --device-card`.
    Measured,
    /// Read off a data sheet: the memory's bandwidth as it is sold, no kernels.
    DataSheet,
}

/// How fast a device is with so many threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Threads that compute.
    pub threads: usize,
    /// Bytes read from memory, in GB/s.
    pub bandwidth: f64,
    /// The products of each type of weights; none on a data sheet.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "kernel")]
    pub kernels: Vec<Kernel>,
    /// Models that were measured in this setting: by them it is known how far predictions are off.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "speed")]
    pub speeds: Vec<Speed>,
}

/// The products of one type of weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The ggml type: "Q4_K".
    #[serde(rename = "type")]
    pub kind: String,
    /// Weights read in GB/s by a product with one row, from memory.
    pub memory: f64,
    /// The same of weights that lie in the processor's cache.
    pub cached: f64,
    /// GFLOP/s of a product with many rows.
    pub many: f64,
}

/// A model's measured speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// The variant's label.
    pub model: String,
    /// Prompt tokens.
    pub prompt: usize,
    /// Generated tokens.
    pub output: usize,
    /// Prompt tokens a second.
    pub prefill: f64,
    /// Generated tokens a second.
    pub decode: f64,
    /// What computing it takes.
    pub work: Work,
}

/// What a token of a model takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// The weights that a token is multiplied by, by their type.
    pub weights: Vec<Part>,
    /// Bytes of keys and values that are read, too, in the middle of the answer.
    pub cache: f64,
    /// Products that follow each other: each has a cost of its own, however small it is.
    pub products: f64,
}

/// Weights of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The ggml type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Their bytes.
    pub bytes: f64,
    /// How many they are.
    pub count: f64,
}

/// Bytes as a person writes them, or their number.
fn bytes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a size such as \"8 GiB\", or a number of bytes")]
    enum Typed {
        Number(u64),
        Text(String),
    }
    match Typed::deserialize(from)? {
        Typed::Number(bytes) => Ok(Bytes(bytes)),
        Typed::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn some_bytes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
    bytes(from).map(Some)
}

impl Work {
    /// Bytes of all its weights.
    pub fn bytes(&self) -> f64 {
        self.weights.iter().map(|part| part.bytes).sum()
    }
}

impl DeviceCard {
    /// Reads a card.
    ///
    /// # Errors
    /// One clause with the line or key that is wrong and what is allowed.
    pub fn parse(text: &str) -> Result<DeviceCard, String> {
        let card: DeviceCard = meant::read_toml(text).map_err(|(line, why)| format!("line {line}: {why}"))?;
        card.check()?;
        Ok(card)
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema is '{}', and '{SCHEMA}' is read here", self.schema));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(format!("name is '{}'; allowed are letters, digits, '-', '_' and '.'", self.name));
        }
        if self.settings.is_empty() {
            return Err("[[setting]] is missing: give threads and bandwidth (GB/s)".into());
        }
        let positive = |key: String, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(format!("{key} is {value}; a number above 0 is needed")),
        };
        if let Some(watts) = self.watts {
            positive("watts".into(), watts)?;
        }
        for setting in &self.settings {
            let of = |key: &str| format!("setting of {} threads: {key}", setting.threads);
            if setting.threads == 0 {
                return Err("setting: threads is 0; allowed are whole numbers from 1 on".into());
            }
            positive(of("bandwidth"), setting.bandwidth)?;
            for kernel in &setting.kernels {
                for (key, value) in [("memory", kernel.memory), ("cached", kernel.cached), ("many", kernel.many)] {
                    positive(of(&format!("kernel {}: {key}", kernel.kind)), value)?;
                }
            }
            for speed in &setting.speeds {
                positive(of(&format!("speed {}: decode", speed.model)), speed.decode)?;
                positive(of(&format!("speed {}: prefill", speed.model)), speed.prefill)?;
            }
        }
        Ok(())
    }

    /// Writes it as a file that [`DeviceCard::parse`] reads back.
    ///
    /// # Panics
    /// Never: all of it has a form in TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("strings, numbers and tables in their order")
    }

    /// The setting with so many threads; that with the most where nobody says how many.
    pub fn setting(&self, threads: Option<usize>) -> Option<&Setting> {
        match threads {
            Some(threads) => self.settings.iter().find(|setting| setting.threads == threads),
            None => self.settings.iter().max_by_key(|setting| setting.threads),
        }
    }
}
