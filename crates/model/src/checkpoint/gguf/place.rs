//! Where a checkpoint's tensor stands in a GGUF file: under which name, behind which other numbers where several are
//! stacked into one, in which order of rows, and with what added. The reader looks there, the writer puts it there.
//!
//! What stands where: the model classes of llama.cpp's convert_hf_to_gguf.py.

use crate::architecture::Over;
use crate::config::Config;
use crate::names::{self, Part};

/// A checkpoint's tensor in a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The GGUF tensor.
    pub tensor: String,
    /// How many tensors of the checkpoint are stacked there.
    pub stacked: usize,
    /// Which of them this is.
    pub index: usize,
    /// For each row of the GGUF tensor, the row of the checkpoint's that stands there; as they are where not given.
    pub order: Option<Vec<usize>>,
    /// The same of its columns.
    pub columns: Option<Vec<usize>>,
    /// What the file holds in place of the checkpoint's numbers.
    pub holds: Holds,
    /// What each row is multiplied by, or all of them where there is one: factors that the graph has apart.
    pub factors: Option<Vec<f32>>,
}

/// What a GGUF file holds of a checkpoint's number w.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// w.
    Same,
    /// 1 + w, since its readers norm by what they find.
    PlusOne,
    /// -e^w: a rate, where the checkpoint has its logarithm.
    Rate,
}

impl Holds {
    /// What the file holds of w.
    pub fn of(self, w: f32) -> f32 {
        match self {
            Self::Same => w,
            Self::PlusOne => w + 1.0,
            Self::Rate => -w.exp(),
        }
    }
}

impl Placed {
    /// Finds the place of a checkpoint's tensor, where the architecture's row has one.
    pub fn of(config: &Config, huggingface: &str) -> Option<Self> {
        let architecture = config.architecture;
        let place = architecture.place(huggingface)?;
        let stacked = match place.part {
            part if part.is_expert() => config.experts?.count,
            Part::StreamOut | Part::StreamBack => config.streams?.count - 1,
            Part::QNorm if architecture.qk_norm_over == Over::EachHead => config.heads,
            Part::KNorm if architecture.qk_norm_over == Over::EachHead => config.kv_heads,
            _ => 1,
        };
        Some(Self {
            tensor: architecture.to_gguf(huggingface)?,
            stacked,
            index: if stacked > 1 { place.index } else { 0 },
            order: names::gguf_row_order(config, huggingface),
            columns: names::gguf_column_order(config, huggingface),
            holds: match place.part {
                Part::StateRate => Holds::Rate,
                part if architecture.norm.is_plus_one() && is_norm(part) && place.last == "weight" => Holds::PlusOne,
                _ => Holds::Same,
            },
            factors: factors(config, place.part, place.last),
        })
    }

    /// Finds where older files have it: experts one by one, and q, k and v in one. With the elements before it, and all
    /// there are.
    pub fn elsewhere(config: &Config, huggingface: &str, elements: usize) -> Option<(String, usize, usize)> {
        let place = config.architecture.place(huggingface)?;
        let (layer, last) = (place.layer, place.last);
        // gate and up of an expert one behind the other
        if let (Part::ExpertGate | Part::ExpertUp, false) = (place.part, config.architecture.together.is_empty()) {
            let nth = 2 * place.index + usize::from(place.part == Part::ExpertUp);
            let all = 2 * config.experts?.count * elements;
            return Some((format!("blk.{layer}.ffn_gate_up_exps.{last}"), nth * elements, all));
        }
        if place.part.is_expert() {
            let stacked = config.architecture.to_gguf(huggingface)?;
            let single = stacked.replace("_exps.", &format!(".{}.", place.index));
            return Some((single, 0, elements));
        }
        // elements of a row, of which a bias has one
        let row = |rows: usize| elements.checked_div(rows).unwrap_or(0);
        let (q, kv) = (config.q_dim(), config.kv_dim());
        let (before, width) = match place.part {
            Part::Q => (0, row(q)),
            Part::K => (q, row(kv)),
            Part::V => (q + kv, row(kv)),
            _ => return None,
        };
        Some((format!("blk.{layer}.attn_qkv.{last}"), before * width, (q + 2 * kv) * width))
    }
}

/// What a part's rows are multiplied by in a file, which has no keys for factors; as llama.cpp's converter does for Falcon-H1.
fn factors(config: &Config, part: Part, last: &str) -> Option<Vec<f32>> {
    let own = config.factors?;
    // what is read is multiplied before a matrix, and so is no bias
    let read = |factor: f64| if last == "weight" { factor } else { 1.0 };
    let one = match part {
        Part::Embedding => config.embedding_scale,
        Part::Head => config.logit_scale,
        Part::Q | Part::V => read(own.attention_in),
        Part::K => own.keys * read(own.attention_in),
        Part::Output => own.attention_out,
        Part::Gate => own.gate,
        Part::Down => own.down,
        Part::StateOut => own.state_out,
        Part::StateIn => {
            let sizes = config.state?;
            let (inner, width) = (sizes.inner(), sizes.key_width());
            let rows = [inner, inner, width, width, sizes.heads].into_iter().zip(own.state_parts);
            let all = rows.flat_map(|(count, factor)| std::iter::repeat_n(factor * read(own.state_in), count));
            return Some(all.map(|factor| factor as f32).collect());
        }
        _ => return None,
    };
    Some(vec![one as f32])
}

fn is_norm(part: Part) -> bool {
    use Part::{AttentionNorm, AttentionPostNorm, FinalNorm, KNorm, MlpNorm, MlpPostNorm, QNorm};
    matches!(part, FinalNorm | AttentionNorm | AttentionPostNorm | MlpNorm | MlpPostNorm | QNorm | KNorm)
}
