//! The algorithm of a tokenizer in a fraction of its memory. The `tokenizers` crate keeps of a byte-pair vocabulary each
//! token as two strings of its own and each merge in a hash map: 60 MiB of a quarter of a million tokens, more than such a
//! model's activations. Here the tokens are one text and the merges sorted lists. What they say is the same, token by
//! token: `merge_word` and `merge_all` of the crate's models/bpe, step by step. Other algorithms stay the crate's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{
    DecoderWrapper, Model, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Token,
    TokenizerBuilder, TokenizerImpl,
};

/// A tokenizer of the crate's parts about an algorithm that is shared by its copies.
pub type Inner = TokenizerImpl<Compact, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// From words to tokens and back.
#[derive(Debug, Clone)]
pub struct Compact(Arc<Algorithm>);

#[derive(Debug)]
enum Algorithm {
    Merges(Merges),
    Other(ModelWrapper),
}

/// Byte-pair encoding without chance, prefixes and suffixes.
#[derive(Debug)]
struct Merges {
    tokens: Tokens,
    pairs: Pairs,
    unknown: Option<Unknown>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    /// Settings that change nothing, as they were written.
    idle: Idle,
}

/// No chance, or none of a hundred; affixes without a letter.
#[derive(Debug)]
struct Idle {
    dropout: Option<f32>,
    prefix: Option<String>,
    suffix: Option<String>,
}

/// What stands for letters that no token has; its number, where it is a token itself.
#[derive(Debug)]
struct Unknown {
    token: String,
    id: Option<u32>,
}

/// The tokens in the order of their numbers, one text.
#[derive(Debug)]
struct Tokens {
    text: String,
    /// Where the token of each number begins, and the last ends.
    starts: Vec<u32>,
    /// Numbers that no token has.
    missing: Vec<u32>,
    /// Numbers by the hash of their token, each at the first free place from there on; `FREE` where there is none.
    table: Vec<u32>,
    hasher: RandomState,
}

const FREE: u32 = u32::MAX;

/// The merges by their left token.
#[derive(Debug)]
struct Pairs {
    /// Where those of each left token begin, and the last end.
    starts: Vec<u32>,
    /// Sorted by the right token among those of one left token.
    merges: Vec<Merge>,
}

/// What a left token and this right one become.
#[derive(Debug, Clone, Copy)]
struct Merge {
    right: u32,
    rank: u32,
    becomes: u32,
}

/// A byte-pair model as the crate writes it.
#[derive(Deserialize)]
struct Written {
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: BTreeMap<String, u32>,
    merges: Vec<(String, String)>,
}

/// Takes over a tokenizer of the crate's.
///
/// # Errors
/// Where the crate cannot put its parts together again.
pub(super) fn of(whole: &tokenizers::Tokenizer) -> tokenizers::Result<Inner> {
    TokenizerBuilder::new()
        .with_model(Compact::of(whole.get_model()))
        .with_normalizer(whole.get_normalizer().cloned())
        .with_pre_tokenizer(whole.get_pre_tokenizer().cloned())
        .with_post_processor(whole.get_post_processor().cloned())
        .with_decoder(whole.get_decoder().cloned())
        .with_added_vocabulary(whole.get_added_vocabulary().clone())
        .with_truncation(whole.get_truncation().cloned())
        .with_padding(whole.get_padding().cloned())
        .build()
}

impl Compact {
    /// Of a model of the crate's; what cannot be said more briefly stays as it is.
    fn of(model: &ModelWrapper) -> Compact {
        let merges = match model {
            ModelWrapper::BPE(_) => Merges::of(model),
            _ => None,
        };
        Compact(Arc::new(merges.map_or_else(|| Algorithm::Other(model.clone()), Algorithm::Merges)))
    }
}

