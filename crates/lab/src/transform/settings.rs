//! Settings of steps as recipes spell them: read into a step's struct, and what is said of one that is none. Serde finds out
//! what is wrong; the sentence is ours: which setting, what it is, what is allowed, what may have been meant.

use super::KINDS;
use crate::mixture::Mixture;
use bantam_core::meant::meant_words;
use serde::de::value::Error as Stopped;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt::Display;

/// What is wrong with a step's settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SettingFault {
    /// The one that is to blame.
    pub(crate) key: Option<String>,
    /// In a sentence.
    pub(crate) what: String,
}

/// Settings that bantam writes into recipes itself, and nobody types.
const OWN: [&str; 2] = ["lessons", "types"];

/// Reads the settings of a step.
pub(crate) fn read<T: DeserializeOwned>(kind: &'static str, settings: toml::Value) -> Result<T, SettingFault> {
    let toml::Value::Table(table) = &settings else {
        let first = KINDS.iter().find(|known| known.name == kind).map_or("", |known| known.first);
        let what =
            format!("{kind} is {settings}, and a step is a table of its settings, such as {kind} = {{ {first} = .. }}");
        return Err(SettingFault { key: None, what });
    };
    let (all, known) = (fields::<T>(), names::<T>());
    if let Some(key) = table.keys().find(|key| !all.contains(&key.as_str())) {
        let what = format!(
            "{kind} has no setting '{key}'{}; it has {}",
            meant_words(key, known.iter().copied()),
            known.join(", ")
        );
        return Err(SettingFault { key: Some(key.clone()), what });
    }
    settings.clone().try_into().map_err(|error: toml::de::Error| {
        // the one that is wrong by itself, too
        let alone = table.iter().find_map(|(key, value)| {
            let one = toml::Table::from_iter([(key.clone(), value.clone())]);
            let error = toml::Value::from(one).try_into::<T>().err()?;
            (!error.message().starts_with("missing field")).then(|| (key, value, error.message().to_owned()))
        });
        match alone {
            Some((key, value, said)) => SettingFault { key: Some(key.clone()), what: sentence(key, value, &said) },
            None => SettingFault { key: None, what: format!("{kind}: {}", error.message().replace('`', "")) },
        }
    })
}

/// What people can set of a step, in the order of its struct.
pub(crate) fn names<T: DeserializeOwned>() -> Vec<&'static str> {
    fields::<T>().iter().copied().filter(|name| !OWN.contains(name)).collect()
}

fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &[&str] = &[];
    // it is asked for its fields and given none
    let _ = T::deserialize(Names(&mut found));
    found
}

/// "there is no step 'prun' (prune?); the steps are quantize, prune, .."
pub(crate) fn no_step(typed: &str) -> String {
    let steps: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    if typed.is_empty() {
        return format!("a step is missing: each `>` stands between two; the steps are {}", steps.join(", "));
    }
    let first = typed.split(',').next().unwrap_or_default().trim();
    match first.parse::<Mixture>() {
        Ok(mixture) => {
            format!(
                "'{first}' is a type, and the step that makes it is spelled quantize:{}",
                typed.replacen(first, mixture.name(), 1)
            )
        }
        Err(_) => format!(
            "there is no step '{typed}'{}; the steps are {}",
            meant_words(typed, steps.iter().copied()),
            steps.join(", ")
        ),
    }
}

/// What is said of a word that is neither a type nor a step.
pub(crate) fn no_type(typed: &str) -> String {
    let types: Vec<&str> = Mixture::all().map(Mixture::name).collect();
    let steps: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    format!(
        "'{typed}' is no quantization type and no step{}; the types are {}, and the steps, with their settings as in \
         prune:layers=2, {}",
        meant_words(typed, types.iter().chain(&steps).copied()),
        types.join(", "),
        steps.join(", ")
    )
}

