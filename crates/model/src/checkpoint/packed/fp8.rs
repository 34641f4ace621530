//! FP8 and NVFP4 as vLLM, DeepSeek and ModelOpt write them: NAME.weight in E4M3 (out, in) with weight_scale, or
//! weight_scale_inv, which is multiplied, too: one number, one for each row, or one for each block; or in bytes of two E2M1
//! with an E4M3 for 16 weights in weight_scale and one number in weight_scale_2. What it says of activations is not done.

use safetensors::tensor::Dtype;

use super::floats::{Floats, Numbers};
use super::module::{Module, ModuleTensor};
use crate::error::Result;
use crate::json_object::JsonObject;

/// The settings of a checkpoint, whose tensors tell which matrices are packed, in FP8, or in NVFP4 by ModelOpt.
#[derive(Debug, Clone, PartialEq)]
pub struct Fp8 {
    /// Rows and columns that share a scale, where several do.
    pub block: Option<(usize, usize)>,
    /// Who wrote it.
    by_modelopt: bool,
}

const ALGORITHMS: &str = "FP8, NVFP4, MIXED_PRECISION";

impl Fp8 {
    /// The method that config.json calls fp8.
    pub(super) fn new(table: &JsonObject) -> Result<Self> {
        if let Some(other) = table.text("fmt")?.filter(|fmt| *fmt != "e4m3") {
            return Err(table.unsupported(format!("the FP8 format {other:?}"), "e4m3"));
        }
        let block = match table.get("weight_block_size") {
            None => None,
            Some(value) => Some(two_numbers(value).ok_or_else(|| {
                table.broken(format!(
                    "weight_block_size is {value}; allowed are two numbers above 0, such as [128, 128]"
                ))
            })?),
        };
        Ok(Self { block, by_modelopt: false })
    }

    /// What ModelOpt writes.
    pub(super) fn by_modelopt(table: &JsonObject) -> Result<Self> {
        if let Some(other) =
            table.text("quant_algo")?.filter(|name| !ALGORITHMS.split(", ").any(|known| known == *name))
        {
            return Err(table.unsupported(format!("quant_algo {other:?}"), ALGORITHMS));
        }
        Ok(Self { block: None, by_modelopt: true })
    }

    pub(super) fn is_packed(&self, module: Module) -> bool {
        let dtype = module.optional("weight").map(|weight| weight.dtype());
        matches!(dtype, Some(Dtype::F8_E4M3)) || (dtype == Some(Dtype::U8) && module.has("weight_scale_2"))
    }

    /// The matrix of a module, (out, inp).
    pub(super) fn floats<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Floats<'a>> {
        let weight = module.tensor("weight")?;
        if weight.dtype() == Dtype::U8 {
            let factor = one(&module.tensor("weight_scale_2")?)?;
            return nvfp4(weight, module.tensor("weight_scale")?, factor, out, inp);
        }
        let names = ["weight_scale_inv", "weight_scale"];
        let scale = names.iter().find_map(|name| module.optional(name));
        fp8(weight, scale.map_or_else(|| module.tensor("weight_scale"), Ok)?, self.block, out, inp)
    }
}

pub(super) fn two_numbers(value: &serde_json::Value) -> Option<(usize, usize)> {
    let above_zero =
        |value: &serde_json::Value| value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    match value.as_array().map(Vec::as_slice) {
        Some([rows, columns]) => Some((above_zero(rows)?, above_zero(columns)?)),
        _ => None,
    }
}

/// A matrix of E4M3 with its scales, whose shape says for what each is: `block` rows and columns where it is a grid.
pub(super) fn fp8<'a>(
    weight: ModuleTensor<'a>,
    scale: ModuleTensor<'a>,
    block: Option<(usize, usize)>,
    out: usize,
    inp: usize,
) -> Result<Floats<'a>> {
    let weight = weight.shaped(&[out, inp])?;
    let values = match weight.dtype() {
        Dtype::F8_E4M3 => weight.bytes(),
        other => return Err(weight.broken(format!("has type {other:?}, expected is F8_E4M3"))),
    };
    let scales = scale.floats()?;
    let block = match (scale.shape(), block) {
        _ if scales.len() == 1 => (out, inp),
        (&[rows] | &[rows, 1], _) if rows == out => (1, inp),
        (&[rows, columns], Some(block)) if (rows, columns) == (out.div_ceil(block.0), inp.div_ceil(block.1)) => block,
        (shape, _) => {
            return Err(scale.broken(format!("has shape {shape:?}, which is no scale of a matrix {out} by {inp}")));
        }
    };
    let numbers = Numbers::Fp8 { values, scales, block: (block.0.max(1), block.1.max(1)) };
    Ok(Floats { out, inp, numbers, factor: 1.0, rows: (0, 1), tensors: vec![weight, scale] })
}

/// A matrix of two E2M1 a byte with an E4M3 for 16 weights, and a number for all.
pub(super) fn nvfp4<'a>(
    weight: ModuleTensor<'a>,
    scale: ModuleTensor<'a>,
    factor: f32,
    out: usize,
    inp: usize,
) -> Result<Floats<'a>> {
    if !inp.is_multiple_of(16) {
        return Err(weight.broken(format!("of {inp} columns is no whole groups of 16")));
    }
    let weight = weight.shaped(&[out, inp / 2])?;
    let scale = scale.shaped(&[out, inp / 16])?;
    if scale.dtype() != Dtype::F8_E4M3 {
        return Err(scale.broken(format!("has type {:?}, expected is F8_E4M3", scale.dtype())));
    }
    let numbers = Numbers::Nvfp4 { values: super::mxfp4::bytes_of(&weight)?, scales: scale.bytes() };
    Ok(Floats { out, inp, numbers, factor, rows: (0, 1), tensors: vec![weight, scale] })
}

/// A matrix of two E2M1 a byte with an E8M0 for 32 weights.
pub(super) fn mxfp4<'a>(
    weight: ModuleTensor<'a>,
    scale: ModuleTensor<'a>,
    out: usize,
    inp: usize,
) -> Result<Floats<'a>> {
    if !inp.is_multiple_of(32) {
        return Err(weight.broken(format!("of {inp} columns is no whole groups of 32")));
    }
    let weight = weight.shaped(&[out, inp / 2])?;
    let scale = scale.shaped(&[out, inp / 32])?;
    let (values, scales) = (super::mxfp4::bytes_of(&weight)?, super::mxfp4::bytes_of(&scale)?);
    let numbers = Numbers::Mxfp4 { values, scales };
    Ok(Floats { out, inp, numbers, factor: 1.0, rows: (0, 1), tensors: vec![weight, scale] })
}

/// The one number of a tensor.
pub(super) fn one(part: &ModuleTensor) -> Result<f32> {
    match part.floats()?[..] {
        [number] => Ok(number),
        ref numbers => Err(part.broken(format!("has {} numbers, expected is one", numbers.len()))),
    }
}

impl std::fmt::Display for Fp8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.by_modelopt { "ModelOpt, FP8 or NVFP4" } else { "FP8" })?;
        match self.block {
            None => Ok(()),
            Some((rows, columns)) => write!(f, ", blocks of {rows} by {columns}"),
        }
    }
}
