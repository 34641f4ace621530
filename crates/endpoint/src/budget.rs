//! What may be spent: the most that a request can cost is set aside before it is sent, so that the limit is never passed.

use crate::Error;
use bantam_core::endpoint::{Terms, TokenPrice};
use bantam_core::sync::lock;
use std::sync::Mutex;

/// The money of an endpoint.
#[derive(Debug)]
pub(crate) struct Budget {
    name: String,
    most: Option<f64>,
    price: Option<TokenPrice>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spent: f64,
    /// The most that requests underway can cost.
    underway: f64,
}

/// What was set aside for one request.
#[derive(Debug)]
#[must_use]
pub(crate) struct Aside(f64);

impl Budget {
    /// A budget of which so much is spent already.
    pub(crate) fn new(terms: &Terms, spent: f64) -> Budget {
        Budget {
            name: terms.name.clone(),
            most: terms.max_spend,
            price: terms.price.clone(),
            state: Mutex::new(State { spent, underway: 0.0 }),
        }
    }

    /// What so many tokens cost; 0 where there is no price.
    pub(crate) fn cost(&self, input: f64, output: f64) -> f64 {
        self.price.as_ref().map_or(0.0, |price| price.of(input, output))
    }

    /// Sets aside what a request of at most so many tokens can cost.
    pub(crate) fn set_aside(&self, input: f64, output: f64) -> Result<Aside, Error> {
        let cost = self.cost(input, output);
        let mut state = lock(&self.state);
        let next = state.spent + state.underway + cost;
        if let (Some(most), Some(price)) = (self.most, &self.price)
            && next > most
        {
            let (name, currency) = (self.name.clone(), price.currency.clone());
            return Err(Error::Spent { name, most, currency, spent: state.spent, next });
        }
        state.underway += cost;
        Ok(Aside(cost))
    }

    /// Whether requests are underway, of which it is not known yet what they cost.
    pub(crate) fn is_underway(&self) -> bool {
        lock(&self.state).underway > 0.0
    }

    /// The request is over, and cost so much.
    pub(crate) fn spend(&self, aside: Aside, cost: f64) {
        let mut state = lock(&self.state);
        state.underway = (state.underway - aside.0).max(0.0);
        state.spent += cost;
    }

    /// What was set aside, which a request that broke off may have cost.
    pub(crate) fn most_of(aside: &Aside) -> f64 {
        aside.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::endpoint::Endpoint;

    #[test]
    fn what_is_underway_counts_against_the_limit_until_it_is_known() {
        let price = TokenPrice {
            input: 1e6,
            output: 1e6,
            currency: "USD".into(),
            date: "2026-11-29".into(),
            source: "list".into(),
        };
        let at = Endpoint::typed("http://h/v1#m").expect("an address");
        let terms = Terms { price: Some(price), max_spend: Some(10.0), ..Terms::of(at) };
        let budget = Budget::new(&terms, 2.0);
        let first = budget.set_aside(3.0, 3.0).expect("8 of 10");
        let refused = budget.set_aside(2.0, 1.0).expect_err("11 of 10").to_string();
        assert!(refused.contains("max_spend of 10 USD is not passed: 2.000000 are spent"), "{refused}");
        budget.spend(first, 1.5);
        let second = budget.set_aside(6.0, 0.5).expect("exactly 10");
        budget.spend(second, 6.5);
        assert!(budget.set_aside(0.0, 0.1).is_err());
        let free = Budget::new(&Terms { price: None, max_spend: None, ..terms }, 0.0);
        assert!(free.set_aside(1e12, 1e12).is_ok());
    }
}
