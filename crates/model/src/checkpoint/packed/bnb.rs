//! bitsandbytes. Four bits (NF4, FP4): NAME.weight holds two codes a byte, the first in the high half; a weight is the
//! code book's number times the largest magnitude (`absmax`) of its block of the flattened matrix; with double
//! quantization `absmax` is itself 8-bit codes with scales of its own. Eight bits (LLM.int8): NAME.weight is signed
//! bytes and NAME.SCB the largest magnitude of each row.

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::Dtype;
use serde::Deserialize;

use super::dense;
use super::module::{Module, ModuleTensor};
use super::quantization::Skips;
use super::summary::Widened;
use crate::error::Result;
use crate::json_object::JsonObject;
use crate::linear::Linear;
use crate::weights::Precision;

/// Where a matrix of four bits says what it is.
const STATE: &str = "weight.quant_state.bitsandbytes__";
/// 1 / 127 as bitsandbytes writes it (`int8_vectorwise_dequant`).
const PER_127: f32 = 0.007_874_016;

/// A bitsandbytes checkpoint's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct BitsAndBytes {
    /// As config.json says; what a matrix is, its own tensors say.
    pub kind: BnbFormat,
    pub nested: bool,
    pub(super) skips: Skips,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BnbFormat {
    Nf4,
    Fp4,
    Int8,
}

/// The JSON in `weight.quant_state.bitsandbytes__nf4`.
#[derive(Deserialize)]
struct QuantState {
    quant_type: String,
    blocksize: usize,
    dtype: String,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f32>,
}

/// A matrix of codes and scales, not yet read.
pub(super) struct Coded<'a> {
    out: usize,
    inp: usize,
    scheme: Scheme,
    /// The tensors it is read from, the codes first.
    pub tensors: Vec<ModuleTensor<'a>>,
}

enum Scheme {
    /// Codes into a book, times the magnitude of each `block` of weights, rounded to `dtype`.
    Four { book: Vec<f32>, absmax: Vec<f32>, block: usize, dtype: DType },
    /// Signed bytes times the magnitude of each row.
    Eight { rows: Vec<f32> },
}

impl BitsAndBytes {
    pub(super) fn new(table: &JsonObject) -> Result<Self> {
        let four = table.flag("load_in_4bit")?.unwrap_or(false) || table.flag("_load_in_4bit")?.unwrap_or(false);
        let eight = table.flag("load_in_8bit")?.unwrap_or(false) || table.flag("_load_in_8bit")?.unwrap_or(false);
        let kind = match (four, eight, table.text("bnb_4bit_quant_type")?) {
            (true, false, Some("nf4")) => BnbFormat::Nf4,
            (true, false, Some("fp4") | None) => BnbFormat::Fp4,
            (true, false, Some(other)) => {
                return Err(table.unsupported(format!("bnb_4bit_quant_type {other:?}"), "nf4, fp4"));
            }
            (false, true, _) => BnbFormat::Int8,
            _ => return Err(table.broken("one of load_in_4bit and load_in_8bit must be true".into())),
        };
        Ok(Self {
            kind,
            nested: table.flag("bnb_4bit_use_double_quant")?.unwrap_or(false),
            skips: Skips::new(table, "llm_int8_skip_modules")?,
        })
    }

    pub(super) fn is_packed(&self, module: Module) -> bool {
        !module.tensor_names(STATE).is_empty() || module.has("SCB")
    }

    /// The matrix of a module, (out, inp).
    pub(super) fn coded<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Coded<'a>> {
        match module.tensor_names(STATE)[..] {
            [] => eight(module, out, inp),
            [state] => four(module, state, out, inp),
            _ => Err(module.broken("has two quantization states")),
        }
    }
}

fn eight(module: Module, out: usize, inp: usize) -> Result<Coded> {
    let codes = module.tensor("weight")?.shaped(&[out, inp])?;
    codes.i8s()?;
    if let Some(format) = module.optional("weight_format")
        && format.bytes().iter().any(|&byte| byte != 0)
    {
        return Err(format.broken("is not 0: only the row-major format of int8 weights is supported"));
    }
    let rows = module.tensor("SCB")?;
    let rows = if rows.shape().len() == 2 { rows.shaped(&[1, out])? } else { rows.shaped(&[out])? };
    Ok(Coded { out, inp, scheme: Scheme::Eight { rows: rows.floats()? }, tensors: vec![codes, rows] })
}

