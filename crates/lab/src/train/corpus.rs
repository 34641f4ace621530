//! What is learnt from, as tokens: prompts with the completions that are right, conversations through the model's chat
//! template, tables by templates, the right answers of a suite's tasks, or plain text in windows. What counts is the
//! completion, or the assistant's words, and nothing else.

use super::batch::Example;
use super::trainer::{Documents, read_step};
use anyhow::{Context, Result, anyhow, bail, ensure};
use bantam_core::disk::hex;
use bantam_core::input;
use bantam_eval::{self as eval, ChatStyle, Context as Asked, Lesson, Line, LineTemplate, Lines, Message, Role};
use bantam_model::Tokenizer;
use bantam_model::chat::{ChatTemplate, Conversation};
use bantam_model::tokenizer::Special;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The longest text that is read whole.
const LONGEST: u64 = 1 << 30;

/// How the lines of a file become prompts and completions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// What the model reads, such as `Message: {{ text }}\nTopic:`; without, the line's field `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What it should say, such as ` {{ category }}`; without, the line's field `completion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
}

/// Tokenized documents.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// The documents, each by its number.
    pub examples: Vec<Example>,
    /// How many were longer than the longest that is read, and are not among them.
    pub left_out: usize,
}

impl Corpus {
    /// SHA-256 of its documents as tokens, with what of them counts.
    pub(super) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for example in &self.examples {
            example.tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
            example.weights.iter().for_each(|weight| hash.update(weight.to_le_bytes()));
            hash.update(b"\n");
        }
        hex(&hash.finalize())
    }
}

/// What makes tokens of what was said.
pub struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    chat: Option<ChatTemplate>,
    /// Tokens of a document, at most.
    longest: usize,
}

/// What a suite has to teach of one line.
pub struct Taught {
    /// The line's place.
    pub place: String,
    /// The prompt and the right answer.
    pub lesson: Lesson,
    /// How the prompt is written where it is a conversation.
    pub style: Option<ChatStyle>,
}

/// What stands around a prompt and its completion.
#[derive(Clone, Copy)]
enum Around {
    /// What the tokenizer puts around a text.
    Text,
    /// The same, and the token that ends a text.
    Ended,
    /// What a chat template has written, and the token that ends the turn.
    Turn(Option<u32>),
}

/// A part of a document, and whether it counts.
struct Piece {
    text: String,
    counts: bool,
}

impl<'a> Reader<'a> {
    /// Reads by a tokenizer, and by its chat template where it has one.
    ///
    /// # Errors
    /// Where the template does not compile.
    pub fn new(tokenizer: &'a Tokenizer, longest: usize) -> Result<Reader<'a>> {
        Ok(Reader { tokenizer, chat: ChatTemplate::of(tokenizer, false)?, longest })
    }

    /// Reads a file of lines: JSON lines of {prompt, completion} or {messages}, or whatever the templates make of a line.
    ///
    /// # Errors
    /// Where the file cannot be read or has nothing in it, or of the first line that lacks what is needed, by its number.
    pub fn lines(&self, path: &Path, templates: &Templates) -> Result<Corpus> {
        let template = |key: &'static str, given: &Option<String>| {
            given.as_deref().map(|text| LineTemplate::new(text, "the training data's templates", key)).transpose()
        };
        let prompt = template("prompt", &templates.prompt)?;
        let completion = template("completion", &templates.completion)?;
        let lines = Lines::read(path)?;
        let documents = lines.iter().map(|line| self.line(line, prompt.as_ref(), completion.as_ref()));
        self.corpus(documents.collect::<Result<Vec<_>>>()?)
    }

    /// Reads the right answers of a suite's tasks, or of one of them (`FILE#TASK`).
    ///
    /// # Errors
    /// Where the suite cannot be loaded, has no such task, or tasks that have no right answers to say.
    pub fn suite(&self, name: &str) -> Result<Corpus> {
        let document = |Taught { place, lesson, style }: Taught| match &lesson.prompt {
            Asked::Text(prompt) => self.pair(prompt, &lesson.answer, Around::Text).with_context(|| place),
            Asked::Chat(messages) => self.turn(messages, style, &lesson.answer).with_context(|| place),
            Asked::Tools { .. } => {
                bail!("{place}: tools that the chat template writes cannot be learnt with; name them in doc_to_text")
            }
        };
        self.corpus(lessons(name)?.into_iter().map(document).collect::<Result<Vec<_>>>()?)
    }

