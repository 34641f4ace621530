//! How likely a model finds given tokens. A question's context is computed once for all its continuations, and what
//! the contexts begin with (the same examples, mostly) once for a task, as its `Head`, or else once for a batch: a batch is
//! a tree of spans.
//!
//! Truncation and windows are lm-evaluation-harness's (`_loglikelihood_tokens` in models/huggingface.py,
//! `get_rolling_token_windows` in utils.py), so that scores can be compared with published ones.

use candle_core::Tensor;
use rayon::prelude::*;

use super::cache::Cache;
use super::error::{Error, Result};
use super::head::Head;
use super::load::Model;
use super::ops::Span;
use super::sample::argmax;

/// The most tokens in one pass, unless a single context is longer.
const PASS: usize = 1024;
/// The most logits held at a time: 16 MB.
const LOGITS: usize = 1 << 22;
/// A common beginning shorter than this is not worth a span of its own.
const SHARED: usize = 16;

/// A context and the continuations to be compared after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The tokens before, at least one.
    pub context: Vec<u32>,
    /// The tokens of each continuation, at least one each.
    pub continuations: Vec<Vec<u32>>,
}

/// How likely the model finds a continuation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loglikelihood {
    /// Natural logarithm of the probability of all its tokens.
    pub logprob: f64,
    /// Whether every token is the most likely one, so that greedy decoding would give it.
    pub greedy: bool,
}

/// How likely one token of a text is, and which one would have been likeliest in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenScore {
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The likeliest token.
    pub likeliest: u32,
    /// Natural logarithm of the likeliest one's probability.
    pub most: f64,
}

