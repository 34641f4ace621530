//! Calibration: texts that run through a model so that its matrices' inputs are seen. What is collected of them is what
//! an importance matrix holds: for each column of each matrix the sum of the squares of what it was multiplied by.

use crate::importance::{Importance, Kind};
use crate::resume::LayersDone;
use crate::train;
use crate::transform::{Checkpoint, Form};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::hex;
use bantam_core::sync::lock;
use bantam_model::chat::{ChatTemplate, Conversation};
use bantam_model::divergence::Windows;
use bantam_model::tokenizer::Special;
use bantam_model::{self as model, Config, Decoder, InputObserver, Observed, Span, Tokenizer, Weights};
use candle_core::Tensor;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Tokens of a window, where the model reads as many.
pub const WINDOW: usize = 512;

/// The fewest windows that say something of a model.
const FEWEST: usize = 2;

/// What steps calibrate on: texts as tokens of the model, and the wish to stop.
#[derive(Default)]
pub struct Calibration<'a> {
    texts: Vec<Vec<u32>>,
    cancel: Cancel,
    tokenizer: Option<&'a dyn Fn() -> Result<Tokenizer>>,
    progress: Option<&'a dyn Fn(usize, usize)>,
    steps: Option<StepProgress<'a>>,
    /// Where what was made of a text is kept, and what it depends on but for the text.
    shelf: Option<(&'a Path, &'a str)>,
    /// The model as it was before the first step.
    base: Option<&'a dyn Fn() -> Checkpoint<'a>>,
    /// Hears what training says.
    training: Option<&'a dyn Fn(train::Told)>,
}

/// Hears how far a step is: of what (such as "layer"), how many are done, and of how many.
pub type StepProgress<'a> = &'a dyn Fn(&'static str, usize, usize);

/// A text to calibrate on.
#[derive(Debug, Clone, Copy)]
pub struct Text<'t> {
    /// What it is called, in the file that holds what it told.
    pub name: &'t str,
    /// The text.
    pub text: &'t str,
    /// Windows to read, at most; all without.
    pub chunks: Option<usize>,
    /// Tokens of a window.
    pub window: usize,
    /// Whether a model that chats reads it as conversations in its template.
    pub as_chat: bool,
}

/// What one matrix was multiplied by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSquares {
    /// The sum of squares in each input column.
    pub sums: Vec<f64>,
    /// Rows seen: one a token, fewer for an expert that not every token goes to.
    pub rows: u64,
}

