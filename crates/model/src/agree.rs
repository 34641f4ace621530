//! Where a checkpoint's config and its tensors disagree. The tensors are believed: a head of its own is taken though the
//! config ties it to the embedding, as transformers does; and a tensor that the config switches off, or a layer beyond
//! its last, is refused with both named, since leaving it out would be another model without a word.

use bantam_format::gguf::Gguf;

use super::checkpoint::gguf::Placed;
use super::checkpoint::safetensors::Safetensors;
use super::config::Config;
use super::cost::cost;
use super::error::{Error, Result};
use super::names::Part;

/// Tensors that follow from the config and that old checkpoints saved: rotary frequencies and causal masks.
const DERIVED: [&str; 6] = [
    ".rotary_emb.inv_freq",
    ".rotary_emb.original_inv_freq",
    ".attn.bias",
    ".attn.masked_bias",
    ".attention.bias",
    ".attention.masked_bias",
];

/// Tensors of a GGUF file that are no part's: what stands in place of a rope scaling.
const ROPE_TENSORS: [&str; 3] = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

/// What the other parts of a larger model are called, which are read past: pictures, sound, and layers that guess at several
/// tokens ahead.
const OTHER_PARTS: [&str; 10] = [
    "mtp",
    "visual",
    "vision_tower",
    "vision_model",
    "vision_encoder",
    "audio_tower",
    "multi_modal_projector",
    "embed_vision",
    "embed_audio",
    "connector",
];

/// Tells which other part of a larger model a tensor belongs to, by one of the first pieces of its name.
pub fn other_part(name: &str) -> Option<&'static str> {
    name.split('.').take(3).find_map(|piece| OTHER_PARTS.into_iter().find(|part| *part == piece))
}

