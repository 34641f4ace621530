//! The encoder families: one row of facts each, as in the decoder's table. What one checkpoint may choose for itself is
//! in `Config`; what all of a family share, the names of their tensors above all, is here.

use crate::ops::Activation;

/// What every checkpoint of one family has in common.
#[derive(Debug, PartialEq)]
pub struct Family {
    /// `model_type` in config.json.
    pub name: &'static str,
    /// What stands before the names of the encoder's own tensors where a head was saved with it, and nothing where not.
    pub prefix: &'static str,
    pub positions: Positions,
    /// There is a table of token types (which of two texts a token is of).
    pub has_types: bool,
    /// The epsilon of its norms where config.json says nothing.
    pub norm_eps: f64,
    pub names: &'static Names,
    /// `architectures[0]` in config.json, and what such a checkpoint is for.
    pub architectures: &'static [(&'static str, Job)],
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
    pub q: &'static str,
    pub k: &'static str,
    pub v: &'static str,
    pub o: &'static str,
    pub attention_norm: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub mlp_norm: &'static str,
    /// The dense layer with tanh over the first token that base models have.
    pub pooler: Option<&'static str>,
    pub classifier: ClassifierNames,
    pub mask_filler: MaskFillerNames,
}

/// dense, activation, out: over the first token.
#[derive(Debug, PartialEq)]
pub struct ClassifierNames {
    pub dense: &'static str,
    /// The dense layer is the encoder's pooler, and has its prefix.
    pub dense_is_pooler: bool,
    pub activation: Activation,
    pub out: &'static str,
}

/// dense, activation, norm, decoder: over every token. The decoder's matrix is the embedding's where tied.
#[derive(Debug, PartialEq)]
pub struct MaskFillerNames {
    pub dense: &'static str,
    /// The config's where None.
    pub activation: Option<Activation>,
    pub norm: &'static str,
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

pub static FAMILIES: &[Family] = &[
    Family {
        name: "bert",
        prefix: "bert.",
        positions: Positions::FromZero,
        has_types: true,
        norm_eps: 1e-12,
        names: &BERT,
        architectures: &[
            ("BertModel", Job::Base),
            ("BertForSequenceClassification", Job::Classify),
            ("BertForMaskedLM", Job::FillMask),
            ("BertForPreTraining", Job::FillMask),
        ],
    },
    Family {
        name: "distilbert",
        prefix: "distilbert.",
        positions: Positions::FromZero,
        has_types: false,
        norm_eps: 1e-12,
        names: &DISTILBERT,
        architectures: &[
            ("DistilBertModel", Job::Base),
            ("DistilBertForSequenceClassification", Job::Classify),
            ("DistilBertForMaskedLM", Job::FillMask),
        ],
    },
    Family {
        name: "roberta",
        prefix: "roberta.",
        positions: Positions::AfterPadding,
        has_types: true,
        norm_eps: 1e-12,
        names: &ROBERTA,
        architectures: &[
            ("RobertaModel", Job::Base),
            ("RobertaForSequenceClassification", Job::Classify),
            ("RobertaForMaskedLM", Job::FillMask),
        ],
    },
    Family {
        name: "xlm-roberta",
        prefix: "roberta.",
        positions: Positions::AfterPadding,
        has_types: true,
        norm_eps: 1e-12,
        names: &ROBERTA,
        architectures: &[
            ("XLMRobertaModel", Job::Base),
            ("XLMRobertaForSequenceClassification", Job::Classify),
            ("XLMRobertaForMaskedLM", Job::FillMask),
        ],
    },
    Family {
        name: "camembert",
        prefix: "roberta.",
        positions: Positions::AfterPadding,
        has_types: true,
        norm_eps: 1e-12,
        names: &ROBERTA,
        architectures: &[
            ("CamembertModel", Job::Base),
            ("CamembertForSequenceClassification", Job::Classify),
            ("CamembertForMaskedLM", Job::FillMask),
        ],
    },
];

impl Family {
    /// The row whose `model_type` this is.
    pub fn of_model_type(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The names of all encoder families, for a sentence that lists what is supported.
    pub fn all_names() -> String {
        FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>().join(", ")
    }

    /// The first architecture is the base model's.
    pub fn base(&self) -> (&'static str, Job) {
        self.architectures[0]
    }
}
