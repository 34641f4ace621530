//! Exports: a model's weights in another kind of file. GGUF goes the way of compression; safetensors is a folder that
//! transformers loads, with what stood beside the weights copied: plain numbers, or matrices as packed integers (`packed`,
//! rounded by `grid`). What is quantized in packed form before is read as the numbers it stands for, and an adapter is
//! merged in.

mod beside;
mod grid;
mod name;
mod packed;

pub use name::base_name;
pub use packed::{PackedForm, Packing, to_packed};

use crate::source::shape_in_checkpoint;
use crate::transform::{Checkpoint, MergeAdapter, Step, Transform};
use crate::{Calibration, Mixture, Progress, Quantize, Recipe, Source, write_to};
use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::DraftFolder;
use bantam_model::architecture::Routing;
use bantam_model::cost::TensorShape;
use bantam_model::names::{Layout, Part, Within};
use bantam_model::{self as model, Config, LoadOptions, Precision, Weights};
use candle_core::Tensor;
use half::{bf16, f16};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What weights are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits, the range of f32.
    Bf16,
}

/// What is exported, and how it is called.
#[derive(Clone, Copy)]
pub struct From<'a> {
    /// What the model is called.
    pub name: &'a str,
    /// Where it is.
    pub model: model::Source<'a>,
    /// The folder of an adapter, merged into the weights.
    pub adapter: Option<&'a Path>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The GGUF file, or the folder.
    pub path: PathBuf,
    /// Bytes of the file, or of the weights in the folder.
    pub bytes: u64,
    /// Where other programs will do otherwise than the checkpoint did, in sentences.
    pub notes: Vec<String>,
}

/// Bytes of a shard of safetensors, about, as transformers cuts them.
const SHARD: u64 = 5_000_000_000;

impl Dtype {
    /// The type in a safetensors header, in config.json, and bytes.
    fn facts(self) -> (&'static str, &'static str, u64) {
        match self {
            Dtype::F32 => ("F32", "float32", 4),
            Dtype::F16 => ("F16", "float16", 2),
            Dtype::Bf16 => ("BF16", "bfloat16", 2),
        }
    }

    /// What a checkpoint says that it stores.
    fn stored(config: &Config) -> Dtype {
        match config.stored {
            Some(model::config::Stored::F16) => Dtype::F16,
            Some(model::config::Stored::Bf16) => Dtype::Bf16,
            Some(model::config::Stored::F32) | None => Dtype::F32,
        }
    }

    /// A number as it comes back from this type.
    fn rounded(self, x: f32) -> f32 {
        match self {
            Dtype::F32 => x,
            Dtype::F16 => f16::from_f32(x).to_f32(),
            Dtype::Bf16 => bf16::from_f32(x).to_f32(),
        }
    }

    fn mixture(self) -> Mixture {
        match self {
            Dtype::F32 => Mixture::F32,
            Dtype::F16 => Mixture::F16,
            Dtype::Bf16 => Mixture::BF16,
        }
    }

    fn encode(self, x: f32, out: &mut Vec<u8>) {
        match self {
            Dtype::F32 => out.extend(x.to_le_bytes()),
            Dtype::F16 => out.extend(f16::from_f32(x).to_le_bytes()),
            Dtype::Bf16 => out.extend(bf16::from_f32(x).to_le_bytes()),
        }
    }
}

