//! Completions, of conversations and of texts: from a request to prompts, from prompts to answers, to the client.

use super::answer::{Answer, Finish, News, Style};
use super::ask::{Fields, Wishes};
use super::engine::{Client, Event, Job};
use super::http::{Connection, Request};
use super::refusal::Refusal;
use super::reply::{Reply, Usage};
use super::text::Marks;
use super::{Shared, random};
use bantam_core::sync::lock;
use bantam_model::tokenizer::Special;
use bantam_model::{Sampling, TokenScore, Tokenizer};
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

/// Sequences that may wait for a slot; whoever comes then is told to come again.
const MOST_WAITING: usize = 1024;
/// How often somebody looks whether a client is still there.
const LOOK: Duration = Duration::from_millis(100);
/// Tokens of a text's completion where nobody says how many, as the API has it.
const DEFAULT_TOKENS: usize = 16;
/// Likeliest tokens that may be asked for with each one.
const MOST_LIKELY: u64 = 20;

/// What a request comes down to.
struct Plan {
    prompts: Vec<Vec<u32>>,
    /// The prompts as text, where they are to be repeated.
    echo: Vec<String>,
    /// How likely the tokens of the prompts are, where that is asked.
    scores: Vec<Vec<TokenScore>>,
    marks: Marks,
    turn_end: Option<u32>,
    wishes: Wishes,
}

/// The answers to a request, on their way.
struct Answers {
    count: usize,
    usage: Usage,
    events: Receiver<(usize, Event)>,
    gone: Arc<AtomicBool>,
    begun: Instant,
}

/// Why a request gets no answer.
pub(super) enum Failure {
    /// It is told why.
    Refused(Refusal),
    /// The client has gone away, or its answer was broken off.
    Gone,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

/// Answers a completion of either kind.
pub(super) fn complete(
    shared: &Shared,
    is_chat: bool,
    request: &Request,
    connection: &mut Connection,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let fields = Fields::read(&request.body)?;
    let plan = match is_chat {
        true => of_chat(shared, &fields)?,
        false => of_text(shared, &fields)?,
    };
    let count = plan.prompts.len() * plan.wishes.n;
    let mut reply = Reply {
        tokenizer: &shared.model.tokenizer,
        model: &shared.name,
        is_chat,
        number: random(),
        created: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()),
        logprobs: plan.wishes.logprobs.is_some(),
        echo: plan.echo.iter().flat_map(|prompt| std::iter::repeat_n(prompt.clone(), plan.wishes.n)).collect(),
        scored: scored(&plan),
        calls: vec![0; count],
    };
    let (streams, includes_usage) = (plan.wishes.streams, plan.wishes.includes_usage);
    let answers = send(shared, plan, begun)?;
    let gone = answers.gone.clone();
    let done = match streams {
        true => stream(shared, answers, &mut reply, includes_usage, request, connection),
        false => whole(shared, answers, &mut reply, request, connection),
    };
    match done {
        Ok(()) => shared.metrics.whole(begun.elapsed()),
        Err(_) => {
            // whatever is still decoded for it is for nobody
            gone.store(true, Ordering::Relaxed);
        }
    }
    done
}

fn of_chat(shared: &Shared, fields: &Fields) -> Result<Plan, Refusal> {
    let Some(chat) = &shared.chat else {
        let what = "the model has no chat template; send a prompt to /v1/completions";
        return Err(Refusal::of("messages", what.into()));
    };
    let mut wishes = fields.wishes(shared.model.config.vocab)?;
    let most = |key| fields.whole(key, 1..=u64::MAX);
    wishes.max_tokens = most("max_completion_tokens")?.or(most("max_tokens")?);
    let top = fields.whole("top_logprobs", 0..=MOST_LIKELY)?;
    wishes.logprobs = fields.flag("logprobs")?.unwrap_or(false).then_some(top.unwrap_or(0));
    if top.is_some() && wishes.logprobs.is_none() {
        return Err(Refusal::of("top_logprobs", "top_logprobs needs logprobs: true".into()));
    }
    let prompt = chat.prompt(fields, &wishes)?;
    let tokens = encoded(&prompt.text, &shared.model.tokenizer, "messages")?;
    Ok(Plan {
        prompts: vec![tokens],
        echo: Vec::new(),
        scores: Vec::new(),
        marks: prompt.marks,
        turn_end: prompt.turn_end,
        wishes,
    })
}