impl Merges {
    fn of(model: &ModelWrapper) -> Option<Merges> {
        let json = serde_json::to_vec(model).ok()?;
        let written: Written = serde_json::from_slice(&json).ok()?;
        drop(json);
        let affix = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let plain = written.dropout.unwrap_or(0.0) == 0.0
            && !affix(&written.continuing_subword_prefix)
            && !affix(&written.end_of_word_suffix)
            // two names of one number are written as one
            && written.vocab.len() == model.get_vocab_size();
        if !plain {
            return None;
        }
        let tokens = Tokens::new(&written.vocab)?;
        let pairs = Pairs::new(&written.merges, &tokens)?;
        let unknown = written.unk_token.map(|token| Unknown { id: tokens.id(&token), token });
        let Written { fuse_unk, byte_fallback, ignore_merges, dropout, .. } = written;
        let idle = Idle { dropout, prefix: written.continuing_subword_prefix, suffix: written.end_of_word_suffix };
        Some(Merges { tokens, pairs, unknown, fuse_unk, byte_fallback, ignore_merges, idle })
    }

    /// The tokens of a word, with how many of its bytes each stands for.
    fn word(&self, word: &str) -> tokenizers::Result<Vec<Symbol>> {
        let mut symbols = Symbols(Vec::with_capacity(word.len()));
        let mut unknown: Option<(u32, usize)> = None;
        for (at, letter) in word.char_indices() {
            let letter = &word[at..at + letter.len_utf8()];
            if let Some(id) = self.tokens.id(letter) {
                unknown.take().into_iter().for_each(|(id, len)| symbols.add(id, len));
                symbols.add(id, letter.len());
                continue;
            }
            if self.byte_fallback
                && let Some(bytes) = self.bytes(letter)
            {
                bytes.into_iter().for_each(|id| symbols.add(id, 1));
                continue;
            }
            let Some(name) = &self.unknown else { continue };
            let id = name.id.ok_or_else(|| format!("the unknown token {:?} is not in the vocabulary", name.token))?;
            unknown = match unknown {
                Some((id, len)) if self.fuse_unk => Some((id, len + letter.len())),
                before => {
                    before.into_iter().for_each(|(id, len)| symbols.add(id, len));
                    Some((id, letter.len()))
                }
            };
        }
        unknown.into_iter().for_each(|(id, len)| symbols.add(id, len));
        symbols.merge_all(&self.pairs);
        Ok(symbols.0)
    }

    /// The tokens of a letter's bytes, where there are some for all.
    fn bytes(&self, letter: &str) -> Option<Vec<u32>> {
        letter.bytes().map(|byte| self.tokens.id(&format!("<{byte:#04X}>"))).collect()
    }

    fn token(&self, id: u32, from: usize, to: usize) -> Token {
        Token::new(id, self.tokens.text(id).unwrap_or_default().to_owned(), (from, to))
    }

    fn tokenize(&self, word: &str) -> tokenizers::Result<Vec<Token>> {
        if self.ignore_merges
            && let Some(id) = self.tokens.id(word)
        {
            return Ok(vec![self.token(id, 0, word.len())]);
        }
        let mut from = 0;
        let token = |symbol: Symbol| {
            let at = from;
            from += symbol.len;
            self.token(symbol.id, at, from)
        };
        Ok(self.word(word)?.into_iter().map(token).collect())
    }
}

impl Tokens {
    /// `None` where there are more than offsets of 32 bits reach.
    fn new(vocab: &BTreeMap<String, u32>) -> Option<Tokens> {
        let mut by_id: Vec<(u32, &str)> = vocab.iter().map(|(token, id)| (*id, token.as_str())).collect();
        by_id.sort_unstable();
        let bytes: usize = by_id.iter().map(|(_, token)| token.len()).sum();
        let numbers = by_id.last().map_or(0, |(last, _)| *last as usize + 1);
        // of a few tokens with large numbers a list by number would be the larger one
        if u32::try_from(bytes).is_err() || numbers > 4 * by_id.len() + 1024 {
            return None;
        }
        let (mut text, mut starts, mut missing) =
            (String::with_capacity(bytes), Vec::with_capacity(numbers + 1), vec![]);
        for (id, token) in &by_id {
            while starts.len() < *id as usize {
                missing.push(starts.len() as u32);
                starts.push(text.len() as u32);
            }
            starts.push(text.len() as u32);
            text.push_str(token);
        }
        starts.push(text.len() as u32);
        let places = (2 * by_id.len()).next_power_of_two();
        let mut tokens = Tokens { text, starts, missing, table: vec![FREE; places], hasher: RandomState::new() };
        for (id, token) in by_id {
            let place = tokens.place(token);
            tokens.table[place] = id;
        }
        Some(tokens)
    }