fn four<'a>(module: Module<'a>, state: &str, out: usize, inp: usize) -> Result<Coded<'a>> {
    let part = module.tensor(state)?;
    let state: QuantState =
        serde_json::from_slice(part.bytes()).map_err(|e| part.broken(format!("is no quantization state: {e}")))?;
    if !matches!(state.quant_type.as_str(), "nf4" | "fp4") {
        return Err(part.broken(format!("has quant_type {:?}, allowed are nf4 and fp4", state.quant_type)));
    }
    if state.shape != [out, inp] {
        return Err(part.broken(format!("has shape {:?}, expected is {:?}", state.shape, [out, inp])));
    }
    if !(32..=4096).contains(&state.blocksize) || !state.blocksize.is_power_of_two() {
        return Err(
            part.broken(format!("has blocksize {}, allowed are powers of two from 32 to 4096", state.blocksize))
        );
    }
    let dtype = match state.dtype.as_str() {
        "float32" => DType::F32,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        other => return Err(part.broken(format!("has dtype {other:?}, allowed are float32, float16 and bfloat16"))),
    };
    let codes = module.tensor("weight")?;
    // bnb_4bit_quant_storage only renames the type of these bytes
    let (bytes, expected) = (codes.bytes().len(), (out * inp).div_ceil(2));
    if bytes != expected {
        return Err(codes.broken(format!("has {bytes} bytes, {out} by {inp} codes take {expected}")));
    }
    let book = module.tensor("weight.quant_map")?.shaped(&[16])?.floats()?;
    let blocks = (out * inp).div_ceil(state.blocksize);
    let absmax = module.tensor("weight.absmax")?.shaped(&[blocks])?;
    let magnitudes = match absmax.dtype() {
        Dtype::U8 => nested(module, &part, &state, &absmax)?,
        _ => absmax.floats()?,
    };
    let scheme = Scheme::Four { book, absmax: magnitudes, block: state.blocksize, dtype };
    Ok(Coded { out, inp, scheme, tensors: vec![codes, absmax] })
}

/// The magnitudes that double quantization stores in 8 bits.
fn nested(module: Module, part: &ModuleTensor, state: &QuantState, absmax: &ModuleTensor) -> Result<Vec<f32>> {
    let (Some(block), Some(offset)) = (state.nested_blocksize.filter(|&block| block > 0), state.nested_offset) else {
        return Err(part.broken("lacks nested_blocksize or nested_offset, and absmax is quantized"));
    };
    let scales = module.tensor("weight.nested_absmax")?.shaped(&[absmax.bytes().len().div_ceil(block)])?.floats()?;
    let book = module.tensor("weight.nested_quant_map")?.shaped(&[256])?.floats()?;
    let number = |(i, &code): (usize, &u8)| book[usize::from(code)] * scales[i / block] + offset;
    Ok(absmax.bytes().iter().enumerate().map(number).collect())
}

impl Coded<'_> {
    /// The matrix in memory, and why it is wider than it was: no type of GGUF has these code books, nor f32 scales.
    pub(super) fn hold(&self, device: &Device, precision: Precision) -> Result<(Linear, Option<Widened>)> {
        let (why, dtype) = match (precision, &self.scheme) {
            (Precision::F32, _) => (Widened::Asked, DType::F32),
            (_, Scheme::Four { dtype, .. }) => (Widened::CodeBook, *dtype),
            (_, Scheme::Eight { .. }) => (Widened::Scales, DType::F32),
        };
        Ok((Linear::dense(self.f32s(device)?.to_dtype(dtype)?), Some(why)))
    }

    /// W, (out, inp), rounded as bitsandbytes rounds: to the type that the matrix had before.
    pub(super) fn f32s(&self, device: &Device) -> Result<Tensor> {
        let (inp, bytes) = (self.inp, self.tensors[0].bytes());
        dense::rows(self.out, inp, device, |first, tile| match &self.scheme {
            Scheme::Eight { rows } => {
                for (i, (weight, &code)) in tile.iter_mut().zip(&bytes[first * inp..]).enumerate() {
                    *weight = f32::from(code as i8) * rows[first + i / inp] * PER_127;
                }
            }
            Scheme::Four { book, absmax, block, dtype } => {
                for (i, weight) in tile.iter_mut().enumerate() {
                    let at = first * inp + i;
                    let code = if at.is_multiple_of(2) { bytes[at / 2] >> 4 } else { bytes[at / 2] & 15 };
                    *weight = dense::rounded(book[usize::from(code)] * absmax[at / block], *dtype);
                }
            }
        })
    }
}

impl std::fmt::Display for BitsAndBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            BnbFormat::Nf4 => "bitsandbytes NF4",
            BnbFormat::Fp4 => "bitsandbytes FP4",
            BnbFormat::Int8 => "bitsandbytes int8",
        })?;
        f.write_str(if self.nested && self.kind != BnbFormat::Int8 { ", nested scales" } else { "" })
    }
}
