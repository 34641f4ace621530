//! What config.json says of a quantized checkpoint: `quantization_config`, or the quantize_config.json of older ones.
//! It says how matrices are packed, not which: that is told by the tensors that are there.

use serde_json::Value;

use super::awq::Awq;
use super::bnb::BitsAndBytes;
use super::compressed::CompressedTensors;
use super::fp8::Fp8;
use super::gptq::Gptq;
use super::mxfp4::Mxfp4;
use crate::error::{Error, Result};
use crate::json_object::JsonObject;
use crate::pattern::Pattern;
use bantam_format::json;

/// The methods that are read, as a sentence lists them.
pub const SUPPORTED: &str = "gptq (v1, v2, marlin), awq (gemm, gemv), compressed-tensors (pack-quantized, int-quantized, float-quantized, \
     nvfp4-pack-quantized, mxfp4-pack-quantized), bitsandbytes (nf4, fp4, int8), fp8 (e4m3), mxfp4, modelopt (FP8, NVFP4)";

/// How the matrices of a checkpoint are quantized.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantization {
    /// As AutoGPTQ and GPTQModel write it.
    Gptq(Gptq),
    /// As AutoAWQ writes it.
    Awq(Awq),
    /// NF4, FP4 or int8 of bitsandbytes.
    BitsAndBytes(BitsAndBytes),
    /// As llm-compressor writes it.
    CompressedTensors(CompressedTensors),
    /// FP8 as vLLM and DeepSeek write it, or ModelOpt's FP8 and NVFP4.
    Fp8(Fp8),
    /// The experts of gpt-oss.
    Mxfp4(Mxfp4),
}

impl Quantization {
    /// The names that older checkpoints give the file that holds the table by itself.
    pub const SEPARATE_FILES: [&'static str; 2] = ["quantize_config.json", "quant_config.json"];

    /// Reads the value of `quantization_config` in config.json; `file` names that file in errors.
    ///
    /// # Errors
    /// A sentence that names what is broken, or the method or option that is not read.
    pub fn from_json(value: &Value, file: &str) -> Result<Self> {
        let table = JsonObject::new(value, file, "quantization_config")?;
        match table.text("quant_method")?.map(str::to_ascii_lowercase).as_deref() {
            Some("gptq") => Ok(Self::Gptq(Gptq::new(&table)?)),
            Some("awq") => Ok(Self::Awq(Awq::new(&table)?)),
            Some("compressed-tensors" | "compressed_tensors") => {
                Ok(Self::CompressedTensors(CompressedTensors::new(&table)?))
            }
            Some("fp8") => Ok(Self::Fp8(Fp8::new(&table)?)),
            Some("modelopt" | "modelopt_fp4") => Ok(Self::Fp8(Fp8::by_modelopt(&table)?)),
            Some("mxfp4") => Ok(Self::Mxfp4(Mxfp4)),
            Some("bitsandbytes") => Ok(Self::BitsAndBytes(BitsAndBytes::new(&table)?)),
            Some("bitsandbytes_4bit" | "bitsandbytes_8bit") => Ok(Self::BitsAndBytes(BitsAndBytes::new(&table)?)),
            // written before quant_method was
            None if table.get("load_in_4bit").or(table.get("load_in_8bit")).is_some() => {
                Ok(Self::BitsAndBytes(BitsAndBytes::new(&table)?))
            }
            None => Err(table.broken("quant_method is missing".into())),
            Some(other) => Err(table.unsupported(format!("quant_method {other:?}"), SUPPORTED)),
        }
    }

    /// Reads a file of its own beside config.json, as AutoGPTQ and AutoAWQ wrote it; such a file need not name its
    /// method.
    ///
    /// # Errors
    /// As `from_json`.
    pub fn from_separate(bytes: &[u8], file: &str) -> Result<Self> {
        let value: Value =
            json::read(bytes).map_err(|e| Error::broken(file, format!("not a quantization config: {e}")))?;
        let table = JsonObject::new(&value, file, "")?;
        if table.get("quant_method").is_some() {
            return Self::from_json(&value, file);
        }
        match table.get("w_bit").or(table.get("zero_point")) {
            Some(_) => Ok(Self::Awq(Awq::new(&table)?)),
            None => Ok(Self::Gptq(Gptq::new(&table)?)),
        }
    }
}

/// "GPTQ, 4 bits, groups of 128, symmetric".
impl std::fmt::Display for Quantization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gptq(gptq) => gptq.fmt(f),
            Self::Awq(awq) => awq.fmt(f),
            Self::BitsAndBytes(bnb) => bnb.fmt(f),
            Self::CompressedTensors(compressed) => compressed.fmt(f),
            Self::Fp8(fp8) => fp8.fmt(f),
            Self::Mxfp4(mxfp4) => mxfp4.fmt(f),
        }
    }
}

/// The words for a group size.
pub(super) fn groups(size: Option<usize>) -> String {
    size.map_or("one group a row".into(), |size| format!("groups of {size}"))
}

/// The modules a config names as left alone (`modules_to_not_convert`, `llm_int8_skip_modules`).
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Skips {
    suffixes: Vec<String>,
    starts: Vec<Pattern>,
}

impl Skips {
    /// An entry means what it means to transformers (`should_convert_module`): the end of a module's name, or a regular
    /// expression for its beginning up to a dot.
    pub(super) fn new(table: &JsonObject, key: &str) -> Result<Self> {
        let suffixes: Vec<String> = table.texts(key)?.into_iter().map(str::to_owned).collect();
        let start = |name: &String| Pattern::start(&format!(r"(?:{name})(?:(?<=\.)|(?=\.|$))"), table.file(), key);
        Ok(Self { starts: suffixes.iter().map(start).collect::<Result<_>>()?, suffixes })
    }

    pub(super) fn names(&self, module: &str) -> bool {
        self.suffixes.iter().any(|name| module.ends_with(name.as_str()))
            || self.starts.iter().any(|s| s.matches(module))
    }
}