/// Writes a GGUF file: at `out`, or here under the name that the naming convention gives it, where `allow` has nothing
/// against it.
///
/// # Errors
/// One sentence where the model or the adapter cannot be read, GGUF cannot say what it is, a weight does not fit the
/// type, the disk does not take the file, or it is cancelled. Nothing half-written is left.
pub fn to_gguf(
    from: From,
    dtype: Dtype,
    out: Option<&Path>,
    cancel: &Cancel,
    allow: &dyn Fn(&Path) -> Result<()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Exported> {
    let quantize = Step::new("quantize", Quantize::new(dtype.mixture()));
    let merge = from.adapter.map(|folder| Step::new("merge_adapter", MergeAdapter { adapter: folder.to_owned() }));
    let recipe = Recipe { name: dtype.mixture().to_string(), steps: merge.into_iter().chain([quantize]).collect() };
    if let Some(source) = own_source(from)? {
        return gguf_of(&source, &recipe, out, cancel, allow, progress);
    }
    let tokenizer = model::read_tokenizer(from.model)?;
    with_weights(from, |config, weights| {
        let source = Source::of_weights(from.name, from.name, Box::new(weights), config.clone(), &tokenizer)?;
        gguf_of(&source, &recipe, out, cancel, allow, progress)
    })
}

/// A source whose rows are read where they lie: a GGUF file, which keeps its own metadata, or files of plain numbers.
fn own_source(from: From) -> Result<Option<Source<'static>>> {
    let path = match from.model {
        model::Source::Embedded(_) if from.adapter.is_some() => return Ok(None),
        model::Source::Embedded(files) => return Source::embedded(files).map(Some),
        model::Source::Path(path) => model::main_file(path)?,
    };
    if !path.is_dir() {
        return Source::unpacked(from.name, &path).map(Some);
    }
    let facts = model::inspect(&*path)?;
    let is_plain = facts.types.keys().all(|kind| ["F32", "F16", "BF16"].contains(&kind.as_str()));
    let is_plain = is_plain && facts.config.quantization.is_none() && from.adapter.is_none();
    is_plain.then(|| Source::open(from.name, &path)).transpose()
}

