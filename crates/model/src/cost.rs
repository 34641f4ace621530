//! What a model costs, from its config alone: parameters, bytes of weights in any mixture of types, bytes of cache and
//! arithmetic per token. These are derived numbers; what a host really does is measured elsewhere.

use std::cell::RefCell;

use candle_core::{DType, Device, Tensor};

use super::config::{Config, LayerHeads};
use super::decoder::Decoder;
use super::error::Result;
use super::linear::Linear;
use super::names::Part;
use super::weights::Weights;
use bantam_format::ggml::Type;
use bantam_kernels::kv::KvType;

/// A tensor that the graph of a config asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorShape {
    /// Its name in a Hugging Face checkpoint, such as `model.norm.weight`.
    pub name: String,
    /// Outermost first: (out, inp) of a matrix, (n) of a norm or bias.
    pub shape: Vec<usize>,
    /// What it is for.
    pub part: Part,
}

/// The counts that all other costs of a model follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Every tensor of the graph, in the order the graph asks for them; a tied head is not among them.
    pub tensors: Vec<TensorShape>,
    /// All parameters; a tied head counts once.
    pub parameters: u64,
    /// The parameters that one token meets: of the experts, only as many as it goes to.
    pub active_parameters: u64,
    /// Parameters of the embedding table.
    pub embedding_parameters: u64,
    /// Parameters of the matrices that every token is multiplied by, the head among them.
    pub product_parameters: u64,
    /// Numbers that one token leaves in the cache: its keys and values in all layers.
    pub cache_numbers: u64,
    /// Multiplications for each token that is looked back at: the products of q and k, and of scores and v.
    attention_products: u64,
    /// Numbers that a sequence keeps in mixers with a state, however long it is.
    pub state_numbers: u64,
    /// The heads of each layer that keeps keys and values.
    kept: Vec<LayerHeads>,
    /// The heads that each layer of attention reads, and how far back it looks.
    seen: Vec<(LayerHeads, Option<usize>)>,
    /// How many experts a token goes to, and how many there are.
    experts: (u64, u64),
    tied: bool,
}

impl TensorShape {
    /// How many numbers it holds.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    /// Whether rows of activations are multiplied by it, as opposed to a norm or a bias.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// One of several matrices of which a token meets only some.
    fn is_expert(&self) -> bool {
        self.part.is_expert()
    }

    /// A table of which a token reads one row; the embedding is multiplied by too where it is the head.
    fn is_table(&self, tied: bool) -> bool {
        matches!(self.part, Part::Positions | Part::LayerTable) || self.part == Part::Embedding && !tied
    }

    /// Bytes when stored in a type; `None` where a row is not made of whole blocks of it.
    pub fn bytes(&self, kind: Type) -> Option<u64> {
        let row = *self.shape.last()?;
        row.is_multiple_of(kind.block()).then(|| self.elements() / kind.block() as u64 * kind.block_bytes() as u64)
    }
}

/// Works out the costs of a config by building its graph without weights.
pub fn cost(config: &Config) -> Cost {
    let tensors = Shapes::of(config);
    let experts = config.experts.map_or((1, 1), |experts| (experts.used as u64, experts.count as u64));
    let active = |t: &TensorShape| if t.is_expert() { t.elements() * experts.0 / experts.1 } else { t.elements() };
    let sum = |wanted: &dyn Fn(&TensorShape) -> bool| -> u64 { tensors.iter().filter(|t| wanted(t)).map(active).sum() };
    let attention = || config.layers.iter().filter(|layer| layer.mixer.attends());
    let heads = |layer| config.heads_of(layer);
    let attended: u64 = attention().map(|layer| (2 * config.heads * heads(layer).head_dim) as u64).sum();
    let kept: Vec<LayerHeads> = config.kept_heads().collect();
    Cost {
        parameters: tensors.iter().map(TensorShape::elements).sum(),
        active_parameters: sum(&|_| true),
        embedding_parameters: sum(&|t| t.part == Part::Embedding),
        product_parameters: sum(&|t| t.is_matrix() && !t.is_table(config.tied)),
        cache_numbers: kept.iter().map(|heads| (2 * heads.kv_heads * heads.head_dim) as u64).sum(),
        state_numbers: config.state_numbers() as u64,
        attention_products: attended,
        kept,
        seen: attention().map(|layer| (heads(layer), layer.window)).collect(),
        experts,
        tied: config.tied,
        tensors,
    }
}

