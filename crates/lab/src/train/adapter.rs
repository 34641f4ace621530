//! Low-rank adapters that learn (LoRA: Hu et al. 2021, arXiv:2106.09685): the variables, laid over weights that stay as
//! they are, and the folder that they become in PEFT's form.

use super::summary::{SUMMARY, Summary};
use super::vars::{fnv, seeded};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::disk::DraftFolder;
use bantam_core::sync::lock;
use bantam_model::linear::LowRank;
use bantam_model::linear::Magnitude;
use bantam_model::names::Part;
use bantam_model::{self as model, Arithmetic, Config, Linear, StoredTensor, Weights};
use candle_core::{Device, Tensor, Var};
use rand::Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Mutex;

/// A kind of low-rank update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// W + alpha / r · B A.
    #[default]
    Lora,
    /// Its scale is alpha / √r, so that the rank can be large (Kalajdzievski 2023, arXiv:2312.03732).
    Rslora,
    /// Its rows have lengths of their own (Liu et al. 2024, arXiv:2402.09353).
    Dora,
}

/// What an adapter is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterShape {
    /// The rank of each update.
    pub rank: usize,
    /// The numerator of its scale.
    pub alpha: f64,
    /// Its kind.
    pub kind: AdapterKind,
    /// Which matrices have one: q, k, v, o, gate, up, down, or the ends of their names.
    pub targets: Vec<String>,
    /// What the first values are drawn from.
    pub seed: u64,
}

/// The words for the matrices of a layer, with their parts: alone, and in the one matrix that some families have.
const TARGETS: &[(&str, Part, Option<Part>)] = &[
    ("q", Part::Q, Some(Part::Qkv)),
    ("k", Part::K, Some(Part::Qkv)),
    ("v", Part::V, Some(Part::Qkv)),
    ("o", Part::Output, None),
    ("gate", Part::Gate, Some(Part::GateUp)),
    ("up", Part::Up, Some(Part::GateUp)),
    ("down", Part::Down, None),
];

/// All of these words.
pub fn all_targets() -> Vec<String> {
    TARGETS.iter().map(|(word, ..)| (*word).to_owned()).collect()
}

impl AdapterShape {
    /// What B A is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.kind == AdapterKind::Rslora { rank.sqrt() } else { rank }
    }

    /// The modules of a model that have an update.
    ///
    /// # Errors
    /// Where a target is none of the model's matrices.
    pub fn modules(&self, config: &Config) -> Result<BTreeSet<String>> {
        let mut modules = BTreeSet::new();
        for target in &self.targets {
            let before = modules.len();
            let mut seen = false;
            for tensor in model::cost(config).tensors.iter().filter(|tensor| tensor.is_matrix()) {
                let Some(module) = tensor.name.strip_suffix(".weight") else { continue };
                if is_meant(config, target, module) {
                    seen = true;
                    modules.insert(module.to_owned());
                }
            }
            ensure!(
                seen || modules.len() > before,
                "no matrix of a layer is a target '{target}'; allowed are {}, or how the names of modules end",
                all_targets().join(", ")
            );
        }
        Ok(modules)
    }
}

/// Whether a word means a module within a layer.
fn is_meant(config: &Config, target: &str, module: &str) -> bool {
    let name = format!("{module}.weight");
    let Some(place) = config.architecture.place(&name) else { return false };
    if !place.part.is_within_layer() {
        return false;
    }
    let word = TARGETS.iter().find(|(word, ..)| *word == target);
    match word {
        Some((_, alone, joined)) => place.part == *alone || Some(place.part) == *joined,
        None => module.strip_suffix(target).is_some_and(|before| before.ends_with('.')),
    }
}

/// The variables of an adapter by module, made when their matrix is first asked for.
pub struct AdapterVars {
    shape: AdapterShape,
    modules: BTreeSet<String>,
    made: Mutex<BTreeMap<String, Update>>,
}

/// Weights with an adapter that learns.
pub struct Learning<'v, W> {
    inner: W,
    vars: &'v AdapterVars,
}

/// The variables of one module.
struct Update {
    a: Var,
    b: Var,
    length: Option<Length>,
    base: Linear,
}

/// DoRA's part of a module.
struct Length {
    of_row: Var,
    /// The norm of each row as it is now; set before each step, never learnt.
    norm: Var,
    /// The squared norm of each row of W.
    squares: Tensor,
}

impl AdapterVars {
    /// No variables yet, of an adapter for such a model.
    ///
    /// # Errors
    /// Where a target is none of the model's matrices.
    pub fn new(shape: AdapterShape, config: &Config) -> Result<AdapterVars> {
        let modules = shape.modules(config)?;
        Ok(AdapterVars { shape, modules, made: Mutex::default() })
    }

