//! The text that trains the bundled family, and the suites that examine it. Both come from one seeded generator: training
//! documents are endless and each can be made alone; the suites' items use templates, names, numbers and phrases that
//! no training document may contain (see [`split`]). This is not a tokenizer, a loader or a trainer: it makes text.
//!
//! A training document has exactly the form in which a suite asks: the prompt, a space, the answer, a line's end.

mod arithmetic;
mod extract;
mod needle;
mod prose;
mod random;
mod routing;
mod sentiment;
mod split;
mod suite;
mod words;

pub(crate) use suite::{Suite, write_suites};

use random::Random;
use serde_json::{Value, json};
use split::Split;

/// The seed of the checked-in suites.
pub(crate) const SUITE_SEED: u64 = 2;

/// How much a prompt's tokens count in training: enough to learn its language, little because most of it is chance.
const PROMPT_WEIGHT: f32 = 0.1;

/// One training document; the trainer adds the tokens for its beginning and end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Doc {
    /// Consecutive pieces of the text, each with the loss weight of its tokens. They meet before a space or after a
    /// line's end, where no token reaches across.
    pub pieces: Vec<(String, f32)>,
}

impl Doc {
    fn answered(sample: &Sample) -> Self {
        Self { pieces: vec![(sample.prompt.clone(), PROMPT_WEIGHT), (format!(" {}\n", sample.target), 1.0)] }
    }

    fn running(sample: Sample) -> Self {
        Self { pieces: vec![(sample.target, 1.0)] }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// One question with its answer, as a suite's item and as a training document would have it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// What the model is shown; empty for running text.
    pub prompt: String,
    /// What it should go on with, after one space.
    pub target: String,
    /// The item as a JSON object: the variables of the suite's templates, and its slices.
    pub fields: Value,
    /// Which template was used, where the task has templates: told for the tests, which hold some of them out.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests read it"))]
    pub template: Option<String>,
    /// The parts of the text, literally, that only one side of the split may contain.
    pub phrases: Vec<String>,
}

/// A task and its share of the documents (not of the tokens: the lengths differ).
#[derive(Clone, Copy, Debug)]
enum Task {
    Arithmetic,
    Extract,
    Needle,
    Prose,
    Routing,
    Sentiment,
}

/// Shares of the documents; by tokens about a third is needle and a quarter extract.
const MIX: [(Task, usize); 6] = [
    (Task::Arithmetic, 330),
    (Task::Extract, 260),
    (Task::Needle, 150),
    (Task::Prose, 56),
    (Task::Routing, 110),
    (Task::Sentiment, 180),
];

impl Task {
    fn any(random: &mut Random) -> Self {
        MIX[random.weighted(&MIX.map(|(_, weight)| weight))].0
    }

    fn training(self, random: &mut Random) -> Doc {
        let split = Split::Training;
        match self {
            Task::Arithmetic => Doc::answered(&arithmetic::sample(random, split)),
            Task::Extract => Doc::answered(&extract::sample(random, split)),
            Task::Needle => needle::training(random),
            Task::Prose => Doc::running(prose::sample(random, split)),
            Task::Routing => Doc::answered(&routing::sample(random, split)),
            Task::Sentiment => Doc::answered(&sentiment::sample(random, split)),
        }
    }

    fn suite(self, random: &mut Random) -> Suite {
        match self {
            Task::Arithmetic => arithmetic::suite(random),
            Task::Extract => extract::suite(random),
            Task::Needle => needle::suite(random),
            Task::Prose => prose::suite(random),
            Task::Routing => routing::suite(random),
            Task::Sentiment => sentiment::suite(random),
        }
    }
}

/// Training document `i` of the endless corpus with this seed: a pure function of the two.
pub(crate) fn training_doc(seed: u64, i: u64) -> Doc {
    let mut random = Random::new(seed, i);
    Task::any(&mut random).training(&mut random)
}

/// All training documents in order, without end.
pub(crate) fn training_docs(seed: u64) -> impl Iterator<Item = Doc> {
    (0..).map(move |i| training_doc(seed, i))
}

/// The first `count` training documents of a seed that ask and answer, as lines of prompt and completion: what a step that
/// trains reads (`lora:data=FILE`). The suites' items are as held out from them as from what trained the models.
pub(crate) fn lessons(seed: u64, count: usize) -> String {
    let line = |(prompt, answer)| format!("{}\n", json!({ "prompt": prompt, "completion": answer }));
    asked(seed).take(count).map(line).collect()
}

/// The same as paragraphs of a text, over which predictions are compared.
pub(crate) fn lessons_as_text(seed: u64, count: usize) -> String {
    asked(seed).take(count).map(|(prompt, answer)| format!("{prompt}{answer}\n")).collect()
}

fn asked(seed: u64) -> impl Iterator<Item = (String, String)> {
    let pieces = training_docs(seed).filter_map(|doc| <[(String, f32); 2]>::try_from(doc.pieces).ok());
    pieces.map(|[(prompt, _), (answer, _)]| (prompt, answer))
}

/// The bundled suites, each drawn from its own stream of `seed`.
pub(crate) fn suites(seed: u64) -> Vec<Suite> {
    MIX.iter().zip(0..).map(|((task, _), stream)| task.suite(&mut Random::new(seed, stream))).collect()
}

#[cfg(test)]
mod tests;
