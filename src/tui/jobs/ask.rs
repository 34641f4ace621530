//! One prompt for two variants: each is loaded as `bantam chat` loads it, and both answer in turns, a token each, so that
//! neither takes the other's time and each speed is its own.

use super::caught;
use crate::library::fit::CONTEXT;
use crate::library::home::Home;
use crate::library::models::{self, ModelFacts};
use crate::serve::{Draws, Ended, Said, Talk};
use crate::tui::Say;
use crate::tui::action::{Answered, Both, Message};
use anyhow::{Result, bail};
use bantam_core::cancel::Cancel;
use bantam_core::record::{Id, Place, Variant};
use bantam_core::sync::lock;
use bantam_lab::{self as lab, Recipe};
use bantam_model::{LoadOptions, Model};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Tokens of an answer, at most.
const LONGEST: usize = 256;
/// Two models stay in memory so long after the last answer.
const IDLE: Duration = Duration::from_secs(60);

/// The two that were asked last, as long as they stay loaded.
#[derive(Default)]
pub(super) struct AskJobs(Option<Pair>);

struct Pair {
    ids: (Id, Id),
    sides: [Sender<Prompt>; 2],
    /// The number of the prompt that is to be answered; zero for none.
    newest: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Prompt {
    number: u64,
    text: String,
}

impl AskJobs {
    /// Asks both; what they answered before ends.
    pub(super) fn ask(&mut self, number: u64, both: &Both, text: String, say: &Say) {
        self.stop();
        self.0.iter().for_each(|pair| pair.newest.store(number, Ordering::SeqCst));
        let ids = (both.one.id.clone(), both.other.id.clone());
        let prompt = Prompt { number, text };
        if let Some(pair) = self.0.as_ref().filter(|pair| pair.ids == ids)
            && pair.sides.iter().all(|side| side.send(prompt.clone()).is_ok())
        {
            return;
        }
        let newest = Arc::new(AtomicU64::new(number));
        let turns = Arc::new(Turns::default());
        let side = |side: usize, variant: &Variant| {
            let (sender, prompts) = channel();
            let (variant, newest, turns, say) = (variant.clone(), newest.clone(), turns.clone(), say.clone());
            thread::spawn(move || Side { side, turns: &turns, newest: &newest, say: &say }.go(&variant, &prompts));
            // the thread hears it when it has loaded its model
            let _ = sender.send(prompt.clone());
            sender
        };
        let sides = [side(0, &both.one), side(1, &both.other)];
        self.0 = Some(Pair { ids, sides, newest });
    }

    /// Ends the answers that are on their way.
    pub(super) fn stop(&self) {
        self.0.iter().for_each(|pair| pair.newest.store(0, Ordering::SeqCst));
    }
}

/// Who of the two may compute a token.
#[derive(Default)]
struct Turns {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    /// Loaded, or never to be.
    ready: [bool; 2],
    /// Has an answer on its way.
    answers: [bool; 2],
    turn: usize,
}

impl Turns {
    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut lock(&self.now));
        self.changed.notify_all();
    }

    /// Waits until both are loaded and it is one's turn, or the other has no answer on its way.
    fn take(&self, side: usize) {
        let mut now = lock(&self.now);
        while !(now.ready == [true; 2] && (now.turn == side || !now.answers[1 - side])) {
            now = self.changed.wait(now).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        now.turn = side;
    }

    fn pass(&self, side: usize) {
        self.change(|now| now.turn = 1 - side);
    }
}

/// One of the two, on its thread.
struct Side<'t> {
    side: usize,
    turns: &'t Turns,
    newest: &'t AtomicU64,
    say: &'t Say,
}

