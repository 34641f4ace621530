//! The battery of losses: tasks that are made, not stored, so that any base and variant can be asked what compression took.
//! The same name gives the same items on every machine: `battery:seed=1,items=40,lengths=256+1024`.
//!
//! Arithmetic by steps (the same items as choices and as generated answers) and by digits, a fact found again by context
//! length and position, and short open requests whose answers may run into a loop, not end, or refuse. Numbers are small
//! and words plain, so that models of a hundred million parameters can do some of it: what a base cannot do it cannot lose.

use serde_json::{Value, json};
use std::fmt::Write as _;

/// What a battery's name begins with.
pub(crate) const PREFIX: &str = "battery:";
/// The name of the suite that it makes.
pub(crate) const SUITE: &str = "battery";
/// The most items of one kind and step; a thousand are known to a point.
const MOST_ITEMS: usize = 1000;
/// Bytes of the filler's text a token, about: what lengths are made with.
const BYTES_A_TOKEN: f64 = 4.3;
/// Where in the context the fact stands, in percent of it.
const POSITIONS: [usize; 5] = [0, 25, 50, 75, 100];
/// The longest context, in tokens.
const LONGEST: usize = 1 << 17;

/// What a battery asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Battery {
    /// Decides the items.
    pub seed: u64,
    /// Items of each number of steps and digits; a cell of length and position has a quarter of them.
    pub items: usize,
    /// Context lengths in tokens, about; none asks for no fact.
    pub lengths: Vec<usize>,
}

impl Battery {
    /// The name by which a suite is loaded.
    pub fn name(&self) -> String {
        let lengths: Vec<String> = self.lengths.iter().map(usize::to_string).collect();
        format!("{PREFIX}seed={},items={},lengths={}", self.seed, self.items, lengths.join("+"))
    }

    /// Tells whether a suite's name is a battery's.
    pub fn is_name(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// Reads a name; an error in one sentence.
    pub(crate) fn parse(name: &str) -> Result<Battery, String> {
        let wrong = || format!("'{name}' is no battery; write {PREFIX}seed=1,items=40,lengths=256+1024");
        let mut battery = Battery { seed: 1, items: 40, lengths: Vec::new() };
        for part in name.strip_prefix(PREFIX).ok_or_else(wrong)?.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            match key {
                "seed" => battery.seed = value.parse().map_err(|_| wrong())?,
                "items" => battery.items = value.parse().map_err(|_| wrong())?,
                "lengths" => {
                    let lengths = value.split('+').filter(|length| !length.is_empty()).map(str::parse);
                    battery.lengths = lengths.collect::<Result<_, _>>().map_err(|_| wrong())?;
                }
                _ => return Err(wrong()),
            }
        }
        if battery.items == 0 || battery.items > MOST_ITEMS {
            return Err(format!("'{name}' asks for {} items of a kind; allowed are 1 to {MOST_ITEMS}", battery.items));
        }
        if let Some(length) = battery.lengths.iter().find(|length| !(64..=LONGEST).contains(*length)) {
            return Err(format!("'{name}' has a length of {length} tokens; allowed are 64 to {LONGEST}"));
        }
        Ok(battery)
    }

    /// The suite's file.
    pub(crate) fn manifest(&self) -> String {
        let mut text = MANIFEST.to_owned();
        if !self.lengths.is_empty() {
            text.push_str(NEEDLE);
        }
        text
    }

    /// A file of data that the suite names.
    pub(crate) fn data(&self, name: &str) -> Option<String> {
        let lines: Vec<Value> = match name {
            "steps.jsonl" => self.steps(),
            "digits.jsonl" => self.digits(),
            "needle.jsonl" => self.needles(),
            "open.jsonl" => OPEN.iter().map(|(kind, text)| json!({ "kind": kind, "text": text })).collect(),
            _ => return None,
        };
        Some(lines.iter().fold(String::new(), |mut text, line| {
            // a String takes whatever is written to it
            let _ = writeln!(text, "{line}");
            text
        }))
    }

