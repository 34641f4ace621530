//! What a model behind an address answers. Conversations go to it as messages, since the template is the server's. Of a
//! question with choices it tells the likelihoods where the server tells those of a text that it is sent, else the letter of
//! its choice.

mod letters;

use anyhow::{Result, bail};
use bantam_core::endpoint::{Api, ChoicesBy};
use bantam_core::record::{Billed, Spent};
use bantam_core::sync::lock;
use bantam_endpoint::{self as endpoint, Client, Said, Stopped, Talk, Token, Told};
use bantam_eval::{
    ChatStyle, Chosen, Continuations, Generated, GenerationSettings, LanguageModel, Loglikelihood, Message, Question,
    Rolling, StopReason, Thought, ThoughtEnd, Unaskable, Written, tokens,
};
use bantam_grammar::Grammar;
use letters::Letters;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

/// Before a conversation that travels as text: no prompt of a task begins so.
const CONVERSATION: &str = "\u{1}conversation\u{2}";
/// A text whose tokens' likelihoods are asked to see whether the server tells any.
const TRIED: &str = "One two three four";
/// Tokens that naming a letter may take; who is asked for a letter alone stops after it.
const LETTER_TOKENS: usize = 64;
/// Likeliest next tokens that are asked for where a letter is awaited.
const LIKELIEST: usize = 20;

/// What is found out about an endpoint once, by whichever thread is first.
#[derive(Default)]
pub struct Ways {
    /// Whether it tells the likelihoods of a text's tokens.
    echoes: OnceLock<bool>,
    /// Whether it goes on with texts that are no conversations.
    completes: OnceLock<bool>,
    /// What is to be said of the answers.
    notes: Mutex<BTreeSet<String>>,
}

/// What one thread's answers took.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Taken>);

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    seconds: f64,
    billed: Billed,
}

impl Tally {
    fn add<T>(&self, told: &Told<T>) {
        let mut taken = lock(&self.0);
        taken.seconds += told.seconds;
        taken.billed.input += told.input;
        taken.billed.output += told.output;
        taken.billed.estimated |= told.estimated;
    }

    /// What was taken so far.
    pub fn spent(&self) -> Spent {
        let taken = *lock(&self.0);
        Spent { seconds: taken.seconds, joules: None, estimated: false, billed: Some(taken.billed), cents: None }
    }
}

/// An endpoint as a task asks it, from one thread of several.
pub struct EndpointModel {
    client: Arc<Client>,
    ways: Arc<Ways>,
    tally: Arc<Tally>,
    seed: u64,
}

impl EndpointModel {
    /// One thread's; `seed` is what drawn answers are drawn with.
    pub fn new(client: Arc<Client>, ways: Arc<Ways>, seed: u64) -> EndpointModel {
        EndpointModel { client, ways, tally: Arc::default(), seed }
    }

