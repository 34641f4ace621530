//! The state of a training run in one safetensors file: `weight.*`, `mean.*` and `square.*` tensors, `best.*` where
//! there is a best, and the counters in the header. It is written to a temporary name and renamed, so it is there in full or not at all.

use super::adamw::Slot;
use anyhow::{Context, Result, bail, ensure};
use bantam_core::disk;
use candle_core::{CpuStorage, Device, Storage, Tensor, Var};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Position {
    pub(crate) steps: u64,
    /// Tokens seen.
    pub(crate) tokens: u64,
    /// The next document to be read.
    pub(crate) document: u64,
    /// Seconds spent so far, over all sittings.
    pub(crate) seconds: f64,
    /// The running mean of the loss that progress shows; none before the first step.
    pub(crate) loss: Option<f64>,
    /// The loss of the first step.
    pub(crate) loss_first: Option<f64>,
    /// The loss of what is held out before it.
    pub(crate) held_out_first: Option<f64>,
    /// The loss of what is held out, the last one and the best.
    pub(crate) held_out: Option<(f64, f64)>,
    /// How many of these in a row were no better.
    pub(crate) worse_in_a_row: u64,
}

/// Writes the state of a run made after `plan` (any text that tells one plan from another).
pub(crate) fn write(
    path: &Path,
    (plan, shards): (&str, usize),
    position: &Position,
    slots: &[Slot],
    best: &[Vec<f32>],
) -> Result<()> {
    let bits = |loss: Option<f64>| loss.map(|loss| loss.to_bits().to_string()).unwrap_or_default();
    let header = HashMap::from([
        ("plan".to_owned(), plan.to_owned()),
        ("shards".to_owned(), shards.to_string()),
        ("steps".to_owned(), position.steps.to_string()),
        ("tokens".to_owned(), position.tokens.to_string()),
        ("document".to_owned(), position.document.to_string()),
        ("seconds".to_owned(), position.seconds.to_string()),
        ("loss_bits".to_owned(), bits(position.loss)),
        ("loss_first_bits".to_owned(), bits(position.loss_first)),
        ("held_out_first_bits".to_owned(), bits(position.held_out_first)),
        ("held_out_bits".to_owned(), bits(position.held_out.map(|(last, _)| last))),
        ("best_bits".to_owned(), bits(position.held_out.map(|(_, best)| best))),
        ("worse_in_a_row".to_owned(), position.worse_in_a_row.to_string()),
    ]);
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::with_capacity(3 * slots.len());
    for slot in slots {
        let shape = slot.var.dims().to_vec();
        parts.push((format!("weight.{}", slot.name), shape.clone(), bytes(&floats(&slot.var)?)));
        parts.push((format!("mean.{}", slot.name), shape.clone(), bytes(&slot.mean)));
        parts.push((format!("square.{}", slot.name), shape, bytes(&slot.square)));
    }
    for (slot, best) in slots.iter().zip(best) {
        parts.push((format!("best.{}", slot.name), slot.var.dims().to_vec(), bytes(best)));
    }
    let views = parts
        .iter()
        .map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let data = safetensors::serialize(views, Some(header))?;
    disk::write(path, &data).with_context(|| format!("{}: the checkpoint could not be written", path.display()))
}

/// Into how many parts the steps of a run under way are cut, which its result depends on.
pub(crate) fn shards(path: &Path) -> Option<usize> {
    let data = fs::read(path).ok()?;
    let (_, header) = SafeTensors::read_metadata(&data).ok()?;
    header.metadata().as_ref()?.get("shards")?.parse().ok()
}

/// Fills the slots from a checkpoint, and says how far it was. None when there is no such file; fails when the file is
/// of another plan or other variables, or broken.
pub(crate) fn read(path: &Path, plan: &str, slots: &mut [Slot]) -> Result<Option<(Position, Vec<Vec<f32>>)>> {
    let data = match fs::read(path) {
        Ok(data) => data,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    };
    let position = fill(&data, plan, slots).with_context(|| format!("{}: not resumed", path.display()))?;
    Ok(Some(position))
}

fn fill(data: &[u8], plan: &str, slots: &mut [Slot]) -> Result<(Position, Vec<Vec<f32>>)> {
    let (_, header) = SafeTensors::read_metadata(data)?;
    let header = header.metadata().clone().unwrap_or_default();
    let text = |key: &str| header.get(key).map(String::as_str).with_context(|| format!("its header has no `{key}`"));
    let written = text("plan")?;
    if written != plan {
        bail!("it was made after another plan ({written}, not {plan}); move it away to begin anew");
    }
    let count = |key: &str| Ok::<u64, anyhow::Error>(text(key)?.parse()?);
    let number = |key: &str| -> Result<Option<f64>> {
        let bits = text(key)?;
        Ok(if bits.is_empty() { None } else { Some(f64::from_bits(bits.parse()?)) })
    };
    let position = Position {
        steps: count("steps")?,
        tokens: count("tokens")?,
        document: count("document")?,
        seconds: text("seconds")?.parse()?,
        loss: number("loss_bits")?,
        loss_first: number("loss_first_bits")?,
        held_out_first: number("held_out_first_bits")?,
        held_out: number("held_out_bits")?.zip(number("best_bits")?),
        worse_in_a_row: count("worse_in_a_row")?,
    };
    let tensors = SafeTensors::deserialize(data)?;
    let has_best = position.held_out.is_some();
    ensure!(
        tensors.len() == (3 + usize::from(has_best)) * slots.len(),
        "it holds {} tensors, the model has {} variables",
        tensors.len(),
        slots.len()
    );
    let mut best = Vec::new();
    for slot in slots {
        let part = |kind: &str| -> Result<Vec<f32>> {
            let view = tensors.tensor(&format!("{kind}.{}", slot.name))?;
            ensure!(view.shape() == slot.var.dims() && view.dtype() == Dtype::F32, "{} has another shape", slot.name);
            Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        };
        let (weight, mean, square) = (part("weight")?, part("mean")?, part("square")?);
        slot.var.set(&Tensor::from_vec(weight, slot.var.dims(), &Device::Cpu)?)?;
        (slot.mean, slot.square) = (mean, square);
        best.extend(has_best.then(|| part("best")).transpose()?);
    }
    Ok((position, best))
}

/// The values of a variable.
pub(crate) fn floats(var: &Var) -> Result<Vec<f32>> {
    let (storage, _) = var.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(data)) => Ok(data.clone()),
        _ => bail!("a variable is not f32 on the CPU"),
    }
}

fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|f| f.to_le_bytes()).collect()
}