    /// Where the token stands in the table, or would.
    fn place(&self, token: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut place = self.hasher.hash_one(token) as usize & mask;
        while self.table[place] != FREE && self.at(self.table[place]) != token {
            place = (place + 1) & mask;
        }
        place
    }

    fn at(&self, id: u32) -> &str {
        let [from, to] = [0, 1].map(|next| self.starts[id as usize + next] as usize);
        &self.text[from..to]
    }

    fn id(&self, token: &str) -> Option<u32> {
        Some(self.table[self.place(token)]).filter(|id| *id != FREE)
    }

    fn text(&self, id: u32) -> Option<&str> {
        let there = (id as usize) + 1 < self.starts.len() && self.missing.binary_search(&id).is_err();
        there.then(|| self.at(id))
    }

    fn len(&self) -> usize {
        self.starts.len() - 1 - self.missing.len()
    }

    /// All of them with their numbers, by number.
    fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..self.starts.len() as u32 - 1).filter_map(|id| Some((self.text(id)?, id)))
    }
}

impl Pairs {
    /// `None` where a merge is not of tokens, which the crate would have refused.
    fn new(merges: &[(String, String)], tokens: &Tokens) -> Option<Pairs> {
        let mut whole = String::new();
        let known = (0u32..).zip(merges).map(|(rank, (left, right))| {
            whole.clear();
            whole.push_str(left);
            whole.push_str(right);
            let becomes = tokens.id(&whole)?;
            Some((tokens.id(left)?, Merge { right: tokens.id(right)?, rank, becomes }))
        });
        let mut all: Vec<(u32, Merge)> = known.collect::<Option<_>>()?;
        all.sort_unstable_by_key(|(left, merge)| (*left, merge.right));
        let mut starts = Vec::with_capacity(tokens.starts.len());
        let mut at = 0;
        for left in 0..tokens.starts.len() as u32 {
            starts.push(at as u32);
            at += all[at..].iter().take_while(|(of, _)| *of == left).count();
        }
        // a list of its own: collected where they lie, they would keep a third more room than they take
        let mut merges = Vec::with_capacity(all.len());
        merges.extend(all.iter().map(|(_, merge)| *merge));
        Some(Pairs { starts, merges })
    }

    fn get(&self, left: u32, right: u32) -> Option<Merge> {
        let [from, to] = [0, 1].map(|next| self.starts[left as usize + next] as usize);
        let merges = &self.merges[from..to];
        merges.binary_search_by_key(&right, |merge| merge.right).ok().map(|at| merges[at])
    }

    /// The two sides of each, in the order of their ranks.
    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut lefts = vec![0u32; self.merges.len()];
        for (left, bounds) in (0u32..).zip(self.starts.windows(2)) {
            lefts[bounds[0] as usize..bounds[1] as usize].fill(left);
        }
        let mut all: Vec<(u32, u32, u32)> =
            self.merges.iter().zip(lefts).map(|(merge, left)| (merge.rank, left, merge.right)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, left, right)| (left, right))
    }
}

/// A part of a word that is one token.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    id: u32,
    /// Bytes of the word; none where it was merged into the one before.
    len: usize,
    before: Option<usize>,
    next: Option<usize>,
}

struct Symbols(Vec<Symbol>);

impl Symbols {
    fn add(&mut self, id: u32, len: usize) {
        let at = self.0.len();
        let before = at.checked_sub(1);
        if let Some(last) = self.0.last_mut() {
            last.next = Some(at);
        }
        self.0.push(Symbol { id, len, before, next: None });
    }

