//! What all sequences of a task begin with (the same examples before every question), computed once and kept: each
//! sequence then goes on from its keys and values, which nobody adds to.

use bantam_kernels::kv::KvType;

use super::cache::Cache;
use super::error::Result;
use super::load::Model;
use super::ops::Span;

/// A common beginning shorter than this is not worth a pass of its own.
const SHORTEST: usize = 16;
/// The most tokens in one pass.
const PASS: usize = 512;

/// The computed beginning of many sequences; perhaps none.
///
/// Whether a sequence uses it depends on that sequence alone, so that its answer is the same whatever is asked with it,
/// before it, or after a restart. An attention's sum over the values is cut where the head ends: answers with and without
/// a head differ by rounding.
#[derive(Debug, Clone)]
pub struct Head {
    cache: Cache,
}

impl Model {
    /// Computes the head of sequences that begin with `tokens`. It stays empty, which every answer allows, where that is
    /// too short to be worth it or longer than the model takes, and where tokens see what follows them.
    ///
    /// # Errors
    /// On a token outside the vocabulary, and where the arithmetic fails.
    pub fn head(&self, tokens: &[u32]) -> Result<Head> {
        let mut caches = [Cache::new(&self.config, self.decoder.device(), KvType::F32)?];
        if self.config.causal && (SHORTEST..self.max_length).contains(&tokens.len()) {
            for some in tokens.chunks(PASS) {
                let spans = [Span { len: some.len(), parent: None, past: Some(0) }];
                self.decoder.forward(some, &spans, &mut caches)?;
            }
        }
        let [mut cache] = caches;
        cache.freeze();
        Ok(Head { cache })
    }
}

impl Head {
    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Bytes of its keys and values.
    pub fn bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// How many tokens of a sequence it stands for: all of its own or none. At least one is left to be computed.
    pub(super) fn covers(&self, sequence: &[u32], rope_regime: usize) -> usize {
        let turns_alike = self.cache.rope_regime() == rope_regime;
        let begins = sequence.len() > self.len() && sequence.starts_with(self.cache.tokens());
        if turns_alike && begins { self.len() } else { 0 }
    }

    /// Its keys and values, to be read only: the numbers are shared, not copied.
    pub(super) fn cache(&self) -> Cache {
        self.cache.clone()
    }
}
