//! What a decoder answers: the likelihood of texts, what it would say, and embeddings of its last states.

use super::answers::{Answers, Finished};
use super::conversations::Conversations;
use super::{mode, role, vocabulary};
use anyhow::{Context, Result};
use bantam_eval::tokens::{self, Tokenize};
use bantam_eval::{
    ChatStyle, Continuations, EmbedSettings, Embedded, Generated, GenerationSettings, LanguageModel, Loglikelihood,
    Message, Rolling, Written,
};
use bantam_grammar::{Grammar, Held, Vocabulary};
use bantam_model::encoder::{Embedder, Input};
use bantam_model::tokenizer::Special;
use bantam_model::{self as model, Head, Model, Sampling, Tokenizer};
use std::path::PathBuf;

/// A decoder in this process, as a task asks it.
pub struct LocalDecoder<'a> {
    model: &'a Model,
    /// What sampled answers are drawn from; greedy ones do not need it.
    seed: u64,
    /// Where the model is, if that is a folder: it may say how its states become a vector.
    folder: Option<PathBuf>,
    /// Made when it is first needed: it has a tokenizer of its own.
    embedder: Option<Embedder>,
    /// What the task's contexts begin with, once it has said so.
    head: Option<KeptHead>,
    /// Its chat templates, as far as they were needed.
    conversations: Conversations,
    /// Its tokens as texts, once an answer was held to a form.
    vocabulary: Option<Vocabulary>,
    /// The form that answers were last held to, and one that begins.
    held: Option<(Grammar, Held)>,
}

impl<'a> LocalDecoder<'a> {
    /// Wraps a loaded model.
    pub fn new(model: &'a Model, seed: u64) -> LocalDecoder<'a> {
        LocalDecoder {
            model,
            seed,
            folder: None,
            embedder: None,
            head: None,
            conversations: Conversations::default(),
            vocabulary: None,
            held: None,
        }
    }

    /// The same, of a model in a folder, which may say how its states become a vector.
    pub fn from_folder(self, folder: Option<PathBuf>) -> LocalDecoder<'a> {
        LocalDecoder { folder, ..self }
    }

    /// An answer that begins, held to a grammar.
    fn hold(&mut self, grammar: &Grammar, turn_end: Option<u32>) -> Result<Held> {
        if let Some((_, held)) = self.held.as_ref().filter(|(last, _)| last == grammar) {
            return Ok(held.clone());
        }
        if self.vocabulary.is_none() {
            self.vocabulary = Some(vocabulary(&self.model.tokenizer)?);
        }
        let vocabulary = self.vocabulary.as_ref().expect("made just now where it was not there");
        let ends: Vec<u32> = self.model.config.eos.iter().copied().chain(turn_end).collect();
        let held = vocabulary.hold(grammar, &ends)?;
        self.held = Some((grammar.clone(), held.clone()));
        Ok(held)
    }

    fn embedder(&mut self) -> Result<&Embedder> {
        if self.embedder.is_none() {
            self.embedder = Some(Embedder::new(self.model, self.folder.as_deref())?);
        }
        Ok(self.embedder.as_ref().expect("made just now where it was not there"))
    }
}

/// What the contexts of a task begin with, computed, and the contexts that told it.
struct KeptHead {
    first: String,
    last: String,
    head: Head,
}

/// A model's tokenizer as a task's rules ask it.
struct TaskTokenizer<'a>(&'a Tokenizer);

impl Tokenize for TaskTokenizer<'_> {
    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let special = if special { Special::With } else { Special::Without };
        Ok(self.0.encode(text, special)?)
    }

    fn prefix(&self) -> Result<u32> {
        let token = self.0.bos().or(self.0.eos());
        Ok(token.context("the tokenizer names neither a token that begins nor one that ends a text")?.id)
    }

    fn begins(&self, text: &str) -> bool {
        let token = self.0.bos().or(self.0.eos());
        token.is_some_and(|token| !token.text.is_empty() && text.starts_with(&token.text))
    }
}