fn gguf_of(
    source: &Source,
    recipe: &Recipe,
    out: Option<&Path>,
    cancel: &Cancel,
    allow: &dyn Fn(&Path) -> Result<()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Exported> {
    let path = out.map_or_else(|| PathBuf::from(name::conventional(source, &recipe.name)), Path::to_path_buf);
    allow(&path)?;
    let made = write_to(source, recipe, &path, cancel, progress)?;
    Ok(Exported { path, bytes: made.bytes, notes: source.notes().to_vec() })
}

/// Writes a folder of safetensors with config.json and the tokenizer's files. Weights are written as `dtype`, as the
/// checkpoint says it stores them where none is given.
///
/// # Errors
/// As `to_gguf`, and where `out` has something in it already.
pub fn to_safetensors(
    from: From,
    dtype: Option<Dtype>,
    out: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Exported> {
    beside::check_folder(out)?;
    // a GGUF file has no such files: they are made of what it says
    let config_json = beside::beside(from, "config.json")?;
    let tokenizer = if config_json.is_none() { Some(model::read_tokenizer(from.model)?) } else { None };
    let folder = DraftFolder::of(out).with_context(|| format!("cannot write {}", out.display()))?;
    let bytes = with_merged(from, |checkpoint| {
        let config = checkpoint.config()?;
        let dtype = dtype.unwrap_or(Dtype::stored(config));
        let map = beside::written_config(config_json.as_deref(), config, dtype.facts().1)?;
        let text = serde_json::to_string_pretty(&map)? + "\n";
        fs::write(folder.path().join("config.json"), text).context("writing config.json")?;
        let tensors = model::cost(config).tensors;
        let together = together(config, &tensors);
        let whole = |members: &Vec<usize>| vec![Stored::whole(config, &tensors, members, dtype)];
        let all: Vec<Vec<Stored>> = together.iter().map(whole).collect();
        let mut make = |number: usize| {
            let members = &together[number];
            let made = members.iter().map(|&member| numbers(config, checkpoint.weights(), &tensors[member], dtype));
            let made = made.collect::<Result<Vec<_>>>()?;
            let first = &tensors[members[0]];
            Ok(vec![match within(config, first) {
                Some(Within { layout: Layout::Alternating, of, .. }) => {
                    let columns = if first.is_matrix() { first.shape[1] } else { 1 };
                    made.chunks(of).flat_map(|parts| alternating(parts, columns, dtype.facts().2 as usize)).collect()
                }
                _ => made.concat(),
            }])
        };
        write_shards(&all, &mut make, folder.path(), cancel, progress)
    })?;
    beside::write(from, tokenizer.as_ref(), folder.path())?;
    folder.finish().with_context(|| format!("cannot write {}", out.display()))?;
    Ok(Exported { path: out.to_path_buf(), bytes, notes: Vec::new() })
}

/// A tensor as safetensors hold it.
struct Stored {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
}

/// Where a tensor is written in one that holds several.
fn within(config: &Config, tensor: &TensorShape) -> Option<Within> {
    config.architecture.within(&tensor.name).filter(|within| !within.optional)
}

/// The tensors of the graph by those that checkpoints store as one, each as in the file.
fn together(config: &Config, tensors: &[TensorShape]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    let mut started: BTreeMap<String, usize> = BTreeMap::new();
    for (number, tensor) in tensors.iter().enumerate() {
        let Some(within) = within(config, tensor) else {
            all.push(vec![number]);
            continue;
        };
        let index = *started.entry(within.stored).or_insert(all.len());
        match all.get_mut(index) {
            Some(members) => members.push(number),
            None => all.push(vec![number]),
        }
    }
    let place = |&number: &usize| {
        let within = within(config, &tensors[number]);
        within.map(|within| (within.expert, within.nth))
    };
    all.iter_mut().for_each(|members| members.sort_by_key(place));
    all
}

impl Stored {
    /// One tensor of plain numbers, or several that are stored as one.
    fn whole(config: &Config, tensors: &[TensorShape], members: &[usize], dtype: Dtype) -> Stored {
        let first = &tensors[members[0]];
        let mut one = Stored::plain(config, first, dtype);
        if let Some(within) = within(config, first) {
            one.name = within.stored;
            one.bytes *= members.len() as u64;
            one.shape[0] *= within.of;
            if within.layout == Layout::Alternating {
                one.shape.reverse();
            }
            if within.expert.is_some() {
                one.shape.insert(0, members.len() / within.of);
            }
        }
        one
    }

    /// A tensor of plain numbers.
    fn plain(config: &Config, tensor: &TensorShape, dtype: Dtype) -> Stored {
        let (name, _, width) = dtype.facts();
        let mut shape = shape_in_checkpoint(config, tensor);
        // ERNIE has it as the only row of a matrix
        if tensor.part == Part::RouterBias && config.architecture.routing == Routing::BiasedSoftmax {
            shape.insert(0, 1);
        }
        Stored { name: tensor.name.clone(), dtype: name, shape, bytes: tensor.elements() * width }
    }
}

/// Tensors (out, columns) as one of (columns, parts · out): a number of the first, of the second, and the first's next.
fn alternating(parts: &[Vec<u8>], columns: usize, width: usize) -> Vec<u8> {
    let rows = parts[0].len() / (columns * width).max(1);
    let number = |part: usize, row: usize, column: usize| &parts[part][(row * columns + column) * width..][..width];
    let row = |column: usize| {
        (0..rows).flat_map(move |row| (0..parts.len()).flat_map(move |part| number(part, row, column))).copied()
    };
    (0..columns).flat_map(row).collect()
}

/// Writes tensors in shards of bounded size; with an index where there are several. `all` are the tensors by those that are
/// made together, of which `make` gives the bytes by their number, in order. Gives the bytes of all.
fn write_shards(
    all: &[Vec<Stored>],
    make: &mut dyn FnMut(usize) -> Result<Vec<Vec<u8>>>,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<u64> {
    let mut shards: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new())];
    for (number, together) in all.iter().enumerate() {
        let bytes: u64 = together.iter().map(|tensor| tensor.bytes).sum();
        let (full, _) = shards.last().expect("there is a first shard");
        if *full > 0 && full + bytes > SHARD {
            shards.push((0, Vec::new()));
        }
        let (filled, numbers) = shards.last_mut().expect("there is a first shard");
        *filled += bytes;
        numbers.push(number);
    }
    let total: u64 = shards.iter().map(|(bytes, _)| bytes).sum();
    crate::artifact::check_room(folder, total)?;
    let name = |index: usize| match shards.len() {
        1 => "model.safetensors".to_owned(),
        count => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
    };
    let mut map = BTreeMap::new();
    let mut done = 0;
    for (index, (_, numbers)) in shards.iter().enumerate() {
        let path = folder.join(name(index));
        let failed = || format!("cannot write {}", path.display());
        let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&path).with_context(failed)?);
        let tensors: Vec<&Stored> = numbers.iter().flat_map(|&number| &all[number]).collect();
        out.write_all(&header(&tensors)).with_context(failed)?;
        for &number in numbers {
            ensure!(!cancel.is_cancelled(), "cancelled");
            let first = all[number].first().expect("something is made");
            progress(&first.name, done, total);
            for (tensor, bytes) in all[number].iter().zip(make(number)?) {
                ensure!(bytes.len() as u64 == tensor.bytes, "{} became other bytes than were planned", tensor.name);
                out.write_all(&bytes).with_context(failed)?;
                done += tensor.bytes;
                map.insert(tensor.name.clone(), name(index));
            }
        }
        out.into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|f| f.sync_all())
            .with_context(failed)?;
    }
    if shards.len() > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        let text = serde_json::to_string_pretty(&index)? + "\n";
        fs::write(folder.join("model.safetensors.index.json"), text).context("writing the index")?;
    }
    Ok(total)
}

