//! Packed integers in safetensors, as vLLM and transformers load them: compressed-tensors' pack-quantized form and GPTQ's
//! (version 1), symmetric, of 4 and 8 bits. Matrices within layers are packed; embeddings, the head, norms and biases stay
//! plain numbers. The model goes through layer by layer where a text tells how to round, and what a layer became is written
//! before the next is looked at.

use super::grid::{Coded, Grid};
use super::{Dtype, Exported, From, Stored, beside, numbers, with_merged, write_shards};
use crate::Calibration;
use crate::compensate::{FEWEST, Method, stage};
use crate::gptq::{Factors, Matrix};
use crate::transform::Calibrate;
use crate::walk::{Gram, Walk};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::DraftFolder;
use bantam_model::cost::TensorShape;
use bantam_model::{self as model, Config, Weights};
use candle_core::{Device, Tensor};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Who reads the packed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackedForm {
    /// compressed-tensors' `pack-quantized`, as llm-compressor writes it.
    CompressedTensors,
    /// GPTQ's first version, as AutoGPTQ and GPTQModel write it.
    Gptq,
}

/// How matrices are packed.
#[derive(Debug, Clone, PartialEq)]
pub struct Packing {
    /// Who reads it.
    pub form: PackedForm,
    /// Bits of a weight, 4 or 8.
    pub bits: u32,
    /// Neighbours in a row that share a scale; the most of `GROUPS` that divide all rows where it is not given.
    pub group: Option<usize>,
    /// How weights are rounded; not `Best`.
    pub method: Method,
    /// The text that the model reads for it, where one is given; passing errors on reads one in any case.
    pub calibrate: Option<Calibrate>,
}

/// The sizes of groups that readers have fast code for.
const GROUPS: [usize; 3] = [128, 64, 32];

/// What the parts of a packed file lie in, so that each begins where its numbers may.
const ALIGNED: u64 = 8;

/// A matrix in words, part by part, in the order of its tensors.
type Parts = Vec<Vec<u8>>;

/// Writes a folder of safetensors whose matrices are packed.
///
/// # Errors
/// As plain export; where rows are no whole groups, a form does not hold such a model, or the text is too short.
pub fn to_packed(
    from: From,
    packing: &Packing,
    dtype: Option<Dtype>,
    out: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Exported> {
    beside::check_folder(out)?;
    let config_json = beside::beside(from, "config.json")?;
    let tokenizer = model::read_tokenizer(from.model)?;
    let folder = DraftFolder::of(out).with_context(|| format!("cannot write {}", out.display()))?;
    let (bytes, notes) = with_merged(from, |checkpoint| {
        let config = checkpoint.config()?;
        // what a GGUF file was made of is not known, and no activation is too large for BF16
        let dtype = dtype.unwrap_or(if config.stored.is_some() { Dtype::stored(config) } else { Dtype::Bf16 });
        let layout = Layout::new(config, packing, dtype)?;
        let mut map = beside::written_config(config_json.as_deref(), config, dtype.facts().1)?;
        let told = layout.told();
        map.insert("quantization_config".into(), Json::Object(told.clone()));
        let put = |file: &str, map: &Map<String, Json>| {
            let text = serde_json::to_string_pretty(map)? + "\n";
            fs::write(folder.path().join(file), text).with_context(|| format!("writing {file}"))
        };
        put("config.json", &map)?;
        if packing.form == PackedForm::Gptq {
            // where readers from before config.json had it look
            put("quantize_config.json", &told)?;
        }
        let all: Vec<Vec<Stored>> = layout.tensors.iter().map(|tensor| layout.stored(tensor)).collect();
        let text = layout.windows(config, packing, &|| Ok(tokenizer.clone()), cancel)?;
        let mut maker = Maker::new(&layout, checkpoint.weights(), text.as_deref(), cancel)?;
        let bytes = write_shards(&all, &mut |number| maker.make(number), folder.path(), cancel, progress)?;
        Ok((bytes, vec![layout.words(&all)]))
    })?;
    let own = if config_json.is_none() { Some(&tokenizer) } else { None };
    beside::write(from, own, folder.path())?;
    folder.finish().with_context(|| format!("cannot write {}", out.display()))?;
    Ok(Exported { path: out.to_path_buf(), bytes, notes })
}

/// What becomes of each tensor of a model.
struct Layout<'a> {
    config: &'a Config,
    packing: &'a Packing,
    grid: Grid,
    dtype: Dtype,
    tensors: Vec<TensorShape>,
}

