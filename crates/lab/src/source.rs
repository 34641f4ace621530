//! Sources: a model to be compressed, as tensors under their GGUF names whose rows can be read one by one, and what a
//! GGUF file says about it. From a Hugging Face folder, from files in the binary, from a GGUF file of floats, or from
//! whatever answers for the weights of a config, such as a packed checkpoint. The steps of a recipe find it as a
//! checkpoint, and what they leave is read here row by row. A GGUF file keeps its own metadata, tokenizer and template
//! whatever its weights become: they are copied, not worked out anew.

use crate::history::Made;
use crate::mixture::{Anatomy, Mixture, is_70b};
use crate::recipe::Recipe;
use crate::told;
use crate::transform::{Checkpoint, Form, Planning};
use crate::types::Types;
use anyhow::{Context, Result, bail};
use bantam_core::cancel::Cancel;
use bantam_format::ggml::Type;
use bantam_format::gguf;
use bantam_format::gguf::{Gguf, Value};
use bantam_kernels::{block, isa};
use bantam_model::architecture::Recurrence;
use bantam_model::checkpoint::gguf::{GgufWeights, Holds, Placed};
use bantam_model::checkpoint::safetensors::Safetensors;
use bantam_model::config::gguf::{self as metadata, Pair, Told, Wanted};
use bantam_model::cost::TensorShape;
use bantam_model::names::{Part, learnt_key};
use bantam_model::tokenizer::Files;
use bantam_model::tokenizer::gguf as vocabulary;
use bantam_model::{self as model, Config, Embedded, Linear, Precision, Tokenizer, Weights};
use candle_core::{DType, Device};
use half::{bf16, f16};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

static CPU: Device = Device::Cpu;

/// A model, opened and checked; its weights stay where they are until they are read.
pub struct Source<'w> {
    name: String,
    /// config.json's name, in errors.
    file: String,
    weights: Held<'w>,
    /// Or why a GGUF file's is not understood.
    config: Result<Config, String>,
    /// The tokenizer in GGUF's keys, of a checkpoint.
    vocabulary: Told,
    /// What a folder tells of the GGUF file that it was exported from.
    told: Vec<Pair>,
    contents: Contents,
    digests: OnceLock<Digests>,
    /// The commit of the hub's repository that it is, for one from there.
    commit: Option<String>,
    /// A checkpoint's; a GGUF file's once it was asked for.
    tokenizer: OnceLock<Arc<Tokenizer>>,
    planning: Planning,
}

/// What a GGUF file of a model holds, but for the numbers themselves and the types they become.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) metadata: Vec<Pair>,
    pub(crate) tensors: Vec<GgufTensor>,
    pub(crate) anatomy: Anatomy,
    /// Where other programs will do otherwise than the file says, in sentences for the user.
    pub(crate) notes: Vec<String>,
}

/// A tensor under its GGUF name, the row length last in its shape.
#[derive(Debug, Clone)]
pub struct GgufTensor {
    /// Its GGUF name.
    pub name: String,
    /// Outermost first.
    pub shape: Vec<usize>,
    data: Data,
}

enum Held<'w> {
    Checkpoint(Box<dyn Weights + 'w>),
    Gguf(Gguf),
}

/// Where a tensor's numbers are.
#[derive(Debug, Clone)]
enum Data {
    /// In tensors of the checkpoint, one after the other.
    Checkpoint(Vec<Piece>),
    /// In a GGUF file under the tensor's own name.
    Gguf(Type),
    /// Made from the config.
    Made(Vec<f32>),
}

/// A tensor of the checkpoint as it becomes part of a GGUF tensor.
#[derive(Debug, Clone)]
struct Piece {
    name: String,
    shape: Vec<usize>,
    /// For each row the checkpoint's row that stands there.
    order: Option<Vec<usize>>,
    /// The same of its columns.
    columns: Option<Vec<usize>>,
    holds: Holds,
    /// What each row of the checkpoint's tensor is multiplied by, or all of them.
    factors: Option<Vec<f32>>,
}

/// A tensor's numbers, ready to be read by row.
pub(crate) struct Rows<'a> {
    pub(crate) count: usize,
    pub(crate) columns: usize,
    /// Of as many rows each.
    pieces: Vec<PieceRows<'a>>,
}

struct PieceRows<'a> {
    numbers: Numbers<'a>,
    order: Option<&'a [usize]>,
    columns: Option<&'a [usize]>,
    holds: Holds,
    factors: Option<&'a [f32]>,
    transposed: bool,
}

