//! `bantam chat MODEL`: a conversation with a model on the terminal, answers as they come, and what each took.

use super::Exit;
use super::args::{at_least_one, at_least_two};
use super::generating::{self, Generating};
use super::kld::start_threads;
use crate::serve::{Draws, Ended, Said, Talk, Took};
use crate::show::out::{self, note};
use crate::show::{counted, sentence};
use anyhow::{Context, Result, anyhow};
use bantam_core::cache_type::CacheType;
use bantam_core::meant::meant_words;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Converse {
    /// Bundled model, folder, .gguf file or ORG/NAME[@REVISION] in the cache
    pub model: String,
    /// What the model is told before the conversation
    #[arg(long, short, value_name = "TEXT")]
    pub system: Option<String>,
    /// How freely words are drawn; 0 takes the likeliest each time
    #[arg(long, value_name = "NUMBER", default_value_t = 0.7, value_parser = temperature, allow_negative_numbers = true)]
    pub temperature: f32,
    /// Keep the fewest tokens that together are so likely
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = share)]
    pub top_p: f32,
    /// Keep only so many tokens, the likeliest [default: all]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub top_k: Option<usize>,
    /// Keep tokens at least this share as likely as the likeliest
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub min_p: f32,
    /// Seed of the draws
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Tokens of an answer, at most [default: as many as the context has room for]
    #[arg(long, value_name = "TOKENS", value_parser = at_least_one)]
    pub max_tokens: Option<usize>,
    /// Tokens of the whole conversation [default: 4096, or what the model takes]
    #[arg(long, short, value_name = "TOKENS", value_parser = at_least_two)]
    pub ctx: Option<usize>,
    /// Keep keys and values in this type: f32, f16, q8_0, q4_0 [default: f16]
    #[arg(long, value_name = "TYPE")]
    pub kv: Option<CacheType>,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Say nothing of what an answer took
    #[arg(long, short)]
    pub quiet: bool,
}

/// What logits are divided by.
fn temperature(text: &str) -> Result<f32, String> {
    within(2.0, text)
}

/// A share of one.
fn share(text: &str) -> Result<f32, String> {
    within(1.0, text)
}

fn within(most: f32, text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        _ => Err(format!("allowed is a number from 0 to {most}")),
    }
}

/// Commands between messages, and what they do.
const COMMANDS: [(&str, &str); 5] = [
    ("/reset", "forget the conversation and begin a new one"),
    (
        "/system",
        "with a text: tell the model that before the conversation, which begins anew; alone: say what it is told",
    ),
    ("/again", "answer the last message once more"),
    ("/help", "this list"),
    ("/quit", "leave (also Ctrl-D)"),
];
/// Tokens of an answer where nothing was taught to end it.
const PLAIN: usize = 256;
/// How often somebody looks whether Ctrl-C was pressed while nothing is typed.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(args: Converse) -> Result<Exit> {
    start_threads(args.threads)?;
    let otherwise = "answers nothing; a model that generates is talked with";
    let Generating { name, context, model, .. } = generating::load(&args.model, args.ctx, args.kv, otherwise)?;
    let model = Arc::new(model);
    let talk = Talk::begin(&model, args.system.clone())?;
    let look = Look { is_typed: io::stdin().is_terminal(), is_read: io::stdout().is_terminal() };
    greet(&name, &talk, context, look);
    let draws = Draws {
        temperature: args.temperature,
        top_p: args.top_p,
        top_k: args.top_k,
        min_p: args.min_p,
        seed: args.seed,
        max_tokens: args.max_tokens.unwrap_or(if talk.chats() { usize::MAX } else { PLAIN }),
    };
    Session { talk, draws, look, stop: Arc::default(), last: None, quiet: args.quiet }.go()
}

/// Who is at both ends.
#[derive(Clone, Copy)]
struct Look {
    /// Somebody types, and is shown where.
    is_typed: bool,
    /// Somebody reads, and sees what the model thinks.
    is_read: bool,
}

fn greet(name: &str, talk: &Talk, context: usize, look: Look) {
    if !talk.chats() {
        note!(
            "{name} has no chat template, so it was not taught to talk: what you write is gone on with as it stands, and \
             nothing is kept between messages; \\n stands for a line break"
        );
    }
    if look.is_typed {
        note!("{name}, up to {context} tokens; /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves");
    }
}

struct Session<'m> {
    talk: Talk<'m>,
    draws: Draws,
    look: Look,
    /// Somebody pressed Ctrl-C.
    stop: Arc<AtomicBool>,
    last: Option<String>,
    quiet: bool,
}

/// What comes of a line.
enum Next {
    Message(String),
    Done,
    Leave,
}