/// A config as the files have it, and a sentence on each thing that was decided between them.
#[derive(Debug)]
pub struct Agreed {
    /// The config, with the files' word where the two differ.
    pub config: Config,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Config {
    /// Holds the config against the tensors of its checkpoint.
    ///
    /// # Errors
    /// One sentence that names both where the files hold layers or tensors that the config has no use for.
    pub fn agree(self, files: &Safetensors) -> Result<Agreed> {
        let mut notes = files.passed_over();
        let config = self.with_own_head(files, &mut notes);
        config.refuse_layers(files)?;
        config.refuse_unused(files, &mut notes)?;
        Ok(Agreed { config, notes })
    }

    /// A head that is not the embedding is the head, whatever the config says of tying.
    fn with_own_head(self, files: &Safetensors, notes: &mut Vec<String>) -> Self {
        let stem = |part| self.architecture.stem(part, 0, 0).expect("every decoder has both");
        let (head, embedding) = (stem(Part::Head), stem(Part::Embedding));
        let own = match self.tied {
            false => false,
            true if files.entry(&format!("{head}.qweight")).is_some() => true,
            true => files.differ(&format!("{head}.weight"), &format!("{embedding}.weight")),
        };
        if own {
            notes.push(format!(
                "config.json ties the head to the embedding, and {} holds another {head}.weight: the file's is used",
                files.file_of(&format!("{head}.weight"))
            ));
        }
        Self { tied: self.tied && !own, ..self }
    }

    fn refuse_layers(&self, files: &Safetensors) -> Result<()> {
        let layers = self.layers.len();
        let beyond = |name: &&str| self.is_beyond(&files.graph_name(name), layers.saturating_add(self.ahead));
        match files.names().into_iter().find(beyond) {
            None => Ok(()),
            Some(name) => {
                let key = self.architecture.key("num_hidden_layers");
                Err(files.broken(name, format!("is of a layer that config.json has not ({key} {layers})")))
            }
        }
    }

    /// Whether a tensor would make the keys or values of a layer that reads another's: old checkpoints have such.
    pub fn is_of_lent_keys(&self, graph_name: &str) -> bool {
        let place = self.architecture.place(graph_name);
        let place = place.filter(|place| matches!(place.part, Part::K | Part::V | Part::KNorm));
        place.is_some_and(|place| self.layers.get(place.layer).is_some_and(|layer| layer.keys_of.is_some()))
    }

    /// Whether a tensor is of a layer from this number on.
    fn is_beyond(&self, graph_name: &str, first: usize) -> bool {
        self.architecture.layer_of(graph_name).is_some_and(|layer| layer >= first)
    }

    fn refuse_unused(&self, files: &Safetensors, notes: &mut Vec<String>) -> Result<()> {
        let asked = cost(self).tensors;
        let mut asked: std::collections::HashSet<&str> =
            asked.iter().filter_map(|tensor| files.stored_name(&tensor.name)).collect();
        let head = format!("{}.weight", self.architecture.stem(Part::Head, 0, 0).expect("every decoder has a head"));
        asked.extend(files.stored_name(&head).filter(|_| self.tied));
        let unused = |name: &&str| !asked.contains(name) && !DERIVED.iter().any(|derived| name.ends_with(derived));
        let mut strangers = Vec::new();
        let mut others: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for name in files.names().into_iter().filter(unused) {
            let graph_name = files.graph_name(name);
            if self.is_of_lent_keys(&graph_name) {
                continue;
            }
            let ahead = self.is_beyond(&graph_name, self.layers.len()).then_some("mtp");
            if let Some(part) = ahead.or_else(|| other_part(name)) {
                *others.entry(part).or_default() += 1;
                continue;
            }
            match self.architecture.place(&graph_name) {
                // biases of nothing but zeros are a habit of some packers
                Some(place) if place.last == "bias" && files.is_zero(name) => (),
                Some(_) => {
                    let what = format!("is none that config.json of {} asks for", self.architecture.name);
                    return Err(files.broken(name, what));
                }
                None if self.quantization.is_none() && self.architecture.layer_of(&graph_name).is_some() => {
                    strangers.push(name);
                }
                None => (),
            }
        }
        for (part, count) in others {
            notes.push(match part {
                "mtp" => format!("{count} tensors of layers that guess at several tokens ahead (mtp) are not used"),
                _ => format!("only the language model is read: {count} tensors of {part} are not used"),
            });
        }
        if let Some(first) = strangers.first() {
            let count = strangers.len();
            notes.push(match count {
                1 => format!("tensor {first} has no place in the graph and is not used"),
                _ => format!("{count} tensors such as {first} have no place in the graph and are not used"),
            });
        }
        Ok(())
    }

    /// Refuses tensors of a GGUF file that nothing would use, as llama.cpp does.
    pub(crate) fn agree_with_gguf(&self, gguf: &Gguf) -> Result<()> {
        let mut known: std::collections::HashSet<String> = ROPE_TENSORS.map(str::to_owned).into();
        for tensor in cost(self).tensors {
            let whole = Placed::of(self, &tensor.name).map(|placed| placed.tensor);
            let older = || Placed::elsewhere(self, &tensor.name, tensor.elements() as usize).map(|(older, ..)| older);
            known.extend(whole.filter(|name| gguf.tensor(name).is_some()).or_else(older));
        }
        let layers = self.layers.len();
        let ahead =
            gguf.optional_integer(&format!("{}.nextn_predict_layers", self.architecture.gguf))?.unwrap_or(0) > 0;
        let read_past = |name: &str| {
            let layer = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            ahead && layer.is_some_and(|layer| layer >= self.layers.len())
        };
        let lent = |name: &str| self.architecture.to_huggingface(name).is_some_and(|name| self.is_of_lent_keys(&name));
        let stranger = |name: &str| !known.contains(name) && !read_past(name) && !lent(name);
        let Some(stranger) = gguf.tensors().iter().find(|tensor| stranger(&tensor.name)) else { return Ok(()) };
        let name = &stranger.name;
        let layer = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        Err(Error::broken(
            gguf.file(),
            match layer {
                Some(layer) if layer >= layers => format!(
                    "tensor {name} is of a layer that its keys have not ({}.block_count {layers})",
                    self.architecture.gguf
                ),
                _ => format!("tensor {name} is none that the {} architecture has by its keys", self.architecture.gguf),
            },
        ))
    }
}