enum Numbers<'a> {
    Stored(DType, &'a [u8]),
    /// Blocks of a quantized type, of rows that are whole blocks.
    Packed(Type, &'a [u8]),
    Made(Cow<'a, [f32]>),
}

/// The weights of a GGUF file whose config is not understood: none that could be asked for.
struct Unreadable(String);

impl<'w> Source<'w> {
    /// Opens a folder (config.json, a tokenizer, safetensors) or a GGUF file. `name` is what the model is called.
    ///
    /// # Errors
    /// One sentence where a file is missing or broken, weights are quantized already, or GGUF cannot say what the model
    /// is.
    pub fn open(name: &str, path: &Path) -> Result<Source<'static>> {
        if !path.is_dir() {
            let file = Gguf::open(path)?;
            refuse_quantized(&file, path)?;
            return Source::of_gguf(name, file);
        }
        let place = path.display().to_string();
        let optional = |file: &str| match std::fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => bail!("cannot read {}: {e}", path.join(file).display()),
        };
        let config = optional("config.json")?.with_context(|| format!("{place}: config.json is missing"))?;
        let generation = optional("generation_config.json")?;
        let config = read_config(&config, generation.as_deref(), &place)?;
        if let Some(quantization) = &config.quantization {
            bail!(
                "{place}: its weights are quantized already ({quantization}); `bantam export` writes what they stand for"
            );
        }
        let weights = Safetensors::open(path, &CPU, Precision::AsStored)?.of_architecture(config.architecture);
        let config = config.agree(&weights)?.config;
        let mut source = Source::of_checkpoint(name, &place, weights, config, &Files::of_folder(path)?)?;
        source.told = told::read(path)?;
        source.contents.keep(&source.told);
        Ok(source)
    }

    /// Opens a GGUF file of whatever types: quantized weights are the numbers they stand for.
    ///
    /// # Errors
    /// One sentence where the file is broken, or a type is not known.
    pub fn unpacked(name: &str, file: &Path) -> Result<Source<'static>> {
        Source::of_gguf(name, Gguf::open(file)?)
    }

    /// Opens a checkpoint compiled into the binary.
    ///
    /// # Errors
    /// As `open`.
    pub fn embedded(files: &Embedded) -> Result<Source<'static>> {
        let weights = Safetensors::embedded(files.name, files.weights, &CPU, Precision::AsStored)?;
        let config = read_config(files.config, files.generation_config, files.name)?;
        let weights = weights.of_architecture(config.architecture);
        Source::of_checkpoint(files.name, files.name, weights, config, &Files::embedded(files))
    }

    /// `place` names the folder in errors.
    fn of_checkpoint(
        name: &str,
        place: &str,
        weights: Safetensors,
        config: Config,
        files: &Files,
    ) -> Result<Source<'static>> {
        refuse_strangers(&weights, &config).with_context(|| place.to_owned())?;
        let tokenizer = files.tokenizer(config.bos, config.eos.first().copied())?;
        for tensor in model::cost(&config).tensors {
            weights.dtype(&tensor.name)?;
            let (stored, expected) = (weights.shape(&tensor.name)?, shape_in_checkpoint(&config, &tensor));
            if stored != expected {
                bail!("{place}: tensor {} has shape {stored:?}, but config.json asks for {expected:?}", tensor.name);
            }
        }
        Source::of_weights(name, &format!("{place}/config.json"), Box::new(weights), config, &tokenizer)
    }

    /// Makes a source of whatever answers for the weights of a config. `file` names the config in errors.
    ///
    /// # Errors
    /// One sentence where GGUF cannot say what the model or its tokenizer is.
    pub fn of_weights(
        name: &str,
        file: &str,
        weights: Box<dyn Weights + 'w>,
        config: Config,
        tokenizer: &Tokenizer,
    ) -> Result<Source<'w>> {
        let vocabulary = words(tokenizer, &config, file)?;
        let contents = Contents::of_config(name, &config, &vocabulary, file)?;
        Ok(Source {
            name: name.into(),
            file: file.into(),
            weights: Held::Checkpoint(weights),
            config: Ok(config),
            vocabulary,
            told: Vec::new(),
            contents,
            digests: OnceLock::new(),
            commit: None,
            tokenizer: OnceLock::from(Arc::new(tokenizer.clone())),
            planning: Planning::default(),
        })
    }

    fn of_gguf(name: &str, file: Gguf) -> Result<Source<'static>> {
        let architecture = file.string("general.architecture")?.to_owned();
        let count = |key: &str| Ok::<_, anyhow::Error>(count(&file, &format!("{architecture}.{key}"))?.unwrap_or(0));
        let heads = count("attention.head_count")?;
        let kv_heads = count("attention.head_count_kv")?;
        let kv_heads = if kv_heads == 0 { heads } else { kv_heads };
        let layers = count("block_count")?;
        let anatomy = Anatomy {
            layers,
            heads,
            kv_heads,
            experts: count("expert_count")?,
            tied: file.tensor("output.weight").is_none(),
            is_70b: is_70b(&architecture, layers, heads, kv_heads),
        };
        let (tensors, metadata) = (gguf_tensors(&file)?, gguf_metadata(&file));
        Ok(Source {
            name: name.into(),
            file: file.file().to_owned(),
            config: Config::from_gguf(&file).map_err(|error| error.to_string()),
            weights: Held::Gguf(file),
            vocabulary: Told::default(),
            told: Vec::new(),
            contents: Contents { metadata, tensors, anatomy, notes: Vec::new() },
            digests: OnceLock::new(),
            commit: None,
            tokenizer: OnceLock::new(),
            planning: Planning::default(),
        })
    }

    /// Where other programs will do otherwise than a GGUF file of this model says, in sentences for the user.
    pub fn notes(&self) -> &[String] {
        &self.contents.notes
    }

    /// The types that weights are quantized in already, such as "Q4_1 and Q6_K"; None where they are plain numbers.
    pub fn quantized_words(&self) -> Option<String> {
        self.contents.quantized_words()
    }

    /// The model's tokenizer.
    ///
    /// # Errors
    /// Where a GGUF file's is not understood.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Ok((*self.shared_tokenizer()?).clone())
    }

    fn shared_tokenizer(&self) -> Result<Arc<Tokenizer>> {
        match (self.tokenizer.get(), &self.weights) {
            (Some(tokenizer), _) => Ok(tokenizer.clone()),
            (None, Held::Gguf(file)) => {
                let read = Arc::new(Tokenizer::from_gguf(file)?);
                Ok(self.tokenizer.get_or_init(|| read).clone())
            }
            (None, Held::Checkpoint(_)) => bail!("{}: it has no tokenizer", self.name),
        }
    }

    /// Has somebody hear of what takes long where a recipe is planned (of what, how much is done, of how much), and stop it.
    pub fn watched(self, cancel: &Cancel, tell: Box<dyn Fn(&'static str, usize, usize)>) -> Source<'w> {
        Source { planning: self.planning.clone().watched(cancel, tell), ..self }
    }

    /// What the model is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model's tensors as a GGUF file has them.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.contents.tensors
    }

    /// How many experts a layer has, 0 for a dense model.
    pub fn experts(&self) -> usize {
        self.contents.anatomy.experts
    }

    /// What is known of the model without its weights. They stay as they are stored until a step says otherwise.
    pub fn form(&self) -> Form {
        let types = match (&self.weights, &self.config) {
            (Held::Checkpoint(_), Ok(config)) => Types::as_stored(config),
            _ => {
                Types::of_mixture(match self.tensors().iter().find(|t| t.shape.len() > 1).map(GgufTensor::kept_type) {
                    Some(Type::BF16) => Mixture::BF16,
                    // what was quantized before loses nothing that counts in 16 bits
                    Some(Type::F16) => Mixture::F16,
                    _ if self.contents.quantized_words().is_some() => Mixture::F16,
                    _ => Mixture::F32,
                })
            }
        };
        Form::new(self.config.clone(), types).with_planning(self.planning.clone())
    }

    /// `form`, with the tokenizer where a step of the recipe plans by it.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn form_for(&self, recipe: &Recipe) -> Result<Form> {
        let form = self.form();
        Ok(if recipe.reads_tokenizer() { form.with_original(self.shared_tokenizer()?) } else { form })
    }

    /// The model as the first step of the recipe finds it.
    ///
    /// # Errors
    /// As `form_for`.
    pub fn checkpoint_for(&self, recipe: &Recipe) -> Result<Checkpoint<'_>> {
        let mut checkpoint = self.checkpoint();
        checkpoint.form = self.form_for(recipe)?;
        Ok(checkpoint)
    }

    /// The model as it is.
    pub fn checkpoint(&self) -> Checkpoint<'_> {
        let weights: Box<dyn Weights + '_> = match (&self.weights, &self.config) {
            (Held::Checkpoint(weights), _) => Box::new(weights),
            (Held::Gguf(file), Ok(config)) => Box::new(GgufWeights::new(file, config, &CPU, Precision::AsStored)),
            (Held::Gguf(_), Err(why)) => Box::new(Unreadable(why.clone())),
        };
        Checkpoint::new(self.form(), weights)
    }

    /// What a GGUF file of the model in this form holds. A file that no step has changed is kept as it lies.
    pub(crate) fn contents(&self, form: &Form) -> Result<Cow<'_, Contents>> {
        if !form.is_rewritten() {
            return Ok(Cow::Borrowed(&self.contents));
        }
        let config = form.config()?;
        let changed = form.tokenizer().map(|tokenizer| words(tokenizer, config, &self.file)).transpose()?;
        let vocabulary = changed.as_ref().unwrap_or(&self.vocabulary);
        let Held::Gguf(file) = &self.weights else {
            let mut contents = Contents::of_config(&self.name, config, vocabulary, &self.file)?;
            // a model of other sizes has another label
            let told: Vec<Pair> = self.told.iter().filter(|(key, _)| key != "general.size_label").cloned().collect();
            contents.keep(&told);
            return Ok(Cow::Owned(contents));
        };
        let name = file.optional_string("general.name").unwrap_or(&self.name);
        let mut contents = Contents::of_config(name, config, vocabulary, &self.file)?;
        // what neither the config nor the tokenizer says stays as the file has it
        let told: HashSet<String> = contents.metadata.iter().map(|(key, _)| key.clone()).collect();
        let own = format!("{}.", config.gguf_architecture());
        let is_kept = |key: &str| {
            let is_old = key.starts_with(&own) || (changed.is_some() && key.starts_with("tokenizer."));
            !is_old && !told.contains(key)
        };
        let kept = self.contents.metadata.iter().filter(|(key, _)| is_kept(key)).cloned();
        contents.metadata.extend(kept);
        if let Some(kinds) = self.contents.quantized_words() {
            contents.metadata.push((super::REQUANTIZED_KEY.into(), Value::String(kinds)));
        }
        Ok(Cow::Owned(contents))
    }

    /// The numbers of a tensor of these contents, as the weights have them.
    pub(crate) fn rows<'a>(&'a self, tensor: &'a GgufTensor, weights: &'a dyn Weights) -> Result<Rows<'a>> {
        let whole = |numbers| {
            let (order, columns, factors) = (None, None, None);
            vec![PieceRows { numbers, order, columns, holds: Holds::Same, factors, transposed: false }]
        };
        let pieces = match (&tensor.data, &self.weights) {
            (Data::Checkpoint(pieces), _) => pieces.iter().map(|piece| piece.rows(weights)).collect::<Result<_>>()?,
            (Data::Gguf(kind), Held::Gguf(file)) => {
                let info = file.tensor(&tensor.name).with_context(|| format!("tensor {} is missing", tensor.name))?;
                whole(numbers(*kind, file.data(info), tensor)?)
            }
            (Data::Made(numbers), _) => whole(Numbers::Made(Cow::Borrowed(numbers))),
            _ => unreachable!("a source's tensors lie in its own weights"),
        };
        // a bias is a column of single numbers, so that its rows can be moved like its matrix's
        let columns = if tensor.shape.len() == 1 { 1 } else { tensor.shape[tensor.shape.len() - 1] };
        Ok(Rows { count: tensor.weights() as usize / columns.max(1), columns, pieces })
    }

    /// Whether a file that was written of this source is a model again: its header and its tokenizer are read as they
    /// will be when it is loaded. What could not be read before is not asked for.
    pub(crate) fn reads_back(&self, file: &Path) -> Result<()> {
        let was_read = match &self.weights {
            Held::Checkpoint(_) => true,
            Held::Gguf(file) => self.config.is_ok() && Tokenizer::from_gguf(file).is_ok(),
        };
        if was_read {
            let read = model::inspect(file).and_then(|_| model::read_tokenizer(file));
            read.with_context(|| format!("{}: the file that was written of it cannot be read", self.name))?;
        }
        Ok(())
    }

    /// The identity of weights, config and tokenizer: a SHA-256 over all that a GGUF file of this model would hold.
    /// Reads all weights the first time; `progress` is told of every run of weights read.
    ///
    /// # Errors
    /// Where weights cannot be read.
    pub fn digest(&self, progress: &mut dyn FnMut(u64)) -> Result<&str> {
        Ok(&self.digests(progress)?.whole)
    }

    /// The identity of the same but for what the model is called, which differs where one lies in a folder of another name:
    /// what a file that is made of it says that it was made of.
    ///
    /// # Errors
    /// As `digest`.
    pub fn identity(&self) -> Result<&str> {
        Ok(&self.digests(&mut |_| {})?.nameless)
    }

    fn digests(&self, progress: &mut dyn FnMut(u64)) -> Result<&Digests> {
        if let Some(digests) = self.digests.get() {
            return Ok(digests);
        }
        let nameless: Vec<Pair> = self.contents.metadata.iter().filter(|(key, _)| !is_a_name(key)).cloned().collect();
        let (mut whole, mut other) = (Sha256::new(), Sha256::new());
        whole.update(gguf::head(&self.contents.metadata, &[]));
        other.update(gguf::head(&nameless, &[]));
        let mut update = |bytes: &[u8]| match bytes.len() > SHORT {
            true => drop(rayon::join(|| whole.update(bytes), || other.update(bytes))),
            false => {
                whole.update(bytes);
                other.update(bytes);
            }
        };
        let checkpoint = self.checkpoint();
        for tensor in self.tensors() {
            update(format!("{} {:?} ", tensor.name, tensor.shape).as_bytes());
            for piece in self.rows(tensor, checkpoint.weights())?.pieces {
                match piece.numbers {
                    Numbers::Stored(dtype, bytes) => {
                        update(dtype.as_str().as_bytes());
                        for part in bytes.chunks(1 << 24) {
                            update(part);
                            progress((part.len() / dtype.size_in_bytes()) as u64);
                        }
                    }
                    Numbers::Packed(kind, bytes) => {
                        update(kind.to_string().as_bytes());
                        update(bytes);
                        progress(tensor.weights());
                    }
                    Numbers::Made(numbers) => numbers.iter().for_each(|x| update(&x.to_le_bytes())),
                }
            }
        }
        let hex = |hash: Sha256| bantam_core::disk::hex(&hash.finalize());
        let digests = Digests { whole: hex(whole), nameless: hex(other) };
        Ok(self.digests.get_or_init(|| digests))
    }

    /// The source with the commit of the hub that it is.
    #[must_use]
    pub fn of_commit(self, commit: Option<String>) -> Source<'w> {
        Source { commit, ..self }
    }

    /// What a file that a recipe makes of it says of where it is from: this, behind what the source says itself.
    ///
    /// # Errors
    /// Where weights cannot be read.
    pub(crate) fn made(&self, recipe: &Recipe) -> Result<Vec<Made>> {
        let mut made = crate::history::made_in(&self.contents.metadata);
        made.push(Made {
            name: self.name.clone(),
            base: self.identity()?.to_owned(),
            commit: self.commit.clone(),
            recipe: recipe.to_toml(),
            bantam: env!("CARGO_PKG_VERSION").into(),
        });
        Ok(made)
    }
}

