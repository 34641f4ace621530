//! Endpoints of a profile as variants, and the clients that ask them.

use crate::run::plan::Estimate;
use crate::run::protocol::Asking;
use anyhow::{Context, Result, bail};
use bantam_core::cancel::Cancel;
use bantam_core::endpoint::{Endpoint, Terms};
use bantam_core::record::{Id, ModelRef, Place, Reading, Variant};
use bantam_core::sync::lock;
use bantam_endpoint::{Client, Forgetful, Key, Ledger, Machine, Patience};
use bantam_verdict::store::{Account, Store};
use std::sync::{Arc, Mutex};

/// Why nothing is known of what an endpoint takes.
pub(super) const UNSEEN: &str = "it is behind an address, and not seen from here";

/// The variant that an endpoint is, and its terms with the model's name where it was left open. The key is looked for,
/// and not kept.
pub(super) fn variant(terms: &Terms) -> Result<(Variant, Terms)> {
    let key = key(terms)?;
    let mut terms = terms.clone();
    if terms.at.model.is_empty() {
        terms.at.model = only_model(&terms, key)?;
        if terms.name == terms.at.host() {
            terms.name = terms.at.label();
        }
    }
    let model = ModelRef {
        name: terms.name.clone(),
        digest: terms.at.digest(),
        place: Place::Endpoint(Box::new(terms.at.clone())),
        parameters: 0,
        commit: None,
        adapter: None,
    };
    Ok((Variant::new(model, None), terms))
}

/// What is known beforehand of what it will take.
pub(super) fn estimate() -> Estimate {
    Estimate { memory: Reading::missing(UNSEEN), disk: Reading::missing(UNSEEN) }
}

fn key(terms: &Terms) -> Result<Option<Key>> {
    let named = terms.key_env.as_deref().map(Key::from_env).transpose();
    named.with_context(|| format!("endpoint '{}'", terms.name))
}

/// The only model that a server has.
fn only_model(terms: &Terms, key: Option<Key>) -> Result<String> {
    let patience = Patience { tries: 3, ..Patience::default() };
    let time = Arc::new(Machine::default());
    let client = Client::new(terms, key, patience, time, Arc::new(Forgetful), &Cancel::new())?;
    let Endpoint { url, .. } = &terms.at;
    let listed = client
        .models()
        .with_context(|| format!("endpoint '{}' names no model, and its list of them cannot be had", terms.name))?;
    match &listed[..] {
        [only] => Ok(only.clone()),
        [] => bail!("{url}: has no models; load one there"),
        several => {
            let shown: Vec<&str> = several.iter().take(8).map(String::as_str).collect();
            bail!(
                "{url}: has {} models: name one of them as model = \"…\", or as URL#MODEL in a command: {}{}",
                several.len(),
                shown.join(", "),
                if several.len() > shown.len() { ", …" } else { "" }
            )
        }
    }
}

/// A client for a load: what fails is counted and not tried again, and nothing is kept.
pub(super) fn loading(terms: &Terms, cancel: &Cancel) -> Result<Client> {
    let (_, terms) = variant(terms)?;
    let (patience, time) = (Patience { tries: 1, ..Patience::default() }, Arc::new(Machine::default()));
    Ok(Client::new(&terms, key(&terms)?, patience, time, Arc::new(Forgetful), cancel)?)
}

/// A client that keeps what is answered in the store.
pub(super) fn client(asking: &Asking, cancel: &Cancel) -> Result<Client> {
    let store = Store::open(&asking.store)?;
    let account = Account { run: asking.account.clone(), endpoint: asking.terms.at.digest() };
    let ledger = Arc::new(Kept { store: Mutex::new(store), account, since: asking.since });
    let time = Arc::new(Machine::default());
    Ok(Client::new(&asking.terms, key(&asking.terms)?, Patience::default(), time, ledger, cancel)?)
}

/// Answers in the store.
struct Kept {
    store: Mutex<Store>,
    account: Account,
    since: f64,
}

impl Ledger for Kept {
    fn find(&self, request: &Id) -> Option<String> {
        // what cannot be read is asked again
        lock(&self.store).answer(request, self.since).ok().flatten()
    }

    fn keep(&self, request: &Id, answer: &str, cost: f64) -> Result<(), String> {
        lock(&self.store).put_answer(&self.account, request, answer, cost).map_err(|e| e.to_string())
    }

    fn pay(&self, cost: f64) -> Result<(), String> {
        lock(&self.store).put_spending(&self.account, cost).map_err(|e| e.to_string())
    }

    fn spent(&self) -> Result<f64, String> {
        lock(&self.store).spent(&self.account).map_err(|e| e.to_string())
    }
}