impl LanguageModel for LocalDecoder<'_> {
    fn write_chat(&mut self, messages: &[Message], style: &ChatStyle) -> Result<Written> {
        self.conversations.write(messages, style, &self.model.tokenizer)
    }

    fn begin(&mut self, first: &str, last: &str) -> Result<()> {
        if self.head.as_ref().is_some_and(|kept| kept.first == first && kept.last == last) {
            return Ok(());
        }
        let encode = |text: &str| tokens::encode(&TaskTokenizer(&self.model.tokenizer), text);
        let (a, b) = (encode(first)?, encode(last)?);
        let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let head = self.model.head(&a[..common])?;
        self.head = Some(KeptHead { first: first.to_owned(), last: last.to_owned(), head });
        Ok(())
    }

    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        let mut batch = ScoringBatch { items: Vec::new(), max_length: self.model.max_length() };
        let slots = requests.iter().map(|request| batch.add(request, &TaskTokenizer(&self.model.tokenizer)));
        let slots: Vec<Vec<Slot>> = slots.collect::<Result<_>>()?;
        let found = match &self.head {
            Some(kept) => self.model.loglikelihoods_after(&kept.head, &batch.items)?,
            None => self.model.loglikelihoods(&batch.items)?,
        };
        let answer = |slot: Slot| {
            let model::Loglikelihood { logprob, greedy } = found[slot.item][slot.continuation];
            Loglikelihood { logprob, greedy, tokens: slot.tokens, truncated: slot.truncated }
        };
        Ok(slots.into_iter().map(|slots| slots.into_iter().map(answer).collect()).collect())
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>> {
        let tokenizer = TaskTokenizer(&self.model.tokenizer);
        let texts: Vec<Vec<u32>> =
            texts.iter().map(|text| tokens::encode_whole(&tokenizer, text)).collect::<Result<_>>()?;
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let found = self.model.rolling(tokenizer.prefix()?, &texts)?;
        Ok(found
            .iter()
            .map(|tokens| Rolling { logprob: tokens.iter().fold(0.0, |sum, token| sum + token), tokens: tokens.len() })
            .collect())
    }

    fn generate(&mut self, prompts: &[&str], settings: &GenerationSettings) -> Result<Vec<Generated>> {
        let (tokenizer, max_length) = (&self.model.tokenizer, self.model.max_length());
        let turn_end = match &settings.chat {
            Some(style) => self.conversations.turn_end(style, tokenizer)?,
            None => None,
        };
        let held = settings.grammar.as_ref().map(|grammar| self.hold(grammar, turn_end)).transpose()?;
        let mut answers = Answers::new(prompts.len(), settings, tokenizer, held)?;
        let most = answers.most_tokens();
        let prompt = |text: &&str| tokens::encode_prompt(&TaskTokenizer(tokenizer), text, max_length, most);
        let prompts: Vec<(Vec<u32>, bool)> = prompts.iter().map(prompt).collect::<Result<_>>()?;
        let starts: Vec<&[u32]> = prompts.iter().map(|(tokens, _)| tokens.as_slice()).collect();

        let sampling = sampling(settings, self.seed.wrapping_add(settings.draw), most, turn_end);
        let nothing = self.model.head(&[])?;
        let head = self.head.as_ref().map_or(&nothing, |kept| &kept.head);
        let found = self.model.generate_after(head, &starts, &sampling, &mut answers)?;

        let answer = |(index, (found, (prompt, truncated))): (usize, (model::Generated, &(Vec<u32>, bool)))| {
            let Finished { text, stopped, thought } = answers.finish(index, found.end)?;
            let tokens = prompt.len() + found.tokens.len();
            Ok(Generated { text, tokens, truncated: *truncated, stopped, thought, likelihood: found.likelihood })
        };
        found.into_iter().zip(&prompts).enumerate().map(answer).collect()
    }

    fn embed(&mut self, texts: &[&str], settings: EmbedSettings) -> Result<Vec<Embedded>> {
        let model = self.model;
        let embedder = self.embedder()?;
        let read = |text: &&str| embedder.read(text, role(settings.role));
        let inputs: Vec<Input> = texts.iter().map(read).collect::<model::Result<_>>()?;
        let vectors = embedder.embed(model, &inputs, mode(settings.pooling))?;
        let embedded = |(input, vector): (&Input, Vec<f32>)| Embedded {
            vector,
            tokens: input.tokens.len(),
            truncated: input.truncated,
        };
        Ok(inputs.iter().zip(vectors).map(embedded).collect())
    }
}

fn sampling(settings: &GenerationSettings, seed: u64, most: usize, turn_end: Option<u32>) -> Sampling {
    Sampling {
        end_tokens: turn_end.into_iter().collect(),
        temperature: settings.temperature as f32,
        top_k: settings.top_k,
        top_p: settings.top_p.unwrap_or(1.0) as f32,
        min_p: settings.min_p.unwrap_or(0.0) as f32,
        seed,
        likelihood: true,
        ..Sampling::greedy(most)
    }
}

/// What is scored in one go: continuations of the same tokens share an item, so that the tokens are computed once.
struct ScoringBatch {
    items: Vec<model::Item>,
    max_length: usize,
}