/// Up to so many bytes are hashed where they are; more are worth a second thread.
const SHORT: usize = 1 << 16;

/// The identities of a source.
#[derive(Debug)]
struct Digests {
    whole: String,
    nameless: String,
}

/// Whether a key says what a model is called, where it is from and how it was made, and nothing of what it does.
fn is_a_name(key: &str) -> bool {
    (key.starts_with("general.") && key != "general.architecture") || key.starts_with("bantam.")
}

/// The tokenizer in GGUF's keys.
fn words(tokenizer: &Tokenizer, config: &Config, file: &str) -> Result<Told> {
    vocabulary::of_tokenizer(tokenizer, config.vocab, &config.eos).with_context(|| file.to_owned())
}

impl Contents {
    pub(crate) fn quantized_words(&self) -> Option<String> {
        let kinds = self.tensors.iter().filter_map(|tensor| match tensor.data {
            Data::Gguf(kind) if kind.is_quantized() => Some(kind.to_string()),
            _ => None,
        });
        let kinds: BTreeSet<String> = kinds.collect();
        (!kinds.is_empty()).then(|| kinds.into_iter().collect::<Vec<_>>().join(" and "))
    }

    /// Has these values under their keys, in place of others that stand there.
    fn keep(&mut self, told: &[Pair]) {
        for (key, value) in told {
            match self.metadata.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => known.clone_from(value),
                None => self.metadata.push((key.clone(), value.clone())),
            }
        }
    }

    /// Has the numbers that non-linearities have learnt as keys, out of the weights that are written.
    pub(crate) fn tell_learnt(&mut self, config: &Config, weights: &dyn Weights) -> Result<()> {
        let learnt = learnt(config, |name| Ok(weights.tensor(name, &[1])?.to_vec1::<f32>()?[0]))?;
        self.keep(&learnt);
        Ok(())
    }

    fn of_config(name: &str, config: &Config, vocabulary: &Told, file: &str) -> Result<Contents> {
        let mut tensors = placed(config)?;
        let parameters = tensors.iter().map(GgufTensor::weights).sum();
        let Told { pairs: mut metadata, mut notes } = metadata::of_config(name, config, parameters, file)?;
        // as long as they will be, until weights are written (`tell_learnt`)
        metadata.extend(learnt(config, |_| Ok(0.0))?);
        metadata.extend(vocabulary.pairs.iter().cloned());
        notes.extend(vocabulary.notes.iter().cloned());
        tensors.extend(metadata::rope_tensors(config).into_iter().map(|(name, factors)| GgufTensor {
            name: name.into(),
            shape: vec![factors.len()],
            data: Data::Made(factors),
        }));
        let wanted = {
            let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            metadata::wanted(config.gguf_architecture(), config.layers.len(), &names)
        };
        complete(&mut tensors, &wanted)?;
        notes.extend(wanted.notes);
        lend(&mut tensors, config, &mut notes);
        let tied = tensors.iter().all(|tensor| tensor.name != OUTPUT);
        Ok(Contents { metadata, tensors, anatomy: Anatomy { tied, ..Anatomy::of(config) }, notes })
    }
}

