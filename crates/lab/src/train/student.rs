//! A student that learns what a teacher says: the teacher's likeliest next tokens, what stands in its layers, and the text
//! itself. What the teacher says of a document is computed once, and kept in a file.

use super::adamw::AdamW;
use super::adapter::{self, AdapterShape, AdapterVars};
use super::batch::Batch;
use super::corpus::Split;
use super::objective::Objective;
use super::summary::{SUMMARY, Summary};
use super::tune::{Keeping, Lessons, Pace, Places, Run, Told, decoder_bytes, key};
use anyhow::{Context, Result, ensure};
use bantam_core::disk::DraftFolder;
use bantam_core::sync::lock;
use bantam_model::ops::{self, Lesson, Taught};
use bantam_model::{self as model, Config, Decoder, Linear, Tokenizer, Weights};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a student is held to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aims {
    /// The weight of the divergence from the teacher's predictions.
    pub kl: f64,
    /// How that is computed.
    pub lesson: Lesson,
    /// How many of the teacher's likeliest tokens are known at each position.
    pub top: usize,
    /// The weight of the text's own next tokens.
    pub ce: f64,
    /// The weight of what stands in the layers.
    pub hidden: f64,
}

/// What learns of a student.
#[derive(Debug, Clone)]
pub enum Learns<'a> {
    /// All its weights.
    All,
    /// An adapter on them.
    Adapter(&'a AdapterShape),
}

/// A model as a teacher or a student: its config and its weights.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Its config.
    pub config: &'a Config,
    /// Its weights.
    pub weights: &'a dyn Weights,
}

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Teaching<'a> {
    /// What the student is held to.
    pub aims: Aims,
    /// What of it learns.
    pub learns: Learns<'a>,
    /// How it goes.
    pub pace: Pace,
    /// What an adapter's config names as what it is for.
    pub base: &'a str,
}

/// The file of a student's weights in its folder.
pub const STUDENT: &str = "model.safetensors";

/// Teaches a student, or finds the one that was taught before: the folder of its weights (`STUDENT`), or of its adapter.
/// None where it was cancelled; the same call goes on.
///
/// # Errors
/// One sentence where the two do not go together, and as for adapters.
pub fn teach(
    student: Side,
    teacher: Side,
    tokenizer: &Tokenizer,
    lessons: Lessons,
    ask: &Teaching,
    keep: Keeping,
) -> Result<Option<PathBuf>> {
    ask.pace.check()?;
    check_pair(student.config, teacher.config, &ask.aims)?;
    let corpus = lessons.read(tokenizer, student.config, ask.pace.longest)?;
    let words = format!("student 1 {:?} {:?} {:?}", ask.aims, ask.learns, ask.pace);
    let of_teacher = key(teacher.config, &[teacher.weights], &corpus, "")?;
    let own = key(student.config, &[student.weights], &corpus, &format!("{words} {of_teacher}"))?;
    let what = if matches!(ask.learns, Learns::All) { "student" } else { "adapter" };
    let places = Places::new(keep, &own, what);
    let _lock = places.lock(keep);
    if places.is_made() {
        (keep.tell)(Told::Found(&places.made));
        return Ok(Some(places.made));
    }
    let said = keep.folder.join(&of_teacher[..16]);
    let teacher = Decoder::new(teacher.config, teacher.weights)?;
    let teacher = Teacher::new(teacher, &ask.aims, &corpus.examples, &said)?;
    let (left_out, documents_sha256) = (corpus.left_out, corpus.sha256());
    let split = Split::new(corpus, ask.pace.eval, ask.pace.seed, ask.pace.steps, ask.pace.batch)?;
    let vars = match ask.learns {
        Learns::All => StudentVars::All(WholeVars::default()),
        Learns::Adapter(shape) => StudentVars::Adapter(AdapterVars::new(shape.clone(), student.config)?),
    };
    let decoder = match &vars {
        StudentVars::All(vars) => Decoder::new(student.config, &vars.over(student.weights))?,
        StudentVars::Adapter(vars) => Decoder::new(student.config, &vars.over(student.weights))?,
    };
    let objective = Student { decoder: &decoder, teacher: &teacher, aims: ask.aims, vars: &vars };
    let is_adapter = matches!(vars, StudentVars::Adapter(_));
    let run = Run {
        vars: vars.all(),
        objective: &objective,
        split: &split,
        left_out,
        documents_sha256,
        pace: ask.pace,
        optimizer: AdamW { beta2: 0.99, decay: if is_adapter { 0.0 } else { 0.01 }, ..AdamW::default() },
        config: student.config,
        base: decoder_bytes(&teacher.decoder) + if is_adapter { decoder_bytes(&decoder) } else { 0 },
        recomputes: false,
    };
    let made = run.finish(&places, keep, &|folder, summary| match (&vars, &ask.learns) {
        (StudentVars::Adapter(vars), Learns::Adapter(shape)) => {
            adapter::write(folder, shape, student.config, ask.base, &vars.all(), summary)
        }
        _ => write(folder, &vars.all(), summary),
    })?;
    if made.is_some() {
        // what the teacher said is large, and said again at need
        let _ = std::fs::remove_file(&teacher.path);
    }
    Ok(made)
}

