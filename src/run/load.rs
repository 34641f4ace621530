//! A load on an endpoint at rates that nobody waits for: what it answers, how late, and where its knee is. Nothing of it is
//! kept, since no two loads are the same.

use super::endpoints;
use anyhow::{Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::endpoint::Terms;
use bantam_core::record::Shape;
use bantam_core::sync::lock;
use bantam_endpoint::{Arrivals, Machine, Offered, Prompts, Sweep, offer};
use std::sync::Mutex;
use std::time::Duration;

/// A sweep begins at this share of what is answered a second one after the other …
const BEGINS_AT: f64 = 0.5;
/// … and each rate is so many times the one before …
const TIMES: f64 = 1.5;
/// … for so many rates at most.
const MOST_RATES: usize = 12;

/// What is offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Requests a second, one rate after the other; none for a sweep.
    pub rates: Vec<f64>,
    /// When requests come.
    pub arrivals: Arrivals,
    /// How long each rate is offered.
    pub length: Duration,
    /// Prompt and output tokens of a request.
    pub shape: Shape,
    /// The seed of prompts and arrivals.
    pub seed: u64,
    /// Requests underway at a time, at most.
    pub most: usize,
}

/// Offers a load to an endpoint, and tells of each rate when it is done. After a cancel what was done so far.
///
/// # Errors
/// Where the endpoint answers nothing at all, or the load is none.
pub fn measure(terms: &Terms, load: &Load, cancel: &Cancel, told: &mut dyn FnMut(&Offered)) -> Result<Sweep> {
    ensure!(
        load.rates.iter().all(|rate| rate.is_finite() && *rate > 0.0),
        "a rate is a number of requests a second above zero"
    );
    let client = endpoints::loading(terms, cancel)?;
    let mut prompts = Prompts::of(load.shape.prompt, load.seed);
    // the first opens the connection and tells how many tokens the words are; the second how long an answer takes
    let first = client.stream(&prompts.next(), load.shape.output.min(2), true)?;
    prompts.fit(&first);
    let alone = client.stream(&prompts.next(), load.shape.output, true)?;
    let alone = alone.first + alone.gaps.iter().sum::<f64>();
    let is_sweep = load.rates.is_empty();
    let rising = (0..MOST_RATES).map(|n| BEGINS_AT / alone.max(1e-3) * TIMES.powi(n as i32));
    let rates: Vec<f64> = if is_sweep { rising.collect() } else { load.rates.clone() };
    let prompts = Mutex::new(prompts);
    let ask = |_: usize| {
        let prompt = lock(&prompts).next();
        client.stream(&prompt, load.shape.output, true)
    };
    let mut done: Vec<Offered> = Vec::new();
    for (place, rate) in rates.into_iter().enumerate() {
        let due = load.arrivals.due(rate, load.length, load.seed.wrapping_add(place as u64));
        let sent = offer(&due, load.most, &Machine::default(), cancel, &ask);
        // half a rate is none
        if cancel.is_cancelled() {
            break;
        }
        let offered = Offered::of(rate, load.length, &sent);
        told(&offered);
        done.push(offered);
        if is_sweep && Sweep::is_over(&done) {
            break;
        }
    }
    Ok(Sweep::of(done))
}