    /// Lays the adapter over weights.
    pub fn over<W: Weights>(&self, inner: W) -> Learning<'_, W> {
        Learning { inner, vars: self }
    }

    /// All variables that learn, by the names that PEFT has for them.
    pub fn all(&self) -> Vec<(String, Var)> {
        let made = lock(&self.made);
        let mut all = Vec::new();
        for (module, update) in made.iter() {
            let key = |role: &str| format!("base_model.model.{module}.{role}");
            all.push((key("lora_A.weight"), update.a.clone()));
            all.push((key("lora_B.weight"), update.b.clone()));
            all.extend(update.length.iter().map(|length| (key("lora_magnitude_vector"), length.of_row.clone())));
        }
        all
    }

    /// Computes the norms that DoRA divides by, of W + s B A as it is now: ‖w + s b A‖² = ‖w‖² + 2 s b·(A w) + s² b A Aᵀ b,
    /// row by row, so that no matrix is widened.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    pub fn measure_rows(&self) -> Result<()> {
        let scale = self.shape.scale();
        for update in lock(&self.made).values() {
            let Some(length) = &update.length else { continue };
            let (a, b) = (update.a.detach(), update.b.detach());
            let along = update.base.clone().with_arithmetic(Arithmetic::Exact).forward(&a)?.t()?; // (out, r): W Aᵀ
            let cross = ((along.contiguous()? * &b)?.sum(1)? * (2.0 * scale))?;
            let own = ((b.matmul(&a.matmul(&a.t()?)?)? * &b)?.sum(1)? * (scale * scale))?;
            length.norm.set(&((&length.squares + cross)? + own)?.sqrt()?)?;
        }
        Ok(())
    }

    fn update(&self, module: &str, base: &Linear, out: usize, inp: usize) -> model::Result<LowRank> {
        let mut made = lock(&self.made);
        if !made.contains_key(module) {
            let length = (self.shape.kind == AdapterKind::Dora).then(|| {
                let squares = base.dequantized()?.sqr()?.sum(1)?;
                let norm = squares.sqrt()?;
                let var = || Var::from_tensor(&norm);
                Ok::<_, model::Error>(Length { of_row: var()?, norm: var()?, squares })
            });
            let a = first(self.shape.seed, module, self.shape.rank, inp);
            let update = Update {
                a: Var::from_vec(a, (self.shape.rank, inp), &Device::Cpu)?,
                b: Var::zeros((out, self.shape.rank), candle_core::DType::F32, &Device::Cpu)?,
                length: length.transpose()?,
                base: base.clone(),
            };
            made.insert(module.to_owned(), update);
        }
        let update = &made[module];
        let magnitude = update.length.as_ref().map(|length| Magnitude {
            length: length.of_row.as_tensor().clone(),
            norm: length.norm.as_tensor().clone(),
        });
        let (a, b) = (update.a.as_tensor().clone(), update.b.as_tensor().clone());
        Ok(LowRank { a, b, scale: self.shape.scale(), magnitude })
    }
}

impl<W: Weights> Weights for Learning<'_, W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        let base = self.inner.linear(name, out, inp)?;
        match name.strip_suffix(".weight").filter(|module| self.vars.modules.contains(*module)) {
            None => Ok(base),
            Some(module) => {
                let update = self.vars.update(module, &base, out, inp)?;
                Ok(base.with_adapter(update))
            }
        }
    }

    fn stored(&self, name: &str) -> model::Result<Option<StoredTensor<'_>>> {
        self.inner.stored(name)
    }
}

/// The first A, uniform in ±1/√inp as PEFT's; B is zero, so that nothing is changed at first.
fn first(seed: u64, module: &str, rank: usize, inp: usize) -> Vec<f32> {
    let mut random = seeded(seed, fnv(module));
    let bound = 1.0 / (inp as f64).sqrt();
    let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
    (0..rank * inp).map(|_| ((2.0 * unit(random.next_u64()) - 1.0) * bound) as f32).collect()
}

/// Writes an adapter's folder as PEFT reads it: adapter_config.json and adapter_model.safetensors. `base` is what the
/// adapter is for.
///
/// # Errors
/// Where the folder cannot be written; then nothing is left of it.
pub fn write(
    folder: &Path,
    shape: &AdapterShape,
    config: &Config,
    base: &str,
    vars: &[(String, Var)],
    summary: &Summary,
) -> Result<()> {
    let failed = || format!("{}: the adapter cannot be written", folder.display());
    let draft = DraftFolder::of(folder).with_context(failed)?;
    let modules: Vec<&str> = vars.iter().filter_map(|(name, _)| module_of(name)).collect();
    let last = |module: &str| module.rsplit('.').next().unwrap_or(module).to_owned();
    let targets: BTreeSet<String> = modules.iter().map(|module| last(module)).collect();
    let is_transposed = modules.iter().any(|module| config.architecture.is_transposed(&format!("{module}.weight")));
    let told = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": shape.rank,
        "lora_alpha": shape.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets,
        "use_rslora": shape.kind == AdapterKind::Rslora,
        "use_dora": shape.kind == AdapterKind::Dora,
        "fan_in_fan_out": is_transposed,
        "init_lora_weights": true,
        "inference_mode": true,
    });
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::with_capacity(vars.len());
    for (name, var) in vars {
        let floats = var.flatten_all()?.to_vec1::<f32>()?;
        if floats.iter().any(|x| !x.is_finite()) {
            bail!(
                "training diverged: {name} has become no number, and nothing is written of it: lower the learning rate"
            );
        }
        parts.push((name.clone(), var.dims().to_vec(), floats.iter().flat_map(|x| x.to_le_bytes()).collect()));
    }
    let views = parts.iter().map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let data = safetensors::serialize(views, Some(format))?;
    std::fs::write(draft.path().join("adapter_model.safetensors"), data).with_context(failed)?;
    std::fs::write(draft.path().join("adapter_config.json"), serde_json::to_vec_pretty(&told)?).with_context(failed)?;
    std::fs::write(draft.path().join(SUMMARY), summary.written()).with_context(failed)?;
    draft.finish().with_context(failed)
}

/// The module of a variable.
fn module_of(name: &str) -> Option<&str> {
    let stem = name.strip_prefix("base_model.model.")?;
    stem.find(".lora_").map(|at| &stem[..at])
}