fn of_text(shared: &Shared, fields: &Fields) -> Result<Plan, Refusal> {
    let tokenizer = &shared.model.tokenizer;
    let mut wishes = fields.wishes(shared.model.config.vocab)?;
    wishes.max_tokens = Some(fields.whole("max_tokens", 0..=u64::MAX)?.unwrap_or(DEFAULT_TOKENS));
    wishes.logprobs = fields.whole("logprobs", 0..=MOST_LIKELY)?;
    let prompts = prompts(fields, tokenizer, shared.model.config.vocab)?;
    if prompts.len() * wishes.n > MOST_WAITING {
        let what =
            format!("prompt has {} and n is {}: {MOST_WAITING} answers may be asked for", prompts.len(), wishes.n);
        return Err(Refusal::of("prompt", what));
    }
    let repeats = fields.flag("echo")?.unwrap_or(false);
    if repeats && wishes.logprobs.is_some() && wishes.streams {
        let what = "echo with logprobs does not go with stream: the prompt's are told at once; leave stream out";
        return Err(Refusal::of("stream", what.into()).coded("unsupported_parameter"));
    }
    let (prompts, texts): (Vec<Vec<u32>>, Vec<String>) = prompts.into_iter().unzip();
    let scores = match repeats && wishes.logprobs.is_some() {
        true => scores(shared, &prompts)?,
        false => Vec::new(),
    };
    let marks = Marks { stops: wishes.stops.clone(), ..Marks::default() };
    Ok(Plan { prompts, echo: if repeats { texts } else { Vec::new() }, scores, marks, turn_end: None, wishes })
}

/// How likely the tokens of prompts are; those of one request after the other, since each takes the whole machine.
fn scores(shared: &Shared, prompts: &[Vec<u32>]) -> Result<Vec<Vec<TokenScore>>, Refusal> {
    let _alone = lock(&shared.scoring);
    let of = |prompt: &Vec<u32>| shared.model.token_scores(prompt);
    let all: bantam_model::Result<Vec<_>> = prompts.iter().map(of).collect();
    all.map_err(|error| Refusal::of("prompt", error.to_string()).coded("context_length_exceeded"))
}

/// The tokens of each answer's prompt with their likelihoods.
fn scored(plan: &Plan) -> Vec<Vec<(u32, Option<TokenScore>)>> {
    let of = |(prompt, scores): (&Vec<u32>, &Vec<TokenScore>)| {
        // nothing stands before the first
        let scores = std::iter::once(None).chain(scores.iter().copied().map(Some));
        prompt.iter().copied().zip(scores).collect::<Vec<_>>()
    };
    let all = plan.prompts.iter().zip(&plan.scores).map(of);
    all.flat_map(|scored| std::iter::repeat_n(scored, plan.wishes.n)).collect()
}

/// The prompts of a text's completion: one or several, each a text or tokens.
fn prompts(fields: &Fields, tokenizer: &Tokenizer, vocab: usize) -> Result<Vec<(Vec<u32>, String)>, Refusal> {
    let words = || {
        let last = vocab.saturating_sub(1);
        format!(
            "prompt is missing or of no use; allowed are a string, a list of strings, and lists of tokens (0 to {last})"
        )
    };
    let wrong = || Refusal::of("prompt", words());
    let token = |value: &Json| value.as_u64().filter(|token| *token < vocab as u64).map(|token| token as u32);
    let tokens = |all: &[Json]| -> Option<Vec<u32>> { all.iter().map(token).collect() };
    let one = |value: &Json| match value {
        Json::String(text) => Ok((encoded(text, tokenizer, "prompt")?, text.clone())),
        Json::Array(all) => {
            let tokens = tokens(all).ok_or_else(wrong)?;
            let text = tokenizer.decode(&tokens, Special::With).unwrap_or_default();
            Ok((tokens, text))
        }
        _ => Err(wrong()),
    };
    match fields.get("prompt") {
        Some(Json::Array(all)) if all.is_empty() => Err(wrong()),
        Some(Json::Array(all)) if all[0].is_number() => Ok(vec![one(&Json::Array(all.clone()))?]),
        Some(Json::Array(all)) => all.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
        None => Err(wrong()),
    }
}

