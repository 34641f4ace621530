//! Exports: a model's weights in another kind of file, as plain numbers. GGUF goes the way of compression; safetensors
//! is a folder that transformers loads, with what stood beside the weights copied. What is quantized in packed form is
//! written as the numbers it stands for, and an adapter is merged in.

use super::source::shape_in_checkpoint;
use super::told;
use super::transform::{Checkpoint, MergeAdapter, Step, Transform};
use super::{Calibration, GgufTensor, Mixture, Progress, Quantize, Recipe, Source, write_to};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::DraftFolder;
use bantam_format::gguf::FILE_TYPES;
use bantam_model::config::gguf::size_label;
use bantam_model::cost::TensorShape;
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

/// Files beside the weights that go along.
const BESIDE: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
];

impl Dtype {
    /// The type in a safetensors header, in config.json, and bytes.
    fn facts(self) -> (&'static str, &'static str, u64) {
        match self {
            Dtype::F32 => ("F32", "float32", 4),
            Dtype::F16 => ("F16", "float16", 2),
            Dtype::Bf16 => ("BF16", "bfloat16", 2),
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
    let path = out.map_or_else(|| PathBuf::from(conventional(source, &recipe.name)), Path::to_path_buf);
    allow(&path)?;
    let made = write_to(source, recipe, &path, cancel, progress)?;
    Ok(Exported { path, bytes: made.bytes, notes: source.notes().to_vec() })
}

/// A model's name without the types that its weights had: "SmolLM2-135M-Instruct" of "SmolLM2-135M-Instruct.Q4_1.gguf".
pub fn base_name(name: &str) -> &str {
    let ending = name.len().saturating_sub(".gguf".len());
    let mut name = if name.is_char_boundary(ending) && name[ending..].eq_ignore_ascii_case(".gguf") {
        &name[..ending]
    } else {
        name
    };
    let is_seam = |c: char| "-_. ".contains(c);
    let mut stripped = false;
    loop {
        let types = FILE_TYPES.iter().map(|(_, name)| *name).chain(OTHER_TYPES);
        let endings = types.chain(OF_TYPES.into_iter().filter(|_| stripped));
        let rest = endings.filter_map(|ending| without(name, ending)).min_by_key(|rest| rest.len());
        match rest.map(|rest| rest.trim_end_matches(is_seam)).filter(|rest| !rest.is_empty()) {
            Some(rest) => (name, stripped) = (rest, true),
            None => return name,
        }
    }
}

/// Types that files are named after beside llama.cpp's own names.
const OTHER_TYPES: [&str; 12] = [
    "FP16", "FP32", "Q2_K_L", "Q4_K_L", "Q5_K_L", "Q6_K_L", "Q2_K_XL", "Q3_K_XL", "Q4_K_XL", "Q5_K_XL", "Q6_K_XL",
    "Q8_K_XL",
];
/// What stands before a type in names of the hub: of unsloth's own mixtures, and of an importance matrix.
const OF_TYPES: [&str; 3] = ["UD", "imat", "i1"];

/// A name without a type at its end, whatever its case and however its parts are joined; None where it has no such end.
fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(ending.len()).filter(|at| name.is_char_boundary(*at))?;
    let (rest, last) = name.split_at(at);
    let same = last.replace('-', "_").eq_ignore_ascii_case(ending);
    (same && rest.ends_with(['-', '_', '.', ' '])).then_some(rest)
}

/// BaseName-SizeLabel-FineTune-Version-Encoding.gguf, the parts taken from the model's name where it has them
/// (the naming convention in ggml's docs/gguf.md).
fn conventional(source: &Source, encoding: &str) -> String {
    let name = base_name(source.name().rsplit('/').next().unwrap_or_default());
    let parts: Vec<&str> = name.split(['-', '_']).filter(|part| !part.is_empty()).collect();
    let is_version = |part: &&str| {
        part.strip_prefix(['v', 'V']).is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
    };
    let is_size = |part: &&str| {
        let digits = part.strip_suffix(['K', 'M', 'B', 'T', 'k', 'm', 'b', 't']);
        digits.is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'x'))
    };
    let size = parts.iter().position(is_size);
    let version = parts.iter().find(|part| is_version(part)).map_or_else(|| "v1.0".to_owned(), |v| v.to_lowercase());
    let words = |parts: &[&str]| {
        let kept = parts.iter().filter(|part| !is_version(part));
        kept.map(|part| part.to_string()).collect::<Vec<_>>()
    };
    let (base, tune) = match size {
        Some(at) => (words(&parts[..at]), words(&parts[at + 1..])),
        None => (words(&parts), Vec::new()),
    };
    let label = size.map_or_else(|| label(source), |at| parts[at].to_uppercase().replace('X', "x"));
    let base = if base.is_empty() { vec!["Model".to_owned()] } else { base };
    let all = [base, vec![label], tune, vec![version, encoding.to_owned()]].concat();
    format!("{}.gguf", all.join("-"))
}