/// Where a continuation's score will be found, and what it costs.
struct Slot {
    item: usize,
    continuation: usize,
    tokens: usize,
    truncated: bool,
}

impl ScoringBatch {
    fn add(&mut self, request: &Continuations, tokenizer: &TaskTokenizer) -> Result<Vec<Slot>> {
        let first = self.items.len();
        let slot = |continuation: &String| {
            let pair = tokens::encode_pair(tokenizer, &request.context, continuation)?;
            // the last token is scored but never given
            let truncated = pair.context.len() + pair.continuation.len() > self.max_length + 1;
            let mut tokens = pair.continuation.len();
            let shared = self.items[first..].iter().position(|item| item.context == pair.context);
            let item = shared.map_or(self.items.len(), |index| first + index);
            if shared.is_none() {
                tokens += pair.context.len();
                self.items.push(model::Item { context: pair.context, continuations: Vec::new() });
            }
            self.items[item].continuations.push(pair.continuation);
            let continuation = self.items[item].continuations.len() - 1;
            Ok(Slot { item, continuation, tokens, truncated })
        };
        request.continuations.iter().map(slot).collect()
    }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;
    use bantam_eval::StopReason;
    use bantam_model::LoadOptions;
    use std::path::Path;

    fn model(max_length: Option<usize>) -> Model {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model/llama");
        model::load(folder.as_path(), &LoadOptions { max_length, ..LoadOptions::default() }).expect("a checkpoint")
    }

    fn settings(until: &[&str], max_tokens: usize, temperature: f64) -> GenerationSettings {
        let until = until.iter().map(|stop| stop.to_string()).collect();
        GenerationSettings { until, temperature, ..GenerationSettings::greedy(max_tokens) }
    }

    fn choices(context: &str, continuations: &[&str]) -> Continuations {
        Continuations { context: context.into(), continuations: continuations.iter().map(|c| c.to_string()).collect() }
    }

    #[test]
    fn a_shared_context_is_counted_once_and_a_cut_one_is_told() {
        let short = model(None);
        let asked = [choices("one two three", &[" four", " five six"]), choices("", &["one"])];
        let all = LocalDecoder::new(&short, 0).loglikelihood(&asked).expect("scored");
        let length = |text| TaskTokenizer(&short.tokenizer).encode(text, true).expect("encoded").len();
        let whole = length("one two three five six");
        assert_eq!(all[0][0].tokens, length("one two three four"));
        assert_eq!(all[0][1].tokens, whole - length("one two three"));
        assert!(all.iter().flatten().all(|l| !l.truncated && l.logprob < 0.0));

        let alone =
            LocalDecoder::new(&short, 0).loglikelihood(&[choices("one two three", &[" five six"])]).expect("scored");
        assert!((alone[0][0].logprob - all[0][1].logprob).abs() < 1e-4);

        let cut = model(Some(whole - 2));
        let all = LocalDecoder::new(&cut, 0).loglikelihood(&asked).expect("scored");
        assert!(all[0][1].truncated && !all[1][0].truncated);
    }

    #[test]
    fn generation_stops_where_it_is_told_and_says_why() {
        let model = model(None);
        let mut decoder = LocalDecoder::new(&model, 0);
        let prompts = ["Q: With bosras this\nA:", "one"];
        let free = decoder.generate(&prompts, &settings(&[], 12, 0.0)).expect("generated");
        assert_eq!(free[0].stopped, StopReason::Length);
        assert!(free[0].tokens > 12 && !free[0].truncated);
        let stop: String = free[0].text.chars().skip(3).take(2).collect();
        let kept = free[0].text.split(&stop).next().expect("a text has a beginning");
        let cut = decoder.generate(&prompts[..1], &settings(&[&stop], 12, 0.0)).expect("generated");
        assert_eq!((cut[0].text.as_str(), cut[0].stopped), (kept, StopReason::Until));
        assert!(cut[0].tokens < free[0].tokens);

        let long = "one two three ".repeat(80);
        let cut = decoder.generate(&[&long], &settings(&[], 8, 0.0)).expect("generated");
        assert!(cut[0].truncated && cut[0].tokens <= model.max_length());
        assert!(decoder.generate(&["one"], &settings(&[], 256, 0.0)).is_err(), "no room for a prompt");
    }

    #[test]
    fn samples_follow_their_seed() {
        let model = model(None);
        let sample = |seed| {
            let mut decoder = LocalDecoder::new(&model, seed);
            decoder.generate(&["one two"], &settings(&[], 16, 1.0)).expect("generated").remove(0).text
        };
        assert_eq!(sample(1), sample(1));
        assert_ne!(sample(1), sample(2));
    }
}
