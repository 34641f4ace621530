//! What answers are paid by: the hours and the power of this machine, or the tokens of an endpoint.

use bantam_core::endpoint::{Endpoint, TokenPrice};
use bantam_core::profile::{Price, Profile};
use bantam_core::record::{ModelRef, Place};
use serde::Serialize;

/// All prices of a profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pricing {
    machine: Option<Price>,
    endpoints: Vec<(Endpoint, TokenPrice)>,
}

/// What a model's answers are paid by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Rate<'a> {
    /// The profile has no price at all: nobody asked.
    Unasked,
    /// By the machine's time and power.
    Machine(&'a Price),
    /// By the tokens that are read and written.
    Tokens(&'a TokenPrice),
    /// Each member of a system at its own.
    Parts,
    /// Others have a price, and this one has none.
    Missing(&'static str),
}

impl Pricing {
    /// The prices that a profile names.
    pub fn of(profile: &Profile) -> Pricing {
        let endpoints = profile.endpoints.iter().filter_map(|terms| Some((terms.at.clone(), terms.price.clone()?)));
        Pricing { machine: profile.price.clone(), endpoints: endpoints.collect() }
    }

    /// The currency of all prices; None where there is none.
    pub fn currency(&self) -> Option<&str> {
        let tokens = self.endpoints.first().map(|(_, price)| price.currency.as_str());
        self.machine.as_ref().map(|price| price.currency.as_str()).or(tokens)
    }

    /// What this machine costs.
    pub fn machine(&self) -> Option<&Price> {
        self.machine.as_ref()
    }

    /// What a model's answers are paid by.
    pub fn rate(&self, model: &ModelRef) -> Rate<'_> {
        // a profile may leave the name of an endpoint's only model out
        let is_at = |at: &Endpoint, one: &Endpoint| {
            one.url == at.url && one.api == at.api && (one.model.is_empty() || one.model == at.model)
        };
        let found = match &model.place {
            Place::Endpoint(at) => self.endpoints.iter().find(|(one, _)| is_at(at, one)).map(|(_, p)| Rate::Tokens(p)),
            Place::System(_) if *self != Pricing::default() => Some(Rate::Parts),
            Place::System(_) => None,
            _ => self.machine.as_ref().map(Rate::Machine),
        };
        match (found, &model.place) {
            (Some(rate), _) => rate,
            (None, _) if *self == Pricing::default() => Rate::Unasked,
            (None, Place::Endpoint(_)) => {
                Rate::Missing("the endpoint has no price: give it one as price = { input = .., output = .. }")
            }
            (None, _) => {
                Rate::Missing("the profile has no price of this machine: give one in [price], with its date and source")
            }
        }
    }
}