    /// What its answers take.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Counts what an answer took; what is wrong with one request alone leaves its item without a score.
    fn counted<T>(&self, told: Result<Told<T>, endpoint::Error>) -> Result<Told<T>> {
        match told {
            Ok(told) => {
                self.tally.add(&told);
                Ok(told)
            }
            Err(error) if error.is_of_request() => bail!(Unaskable::new(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the server tells how likely the tokens of a text are. That is asked once, and costs a few tokens.
    fn echoes(&self) -> Result<bool> {
        if let Some(echoes) = self.ways.echoes.get() {
            return Ok(*echoes);
        }
        let echoes = match self.client.tokens(TRIED) {
            Ok(told) => told.answer.is_some(),
            Err(error) if error.is_absent() || error.is_of_request() => false,
            Err(error) => return Err(error.into()),
        };
        Ok(*self.ways.echoes.get_or_init(|| echoes))
    }

    fn name(&self) -> &str {
        &self.client.terms().name
    }

    /// Has the model go on with a prompt: a conversation, or a text, which is a user's message to a server that knows only
    /// conversations.
    fn said(&self, prompt: &str, talk: Talk, draw: u64) -> Result<Told<Said>> {
        if let Some(messages) = conversation(prompt) {
            return self.counted(self.client.talk(&Talk { messages, ..talk }, draw));
        }
        if self.ways.completes.get() != Some(&false) {
            match self.client.text(prompt, &talk, draw) {
                Err(error) if error.is_absent() => drop(self.ways.completes.set(false)),
                told => {
                    if told.is_ok() {
                        let _ = self.ways.completes.set(true);
                    }
                    return self.counted(told);
                }
            }
        }
        self.ways.note(format!(
            "{} goes on with no text, so that each prompt was put to it as a user's message",
            self.name()
        ));
        let messages = vec![endpoint::Message { role: "user".into(), content: prompt.into() }];
        self.counted(self.client.talk(&Talk { messages, ..talk }, draw))
    }

    /// The tokens of a text with their likelihoods.
    fn tokens(&self, text: &str) -> Result<Told<Vec<Token>>> {
        if conversation(text).is_some() {
            bail!(
                "{} tells no likelihoods within a conversation; ask it with apply_chat_template = false",
                self.name()
            );
        }
        let Told { answer, input, output, estimated, seconds } = self.counted(self.client.tokens(text))?;
        match answer {
            Some(answer) => Ok(Told { answer, input, output, estimated, seconds }),
            None => bail!(
                "{} does not tell how likely a text's tokens are (completions with echo and logprobs, as vLLM and bantam serve \
                 have it), which this task is made of",
                self.name()
            ),
        }
    }

    /// The letter that the model names.
    fn letter(&self, question: &Question) -> Result<Chosen> {
        let letters = Letters::of(&question.choices);
        let talk = self.talk(LETTER_TOKENS);
        let asked = match conversation(&question.context) {
            Some(messages) => written(&letters.within(messages)),
            None => letters.asked(&question.context),
        };
        if conversation(&asked).is_none() && self.ways.completes.get() != Some(&false) {
            // of a text the next token is more telling than what a model rambles on about
            let prompt = format!("{asked}\nAnswer:");
            match self.client.likely(&prompt, LIKELIEST) {
                Ok(Told { answer: Some(likely), input, output, estimated, seconds }) => {
                    let tokens = (input + output).round() as usize;
                    self.tally.add(&Told { answer: (), input, output, estimated, seconds });
                    let of = |likely: &endpoint::Likely| Some((letters.label(&likely.text)?, likely.logprob));
                    let best = likely.iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1));
                    let answer = likely.iter().max_by(|a, b| a.logprob.total_cmp(&b.logprob));
                    let answer = answer.map(|likely| likely.text.clone()).unwrap_or_default();
                    self.ways.note(format!(
                        "questions with choices were put to {} with a letter for each choice, and the likeliest letter was \
                         taken: it does not tell how likely the choices themselves are",
                        self.name()
                    ));
                    return Ok(Chosen { choice: best.map(|(choice, _)| choice), answer, tokens });
                }
                Ok(told) => self.tally.add(&told),
                Err(error) if error.is_absent() => drop(self.ways.completes.set(false)),
                Err(error) => return self.counted(Err(error)).map(|_: Told<()>| unreachable!("it is an error")),
            }
        }
        let asked = match conversation(&asked) {
            Some(_) => asked,
            None => written(&[endpoint::Message { role: "user".into(), content: asked }]),
        };
        let told = self.said(&asked, talk, 0)?;
        self.ways.note(format!(
            "questions with choices were put to {} with a letter for each choice, and the letter that it answered was taken: \
             it does not tell how likely the choices are",
            self.name()
        ));
        Ok(Chosen {
            choice: letters.named(&told.answer.text),
            tokens: (told.input + told.output).round() as usize,
            answer: told.answer.text,
        })
    }

    fn talk(&self, max_tokens: usize) -> Talk {
        Talk { seed: self.seed, ..Talk::greedy(max_tokens) }
    }
}

impl Ways {
    fn note(&self, note: String) {
        lock(&self.notes).insert(note);
    }

    /// What is to be said of the answers, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        lock(&self.notes).iter().cloned().collect()
    }
}

/// A conversation as a text, which its messages can be read from again.
fn written(messages: &[endpoint::Message]) -> String {
    let json: Vec<Json> = messages.iter().map(|m| serde_json::json!([m.role, m.content])).collect();
    format!("{CONVERSATION}{}", Json::Array(json))
}

/// The messages of a conversation that was written so; None of a text.
fn conversation(text: &str) -> Option<Vec<endpoint::Message>> {
    let messages: Vec<(String, String)> = serde_json::from_str(text.strip_prefix(CONVERSATION)?).ok()?;
    Some(messages.into_iter().map(|(role, content)| endpoint::Message { role, content }).collect())
}

/// The likelihood of a continuation: of the tokens at the end that have a letter of it.
fn likelihood(tokens: &[Token], continuation: &str) -> Result<(f64, bool, usize)> {
    let wanted = continuation.chars().count();
    let (mut covered, mut logprob, mut greedy, mut count) = (0, 0.0, true, 0);
    for token in tokens.iter().rev() {
        if covered >= wanted {
            break;
        }
        let Some(own) = token.logprob else { break };
        covered += token.text.chars().count();
        logprob += own;
        greedy &= token.is_likeliest;
        count += 1;
    }
    let tail: String = tokens[tokens.len() - count..].iter().map(|token| token.text.as_str()).collect();
    // tokens that are no whole letters are written in ways of their own
    if covered < wanted || (!tail.ends_with(continuation) && !tail.contains(['\\', '\u{fffd}', 'Ġ', '▁'])) {
        bail!(Unaskable::new(format!("the tokens that the endpoint tells do not spell {continuation:?}: {tail:?}")));
    }
    Ok((logprob, greedy, count))
}

impl LanguageModel for EndpointModel {
    fn write_chat(&mut self, messages: &[Message], style: &ChatStyle) -> Result<Written> {
        if let Some(template) = &style.template {
            bail!(
                "an endpoint writes conversations by its own chat template, and knows none by the name of {template}"
            );
        }
        if !style.tools.is_empty() {
            bail!("an endpoint is not told of tools; write them into doc_to_text, as {{{{ tools | tojson }}}}");
        }
        if !style.variables.is_empty() {
            let names: Vec<&str> = style.variables.keys().map(String::as_str).collect();
            self.ways.note(format!("{} was not told chat_template_kwargs ({})", self.name(), names.join(", ")));
        }
        let own = |m: &Message| endpoint::Message { role: m.role.name().into(), content: m.content.clone() };
        Ok(Written { text: written(&messages.iter().map(own).collect::<Vec<_>>()), without_system: false })
    }