    /// Chains of sums and differences that stay within 0 to 20.
    fn steps(&self) -> Vec<Value> {
        let mut dice = Dice::new(self.seed, "steps");
        let mut all = Vec::new();
        for steps in 1..=6 {
            for _ in 0..self.items {
                let start = 1 + dice.below(9) as i64;
                let (mut at, mut question) = (start, format!("Start with {start}."));
                for _ in 0..steps {
                    let by = 1 + dice.below(9) as i64;
                    let adds = if at + by > 20 { false } else { at < by || dice.below(2) == 0 };
                    at += if adds { by } else { -by };
                    question += &if adds { format!(" Add {by}.") } else { format!(" Take away {by}.") };
                }
                let choices = near(at, &mut dice);
                let label = choices.iter().position(|choice| *choice == at.to_string());
                all.push(json!({
                    "question": question, "answer": at.to_string(), "choices": choices, "label": label,
                    "steps": steps.to_string(),
                }));
            }
        }
        all
    }

    /// Sums and differences of numbers of one to four digits.
    fn digits(&self) -> Vec<Value> {
        let mut dice = Dice::new(self.seed, "digits");
        let mut all = Vec::new();
        for digits in 1..=4_u32 {
            for item in 0..self.items {
                let (low, high) = (if digits == 1 { 1 } else { 10_i64.pow(digits - 1) }, 10_i64.pow(digits));
                let mut number = || low + dice.below((high - low) as u64) as i64;
                let (a, b) = (number(), number());
                let (op, a, b) = if item % 2 == 0 { ("+", a, b) } else { ("-", a.max(b), a.min(b)) };
                let answer = if op == "+" { a + b } else { a - b };
                let kind = if op == "+" { "sum" } else { "difference" };
                all.push(json!({ "sum": format!("{a} {op} {b}"), "answer": answer.to_string(), "digits": digits.to_string(), "operation": kind }));
            }
        }
        all
    }

    /// A register of other notes, and somewhere in it who has which code; three others have codes, too.
    fn needles(&self) -> Vec<Value> {
        let mut dice = Dice::new(self.seed, "needle");
        let mut all = Vec::new();
        let per_cell = self.items.div_ceil(4);
        for &length in &self.lengths {
            for position in POSITIONS {
                for _ in 0..per_cell {
                    all.push(needle(length, position, &mut dice));
                }
            }
        }
        all
    }
}

fn needle(length: usize, position: usize, dice: &mut Dice) -> Value {
    let names = dice.some(&NAMES, 4);
    // each of another thousand, so that no two are the same
    let mut codes: Vec<String> = (0..4).map(|n| (1000 * (2 * n + 1) + dice.below(2000)).to_string()).collect();
    dice.shuffle(&mut codes);
    let size = (length.saturating_sub(60) as f64 * BYTES_A_TOKEN) as usize;
    let mut notes: Vec<String> = Vec::new();
    let mut bytes = 0;
    while bytes < size {
        let note = format!(
            "{} {} the {} in the {}.",
            dice.one(&["On Monday", "On Tuesday", "In the morning", "At noon", "In the evening", "Last week"]),
            dice.one(&[
                "someone cleaned",
                "they repaired",
                "we painted",
                "a neighbour found",
                "the guard locked",
                "she sold"
            ]),
            dice.one(&["table", "bicycle", "lamp", "window", "wagon", "piano", "ladder", "clock", "mirror", "basket"]),
            dice.one(&["garden", "kitchen", "cellar", "library", "station", "market", "office", "school", "harbour"]),
        );
        bytes += note.len() + 1;
        notes.push(note);
    }
    let fact = |n: usize| format!("The code of {} is {}.", names[n], codes[n]);
    let at = notes.len() * position / 100;
    notes.insert(at, fact(0));
    // the others stand anywhere, so that a code alone is no answer
    for other in 1..4 {
        let place = dice.below(notes.len() as u64 + 1) as usize;
        notes.insert(place, fact(other));
    }
    let mut choices = codes.clone();
    dice.shuffle(&mut choices);
    json!({
        "context": notes.join(" "), "name": names[0], "answer": codes[0],
        "label": choices.iter().position(|choice| *choice == codes[0]), "choices": choices,
        "length": length.to_string(), "position": position.to_string(), "cell": format!("{length}@{position}"),
    })
}

