//! The encoder architectures: one row of facts each, as in the decoder's table. What one checkpoint may choose for
//! itself is in `Config`; what all checkpoints of an architecture share, the names of their tensors above all, is here.

use crate::ops::Activation;

/// What every checkpoint of one architecture has in common.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// `model_type` in config.json.
    pub name: &'static str,
    /// The prefix of the encoder's own tensors where a head was saved with it; without a head they have none.
    pub prefix: &'static str,
    /// How positions are counted.
    pub positions: Positions,
    /// Whether there is a table of token types (which of two texts a token is of).
    pub has_types: bool,
    /// The epsilon of its norms where config.json says nothing.
    pub norm_eps: f64,
    /// The names of its tensors.
    pub names: &'static Names,
    /// The values of `architectures[0]` in config.json, and what such a checkpoint is for; the base model's first.
    pub classes: &'static [(&'static str, Job)],
}

/// How positions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// 0, 1, 2, ..
    FromZero,
    /// The first token stands one after the padding's id; a padding token written in a text stands at its own id and
    /// is not counted (`create_position_ids_from_input_ids` in transformers' modeling_roberta.py).
    AfterPadding,
}

/// What a checkpoint was saved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Hidden states and nothing after them.
    Base,
    /// Scores for classes.
    Classify,
    /// Scores for every token of the vocabulary at every place.
    FillMask,
}

/// The names of the tensors, without the prefix, without `.weight` and `.bias`.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// Layers are `{layer}N.` and one of the names below.
    pub layer: &'static str,
    /// The projection to queries, (dim, dim).
    pub q: &'static str,
    /// The projection to keys, (dim, dim).
    pub k: &'static str,
    /// The projection to values, (dim, dim).
    pub v: &'static str,
    /// The projection from the heads back to the stream, (dim, dim).
    pub o: &'static str,
    /// The norm after attention.
    pub attention_norm: &'static str,
    /// The feed-forward part's way up, (ffn, dim).
    pub up: &'static str,
    /// The feed-forward part's way down, (dim, ffn).
    pub down: &'static str,
    /// The norm after the feed-forward part.
    pub mlp_norm: &'static str,
    /// The dense layer with tanh over the first token that base models have; `None` where the architecture has none.
    pub pooler: Option<&'static str>,
    /// The names of the classification head.
    pub classifier: ClassifierNames,
    /// The names of the masked-token head.
    pub mask_filler: MaskFillerNames,
}

/// The names of a classification head: out(activation(dense x)) over the first token.
#[derive(Debug, PartialEq)]
pub struct ClassifierNames {
    /// The dense layer, (dim, dim).
    pub dense: &'static str,
    /// Whether the dense layer is the encoder's pooler, and has its prefix.
    pub dense_is_pooler: bool,
    /// What follows the dense layer.
    pub activation: Activation,
    /// The matrix to the classes, (classes, dim).
    pub out: &'static str,
}

/// The names of a masked-token head: decoder(norm(activation(dense x))) over every token. The decoder's matrix is the
/// embedding's where tied.
#[derive(Debug, PartialEq)]
pub struct MaskFillerNames {
    /// The dense layer, (dim, dim).
    pub dense: &'static str,
    /// What follows the dense layer; `None` for the config's activation.
    pub activation: Option<Activation>,
    /// The norm before the decoder.
    pub norm: &'static str,
    /// The matrix to the vocabulary, (vocab, dim).
    pub decoder: &'static str,
    /// The whole name of the decoder's bias.
    pub bias: &'static str,
}

static BERT: Names = Names {
    layer: "encoder.layer.",
    q: "attention.self.query",
    k: "attention.self.key",
    v: "attention.self.value",
    o: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    mlp_norm: "output.LayerNorm",
    pooler: Some("pooler.dense"),
    classifier: ClassifierNames {
        dense: "pooler.dense",
        dense_is_pooler: true,
        activation: Activation::Tanh,
        out: "classifier",
    },
    mask_filler: MaskFillerNames {
        dense: "cls.predictions.transform.dense",
        activation: None,
        norm: "cls.predictions.transform.LayerNorm",
        decoder: "cls.predictions.decoder",
        bias: "cls.predictions.bias",
    },
};

