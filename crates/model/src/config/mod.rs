//! What a checkpoint says its model is, typed and checked: sizes, options, special tokens. Read from config.json in
//! both forms in use (`json`), or from the keys of a GGUF file (`gguf`). It knows no weights and no files.

pub mod gguf;
pub(crate) mod ids;
mod json;
mod to_json;

pub(crate) use json::NEMOTRON_LEAST_STEP;
pub(crate) use json::share_keys;

use super::architecture::{Architecture, Biases, Halves, Positions, Recurrence, Residual};
use super::checkpoint::packed::Quantization;
use super::error::{Error, Result};
use super::ops::Activation;
use super::rope::{Rope, Scaling, Yarn};
use bantam_kernels::kv::KvType;

/// The architecture of one model. Its values are consistent: sizes are positive and within bounds, heads divide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The architecture whose graph it is.
    pub architecture: &'static Architecture,
    /// Rows of the embedding (`vocab_size`), special tokens among them.
    pub vocab: usize,
    /// Width of the residual stream (`hidden_size`).
    pub dim: usize,
    /// What each layer does in its own way, in order.
    pub layers: Vec<Layer>,
    /// Heads of queries (`num_attention_heads`).
    pub heads: usize,
    /// Heads of keys and values (`num_key_value_heads`); divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even where positions are rotary.
    pub head_dim: usize,
    /// Width inside a dense MLP (`intermediate_size`).
    pub ffn: usize,
    /// The mixture in the layers that have experts; `None` where no layer has.
    pub experts: Option<Experts>,
    /// The sizes of the mixers that keep a state; `None` where all layers are attention.
    pub state: Option<StateSizes>,
    /// What each layer reads of a token beside the stream, where it does.
    pub layer_inputs: Option<LayerInputs>,
    /// The streams beside the first, where there are any.
    pub streams: Option<Streams>,
    /// The longest sequence it was made for (`max_position_embeddings`).
    pub max_positions: usize,
    /// What norms add under the root; above 0 and below 1.
    pub norm_eps: f64,
    /// The rotary embeddings that layers name; none where positions are learned.
    pub ropes: Vec<Rope>,
    /// The non-linearity of MLPs.
    pub activation: Activation,
    /// Which matrices have a bias.
    pub biases: Biases<bool>,
    /// Queries and keys are normed.
    pub qk_norm: bool,
    /// Attention and MLP read the same stream and are added together.
    pub parallel: bool,
    /// Queries, keys and values are clamped to between this and its negative.
    pub qkv_clip: Option<f32>,
    /// How gates and their partners are capped, where they are.
    pub capped_gates: Option<CappedGates>,
    /// Layers that stand behind the last in its files, guess at several tokens ahead and are read past.
    pub ahead: usize,
    /// How queries grow with their position, where they do.
    pub query_growth: Option<QueryGrowth>,
    /// What the parts of a layer are multiplied by, where a checkpoint has such factors (Falcon-H1).
    pub factors: Option<Factors>,
    /// The sizes of attention whose keys and values come out of a few numbers of each token; `None` where they do not.
    pub latent: Option<Latent>,
    /// A token sees only those before it and itself; where not, a decoder was made to embed, and sees what follows, too.
    pub causal: bool,
    /// Attention scores become cap · tanh(score / cap).
    pub score_softcap: Option<f32>,
    /// Logits become cap · tanh(logit / cap).
    pub logit_softcap: Option<f32>,
    /// What embeddings are multiplied by.
    pub embedding_scale: f64,
    /// What attention and MLP are multiplied by before they are added to the stream.
    pub residual_scale: f64,
    /// What logits are multiplied by.
    pub logit_scale: f64,
    /// The head is the transposed embedding.
    pub tied: bool,
    /// The token that begins a sequence, where the checkpoint names one.
    pub bos: Option<u32>,
    /// Every token that ends a generation; may be empty.
    pub eos: Vec<u32>,
    /// The type the checkpoint says its weights are stored in.
    pub stored: Option<Stored>,
    /// How its matrices are quantized, where the checkpoint is of one of the formats that pack them.
    pub quantization: Option<Quantization>,
}

