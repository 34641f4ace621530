//! MXFP4 as gpt-oss has it: the experts of a layer in one, NAME_blocks (experts, rows, columns / 32, 16) of two values a byte
//! and NAME_scales (experts, rows, columns / 32) of exponents. NAME is experts.down_proj, or experts.gate_up_proj, whose
//! rows are gate and up in turn. (transformers, integrations/mxfp4.py.)

use super::floats::{Floats, Numbers};
use super::module::{Module, ModuleTensor};
use crate::checkpoint::safetensors::Safetensors;
use crate::error::Result;
use safetensors::tensor::Dtype;

/// A checkpoint in MXFP4, whose tensors tell which matrices are packed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mxfp4;

/// Where a matrix of an expert's is.
#[derive(Debug, PartialEq)]
struct Place {
    /// What its tensors are called, up to `_blocks` and `_scales`.
    stem: String,
    expert: usize,
    /// Which of so many rows it has.
    nth: usize,
    of: usize,
}

impl Mxfp4 {
    /// The matrix of a `NAME.weight` of the graph's, (out, inp), where it is packed.
    pub(super) fn floats<'a>(
        &self,
        checkpoint: &'a Safetensors,
        weight: &str,
        out: usize,
        inp: usize,
    ) -> Result<Option<Floats<'a>>> {
        let Some(place) = Place::of(weight) else { return Ok(None) };
        let Some(stored) = checkpoint.stored_name(&place.blocks()) else { return Ok(None) };
        let stem = stored.strip_suffix("_blocks").unwrap_or(stored);
        let (name, end) = stem.rsplit_once('.').unwrap_or(("", stem));
        let module = Module { checkpoint, name };
        let blocks = module.tensor(&format!("{end}_blocks"))?;
        let scales = module.tensor(&format!("{end}_scales"))?;
        let experts = blocks.shape().first().copied().unwrap_or(0);
        let (rows, across) = (out * place.of, inp / 32);
        if place.expert >= experts || !inp.is_multiple_of(32) {
            return Err(blocks.broken(format!(
                "of shape {:?} has no matrix {out} by {inp} of expert {}",
                blocks.shape(),
                place.expert
            )));
        }
        let blocks = blocks.shaped(&[experts, rows, across, 16])?;
        let scales = scales.shaped(&[experts, rows, across])?;
        let numbers = Numbers::Mxfp4 { values: bytes_of(&blocks)?, scales: bytes_of(&scales)? };
        let rows = (place.expert * rows + place.nth, place.of);
        Ok(Some(Floats { out, inp, numbers, factor: 1.0, rows, tensors: vec![blocks, scales] }))
    }

    /// Whether a `NAME.weight` of the graph's is packed.
    pub(super) fn packs(&self, checkpoint: &Safetensors, weight: &str) -> bool {
        Place::of(weight).is_some_and(|place| checkpoint.stored_name(&place.blocks()).is_some())
    }
}

/// Bytes that are no numbers.
pub(super) fn bytes_of<'a>(part: &ModuleTensor<'a>) -> Result<&'a [u8]> {
    match part.dtype() {
        Dtype::U8 | Dtype::F8_E8M0 => Ok(part.bytes()),
        other => Err(part.broken(format!("has type {other:?}, expected is U8"))),
    }
}

impl Place {
    /// Of `model.layers.3.mlp.experts.7.up_proj.weight`, say.
    fn of(weight: &str) -> Option<Place> {
        let (before, rest) = weight.strip_suffix(".weight")?.split_once(".experts.")?;
        let (expert, part) = rest.split_once('.')?;
        let (stored, nth, of) = match part {
            "gate_proj" => ("gate_up_proj", 0, 2),
            "up_proj" => ("gate_up_proj", 1, 2),
            "down_proj" => ("down_proj", 0, 1),
            _ => return None,
        };
        Some(Place { stem: format!("{before}.experts.{stored}"), expert: expert.parse().ok()?, nth, of })
    }

    fn blocks(&self) -> String {
        format!("{}_blocks", self.stem)
    }
}

impl std::fmt::Display for Mxfp4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MXFP4, groups of 32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_and_their_partners_have_every_other_row() {
        let of = |name: &str| Place::of(name);
        let place = |stored: &str, nth, of| {
            Some(Place { stem: format!("model.layers.3.mlp.experts.{stored}"), expert: 7, nth, of })
        };
        assert_eq!(of("model.layers.3.mlp.experts.7.gate_proj.weight"), place("gate_up_proj", 0, 2));
        assert_eq!(of("model.layers.3.mlp.experts.7.up_proj.weight"), place("gate_up_proj", 1, 2));
        assert_eq!(of("model.layers.3.mlp.experts.7.down_proj.weight"), place("down_proj", 0, 1));
        assert_eq!(of("model.layers.3.self_attn.q_proj.weight"), None);
    }
}
