//! Quantized safetensors checkpoints (GPTQ, AWQ, compressed-tensors, bitsandbytes, FP8, MXFP4, NVFP4) as a source of weights. Every matrix
//! is what its method's own arithmetic makes of it, held in a GGUF block type where one has it exactly. Nothing is
//! quantized here, and activations are never rounded as some methods' own runtimes do.
//!
//! `quantization` reads what config.json says, one file per method knows its tensors (`gptq`, `awq`, `compressed`,
//! `bnb`, `fp8`, `mxfp4`), `grid`, `floats` and `dense` make matrices of them, and `summary` counts what they became.

mod awq;
mod bits;
mod bnb;
mod compressed;
mod dense;
mod floats;
mod fp8;
mod gptq;
mod grid;
mod marlin;
mod module;
mod mxfp4;
mod quantization;
mod summary;

use std::sync::Mutex;

use candle_core::{Device, Tensor};

use super::safetensors::Safetensors;
use crate::error::Result;
use crate::linear::Linear;
use crate::weights::{Precision, Weights};
use bnb::Coded;
use floats::Floats;
use grid::Grid;
use module::{Module, ModuleTensor};

pub use quantization::{Quantization, SUPPORTED};
pub use summary::{Summary, Widened};

/// The ends of the names of tensors that hold a matrix, packed or not.
const LAST: [&str; 4] = [".weight", ".qweight", ".weight_packed", ".B"];

/// The tensors of a quantized checkpoint.
#[derive(Debug)]
pub struct Packed {
    inner: Safetensors,
    quantization: Quantization,
    device: Device,
    precision: Precision,
    summary: Mutex<Summary>,
}

/// A packed matrix, not yet read.
enum Matrix<'a> {
    Grid(Grid<'a>),
    Coded(Coded<'a>),
    Floats(Floats<'a>),
}

impl Packed {
    /// Unpacks the matrices of `inner` that are packed as the config says.
    pub fn new(inner: Safetensors, quantization: Quantization, device: &Device, precision: Precision) -> Self {
        Self { inner, quantization, device: device.clone(), precision, summary: Mutex::default() }
    }

    /// How its matrices are packed.
    pub fn quantization(&self) -> &Quantization {
        &self.quantization
    }

    /// What the matrices asked for so far are held as.
    pub fn summary(&self) -> Summary {
        self.summary.lock().expect("no holder of the lock panics").clone()
    }

    /// The names of the modules whose matrices are packed, sorted, from the headers alone.
    pub fn modules(&self) -> Vec<String> {
        let module = |name: &'_ str| LAST.iter().find_map(|last| name.strip_suffix(last)).map(str::to_owned);
        let mut modules: Vec<String> = self.inner.names().into_iter().filter_map(module).collect();
        modules.dedup();
        modules.retain(|name| self.quantization.packs(Module { checkpoint: &self.inner, name }));
        modules
    }

    /// Checks that a tensor of the graph is here: packed, or plain and in its shape. Reads headers only.
    ///
    /// # Errors
    /// A sentence where it is not.
    pub fn fits(&self, name: &str, shape: &[usize]) -> Result<()> {
        let is_expert = || matches!(&self.quantization, Quantization::Mxfp4(all) if all.packs(&self.inner, name));
        match self.module(name) {
            Some(_) => Ok(()),
            None if is_expert() => Ok(()),
            None => self.inner.fits(name, shape),
        }
    }

    /// The module of a `NAME.weight`, where its matrix is packed.
    fn module(&self, weight: &str) -> Option<Module<'_>> {
        let module = weight.strip_suffix(".weight")?;
        let name = |last: &&str| self.inner.stored_name(&format!("{module}{last}"))?.strip_suffix(*last);
        let module = Module { checkpoint: &self.inner, name: LAST.iter().find_map(name)? };
        self.quantization.packs(module).then_some(module)
    }

    /// Refuses a matrix whose scales are no finite numbers.
    fn sound(&self, name: &str, linear: &Linear) -> Result<()> {
        match linear.is_finite()? {
            true => Ok(()),
            false => Err(self.inner.broken(name, "is damaged: some of its scales are not finite numbers")),
        }
    }

    /// The packed matrix of a `NAME.weight`, where it is packed.
    fn matrix(&self, weight: &str, out: usize, inp: usize) -> Result<Option<Matrix<'_>>> {
        if let Quantization::Mxfp4(mxfp4) = &self.quantization {
            return Ok(mxfp4.floats(&self.inner, weight, out, inp)?.map(Matrix::Floats));
        }
        self.module(weight).map(|module| self.quantization.matrix(module, out, inp)).transpose()
    }
}

