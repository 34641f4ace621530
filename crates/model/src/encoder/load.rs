//! From a folder to an `Encoder`, and what it can be asked for: hidden states, embeddings, class scores, masked tokens.
//! Headers and configs are read and checked before any weight is.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use serde::Deserialize;

use super::architecture::Architecture;
use super::checkpoint::Checkpoint;
use super::config::{self, Config, Problem};
use super::graph::{Graph, Input};
use super::head::{Classifier, MaskFiller, Pooler};
use super::pipeline::{self, Pipeline, read_json};
use super::text::{Prepare, Role, SHORTEST, Texts};
use crate::checkpoint::safetensors::Safetensors;
use crate::error::{Error, Result};
use crate::load::LoadOptions;
use crate::ops;
use crate::tokenizer::{Files, Summary, Tokenizer};

/// The most tokens in one pass, unless a single text is longer: activations of a few megabytes.
const PASS: usize = 2048;

/// An encoder, loaded and ready to embed, classify or fill masks.
pub struct Encoder {
    /// Its sizes and options.
    pub config: Config,
    /// How its embeddings are made.
    pub pipeline: Pipeline,
    /// The checkpoint's own tokenizer.
    pub tokenizer: Tokenizer,
    graph: Graph,
    pooler: Option<Pooler>,
    classifier: Option<Classifier>,
    mask_filler: Option<MaskFiller>,
    to_embedding: pipeline::Loaded,
    texts: Texts,
    max_length: usize,
}

/// Tells whether the folder's config.json is an encoder's; false where there is none that can be read.
pub fn is_encoder(folder: &Path) -> bool {
    let transformer = Pipeline::read(folder).map_or_else(|_| folder.to_owned(), |(_, transformer)| transformer);
    let config = std::fs::read(transformer.join("config.json")).ok();
    let name = config.and_then(|bytes| config::model_type(&bytes));
    name.is_some_and(|name| Architecture::of_model_type(&name).is_some())
}

/// Loads the encoder in a folder.
///
/// # Errors
/// Where the folder holds no encoder, or one that is damaged or not supported, and where the options name an adapter.
pub fn load(folder: &Path, options: &LoadOptions) -> Result<Encoder> {
    OpenedEncoder::new(folder)?.load(options)
}

/// An encoder whose configs are read and whose weights are not.
pub(super) struct OpenedEncoder {
    /// Its config, read and checked.
    pub config: Config,
    /// How its embeddings are made.
    pub pipeline: Pipeline,
    /// The width of an embedding.
    pub width: usize,
    /// The most tokens of a text.
    pub context: usize,
    prepare: Prepare,
    /// Where config.json, tokenizer.json and the weights are.
    pub folder: PathBuf,
}

impl OpenedEncoder {
    /// Reads the configs of a folder.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let (pipeline, transformer) = Pipeline::read(folder)?;
        let file = transformer.join("config.json");
        let bytes = std::fs::read(&file).map_err(Error::read(&file))?;
        let config = Config::from_json(&bytes, &file.display().to_string())?;
        let width = pipeline.check(config.dim)?;
        let prepare = match pipeline.own {
            true => Prepare::read(folder, &transformer)?,
            false => Prepare::default(),
        };
        let said = match prepare.max_length {
            Some(tokens) => Some(tokens),
            None => tokenizer_max_length(&transformer)?,
        };
        let context = config.context().min(said.unwrap_or(usize::MAX)).max(SHORTEST);
        Ok(Self { config, pipeline, width, context, prepare, folder: transformer })
    }

    /// Reads its tokenizer.
    pub(super) fn tokenizer(&self) -> Result<Tokenizer> {
        Files::of_folder(&self.folder)?.tokenizer(None, None)
    }

    /// Reads its tokenizer's facts, at less cost than the tokenizer.
    pub(super) fn summary(&self) -> Result<Summary> {
        Summary::of_files(Files::of_folder(&self.folder)?, None, None)
    }

    /// Opens its safetensors; matrices are read when they are asked for.
    pub(super) fn files(&self, options: &LoadOptions) -> Result<Safetensors> {
        Safetensors::open(&self.folder, &options.device, options.precision)
    }

    fn load(self, options: &LoadOptions) -> Result<Encoder> {
        if options.adapter.is_some() {
            return Err(Error::Request("adapters are for decoders; load the encoder without one".into()));
        }
        let tokenizer = self.tokenizer()?;
        let files = self.files(options)?;
        let place = self.folder.display().to_string();
        let weights = Checkpoint::new(&files, self.config.architecture, self.config.norm_eps, &place)?;
        let graph = Graph::new(&self.config, &weights)?;
        let max_length = self.context.min(options.max_length.unwrap_or(usize::MAX)).max(SHORTEST);
        Ok(Encoder {
            pooler: Pooler::find(&self.config, &weights)?,
            classifier: Classifier::find(&self.config, &weights, self.pipeline.own)?,
            mask_filler: MaskFiller::find(&self.config, &weights, graph.words())?,
            to_embedding: self.pipeline.load(&options.device)?,
            texts: Texts::new(tokenizer.inner(), self.prepare, max_length)?,
            max_length,
            graph,
            tokenizer,
            pipeline: self.pipeline,
            config: self.config,
        })
    }
}