static ROBERTA: Names = Names {
    classifier: ClassifierNames {
        dense: "classifier.dense",
        dense_is_pooler: false,
        activation: Activation::Tanh,
        out: "classifier.out_proj",
    },
    mask_filler: MaskFillerNames {
        dense: "lm_head.dense",
        activation: Some(Activation::Gelu),
        norm: "lm_head.layer_norm",
        decoder: "lm_head.decoder",
        bias: "lm_head.bias",
    },
    ..BERT
};

static DISTILBERT: Names = Names {
    layer: "transformer.layer.",
    q: "attention.q_lin",
    k: "attention.k_lin",
    v: "attention.v_lin",
    o: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    mlp_norm: "output_layer_norm",
    pooler: None,
    classifier: ClassifierNames {
        dense: "pre_classifier",
        dense_is_pooler: false,
        activation: Activation::Relu,
        out: "classifier",
    },
    mask_filler: MaskFillerNames {
        dense: "vocab_transform",
        activation: None,
        norm: "vocab_layer_norm",
        decoder: "vocab_projector",
        bias: "vocab_projector.bias",
    },
};

/// Every encoder architecture that bantam runs.
pub(super) static ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "bert",
        prefix: "bert.",
        positions: Positions::FromZero,
        has_types: true,
        norm_eps: 1e-12,
        names: &BERT,
        classes: &[
            ("BertModel", Job::Base),
            ("BertForSequenceClassification", Job::Classify),
            ("BertForMaskedLM", Job::FillMask),
            ("BertForPreTraining", Job::FillMask),
        ],
    },
    Architecture {
        name: "distilbert",
        prefix: "distilbert.",
        positions: Positions::FromZero,
        has_types: false,
        norm_eps: 1e-12,
        names: &DISTILBERT,
        classes: &[
            ("DistilBertModel", Job::Base),
            ("DistilBertForSequenceClassification", Job::Classify),
            ("DistilBertForMaskedLM", Job::FillMask),
        ],
    },
    Architecture {
        name: "roberta",
        prefix: "roberta.",
        positions: Positions::AfterPadding,
        has_types: true,
        norm_eps: 1e-12,
        names: &ROBERTA,
        classes: &[
            ("RobertaModel", Job::Base),
            ("RobertaForSequenceClassification", Job::Classify),
            ("RobertaForMaskedLM", Job::FillMask),
        ],
    },
    Architecture {
        name: "xlm-roberta",
        prefix: "roberta.",
        positions: Positions::AfterPadding,
        has_types: true,
        norm_eps: 1e-12,
        names: &ROBERTA,
        classes: &[
            ("XLMRobertaModel", Job::Base),
            ("XLMRobertaForSequenceClassification", Job::Classify),
            ("XLMRobertaForMaskedLM", Job::FillMask),
        ],
    },
    Architecture {
        name: "camembert",
        prefix: "roberta.",
        positions: Positions::AfterPadding,
        has_types: true,
        norm_eps: 1e-12,
        names: &ROBERTA,
        classes: &[
            ("CamembertModel", Job::Base),
            ("CamembertForSequenceClassification", Job::Classify),
            ("CamembertForMaskedLM", Job::FillMask),
        ],
    },
];

impl Architecture {
    /// Finds the architecture whose `model_type` this is.
    pub fn of_model_type(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|architecture| architecture.name == name)
    }

    /// Lists the names of all encoder architectures, for a sentence on what is supported.
    pub fn all_names() -> String {
        ARCHITECTURES.iter().map(|architecture| architecture.name).collect::<Vec<_>>().join(", ")
    }

    /// The architecture of the base model, which has no head.
    pub fn base(&self) -> (&'static str, Job) {
        self.classes[0]
    }
}