    fn loglikelihood(&mut self, requests: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        let one = |Continuations { context, continuations }: &Continuations| {
            let likely = |continuation: &String| {
                let told = self.tokens(&format!("{context}{continuation}"))?;
                let (logprob, greedy, _) = likelihood(&told.answer, continuation)?;
                let tokens = (told.input + told.output).round() as usize;
                Ok(Loglikelihood { logprob, greedy, tokens, truncated: false })
            };
            continuations.iter().map(likely).collect()
        };
        requests.iter().map(one).collect()
    }

    fn loglikelihood_rolling(&mut self, texts: &[&str]) -> Result<Vec<Rolling>> {
        let one = |text: &&str| {
            let told = self.tokens(text)?;
            self.ways.note(format!("{} tells no likelihood of a text's first token, which is left out", self.name()));
            let logprob = told.answer.iter().filter_map(|token| token.logprob).fold(0.0, |sum, own| sum + own);
            Ok(Rolling { logprob, tokens: told.answer.len() })
        };
        texts.iter().map(one).collect()
    }

    fn chooses(&mut self, talks: bool) -> Result<bool> {
        Ok(match self.client.terms().at.choices {
            ChoicesBy::Answer => true,
            ChoicesBy::Logprobs => false,
            ChoicesBy::Auto => talks || !self.echoes()?,
        })
    }

    fn choose(&mut self, questions: &[Question]) -> Result<Vec<Chosen>> {
        questions.iter().map(|question| self.letter(question)).collect()
    }