/// The tokens of a prompt, with those that the tokenizer sets around a text unless it begins with them itself.
pub(super) fn encoded(text: &str, tokenizer: &Tokenizer, param: &str) -> Result<Vec<u32>, Refusal> {
    let first = tokenizer.bos().or(tokenizer.eos()).filter(|token| !token.text.is_empty());
    let begins = first.is_some_and(|token| text.starts_with(&token.text));
    let special = if begins { Special::Without } else { Special::With };
    tokenizer.encode(text, special).map_err(|error| Refusal::of(param, error.to_string()))
}

/// Hands a plan to the engine.
fn send(shared: &Shared, plan: Plan, begun: Instant) -> Result<Answers, Refusal> {
    let Plan { prompts, marks, turn_end, wishes, .. } = plan;
    let longest = shared.model.longest_generated();
    if let Some(prompt) = prompts.iter().find(|prompt| prompt.is_empty() || prompt.len() >= longest) {
        let len = prompt.len();
        let what = match len {
            0 => "the prompt has no tokens, allowed are 1 and more".to_owned(),
            _ => format!("the prompt has {len} tokens, and the context is {longest}: allowed are 1 to {}", longest - 1),
        };
        return Err(Refusal::of("prompt", what).coded("context_length_exceeded"));
    }
    let count = prompts.len() * wishes.n;
    let before = shared.metrics.waiting.fetch_add(count, Ordering::Relaxed);
    if before + count > MOST_WAITING {
        shared.metrics.waiting.fetch_sub(count, Ordering::Relaxed);
        let what = format!("{before} answers wait for a slot already, and {MOST_WAITING} may; ask again later");
        return Err(Refusal::new(503, what).coded("overloaded"));
    }
    let ((events, heard), gone) = (mpsc::channel(), Arc::new(AtomicBool::new(false)));
    let seed = wishes.seed.unwrap_or_else(random);
    let style = Style {
        marks,
        logprobs: wishes.logprobs,
        bias: wishes.bias.clone(),
        frequency_penalty: wishes.frequency_penalty,
        presence_penalty: wishes.presence_penalty,
    };
    let ends: Vec<u32> = shared.model.config.eos.iter().copied().chain(turn_end).collect();
    let held = wishes.grammar.as_ref().map(|grammar| shared.hold(grammar, &ends)).transpose()?;
    let usage = Usage { prompt: prompts.iter().map(Vec::len).sum(), ..Usage::default() };
    for (number, prompt) in prompts.into_iter().enumerate() {
        for n in 0..wishes.n {
            let sampling = Sampling {
                temperature: wishes.temperature,
                top_k: wishes.top_k,
                top_p: wishes.top_p,
                min_p: wishes.min_p,
                seed: seed.wrapping_add(n as u64),
                end_tokens: turn_end.into_iter().collect(),
                ignore_eos: wishes.ignores_eos,
                ..Sampling::greedy(wishes.max_tokens.unwrap_or(usize::MAX))
            };
            let client = Client {
                index: number * wishes.n + n,
                events: events.clone(),
                gone: gone.clone(),
                streams: wishes.streams,
            };
            let answer = Answer::new(shared.model.clone(), style.clone(), held.clone());
            let job = Job { prompt: prompt.clone(), sampling, answer, client };
            shared.jobs.send(job).map_err(|_| stopped())?;
        }
    }
    Ok(Answers { count, usage, events: heard, gone, begun })
}

fn stopped() -> Refusal {
    Refusal::new(503, "the engine has stopped; the server has to be started again".into())
}

