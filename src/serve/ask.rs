//! What a request asks for: its JSON, field by field, checked before anything is computed. What would change the answer and
//! is not done here is refused; what would not is passed over.

use super::refusal::Refusal;
use bantam_grammar::Grammar;
use serde_json::{Map, Value as Json};
use std::ops::RangeInclusive;

/// Answers that one request may ask for.
const MOST_ANSWERS: usize = 128;
/// Strings that may end an answer, and bytes of the longest.
const MOST_STOPS: usize = 16;
const LONGEST_STOP: usize = 1024;

/// The fields of a request.
pub(super) struct Fields(Map<String, Json>);

/// How the answers of a request are drawn, and in which form they are sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wishes {
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    pub(super) top_k: Option<usize>,
    pub(super) min_p: f32,
    pub(super) seed: Option<u64>,
    pub(super) stops: Vec<String>,
    pub(super) max_tokens: Option<usize>,
    /// Answers to each prompt.
    pub(super) n: usize,
    pub(super) streams: bool,
    pub(super) includes_usage: bool,
    /// See [`Style`](super::answer::Style).
    pub(super) logprobs: Option<usize>,
    pub(super) bias: Vec<(u32, f32)>,
    pub(super) frequency_penalty: f32,
    pub(super) presence_penalty: f32,
    /// What answers are held to.
    pub(super) grammar: Option<Grammar>,
    pub(super) ignores_eos: bool,
}

/// Fields that would change an answer and are not known here, each with the value that changes nothing.
const NOT_DONE: [(&str, &str); 11] = [
    ("best_of", "1"),
    ("suffix", "\"\""),
    ("functions", "null"),
    ("function_call", "null"),
    ("audio", "null"),
    ("grammar", "\"\""),
    ("repeat_penalty", "1"),
    ("repetition_penalty", "1"),
    ("mirostat", "0"),
    ("typical_p", "1"),
    ("use_beam_search", "false"),
];

