//! Settling: a recipe that asks for a size, for bits a weight or for a loss becomes one that names each tensor's type.
//! What the search rests on is measured once for a model and a text, and kept: every further budget is a matter of
//! seconds.

use crate::allocate::{Choice, Goal, allocate};
use crate::compensate::Method;
use crate::mixture::Mixture;
use crate::recipe::Recipe;
use crate::sensitivity::{self, Sensitivity};
use crate::source::{Contents, Source};
use crate::transform::{Form, Quantize, Target};
use crate::types::Types;
use crate::{Calibration, GgufTensor, Plan, Progress, Stage};
use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::hex;
use bantam_core::unit::Bytes;
use bantam_format::ggml::Type;
use bantam_format::gguf;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::path::Path;

/// What a search found, all of it estimated as if each weight were rounded for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The mean KL divergence that is expected of the file; None where nothing was searched, since all of it fits in F16.
    pub expected: Option<f64>,
    /// The largest file that the search would make of the model, and what all weights are in it, where the goal leaves room
    /// for all of it.
    pub room_for_all: Option<(Mixture, Bytes)>,
    /// How the file is rounded. What is expected is so where each weight is rounded for itself.
    pub method: Method,
    /// The divergences expected over those measured, of the tensors that were measured in a second type.
    pub checks: Vec<f64>,
    /// What the named mixtures would be: bytes of the file, and the divergence that is expected.
    pub named: Vec<(Mixture, u64, f64)>,
}

/// Replaces a goal by the types that reach it; a recipe without one stays as it is. `folder` keeps what is measured.
///
/// # Errors
/// One sentence where the goal is out of reach (with what can be had), and as calibration and reading.
pub fn settle(
    source: &Source,
    recipe: &Recipe,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Recipe, Option<Found>)> {
    let Some((quantize, target)) = asked(recipe)? else { return Ok((recipe.clone(), None)) };
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let quantize = quantize.calibrated()?;
    let before = Recipe { name: recipe.name.clone(), steps: recipe.steps[..recipe.steps.len() - 1].to_vec() };
    // what is out of reach is known before the work
    let (form, room) = room(source, &before)?;
    if room.holds_all(target) {
        // 16 bits as they are stored, where they are
        let plain = if form.types.mixture() == Mixture::BF16 { Mixture::BF16 } else { Mixture::F16 };
        let found = Found {
            expected: None,
            room_for_all: Some((plain, Bytes(room.fixed + room.most))),
            method: Method::Rounding,
            checks: Vec::new(),
            named: Vec::new(),
        };
        return Ok((with_last(before, Quantize::new(plain), &recipe.name), Some(found)));
    }
    room.goal(target)?;
    let total: u64 = source.tensors().iter().map(GgufTensor::weights).sum();
    let mut done = 0;
    let digest = source.digest(&mut |weights| {
        done += weights;
        progress(Progress { stage: Stage::Identify, done, total });
    })?;
    let progress = RefCell::new(progress);
    let told = |stage: Stage<'static>, done: usize, total: usize| {
        progress.borrow_mut()(Progress { stage, done: done as u64, total: total as u64 });
    };
    let calibrating = |done, total| told(Stage::Calibrate, done, total);
    let tokenizer = || source.tokenizer();
    let calibration = Calibration::new(Vec::new(), cancel)
        .with_progress(&calibrating)
        .with_tokenizer(&tokenizer)
        .kept_in(folder, digest);
    let checkpoint = before.apply(source.checkpoint_for(&before)?, &calibration)?;
    let importance = quantize.importance(&checkpoint, &calibration)?.context("a search is calibrated")?;
    let contents = source.contents(&checkpoint.form)?;
    let searched = searched(&contents);
    let key = format!("bantam sensitivity 2\n{digest}\n{}\n{}", before.to_toml(), quantize.calibration_words());
    let file = folder.join(format!("{}.sensitivity.json", &hex(&Sha256::digest(key))[..16]));
    let config = checkpoint.config()?;
    let windows = || {
        let tokenizer = source.tokenizer()?;
        sensitivity::windows(quantize.tokens(&tokenizer)?, &tokenizer, config)
    };
    let probing = |done, total| told(Stage::Probe, done, total);
    let known = Sensitivity::measure(source, &checkpoint, &searched, &importance, &windows, &file, cancel, &probing)?;
    let search = Search::new(&contents, searched, &known)?;
    let (types, found) = search.reach(target, &known)?;
    let found = Found { method: quantize.method, ..found };
    let settled = Quantize {
        types: search.spelled(&types),
        ..Quantize {
            imatrix: quantize.imatrix,
            calibrate: quantize.calibrate,
            method: quantize.method,
            awq: quantize.awq,
            ..Quantize::new(search.nearest(&types))
        }
    };
    Ok((with_last(before, settled, &recipe.name), Some(found)))
}