/// The keys for what non-linearities have learnt, a list of one number for each layer, given by the tensor's name.
fn learnt(config: &Config, number: impl Fn(&str) -> Result<f32>) -> Result<Vec<Pair>> {
    let names = config.architecture.names.iter().copied().flatten();
    let keyed = names.filter_map(|name| Some((name.huggingface, learnt_key(name.part)?)));
    let pair = |(name, key): (&str, &str)| {
        let of_layer = |layer: usize| Ok(Value::F32(number(&name.replace("{l}", &layer.to_string()))?));
        let numbers = (0..config.layers.len()).map(of_layer).collect::<Result<_>>()?;
        Ok((key.to_owned(), gguf::list(numbers)))
    };
    keyed.map(pair).collect()
}

/// The output's matrix in GGUF.
const OUTPUT: &str = "output.weight";

/// Adds what llama.cpp wants of such a model beside its own tensors: a copy of the embedding, biases of 0.
fn complete(tensors: &mut Vec<GgufTensor>, wanted: &Wanted) -> Result<()> {
    let found = |tensors: &[GgufTensor], name: &str| {
        let found = tensors.iter().find(|tensor| tensor.name == name).cloned();
        found.with_context(|| format!("tensor {name} is missing"))
    };
    if wanted.output {
        let embedding = found(tensors, "token_embd.weight")?;
        tensors.push(GgufTensor { name: OUTPUT.into(), ..embedding });
    }
    for name in &wanted.zeros {
        let rows = found(tensors, &name.replace(".bias", ".weight"))?.shape[0];
        tensors.push(GgufTensor { name: name.clone(), shape: vec![rows], data: Data::Made(vec![0.0; rows]) });
    }
    Ok(())
}