impl<'a> Layout<'a> {
    fn new(config: &'a Config, packing: &'a Packing, dtype: Dtype) -> Result<Layout<'a>> {
        ensure!(matches!(packing.bits, 4 | 8), "--bits is {}; allowed are 4 and 8", packing.bits);
        ensure!(packing.method != Method::Best, "packed forms are rounded by rounding or gptq; allowed are these two");
        ensure!(
            config.experts.is_none(),
            "the experts of a mixture are not packed here; `bantam export --format safetensors` writes them as plain numbers"
        );
        let tensors = model::cost(config).tensors;
        let packed = |tensor: &&TensorShape| is_packed(config, tensor);
        if let Some(tensor) = tensors.iter().filter(packed).find(|t| config.architecture.is_transposed(&t.name)) {
            bail!("{} is no Linear in this architecture, and packed forms hold these alone", tensor.name);
        }
        let columns = || tensors.iter().filter(packed).map(|tensor| tensor.shape[1]);
        let divides = |group: usize| columns().all(|columns| columns.is_multiple_of(group));
        let allowed: Vec<usize> = GROUPS.into_iter().filter(|group| divides(*group)).collect();
        let listed = allowed.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let group = match packing.group {
            Some(group) if allowed.contains(&group) => group,
            Some(group) if allowed.is_empty() => bail!("its rows are no whole groups of {group}, nor of 64 or 32"),
            Some(group) => bail!("--group is {group}; allowed for the rows of this model are {listed}"),
            None => match allowed.first() {
                Some(group) => *group,
                None => bail!("its rows are no whole groups of 128, 64 or 32, so that packed forms cannot hold them"),
            },
        };
        let scale = if packing.form == PackedForm::Gptq { Dtype::F16 } else { dtype };
        let layout = Layout { config, packing, grid: Grid { bits: packing.bits, group, scale }, dtype, tensors };
        let whole = |tensor: &&TensorShape| layout.stored(tensor).iter().all(|part| part.bytes.is_multiple_of(ALIGNED));
        if let Some(tensor) = layout.tensors.iter().find(|tensor| !whole(tensor)) {
            bail!("{} of shape {:?} does not fill whole words, as packed files want it", tensor.name, tensor.shape);
        }
        Ok(layout)
    }

    fn in_word(&self) -> usize {
        32 / self.packing.bits as usize
    }

    /// The tensors that one of the model's is stored as.
    fn stored(&self, tensor: &TensorShape) -> Vec<Stored> {
        if !is_packed(self.config, tensor) {
            return vec![Stored::plain(self.config, tensor, self.dtype)];
        }
        let (out, inp) = (tensor.shape[0], tensor.shape[1]);
        let module = tensor.name.trim_end_matches(".weight");
        let (groups, words) = (inp / self.grid.group, |count: usize| count.div_ceil(self.in_word()));
        let (scale, _, wide) = self.grid.scale.facts();
        let part = |name: &str, dtype: &'static str, shape: Vec<usize>, width: u64| Stored {
            name: format!("{module}.{name}"),
            dtype,
            bytes: shape.iter().map(|&n| n as u64).product::<u64>() * width,
            shape,
        };
        match self.packing.form {
            PackedForm::CompressedTensors => vec![
                part("weight_packed", "I32", vec![out, words(inp)], 4),
                part("weight_scale", scale, vec![out, groups], wide),
                part("weight_shape", "I64", vec![2], 8),
            ],
            PackedForm::Gptq => vec![
                part("qweight", "I32", vec![words(inp), out], 4),
                part("qzeros", "I32", vec![groups, words(out)], 4),
                part("scales", scale, vec![groups, out], wide),
                part("g_idx", "I32", vec![inp], 4),
            ],
        }
    }

    /// The bytes of these tensors.
    fn parts(&self, coded: &Coded, out: usize, inp: usize) -> Parts {
        let (bits, groups) = (self.packing.bits, inp / self.grid.group);
        let word = |codes: &mut dyn Iterator<Item = u8>| {
            codes.enumerate().fold(0u32, |word, (i, code)| word | u32::from(code) << (bits as usize * i)).to_le_bytes()
        };
        let scaled = |order: &mut dyn Iterator<Item = usize>| {
            let mut bytes = Vec::new();
            order.for_each(|at| self.grid.scale.encode(coded.scales[at], &mut bytes));
            bytes
        };
        match self.packing.form {
            PackedForm::CompressedTensors => {
                let words = coded.codes.chunks(self.in_word()).flat_map(|codes| word(&mut codes.iter().copied()));
                let shape = [out as i64, inp as i64].into_iter().flat_map(i64::to_le_bytes);
                vec![words.collect(), scaled(&mut (0..out * groups)), shape.collect()]
            }
            PackedForm::Gptq => {
                let of = |first: usize, row: usize| {
                    word(&mut (first..first + self.in_word()).map(|column| coded.codes[row * inp + column]))
                };
                let firsts = (0..inp).step_by(self.in_word());
                let words = firsts.flat_map(|first| (0..out).flat_map(move |row| of(first, row)));
                // version 1 holds zero points less one
                let zero = (1u8 << (bits - 1)) - 1;
                let zeros = word(&mut std::iter::repeat_n(zero, self.in_word()));
                let scales = &mut (0..groups).flat_map(|group| (0..out).map(move |row| row * groups + group));
                let index = (0..inp).flat_map(|column| ((column / self.grid.group) as i32).to_le_bytes());
                vec![words.collect(), zeros.repeat(groups * out / self.in_word()), scaled(scales), index.collect()]
            }
        }
    }

    /// `quantization_config`.
    fn told(&self) -> Map<String, Json> {
        let (bits, group) = (self.packing.bits, self.grid.group);
        let told = match self.packing.form {
            PackedForm::CompressedTensors => json!({
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
                "quantization_status": "compressed",
                "global_compression_ratio": null,
                "kv_cache_scheme": null,
                "ignore": ["lm_head"],
                "config_groups": {
                    "group_0": {
                        "targets": ["Linear"],
                        "weights": {
                            "num_bits": bits,
                            "type": "int",
                            "symmetric": true,
                            "strategy": "group",
                            "group_size": group,
                            "dynamic": false,
                            "actorder": null,
                            "block_structure": null,
                            "observer": "minmax",
                            "observer_kwargs": {},
                        },
                        "input_activations": null,
                        "output_activations": null,
                    }
                },
            }),
            PackedForm::Gptq => json!({
                "quant_method": "gptq",
                "checkpoint_format": "gptq",
                "bits": bits,
                "group_size": group,
                "sym": true,
                "desc_act": false,
                "static_groups": false,
                "true_sequential": true,
                "damp_percent": 0.01,
                "lm_head": false,
            }),
        };
        match told {
            Json::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// The text that the model reads, in windows; None where weights are rounded without one.
    fn windows(
        &self,
        config: &Config,
        packing: &Packing,
        tokenizer: &dyn Fn() -> Result<model::Tokenizer>,
        cancel: &Cancel,
    ) -> Result<Option<Vec<Vec<u32>>>> {
        let bundled = (packing.method == Method::Gptq).then(Calibrate::bundled);
        let Some(calibrate) = packing.calibrate.clone().or(bundled) else { return Ok(None) };
        let calibration = Calibration::new(Vec::new(), cancel).with_tokenizer(tokenizer);
        let windows = calibrate.windows(config, &calibration)?;
        let (has, window) = (windows.len(), windows.first().map_or(0, Vec::len));
        ensure!(
            has >= FEWEST,
            "{has} windows of {window} tokens are too few to round by; at least {FEWEST} are needed: give a longer text"
        );
        Ok(Some(windows))
    }

    fn words(&self, all: &[Vec<Stored>]) -> String {
        let packed = || self.tensors.iter().zip(all).filter(|(tensor, _)| is_packed(self.config, tensor));
        let weights: u64 = packed().map(|(tensor, _)| tensor.elements()).sum();
        let bytes: u64 = packed().flat_map(|(_, parts)| parts).map(|part| part.bytes).sum();
        format!(
            "{} matrices are packed in {} bits, groups of {} ({:.2} bits a weight with their scales); embedding, head and norms are \
             plain {}",
            packed().count(),
            self.packing.bits,
            self.grid.group,
            bytes as f64 * 8.0 / weights.max(1) as f64,
            self.dtype.facts().1
        )
    }
}

/// Whether a tensor is a matrix that packed forms pack: one of a layer, and not what chooses among experts.
fn is_packed(config: &Config, tensor: &TensorShape) -> bool {
    let within = || config.architecture.place(&tensor.name).is_some_and(|place| place.part.is_within_layer());
    tensor.is_matrix() && tensor.shape[0] > 1 && tensor.name.ends_with(".weight") && within()
}

/// Makes the bytes of one tensor after the other; a layer's matrices together, where a text goes through the model.
struct Maker<'a> {
    layout: &'a Layout<'a>,
    weights: &'a dyn Weights,
    walk: Option<Walk<'a>>,
    /// Of the layer that the walk has left behind, by the names of its matrices.
    made: HashMap<String, Parts>,
}