    /// Reads a text in windows of so many tokens, all of which count; what is left at the end is a window of its own where
    /// it is half as long.
    ///
    /// # Errors
    /// Where the file cannot be read, or is shorter than half a window.
    pub fn text(&self, path: &Path) -> Result<Corpus> {
        let name = path.display();
        let text = input::read_to_string(path, LONGEST).map_err(|e| anyhow!("{name}: cannot read the text: {e}"))?;
        let tokens = self.tokenizer.encode_letters(&text)?;
        let bos = self.tokenizer.bos().map(|bos| bos.id).filter(|_| self.tokenizer.adds_bos());
        let (body, window) = (&tokens[usize::from(bos.is_some())..], self.longest - usize::from(bos.is_some()));
        let windows = body.chunks(window).filter(|part| 2 * part.len() >= window);
        let documents: Vec<Example> = windows
            .map(|part| {
                let tokens: Vec<u32> = bos.into_iter().chain(part.iter().copied()).collect();
                Example { id: 0, weights: vec![1.0; tokens.len()], tokens }
            })
            .collect();
        ensure!(
            !documents.is_empty(),
            "{name}: {} tokens are too few to learn from; at least {} are needed, half a window",
            tokens.len(),
            window / 2
        );
        self.corpus(documents)
    }

    /// One line's document.
    fn line(&self, line: Line, prompt: Option<&LineTemplate>, completion: Option<&LineTemplate>) -> Result<Example> {
        let place = || line.place();
        let fields = line.fields();
        if let (None, None, Some(messages)) = (prompt, completion, fields.get("messages")) {
            let Json::Array(messages) = messages else { bail!("{}: messages are no list", place()) };
            return self.chat(messages).with_context(place);
        }
        let said = |template: Option<&LineTemplate>, key: &str| match (template, fields.get(key)) {
            (Some(template), _) => Ok(template.render(line)?),
            (None, Some(Json::String(text))) => Ok(text.clone()),
            (None, Some(_)) => bail!("{}: its {key} is no text", place()),
            (None, None) => bail!(
                "{}: it has no {key}; a line has prompt and completion, or messages, or the step says with a template \
                 what stands for them (its fields are {})",
                place(),
                fields.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        };
        let (prompt, completion) = (said(prompt, "prompt")?, said(completion, "completion")?);
        ensure!(!completion.is_empty(), "{}: its completion is empty, and there is nothing to learn from it", place());
        self.pair(&prompt, &completion, Around::Ended).with_context(place)
    }

    /// A prompt and what should follow. White space at the prompt's end is the completion's, as in lm-eval; the two are
    /// read as one text, and what counts are the tokens that the completion adds.
    fn pair(&self, prompt: &str, completion: &str, around: Around) -> Result<Example> {
        let stem = prompt.trim_end();
        let whole = format!("{prompt}{completion}");
        let special = if matches!(around, Around::Turn(_)) { Special::Without } else { Special::With };
        let before = self.tokenizer.encode(stem, special)?;
        let mut tokens = self.tokenizer.encode(&whole, special)?;
        let eos = self.tokenizer.eos().map(|eos| eos.id);
        tokens.extend(match around {
            Around::Text => None,
            Around::Ended => eos,
            Around::Turn(end) => end.or(eos),
        });
        // a first token has nothing before it that could predict it
        let from = before.len().max(1);
        ensure!(tokens.len() > from, "{completion:?} adds no token to its prompt");
        let weights = (0..tokens.len()).map(|at| f32::from(u8::from(at >= from))).collect();
        Ok(Example { id: 0, tokens, weights })
    }

    /// A task's conversation with its right answer, which ends the model's turn.
    fn turn(&self, messages: &[Message], style: Option<ChatStyle>, answer: &str) -> Result<Example> {
        let style = style.unwrap_or_default();
        let name = style.template.as_deref().unwrap_or("default");
        let chat = ChatTemplate::named(self.tokenizer, name)?
            .with_context(|| format!("the model has no chat template '{name}', in which the suite asks"))?;
        let continues = messages.last().is_some_and(|last| last.role == Role::Assistant);
        let messages: Vec<Json> =
            messages.iter().map(|m| json!({ "role": m.role.name(), "content": m.content })).collect();
        let prompt = chat.render(&Conversation {
            messages: &messages,
            add_generation_prompt: !continues,
            continue_final_message: continues,
            more: style.variables,
            ..Conversation::default()
        })?;
        self.pair(&prompt, answer, Around::Turn(chat.turn_end(self.tokenizer)))
    }

    /// A conversation in the model's template. What counts is what stands where the model is to answer, with the token that
    /// ends it.
    fn chat(&self, messages: &[Json]) -> Result<Example> {
        let chat = self.chat.as_ref().context(
            "it is a conversation, and the model has no chat template; write prompt and completion as the model is to read them",
        )?;
        let (mut tokens, mut weights) = (Vec::new(), Vec::new());
        for piece in pieces(chat, messages)? {
            let part = self.tokenizer.encode(&piece.text, Special::Without)?;
            weights.resize(weights.len() + part.len(), f32::from(u8::from(piece.counts)));
            tokens.extend(part);
        }
        Ok(Example { id: 0, tokens, weights })
    }

    /// The documents that are short enough, numbered.
    fn corpus(&self, documents: Vec<Example>) -> Result<Corpus> {
        let count = documents.len();
        let mut examples: Vec<Example> = documents.into_iter().filter(|one| one.tokens.len() <= self.longest).collect();
        examples.iter_mut().zip(0..).for_each(|(example, id)| example.id = id);
        ensure!(!examples.is_empty(), "all {count} documents are longer than {} tokens", self.longest);
        Ok(Corpus { left_out: count - examples.len(), examples })
    }
}

/// What a suite's tasks have to teach, or one of them (`FILE#TASK`), each with its line.
///
/// # Errors
/// Where the suite cannot be loaded, has no such task, or tasks that have no right answers to say.
pub fn lessons(name: &str) -> Result<Vec<Taught>> {
    let (file, tasks) = tasks(name)?;
    let mut all = Vec::new();
    for task in tasks {
        let kind = task.output_type();
        let no_answers =
            || format!("{file}: task {} is of the kind {kind}, which has no right answers to learn", task.name);
        let style = task.chat_style();
        let lessons = task.lessons().with_context(no_answers)?.into_iter();
        all.extend(lessons.map(|(place, lesson)| Taught { place, lesson, style: style.cloned() }));
    }
    Ok(all)
}

/// What a suite's tasks ask, or one of them (`FILE#TASK`), as text for people and without the answers.
///
/// # Errors
/// Where the suite cannot be loaded, has no such task, or its tasks put no text to a model.
pub fn prompts(name: &str) -> Result<Vec<String>> {
    let (file, tasks) = tasks(name)?;
    let all: Vec<String> = tasks.iter().flat_map(|task| task.prompts().into_values()).collect();
    ensure!(!all.is_empty(), "{file}: its tasks put no text to a model");
    Ok(all)
}

/// The file of a suite and its tasks, or the one that is named behind `#`.
fn tasks(name: &str) -> Result<(&str, Vec<eval::Task>)> {
    let (file, task) = name.split_once('#').map_or((name, None), |(file, task)| (file, Some(task)));
    ensure!(
        eval::is_simple(file)?,
        "{file}: its templates compute, and the lab reads suites whose templates do not; write its prompts and answers as JSON \
         lines of prompt and completion"
    );
    let suite = eval::load_with(file, &|data| Err(format!("{data} is on the hub; pull it and name its file")))?;
    let names: Vec<String> = suite.tasks.iter().map(|task| task.name.clone()).collect();
    let mut tasks = suite.tasks;
    tasks.retain(|known| task.is_none_or(|task| known.name == task));
    ensure!(!tasks.is_empty(), "{file}: there is no task {:?} in it; it has {}", task.unwrap_or(""), names.join(", "));
    Ok((file, tasks))
}

/// SHA-256 of what a suite has to teach, so that another content is another recipe.
///
/// # Errors
/// As `lessons`.
pub fn digest_of_lessons(name: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for Taught { lesson: Lesson { prompt, answer }, style, .. } in lessons(name)? {
        match prompt {
            Asked::Text(prompt) => hash.update(format!("{} {}\n{prompt}{answer}", prompt.len(), answer.len())),
            Asked::Chat(_) | Asked::Tools { .. } => hash.update(serde_json::to_vec(&(prompt, answer, style))?),
        }
    }
    Ok(hex(&hash.finalize()))
}

/// A conversation as the template writes it, cut where the assistant begins and ends.
fn pieces(chat: &ChatTemplate, messages: &[Json]) -> Result<Vec<Piece>> {
    let render = |upto: usize, answers: bool| {
        let messages = &messages[..upto];
        chat.render(&Conversation { messages, add_generation_prompt: answers, ..Conversation::default() })
    };
    let is_answer = |message: &Json| message.get("role") == Some(&json!("assistant"));
    ensure!(
        messages.iter().any(is_answer),
        "no message of it is the assistant's, and there is nothing to learn from it"
    );
    let (mut pieces, mut done) = (Vec::new(), String::new());
    for at in (0..messages.len()).filter(|at| is_answer(&messages[*at])) {
        let (asked, answered) = (render(at, true)?, render(at + 1, false)?);
        let (Some(before), Some(answer)) = (asked.strip_prefix(&done), answered.strip_prefix(&asked)) else {
            bail!("the model's chat template writes message {} otherwise when more follows", at + 1)
        };
        // what the template writes behind the token that ends the answer is not the model's to say
        pieces.push(Piece { text: before.to_owned(), counts: false });
        pieces.push(Piece { text: answer.trim_end().to_owned(), counts: true });
        pieces.push(Piece { text: answer[answer.trim_end().len()..].to_owned(), counts: false });
        done = answered;
    }
    pieces.pop();
    Ok(pieces)
}

/// A corpus as a run reads it: some of it held out, the rest in an order of its own each time through.
#[derive(Debug)]
pub struct Split {
    /// What is trained on.
    pub train: Vec<Example>,
    /// What is not.
    pub held_out: Vec<Example>,
    /// Which of `train` comes when, as far as the run goes.
    order: Vec<u32>,
    /// Tokens of the run.
    pub tokens: u64,
    /// Times that the run goes through all of `train`.
    pub epochs: f64,
}

/// What is held out is at most so many documents: their loss is computed often.
const MOST_HELD_OUT: usize = 256;

impl Split {
    /// Splits a corpus: a share of `held_out` for judging, the rest for `steps` steps of `batch` tokens.
    ///
    /// # Errors
    /// Where nothing is left to train on.
    pub fn new(corpus: Corpus, held_out: f64, seed: u64, steps: u64, batch: usize) -> Result<Split> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut examples = corpus.examples;
        shuffle(&mut examples, &mut random);
        let count = ((held_out * examples.len() as f64).ceil() as usize).min(MOST_HELD_OUT);
        ensure!(count < examples.len(), "{} documents are too few to hold {held_out} of them out", examples.len());
        let train = examples.split_off(count);
        let mut split = Split { train, held_out: examples, order: Vec::new(), tokens: 0, epochs: 0.0 };
        split.extend(steps, batch, &mut random)?;
        Ok(split)
    }