/// Copies keys and values to the layers that read them of others, where llama.cpp wants such tensors and does not use them.
fn lend(tensors: &mut Vec<GgufTensor>, config: &Config, notes: &mut Vec<String>) {
    if config.gguf_architecture() != "gemma3n" {
        return;
    }
    for (layer, source) in config.layers.iter().enumerate().filter_map(|(n, layer)| Some((n, layer.keys_of?))) {
        for name in ["attn_k.weight", "attn_v.weight", "attn_k_norm.weight"] {
            let own = format!("blk.{source}.{name}");
            let copied = tensors.iter().find(|tensor| tensor.name == own).cloned();
            tensors.extend(copied.map(|tensor| GgufTensor { name: format!("blk.{layer}.{name}"), ..tensor }));
            notes.retain(|note| !note.starts_with(&format!("llama.cpp needs blk.N.{name}")));
        }
    }
}

impl GgufTensor {
    /// How many weights it has.
    pub fn weights(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    /// The type in which it stays if no rule changes it: f32 for a checkpoint's norms and biases.
    pub fn kept_type(&self) -> Type {
        match self.data {
            Data::Gguf(kind @ (Type::F16 | Type::BF16)) => kind,
            _ => Type::F32,
        }
    }
}

impl Piece {
    /// Read where it lies, and where it lies nowhere made in f32.
    fn rows<'a>(&'a self, weights: &'a dyn Weights) -> Result<PieceRows<'a>> {
        let (numbers, transposed) = match weights.stored(&self.name)? {
            Some(stored) => (Numbers::Stored(stored.dtype, stored.bytes), stored.transposed),
            None => {
                let tensor = match self.shape[..] {
                    [out, inp] => weights.linear(&self.name, out, inp)?.dequantized()?,
                    _ => weights.tensor(&self.name, &self.shape)?,
                };
                (Numbers::Made(Cow::Owned(tensor.flatten_all()?.to_vec1()?)), false)
            }
        };
        let (order, columns) = (self.order.as_deref(), self.columns.as_deref());
        Ok(PieceRows { numbers, order, columns, holds: self.holds, factors: self.factors.as_deref(), transposed })
    }
}

impl Weights for Unreadable {
    fn tensor(&self, _: &str, _: &[usize]) -> model::Result<candle_core::Tensor> {
        Err(model::Error::Request(self.0.clone()))
    }