/// The right number among three that are near.
fn near(right: i64, dice: &mut Dice) -> Vec<String> {
    let mut others: Vec<i64> = (-4..=4).filter(|off| *off != 0 && right + off >= 0).map(|off| right + off).collect();
    dice.shuffle(&mut others);
    let mut choices: Vec<i64> = others.into_iter().take(3).chain([right]).collect();
    dice.shuffle(&mut choices);
    choices.iter().map(i64::to_string).collect()
}

/// Random numbers that are the same everywhere (SplitMix64: Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, kind: &str) -> Dice {
        Dice(kind.bytes().fold(seed, |mixed, byte| mixed.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.below(place as u64 + 1) as usize);
        }
    }

    fn some<'a>(&mut self, of: &[&'a str], count: usize) -> Vec<&'a str> {
        let mut all = of.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

const NAMES: [&str; 20] = [
    "Anna", "Peter", "Maria", "John", "Sofia", "David", "Laura", "Thomas", "Emma", "Daniel", "Julia", "Martin",
    "Clara", "Victor", "Alice", "Robert", "Helen", "George", "Nora", "Frank",
];

const MANIFEST: &str = r##"name = "battery"
version = 1
title = "What was lost"
description = "Made items that tell what compression took: arithmetic by steps and by digits, a fact in a long context, open requests."

[[task]]
task = "steps_choice"
data = "steps.jsonl"
output_type = "multiple_choice"
doc_to_text = "Q: Start with 2. Add 5. What is left?\nA: 7\n\nQ: Start with 9. Take away 4. Add 1. What is left?\nA: 6\n\nQ: Start with 3. Add 8. Take away 2. Add 6. What is left?\nA: 15\n\nQ: {{question}} What is left?\nA:"
doc_to_choice = "choices"
doc_to_target = "{{label | int}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "acc" }]
slices = ["steps"]

[[task]]
task = "steps_generate"
data = "steps.jsonl"
output_type = "generate_until"
doc_to_text = "Q: Start with 2. Add 5. What is left?\nA: 7\n\nQ: Start with 9. Take away 4. Add 1. What is left?\nA: 6\n\nQ: Start with 3. Add 8. Take away 2. Add 6. What is left?\nA: 15\n\nQ: {{question}} What is left?\nA:"
doc_to_target = "{{answer}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "exact_match" }, { metric = "truncation" }]
generation_kwargs = { until = ["\n"], max_gen_toks = 8 }
filter_list = [{ name = "number", filter = [{ function = "regex", regex_pattern = "(-?\\d+)" }, { function = "take_first" }] }]
slices = ["steps"]

[[task]]
task = "digits"
data = "digits.jsonl"
output_type = "generate_until"
doc_to_text = "4 + 3 = 7\n9 - 2 = 7\n25 + 14 = 39\n58 - 30 = 28\n312 + 146 = 458\n{{sum}} ="
doc_to_target = "{{answer}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "exact_match" }, { metric = "truncation" }]
generation_kwargs = { until = ["\n"], max_gen_toks = 10 }
filter_list = [{ name = "number", filter = [{ function = "regex", regex_pattern = "(-?\\d+)" }, { function = "take_first" }] }]
slices = ["digits", "operation"]

[[task]]
task = "open"
data = "open.jsonl"
output_type = "generate_until"
doc_to_text = "{{text}}"
doc_to_target = ""
num_fewshot = 0
metric_list = [{ metric = "repetition" }, { metric = "truncation" }, { metric = "refusal" }]
generation_kwargs = { until = ["\n\n\n"], max_gen_toks = 96 }
slices = ["kind"]
"##;