impl Model {
    /// Tells how likely each token of a text is after those before it, but for the first.
    ///
    /// # Errors
    /// On a text that is longer than the model's longest sequence, a token outside the vocabulary, and logits that are not
    /// finite.
    pub fn token_scores(&self, tokens: &[u32]) -> Result<Vec<TokenScore>> {
        let Some((first, rest)) = tokens.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return Ok(Vec::new());
        };
        if rest.len() > self.max_length {
            let (len, most) = (tokens.len(), self.max_length + 1);
            return Err(Error::Request(format!(
                "a text of {len} tokens is too long to be scored whole: {most} may be"
            )));
        }
        let context = [*first];
        let group = self.group(&context, vec![((0, 0), rest)]);
        let scored = self.score(vec![group], Shared::InPass)?.concat();
        let told = |s: &Scored| TokenScore { logprob: s.logprob, likeliest: s.likeliest, most: s.most };
        Ok(scored.iter().map(told).collect())
    }

    /// Scores every continuation after its context; the results have the shape of the items. A context that is too
    /// long for the model loses its beginning.
    ///
    /// # Errors
    /// On an empty context or continuation, a continuation that is itself longer than the model's longest sequence, a
    /// token
    /// outside the vocabulary, and logits that are not finite.
    pub fn loglikelihoods(&self, items: &[Item]) -> Result<Vec<Vec<Loglikelihood>>> {
        self.loglikelihoods_with(Shared::InPass, items)
    }

    /// Scores as `loglikelihoods` does, for one of many calls about one task: contexts that begin with the head go on from
    /// it, and nothing else is shared between items, so that a score does not depend on which items a call holds.
    ///
    /// # Errors
    /// Where `loglikelihoods` fails.
    pub fn loglikelihoods_after(&self, head: &Head, items: &[Item]) -> Result<Vec<Vec<Loglikelihood>>> {
        self.loglikelihoods_with(Shared::Kept(head), items)
    }

    fn loglikelihoods_with(&self, shared: Shared, items: &[Item]) -> Result<Vec<Vec<Loglikelihood>>> {
        let mut groups = Vec::new();
        for (index, item) in items.iter().enumerate() {
            groups.extend(groups_of(index, item, self.max_length)?.into_iter().flat_map(|whole| self.split(whole)));
        }
        let mut found = self.score(groups, shared)?.into_iter();
        let mut take = || {
            let tokens = found.next().expect("score answers every continuation, in order");
            Loglikelihood { logprob: tokens.iter().map(|t| t.logprob).sum(), greedy: tokens.iter().all(|t| t.greedy) }
        };
        Ok(items.iter().map(|item| item.continuations.iter().map(|_| take()).collect()).collect())
    }

    /// Gives the natural log-probability of every token of every text, the first one after `prefix` (a BOS, or what
    /// stands
    /// in for it). A text longer than the model's longest sequence is read in windows, each token predicted once.
    ///
    /// # Errors
    /// On a token outside the vocabulary, and on logits that are not finite.
    pub fn rolling(&self, prefix: u32, texts: &[&[u32]]) -> Result<Vec<Vec<f64>>> {
        let windows: Vec<Vec<(Vec<u32>, &[u32])>> =
            texts.iter().map(|text| windows(prefix, text, self.max_length)).collect();
        let groups = windows
            .iter()
            .flatten()
            .enumerate()
            .map(|(i, (context, tokens))| self.group(context, vec![((i, 0), tokens)]));
        let mut found = self.score(groups.collect(), Shared::InPass)?.into_iter();
        let mut take = |window: usize| -> Vec<f64> {
            let tokens = found.by_ref().take(window).flatten();
            tokens.map(|token| token.logprob).collect()
        };
        Ok(windows.iter().map(|windows| take(windows.len())).collect())
    }

    /// Groups out of one, for each way its sequences turn: under some rope scalings a longer sequence shares nothing
    /// with a shorter one; nor do any two where tokens see what follows.
    fn split<'a>(&self, (context, continuations): Whole<'a>) -> Vec<Group<'a>> {
        let mut split: Vec<Group> = Vec::new();
        for (slot, tokens) in continuations {
            let one = self.group(context, vec![(slot, tokens)]);
            let shares = |other: &&mut Group| self.config.causal && other.rope_regime == one.rope_regime;
            match split.iter_mut().find(shares) {
                Some(other) => other.continuations.extend(one.continuations),
                None => split.push(one),
            }
        }
        split
    }

    /// A group whose longest sequence says how it turns.
    fn group<'a>(&self, context: &'a [u32], continuations: Vec<(Slot, &'a [u32])>) -> Group<'a> {
        let longest = continuations.iter().map(|(_, tokens)| tokens.len()).max().unwrap_or(1);
        Group { context, rope_regime: self.config.rope_regime(context.len() + longest - 1), continuations }
    }

    /// Scores groups in an order that lets neighbours share; the answers come in the order of the slots.
    fn score(&self, mut groups: Vec<Group>, shared: Shared) -> Result<Vec<Vec<Scored>>> {
        groups.sort_by(|a, b| a.rope_regime.cmp(&b.rope_regime).then_with(|| a.context.cmp(b.context)));
        let mut answers: Vec<(Slot, Vec<Scored>)> = Vec::new();
        let mut rest = &groups[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_len(rest, shared));
            answers.extend(Batch::new(batch, shared, self.config.causal).score(self)?);
            rest = later;
        }
        answers.sort_by_key(|(slot, _)| *slot);
        Ok(answers.into_iter().map(|(_, scored)| scored).collect())
    }
}

/// What is computed once for several contexts.
#[derive(Clone, Copy)]
enum Shared<'a> {
    /// What all contexts of a pass begin with, computed in that pass.
    InPass,
    /// A kept head, computed before.
    Kept(&'a Head),
}

impl Shared<'_> {
    /// How many of a context's first tokens are computed already.
    fn kept(self, group: &Group) -> usize {
        match self {
            Shared::InPass => 0,
            Shared::Kept(head) => head.covers(group.context, group.rope_regime),
        }
    }
}

/// Which continuation of which item.
type Slot = (usize, usize);

/// A context and continuations that fit after it.
type Whole<'a> = (&'a [u32], Vec<(Slot, &'a [u32])>);

/// Continuations of one context, which fits the model with the longest of them.
struct Group<'a> {
    context: &'a [u32],
    /// `Config::rope_regime` of its sequences; only groups of one number go into one pass.
    rope_regime: usize,
    continuations: Vec<(Slot, &'a [u32])>,
}

/// One token of a continuation.
#[derive(Debug, Clone, Copy)]
struct Scored {
    logprob: f64,
    greedy: bool,
    likeliest: u32,
    /// The log-probability of the likeliest one.
    most: f64,
}

impl Group<'_> {
    /// Tokens the model reads: the last of a continuation is only predicted.
    fn tokens(&self) -> usize {
        self.context.len() + self.continuations.iter().map(|(_, tokens)| tokens.len() - 1).sum::<usize>()
    }
}