/// Refuses a student and a teacher that cannot be held against each other.
fn check_pair(student: &Config, teacher: &Config, aims: &Aims) -> Result<()> {
    ensure!(
        student.vocab == teacher.vocab,
        "the student predicts {} tokens and the teacher {}: both must have one vocabulary",
        student.vocab,
        teacher.vocab
    );
    let weights = [("kl", aims.kl), ("ce", aims.ce), ("hidden", aims.hidden)];
    for (name, weight) in weights {
        ensure!(weight.is_finite() && weight >= 0.0, "{name} is {weight}; allowed is a weight from 0 on");
    }
    ensure!(weights.iter().any(|(_, weight)| *weight > 0.0), "kl, ce and hidden are all 0, and nothing is learnt");
    let Lesson { temperature, forward } = aims.lesson;
    ensure!(temperature.is_finite() && temperature > 0.0, "temperature is {temperature}; allowed is a number above 0");
    ensure!((0.0..=1.0).contains(&forward), "forward is {forward}; allowed is a share from 0 to 1");
    ensure!((1..=student.vocab).contains(&aims.top), "top is {}; allowed is 1 to {}", aims.top, student.vocab);
    ensure!(
        aims.hidden == 0.0 || student.dim == teacher.dim,
        "hidden states are {} wide in the student and {} in the teacher, and only equal ones are compared; leave hidden out",
        student.dim,
        teacher.dim
    );
    Ok(())
}

/// Every weight of a model as a variable, made when it is first asked for.
#[derive(Default)]
pub(crate) struct WholeVars {
    made: Mutex<BTreeMap<String, Var>>,
}

/// Weights whose every tensor learns.
struct Whole<'v> {
    inner: &'v dyn Weights,
    vars: &'v WholeVars,
}

enum StudentVars {
    All(WholeVars),
    Adapter(AdapterVars),
}

impl StudentVars {
    fn all(&self) -> Vec<(String, Var)> {
        match self {
            StudentVars::All(vars) => vars.all(),
            StudentVars::Adapter(vars) => vars.all(),
        }
    }
}

impl WholeVars {
    pub(crate) fn over<'v>(&'v self, inner: &'v dyn Weights) -> impl Weights + 'v {
        Whole { inner, vars: self }
    }

    pub(crate) fn all(&self) -> Vec<(String, Var)> {
        lock(&self.made).iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    fn var(&self, name: &str, first: impl FnOnce() -> model::Result<Tensor>) -> model::Result<Tensor> {
        let mut made = lock(&self.made);
        if !made.contains_key(name) {
            made.insert(name.to_owned(), Var::from_tensor(&first()?.contiguous()?)?);
        }
        Ok(made[name].as_tensor().clone())
    }
}

impl Weights for Whole<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.vars.var(name, || self.inner.tensor(name, shape))
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        Ok(Linear::dense(self.vars.var(name, || self.inner.linear(name, out, inp)?.dequantized())?))
    }
}