impl<'a> Maker<'a> {
    fn new(
        layout: &'a Layout<'a>,
        weights: &'a dyn Weights,
        text: Option<&[Vec<u32>]>,
        cancel: &Cancel,
    ) -> Result<Maker<'a>> {
        let walk =
            |windows: &[Vec<u32>]| Ok::<_, anyhow::Error>(Walk::new(layout.config, weights, windows)?.until(cancel));
        Ok(Maker { layout, weights, walk: text.map(walk).transpose()?, made: HashMap::new() })
    }

    fn make(&mut self, number: usize) -> Result<Parts> {
        let tensor = &self.layout.tensors[number];
        if !is_packed(self.layout.config, tensor) {
            return Ok(vec![numbers(self.layout.config, self.weights, tensor, self.layout.dtype)?]);
        }
        let (out, inp) = (tensor.shape[0], tensor.shape[1]);
        let Some(walk) = &mut self.walk else {
            let numbers: Vec<f32> =
                self.weights.linear(&tensor.name, out, inp)?.dequantized()?.flatten_all()?.to_vec1()?;
            let coded = self.layout.grid.plain(Matrix { columns: inp, numbers: &numbers }, None);
            return Ok(self.layout.parts(&coded.with_context(|| tensor.name.clone())?, out, inp));
        };
        let layer = self.layout.config.architecture.place(&tensor.name).map_or(0, |place| place.layer);
        // tensors come layer by layer, and so does the text
        while walk.layer().is_some_and(|next| next <= layer) {
            self.made = self.layout.round_layer(walk)?;
            walk.advance()?;
        }
        self.made.remove(&tensor.name).with_context(|| format!("{} is not where it is expected", tensor.name))
    }
}