/// An item's continuations: those that fit after the whole context together, each of the others with what fits of it.
fn groups_of(index: usize, item: &Item, max_length: usize) -> Result<Vec<Whole<'_>>> {
    let context = &item.context[..];
    if context.is_empty() || item.continuations.iter().any(Vec::is_empty) {
        return Err(Error::Request("a context and a continuation need at least one token each to be scored".into()));
    }
    let mut whole = (context, Vec::new());
    let mut cut = Vec::new();
    for (choice, tokens) in item.continuations.iter().enumerate() {
        let slot = (index, choice);
        let room = (max_length + 1).checked_sub(tokens.len()).filter(|&room| room > 0).ok_or_else(|| {
            let len = tokens.len();
            Error::Request(format!("a continuation of {len} tokens is longer than the {max_length} the model is given"))
        })?;
        match context.len() <= room {
            true => whole.1.push((slot, &tokens[..])),
            false => cut.push((&context[context.len() - room..], vec![(slot, &tokens[..])])),
        }
    }
    let whole = Some(whole).filter(|(_, continuations)| !continuations.is_empty());
    Ok(whole.into_iter().chain(cut).collect())
}

/// Disjoint windows over a text: what each predicts, and the tokens before it. The last one keeps as much of what
/// went before as fits.
fn windows(prefix: u32, text: &[u32], max_length: usize) -> Vec<(Vec<u32>, &[u32])> {
    let mut windows = Vec::new();
    let mut done = 0;
    while done < text.len() {
        let end = text.len().min(done + max_length);
        let context = match done {
            0 => vec![prefix],
            _ => text[end - max_length - 1..done].to_vec(),
        };
        windows.push((context, &text[done..end]));
        done = end;
    }
    windows
}

/// How many of the groups, sorted by context, go into one pass.
fn batch_len(groups: &[Group], sharing: Shared) -> usize {
    let mut shared = groups[0].context.len();
    let mut total = 0;
    for (i, group) in groups.iter().enumerate() {
        shared = match sharing {
            Shared::InPass => shared.min(common(groups[0].context, group.context)),
            Shared::Kept(_) => 0,
        };
        total += group.tokens() - sharing.kept(group);
        let cost = total - i * shared;
        if i > 0 && (cost > PASS || group.rope_regime != groups[0].rope_regime) {
            return i;
        }
    }
    groups.len()
}

/// How many tokens two contexts begin with in common.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// One pass: its tokens and spans, and what is asked of which row.
struct Batch {
    /// What was computed before, if anything: the past of some spans.
    past: Option<Cache>,
    tokens: Vec<u32>,
    spans: Vec<Span>,
    /// (row of the pass, the token it should predict, slot, place in the continuation), by row.
    asks: Vec<Ask>,
}

/// What a span goes on from: a span of the pass, or what was computed before.
#[derive(Clone, Copy, Default)]
struct Root {
    /// How many of a context's tokens that is.
    computed: usize,
    parent: Option<usize>,
    past: Option<usize>,
}

struct Ask {
    row: u32,
    token: u32,
    slot: Slot,
    place: usize,
}

impl Batch {
    /// Where `causal`, a token sees nothing that follows, and a common beginning can be shared.
    fn new(groups: &[Group], shared: Shared, causal: bool) -> Self {
        let mut batch = Self { past: None, tokens: Vec::new(), spans: Vec::new(), asks: Vec::new() };
        match shared {
            Shared::InPass => {
                let common = if causal { batch.share(groups) } else { 0 };
                let root = Root { computed: common, parent: (common > 0).then_some(0), past: None };
                groups.iter().for_each(|group| batch.add(group, root));
            }
            Shared::Kept(head) => {
                batch.past = (!head.is_empty()).then(|| head.cache());
                for group in groups {
                    let computed = shared.kept(group);
                    batch.add(group, Root { computed, parent: None, past: (computed > 0).then_some(0) });
                }
            }
        }
        batch.asks.sort_by_key(|ask| (ask.row, ask.slot, ask.place));
        batch
    }

