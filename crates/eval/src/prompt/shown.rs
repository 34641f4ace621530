//! Which lines of the pool are shown as examples (`lm_eval/api/samplers.py`, 0.4.13).

use super::Sampler;
use crate::data::Doc;
use crate::error::Error;
use crate::python::Random;
use std::cell::RefCell;

/// The seed of lm-evaluation-harness's samplers.
const SEED: u32 = 1234;

/// Chooses the examples of one line after the other: what is drawn for a line depends on how many were drawn before.
#[derive(Debug)]
pub(super) struct Shown {
    sampler: Sampler,
    count: usize,
    /// Whether a line is left out of its own examples.
    leaves_itself_out: bool,
    random: RefCell<Random>,
}

impl Shown {
    pub(super) fn new(sampler: Sampler, count: usize, leaves_itself_out: bool) -> Shown {
        Shown { sampler, count, leaves_itself_out, random: RefCell::new(Random::new(SEED)) }
    }

    /// The examples before a line; `too_few` says that there are not enough.
    pub(super) fn before<'a>(
        &self,
        doc: &Doc,
        pool: &'a [Doc],
        too_few: &dyn Fn() -> Error,
    ) -> Result<Vec<&'a Doc>, Error> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let is_other = |example: &&Doc| !self.leaves_itself_out || example.fields != doc.fields;
        if self.sampler == Sampler::FirstN {
            return Ok(pool.iter().filter(is_other).take(self.count).collect());
        }
        // one more, where one of them may be the line itself
        let drawn = self.count + usize::from(self.leaves_itself_out);
        let places = self.random.borrow_mut().sample(pool.len(), drawn).ok_or_else(too_few)?;
        let shown: Vec<&Doc> = places.into_iter().map(|place| &pool[place]).filter(is_other).take(self.count).collect();
        if shown.len() == self.count {
            return Ok(shown);
        }
        // the line was there more than once
        let others: Vec<&Doc> = pool.iter().filter(is_other).collect();
        let places = self.random.borrow_mut().sample(others.len(), self.count).ok_or_else(too_few)?;
        Ok(places.into_iter().map(|place| others[place]).collect())
    }
}
