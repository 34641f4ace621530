//! How a text's states become its embedding: sentence-transformers' modules.json, a chain of modules each in a folder
//! of its own. A checkpoint without one is pooled by the mean, as sentence-transformers does it.

use std::path::{Component, Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::pooling::{Mode, Pooling};
use crate::checkpoint::safetensors::Safetensors;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::ops::{self, Activation};
use crate::weights::{Precision, Weights};
use bantam_format::json;

/// How an embedding is made of the hidden states of a text, read and checked; the weights of its dense layers are not
/// loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// How one vector is made of the states.
    pub pooling: Pooling,
    /// What is done with the vector, in order.
    pub steps: Vec<Step>,
    /// Whether it is the checkpoint's own, and not the default.
    pub own: bool,
}

/// A step that may follow the pooling.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A dense layer.
    Dense(Dense),
    /// Scaling to length 1.
    Normalize,
}

/// A dense layer of a pipeline: its sizes, and the folder that its weights are in.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    folder: PathBuf,
    inp: usize,
    out: usize,
    bias: bool,
    /// `None` leaves the numbers as they are.
    activation: Option<Activation>,
}

/// One entry of modules.json.
#[derive(Debug, Deserialize)]
struct RawModule {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct RawDense {
    in_features: u64,
    out_features: u64,
    bias: Option<bool>,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

/// The file that lists the modules of a sentence-transformers model.
pub(super) const MODULES: &str = "modules.json";

impl Default for Pipeline {
    fn default() -> Self {
        Self { pooling: Mode::Mean.into(), steps: Vec::new(), own: false }
    }
}

impl Pipeline {
    /// Reads the modules of a folder, and says in which folder the encoder itself is. `dim` is not known yet, so widths
    /// are checked by [`Pipeline::check`].
    ///
    /// # Errors
    /// Where modules.json or a module's config is damaged, or asks for what bantam does not do.
    pub fn read(folder: &Path) -> Result<(Self, PathBuf)> {
        let file = folder.join(MODULES);
        let Some(modules) = read_json::<Vec<RawModule>>(&file)? else {
            return Ok((Self::default(), folder.to_owned()));
        };
        let at = file.display().to_string();
        let kinds: Vec<&str> = modules.iter().map(|m| m.kind.rsplit('.').next().unwrap_or(&m.kind)).collect();
        let order = || Error::unsupported(&at, format!("the chain {}", kinds.join(", ")), CHAIN);
        let ([first, pooling, rest @ ..], ["Transformer", "Pooling", kinds @ ..]) = (&modules[..], &kinds[..]) else {
            return Err(order());
        };
        let pooling = read_pooling(&within(folder, &pooling.path, &at)?)?;
        let mut steps = Vec::new();
        for (module, kind) in rest.iter().zip(kinds) {
            match *kind {
                "Normalize" => steps.push(Step::Normalize),
                "Dense" => steps.push(Step::Dense(Dense::read(within(folder, &module.path, &at)?)?)),
                "Dropout" => {} // does nothing but in training
                _ => return Err(order()),
            }
        }
        Ok((Self { pooling, steps, own: true }, within(folder, &first.path, &at)?))
    }

    /// Checks that the widths of the chain go together; gives the width of the embedding.
    ///
    /// # Errors
    /// Where a dense layer takes another width than comes before it.
    pub fn check(&self, dim: usize) -> Result<usize> {
        let mut width = self.pooling.width(dim);
        for step in &self.steps {
            let Step::Dense(dense) = step else { continue };
            if dense.inp != width {
                let what = format!("in_features is {}, what comes before gives {width}", dense.inp);
                return Err(Error::broken(dense.folder.join("config.json").display().to_string(), what));
            }
            width = dense.out;
        }
        Ok(width)
    }

    /// Describes the chain for people: "mean, dense 64 → 32, normalize".
    pub fn words(&self) -> String {
        let modes = self.pooling.modes().iter().map(|mode| mode.name()).collect::<Vec<_>>().join(" + ");
        let step = |step: &Step| match step {
            Step::Dense(dense) => format!(", dense {} → {}", dense.inp, dense.out),
            Step::Normalize => ", normalize".into(),
        };
        modes + &self.steps.iter().map(step).collect::<String>()
    }

    /// Loads the weights of its dense layers.
    ///
    /// # Errors
    /// Where a dense layer's tensors are missing or of another shape.
    pub fn load(&self, device: &Device) -> Result<Loaded> {
        let step = |step: &Step| {
            Ok(match step {
                Step::Normalize => LoadedStep::Normalize,
                Step::Dense(dense) => LoadedStep::Dense(dense.load(device)?, dense.activation),
            })
        };
        Ok(Loaded { pooling: self.pooling.clone(), steps: self.steps.iter().map(step).collect::<Result<_>>()? })
    }
}

/// A pipeline ready to be run.
pub struct Loaded {
    pooling: Pooling,
    steps: Vec<LoadedStep>,
}

enum LoadedStep {
    Dense(Linear, Option<Activation>),
    Normalize,
}

impl Loaded {
    /// Makes the embedding of one text from its states, rows of `dim`.
    ///
    /// # Errors
    /// Where the arithmetic of a dense layer fails.
    pub fn run(&self, states: &[f32], dim: usize) -> Result<Vec<f32>> {
        let mut vector = self.pooling.pool(states, dim);
        for step in &self.steps {
            match step {
                LoadedStep::Normalize => normalize(&mut vector),
                LoadedStep::Dense(linear, activation) => {
                    let width = vector.len();
                    let y = linear.forward(&Tensor::from_vec(vector, (1, width), &Device::Cpu)?)?;
                    let y = activation.map_or(Ok(y.clone()), |activation| ops::activate(&y, activation))?;
                    vector = y.flatten_all()?.to_vec1()?;
                }
            }
        }
        Ok(vector)
    }
}

/// To length 1; zeros stay (torch's `normalize` divides by 1e-12 at least).
fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x /= length);
}