    fn linear(&self, _: &str, _: usize, _: usize) -> model::Result<Linear> {
        Err(model::Error::Request(self.0.clone()))
    }
}

impl Rows<'_> {
    /// Reads row `index` of the GGUF order into `row`, as f32.
    pub(crate) fn read(&self, index: usize, row: &mut [f32]) {
        let rows = self.count / self.pieces.len();
        let piece = &self.pieces[index / rows];
        let index = piece.order.map_or(index % rows, |order| order[index % rows]);
        match piece.transposed {
            // a column of the checkpoint's matrix
            true => row
                .iter_mut()
                .enumerate()
                .for_each(|(i, x)| piece.numbers.read(i * rows + index, std::slice::from_mut(x))),
            false => piece.numbers.read(index * self.columns, row),
        }
        if let Some(columns) = piece.columns {
            let own = row.to_vec();
            row.iter_mut().zip(columns).for_each(|(x, &column)| *x = own[column]);
        }
        if let Some(factors) = piece.factors {
            // a bias is one row of as many numbers as there are factors
            let own = |at: usize| factors.get(at).or(factors.first()).copied().unwrap_or(1.0);
            let is_vector = rows == 1 && factors.len() == row.len();
            row.iter_mut().enumerate().for_each(|(i, x)| *x *= own(if is_vector { i } else { index }));
        }
        if piece.holds != Holds::Same {
            row.iter_mut().for_each(|x| *x = piece.holds.of(*x));
        }
    }
}