    /// Draws an order until there are as many documents as the steps read, and those that are read ahead.
    fn extend(&mut self, steps: u64, batch: usize, random: &mut ChaCha8Rng) -> Result<()> {
        let mut next = 0;
        for _ in 0..steps {
            let (after, examples) = loop {
                let room = self.order.len() as u64;
                match read_step(&*self, next, batch) {
                    // the order went round within the step: it is drawn on, and the step read again
                    Ok((after, _)) if after + 1 >= room => self.draw(random),
                    read => break read?,
                }
            };
            self.tokens += examples.iter().map(|example| example.tokens.len() as u64).sum::<u64>();
            next = after;
        }
        self.epochs = next as f64 / self.train.len() as f64;
        Ok(())
    }

    fn draw(&mut self, random: &mut ChaCha8Rng) {
        let mut round: Vec<u32> = (0..self.train.len() as u32).collect();
        shuffle(&mut round, random);
        self.order.extend(round);
    }
}

impl Documents for Split {
    fn document(&self, index: u64) -> Result<Example> {
        let at = self.order.get(index as usize % self.order.len().max(1)).copied().unwrap_or(0);
        Ok(self.train[at as usize].clone())
    }
}

/// Fisher and Yates.
fn shuffle<T>(all: &mut [T], random: &mut ChaCha8Rng) {
    for i in (1..all.len()).rev() {
        all.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
}