/// What is supported of modules.json.
const CHAIN: &str = "Transformer, Pooling, then Dense and Normalize in any order";

impl Dense {
    fn read(folder: PathBuf) -> Result<Self> {
        let file = folder.join("config.json");
        let at = file.display().to_string();
        let raw: RawDense = read_json(&file)?.ok_or_else(|| Error::broken(&at, "is missing"))?;
        for name in [&raw.module_input_name, &raw.module_output_name].into_iter().flatten() {
            if name != "sentence_embedding" {
                return Err(Error::unsupported(at, format!("a dense layer on {name:?}"), "\"sentence_embedding\""));
            }
        }
        let size = |key: &str, value: u64| {
            let fits = usize::try_from(value).ok().filter(|size| (1..=1 << 20).contains(size));
            fits.ok_or_else(|| Error::broken(&at, format!("{key} is {value}, allowed are 1 to {}", 1 << 20)))
        };
        Ok(Self {
            inp: size("in_features", raw.in_features)?,
            out: size("out_features", raw.out_features)?,
            bias: raw.bias.unwrap_or(true),
            activation: activation(raw.activation_function.as_deref().unwrap_or("torch.nn.modules.activation.Tanh"))
                .map_err(|name| Error::unsupported(&at, format!("activation_function {name:?}"), TORCH_NAMES))?,
            folder,
        })
    }

    fn load(&self, device: &Device) -> Result<Linear> {
        let files = Safetensors::open(&self.folder, device, Precision::F32)?;
        let linear = files.linear("linear.weight", self.out, self.inp)?;
        Ok(match self.bias {
            true => linear.with_bias(files.tensor("linear.bias", &[self.out])?),
            false => linear,
        })
    }
}

const TORCH_NAMES: &str = "Tanh, Identity, ReLU, GELU, SiLU of torch.nn";

/// By the name of a torch class; None for Identity.
fn activation(class: &str) -> std::result::Result<Option<Activation>, String> {
    match class.rsplit('.').next().unwrap_or(class) {
        "Tanh" => Ok(Some(Activation::Tanh)),
        "Identity" => Ok(None),
        "ReLU" => Ok(Some(Activation::Relu)),
        "GELU" => Ok(Some(Activation::Gelu)),
        "SiLU" => Ok(Some(Activation::Silu)),
        _ => Err(class.into()),
    }
}

/// A pooling's config.json, in the older form (a flag for each mode) or the newer (`pooling_mode`, one name or
/// several).
fn read_pooling(folder: &Path) -> Result<Pooling> {
    let file = folder.join("config.json");
    let at = file.display().to_string();
    let raw: Map<String, Value> = read_json(&file)?.ok_or_else(|| Error::broken(&at, "is missing"))?;
    let named = match raw.get("pooling_mode") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().map(|name| name.as_str().unwrap_or_default()).collect(),
        Some(other) => return Err(Error::broken(at, format!("pooling_mode is {other}, allowed is a name"))),
    };
    let known = || Mode::ALL.map(Mode::name).join(", ");
    let by_name = |name: &&str| {
        let found = Mode::ALL.into_iter().find(|mode| mode.name() == *name);
        found.ok_or_else(|| Error::unsupported(&at, format!("pooling_mode {name:?}"), known()))
    };
    let mut modes: Vec<Mode> = named.iter().map(by_name).collect::<Result<_>>()?;
    for (key, value) in raw.iter().filter(|(key, _)| key.starts_with("pooling_mode_")) {
        match (Mode::ALL.into_iter().find(|mode| mode.key() == key), value) {
            (Some(mode), Value::Bool(true)) => modes.push(mode),
            (_, Value::Bool(false) | Value::Null) => {}
            _ => return Err(Error::unsupported(at, format!("{key} = {value}"), known())),
        }
    }
    if raw.get("include_prompt") == Some(&Value::Bool(false)) {
        return Err(Error::unsupported(at, "include_prompt false", "prompts that are pooled with their text"));
    }
    Pooling::of(modes).ok_or_else(|| Error::broken(at, format!("no pooling mode is chosen; there are {}", known())))
}

/// A module's folder, which may not lead out of the model's.
fn within(folder: &Path, path: &str, file: &str) -> Result<PathBuf> {
    match Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(folder.join(path)),
        false => Err(Error::broken(file, format!("path {path:?} leads out of the model's folder"))),
    }
}

/// A JSON file; None where there is none.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Option<T>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(file)(error)),
    };
    let parsed = json::read(&bytes);
    parsed.map(Some).map_err(|e| Error::broken(file.display().to_string(), format!("is not as expected: {e}")))
}