impl Numbers<'_> {
    /// As many numbers as there is room for, from the `first` on.
    fn read(&self, first: usize, row: &mut [f32]) {
        let range = first..first + row.len();
        match self {
            Numbers::Made(numbers) => row.copy_from_slice(&numbers[range]),
            Numbers::Packed(kind, bytes) => {
                let at = |weights| kind.bytes(weights).expect("rows of a packed tensor are whole blocks");
                let block = block::of(*kind).expect("a source holds types that are read");
                block.decode(isa(), &bytes[at(range.start)..at(range.end)], row).expect("as many blocks as weights");
            }
            Numbers::Stored(DType::F32, bytes) => {
                widen(&bytes[range.start * 4..range.end * 4], row, f32::from_le_bytes);
            }
            Numbers::Stored(DType::BF16, bytes) => {
                widen(&bytes[range.start * 2..range.end * 2], row, |b| bf16::from_le_bytes(b).to_f32());
            }
            Numbers::Stored(_, bytes) => {
                widen(&bytes[range.start * 2..range.end * 2], row, |b| f16::from_le_bytes(b).to_f32());
            }
        }
    }
}

fn widen<const N: usize>(bytes: &[u8], row: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (x, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
        *x = number(*bytes);
    }
}

/// config.json, and generation_config.json with the last word on which tokens end a generation.
fn read_config(config: &[u8], generation: Option<&[u8]>, place: &str) -> Result<Config> {
    let config = Config::from_json(config, &format!("{place}/config.json"))?;
    Ok(config.with_generation(generation, &format!("{place}/generation_config.json"))?)
}

/// No tensor may be there that the config does not call for: it would be lost in silence.
fn refuse_strangers(weights: &Safetensors, config: &Config) -> Result<()> {
    let expected = model::cost(config).tensors;
    let known: HashSet<&str> = expected.iter().filter_map(|tensor| weights.stored_name(&tensor.name)).collect();
    // the output of a tied model is sometimes saved again, and old checkpoints keep rotary frequencies and masks
    let derived = |name: &str| {
        let buffers =
            ["rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"];
        let other = model::agree::other_part(name).is_some();
        let layer = config.architecture.layer_of(&weights.graph_name(name));
        let ahead =
            layer.and_then(|layer| layer.checked_sub(config.layers.len())).is_some_and(|nth| nth < config.ahead);
        other
            || ahead
            || config.is_of_lent_keys(&weights.graph_name(name))
            || buffers.iter().any(|buffer| name.ends_with(buffer))
            || (config.tied && name.ends_with("lm_head.weight"))
    };
    match weights.names().into_iter().find(|name| !known.contains(name) && !derived(name)) {
        Some(name) => {
            bail!("tensor {name} has no place in a GGUF file of the {} architecture", config.gguf_architecture())
        }
        None => Ok(()),
    }
}

/// The shape that checkpoints store a tensor of the config in: some architectures' matrices as (in, out).
pub(crate) fn shape_in_checkpoint(config: &Config, tensor: &TensorShape) -> Vec<usize> {
    match tensor.is_matrix() && config.architecture.is_transposed(&tensor.name) {
        true => tensor.shape.iter().rev().copied().collect(),
        false => tensor.shape.clone(),
    }
}

/// The GGUF tensors of a config, each with the tensors of the checkpoint that it is made of.
fn placed(config: &Config) -> Result<Vec<GgufTensor>> {
    let mut tensors: Vec<GgufTensor> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for wanted in model::cost(config).tensors {
        if learnt_key(wanted.part).is_some() {
            continue; // a key, and no tensor
        }
        let placed = Placed::of(config, &wanted.name);
        let placed = placed.with_context(|| format!("tensor {} has no GGUF name", wanted.name))?;
        // a matrix of one row is a vector there, and a convolution a matrix; one number is a vector of one
        let one: Vec<usize> = match wanted.shape[..] {
            [1] => vec![1],
            [1, ref rest @ ..] => rest.to_vec(),
            [channels, 1, taps] => vec![channels, taps],
            [all] => mamba_shape(config, &wanted, all),
            _ => wanted.shape.clone(),
        };
        // an order may name a row more than once
        let one = match (&placed.order, &one[..]) {
            (Some(order), &[_, columns]) => vec![order.len(), columns],
            _ => one,
        };
        let stacked = if placed.stacked > 1 { vec![placed.stacked] } else { Vec::new() };
        let Placed { order, columns, holds, factors, .. } = placed;
        let piece = Piece { name: wanted.name, shape: wanted.shape, order, columns, holds, factors };
        let index = *by_name.entry(placed.tensor.clone()).or_insert(tensors.len());
        match tensors.get_mut(index).map(|tensor| &mut tensor.data) {
            Some(Data::Checkpoint(pieces)) => pieces.push(piece),
            _ => tensors.push(GgufTensor {
                name: placed.tensor,
                shape: [stacked, one].concat(),
                data: Data::Checkpoint(vec![piece]),
            }),
        }
    }
    Ok(tensors)
}