/// The length, and JSON padded to eight bytes: names, types, shapes and places.
fn header(tensors: &[&Stored]) -> Vec<u8> {
    let mut map = Map::new();
    // transformers refuses a file that does not say which framework's layout it has
    map.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes;
        let entry = json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]});
        map.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut text = Json::Object(map).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

fn numbers(config: &Config, weights: &dyn Weights, tensor: &TensorShape, dtype: Dtype) -> Result<Vec<u8>> {
    let mut values: Tensor = match tensor.shape[..] {
        [out, inp] => weights.linear(&tensor.name, out, inp)?.dequantized()?,
        _ => weights.tensor(&tensor.name, &tensor.shape)?,
    };
    if config.architecture.is_transposed(&tensor.name) && tensor.is_matrix() {
        values = values.t()?.contiguous()?;
    }
    let values: Vec<f32> = values.flatten_all()?.to_vec1()?;
    let mut bytes = Vec::with_capacity(values.len() * dtype.facts().2 as usize);
    for x in values {
        let fits = dtype != Dtype::F16 || !x.is_finite() || x.abs() <= 65_504.0;
        ensure!(fits, "tensor {} holds {x}, and F16 reaches to 65504 only; BF16 would hold it", tensor.name);
        dtype.encode(x, &mut bytes);
    }
    Ok(bytes)
}

/// Gives the model as a checkpoint to `with`, unpacked where it is packed, the adapter merged.
fn with_merged<T>(from: From, with: impl FnOnce(&Checkpoint) -> Result<T>) -> Result<T> {
    with_weights(from, |config, weights| {
        let checkpoint = Checkpoint::of_config(config, Box::new(weights));
        match from.adapter {
            Some(folder) => {
                let merge = MergeAdapter { adapter: folder.to_owned() };
                with(&merge.apply(checkpoint, &Calibration::none())?)
            }
            None => with(&checkpoint),
        }
    })
}

/// Gives the model's config and weights to `with`, unpacked where they are packed, without the adapter.
fn with_weights<T>(from: From, with: impl FnOnce(&Config, &dyn Weights) -> Result<T>) -> Result<T> {
    let options = LoadOptions { precision: Precision::AsStored, ..LoadOptions::default() };
    model::with_weights(from.model, &options, |config, weights| Ok(with(config, weights)))?
}