/// The choices of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layer {
    /// How many tokens a token sees, itself among them; `None` for all before it.
    pub window: Option<usize>,
    /// Which of the config's ropes turns q and k; `None` where positions do not turn them.
    pub rope: Option<usize>,
    /// Its MLP is a mixture of experts.
    pub experts: bool,
    /// What attention scores are multiplied by.
    pub scale: f32,
    /// What carries something from token to token.
    pub mixer: Mixer,
    /// Its heads, where they are not the config's.
    pub heads: Option<LayerHeads>,
    /// How many times as wide as the config's its MLP is.
    pub wide: usize,
    /// The earlier layer whose keys and values it reads, where it has none of its own.
    pub keys_of: Option<usize>,
    /// Values are the keys as they are before their norm.
    pub keys_are_values: bool,
    /// Of a gate only what lies so many standard deviations above the mean of all passes, less by that.
    pub sparsity: Option<f32>,
}

/// Heads of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerHeads {
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

/// What each layer reads of a token beside the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerInputs {
    /// Numbers of a token for one layer.
    pub width: usize,
    /// Rows of their table; tokens beyond have those of the first.
    pub rows: usize,
}

/// Several streams in place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// How many there are.
    pub count: usize,
    /// Which of them a layer computes with, from 0.
    pub active: usize,
    /// That one is scaled before the layer's input is gated with it.
    pub scaled: bool,
    /// Width of the second way past attention.
    pub rank: usize,
}

/// What carries something from token to token in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixer {
    /// Attention, whose keys and values grow with the sequence.
    Attention,
    /// The architecture's mixer with a state of constant size.
    State,
    /// Both, which read the same and are added.
    Both,
    /// Nothing: a layer that is a feed-forward part alone.
    Nothing,
}

impl Mixer {
    /// Whether keys and values are kept.
    pub fn attends(self) -> bool {
        matches!(self, Self::Attention | Self::Both)
    }

    /// Whether a state is kept.
    pub fn keeps_state(self) -> bool {
        matches!(self, Self::State | Self::Both)
    }
}

/// What the parts of a layer are multiplied by (Falcon-H1, <https://arxiv.org/abs/2507.22448>); all 1 where a file has them in its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// What attention reads.
    pub attention_in: f64,
    /// What attention gives.
    pub attention_out: f64,
    /// Keys.
    pub keys: f64,
    /// What the mixer with a state reads.
    pub state_in: f64,
    /// What the mixer with a state gives.
    pub state_out: f64,
    /// Of what comes out of its first matrix: the gate, the values, the keys, the queries, the steps.
    pub state_parts: [f64; 5],
    /// The MLP's gate before its activation.
    pub gate: f64,
    /// What the MLP gives.
    pub down: f64,
}

impl Factors {
    /// Those that change nothing.
    pub const ONE: Self = Self {
        attention_in: 1.0,
        attention_out: 1.0,
        keys: 1.0,
        state_in: 1.0,
        state_out: 1.0,
        state_parts: [1.0; 5],
        gate: 1.0,
        down: 1.0,
    };
}

/// The sizes of multi-head latent attention (DeepSeek V2, <https://arxiv.org/abs/2405.04434>): of each token a few numbers, out of
/// which come the keys and values of all heads, and one key that turns by position and that all heads share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latent {
    /// Numbers of a token that its queries come out of; `None` where they come out of the stream.
    pub query_rank: Option<usize>,
    /// Numbers of a token that keys and values come out of.
    pub rank: usize,
    /// Width of the part of a head's queries and keys that does not turn.
    pub still: usize,
    /// Width of the part that turns.
    pub turned: usize,
    /// Width of a head's values.
    pub value: usize,
}

impl Latent {
    /// Width of a head's queries and keys.
    pub fn key(&self) -> usize {
        self.still.saturating_add(self.turned)
    }

    /// Width that keys and values are kept in, which is one for both: the narrower are filled up with zeros.
    pub fn kept(&self) -> usize {
        self.key().max(self.value)
    }
}

/// The sizes of a mixer with a state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateSizes {
    /// How many tokens the convolution sees, the present one among them.
    pub taps: usize,
    /// Heads of values; 1 where there is a convolution only.
    pub heads: usize,
    /// Width of a head's values.
    pub head_dim: usize,
    /// Heads of queries and keys; divides `heads`.
    pub groups: usize,
    /// Width of queries and keys, the other side of a head's matrix.
    pub key_dim: usize,
    /// The convolution has a bias.
    pub conv_bias: bool,
    /// The projection into the mixer has a bias.
    pub bias: bool,
    /// The projection back to the stream has a bias.
    pub out_bias: bool,
    /// How what is read of Mamba-2's state is normed.
    pub norm: StateNorm,
    /// The non-linearity behind the convolution.
    pub activation: Activation,
    /// The shortest step of a head of Mamba-2.
    pub least_step: f32,
}

