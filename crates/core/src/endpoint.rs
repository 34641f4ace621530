//! Endpoints: models that answer at an address, what decides their answers, and the terms under which they are asked.

use crate::record::Id;
use crate::unit::Seconds;
use serde::{Deserialize, Serialize};

/// A model behind an address. All of it decides what is answered; prices and patience stand in [`Terms`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// The address up to the API's version, without a slash at its end: `http://127.0.0.1:8080/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The form of its requests.
    #[serde(default)]
    pub api: Api,
    /// How it is asked questions with choices.
    #[serde(default)]
    pub choices: ChoicesBy,
}

/// The form of an endpoint's requests and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI's, as llama-server, Ollama, LM Studio, vLLM, `bantam serve` and many hosts have it.
    #[default]
    Openai,
    /// Anthropic's messages.
    Anthropic,
}

impl Api {
    /// Gives the word for it in profiles.
    pub fn label(self) -> &'static str {
        match self {
            Api::Openai => "openai",
            Api::Anthropic => "anthropic",
        }
    }
}

impl ChoicesBy {
    /// Gives the word for it in profiles.
    pub fn label(self) -> &'static str {
        match self {
            ChoicesBy::Auto => "auto",
            ChoicesBy::Logprobs => "logprobs",
            ChoicesBy::Answer => "answer",
        }
    }
}

/// How an endpoint is asked questions with choices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChoicesBy {
    /// By the likelihoods of the choices where the endpoint tells them, else by its answer.
    #[default]
    Auto,
    /// By the likelihoods of the choices; where the endpoint tells none, the task fails.
    Logprobs,
    /// By the letter that it answers.
    Answer,
}

/// What a million tokens cost, where from and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenPrice {
    /// A million tokens that are read.
    pub input: f64,
    /// A million tokens that are written.
    pub output: f64,
    /// The currency, such as "USD".
    pub currency: String,
    /// The day on which the price held: "2026-11-29".
    pub date: String,
    /// Where it stands: an address, a contract.
    pub source: String,
}

impl TokenPrice {
    /// What so many tokens cost, in the currency.
    pub fn of(&self, input: f64, output: f64) -> f64 {
        (self.input * input + self.output * output) / 1e6
    }

    /// "0.15 USD per million tokens in and 0.6 out on 2026-11-29 (price list)".
    pub fn sentence(&self) -> String {
        let TokenPrice { input, output, currency, date, source } = self;
        format!("{input} {currency} per million tokens in and {output} out on {date} ({source})")
    }
}

/// An endpoint of a profile, and the terms under which it is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// What it is called in tables.
    pub name: String,
    /// What answers.
    pub at: Endpoint,
    /// The environment variable that holds the key; the key itself is kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// What its tokens cost; None where the profile has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<TokenPrice>,
    /// Requests that are underway at the same time.
    pub concurrency: usize,
    /// Requests that are begun in a minute, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<f64>,
    /// The most that a run may spend there, in the price's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_spend: Option<f64>,
    /// How long it may be silent.
    pub timeout: Seconds,
}

/// What a profile or a command leaves open.
impl Terms {
    /// Requests at the same time, where nothing else is said.
    pub const CONCURRENCY: usize = 4;
    /// Silence that is borne, where nothing else is said.
    pub const TIMEOUT: Seconds = Seconds(300.0);

    /// An endpoint under the usual terms: no key, no price.
    pub fn of(at: Endpoint) -> Terms {
        Terms {
            name: at.label(),
            at,
            key_env: None,
            price: None,
            concurrency: Terms::CONCURRENCY,
            requests_per_minute: None,
            max_spend: None,
            timeout: Terms::TIMEOUT,
        }
    }
}

impl Endpoint {
    /// Reads `URL` or `URL#MODEL`, as commands take it; None where it is no address. The model's name is empty where none
    /// is given.
    pub fn typed(typed: &str) -> Option<Endpoint> {
        let is_address = typed.starts_with("http://") || typed.starts_with("https://");
        let (url, model) = typed.split_once('#').unwrap_or((typed, ""));
        is_address.then(|| Endpoint {
            url: url.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            api: if url.contains("anthropic.com") { Api::Anthropic } else { Api::Openai },
            choices: ChoicesBy::Auto,
        })
    }

    /// The identity of what answers, as far as that can be known from here.
    pub fn digest(&self) -> Id {
        Id::of(&("endpoint 1", self))
    }

    /// The host and port: "127.0.0.1:8080".
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// Whether it is this machine itself.
    pub fn is_here(&self) -> bool {
        let host = self.host();
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => host.split(':').next().unwrap_or(host),
        };
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// "gpt-x@api.example.com".
    pub fn label(&self) -> String {
        format!("{}@{}", self.model, self.host())
    }
}

/// Tells whether a text can be the name of an environment variable: capital letters, digits and `_`, at most 64. A key
/// that stands there by mistake hardly can, and so is never shown.
pub fn is_variable(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.len() <= 64 && name.chars().all(letter) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_host_and_its_model() {
        let at = Endpoint::typed("http://127.0.0.1:8080/v1/#tiny").expect("an address");
        assert_eq!(
            (at.url.as_str(), at.model.as_str(), at.host()),
            ("http://127.0.0.1:8080/v1", "tiny", "127.0.0.1:8080")
        );
        assert_eq!(at.label(), "tiny@127.0.0.1:8080");
        assert!(at.is_here() && Endpoint::typed("http://[::1]:9/v1").expect("an address").is_here());
        let away = Endpoint::typed("https://api.anthropic.com/v1#m").expect("an address");
        assert!(!away.is_here() && away.api == Api::Anthropic);
        assert_eq!(Endpoint::typed("bantam-s"), None);
        assert_eq!(Endpoint::typed("http://me:pw@h/v1").expect("an address").host(), "h");
    }

    #[test]
    fn tokens_cost_by_the_million() {
        let price = TokenPrice {
            input: 2.0,
            output: 8.0,
            currency: "USD".into(),
            date: "2026-11-29".into(),
            source: "price list".into(),
        };
        assert_eq!(price.of(1e6, 5e5), 6.0);
        assert_eq!(price.sentence(), "2 USD per million tokens in and 8 out on 2026-11-29 (price list)");
    }
}