impl<'a> Calibration<'a> {
    /// Calibration on nothing, for recipes whose steps need none.
    pub fn none() -> Calibration<'a> {
        Calibration::default()
    }

    /// Calibration on texts, until cancelled. Each is read by itself and has to fit the model's positions.
    pub fn new(texts: Vec<Vec<u32>>, cancel: &Cancel) -> Calibration<'a> {
        Calibration { texts, cancel: cancel.clone(), ..Calibration::default() }
    }

    /// Has steps read texts of their own by this tokenizer, which is made where one does.
    pub fn with_tokenizer(self, tokenizer: &'a dyn Fn() -> Result<Tokenizer>) -> Calibration<'a> {
        Calibration { tokenizer: Some(tokenizer), ..self }
    }

    /// Says how many windows of how many are read.
    pub fn with_progress(self, progress: &'a dyn Fn(usize, usize)) -> Calibration<'a> {
        Calibration { progress: Some(progress), ..self }
    }

    /// Says how far steps are that go by other things than windows.
    pub fn with_step_progress(self, steps: StepProgress<'a>) -> Calibration<'a> {
        Calibration { steps: Some(steps), ..self }
    }

    /// Says how far a step is, and hears the wish to stop.
    ///
    /// # Errors
    /// Where it is cancelled.
    pub fn step(&self, of: &'static str, done: usize, total: usize) -> Result<()> {
        ensure!(!self.cancel.is_cancelled(), "cancelled");
        if let Some(steps) = self.steps {
            steps(of, done, total);
        }
        Ok(())
    }

    /// Has steps look back at the model as it was before the first of them.
    pub fn looking_back(self, base: &'a dyn Fn() -> Checkpoint<'a>) -> Calibration<'a> {
        Calibration { base: Some(base), ..self }
    }

    /// The model as it was before the first step.
    ///
    /// # Errors
    /// Where nobody can say.
    pub(crate) fn base(&self) -> Result<Checkpoint<'a>> {
        Ok(self.base.context("the model before the first step is not at hand")?())
    }

    /// Tells how training goes.
    pub fn with_training(self, training: &'a dyn Fn(train::Told)) -> Calibration<'a> {
        Calibration { training: Some(training), ..self }
    }

    /// The tokenizer that texts are read by.
    ///
    /// # Errors
    /// Where there is none, or the model's is not understood.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        self.tokenizer.context("there is no tokenizer to read the text with")?()
    }

    /// Hands `with` where a training run keeps its state and whom it tells; where nothing is kept, the state is gone with
    /// the run.
    pub(crate) fn training<T>(&self, with: impl FnOnce(train::Keeping) -> Result<T>) -> Result<T> {
        let unkept = tempfile::tempdir().context("no folder for a training run's state")?;
        let folder = self.shelf.map_or_else(|| unkept.path(), |(folder, _)| folder);
        let tell = self.training.unwrap_or(&|_| ());
        with(train::Keeping { folder, cancel: &self.cancel, tell })
    }

    /// What was done before of the layers of a step with these settings, on weights that no step before it has changed.
    pub(crate) fn layers_done(&self, form: &Form, settings: &str) -> LayersDone {
        let shelf = self.shelf.filter(|_| !form.is_rewritten());
        let text = format!("bantam layers 1\n{}\n{settings}", shelf.map_or("", |(_, of)| of));
        LayersDone::of(shelf.map(|(folder, _)| folder), &text)
    }

    /// Keeps what a text told in a folder, for the next recipe on the same model: `of` is what it depends on beside the
    /// text and how it is read.
    pub fn kept_in(self, folder: &'a Path, of: &'a str) -> Calibration<'a> {
        Calibration { shelf: Some((folder, of)), ..self }
    }

    /// Runs the texts through the model of a config and its weights, and collects what each matrix is multiplied by, by
    /// the matrix's checkpoint name. An embedding is there only where it is the head too.
    ///
    /// # Errors
    /// Where there is no text, a token or a text does not fit the model, memory is short, or it is cancelled.
    pub fn input_squares(&self, config: &Config, weights: &dyn Weights) -> Result<BTreeMap<String, InputSquares>> {
        ensure!(self.texts.iter().any(|text| !text.is_empty()), "there is no text to calibrate on");
        let collector = Arc::new(Collector::default());
        let decoder = Decoder::new(config, &Observed::new(weights, collector.clone()))?;
        let head = decoder.linears().last().map(|(name, _)| name.clone()).filter(|_| !config.tied);
        let head = head.or_else(|| Some(decoder.linears().first()?.0.clone())).context("a model has a head")?;
        for (done, text) in self.texts.iter().filter(|text| !text.is_empty()).enumerate() {
            ensure!(!self.cancel.is_cancelled(), "cancelled");
            let hidden = decoder.forward(text, &[Span { len: text.len(), parent: None, past: None }], &mut [])?;
            // what it would give is not needed, and on a small model is most of the work
            collector.see(&head, &hidden)?;
            if let Some(progress) = self.progress {
                progress(done + 1, self.texts.len());
            }
        }
        let seen = std::mem::take(&mut *lock(&collector.by_matrix));
        match seen.iter().find(|(_, squares)| squares.sums.iter().any(|sum| !sum.is_finite())) {
            Some((name, _)) => bail!("what {name} is multiplied by is not finite; the model's weights may be damaged"),
            None => Ok(seen),
        }
    }

    /// A text in the windows that the model reads, each a sequence of its own, as `walk` takes them.
    ///
    /// # Errors
    /// Where the text is too short for the model's windows, or cannot be tokenized.
    pub fn windows(&self, config: &Config, text: Text) -> Result<Vec<Vec<u32>>> {
        Ok(read(&self.cut(config, text)?))
    }

    /// Where what is made of the model under a key is kept for the next time, and the whole key; None where nothing is.
    pub(crate) fn shelf_for(&self, key: &str) -> Option<(&'a Path, String)> {
        let (folder, of) = self.shelf?;
        Some((folder, format!("{of}\n{key}")))
    }

    /// The wish to stop.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    fn cut(&self, config: &Config, text: Text) -> Result<Windows> {
        windows(&self.tokenizer()?, config, text)
    }

    /// Runs a text through a model, and gives the importance of each column of its matrices: what it found before, where
    /// that is kept. Of a model that steps have changed already nothing is kept: it is not the one that the shelf is for.
    ///
    /// # Errors
    /// Where the text is too short for the model's windows, and as `input_squares`.
    pub fn importance(&self, checkpoint: &Checkpoint, text: Text) -> Result<Importance> {
        let (config, weights) = (checkpoint.config()?, checkpoint.weights());
        let kept = self.shelf.filter(|_| !checkpoint.form.is_rewritten()).map(|(folder, of)| {
            let Text { name: _, text, chunks, window, as_chat } = text;
            let key = format!("bantam importance 1\n{of}\n{window} {chunks:?} {as_chat}\n{text}");
            folder.join(format!("{}.imatrix.gguf", &hex(&Sha256::digest(key))[..16]))
        });
        if let Some(found) = kept.as_deref().filter(|file| file.is_file()).and_then(|file| Importance::read(file).ok())
        {
            return Ok(found);
        }
        let windows = self.cut(config, text)?;
        let calibration = Calibration {
            texts: read(&windows),
            cancel: self.cancel.clone(),
            progress: self.progress,
            ..Calibration::default()
        };
        let seen = calibration.input_squares(config, weights)?;
        let found = Importance {
            datasets: vec![text.name.to_owned()],
            chunks: windows.count() as u32,
            chunk_size: windows.len() as u32,
            ..Importance::of_squares(config, &seen)
        };
        if let Some(file) = kept {
            found.write(Kind::Gguf, &file)?;
        }
        Ok(found)
    }
}