/// Writes all weights as they are now.
fn write(folder: &Path, vars: &[(String, Var)], summary: &Summary) -> Result<()> {
    let failed = || format!("{}: the student cannot be written", folder.display());
    let draft = DraftFolder::of(folder).with_context(failed)?;
    let tensors = vars.iter().map(|(name, var)| (name.as_str(), var.as_tensor().detach()));
    let tensors: std::collections::HashMap<&str, Tensor> = tensors.collect();
    candle_core::safetensors::save(&tensors, draft.path().join(STUDENT)).with_context(failed)?;
    std::fs::write(draft.path().join(SUMMARY), summary.written()).with_context(failed)?;
    draft.finish().with_context(failed)
}

/// A teacher, and the file of what it has said: a byte a document that tells whether it is there, then for each document and
/// each of its counted positions `top` tokens with the logs of their probabilities, and the log of the rest.
pub(crate) struct Teacher {
    decoder: Decoder,
    lesson: Lesson,
    top: usize,
    file: File,
    path: PathBuf,
    /// Where each document's rows begin, and the number of rows.
    places: Vec<(u64, usize)>,
}

impl Teacher {
    pub(crate) fn new(decoder: Decoder, aims: &Aims, examples: &[super::Example], file: &Path) -> Result<Teacher> {
        let temperature = aims.lesson.temperature.to_bits();
        let path = file.with_extension(format!("{}-{temperature:x}.said", aims.top));
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let opened = opened.with_context(|| format!("{}: what the teacher says cannot be kept", path.display()))?;
        let mut at = examples.len() as u64;
        let place = |example: &super::Example| {
            let rows = example.weights.iter().skip(1).filter(|weight| **weight > 0.0).count();
            let begin = at;
            at += (rows * row_bytes(aims.top)) as u64;
            (begin, rows)
        };
        let places = examples.iter().map(place).collect();
        Ok(Teacher { decoder, lesson: aims.lesson, top: aims.top, file: opened, path, places })
    }

    /// What it says of a batch's rows.
    pub(crate) fn of(&self, batch: &Batch) -> Result<Taught> {
        let mut all = Taught { top: self.top, ..Taught::default() };
        let mut first = 0;
        for (span, &id) in batch.spans.iter().zip(&batch.ids) {
            let tokens = &batch.tokens[first..first + span.len];
            let range = first as u32..(first + span.len) as u32;
            let rows: Vec<u32> = batch.rows.iter().filter(|r| range.contains(r)).map(|r| r - range.start).collect();
            first += span.len;
            let part = match self.read(id)? {
                Some(part) => part,
                None => {
                    let part = self.say(tokens, &rows)?;
                    self.keep(id, &part)?;
                    part
                }
            };
            all.ids.extend(part.ids);
            all.logs.extend(part.logs);
            all.rest.extend(part.rest);
        }
        Ok(all)
    }

    fn say(&self, tokens: &[u32], rows: &[u32]) -> Result<Taught> {
        if rows.is_empty() {
            return Ok(Taught { top: self.top, ..Taught::default() });
        }
        let span = model::Span { len: tokens.len(), parent: None, past: None };
        let hidden = self.decoder.forward(tokens, &[span], &mut [])?;
        let hidden = hidden.index_select(&Tensor::new(rows, self.decoder.device())?, 0)?;
        Ok(Taught::of(&self.decoder.logits(&hidden)?, self.top, self.lesson.temperature)?)
    }

