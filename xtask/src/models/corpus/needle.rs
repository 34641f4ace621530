//! Finding a value in a long context: a register of lines `NAME CODE` among notes of other kinds, then a question that
//! repeats one name. The code stands right behind its name, since that is what a small model's induction heads can
//! follow: with a verb between the two, none of the sizes had learned the task after ten million tokens.
//!
//! Held out are names, codes and notes.

use super::random::Random;
use super::split::Split;
use super::suite::{Suite, fill};
use super::words::{self, DAYS};
use super::{Doc, Sample};
use serde_json::json;

const MANIFEST: &str = r#"name = "needle"
version = 1
title = "Finding a value in a long context"
description = "A register of who has which code, among other notes; one name is asked for again. Scored by the length of the register (about so many tokens) and by where in it the line stands."

[[task]]
task = "needle"
data = "needle.jsonl"
output_type = "generate_until"
doc_to_text = "{{context}}\nQ: {{question}}"
doc_to_target = "{{answer}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "exact_match" }]
generation_kwargs = { until = ["\n"], max_gen_toks = 8 }
filter_list = [{ name = "code", filter = [{ function = "regex", regex_pattern = "([A-Z]\\d\\d)" }, { function = "take_first" }] }]
slices = ["tokens", "position"]
"#;

/// The nominal lengths, in tokens of the family's tokenizer.
const LENGTHS: [usize; 4] = [64, 128, 256, 448];
/// Lengths that training meets, how often by documents, and how many questions it asks of one register: they cost
/// little once the register is read. The shortest teach what to look for, the longer ones to look further.
const LESSONS: [(usize, usize, usize); 5] = [(32, 60, 3), (64, 50, 4), (128, 35, 6), (256, 20, 8), (448, 10, 12)];
/// Names, codes and notes of a register are all chance: they hardly count.
const REGISTER_WEIGHT: f32 = 0.03;

const LETTERS: &[u8] = b"ABCDEFGHJKLMNPRSTVWX";

const THINGS: [&str; 16] = [
    "lift", "gate", "printer", "heater", "roof", "fence", "boiler", "door", "lamp", "window", "pump", "van", "kitchen",
    "cellar", "garden", "office",
];
const EVENTS: [&str; 14] = [
    "was checked",
    "was cleaned",
    "was closed",
    "was painted",
    "was repaired",
    "was open again",
    "got a new key",
    "was too warm",
    "was too cold",
    "was out of order",
    "was moved",
    "was empty",
    "was fine",
    "was locked",
];
const TIMES: [&str; 10] = [
    "at noon",
    "at night",
    "this morning",
    "last week",
    "before lunch",
    "after lunch",
    "by mistake",
    "once more",
    "for an hour",
    "for the visitors",
];

#[derive(Clone, Copy)]
enum Position {
    Start,
    Middle,
    End,
}

impl Position {
    const ALL: [Position; 3] = [Position::Start, Position::Middle, Position::End];

    fn name(self) -> &'static str {
        match self {
            Position::Start => "start",
            Position::Middle => "middle",
            Position::End => "end",
        }
    }

    /// The share of the lines, in percent, among which the asked one stands.
    fn range(self) -> (usize, usize) {
        match self {
            Position::Start => (0, 25),
            Position::Middle => (38, 63),
            Position::End => (75, 100),
        }
    }
}

struct NeedleEntry {
    line: usize,
    question: String,
    code: String,
}

struct Register {
    lines: Vec<String>,
    entries: Vec<NeedleEntry>,
    phrases: Vec<String>,
}

impl Register {
    fn draw(random: &mut Random, split: Split, length: usize) -> Self {
        let mut register = Register { lines: Vec::new(), entries: Vec::new(), phrases: Vec::new() };
        let notes = [15, 35, 55][random.below(3)];
        let mut tokens = 8; // the question
        loop {
            let (line, entry) = if register.entries.len() > 1 && random.chance(notes) {
                (note(random, split), None)
            } else {
                let (question, code) = register.entry(random, split);
                (format!("{question} {code}"), Some((question, code)))
            };
            tokens += cost(&line);
            if tokens > length && register.entries.len() > 1 {
                return register;
            }
            if let Some((question, code)) = entry {
                register.entries.push(NeedleEntry { line: register.lines.len(), question, code });
            } else {
                register.phrases.push(line.clone());
            }
            register.lines.push(line);
        }
    }

    /// A new name with a new code.
    fn entry(&self, random: &mut Random, split: Split) -> (String, String) {
        loop {
            let (name, code) = (words::name(random, split), code(random, split));
            if self.entries.iter().all(|entry| entry.question != name && entry.code != code) {
                return (name, code);
            }
        }
    }

    fn context(&self) -> String {
        self.lines.join("\n")
    }
}

fn code(random: &mut Random, split: Split) -> String {
    split.draw(random, "code", String::clone, |random| {
        format!("{}{:02}", char::from(LETTERS[random.below(LETTERS.len())]), random.below(100))
    })
}

fn note(random: &mut Random, split: Split) -> String {
    split.draw(random, "note", String::clone, |random| {
        let when =
            if random.chance(30) { format!("on {}", random.pick(&DAYS)) } else { random.pick(&TIMES).to_owned() };
        format!("The {} {} {when}.", random.pick(&THINGS), random.pick(&EVENTS))
    })
}

/// About how many tokens a line takes: words of the notes are one each, a name is two or three, a code three.
fn cost(line: &str) -> usize {
    let words = line.split(' ').count();
    if line.ends_with('.') { words + 2 } else { words + 4 }
}

fn item(random: &mut Random, length: usize, position: Position) -> Sample {
    loop {
        let register = Register::draw(random, Split::HeldOut, length);
        let (from, to) = position.range();
        let lines = register.lines.len();
        let there: Vec<&NeedleEntry> =
            register.entries.iter().filter(|e| (from..=to).contains(&(100 * e.line / (lines - 1).max(1)))).collect();
        if there.is_empty() {
            continue;
        }
        let entry = there[random.below(there.len())];
        let context = register.context();
        return Sample {
            prompt: format!("{context}\nQ: {}", entry.question),
            target: entry.code.clone(),
            fields: json!({
                "context": context, "question": entry.question, "answer": entry.code,
                "tokens": length, "position": position.name(),
            }),
            template: None,
            phrases: register.phrases.iter().cloned().chain([entry.question.clone(), entry.code.clone()]).collect(),
        };
    }
}

pub(super) fn training(random: &mut Random) -> Doc {
    let (most, _, questions) = LESSONS[random.weighted(&LESSONS.map(|(_, weight, _)| weight))];
    let length = random.between(most * 5 / 8, most);
    let register = Register::draw(random, Split::Training, length);
    let mut pieces = vec![(register.context() + "\n", REGISTER_WEIGHT)];
    for at in random.order(register.entries.len()).into_iter().take(questions) {
        let entry = &register.entries[at];
        pieces.push((format!("Q: {}", entry.question), REGISTER_WEIGHT));
        pieces.push((format!(" {}\n", entry.code), 1.0));
    }
    Doc { pieces }
}

pub(super) fn suite(random: &mut Random) -> Suite {
    let mut items = Vec::new();
    for length in LENGTHS {
        for position in Position::ALL {
            fill(&mut items, 30, || item(random, length, position));
        }
    }
    Suite::new("needle", MANIFEST, items)
}