/// The shape that llama.cpp has for the vectors of a Mamba 2: of one column, or of one row for each group.
fn mamba_shape(config: &Config, tensor: &TensorShape, all: usize) -> Vec<usize> {
    match (config.architecture.recurrence, tensor.part, config.state) {
        (Recurrence::Mamba2, Part::StateRate | Part::StateSkip, _) => vec![all, 1],
        (Recurrence::Mamba2, Part::StateNorm, Some(sizes)) => vec![sizes.groups, all / sizes.groups],
        _ => vec![all],
    }
}

/// A recipe starts from plain numbers: quantized ones have lost what it would choose from.
fn refuse_quantized(file: &Gguf, path: &Path) -> Result<()> {
    let is_plain = |kind: Type| matches!(kind, Type::F32 | Type::F16 | Type::BF16);
    match file.tensors().iter().find(|info| !is_plain(info.kind)) {
        None => Ok(()),
        Some(info) => bail!(
            "{}: tensor {} is stored as {} already, and a recipe starts from F32, F16 or BF16: `bantam export {} --format \
             gguf --dtype f16` writes the numbers that it stands for, and recipes take that file; or give `bantam compress` \
             --requantize, which does both and says so in the file",
            file.file(),
            info.name,
            info.kind,
            path.display()
        ),
    }
}

/// The file's tensors in the file's order.
fn gguf_tensors(file: &Gguf) -> Result<Vec<GgufTensor>> {
    let tensor = |info: &gguf::TensorInfo| {
        if dtype(info.kind).is_none() && block::of(info.kind).is_none() {
            bail!("{}: tensor {} is stored as {}, which is not read here", file.file(), info.name, info.kind);
        }
        Ok(GgufTensor { name: info.name.clone(), shape: info.shape.clone(), data: Data::Gguf(info.kind) })
    };
    file.tensors().iter().map(tensor).collect()
}

/// The type of plain numbers.
fn dtype(kind: Type) -> Option<DType> {
    match kind {
        Type::F32 => Some(DType::F32),
        Type::F16 => Some(DType::F16),
        Type::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// A GGUF tensor's numbers where they lie. Its one row is unpacked whole where it is a vector, which is read number by
/// number.
fn numbers<'a>(kind: Type, bytes: &'a [u8], tensor: &GgufTensor) -> Result<Numbers<'a>> {
    if let Some(dtype) = dtype(kind) {
        return Ok(Numbers::Stored(dtype, bytes));
    }
    if tensor.shape.len() > 1 {
        return Ok(Numbers::Packed(kind, bytes));
    }
    let mut numbers = vec![0.0; tensor.weights() as usize];
    let block = block::of(kind).with_context(|| format!("tensor {}: {kind} is not read here", tensor.name))?;
    block.decode(isa(), bytes, &mut numbers).with_context(|| format!("tensor {}", tensor.name))?;
    Ok(Numbers::Made(Cow::Owned(numbers)))
}

/// The file's metadata, the architecture first, without what compression writes anew.
fn gguf_metadata(file: &Gguf) -> Vec<Pair> {
    const OURS: [&str; 4] =
        ["general.file_type", "general.quantization_version", "general.alignment", super::FORMAT_KEY];
    let theirs = |(key, _): &(&String, &Value)| !OURS.contains(&key.as_str()) && !key.starts_with("split.");
    let pairs = file.metadata().iter().filter(theirs);
    let mut pairs: Vec<Pair> = pairs.map(|(key, value)| (key.clone(), value.clone())).collect();
    pairs.sort_by_key(|(key, _)| key != "general.architecture");
    pairs
}

/// A count under a key, or the first of a list of them, one a layer.
fn count(file: &Gguf, key: &str) -> Result<Option<usize>> {
    match file.metadata().get(key) {
        Some(Value::Array(..)) => Ok(file.integers(key)?.first().and_then(|&n| usize::try_from(n).ok())),
        _ => Ok(file.optional_integer(key)?.map(|n| n as usize)),
    }
}