impl Side<'_> {
    fn go(&self, variant: &Variant, prompts: &Receiver<Prompt>) {
        let loaded = caught(|| self.load(variant));
        self.turns.change(|now| now.ready[self.side] = true);
        match loaded {
            Err(error) => {
                let why = crate::show::sentence(&error);
                while let Ok(prompt) = prompts.recv_timeout(IDLE) {
                    self.say.say(Message::Answered(prompt.number, self.side, Err(why.clone())));
                }
            }
            Ok(model) => {
                let model = Arc::new(model);
                while let Ok(prompt) = prompts.recv_timeout(IDLE) {
                    let answered = caught(|| self.answer(&model, &prompt));
                    self.turns.change(|now| now.answers[self.side] = false);
                    let answered = answered.map_err(|error| crate::show::sentence(&error));
                    self.say.say(Message::Answered(prompt.number, self.side, answered));
                }
            }
        }
    }

    /// Loads the variant; one that a recipe makes is made first, unless it is there.
    fn load(&self, variant: &Variant) -> Result<Model> {
        let place = place(variant)?;
        let ModelFacts::Decoder(facts) = models::inspect(&place)? else {
            bail!("{} is an encoder, which answers nothing", variant.label())
        };
        let context = facts.config.max_positions.min(CONTEXT as usize);
        let options = LoadOptions {
            max_length: Some(context),
            adapter: variant.model.adapter.clone(),
            kv: models::kv_type(variant.kv),
            ..LoadOptions::default()
        };
        models::load(&place, &options)
    }

    fn answer(&self, model: &Arc<Model>, prompt: &Prompt) -> Result<Answered> {
        let mut talk = Talk::begin(model, None)?;
        self.turns.change(|now| now.answers[self.side] = true);
        let draws = Draws { temperature: 0.0, top_p: 1.0, top_k: None, min_p: 0.0, seed: 1, max_tokens: LONGEST };
        let watch = Watch::default();
        let stop = || {
            if watch.end() {
                self.turns.pass(self.side);
            }
            if self.newest.load(Ordering::SeqCst) != prompt.number {
                return true;
            }
            self.turns.take(self.side);
            watch.begin();
            false
        };
        let took = talk.answer(&prompt.text, &draws, &stop, &mut |said| {
            let (Said::Text(text) | Said::Thought(text)) = said;
            self.say.say(Message::Said(prompt.number, self.side, text));
            Ok(())
        });
        watch.end();
        let took = took?;
        let (first, tps) = watch.of(took.tokens);
        Ok(Answered { tokens: took.tokens, first, tps, is_whole: took.ended == Ended::Whole })
    }
}

/// The time that one of the two computes, without the turns of the other.
#[derive(Default)]
struct Watch {
    since: Cell<Option<Instant>>,
    /// What was computed in at the end of each pass, in seconds.
    ends: RefCell<Vec<f64>>,
}

impl Watch {
    fn begin(&self) {
        self.since.set(Some(Instant::now()));
    }

    /// Ends a pass; false where none was begun.
    fn end(&self) -> bool {
        let Some(since) = self.since.take() else { return false };
        let mut ends = self.ends.borrow_mut();
        let before = ends.last().copied().unwrap_or(0.0);
        ends.push(before + since.elapsed().as_secs_f64());
        true
    }

    /// Seconds until the first of so many tokens, and the rate of the others; passes before it read the prompt.
    fn of(&self, tokens: usize) -> (f64, Option<f64>) {
        let ends = self.ends.borrow();
        let at = ends.len().saturating_sub(tokens.max(1));
        let (first, last) = (ends.get(at).copied().unwrap_or(0.0), ends.last().copied().unwrap_or(0.0));
        (first, (tokens > 1 && last > first).then(|| (tokens - 1) as f64 / (last - first)))
    }
}

/// Where a variant's weights are.
fn place(variant: &Variant) -> Result<Place> {
    if variant.has_own_files() {
        return Ok(variant.model.place.clone());
    }
    let name = variant.recipe.as_deref().unwrap_or("base");
    let recipe = Recipe::parse(name, &variant.steps)?;
    let source = models::source(&variant.model.name, &variant.model.place)?;
    let source = source.of_commit(variant.model.commit.clone());
    let artifact = lab::apply(&source, &recipe, &Home::find()?.artifacts(), &Cancel::new(), &mut |_| ())?;
    Ok(Place::Gguf(artifact.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_others_turns_counts_for_nobody() {
        let watch = Watch::default();
        *watch.ends.borrow_mut() = vec![0.5, 1.0, 1.1, 1.2, 1.3];
        // two passes read the prompt, the second of them gave the first of four tokens
        let (first, tps) = watch.of(4);
        assert!((first - 1.0).abs() < 1e-9 && tps.is_some_and(|tps| (tps - 10.0).abs() < 1e-6), "{first} {tps:?}");
        assert_eq!(watch.of(1), (1.3, None));
        assert!(!watch.end(), "no pass was begun");
    }

    #[test]
    fn turns_alternate_and_whoever_is_left_goes_on_alone() {
        let turns = Arc::new(Turns::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        turns.change(|now| (now.ready, now.answers) = ([true; 2], [true; 2]));
        let side = |side: usize, passes: usize| {
            let (turns, order) = (turns.clone(), order.clone());
            thread::spawn(move || {
                for _ in 0..passes {
                    turns.take(side);
                    lock(&order).push(side);
                    turns.pass(side);
                }
                turns.change(|now| now.answers[side] = false);
            })
        };
        for thread in [side(0, 3), side(1, 5)] {
            thread.join().expect("ends");
        }
        assert_eq!(*lock(&order), [0, 1, 0, 1, 0, 1, 1, 1]);
    }
}