    fn generate(&mut self, prompts: &[&str], settings: &GenerationSettings) -> Result<Vec<Generated>> {
        let budget = settings.thinking.as_ref().and_then(|thinking| thinking.budget).unwrap_or(0);
        let schema = match &settings.grammar {
            None => None,
            Some(Grammar::JsonSchema(schema)) if self.client.terms().at.api == Api::Openai => Some(schema.clone()),
            Some(_) => bail!(
                "only a JSON schema goes with an endpoint, and only in OpenAI's form; ask it with constrained = false"
            ),
        };
        let one = |prompt: &&str| {
            let talk = Talk {
                schema: schema.clone(),
                temperature: settings.temperature,
                top_p: settings.top_p,
                top_k: settings.top_k,
                min_p: settings.min_p,
                stop: settings.until.clone(),
                ..self.talk(settings.max_tokens + budget)
            };
            let told = self.said(prompt, talk, settings.draw)?;
            Ok(generated(told, settings))
        };
        prompts.iter().map(one).collect()
    }
}

/// An answer without its thinking, cut before the first stop string.
fn generated(told: Told<Said>, settings: &GenerationSettings) -> Generated {
    let Said { text, thinking, stopped } = told.answer;
    let mut text = text;
    let mut thought = None;
    if let Some(asked) = &settings.thinking {
        let after = text.rsplit_once(&asked.end).map(|(_, after)| after.trim_start().to_owned());
        let tokens = thinking.unwrap_or(0);
        let is_over = after.is_some() || !text.trim().is_empty() && stopped == Stopped::End;
        thought = Some(Thought { tokens, end: if is_over { ThoughtEnd::Own } else { ThoughtEnd::Open } });
        text = after.unwrap_or(text);
    }
    let cut = tokens::before_stop(&text, &settings.until).map(str::to_owned);
    let stopped = match (&cut, stopped) {
        (Some(_), _) => StopReason::Until,
        (None, Stopped::Length) => StopReason::Length,
        (None, Stopped::End) => StopReason::EndOfText,
    };
    Generated {
        text: cut.unwrap_or(text),
        tokens: (told.input + told.output).round() as usize,
        truncated: false,
        stopped,
        thought,
        likelihood: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(all: &[(&str, f64)]) -> Vec<Token> {
        let token = |&(text, logprob): &(&str, f64)| Token {
            text: text.into(),
            logprob: Some(logprob),
            is_likeliest: logprob > -1.5,
        };
        all.iter().map(token).collect()
    }

    #[test]
    fn a_continuation_has_the_tokens_at_the_end_that_spell_it() {
        let all = tokens(&[("Q:", -9.0), (" x", -9.0), (" one", -1.0), (" two", -2.0)]);
        assert_eq!(likelihood(&all, " two").expect("spelt"), (-2.0, false, 1));
        assert_eq!(likelihood(&all, " one two").expect("spelt"), (-3.0, false, 2));
        // a token that begins before it counts as its
        assert_eq!(likelihood(&all, "wo").expect("spelt"), (-2.0, false, 1));
        assert!(likelihood(&all, " three").expect_err("other words").is::<Unaskable>());
        assert!(likelihood(&all[3..], " one two").is_err(), "it is cut off");
    }

    #[test]
    fn a_conversation_is_read_from_the_text_that_it_travels_as() {
        let messages = vec![endpoint::Message { role: "user".into(), content: "Q\n\"".into() }];
        assert_eq!(conversation(&written(&messages)), Some(messages));
        assert_eq!(conversation("Q"), None);
    }

    #[test]
    fn an_answer_is_cut_at_stops_and_after_its_thinking() {
        let told = |text: &str, stopped| {
            let answer = Said { text: text.into(), thinking: Some(3), stopped };
            Told { answer, input: 4.0, output: 2.0, estimated: false, seconds: 1.0 }
        };
        let mut settings = GenerationSettings { until: vec!["\n\n".into()], ..GenerationSettings::greedy(8) };
        let cut = generated(told("A\n\nB", Stopped::End), &settings);
        assert_eq!((cut.text.as_str(), cut.stopped, cut.tokens), ("A", StopReason::Until, 6));
        assert_eq!(generated(told("A", Stopped::Length), &settings).stopped, StopReason::Length);
        settings.thinking = Some(bantam_eval::Thinking { end: "</think>".into(), budget: None });
        let thought = generated(told("hm</think> A", Stopped::End), &settings);
        assert_eq!((thought.text.as_str(), thought.thought.map(|t| t.end)), ("A", Some(ThoughtEnd::Own)));
        let open = generated(told("hm", Stopped::Length), &settings);
        assert_eq!(open.thought.map(|t| t.end), Some(ThoughtEnd::Open));
    }
}