    /// The merge of the symbol at a place with the one that follows it.
    fn merge_at(&self, at: usize, pairs: &Pairs) -> Option<Merge> {
        let symbol = self.0[at];
        pairs.get(symbol.id, self.0[symbol.next?].id)
    }

    /// Merges by rank, of one rank from the left, until there is nothing to merge.
    fn merge_all(&mut self, pairs: &Pairs) {
        let queued = |merge: Merge, at: usize| Reverse((merge.rank, at, merge.becomes));
        let mut queue: BinaryHeap<_> =
            (0..self.0.len()).filter_map(|at| Some(queued(self.merge_at(at, pairs)?, at))).collect();
        while let Some(Reverse((_, at, becomes))) = queue.pop() {
            let Symbol { len, next: Some(next), .. } = self.0[at] else { continue };
            // what was queued before its symbols changed
            if len == 0 || self.merge_at(at, pairs).is_none_or(|merge| merge.becomes != becomes) {
                continue;
            }
            let right = self.0[next];
            self.0[at] = Symbol { id: becomes, len: len + right.len, next: right.next, ..self.0[at] };
            self.0[next].len = 0;
            if let Some(after) = right.next {
                self.0[after].before = Some(at);
            }
            let changed = self.0[at].before.into_iter().chain([at]);
            queue.extend(changed.filter_map(|at| Some(queued(self.merge_at(at, pairs)?, at))));
        }
        self.0.retain(|symbol| symbol.len > 0);
    }
}

impl Model for Compact {
    type Trainer = BpeTrainer;

    fn tokenize(&self, word: &str) -> tokenizers::Result<Vec<Token>> {
        match &*self.0 {
            Algorithm::Merges(_) if word.is_empty() => Ok(Vec::new()),
            Algorithm::Merges(merges) => merges.tokenize(word),
            Algorithm::Other(model) => model.tokenize(word),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match &*self.0 {
            Algorithm::Merges(merges) => merges.tokens.id(token),
            Algorithm::Other(model) => model.token_to_id(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match &*self.0 {
            Algorithm::Merges(merges) => merges.tokens.text(id).map(str::to_owned),
            Algorithm::Other(model) => model.id_to_token(id),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match &*self.0 {
            Algorithm::Merges(merges) => merges.tokens.iter().map(|(token, id)| (token.to_owned(), id)).collect(),
            Algorithm::Other(model) => model.get_vocab(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match &*self.0 {
            Algorithm::Merges(merges) => merges.tokens.len(),
            Algorithm::Other(model) => model.get_vocab_size(),
        }
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        match &*self.0 {
            Algorithm::Merges(_) => Err("a vocabulary without the rest of its tokenizer is not written".into()),
            Algorithm::Other(model) => model.save(folder, prefix),
        }
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}

impl Serialize for Compact {
    /// As the crate writes its model.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            Algorithm::Merges(merges) => merges.serialize(serializer),
            Algorithm::Other(model) => model.serialize(serializer),
        }
    }
}

impl Serialize for Merges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |id| self.tokens.text(id).unwrap_or_default();
        let merges: Vec<(&str, &str)> = self.pairs.iter().map(|(left, right)| (text(left), text(right))).collect();
        let mut model = serializer.serialize_struct("BPE", 10)?;
        model.serialize_field("type", "BPE")?;
        model.serialize_field("dropout", &self.idle.dropout)?;
        model.serialize_field("unk_token", &self.unknown.as_ref().map(|unknown| &unknown.token))?;
        model.serialize_field("continuing_subword_prefix", &self.idle.prefix)?;
        model.serialize_field("end_of_word_suffix", &self.idle.suffix)?;
        model.serialize_field("fuse_unk", &self.fuse_unk)?;
        model.serialize_field("byte_fallback", &self.byte_fallback)?;
        model.serialize_field("ignore_merges", &self.ignore_merges)?;
        model.serialize_field("vocab", &ByNumber(&self.tokens))?;
        model.serialize_field("merges", &merges)?;
        model.end()
    }
}

/// A vocabulary written in the order of its numbers.
struct ByNumber<'a>(&'a Tokens);

impl Serialize for ByNumber<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    /// A model whose merges are of all lengths, with ways of its own through unknown letters.
    fn whole(random: &mut ChaCha8Rng, unknown: bool, bytes: bool, ignore: bool) -> tokenizers::Tokenizer {
        let mut tokens: Vec<String> = ["a", "b", "c", "é", "▁"].map(String::from).to_vec();
        let mut merges: Vec<(String, String)> = Vec::new();
        while merges.len() < 40 {
            let [left, right] = [0; 2].map(|_| tokens[random.random_range(0..tokens.len())].clone());
            let whole = format!("{left}{right}");
            if whole.chars().count() > 7 || merges.contains(&(left.clone(), right.clone())) {
                continue;
            }
            if !tokens.contains(&whole) {
                tokens.push(whole);
            }
            merges.push((left, right));
        }
        tokens.extend(unknown.then(|| "<unk>".to_owned()));
        tokens.extend((0..=255u8).filter(|_| bytes).map(|byte| format!("<{byte:#04X}>")));
        // every third number is nobody's
        let vocab: serde_json::Map<String, serde_json::Value> =
            tokens.iter().enumerate().map(|(at, token)| (token.clone(), json!(at * 3 / 2))).collect();
        let text = json!({
            "version": "1.0",
            "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": unknown.then_some("<unk>"), "fuse_unk": ignore,
                "byte_fallback": bytes, "ignore_merges": ignore, "vocab": vocab, "merges": merges,
                "continuing_subword_prefix": "", "end_of_word_suffix": null},
        });
        serde_json::from_value(text).expect("a tokenizer")
    }