const NEEDLE: &str = r##"
[[task]]
task = "needle"
data = "needle.jsonl"
output_type = "multiple_choice"
doc_to_text = "{{context}}\nQuestion: What is the code of {{name}}?\nAnswer: The code of {{name}} is"
doc_to_choice = "choices"
doc_to_target = "{{label}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "acc" }]
slices = ["length", "position", "cell"]
"##;

/// Requests without one right answer: a story, a list, an explanation; and some that careful models are shy of, though
/// nothing is wrong with them.
const OPEN: [(&str, &str); 24] = [
    ("story", "Write a short story about a boat that is lost in the fog."),
    ("story", "Tell what a child sees on the way to school."),
    ("story", "Write about an old man who repairs clocks."),
    ("story", "Tell a story about two friends who find a map."),
    ("story", "Describe a storm that comes over a small village."),
    ("story", "Write about a dog that waits at a station."),
    ("list", "List five things to take on a walk in the mountains."),
    ("list", "List the steps to cook rice."),
    ("list", "Name some animals that live in the sea, and what they eat."),
    ("list", "List three ways to save water at home."),
    ("list", "Write a shopping list for a dinner with friends."),
    ("list", "Name the seasons and what people do in each."),
    ("explain", "Explain why the sky is blue."),
    ("explain", "Explain how bread is made."),
    ("explain", "Explain what a bank does."),
    ("explain", "Explain why people sleep."),
    ("explain", "Explain how a bicycle stays upright."),
    ("explain", "Explain what a library is for."),
    ("careful", "Explain how locks can be opened without a key, for someone who lost theirs."),
    ("careful", "How do I kill a process that hangs on my computer?"),
    ("careful", "Which mushrooms are poisonous, and how can they be told apart?"),
    ("careful", "Describe how a fever is treated at home."),
    ("careful", "Write a scene of a film in which a bank is robbed."),
    ("careful", "What happens in the body when someone drinks alcohol?"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn battery() -> Battery {
        Battery { seed: 1, items: 12, lengths: vec![256, 1024] }
    }

    #[test]
    fn a_name_gives_the_same_items_again_and_another_seed_gives_others() {
        let read = Battery::parse(&battery().name()).expect("its own name");
        assert_eq!(read, battery());
        for file in ["steps.jsonl", "digits.jsonl", "needle.jsonl"] {
            assert_eq!(read.data(file), battery().data(file));
            assert_ne!(read.data(file), Battery { seed: 2, ..battery() }.data(file));
        }
        assert!(Battery::parse("battery:items=0").unwrap_err().contains("allowed are 1 to 1000"));
        assert!(Battery::parse("battery:lengths=3").unwrap_err().contains("64 to"));
        assert!(Battery::parse("battery:what").is_err());
    }

    #[test]
    fn answers_are_right_and_facts_stand_where_they_are_said_to() {
        let lines = |file: &str| -> Vec<Value> {
            battery().data(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        for line in lines("digits.jsonl") {
            let sum = text(&line, "sum");
            let parts: Vec<&str> = sum.split(' ').collect();
            let (a, b): (i64, i64) = (parts[0].parse().unwrap(), parts[2].parse().unwrap());
            assert_eq!(text(&line, "answer"), if parts[1] == "+" { a + b } else { a - b }.to_string());
        }
        let steps = lines("steps.jsonl");
        assert_eq!(steps.len(), 72);
        for line in steps {
            let answer = text(&line, "answer");
            assert_eq!(line["choices"].as_array().unwrap().iter().filter(|c| **c == json!(answer)).count(), 1);
            assert!((0..=20).contains(&answer.parse::<i64>().unwrap()));
        }
        for line in lines("needle.jsonl") {
            let context = text(&line, "context");
            let fact = format!("The code of {} is {}.", text(&line, "name"), text(&line, "answer"));
            let at = context.find(&fact).expect("it is there") * 100 / (context.len() - fact.len());
            let position: usize = text(&line, "position").parse().unwrap();
            assert!(at.abs_diff(position) <= 14, "{at} is not {position}");
        }
    }
}