/// What stands between a state of Mamba-2 and the way back to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateNorm {
    /// The gate, then the norm of each group.
    AfterGate,
    /// The norm of each group, then the gate.
    BeforeGate,
    /// The gate alone.
    None,
}

impl StateSizes {
    /// Width of the values of all heads.
    pub fn inner(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the keys of all groups.
    pub fn key_width(&self) -> usize {
        self.groups * self.key_dim
    }

    /// Channels of the convolution.
    pub fn channels(&self, recurrence: Recurrence) -> usize {
        match recurrence {
            Recurrence::None | Recurrence::ShortConv => self.inner(),
            Recurrence::DeltaNet | Recurrence::Mamba2 => self.inner() + 2 * self.key_width(),
        }
    }

    /// Rows of the projection into the mixer.
    pub fn projected(&self, recurrence: Recurrence) -> usize {
        match recurrence {
            Recurrence::None | Recurrence::ShortConv => 3 * self.inner(),
            Recurrence::DeltaNet => self.channels(recurrence),
            Recurrence::Mamba2 => self.inner() + self.channels(recurrence) + self.heads,
        }
    }

    /// Numbers that a sequence keeps in one layer, however long it is.
    pub fn numbers(&self, recurrence: Recurrence) -> usize {
        let matrices = match recurrence {
            Recurrence::None | Recurrence::ShortConv => 0,
            Recurrence::DeltaNet | Recurrence::Mamba2 => self.inner() * self.key_dim,
        };
        (self.taps - 1) * self.channels(recurrence) + matrices
    }

    /// The order that puts the first head of each group first, then the second of each: for rows of which a head has `width`,
    /// behind `first` others.
    pub(crate) fn tiled(&self, first: usize, width: usize) -> Vec<usize> {
        let of_group = self.heads / self.groups;
        let head = |nth: usize| (0..self.groups).map(move |group| group * of_group + nth);
        let row = move |head: usize| (0..width).map(move |i| first + head * width + i);
        (0..first).chain((0..of_group).flat_map(head).flat_map(row)).collect()
    }
}

/// Queries are multiplied by 1 + beta · ln(1 + position / every), the quotient rounded down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueryGrowth {
    /// How much they grow.
    pub beta: f64,
    /// After how many tokens they do.
    pub every: usize,
}

impl QueryGrowth {
    /// What a query at this position is multiplied by.
    pub fn at(&self, position: u32) -> f32 {
        (1.0 + self.beta * ((1 + position as usize / self.every) as f64).ln()) as f32
    }
}

/// min(gate, limit) · sigmoid(steepness · min(gate, limit)) · (up + 1), with up between limit and its negative, in place of
/// an MLP's gate (gpt-oss).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CappedGates {
    /// How steep the sigmoid is.
    pub steepness: f64,
    /// Where gates, and both sides of what they multiply, end.
    pub limit: f64,
}

impl CappedGates {
    /// Those of gpt-oss, which GGUF's readers take for granted.
    pub const USUAL: Self = Self { steepness: 1.702, limit: 7.0 };
}

/// The sizes of a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experts {
    /// How many experts a layer has.
    pub count: usize,
    /// How many experts a token goes to.
    pub used: usize,
    /// Width inside one expert.
    pub ffn: usize,
    /// Width inside the expert that every token goes to; `None` where there is none.
    pub shared: Option<usize>,
    /// Whether the weights of the chosen experts are scaled to sum to 1.
    pub normalized: bool,
    /// What the weights of the chosen experts are multiplied by.
    pub scale: f32,
    /// Experts are chosen with a bias added to each one's share.
    pub biased: bool,
    /// How many groups the experts are in, of as many each.
    pub groups: usize,
    /// Of how many groups experts are chosen.
    pub groups_used: usize,
    /// Of a sparse mixer: half the relative distance from the best score within which a score takes part.
    pub jitter: f32,
}

/// A floating type that checkpoints are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Stored {
    /// Every stored type.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name that config.json has for it, such as "bfloat16".
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

impl Config {
    /// Width of the rows of q, and of the input of o.
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the rows of k and of v.
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Whether a layer has a feed-forward part.
    pub fn feeds(&self, layer: &Layer) -> bool {
        self.architecture.halves != Halves::One || layer.mixer == Mixer::Nothing
    }

    /// The heads of a layer.
    pub fn heads_of(&self, layer: &Layer) -> LayerHeads {
        layer.heads.unwrap_or(LayerHeads { kv_heads: self.kv_heads, head_dim: self.head_dim })
    }