    #[test]
    fn tokens_are_those_of_the_crate_for_words_of_all_kinds() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for round in 0..40 {
            let (unknown, bytes, ignore) = (round % 2 == 0, round % 3 == 0, round % 5 == 0);
            let theirs = whole(&mut random, unknown, bytes, ignore);
            let ours = of(&theirs).expect("a tokenizer");
            assert!(matches!(&*ours.get_model().0, Algorithm::Merges(_)));
            for _ in 0..200 {
                let length = random.random_range(0..24);
                let word: String =
                    (0..length).map(|_| ['a', 'b', 'c', 'é', '▁', 'x', '語'][random.random_range(0..7)]).collect();
                let [their, our] = [theirs.encode(word.as_str(), false), ours.encode(word.as_str(), false)];
                let (their, our) = (their.expect("tokens"), our.expect("tokens"));
                assert_eq!(our.get_ids(), their.get_ids(), "{word}");
                assert_eq!(our.get_offsets(), their.get_offsets(), "{word}");
                assert_eq!(our.get_tokens(), their.get_tokens(), "{word}");
            }
        }
    }

    #[test]
    fn it_is_written_as_the_crate_writes_it() {
        let theirs = whole(&mut ChaCha8Rng::seed_from_u64(9), true, true, false);
        let ours = of(&theirs).expect("a tokenizer");
        assert_eq!(ours.to_string(false).expect("written"), theirs.to_string(false).expect("written"));
        assert_eq!(
            (ours.get_vocab(true), ours.get_vocab_size(true)),
            (theirs.get_vocab(true), theirs.get_vocab_size(true))
        );
        for id in 0..600 {
            assert_eq!(ours.id_to_token(id), theirs.id_to_token(id));
        }
    }

    #[test]
    fn an_unknown_token_that_is_none_is_refused_where_it_is_needed() {
        let text = json!({
            "version": "1.0",
            "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": false, "byte_fallback": false,
                "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "ignore_merges": false, "vocab": {"a": 0}, "merges": []},
        });
        let ours = of(&serde_json::from_value(text).expect("a tokenizer")).expect("a tokenizer");
        assert_eq!(ours.encode("aa", false).expect("tokens").get_ids(), [0, 0]);
        let error = ours.encode("ab", false).expect_err("refused").to_string();
        assert!(error.contains("\"<unk>\" is not in the vocabulary"), "{error}");
    }
}