fn read(windows: &Windows) -> Vec<Vec<u32>> {
    (0..windows.count()).map(|number| windows.read(number)).collect()
}

/// A text in windows, as the model reads it.
fn windows(tokenizer: &Tokenizer, config: &Config, text: Text) -> Result<Windows> {
    let window = text.window.min(config.max_positions);
    let tokens = tokens(tokenizer, text)?;
    let (has, wants) = (tokens.len(), FEWEST * window);
    ensure!(
        has >= wants,
        "{}: {has} tokens are too few to calibrate on; at least {wants} are needed ({FEWEST} windows of {window})",
        text.name
    );
    Ok(Windows::of_tokens(tokens, tokenizer, window, text.chunks)?)
}

/// A text as the model reads it, but for the cuts.
pub(crate) fn tokens(tokenizer: &Tokenizer, text: Text) -> Result<Vec<u32>> {
    Ok(match chat(tokenizer, text)? {
        Some(chat) => tokenizer.encode(&chat, Special::Without)?,
        None => tokenizer.encode_letters(text.text)?,
    })
}

/// The text as conversations in the model's template: of each two paragraphs the first is the user's, the second the
/// answer. None where the model has none, or it is not asked for.
fn chat(tokenizer: &Tokenizer, text: Text) -> Result<Option<String>> {
    let Some(template) = ChatTemplate::of(tokenizer, false)?.filter(|_| text.as_chat) else { return Ok(None) };
    let paragraphs: Vec<&str> = text.text.split("\n\n").map(str::trim).filter(|one| !one.is_empty()).collect();
    let conversation = |two: &[&str]| {
        let messages: Vec<Json> = two
            .iter()
            .zip(["user", "assistant"])
            .map(|(said, role)| json!({ "role": role, "content": said }))
            .collect();
        template.render(&Conversation { messages: &messages, ..Conversation::default() })
    };
    let all = paragraphs.chunks(2).map(conversation).collect::<model::Result<Vec<String>>>()?;
    Ok(Some(all.join("\n")))
}

/// Adds up the squares of all that is shown to it.
#[derive(Default)]
struct Collector {
    by_matrix: Mutex<BTreeMap<String, InputSquares>>,
}

impl InputObserver for Collector {
    fn see(&self, matrix: &str, x: &Tensor) -> model::Result<()> {
        let columns = x.dim(1)?;
        let numbers = x.flatten_all()?.to_vec1::<f32>()?;
        let mut by_matrix = lock(&self.by_matrix);
        if !by_matrix.contains_key(matrix) {
            by_matrix.insert(matrix.to_owned(), InputSquares { sums: vec![0.0; columns], rows: 0 });
        }
        let seen = by_matrix.get_mut(matrix).expect("it was put there");
        for row in numbers.chunks_exact(columns.max(1)) {
            seen.sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
            seen.rows += 1;
        }
        Ok(())
    }
}