    /// The heads of each layer that keeps keys and values of its own.
    pub fn kept_heads(&self) -> impl Iterator<Item = LayerHeads> + '_ {
        let keeps = |layer: &&Layer| layer.mixer.attends() && layer.keys_of.is_none();
        self.layers.iter().filter(keeps).map(|layer| self.heads_of(layer))
    }

    /// Bytes of the keys and values of one token, kept in this type.
    pub fn kept_bytes(&self, kept: KvType) -> usize {
        self.kept_heads().map(|heads| kept.bytes(2 * heads.kv_heads, heads.head_dim)).sum()
    }

    /// Refuses to take apart what is only computed as a whole: layers that read what others leave, or what was looked up
    /// before the first.
    ///
    /// # Errors
    /// One sentence that says that `what` goes from layer to layer, where layers do so.
    pub fn refuse_apart(&self, what: &str) -> Result<()> {
        match self.layers.iter().any(|layer| layer.keys_of.is_some()) || self.layer_inputs.is_some() {
            false => Ok(()),
            true => Err(Error::Request(format!(
                "{what} goes from layer to layer, and those of {} read what earlier ones leave; allowed is what \
                 takes the model as a whole",
                self.architecture.name
            ))),
        }
    }

    /// The yarn of the layers that see all, where their rope is scaled so.
    pub(crate) fn yarn(&self) -> Option<&Yarn> {
        match &self.ropes.first()?.scaling {
            Scaling::Yarn(yarn) => Some(yarn),
            _ => None,
        }
    }

    /// DeepSeek's `mscale_all_dim`: latent attention's scores are multiplied by the square of 0.1 m ln(factor) + 1 under yarn;
    /// `None` where by nothing.
    pub(crate) fn mscale_all_dim(&self) -> Option<f64> {
        let (sizes, yarn) = (self.latent?, self.yarn()?);
        let grown = f64::from(self.layers[0].scale) * (sizes.key() as f64).sqrt();
        let all = (grown.sqrt() - 1.0) / (0.1 * yarn.factor.ln());
        (all.abs() > 1e-6).then_some(all)
    }

    /// How many layers are attention.
    pub fn attention_layers(&self) -> usize {
        self.layers.iter().filter(|layer| layer.mixer.attends()).count()
    }

    /// Numbers that a sequence keeps in all mixers with a state, however long it is.
    pub fn state_numbers(&self) -> usize {
        let layers = self.layers.iter().filter(|layer| layer.mixer.keeps_state()).count();
        layers * self.state.map_or(0, |sizes| sizes.numbers(self.architecture.recurrence))
    }

    /// `general.architecture` of a GGUF file of this model: a Granite 4 that is attention alone is a Granite there.
    pub fn gguf_architecture(&self) -> &'static str {
        match self.architecture.gguf {
            "nemotron_h" if self.experts.is_some() => "nemotron_h_moe",
            "granitehybrid" if self.state.is_none() && self.experts.is_none() => "granite",
            own => own,
        }
    }

    /// Whether the MLP reads what attention reads, by the same norm.
    pub fn shares_norm(&self) -> bool {
        self.parallel && matches!(self.architecture.residual, Residual::Parallel { shared: true, .. })
    }

    /// Gives a number that is the same for two lengths of a sequence exactly where all their angles are the same: under
    /// some scalings, a longer sequence turns all its tokens differently, and nothing kept of a shorter one holds.
    pub fn rope_regime(&self, length: usize) -> usize {
        self.ropes.iter().map(|rope| rope.rope_regime(length)).max().unwrap_or(0)
    }

    /// The widest window of all layers, in tokens; `None` where a layer sees the whole sequence.
    pub fn widest_window(&self) -> Option<usize> {
        let attention = self.layers.iter().filter(|layer| layer.mixer.attends());
        attention.map(|layer| layer.window).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Refuses what no graph can be built from. Every way of making a `Config` ends here. `word` gives the file's own word
    /// for a key.
    pub(crate) fn check(self, file: &str, word: &dyn Fn(&'static str) -> String) -> Result<Self> {
        let broken = |what: String| Err(Error::broken(file, what));
        let experts = self.experts;
        let sizes: [(&str, usize, usize); 11] = [
            ("vocab_size", self.vocab, 1 << 24),
            ("hidden_size", self.dim, 1 << 20),
            ("num_hidden_layers", self.layers.len(), MOST_LAYERS),
            ("num_attention_heads", self.heads, 1 << 14),
            ("num_key_value_heads", self.kv_heads, 1 << 14),
            ("head_dim", self.head_dim, 1 << 14),
            ("intermediate_size", self.ffn, 1 << 22),
            ("max_position_embeddings", self.max_positions, 1 << 30),
            ("num_experts", experts.map_or(1, |e| e.count), 1 << 14),
            ("moe_intermediate_size", experts.map_or(1, |e| e.ffn), 1 << 22),
            ("shared_expert_intermediate_size", experts.and_then(|e| e.shared).unwrap_or(1), 1 << 22),
        ];
        for (name, value, most) in sizes {
            if value == 0 || value > most {
                return broken(format!("{} is {value}, allowed are 1 to {most}", word(name)));
            }
        }
        let matrices = self.layers.len() * experts.map_or(1, |experts| experts.count).max(self.heads);
        if matrices > MOST_MATRICES {
            return broken(format!(
                "{} {} with as many heads and experts as it has is more than any model has",
                word("num_hidden_layers"),
                self.layers.len()
            ));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return broken(format!(
                "{} {} is not a multiple of {} {}",
                word("num_attention_heads"),
                self.heads,
                word("num_key_value_heads"),
                self.kv_heads
            ));
        }
        if let Some(sizes) = self.latent {
            let all = [
                ("q_lora_rank", sizes.query_rank.unwrap_or(1)),
                ("kv_lora_rank", sizes.rank),
                ("qk_rope_head_dim", sizes.turned),
                ("v_head_dim", sizes.value),
            ];
            if let Some((name, value)) = all.into_iter().find(|(_, value)| *value == 0 || *value > 1 << 16) {
                return broken(format!("{} is {value}, allowed are 1 to {}", word(name), 1 << 16));
            }
        }
        self.check_state(file, word)?;
        let windowed = self.layers.iter().any(|layer| layer.window.is_some());
        if !self.causal && windowed && !self.architecture.two_sided {
            let what = "is_causal false with a sliding window";
            return Err(Error::unsupported(file, what, "layers that see all where they see what follows"));
        }
        if self.architecture.positions != Positions::Learned && !self.head_dim.is_multiple_of(2) {
            let key = word("head_dim");
            return broken(format!("{key} {} is odd, and rotary embeddings turn pairs", self.head_dim));
        }
        if let Some(experts) = experts.filter(|e| e.used == 0 || e.used > e.count) {
            return broken(format!(
                "{} is {}, allowed are 1 to the {} experts there are",
                word("num_experts_per_tok"),
                experts.used,
                experts.count
            ));
        }
        if let Some(experts) = experts.filter(|e| e.groups == 0 || !e.count.is_multiple_of(e.groups)) {
            return broken(format!(
                "{} is {}, and {} experts are no such groups",
                word("n_group"),
                experts.groups,
                experts.count
            ));
        }
        let chosen_among = |e: &Experts| e.count / e.groups * e.groups_used;
        if let Some(experts) = experts.filter(|e| e.groups_used > e.groups || chosen_among(e) < e.used) {
            return broken(format!(
                "{} is {}, allowed are 1 to the {} groups there are, with {} experts in them",
                word("topk_group"),
                experts.groups_used,
                experts.groups,
                experts.used
            ));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return broken(format!("{} is {}, allowed is above 0 and below 1", word("norm_eps"), self.norm_eps));
        }
        self.check_layers(file, word)?;
        for (number, rope) in self.ropes.iter().enumerate() {
            let turned = self.layers.iter().filter(|layer| layer.rope == Some(number));
            let head_dim = turned.map(|layer| self.heads_of(layer).head_dim).min().unwrap_or(self.head_dim);
            if !(rope.theta > 1.0 && rope.theta.is_finite()) {
                return broken(format!("{} is {}, allowed is above 1", word("rope_theta"), rope.theta));
            }
            if rope.dims == 0 || rope.dims > head_dim || !rope.dims.is_multiple_of(2) {
                return broken(format!(
                    "rope turns {} of the {head_dim} dimensions of a head, allowed is an even number of them",
                    rope.dims
                ));
            }
        }
        // an id that is no token's is never met, neither in a text nor as an answer
        let vocab = self.vocab;
        let bos = self.bos.filter(|&id| (id as usize) < vocab);
        let eos = self.eos.into_iter().filter(|&id| (id as usize) < vocab).collect();
        // sizes that no layer has the use of are none
        let has_state = self.layers.iter().any(|layer| layer.mixer.keeps_state());
        let state = self.state.filter(|_| has_state);
        Ok(Self { bos, eos, state, ..self })
    }
}

impl Config {
    /// Refuses heads that do not divide and sizes that no model has in what layers have of their own.
    fn check_layers(&self, file: &str, word: &dyn Fn(&'static str) -> String) -> Result<()> {
        let broken = |what: String| Err(Error::broken(file, what));
        for (number, layer) in self.layers.iter().enumerate() {
            let LayerHeads { kv_heads, head_dim } = self.heads_of(layer);
            let fits = |n: usize| (1..=1 << 14).contains(&n);
            let divide = fits(kv_heads) && self.heads.is_multiple_of(kv_heads);
            if layer.heads.is_some() && !(divide && fits(head_dim) && head_dim.is_multiple_of(2)) {
                return broken(format!(
                    "layer {number} has {kv_heads} heads of keys of width {head_dim}, which do not go with {} of queries",
                    self.heads
                ));
            }
            if layer.wide == 0 || layer.wide > 64 {
                return broken(format!("layer {number} is {} times as wide, allowed are 1 to 64", layer.wide));
            }
            let whole = |source: &Layer| source.keys_of.is_none() && self.heads_of(source) == self.heads_of(layer);
            if layer.keys_of.is_some_and(|of| of >= number || !whole(&self.layers[of])) {
                return broken(format!("layer {number} reads the keys of a layer that has none like them"));
            }
        }
        let sizes = [
            ("hidden_size_per_layer_input", self.layer_inputs.map_or(1, |inputs| inputs.width), 1 << 16),
            ("vocab_size_per_layer_input", self.layer_inputs.map_or(1, |inputs| inputs.rows), 1 << 24),
            ("altup_num_inputs", self.streams.map_or(2, |streams| streams.count), 64),
            ("laurel_rank", self.streams.map_or(1, |streams| streams.rank), 1 << 16),
        ];
        match sizes.into_iter().find(|(_, value, most)| *value == 0 || value > most) {
            Some((name, value, most)) => broken(format!("{} is {value}, allowed are 1 to {most}", word(name))),
            None if self.streams.is_some_and(|streams| streams.count < 2 || streams.active >= streams.count) => {
                broken(format!("{} has to name one of two streams or more", word("altup_active_idx")))
            }
            None => Ok(()),
        }
    }

    /// Refuses states of no size, or of one that no model has.
    fn check_state(&self, file: &str, word: &dyn Fn(&'static str) -> String) -> Result<()> {
        let needed = self.layers.iter().any(|layer| layer.mixer.keeps_state());
        let Some(sizes) = self.state else {
            return match needed {
                true => Err(Error::broken(file, "has layers with a state and none of its sizes")),
                false => Ok(()),
            };
        };
        let all: [(&'static str, usize, usize, usize); 5] = [
            ("state_taps", sizes.taps, 2, 1 << 8),
            ("state_heads", sizes.heads, 1, 1 << 14),
            ("state_head_dim", sizes.head_dim, 1, 1 << 20),
            ("state_groups", sizes.groups, 1, 1 << 14),
            ("state_key_dim", sizes.key_dim, 1, 1 << 14),
        ];
        for (name, value, least, most) in all {
            if value < least || value > most {
                return Err(Error::broken(file, format!("{} is {value}, allowed are {least} to {most}", word(name))));
            }
        }
        if !sizes.heads.is_multiple_of(sizes.groups) {
            let (heads, groups) = (word("state_heads"), word("state_groups"));
            let what = format!("{heads} {} is not a multiple of {groups} {}", sizes.heads, sizes.groups);
            return Err(Error::broken(file, what));
        }
        if sizes.inner().saturating_mul(sizes.key_dim) > MOST_STATE {
            let what = format!("a state of {} by {} numbers is more than any model has", sizes.inner(), sizes.key_dim);
            return Err(Error::broken(file, what));
        }
        if !self.causal && needed {
            let what = "is_causal false with layers that keep a state";
            return Err(Error::unsupported(file, what, "attention where tokens see what follows"));
        }
        Ok(())
    }
}

/// The most numbers of one layer's matrices; the largest models have some four million.
const MOST_STATE: usize = 1 << 26;

/// The most experts, or heads, that all layers may have together; the largest models have some ten thousand.
const MOST_MATRICES: usize = 1 << 19;

/// The most layers a config may have; no model comes near.
pub const MOST_LAYERS: usize = 1 << 12;
