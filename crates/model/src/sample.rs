//! From logits to the next token. Temperature 0 takes the most likely token; above it one is drawn, the same one for
//! the same seed on every machine.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::error::{Error, Result};

/// How a continuation is drawn. The cuts apply in the order they stand here, to what the one before left, after the
/// logits are divided by the temperature (as in transformers).
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the most likely token.
    pub temperature: f32,
    /// Keep only so many tokens, the likeliest.
    pub top_k: Option<usize>,
    /// Keep the fewest tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// The seed of the draws; every sequence of one call begins with it.
    pub seed: u64,
    /// The most new tokens.
    pub max_tokens: usize,
    /// Go on after the tokens that end a text, as a speed measurement must.
    pub ignore_eos: bool,
    /// Tokens that end a text beside the model's own, such as what ends a turn of a conversation.
    pub end_tokens: Vec<u32>,
    /// Whether it is told how likely the continuation is, which takes a sum over all logits for each token.
    pub likelihood: bool,
}

impl Sampling {
    /// Takes the most likely token each time, up to so many.
    pub fn greedy(max_tokens: usize) -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            seed: 0,
            max_tokens,
            ignore_eos: false,
            end_tokens: Vec::new(),
            likelihood: false,
        }
    }
}

/// The drawing of one sequence.
#[derive(Debug)]
pub(super) struct SequenceSampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl SequenceSampler {
    /// Begins a sequence with the generator at its seed.
    pub(crate) fn new(sampling: &Sampling) -> Self {
        Self { sampling: sampling.clone(), rng: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// How it draws.
    pub(super) fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// Draws the next token. Fails where the largest logit is not finite, or any is NaN.
    pub(crate) fn next(&mut self, logits: &[f32]) -> Result<u32> {
        let best = argmax(logits);
        if !logits.get(best as usize).is_some_and(|logit| logit.is_finite()) || logits.iter().any(|l| l.is_nan()) {
            return Err(Error::Request("the model's logits are not finite; its weights may be damaged".into()));
        }
        if self.sampling.temperature <= 0.0 {
            return Ok(best);
        }
        let candidates = self.candidates(logits, logits[best as usize]);
        Ok(draw(&candidates, &mut self.rng))
    }

    /// What the cuts leave: tokens with their weights (the likeliest has 1), likeliest first.
    fn candidates(&self, logits: &[f32], best: f32) -> Vec<(u32, f32)> {
        let weight = |logit: f32| ((logit - best) / self.sampling.temperature).exp();
        let mut all: Vec<(u32, f32)> = (0..).zip(logits.iter().map(|&l| weight(l))).filter(|&(_, w)| w > 0.0).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(self.sampling.top_k.unwrap_or(usize::MAX).max(1));
        let total: f32 = all.iter().map(|(_, w)| w).sum();
        let mut reached = 0.0;
        let enough = all.iter().position(|(_, w)| {
            reached += w / total;
            reached >= self.sampling.top_p
        });
        all.truncate(enough.map_or(all.len(), |last| last + 1));
        all.retain(|&(_, w)| w >= self.sampling.min_p.min(1.0));
        all
    }
}

fn draw(candidates: &[(u32, f32)], rng: &mut impl Rng) -> u32 {
    let total: f32 = candidates.iter().map(|(_, w)| w).sum();
    let mut left = rng.random::<f32>() * total;
    for &(token, weight) in candidates {
        if left < weight {
            return token;
        }
        left -= weight;
    }
    // rounding may leave a crumb after the last
    candidates.last().expect("the likeliest token passes every cut").0
}

/// Gives the likeliest token, the first of equal ones.
pub fn argmax(logits: &[f32]) -> u32 {
    let most = bantam_kernels::float::max(logits);
    logits.iter().position(|&logit| logit == most).unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

    fn drawn(sampling: Sampling) -> Vec<u32> {
        let mut sampler = SequenceSampler::new(&sampling);
        (0..2000).map(|_| sampler.next(&LOGITS).expect("finite")).collect()
    }

    fn warm() -> Sampling {
        Sampling { temperature: 1.0, ..Sampling::greedy(1) }
    }

    fn kinds(mut tokens: Vec<u32>) -> Vec<u32> {
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        assert_eq!(kinds(drawn(Sampling::greedy(1))), [1]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let tokens = drawn(warm());
        let share = |t: u32| tokens.iter().filter(|&&x| x == t).count() as f64 / tokens.len() as f64;
        let total: f64 = LOGITS.iter().map(|&l| f64::from(l).exp()).sum();
        for (token, &logit) in (0..).zip(&LOGITS) {
            let expected = f64::from(logit).exp() / total;
            // four standard errors
            let error = 4.0 * (expected * (1.0 - expected) / 2000.0).sqrt();
            assert!((share(token) - expected).abs() < error, "token {token}: {} not {expected}", share(token));
        }
    }

    #[test]
    fn one_seed_gives_one_text() {
        assert_eq!(drawn(warm()), drawn(warm()));
        assert_ne!(drawn(warm()), drawn(Sampling { seed: 1, ..warm() }));
    }

    #[test]
    fn each_cut_leaves_what_it_says() {
        assert_eq!(kinds(drawn(Sampling { top_k: Some(1), ..warm() })), [1]);
        assert_eq!(kinds(drawn(Sampling { top_k: Some(3), ..warm() })), [1, 2, 3]);
        // 0.40, 0.40, 0.15, 0.05, 0.01
        assert_eq!(kinds(drawn(Sampling { top_p: 0.7, ..warm() })), [1, 3]);
        assert_eq!(kinds(drawn(Sampling { min_p: 0.3, ..warm() })), [1, 2, 3]);
        assert_eq!(kinds(drawn(Sampling { min_p: 7.0, ..warm() })), [1, 3]);
    }

    #[test]
    fn damaged_logits_are_refused() {
        let sampling = Sampling::greedy(1);
        let mut sampler = SequenceSampler::new(&sampling);
        assert!(sampler.next(&[f32::NAN, f32::NAN]).is_err());
        assert!(sampler.next(&[]).is_err());
        assert!(sampler.next(&[f32::NAN, 1.0]).is_err());
        assert!(sampler.next(&[f32::INFINITY, 1.0]).is_err());
        assert_eq!(sampler.next(&[f32::NEG_INFINITY, 1.0]).expect("a token that is never taken"), 1);
    }
}
