//! The tables `[[endpoint]]` of a profile, checked.

use super::Error;
use super::raw::{RawEndpoint, RawPrice, RawTokenPrice};
use super::resolve::Check;
use crate::endpoint::{Endpoint, Terms, TokenPrice, is_variable};

/// More than this at the same time is an attack on a server, and measures its queue.
const MOST_CONCURRENT: usize = 256;

/// Resolves the endpoints of a profile; `machine` is the price of this machine, whose currency all prices share.
pub(super) fn resolved(check: &Check, raw: Vec<RawEndpoint>, machine: Option<&RawPrice>) -> Result<Vec<Terms>, Error> {
    let currency = machine.and_then(|price| price.currency.clone());
    let mut all: Vec<Terms> = Vec::new();
    for (place, raw) in raw.into_iter().enumerate() {
        let one = terms(check, raw, currency.as_deref(), &format!("endpoint {}", place + 1))?;
        let key = format!("endpoint '{}'", one.name);
        if all.iter().any(|other| other.name == one.name) {
            return check.wrong(&key, "is there twice; give each a name of its own, as in name = \"local\"");
        }
        if let Some(other) = all.iter().find(|other| other.at == one.at) {
            return check
                .wrong(&key, format!("asks the same model at the same address as '{}'; remove one", other.name));
        }
        let known = all.iter().filter_map(|other| other.price.as_ref()).map(|price| price.currency.as_str());
        let known = currency.as_deref().into_iter().chain(known).next().map(str::to_owned);
        if let (Some(known), Some(price)) = (known, &one.price)
            && price.currency != known
        {
            let what =
                format!("is {}, and another price of this profile is in {known}; give all in one", price.currency);
            return check.wrong(&format!("{key}: price.currency"), what);
        }
        all.push(one);
    }
    Ok(all)
}

fn terms(check: &Check, raw: RawEndpoint, currency: Option<&str>, place: &str) -> Result<Terms, Error> {
    let key = |name: &str| format!("{place}: {name}");
    let Some(url) = raw.url.filter(|url| !url.trim().is_empty()) else {
        return check.wrong(
            &key("url"),
            "is missing: give the address up to its version, such as \"http://127.0.0.1:8080/v1\"",
        );
    };
    let Some(typed) = Endpoint::typed(&url).filter(|at| !at.host().is_empty() && !url.contains(['#', '?', ' '])) else {
        let what = format!("'{url}' is no address; write one such as \"http://127.0.0.1:8080/v1\"");
        return check.wrong(&key("url"), what);
    };
    if crate::text::without_passwords(&url) != url {
        return check
            .wrong(&key("url"), "has a password in it; put it into an environment variable and name that in key_env");
    }
    let at = Endpoint {
        model: raw.model.unwrap_or_default(),
        api: raw.api.unwrap_or(typed.api),
        choices: raw.choices.unwrap_or_default(),
        ..typed
    };
    if let Some(name) = &raw.key_env
        && !is_variable(name)
    {
        // what stands here may be the key itself, which must not be shown
        let what = "is no name of an environment variable (capital letters, digits and _); name the variable that holds the key, \
                    such as \"OPENAI_API_KEY\", and never the key itself";
        return check.wrong(&key("key_env"), what);
    }
    let price = raw.price.map(|price| token_price(check, price, currency, &key("price"))).transpose()?;
    if raw.max_spend.is_some() && price.is_none() {
        let what = "needs a price: add price = { input = .., output = .., currency = \"USD\", date = \"..\", source = \"..\" }";
        return check.wrong(&key("max_spend"), what);
    }
    let concurrency = raw.concurrency.unwrap_or(Terms::CONCURRENCY);
    if !(1..=MOST_CONCURRENT).contains(&concurrency) {
        return check.wrong(&key("concurrency"), format!("is {concurrency}; allowed are 1 to {MOST_CONCURRENT}"));
    }
    let timeout = check.parsed(&key("timeout"), raw.timeout)?.unwrap_or(Terms::TIMEOUT);
    check.positive(&key("timeout"), Some(timeout.0))?;
    Ok(Terms {
        name: match raw.name.filter(|name| !name.trim().is_empty()) {
            Some(name) => name,
            None if at.model.is_empty() => at.host().to_owned(),
            None => at.label(),
        },
        key_env: raw.key_env,
        price,
        concurrency,
        requests_per_minute: check.positive(&key("requests_per_minute"), raw.requests_per_minute)?,
        max_spend: check.positive(&key("max_spend"), raw.max_spend)?,
        timeout,
        at,
    })
}