/// What is wrong with a value, by what serde says of it.
fn sentence(key: &str, value: &toml::Value, said: &str) -> String {
    let shown = match value {
        toml::Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    };
    if let Some((_, expected)) = said.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected ")) {
        let allowed: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let typed = value.as_str().unwrap_or_default();
        let meant = meant_words(typed, allowed.iter().copied());
        return format!("{key} is {shown}{meant}; allowed are {}", allowed.join(", "));
    }
    let is_of_type = ["invalid type: ", "invalid value: "].iter().any(|begin| said.starts_with(begin));
    match said.split_once(", expected ").filter(|_| is_of_type) {
        Some((_, expected)) => format!("{key} is {shown}; allowed is {}", allowed(expected)),
        None if said.starts_with(key) => said.replace('\n', ", "),
        None => format!("{key}: {}", said.replace('\n', ", ")),
    }
}

/// A type of Rust's in words.
fn allowed(expected: &str) -> &str {
    match expected.lines().next().unwrap_or(expected).trim() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "a text",
        "path string" => "a file's name",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    }
}

/// Notes which fields a struct asks for.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Names<'_> {
    type Error = Stopped;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stopped> {
        Err(stopped("it is no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stopped> {
        *self.0 = fields;
        Err(stopped("its fields are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn stopped(why: impl Display) -> Stopped {
    Stopped::custom(why)
}

#[cfg(test)]
mod tests {
    use crate::Recipe;

    #[test]
    fn every_kind_of_wrong_setting_is_one_sentence_of_ours() {
        for (typed, said) in [
            (
                "quantise:q4_k_m",
                "there is no step 'quantise' (quantize?); the steps are quantize, prune, distill, lora",
            ),
            ("q4_k_m,calibrate", "'q4_k_m' is a type, and the step that makes it is spelled quantize:Q4_K_M,calibrate"),
            ("prune:layers=2 >", "a step is missing: each `>` stands between two"),
            ("> prune:layers=2", "a step is missing"),
            ("prune:layers=2 > > quantize:q8_0", "a step is missing"),
            (
                "quantize:q4_k_m,calibrat",
                "quantize has no setting 'calibrat' (calibrate?); it has type, imatrix, calibrate,",
            ),
            ("lora:x.jsonl,rang=2", "lora has no setting 'rang' (rank?); it has data, suite, prompt,"),
            ("lora:x.jsonl,rank=many", "rank is 'many'; allowed is a whole number from 0 on"),
            ("lora:x.jsonl,rank=-1", "rank is -1; allowed is a whole number from 0 on"),
            ("lora:x.jsonl,steps=1.5", "steps is 1.5; allowed is a whole number from 0 on"),
            ("lora:x.jsonl,rate=fast", "rate is 'fast'; allowed is a number"),
            ("lora:x.jsonl,kind=dorra", "kind is 'dorra' (dora?); allowed are lora, rslora, dora"),
            ("lora:x.jsonl,recompute=1", "recompute is 1; allowed is true or false"),
            ("prune:heads=30%,of=group", "of is 'group' (groups?); allowed are groups, queries"),
            ("prune:layers=2,by=influenze", "by is 'influenze' (influence?); allowed are influence, angular,"),
            ("prune:layers=half", "layers: 'half' is no amount; allowed is a whole number from 1 on"),
            ("prune:layers=true", "layers: an amount is a whole number like 4"),
            ("quantize:q4_k_m,awq=2", "awq is 2; allowed is true or false"),
            ("quantize:q4_k_m,method=gtpq", "method is 'gtpq' (gptq?); allowed are rounding, gptq, best"),
            ("quantize:q4_k_n", "type: 'q4_k_n' is no quantization type (Q4_K_M?); allowed are F32,"),
            ("quantize:bpw=much", "bpw is 'much'; allowed is a number"),
            (
                "quantize",
                "quantize says nothing of what to make: give type, or one of budget, bpw and max_kld in its place",
            ),
            ("prune", "missing what is to go: one of layers, drop, heads,"),
            ("prun", "'prun' is no quantization type and no step (prune?); the types are F32,"),
            ("q4km", "'q4km' is no quantization type and no step (Q4_K_M?)"),
        ] {
            let refusal = format!("{:#}", Recipe::named(typed).expect_err(typed));
            assert!(refusal.contains(said) && !refusal.contains('\n'), "{typed}: {refusal}");
            // no word of the reader's own language
            let foreign = ["unknown ", "expected ", "invalid type", "struct ", "u64", "variant"];
            assert!(!foreign.iter().any(|word| refusal.contains(word)), "{typed}: {refusal}");
        }
    }
}