/// The bits a weight of the smallest file that a search can make of a model.
///
/// # Errors
/// Where the model cannot be planned.
pub fn least_bits(source: &Source) -> Result<f64> {
    let plain = Recipe { name: String::new(), steps: Vec::new() };
    Ok(room(source, &plain)?.1.least_bits())
}

/// What steps leave of a model, and what a file of it has room for.
fn room(source: &Source, steps: &Recipe) -> Result<(Form, Room)> {
    let form = steps.plan(source.form_for(steps)?)?;
    let planned = source.contents(&form)?;
    Ok((form, Room::of(&planned, &searched(&planned))))
}

fn with_last(before: Recipe, quantize: Quantize, name: &str) -> Recipe {
    let mut steps = before.steps;
    steps.push(crate::Step::new("quantize", quantize));
    Recipe { name: name.to_owned(), steps }
}

/// The quantize step at the end and what it asks for.
fn asked(recipe: &Recipe) -> Result<Option<(Quantize, Target)>> {
    let Some(last) = recipe.steps.last().filter(|step| step.kind() == "quantize") else { return Ok(None) };
    let quantize: Quantize = last.settings().clone().try_into().context("the step quantize")?;
    Ok(quantize.target()?.map(|target| (quantize, target)))
}

fn searched(contents: &Contents) -> Vec<GgufTensor> {
    contents.tensors.iter().filter(|tensor| is_searched(tensor, contents)).cloned().collect()
}

/// Matrices that a mixture would quantize.
fn is_searched(tensor: &GgufTensor, contents: &Contents) -> bool {
    Mixture::Q8_0.tensor_type(&tensor.name, &tensor.shape, &contents.anatomy, true).is_some()
}

/// What a file has room for, by the sizes of tensors in the types alone.
struct Room {
    /// Bytes of the file but for what is searched, with types that are chosen tensor by tensor, and with a mixture's.
    fixed: u64,
    fixed_of_mixture: u64,
    /// Bytes of the tensors that are not searched.
    kept: u64,
    /// Weights of all tensors.
    weights: u64,
    /// Bytes of what is searched, each tensor in its smallest type, and each in its largest.
    least: u64,
    most: u64,
}

impl Room {
    fn of(contents: &Contents, searched: &[GgufTensor]) -> Room {
        let mixture = Types::of_mixture(Mixture::Q8_0);
        let mut chosen = mixture.clone();
        searched.iter().for_each(|tensor| chosen.set(&tensor.name, Type::Q8_0));
        let (plan, plan_of_mixture) = (Plan::new(contents, &chosen), Plan::new(contents, &mixture));
        let is_searched = |name: &str| searched.iter().any(|tensor| tensor.name == name);
        let (own, kept): (Vec<_>, Vec<_>) = plan.tensors.iter().partition(|tensor| is_searched(&tensor.name));
        let of_searched: u64 = own.iter().map(|tensor| gguf::aligned(tensor.bytes())).sum();
        let sizes = |tensor: &GgufTensor| sensitivity::sizes(tensor).collect::<Vec<u64>>();
        let sizes: Vec<Vec<u64>> = searched.iter().map(sizes).collect();
        Room {
            fixed: plan.bytes - of_searched,
            fixed_of_mixture: plan_of_mixture.bytes - of_searched,
            kept: kept.iter().map(|tensor| tensor.bytes()).sum(),
            weights: plan.weights,
            least: sizes.iter().filter_map(|sizes| sizes.iter().min()).sum(),
            most: sizes.iter().filter_map(|sizes| sizes.iter().max()).sum(),
        }
    }

    /// Whether a target leaves room for all that is searched in its largest type.
    fn holds_all(&self, target: Target) -> bool {
        match target {
            Target::Bytes(bytes) => bytes.0 >= self.fixed + self.most,
            Target::BitsPerWeight(bits) => bits * self.weights as f64 / 8.0 >= (self.kept + self.most) as f64,
            Target::Divergence(_) => false,
        }
    }

    fn least_bits(&self) -> f64 {
        (self.kept + self.least) as f64 * 8.0 / self.weights as f64
    }