    /// The common beginning of all contexts as a span of its own. At least one token of each is left over.
    fn share(&mut self, groups: &[Group]) -> usize {
        let first = groups[0].context;
        let common = groups.iter().map(|group| common(first, group.context).min(group.context.len() - 1)).min();
        match common {
            Some(common) if common >= SHARED && groups.len() > 1 => {
                self.push(&first[..common], Root::default());
                common
            }
            _ => 0,
        }
    }

    fn add(&mut self, group: &Group, root: Root) {
        let shared = root.computed;
        if let [(slot, tokens)] = group.continuations[..] {
            let row = self.tokens.len() + group.context.len() - shared - 1;
            self.push(&[&group.context[shared..], &tokens[..tokens.len() - 1]].concat(), root);
            self.ask(slot, tokens, row as u32, row as u32 + 1);
            return;
        }
        let context = self.spans.len();
        self.push(&group.context[shared..], root);
        let last = self.tokens.len() as u32 - 1;
        for &(slot, tokens) in &group.continuations {
            let first = self.tokens.len() as u32;
            if tokens.len() > 1 {
                self.push(&tokens[..tokens.len() - 1], Root { parent: Some(context), ..Root::default() });
            }
            self.ask(slot, tokens, last, first);
        }
    }

    fn push(&mut self, tokens: &[u32], Root { parent, past, .. }: Root) {
        self.tokens.extend(tokens);
        self.spans.push(Span { len: tokens.len(), parent, past });
    }

    /// The first token is predicted at row `last`, those after it at the rows from `next` on.
    fn ask(&mut self, slot: Slot, tokens: &[u32], last: u32, next: u32) {
        let rows = std::iter::once(last).chain(next..);
        let asks = rows.zip(tokens).enumerate();
        self.asks.extend(asks.map(|(place, (row, &token))| Ask { row, token, slot, place }));
    }

    fn score(&self, model: &Model) -> Result<Vec<(Slot, Vec<Scored>)>> {
        // the clone shares its numbers with the head, which is frozen
        let mut past: Vec<Cache> = self.past.iter().cloned().collect();
        let hidden = model.decoder.forward(&self.tokens, &self.spans, &mut past)?;
        let by_row: Vec<&[Ask]> = self.asks.chunk_by(|a, b| a.row == b.row).collect();
        let mut scored: Vec<(Slot, usize, Scored)> = Vec::with_capacity(self.asks.len());
        for some in by_row.chunks((LOGITS / model.config.vocab).max(1)) {
            let rows: Vec<u32> = some.iter().map(|asks| asks[0].row).collect();
            let picked = hidden.index_select(&Tensor::new(rows, hidden.device())?, 0)?;
            let logits = model.decoder.logits(&picked)?.flatten_all()?.to_vec1::<f32>()?;
            let answers = logits.par_chunks_exact(model.config.vocab).zip(some).map(|(row, asks)| answer(row, asks));
            scored.extend(answers.collect::<Result<Vec<_>>>()?.into_iter().flatten());
        }
        scored.sort_by_key(|(slot, place, _)| (*slot, *place));
        let same = |a: &(Slot, usize, Scored), b: &(Slot, usize, Scored)| a.0 == b.0;
        Ok(scored.chunk_by(same).map(|one| (one[0].0, one.iter().map(|(.., s)| *s).collect())).collect())
    }
}

/// What one row of logits says to everything asked of it.
fn answer(logits: &[f32], asks: &[Ask]) -> Result<Vec<(Slot, usize, Scored)>> {
    let best = argmax(logits);
    let most = logits[best as usize];
    let normalizer = f64::from(most) + f64::from(bantam_kernels::float::sum_exp(logits, most)).ln();
    if !normalizer.is_finite() {
        return Err(Error::Request("the model's logits are not finite; its weights may be damaged".into()));
    }
    let scored = |ask: &Ask| {
        let logprob = logits.get(ask.token as usize).map(|&logit| f64::from(logit) - normalizer);
        let logprob = logprob.ok_or_else(|| {
            Error::Request(format!("token {} is outside the vocabulary of {}", ask.token, logits.len()))
        })?;
        let (likeliest, most) = (best, f64::from(most) - normalizer);
        Ok((ask.slot, ask.place, Scored { logprob, greedy: ask.token == best, likeliest, most }))
    };
    asks.iter().map(scored).collect()
}