/// A source of weights that has none: it writes down what a graph asks for, so that costs follow from the graph itself.
struct Shapes<'a> {
    config: &'a Config,
    asked: RefCell<Vec<TensorShape>>,
}

impl Shapes<'_> {
    /// Every tensor of the graph, in the order the graph asks for them.
    fn of(config: &Config) -> Vec<TensorShape> {
        let shapes = Shapes { config, asked: RefCell::default() };
        Decoder::new(config, &shapes).expect("a graph of a checked config can be built out of shapes");
        shapes.asked.into_inner()
    }
}

impl Weights for Shapes<'_> {
    /// One zero, seen everywhere: no memory is taken.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let place = self.config.architecture.place(name).expect("a graph asks by its family's names");
        self.asked.borrow_mut().push(TensorShape { name: name.to_owned(), shape: shape.to_vec(), part: place.part });
        Ok(Tensor::zeros(1, DType::F32, &Device::Cpu)?.broadcast_as(shape)?)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        Ok(Linear::dense(self.tensor(name, &[out, inp])?))
    }
}

/// Bytes of the keys and values of one token in a layer of these heads.
fn kept_bytes(heads: LayerHeads, kept: KvType) -> u64 {
    kept.bytes(2 * heads.kv_heads, heads.head_dim) as u64
}

impl Cost {
    /// Bytes of all weights when each tensor is stored in the type `kind` gives it; `None` where one does not fit.
    pub fn weight_bytes(&self, kind: impl Fn(&TensorShape) -> Type) -> Option<u64> {
        self.tensors.iter().map(|tensor| tensor.bytes(kind(tensor))).sum()
    }

    /// Bytes of keys and values for one token, kept in this type.
    pub fn cache_bytes_per_token(&self, kept: KvType) -> u64 {
        self.kept.iter().map(|heads| kept_bytes(*heads, kept)).sum()
    }

    /// Bytes that a sequence takes in mixers with a state, however long it is.
    pub fn state_bytes(&self) -> u64 {
        self.state_numbers * size_of::<f32>() as u64
    }

    /// Bytes of the keys and values that the next token looks at after `context` others, kept in this type: layers with a
    /// window look at no more than that. A cache that lets go of the rest takes no more.
    pub fn seen_cache_bytes(&self, context: u64, kept: KvType) -> u64 {
        let seen = |(heads, window): &(LayerHeads, Option<usize>)| {
            window.map_or(context, |window| context.min(window as u64)) * kept_bytes(*heads, kept)
        };
        self.seen.iter().map(seen).sum()
    }

    /// Floating-point operations for one token that looks back at `context` tokens, itself among them: a
    /// multiplication and an addition for each parameter of a product, for attention's two products, and three times for each
    /// number of a state.
    pub fn flops_per_token(&self, context: u64) -> u64 {
        2 * (self.product_parameters + self.attention_products * context + 3 * self.state_numbers)
    }

    /// Bytes that have to be read to decode one token after `context` others: the cache and the states, and every weight but the
    /// embedding table (of which one row is read, unless it is the head too) and the experts it does not go to. Memory
    /// bandwidth over this is the ceiling of tokens per second. `None` where a tensor does not fit the type it is
    /// given.
    pub fn read_bytes_per_token(&self, kind: impl Fn(&TensorShape) -> Type, context: u64, kept: KvType) -> Option<u64> {
        let read = |tensor: &&TensorShape| !tensor.is_table(self.tied);
        let (used, count) = self.experts;
        let bytes = |tensor: &TensorShape| {
            let whole = tensor.bytes(kind(tensor))?;
            Some(if tensor.is_expert() { whole * used / count } else { whole })
        };
        let weights: Option<u64> = self.tensors.iter().filter(read).map(bytes).sum();
        Some(weights? + context * self.cache_bytes_per_token(kept) + self.state_bytes())
    }
}