impl Session<'_> {
    fn go(mut self) -> Result<Exit> {
        flag::register(SIGINT, self.stop.clone()).context("installing signal handlers")?;
        let lines = read_lines();
        loop {
            if self.look.is_typed {
                out::ask("> ").context("asking for a message")?;
            }
            let Some(line) = self.line(&lines)? else { break };
            if self.stop.swap(false, Ordering::SeqCst) {
                return Ok(Exit::Interrupted);
            }
            match self.command(line.trim()) {
                Next::Message(text) => self.answer(text)?,
                Next::Done => {}
                Next::Leave => break,
            }
        }
        Ok(Exit::Done)
    }

    /// The next line; nothing where the input has ended. Lines that end in a backslash go on.
    fn line(&self, lines: &Receiver<io::Result<String>>) -> Result<Option<String>> {
        let mut whole = String::new();
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) => {
                    let line = line.context("reading a message")?;
                    match line.strip_suffix('\\').filter(|_| self.talk.chats()) {
                        Some(begun) => whole = whole + begun + "\n",
                        None => return Ok(Some(whole + &line)),
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.stop.load(Ordering::SeqCst) => {
                    note!("");
                    return Ok(Some(String::new()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok((!whole.is_empty()).then_some(whole)),
            }
        }
    }

    fn command(&mut self, line: &str) -> Next {
        if !line.starts_with('/') {
            return match line.is_empty() {
                true => Next::Done,
                false if self.talk.chats() => Next::Message(line.to_owned()),
                false => Next::Message(line.replace("\\n", "\n")),
            };
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "/reset" => {
                self.talk.reset();
                note!("the conversation begins anew");
            }
            "/system" if !self.talk.chats() => {
                note!("the model has no chat template, and so nothing it could be told before")
            }
            "/system" if rest.trim().is_empty() => match self.talk.system() {
                Some(system) => note!("it is told: {system}"),
                None => note!("it is told nothing before the conversation; /system TEXT tells it something"),
            },
            "/system" => {
                self.talk.tell(Some(rest.trim().to_owned()));
                note!("it is told that; the conversation begins anew");
            }
            "/again" => match self.last.take() {
                Some(text) => {
                    self.talk.take_back();
                    return Next::Message(text);
                }
                None => note!("there is no message yet to answer again"),
            },
            "/help" => COMMANDS.iter().for_each(|(command, what)| note!("{command:<8} {what}")),
            "/quit" | "/exit" | "/bye" => return Next::Leave,
            other => {
                let commands = COMMANDS.map(|(command, _)| command);
                note!("there is no {other}{}; there are {}", meant_words(other, commands), commands.join(", "));
            }
        }
        Next::Done
    }

    /// Answers a message as the answer comes; an error ends the answer, and the conversation goes on.
    fn answer(&mut self, text: String) -> Result<()> {
        let (stop, look) = (self.stop.clone(), self.look);
        let (mut thinks, mut ends_line, mut begun) = (false, false, false);
        let mut printed: io::Result<()> = Ok(());
        let took = self.talk.answer(&text, &self.draws, &|| stop.load(Ordering::SeqCst), &mut |said| {
            let written = match &said {
                // who reads a file wants the answer alone
                Said::Thought(_) if !look.is_read => return Ok(()),
                Said::Thought(thought) => out::piece(thought, true),
                Said::Text(text) if thinks => out::piece(&format!("\n{text}"), false),
                // many a template leaves the space before an answer to the model
                Said::Text(text) if !begun => out::piece(text.trim_start(), false),
                Said::Text(text) => out::piece(text, false),
            };
            thinks = matches!(said, Said::Thought(_));
            begun |= matches!(&said, Said::Text(text) if !text.trim().is_empty());
            ends_line = matches!(&said, Said::Text(text) if text.ends_with('\n'));
            written.map_err(|error| {
                let told = anyhow!("printing the answer: {error}");
                printed = Err(error);
                told
            })
        });
        self.stop.store(false, Ordering::SeqCst);
        // a reader that has gone is the end of it
        printed.context("printing the answer")?;
        if !ends_line {
            out::piece("\n", false).context("printing the answer")?;
        }
        self.last = Some(text);
        match took {
            Ok(took) if !self.quiet => out::aside(&told(&took)),
            Ok(_) => {}
            Err(error) => note!("bantam: {}", sentence(&error)),
        }
        Ok(())
    }
}

/// "[58 tokens at 42.1 tok/s; first after 0.12 s, 34 tokens read at 420 tok/s and 120 known from before]".
fn told(took: &Took) -> String {
    let rate = |rate: Option<f64>| rate.map_or_else(String::new, |rate| format!(" at {rate:.1} tok/s"));
    let read = took.prompt - took.known;
    let known = if took.known > 0 { format!(" and {} known from before", took.known) } else { String::new() };
    let ended = match took.ended {
        Ended::Whole => "",
        Ended::TooLong => "; cut: it is as long as an answer may be",
        Ended::Stopped => "; stopped",
    };
    format!(
        "[{}{}; first after {}, {} of the prompt read{}{known}{ended}]",
        counted(took.tokens, "token"),
        rate(took.decode_tps()),
        took.first,
        counted(read, "token"),
        rate(took.prefill_tps()),
    )
}

/// Lines of the input, read on a thread of its own so that Ctrl-C is noticed while nothing is typed.
fn read_lines() -> Receiver<io::Result<String>> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
