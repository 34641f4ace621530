//! Sums of one to four steps. The answer is written as running totals, beginning with the first number, so that every
//! step is the same small act: the total just written, the next operand of the question, the next total.
//!
//! Held out are operand sequences: no training question equals a held-out one or begins with it.

use super::Sample;
use super::random::Random;
use super::split::Split;
use super::suite::{Suite, fill};
use serde_json::json;

const MANIFEST: &str = r#"name = "arithmetic"
version = 1
title = "Arithmetic in 1 to 4 steps"
description = "Sums and differences with operands 1 to 9, answered as running totals; the last number counts. 'small' stays within 0 to 20, 'wide' within 0 to 50."

[[task]]
task = "arithmetic"
data = "arithmetic.jsonl"
output_type = "generate_until"
doc_to_text = "Q: {{question}}\nA:"
doc_to_target = "{{answer}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "exact_match" }]
generation_kwargs = { until = ["\n"], max_gen_toks = 32 }
filter_list = [{ name = "last", filter = [{ function = "regex", regex_pattern = "(\\d+)", group_select = -1 }, { function = "take_first" }] }]
slices = ["depth", "range"]
"#;

#[derive(Clone, Copy)]
enum Range {
    Small,
    Wide,
}

impl Range {
    fn name(self) -> &'static str {
        match self {
            Range::Small => "small",
            Range::Wide => "wide",
        }
    }

    fn top(self) -> i32 {
        match self {
            Range::Small => 20,
            Range::Wide => 50,
        }
    }
}

struct ArithmeticProblem {
    depth: usize,
    range: Range,
    start: i32,
    steps: Vec<i32>,
}

impl ArithmeticProblem {
    fn draw(random: &mut Random, depth: usize, range: Range) -> Self {
        let start = random.between(0, range.top() as usize) as i32;
        let mut total = start;
        let steps = (0..depth).map(|_| step(random, &mut total, range.top())).collect();
        Self { depth, range, start, steps }
    }

    /// The question after `steps` of its steps: `17+5-3`.
    fn question(&self, steps: usize) -> String {
        let start = self.start.to_string();
        self.steps[..steps].iter().fold(start, |text, step| format!("{text}{step:+}"))
    }

    fn totals(&self) -> Vec<i32> {
        let after = self.steps.iter().scan(self.start, |total, step| {
            *total += step;
            Some(*total)
        });
        std::iter::once(self.start).chain(after).collect()
    }

    /// Training may not see a held-out question, not even as the beginning of a longer one.
    fn belongs(&self, split: Split) -> bool {
        let takes = |steps| split.takes("sum", &self.question(steps));
        match split {
            Split::Training => (1..=self.depth).all(takes),
            Split::HeldOut => takes(self.depth),
        }
    }

    fn sample(&self) -> Sample {
        let question = self.question(self.depth);
        let totals = self.totals();
        let running: Vec<String> = totals.iter().map(i32::to_string).collect();
        let answer = running.last().expect("a problem has a start").clone();
        Sample {
            prompt: format!("Q: {question}\nA:"),
            target: running.join(", "),
            fields: json!({ "question": question, "answer": answer, "depth": self.depth, "range": self.range.name() }),
            template: None,
            phrases: vec![format!("Q: {question}")],
        }
    }
}

/// A signed operand that keeps the total within `0..=top`.
fn step(random: &mut Random, total: &mut i32, top: i32) -> i32 {
    loop {
        let size = random.between(1, 9) as i32;
        let signed = if random.chance(50) { size } else { -size };
        if (0..=top).contains(&(*total + signed)) {
            *total += signed;
            return signed;
        }
    }
}

fn draw(random: &mut Random, split: Split, depth: usize, range: Range) -> Sample {
    loop {
        let problem = ArithmeticProblem::draw(random, depth, range);
        if problem.belongs(split) {
            return problem.sample();
        }
    }
}

pub(super) fn sample(random: &mut Random, split: Split) -> Sample {
    let depth = 1 + random.weighted(&[20, 25, 25, 30]);
    let range = if random.chance(50) { Range::Small } else { Range::Wide };
    draw(random, split, depth, range)
}

pub(super) fn suite(random: &mut Random) -> Suite {
    // 25 small ones of depth 1: there are only about 40 held out
    let plan = [(1, 25, 65), (2, 45, 45), (3, 45, 45), (4, 45, 45)];
    let mut items = Vec::new();
    for (depth, small, wide) in plan {
        fill(&mut items, small, || draw(random, Split::HeldOut, depth, Range::Small));
        fill(&mut items, wide, || draw(random, Split::HeldOut, depth, Range::Wide));
    }
    Suite::new("arithmetic", MANIFEST, items)
}