    /// What a target leaves for what is searched.
    fn goal(&self, target: Target) -> Result<Goal> {
        let least = self.least;
        Ok(match target {
            Target::Bytes(bytes) => {
                let smallest = self.fixed + least;
                ensure!(
                    bytes.0 >= smallest,
                    "a budget of {} bytes is too little: the smallest file that can be made of this model has {} \
                     ({smallest} bytes)",
                    bytes.0,
                    Bytes(smallest)
                );
                Goal::Bytes(bytes.0 - self.fixed)
            }
            Target::BitsPerWeight(bits) => {
                let all = (bits * self.weights as f64 / 8.0) as u64;
                let smallest = self.least_bits();
                ensure!(
                    all >= self.kept + least,
                    "{bits} bits a weight are too few: the smallest file that can be made of this model has {:.3}",
                    smallest + 0.000_5
                );
                Goal::Bytes(all - self.kept)
            }
            Target::Divergence(most) => Goal::Loss(most),
        })
    }
}

/// The mixtures that share scales and are meant for any model.
fn quantized() -> impl Iterator<Item = Mixture> {
    Mixture::all().filter(|mixture| mixture.is_quantized() && mixture.is_general())
}

struct Search<'c> {
    contents: &'c Contents,
    searched: Vec<GgufTensor>,
    choices: Vec<Vec<Choice<Type>>>,
    room: Room,
}

impl<'c> Search<'c> {
    fn new(contents: &'c Contents, searched: Vec<GgufTensor>, known: &Sensitivity) -> Result<Search<'c>> {
        let choices = searched.iter().map(|tensor| {
            let own = known.of(&tensor.name).with_context(|| format!("{} was not measured", tensor.name))?;
            let mut choices = own.choices(tensor.weights());
            // as they lie in the file
            choices.iter_mut().for_each(|choice| choice.bytes = gguf::aligned(choice.bytes));
            ensure!(!choices.is_empty(), "{} fits no type", tensor.name);
            Ok(choices)
        });
        let choices = choices.collect::<Result<Vec<_>>>()?;
        Ok(Search { room: Room::of(contents, &searched), contents, searched, choices })
    }

    /// The types that reach a target, and what is expected of them.
    fn reach(&self, target: Target, known: &Sensitivity) -> Result<(Vec<Type>, Found)> {
        let goal = self.room.goal(target)?;
        let chosen = allocate(&self.choices, goal).with_context(|| match goal {
            Goal::Loss(most) => format!("a KL divergence of {most} cannot be reached: even in F16 more is lost"),
            Goal::Bytes(_) => "the budget cannot be met".to_owned(),
        })?;
        let types: Vec<Type> = self.choices.iter().zip(chosen).map(|(all, i)| all[i].kind).collect();
        let mut best = (self.bytes(&types), self.loss(&types), types);
        let mut named = Vec::new();
        for mixture in quantized() {
            let types = self.of_mixture(mixture);
            let (bytes, loss) = (self.bytes(&types), self.loss(&types));
            named.push((mixture, self.room.fixed_of_mixture + bytes, loss));
            let fits = match goal {
                Goal::Bytes(most) => bytes <= most && loss < best.1,
                Goal::Loss(most) => loss <= most && bytes < best.0,
            };
            if fits {
                best = (bytes, loss, types);
            }
        }
        let checks = known.tensors.iter().filter_map(|tensor| tensor.check()).collect();
        Ok((best.2, Found { expected: Some(best.1), room_for_all: None, method: Method::Rounding, checks, named }))
    }

    fn of_mixture(&self, mixture: Mixture) -> Vec<Type> {
        let of = |tensor: &GgufTensor| mixture.tensor_type(&tensor.name, &tensor.shape, &self.contents.anatomy, true);
        self.searched.iter().map(|tensor| of(tensor).unwrap_or(Type::F16)).collect()
    }

    fn bytes(&self, types: &[Type]) -> u64 {
        let bytes = |(tensor, kind): (&GgufTensor, &Type)| kind.bytes(tensor.weights() as usize).unwrap_or(usize::MAX);
        self.searched.iter().zip(types).map(|pair| gguf::aligned(bytes(pair) as u64)).sum()
    }

    /// A type that the search does not know loses more than any.
    fn loss(&self, types: &[Type]) -> f64 {
        let of = |(choices, kind): (&Vec<Choice<Type>>, &Type)| {
            choices.iter().find(|choice| choice.kind == *kind).map_or(f64::INFINITY, |choice| choice.loss)
        };
        self.choices.iter().zip(types).map(of).sum()
    }

    /// The mixture whose size is nearest, which gives `general.file_type` its number.
    fn nearest(&self, types: &[Type]) -> Mixture {
        let bytes = self.bytes(types);
        let near = |mixture: &Mixture| self.bytes(&self.of_mixture(*mixture)).abs_diff(bytes);
        quantized().min_by_key(near).unwrap_or(Mixture::Q8_0)
    }

    fn spelled(&self, types: &[Type]) -> std::collections::BTreeMap<String, String> {
        self.searched.iter().zip(types).map(|(tensor, kind)| (tensor.name.clone(), kind.name().to_owned())).collect()
    }
}