impl Quantization {
    /// Whether a module's matrix is packed. A module that the config leaves alone and that has plain weights is not.
    fn packs(&self, module: Module) -> bool {
        let (packed, left_alone) = match self {
            Self::Gptq(gptq) => (gptq.is_packed(module), gptq.skips.names(module.name)),
            Self::Awq(awq) => (awq.is_packed(module), awq.skips.names(module.name)),
            Self::BitsAndBytes(bnb) => (bnb.is_packed(module), bnb.skips.names(module.name)),
            Self::CompressedTensors(compressed) => (compressed.is_packed(module), compressed.ignores(module.name)),
            Self::Fp8(fp8) => (fp8.is_packed(module), false),
            // experts are packed together, see `Packed::matrix`
            Self::Mxfp4(_) => return false,
        };
        let has_plain = || module.optional("weight").is_some_and(|weight| weight.is_plain());
        packed && !(left_alone && has_plain())
    }

    fn matrix<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Matrix<'a>> {
        Ok(match self {
            Self::Gptq(gptq) => Matrix::Grid(gptq.grid(module, out, inp)?),
            Self::Awq(awq) => Matrix::Grid(awq.grid(module, out, inp)?),
            Self::CompressedTensors(compressed) => match compressed.floats(module, out, inp)? {
                Some(floats) => Matrix::Floats(floats),
                None => Matrix::Grid(compressed.grid(module, out, inp)?),
            },
            Self::BitsAndBytes(bnb) => Matrix::Coded(bnb.coded(module, out, inp)?),
            Self::Fp8(fp8) => Matrix::Floats(fp8.floats(module, out, inp)?),
            Self::Mxfp4(_) => return Err(module.broken("is packed by itself, and MXFP4 packs experts together")),
        })
    }
}

impl Matrix<'_> {
    fn hold(&self, device: &Device, precision: Precision) -> Result<(Linear, Option<Widened>)> {
        match self {
            Self::Grid(grid) => grid.hold(device, precision),
            Self::Coded(coded) => coded.hold(device, precision),
            Self::Floats(floats) => floats.hold(device, precision),
        }
    }

    fn f32s(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Grid(grid) => grid.f32s(device),
            Self::Coded(coded) => coded.f32s(device),
            Self::Floats(floats) => floats.f32s(device),
        }
    }

    /// Refuses small floats some of which are no numbers.
    fn check(&self) -> Result<()> {
        match self {
            Self::Floats(floats) if floats.is_damaged() => {
                Err(floats.tensors[0].broken("is damaged: some of its values or scales are no numbers"))
            }
            _ => Ok(()),
        }
    }

    /// The tensors it is read from.
    fn tensors(&self) -> &[ModuleTensor<'_>] {
        match self {
            Self::Grid(grid) => &grid.tensors,
            Self::Coded(coded) => &coded.tensors,
            Self::Floats(floats) => &floats.tensors,
        }
    }
}

impl Weights for Packed {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let matrix = match shape {
            &[out, inp] => self.matrix(name, out, inp)?,
            _ => None,
        };
        let Some(matrix) = matrix else { return self.inner.tensor(name, shape) };
        matrix.check()?;
        let weights = matrix.f32s(&self.device)?;
        self.sound(name, &Linear::dense(weights.clone()))?;
        matrix.tensors().iter().for_each(ModuleTensor::release);
        Ok(weights)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let Some(matrix) = self.matrix(name, out, inp)? else { return self.inner.linear(name, out, inp) };
        matrix.check()?;
        let (linear, widened) = matrix.hold(&self.device, self.precision)?;
        self.sound(name, &linear)?;
        let stored = matrix.tensors().iter().map(|part| part.bytes().len() as u64).sum();
        matrix.tensors().iter().for_each(ModuleTensor::release);
        self.summary.lock().expect("no holder of the lock panics").add(&linear, widened, stored);
        Ok(linear)
    }
}