/// `model_max_length`; a tokenizer that knows no limit says 10^30.
fn tokenizer_max_length(folder: &Path) -> Result<Option<usize>> {
    #[derive(Deserialize)]
    struct Raw {
        model_max_length: Option<serde_json::Value>,
    }
    let raw: Option<Raw> = read_json(&folder.join("tokenizer_config.json"))?;
    Ok(raw.and_then(|raw| raw.model_max_length?.as_f64()).filter(|n| (1.0..1e9).contains(n)).map(|n| n as usize))
}

impl Encoder {
    /// The most tokens of a text or pair, special ones among them; longer ones lose their end.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The names of the classes that [`Encoder::scores`] scores, in its order; `None` where there is no such head.
    pub fn labels(&self) -> Option<&[String]> {
        self.classifier.as_ref().map(|_| &self.config.labels[..])
    }

    /// Gives the tokens of a text, or of two that are read together.
    ///
    /// # Errors
    /// Where the text cannot be tokenized, or has no tokens.
    pub fn read(&self, text: &str, pair: Option<&str>, role: Role) -> Result<Input> {
        self.texts.read(text, pair, role)
    }

    /// Gives the last hidden states of each input: (its tokens, dim).
    ///
    /// # Errors
    /// On a token outside the vocabulary, and on an input without tokens or with more than fit.
    pub fn hidden(&self, inputs: &[Input]) -> Result<Vec<Tensor>> {
        let mut all = Vec::with_capacity(inputs.len());
        for pass in passes(inputs) {
            let hidden = self.graph.forward(pass)?;
            let mut first = 0;
            for input in pass {
                all.push(hidden.narrow(0, first, input.tokens.len())?);
                first += input.tokens.len();
            }
        }
        Ok(all)
    }

    /// Makes the embedding of each input, by the checkpoint's pipeline.
    ///
    /// # Errors
    /// Where `hidden` fails, and where the output is not finite.
    pub fn embed(&self, inputs: &[Input]) -> Result<Vec<Vec<f32>>> {
        let embed = |states: &Tensor| {
            let states = states.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            finite(self.to_embedding.run(&states, self.config.dim)?)
        };
        self.hidden(inputs)?.iter().map(embed).collect()
    }

    /// Gives the pooler's output for each input's first token, (n, dim); `None` where there is no pooler.
    ///
    /// # Errors
    /// Where `hidden` fails.
    pub fn pooled(&self, inputs: &[Input]) -> Result<Option<Tensor>> {
        let Some(pooler) = &self.pooler else { return Ok(None) };
        Ok(Some(pooler.forward(&self.first_tokens(inputs)?)?))
    }

    /// Gives the classification head's scores of each input, one for each of the labels.
    ///
    /// # Errors
    /// Where the encoder has no classification head, `hidden` fails, or the output is not finite.
    pub fn scores(&self, inputs: &[Input]) -> Result<Vec<Vec<f32>>> {
        let Some(classifier) = &self.classifier else {
            let class = self.config.class;
            return Err(Error::Request(format!("a {class} without classification head gives no class scores")));
        };
        let scores = classifier.forward(&self.first_tokens(inputs)?)?.to_vec2()?;
        scores.into_iter().map(finite).collect()
    }

    /// Gives the masked-token head's logits at every place of an input, (tokens, vocab).
    ///
    /// # Errors
    /// Where the encoder has no masked-token head, and where `hidden` fails.
    pub fn mask_logits(&self, input: &Input) -> Result<Tensor> {
        match &self.mask_filler {
            Some(filler) => filler.forward(&self.graph.forward(std::slice::from_ref(input))?),
            None => {
                let class = self.config.class;
                Err(Error::Request(format!("a {class} without masked-token head fills no masks")))
            }
        }
    }

    /// Turns scores into probabilities; those of a regression are its answer and stay.
    pub fn probabilities(&self, scores: &[f32]) -> Vec<f32> {
        match self.config.problem {
            Problem::Regression => scores.to_vec(),
            Problem::ManyLabels => scores.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Problem::OneLabel => ops::softmax(scores),
        }
    }

    fn first_tokens(&self, inputs: &[Input]) -> Result<Tensor> {
        let first = self.hidden(inputs)?.iter().map(|states| states.narrow(0, 0, 1)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::cat(&first, 0)?)
    }
}

/// Inputs in order, cut into passes of at most [`PASS`] tokens or one input.
pub(super) fn passes(inputs: &[Input]) -> impl Iterator<Item = &[Input]> {
    let mut rest = inputs;
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fits = |input: &&Input| {
            tokens += input.tokens.len();
            tokens <= PASS
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (pass, after) = rest.split_at(count);
        rest = after;
        (!pass.is_empty()).then_some(pass)
    })
}

/// Refuses a vector that is not finite, which would look like an answer.
pub(super) fn finite(numbers: Vec<f32>) -> Result<Vec<f32>> {
    match numbers.iter().all(|x| x.is_finite()) {
        true => Ok(numbers),
        false => Err(Error::Request("the model's output is not finite; its weights may be damaged".into())),
    }
}