    fn read(&self, id: u64) -> Result<Option<Taught>> {
        let (at, rows) = self.places[id as usize];
        let mut is_there = [0];
        if self.file.read_at(&mut is_there, id)? == 0 || is_there == [0] {
            return Ok(None);
        }
        let mut bytes = vec![0; rows * row_bytes(self.top)];
        self.file.read_exact_at(&mut bytes, at).context("what the teacher said cannot be read")?;
        let mut words = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut take = |n: usize| words.by_ref().take(n).collect::<Vec<u32>>();
        let ids = take(rows * self.top);
        let logs = take(rows * self.top).into_iter().map(f32::from_bits).collect();
        Ok(Some(Taught { top: self.top, ids, logs, rest: take(rows).into_iter().map(f32::from_bits).collect() }))
    }

    fn keep(&self, id: u64, said: &Taught) -> Result<()> {
        let (at, _) = self.places[id as usize];
        let floats = said.logs.iter().chain(&said.rest).map(|x| x.to_bits());
        let bytes: Vec<u8> = said.ids.iter().copied().chain(floats).flat_map(u32::to_le_bytes).collect();
        self.file.write_all_at(&bytes, at).context("what the teacher said cannot be kept")?;
        // after its rows, so that a document that is marked is whole
        self.file.write_all_at(&[1], id).context("what the teacher said cannot be kept")
    }
}

fn row_bytes(top: usize) -> usize {
    4 * (2 * top + 1)
}

/// A student under its aims.
struct Student<'a> {
    decoder: &'a Decoder,
    teacher: &'a Teacher,
    aims: Aims,
    vars: &'a StudentVars,
}

impl Objective for Student<'_> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let Aims { kl, lesson, ce, hidden, .. } = self.aims;
        let mut states = Vec::new();
        let last = self.decoder.forward_observed(&batch.tokens, &batch.spans, &mut [], &mut |layer, x| {
            if hidden > 0.0 && layer > 0 {
                states.push(x.clone());
            }
        })?;
        let rows = Tensor::new(batch.rows.as_slice(), self.decoder.device())?;
        let logits = self.decoder.logits(&last.index_select(&rows, 0)?)?;
        let mut terms = Vec::new();
        if kl > 0.0 {
            terms.push((ops::divergence(&logits, self.teacher.of(batch)?, &batch.weights, lesson)? * kl)?);
        }
        if ce > 0.0 {
            terms.push((ops::cross_entropy(&logits, &batch.targets, &batch.weights)? * ce)?);
        }
        if hidden > 0.0 {
            terms.push((self.in_the_layers(batch, &states)? * hidden)?);
        }
        let mut terms = terms.into_iter();
        let first = terms.next().context("a student has an aim")?;
        terms.try_fold(first, |sum, term| Ok((sum + term)?))
    }

    fn begin_step(&self) -> Result<()> {
        match self.vars {
            StudentVars::Adapter(vars) => vars.measure_rows(),
            StudentVars::All(_) => Ok(()),
        }
    }
}

impl Student<'_> {
    /// How far the student's hidden states are from those of the teacher's layers at the same depth: squared distances over
    /// the squares of the teacher's, the mean over the layers.
    fn in_the_layers(&self, batch: &Batch, states: &[Tensor]) -> Result<Tensor> {
        let mut theirs = Vec::new();
        self.teacher.decoder.forward_observed(&batch.tokens, &batch.spans, &mut [], &mut |layer, x| {
            if layer > 0 {
                theirs.push(x.clone());
            }
        })?;
        let (own, all) = (states.len(), theirs.len());
        let mut sum: Option<Tensor> = None;
        for (at, state) in states.iter().enumerate() {
            let theirs = &theirs[same_depth(at, own, all)];
            let scale = theirs.sqr()?.sum_all()?.to_scalar::<f32>()?.max(f32::MIN_POSITIVE);
            let far = ((state - theirs)?.sqr()?.sum_all()? / (f64::from(scale) * own as f64))?;
            sum = Some(match sum {
                None => far,
                Some(sum) => (sum + far)?,
            });
        }
        sum.context("a student has layers")
    }
}

/// The teacher's layer at the depth of the student's: the last to the last, the others evenly between.
fn same_depth(at: usize, own: usize, all: usize) -> usize {
    ((at + 1) * all).div_ceil(own).clamp(1, all) - 1
}
