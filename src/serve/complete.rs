//! Completions, of conversations and of texts: from a request to prompts, from prompts to answers, to the client.

use super::answer::{Answer, Finish, News, Style};
use super::ask::{Fields, Wishes};
use super::engine::{Client, Event, Job};
use super::http::{Connection, Request};
use super::refusal::Refusal;
use super::reply::{Reply, Usage};
use super::text::{Marks, Piece};
use super::{Member, Shared, random};
use bantam_core::stats::calibration::Shares;
use bantam_core::sync::lock;
use bantam_core::system::Sureness;
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
    let asked = Asked { fields: &fields, is_chat, begun, request };
    let Some(router) = &shared.router else { return answer(&shared.members[0], &asked, connection) };
    let task = fields.get("model").and_then(Json::as_str);
    let rule = router.rule(task);
    let first = &shared.members[rule.first];
    let Some(escalate) = &rule.escalate else { return answer(first, &asked, connection) };
    let then = &shared.members[escalate.to];
    match (escalate.by, fields.choices()) {
        // how sure it is of choices is told by their likelihoods, and so is which one it takes
        (Sureness::Share, Some(choices)) => {
            let plan = asked.plan(first)?;
            let (likeliest, share) = chosen(first, &plan, &choices)?;
            if share >= escalate.below {
                return answer_with(first, &asked, plan, &choices[likeliest], connection);
            }
            shared.metrics.escalated.fetch_add(1, Ordering::Relaxed);
            let plan = asked.plan(then)?;
            let (likeliest, _) = chosen(then, &plan, &choices)?;
            answer_with(then, &asked, plan, &choices[likeliest], connection)
        }
        // a limit on choices says nothing of what is written
        (Sureness::Share, None) => answer(then, &asked, connection),
        (Sureness::Likelihood, _) => match tried(first, &asked, escalate.below, connection)? {
            Some((answers, mut reply, wishes)) => deliver(first, answers, &mut reply, &wishes, &asked, connection),
            None => {
                shared.metrics.escalated.fetch_add(1, Ordering::Relaxed);
                answer(then, &asked, connection)
            }
        },
    }
}

/// A request that has been read.
struct Asked<'a> {
    fields: &'a Fields,
    is_chat: bool,
    begun: Instant,
    request: &'a Request,
}

impl Asked<'_> {
    /// What it comes down to for a model.
    fn plan(&self, member: &Member) -> Result<Plan, Refusal> {
        match self.is_chat {
            true => of_chat(member, self.fields),
            false => of_text(member, self.fields),
        }
    }

    fn reply<'m>(&self, member: &'m Member, plan: &Plan) -> Reply<'m> {
        let count = plan.prompts.len() * plan.wishes.n;
        Reply {
            tokenizer: &member.model.tokenizer,
            model: &member.name,
            is_chat: self.is_chat,
            number: random(),
            created: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()),
            logprobs: plan.wishes.logprobs.is_some(),
            echo: plan.echo.iter().flat_map(|prompt| std::iter::repeat_n(prompt.clone(), plan.wishes.n)).collect(),
            scored: scored(plan),
            calls: vec![0; count],
        }
    }
}

/// Has a model answer.
fn answer(member: &Member, asked: &Asked, connection: &mut Connection) -> Result<(), Failure> {
    let plan = asked.plan(member)?;
    let (mut reply, wishes) = (asked.reply(member, &plan), plan.wishes.clone());
    let answers = send(member, plan, asked.begun)?;
    deliver(member, answers, &mut reply, &wishes, asked, connection)
}

/// Brings answers to the client, whole or as they come.
fn deliver(
    member: &Member,
    answers: Answers,
    reply: &mut Reply,
    wishes: &Wishes,
    asked: &Asked,
    connection: &mut Connection,
) -> Result<(), Failure> {
    let gone = answers.gone.clone();
    let done = match wishes.streams {
        true => stream(member, answers, reply, wishes.includes_usage, asked.request, connection),
        false => whole(member, answers, reply, asked.request, connection),
    };
    match done {
        Ok(()) => member.metrics.whole(asked.begun.elapsed()),
        Err(_) => {
            // whatever is still decoded for it is for nobody
            gone.store(true, Ordering::Relaxed);
        }
    }
    done
}