impl Fields {
    /// Reads a body, which has to be a JSON object.
    pub(super) fn read(body: &[u8]) -> Result<Fields, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Json::Object(fields)) => Ok(Fields(fields)),
            Ok(other) => Err(Refusal::bad(format!("the body is {}, allowed is a JSON object", kind(&other)))),
            Err(error) => Err(Refusal::bad(format!("the body is no JSON: {error}"))),
        }
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Refusal> {
        self.typed(key, "true or false", Json::as_bool)
    }

    pub(super) fn whole(&self, key: &str, allowed: RangeInclusive<u64>) -> Result<Option<usize>, Refusal> {
        let words = match *allowed.end() {
            u64::MAX => format!("a whole number from {} on", allowed.start()),
            end => format!("a whole number from {} to {end}", allowed.start()),
        };
        let read = |value: &Json| value.as_u64().filter(|number| allowed.contains(number));
        Ok(self.typed(key, &words, read)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    fn number(&self, key: &str, allowed: RangeInclusive<f64>) -> Result<Option<f32>, Refusal> {
        let words = format!("a number from {} to {}", allowed.start(), allowed.end());
        let read = |value: &Json| value.as_f64().filter(|number| allowed.contains(number));
        Ok(self.typed(key, &words, read)?.map(|number| number as f32))
    }

    pub(super) fn typed<'a, T>(
        &'a self,
        key: &str,
        words: &str,
        read: impl Fn(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(Refusal::of(key, format!("{key} is {}, allowed is {words}", shown(value)))),
        }
    }

    /// Reads what both kinds of completion have in common. `vocab` is the number of tokens.
    pub(super) fn wishes(&self, vocab: usize) -> Result<Wishes, Refusal> {
        for (key, neutral) in NOT_DONE {
            let neutral: Json = serde_json::from_str(neutral).expect("the table has JSON");
            let same =
                |value: &&Json| **value == neutral || value.as_f64().is_some_and(|v| Some(v) == neutral.as_f64());
            if let Some(value) = self.get(key).filter(|value| !same(value)) {
                let what = format!("{key} is {}, and this server cannot do that; leave it out", shown(value));
                return Err(Refusal::of(key, what).coded("unsupported_parameter"));
            }
        }
        Ok(Wishes {
            temperature: self.number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
            top_p: self.number("top_p", 0.0..=1.0)?.unwrap_or(1.0),
            top_k: self.top_k()?,
            min_p: self.number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
            seed: self.typed("seed", "a whole number", |v| v.as_u64().or(v.as_i64().map(i64::cast_unsigned)))?,
            stops: self.stops()?,
            max_tokens: None,
            n: self.whole("n", 1..=MOST_ANSWERS as u64)?.unwrap_or(1),
            streams: self.flag("stream")?.unwrap_or(false),
            includes_usage: self.includes_usage()?,
            logprobs: None,
            bias: self.bias(vocab)?,
            frequency_penalty: self.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            presence_penalty: self.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            grammar: self.grammar()?,
            ignores_eos: self.flag("ignore_eos")?.unwrap_or(false),
        })
    }

    /// 0 and -1 are other servers' words for all tokens.
    fn top_k(&self) -> Result<Option<usize>, Refusal> {
        let given = self.typed("top_k", "a whole number from -1 on", |v| v.as_i64().filter(|k| *k >= -1))?;
        Ok(given.and_then(|k| usize::try_from(k).ok()).filter(|k| *k > 0))
    }

    fn stops(&self) -> Result<Vec<String>, Refusal> {
        let words = format!("a string, or a list of at most {MOST_STOPS}, each of 1 to {LONGEST_STOP} bytes");
        let one = |value: &Json| {
            let text = value.as_str().filter(|text| (1..=LONGEST_STOP).contains(&text.len()))?;
            Some(text.to_owned())
        };
        let read = |value: &Json| match value {
            Json::Array(all) if all.len() <= MOST_STOPS => all.iter().map(one).collect(),
            Json::String(_) => Some(vec![one(value)?]),
            _ => None,
        };
        Ok(self.typed("stop", &words, read)?.unwrap_or_default())
    }

    fn bias(&self, vocab: usize) -> Result<Vec<(u32, f32)>, Refusal> {
        let words = format!("a table from tokens (0 to {}) to numbers from -100 to 100", vocab.saturating_sub(1));
        let one = |(token, bias): (&String, &Json)| {
            let token = token.parse::<u32>().ok().filter(|token| (*token as usize) < vocab)?;
            let bias = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias))?;
            Some((token, bias as f32))
        };
        let read = |value: &Json| value.as_object()?.iter().map(one).collect();
        Ok(self.typed("logit_bias", &words, read)?.unwrap_or_default())
    }

    fn includes_usage(&self) -> Result<bool, Refusal> {
        let words = "a table that may say include_usage: true or false";
        let read = |value: &Json| match value.as_object()?.get("include_usage") {
            None | Some(Json::Null) => Some(false),
            Some(usage) => usage.as_bool(),
        };
        Ok(self.typed("stream_options", words, read)?.unwrap_or(false))
    }

    /// The choices that an answer is one of, where a request names them.
    pub(super) fn choices(&self) -> Option<Vec<String>> {
        let choices = self.get("structured_outputs")?.get("choice")?.as_array()?;
        let choices: Vec<String> =
            choices.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        (choices.len() > 1).then_some(choices)
    }

    /// The form of `response_format`, or of `json_schema` as llama-server has it, or of `structured_outputs` as vLLM has it.
    fn grammar(&self) -> Result<Option<Grammar>, Refusal> {
        let words = "{\"type\": \"text\"}, {\"type\": \"json_object\"} or {\"type\": \"json_schema\", \"json_schema\": {\"schema\": …}}";
        let read = |value: &Json| match value.get("type")?.as_str()? {
            "text" => Some(None),
            // llama-server takes a schema here, too
            "json_object" => Some(Some(value.get("schema").map_or_else(Grammar::json_object, schema))),
            "json_schema" => {
                let given = value.get("json_schema")?;
                Some(Some(schema(given.get("schema").or(value.get("schema")).unwrap_or(given))))
            }
            _ => None,
        };
        let format = self.typed("response_format", words, read)?.flatten().map(|grammar| ("response_format", grammar));
        let own = self.typed("json_schema", "a JSON schema", |value| value.is_object().then(|| schema(value)))?;
        let words = "a table with one of json, json_object, regex, choice or grammar (Lark's)";
        let vllm = self.typed("structured_outputs", words, |value| {
            let (key, value) = value.as_object()?.iter().find(|(_, value)| !value.is_null())?;
            let text = || value.as_str().map(str::to_owned);
            match key.as_str() {
                "json" => Some(schema(value)),
                "json_object" => value.as_bool()?.then(Grammar::json_object),
                "regex" => text().map(Grammar::Regex),
                "grammar" => text().map(Grammar::Lark),
                "choice" => {
                    let texts = value
                        .as_array()?
                        .iter()
                        .map(|text| text.as_str().map(str::to_owned))
                        .collect::<Option<Vec<_>>>()?;
                    (!texts.is_empty()).then(|| Grammar::choice(&texts))
                }
                _ => None,
            }
        })?;
        let all = [format, own.map(|own| ("json_schema", own)), vllm.map(|vllm| ("structured_outputs", vllm))];
        let Some((key, grammar)) = all.into_iter().flatten().next() else { return Ok(None) };
        grammar.check().map_err(|why| Refusal::of(key, format!("{key} cannot be held to: {why}")))?;
        Ok(Some(grammar))
    }
}