impl Layout<'_> {
    /// Rounds the matrices of the layer ahead in the order in which they are multiplied.
    fn round_layer(&self, walk: &mut Walk) -> Result<HashMap<String, Parts>> {
        let wanted =
            |name: &&String| self.tensors.iter().any(|tensor| tensor.name == **name && is_packed(self.config, tensor));
        let mut stages: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for name in walk.matrices()?.iter().filter(wanted) {
            let part = self.config.architecture.place(name).context("a matrix has its place")?.part;
            stages.entry(stage(part)).or_default().push(name.clone());
        }
        let mut made = HashMap::new();
        for names in stages.into_values() {
            let grams = walk.grams(&names, 0..walk.windows())?;
            let mut factors: Option<(Arc<Gram>, Factors)> = None;
            for name in names {
                let gram = grams.get(&name).with_context(|| format!("{name}: nothing of its inputs was seen"))?;
                if !factors.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, gram)) {
                    factors = Some((gram.clone(), Factors::of(gram).with_context(|| name.clone())?));
                }
                let (_, factors) = factors.as_ref().expect("they were made");
                let tensor = walk.matrix(&name)?;
                let (out, inp) = tensor.dims2()?;
                let numbers: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
                let matrix = Matrix { columns: inp, numbers: &numbers };
                let coded = match self.packing.method {
                    Method::Gptq => self.grid.in_turn(matrix, factors),
                    _ => self.grid.plain(matrix, Some(factors.importance())),
                };
                let coded = coded.with_context(|| name.clone())?;
                made.insert(name.clone(), self.parts(&coded, out, inp));
                walk.replace(&name, Tensor::from_vec(coded.values, (out, inp), &Device::Cpu)?)?;
            }
        }
        Ok(made)
    }
}