/// Has a model answer, and gives its answers where it is at least as sure of each as the limit: the geometric mean of its
/// tokens' probabilities, as tasks are measured.
fn tried<'m>(
    member: &'m Member,
    asked: &Asked,
    below: f64,
    connection: &Connection,
) -> Result<Option<(Answers, Reply<'m>, Wishes)>, Failure> {
    let mut plan = asked.plan(member)?;
    let (reply, wishes) = (asked.reply(member, &plan), plan.wishes.clone());
    // nobody reads along before it is known who answers
    plan.wishes.streams = false;
    plan.wishes.logprobs.get_or_insert(0);
    let answers = send(member, plan, asked.begun)?;
    let mut told = Vec::new();
    while told.len() < answers.count {
        match answers.next(connection, member) {
            Ok((_, Event::News(_))) => {}
            Ok((_, Event::Failed(why))) => return Err(Failure::Refused(Refusal::new(500, why))),
            Ok((index, Event::Done { last, finish, tokens, reasoning_tokens })) => {
                if sure(&last) < below {
                    answers.gone.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                told.push((index, Event::Done { last, finish, tokens, reasoning_tokens }));
            }
            Err(failure) => {
                answers.gone.store(true, Ordering::Relaxed);
                return Err(failure);
            }
        }
    }
    let (usage, begun) = (answers.usage, answers.begun);
    Ok(Some((Answers::told(told, usage, begun), reply, wishes)))
}

/// The geometric mean of the probabilities of what was written; an answer without tokens is not sure of anything.
fn sure(news: &News) -> f64 {
    match news.drawn.len() {
        0 => 0.0,
        count => (news.drawn.iter().map(|drawn| f64::from(drawn.logprob)).sum::<f64>() / count as f64).exp(),
    }
}

/// The choice that a model finds the likeliest, and its share.
fn chosen(member: &Member, plan: &Plan, choices: &[String]) -> Result<(usize, f64), Refusal> {
    let [prompt] = &plan.prompts[..] else {
        return Err(Refusal::of("prompt", "several prompts are not sent on by choices; send one".into()));
    };
    let encode = |choice: &String| member.model.tokenizer.encode(choice, Special::Without);
    let refused = |error: bantam_model::Error| Refusal::of("structured_outputs", error.to_string());
    let continuations = choices.iter().map(encode).collect::<bantam_model::Result<Vec<_>>>().map_err(refused)?;
    let _alone = lock(&member.scoring);
    let item = bantam_model::Item { context: prompt.clone(), continuations };
    let found = member.model.loglikelihoods(&[item]).map_err(refused)?;
    let logprobs: Vec<f64> = found.iter().flatten().map(|of| of.logprob).collect();
    let shares = Shares::of(&logprobs);
    let known = shares.filter(|shares| shares.confidence().is_finite());
    Ok(known.map_or((0, 0.0), |shares| (shares.likeliest, shares.confidence())))
}

/// Answers with a text that is known already.
fn answer_with(
    member: &Member,
    asked: &Asked,
    plan: Plan,
    text: &str,
    connection: &mut Connection,
) -> Result<(), Failure> {
    let mut reply = asked.reply(member, &plan);
    let usage = Usage { prompt: plan.prompts.iter().map(Vec::len).sum(), ..Usage::default() };
    let tokens = member.model.tokenizer.encode(text, Special::Without).map_or(0, |tokens| tokens.len());
    let last = News { pieces: vec![Piece::Content(text.to_owned())], drawn: Vec::new() };
    let told = vec![(0, Event::Done { last, finish: Finish::Stop, tokens, reasoning_tokens: 0 })];
    deliver(member, Answers::told(told, usage, asked.begun), &mut reply, &plan.wishes, asked, connection)
}

fn of_chat(shared: &Member, fields: &Fields) -> Result<Plan, Refusal> {
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

fn of_text(shared: &Member, fields: &Fields) -> Result<Plan, Refusal> {
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
fn scores(shared: &Member, prompts: &[Vec<u32>]) -> Result<Vec<Vec<TokenScore>>, Refusal> {
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
fn send(shared: &Member, plan: Plan, begun: Instant) -> Result<Answers, Refusal> {
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
    /// Answers that are there already.
    fn told(events: Vec<(usize, Event)>, usage: Usage, begun: Instant) -> Answers {
        let (count, (told, heard)) = (events.len(), mpsc::channel());
        // who hears them is held below
        events.into_iter().for_each(|event| drop(told.send(event)));
        Answers { count, usage, events: heard, gone: Arc::default(), begun }
    }

    /// The next event; none where the client has gone away, or all is said.
    fn next(&self, connection: &Connection, shared: &Member) -> Result<(usize, Event), Failure> {
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
    shared: &Member,
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
    shared: &Member,
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