fn token_price(check: &Check, raw: RawTokenPrice, currency: Option<&str>, key: &str) -> Result<TokenPrice, Error> {
    let text = |name: &str, given: Option<String>, example: &str| match given.filter(|text| !text.trim().is_empty()) {
        Some(text) => Ok(text),
        None => check.wrong(&format!("{key}.{name}"), format!("is missing: a price needs it, such as {example}")),
    };
    let number = |name: &str, given: Option<f64>| match given {
        Some(value) => check.within(&format!("{key}.{name}"), value, 0.0, 1e6),
        None => check.wrong(&format!("{key}.{name}"), "is missing: the price of a million tokens, such as 0.15"),
    };
    Ok(TokenPrice {
        input: number("input", raw.input)?,
        output: number("output", raw.output)?,
        currency: text("currency", raw.currency.or(currency.map(str::to_owned)), "\"USD\"")?,
        date: text("date", raw.date, "\"2026-11-29\"")?,
        source: text("source", raw.source, "\"https://example.com/pricing\"")?,
    })
}

#[cfg(test)]
mod tests {
    use crate::endpoint::{Api, Terms};
    use crate::profile::Profile;
    use std::path::Path;

    fn parse(endpoint: &str) -> Result<Vec<Terms>, String> {
        let text = format!("suites = ['routing']\n[[endpoint]]\n{endpoint}\n");
        Profile::parse(&text, Path::new("p.toml")).map(|profile| profile.endpoints).map_err(|e| e.to_string())
    }

    const PRICE: &str = "price = { input = 1, output = 4, currency = 'USD', date = '2026-11-29', source = 'list' }";

    #[test]
    fn an_endpoint_needs_no_more_than_its_address() {
        let one = parse("url = 'http://127.0.0.1:8080/v1/'").expect("valid").remove(0);
        assert_eq!((one.name.as_str(), one.at.url.as_str()), ("127.0.0.1:8080", "http://127.0.0.1:8080/v1"));
        assert_eq!((one.at.api, one.concurrency, one.timeout), (Api::Openai, Terms::CONCURRENCY, Terms::TIMEOUT));
        let paid =
            format!("url = 'https://api.anthropic.com/v1'\nmodel = 'm'\nkey_env = 'KEY'\nmax_spend = 2\n{PRICE}");
        let one = parse(&paid).expect("valid").remove(0);
        assert_eq!((one.at.api, one.name.as_str(), one.max_spend), (Api::Anthropic, "m@api.anthropic.com", Some(2.0)));
        assert_eq!(one.price.expect("a price").of(1e6, 1e6), 5.0);
    }

    #[test]
    fn mistakes_say_which_key_of_which_endpoint_and_never_show_a_key() {
        let url = "url = 'http://h/v1'";
        for (text, said) in [
            ("model = 'm'".to_owned(), "p.toml: endpoint 1: url: is missing"),
            ("url = 'h:80'".to_owned(), "endpoint 1: url: 'h:80' is no address"),
            ("url = 'http://me:secret@h/v1'".to_owned(), "endpoint 1: url: has a password in it"),
            (format!("{url}\nkey_env = 'sk-secret'"), "endpoint 1: key_env: is no name of an environment variable"),
            (format!("{url}\nmax_spend = 1"), "endpoint 1: max_spend: needs a price"),
            (format!("{url}\nconcurrency = 0"), "endpoint 1: concurrency: is 0; allowed are 1 to 256"),
            (format!("{url}\ntimeout = 'soon'"), "endpoint 1: timeout:"),
            (format!("{url}\nprice = {{ input = 1 }}"), "endpoint 1: price.output: is missing"),
            (format!("{url}\nprice = {{ input = 1, output = 1 }}"), "endpoint 1: price.currency: is missing"),
            (format!("{url}\n[[endpoint]]\n{url}\nmodel = 'b'\nname = 'h'"), "endpoint 'h': is there twice"),
            (
                format!("{url}\n[[endpoint]]\n{url}\nname = 'b'"),
                "endpoint 'b': asks the same model at the same address as 'h'",
            ),
            (
                format!("{url}\n{PRICE}\n[price]\ncurrency = 'EUR'\nper_kwh = 1\ndate = 'd'\nsource = 's'"),
                "endpoint 'h': price.currency: is USD, and another price of this profile is in EUR",
            ),
        ] {
            let message = parse(&text).expect_err(&text);
            assert!(message.contains(said), "{message}\nshould say {said}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