/// "853K", or "8x7B" for a mixture of experts: how many, and the size of a model with one of them.
fn label(source: &Source) -> String {
    let (experts, rest): (Vec<_>, Vec<_>) = source.tensors().iter().partition(|t| t.name.contains("_exps."));
    let sum = |tensors: Vec<&GgufTensor>| tensors.into_iter().map(GgufTensor::weights).sum::<u64>();
    let (experts, rest) = (sum(experts), sum(rest));
    match source.experts() as u64 {
        0 => size_label(rest),
        count => format!("{count}x{}", size_label(rest + experts / count)),
    }
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
    check_folder(out)?;
    // a GGUF file has no such files: they are made of what it says
    let config_json = beside(from, "config.json")?;
    let tokenizer = if config_json.is_none() { Some(model::read_tokenizer(from.model)?) } else { None };
    let folder = DraftFolder::of(out).with_context(|| format!("cannot write {}", out.display()))?;
    let bytes = with_weights(from, |config_of_files, weights| {
        let mut checkpoint = Checkpoint::of_config(config_of_files, Box::new(weights));
        if let Some(folder) = from.adapter {
            let merge = MergeAdapter { adapter: folder.to_owned() };
            checkpoint = merge.apply(checkpoint, &Calibration::none())?;
        }
        let config = checkpoint.config()?;
        let dtype = dtype.unwrap_or(match config.stored {
            Some(model::config::Stored::F16) => Dtype::F16,
            Some(model::config::Stored::Bf16) => Dtype::Bf16,
            Some(model::config::Stored::F32) | None => Dtype::F32,
        });
        let text = match &config_json {
            Some(config_json) => written_config(config_json, config, dtype)?,
            None => {
                let mut map = config.to_json()?;
                map.insert("dtype".into(), json!(dtype.facts().1));
                serde_json::to_string_pretty(&map)? + "\n"
            }
        };
        fs::write(folder.path().join("config.json"), text).context("writing config.json")?;
        write_shards(config, checkpoint.weights(), dtype, folder.path(), cancel, progress)
    })?;
    for file in BESIDE.into_iter().chain(["chat_template.jinja"]) {
        if let Some(bytes) = beside(from, file)? {
            fs::write(folder.path().join(file), bytes).with_context(|| format!("writing {file}"))?;
        }
    }
    copy_templates(from, folder.path())?;
    let told = match from.model {
        model::Source::Path(path) => told::of(path)?,
        model::Source::Embedded(_) => None,
    };
    if let Some(told) = told {
        fs::write(folder.path().join(told::FILE), told).with_context(|| format!("writing {}", told::FILE))?;
    }
    for (file, text) in tokenizer.iter().map(model::Tokenizer::files).collect::<model::Result<Vec<_>>>()?.concat() {
        let path = folder.path().join(&file);
        path.parent().map(fs::create_dir_all).transpose().with_context(|| format!("writing {file}"))?;
        fs::write(path, text).with_context(|| format!("writing {file}"))?;
    }
    folder.finish().with_context(|| format!("cannot write {}", out.display()))?;
    Ok(Exported { path: out.to_path_buf(), bytes, notes: Vec::new() })
}

/// A new folder, or an empty one.
fn check_folder(out: &Path) -> Result<()> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(parent.is_dir(), "{}: there is no such folder to write into", parent.display());
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| out.display().to_string()),
        Ok(found) if !found.is_dir() => bail!("{}: it is there already and no folder; name a new one", out.display()),
        Ok(_) if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none()) => Ok(()),
        Ok(_) => bail!("{}: there is something in it already; name a new folder", out.display()),
    }
}

/// A file that stands beside the weights.
fn beside(from: From, file: &str) -> Result<Option<Vec<u8>>> {
    match from.model {
        model::Source::Embedded(files) => Ok(match file {
            "config.json" => Some(files.config.to_vec()),
            "tokenizer.json" => Some(files.tokenizer.to_vec()),
            "tokenizer_config.json" => files.tokenizer_config.map(<[u8]>::to_vec),
            "generation_config.json" => files.generation_config.map(<[u8]>::to_vec),
            _ => None,
        }),
        model::Source::Path(path) if path.is_dir() => match fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => bail!("cannot read {}: {e}", path.join(file).display()),
        },
        model::Source::Path(_) => Ok(None),
    }
}

fn copy_templates(from: From, folder: &Path) -> Result<()> {
    const NAME: &str = "additional_chat_templates";
    let model::Source::Path(path) = from.model else { return Ok(()) };
    let Ok(entries) = fs::read_dir(path.join(NAME)) else { return Ok(()) };
    fs::create_dir(folder.join(NAME)).with_context(|| format!("making {NAME}"))?;
    for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "jinja")) {
        fs::copy(entry.path(), folder.join(NAME).join(entry.file_name())).with_context(|| format!("copying {NAME}"))?;
    }
    Ok(())
}