impl Answers {
    /// The next event; none where the client has gone away, or all is said.
    fn next(&self, connection: &Connection, shared: &Shared) -> Result<(usize, Event), Failure> {
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) if shared.is_stopping() => {
                    return Err(Failure::Refused(Refusal::new(503, "the server is stopping".into())));
                }
                Err(RecvTimeoutError::Timeout) if connection.is_gone() => return Err(Failure::Gone),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Refused(stopped())),
            }
        }
    }

    fn add(&mut self, tokens: usize, reasoning: usize) {
        self.usage.answers += tokens;
        self.usage.reasoning += reasoning;
    }
}

/// Waits for all answers and sends them.
fn whole(
    shared: &Shared,
    mut answers: Answers,
    reply: &mut Reply,
    request: &Request,
    connection: &mut Connection,
) -> Result<(), Failure> {
    let mut all: Vec<(News, Option<Finish>)> = vec![(News::default(), None); answers.count];
    let mut is_first = true;
    while all.iter().any(|(_, finish)| finish.is_none()) {
        let (index, event) = answers.next(connection, shared)?;
        if std::mem::take(&mut is_first) {
            shared.metrics.first_token(answers.begun.elapsed());
        }
        match event {
            Event::News(_) => {}
            Event::Done { last, finish, tokens, reasoning_tokens } => {
                answers.add(tokens, reasoning_tokens);
                all[index] = (last, Some(finish));
            }
            Event::Failed(why) => return Err(Failure::Refused(Refusal::new(500, why))),
        }
    }
    let all = all.into_iter().map(|(news, finish)| (news, finish.expect("all have ended"))).collect();
    let body = reply.whole(all, answers.usage).to_string();
    let sent = connection.answer(200, "application/json", body.as_bytes(), "", request.keeps);
    sent.map_err(|_| Failure::Gone)
}

/// Sends answers as they come, as server-sent events.
fn stream(
    shared: &Shared,
    mut answers: Answers,
    reply: &mut Reply,
    includes_usage: bool,
    request: &Request,
    connection: &mut Connection,
) -> Result<(), Failure> {
    let (mut begun, mut left, mut looked) = (false, answers.count, Instant::now());
    while left > 0 {
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            if connection.is_gone() {
                return Err(Failure::Gone);
            }
        }
        let event = match answers.next(connection, shared) {
            Ok((_, Event::Failed(why))) => Err(Failure::Refused(Refusal::new(500, why))),
            other => other,
        };
        let (index, event) = match event {
            Ok(event) => event,
            // the head is sent: the error is an event
            Err(Failure::Refused(refusal)) if begun => {
                let sent = connection.piece(&format!("data: {}\n\n", refusal.body()), request);
                let _ = sent.and_then(|()| connection.end(request));
                return Err(Failure::Gone);
            }
            Err(failure) => return Err(failure),
        };
        let mut chunks = Vec::new();
        if !std::mem::replace(&mut begun, true) {
            shared.metrics.first_token(answers.begun.elapsed());
            connection.begin("text/event-stream", request).map_err(|_| Failure::Gone)?;
            chunks.extend((0..answers.count).filter_map(|index| reply.begin(index)));
        }
        match event {
            Event::News(news) => chunks.extend(reply.news(index, &news)),
            Event::Done { last, finish, tokens, reasoning_tokens } => {
                answers.add(tokens, reasoning_tokens);
                chunks.extend(reply.news(index, &last));
                chunks.push(reply.end(index, finish));
                left -= 1;
            }
            Event::Failed(_) => unreachable!("it was taken out above"),
        }
        let text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        if !text.is_empty() {
            connection.piece(&text, request).map_err(|_| Failure::Gone)?;
        }
    }
    let mut text = String::new();
    if includes_usage {
        text = format!("data: {}\n\n", reply.usage(answers.usage));
    }
    text.push_str("data: [DONE]\n\n");
    connection.piece(&text, request).and_then(|()| connection.end(request)).map_err(|_| Failure::Gone)
}