/// A schema, which may be written as a text.
fn schema(value: &Json) -> Grammar {
    let read = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    Grammar::JsonSchema(read.unwrap_or_else(|| value.clone()))
}

/// A value in a message: its beginning, where it is long.
fn shown(value: &Json) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

pub(super) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wishes(value: Json) -> Result<Wishes, Refusal> {
        Fields::read(value.to_string().as_bytes()).expect("an object").wishes(100)
    }

    #[test]
    fn what_is_left_out_is_as_the_api_has_it() {
        let plain = wishes(json!({ "model": "x", "stop": null, "user": "u", "unknown": [1] })).expect("read");
        assert_eq!(plain, Wishes { temperature: 1.0, top_p: 1.0, n: 1, ..Wishes::default() });
        let given = json!({ "temperature": 0, "top_k": -1, "stop": "\n", "seed": -1, "logit_bias": { "7": -100 },
            "stream_options": { "include_usage": true }, "best_of": 1, "repeat_penalty": 1.0 });
        let given = wishes(given).expect("read");
        assert_eq!((given.temperature, given.top_k, given.seed), (0.0, None, Some(u64::MAX)));
        assert_eq!((given.stops, given.bias, given.includes_usage), (vec!["\n".to_owned()], vec![(7, -100.0)], true));
    }

    #[test]
    fn each_field_says_what_is_allowed() {
        for (key, value, said) in [
            ("temperature", json!(3), "temperature is 3, allowed is a number from 0 to 2"),
            ("temperature", json!("hot"), "temperature is \"hot\""),
            ("n", json!(0), "n is 0, allowed is a whole number from 1 to 128"),
            ("n", json!(1.5), "n is 1.5"),
            ("stop", json!([""]), "stop is [\"\"]"),
            ("stop", json!(vec!["x"; 17]), "stop is"),
            ("top_k", json!(-2), "top_k is -2"),
            ("logit_bias", json!({ "100": 1 }), "logit_bias is {\"100\":1}, allowed is a table from tokens (0 to 99)"),
            ("response_format", json!({ "type": "json_schema" }), "response_format is {\"type\":\"json_schema\"}"),
            ("stream", json!("yes"), "stream is \"yes\", allowed is true or false"),
            ("best_of", json!(2), "best_of is 2, and this server cannot do that"),
        ] {
            let refusal = wishes(json!({ key: value })).expect_err(key);
            assert!(refusal.message.starts_with(said), "{}", refusal.message);
            assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(key)));
        }
        assert!(Fields::read(b"[1]").err().expect("refused").message.starts_with("the body is a list"));
        assert!(Fields::read(b"{").err().expect("refused").message.starts_with("the body is no JSON"));
        assert!(Fields::read("[".repeat(100_000).as_bytes()).is_err());
    }
}