/// config.json of what is written: plain weights of one type, and of a larger model's config the text's part.
fn written_config(bytes: &[u8], config: &Config, dtype: Dtype) -> Result<String> {
    let whole: Map<String, Json> = serde_json::from_slice(bytes).context("config.json")?;
    let mut map = match whole.get("text_config") {
        Some(Json::Object(text)) => {
            let mut text = text.clone();
            text.insert("model_type".into(), json!(config.architecture.name));
            text.insert("architectures".into(), json!([config.architecture.class()]));
            for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
                if let (false, Some(id)) = (text.contains_key(key), whole.get(key)) {
                    text.insert(key.into(), id.clone());
                }
            }
            text
        }
        _ => whole,
    };
    map.shift_remove("quantization_config");
    map.shift_remove("compression_config");
    let key = if map.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    map.insert(key.into(), json!(dtype.facts().1));
    if map.contains_key("vocab_size") {
        map.insert("vocab_size".into(), json!(config.vocab));
    }
    Ok(serde_json::to_string_pretty(&map)? + "\n")
}

/// The weights in shards of bounded size; with an index where there are several. Gives their bytes.
fn write_shards(
    config: &Config,
    weights: &dyn Weights,
    dtype: Dtype,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<u64> {
    let width = dtype.facts().2;
    let mut shards: Vec<(u64, Vec<TensorShape>)> = vec![(0, Vec::new())];
    for tensor in model::cost(config).tensors {
        let bytes = tensor.elements() * width;
        let (full, _) = shards.last().expect("there is a first shard");
        if *full > 0 && full + bytes > SHARD {
            shards.push((0, Vec::new()));
        }
        let (filled, tensors) = shards.last_mut().expect("there is a first shard");
        *filled += bytes;
        tensors.push(tensor);
    }
    let total: u64 = shards.iter().map(|(bytes, _)| bytes).sum();
    super::artifact::check_room(folder, total)?;
    let name = |index: usize| match shards.len() {
        1 => "model.safetensors".to_owned(),
        count => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
    };
    let mut map = BTreeMap::new();
    let mut done = 0;
    for (index, (_, tensors)) in shards.iter().enumerate() {
        let path = folder.join(name(index));
        let failed = || format!("cannot write {}", path.display());
        let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&path).with_context(failed)?);
        out.write_all(&header(config, tensors, dtype)).with_context(failed)?;
        for tensor in tensors {
            ensure!(!cancel.is_cancelled(), "cancelled");
            progress(&tensor.name, done, total);
            out.write_all(&numbers(config, weights, tensor, dtype)?).with_context(failed)?;
            done += tensor.elements() * width;
            map.insert(tensor.name.clone(), name(index));
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
fn header(config: &Config, tensors: &[TensorShape], dtype: Dtype) -> Vec<u8> {
    let (name, _, width) = dtype.facts();
    let mut map = Map::new();
    // transformers refuses a file that does not say which framework's layout it has
    map.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.elements() * width;
        let shape = shape_in_checkpoint(config, tensor);
        map.insert(tensor.name.clone(), json!({"dtype": name, "shape": shape, "data_offsets": [at, end]}));
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

/// Gives the model's config and weights to `with`, unpacked where they are packed, without the adapter.
fn with_weights<T>(from: From, with: impl FnOnce(&Config, &dyn Weights) -> Result<T>) -> Result<T> {
    let options = LoadOptions { precision: Precision::AsStored, ..LoadOptions::default() };
    model::with_weights(from.model, &options, |config, weights| Ok(with(config, weights)))?
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_the_types_that_weights_had_and_nothing_else() {
        for (name, base) in [
            ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
            ("gemma-3-270m.Q4_K_M", "gemma-3-270m"),
            ("Qwen3-0.6B-q4-k-m", "Qwen3-0.6B"),
            ("SmolLM2-135M-Instruct-v1.0-F16", "SmolLM2-135M-Instruct-v1.0"),
            ("Llama-3.2-1B-Instruct-UD-IQ2_XXS", "Llama-3.2-1B-Instruct"),
            ("m.f16.Q8_0.GGUF", "m"),
            ("bantam-l", "bantam-l"),
            ("Q8_0", "Q8_0"),
            ("bf16.gguf", "bf16"),
            ("aQ8_0", "aQ8_0"),
            ("größe-ü.gguf", "größe-ü"),
            ("", ""),
        ] {
            assert_eq!(base_name(name), base, "{name}");
        }
    }

    #[test]
    fn files_are_named_by_the_convention() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/llama");
        let named = |name: &str| conventional(&Source::open(name, &folder).expect("a source"), "F16");
        assert_eq!(named("meta-llama/Llama-3.2-1B-Instruct"), "Llama-3.2-1B-Instruct-v1.0-F16.gguf");
        assert_eq!(named("Mistral-7B-Instruct-v0.3"), "Mistral-7B-Instruct-v0.3-F16.gguf");
        assert_eq!(named("Mixtral-8x7B-v0.1"), "Mixtral-8x7B-v0.1-F16.gguf");
        assert_eq!(named("gemma-3-270m.Q4_K_M"), "gemma-3-270M-v1.0-F16.gguf");
        assert_eq!(named("gemma-2-2b-it"), "gemma-2-2B-it-v1.0-F16.gguf");
        assert!(named("bantam-l").starts_with("bantam-l-") && named("bantam-l").ends_with("K-v1.0-F16.gguf"));
    }
}
