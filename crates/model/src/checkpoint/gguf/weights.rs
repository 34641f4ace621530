//! The tensors of a GGUF file by their checkpoint names, in the checkpoint's row order: what a GGUF file interleaves,
//! stacks or adds is undone when it is read, so that the graph, adapters and comparisons see one layout.

use std::ops::Deref;
use std::sync::Arc;

use bantam_format::ggml::Type;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

use super::copy::TensorRows;
use super::{Holds, Placed, candle_type, computable, computes};
use crate::checkpoint::finite;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::matmul::Blocks;
use crate::names::{Part, learnt_key};
use crate::weights::{Precision, Weights};
use bantam_format::gguf::{Gguf, TensorInfo, Value};

/// A tensor of the checkpoint, located in the file.
struct LocatedTensor<'a> {
    /// Its name in the file.
    name: &'a str,
    ty: Type,
    rows: TensorRows<'a>,
    /// For each column of the file's tensor, the column of the checkpoint's that stands there.
    columns: Option<Vec<u32>>,
    holds: Holds,
    /// What each number is multiplied by.
    factor: f32,
}

/// A GGUF file as a source of weights.
#[derive(Debug)]
pub struct GgufWeights<'a> {
    gguf: &'a Gguf,
    config: &'a Config,
    device: &'a Device,
    precision: Precision,
    /// Whether matrices stay in the file's map where they can.
    mapped: bool,
}

impl<'a> GgufWeights<'a> {
    /// The weights of a file and its config, made on a device.
    pub fn new(gguf: &'a Gguf, config: &'a Config, device: &'a Device, precision: Precision) -> Self {
        Self { gguf, config, device, precision, mapped: false }
    }

    /// The same, where blocks that lie in order are not copied: for a model that is kept, and then reads its weights out
    /// of the file's pages, which other processes share.
    pub fn mapped(self) -> Self {
        Self { mapped: true, ..self }
    }

    /// A tensor's rows in checkpoint order, and what computes with them.
    fn locate(&self, name: &str, shape: &[usize]) -> Result<LocatedTensor<'a>> {
        let missing = || -> Error { Error::broken(self.gguf.file(), format!("tensor {name} is missing")) };
        let placed = Placed::of(self.config, name).ok_or_else(missing)?;
        let elements: usize = shape.iter().product();
        let (info, before, all) = match self.gguf.tensor(&placed.tensor) {
            Some(info) => (info, placed.index * elements, placed.stacked * elements),
            None => {
                let (tensor, before, all) = Placed::elsewhere(self.config, name, elements).ok_or_else(missing)?;
                (self.gguf.tensor(&tensor).ok_or_else(missing)?, before, all)
            }
        };
        // a row of one matrix may be the whole of another's vector
        let alike = info.shape.len() == 1 || shape.len() == 1 || info.shape.last() == shape.last();
        let rows = TensorRows::new(self.gguf, info, before, elements, placed.order);
        let rows = rows.filter(|_| alike && info.elements() == all).ok_or_else(|| {
            let what = format!("tensor {} has shape {:?}, its keys ask for {shape:?}", info.name, info.shape);
            Error::broken(
                self.gguf.file(),
                match placed.stacked {
                    1 => what,
                    stacked => format!("{what} {stacked} times"),
                },
            )
        })?;
        self.refuse_uncomputed(info)?;
        let columns = placed.columns.map(|all| all.into_iter().map(|column| column as u32).collect());
        let factor = self.factor(&info.name, placed.index)?;
        Ok(LocatedTensor { name: &info.name, ty: info.kind, rows, columns, holds: placed.holds, factor })
    }

    /// What the file has for a whole tensor beside it, or for each of several that are stacked: NVFP4's second scale, which
    /// llama.cpp reads beside tensors of any type (`load_tensors`). Its scale for inputs is not needed, since they are not
    /// rounded to four bits here.
    fn factor(&self, tensor: &str, index: usize) -> Result<f32> {
        let name = tensor.strip_suffix(".weight").map(|stem| format!("{stem}.scale"));
        let name = name.filter(|name| !self.is_in_the_graph(name));
        let Some(info) = name.and_then(|name| self.gguf.tensor(&name)) else { return Ok(1.0) };
        let broken = |what: &str| Error::broken(self.gguf.file(), format!("tensor {} {what}", info.name));
        if info.kind != Type::F32 {
            return Err(broken(&format!("is of type {}, and a scale is F32", info.kind)));
        }
        let numbers = self.gguf.data(info).as_chunks().0;
        let number = if numbers.len() == 1 { numbers.first() } else { numbers.get(index) };
        let factor = number.map(|bytes| f32::from_le_bytes(*bytes));
        factor
            .filter(|factor| factor.is_finite())
            .ok_or_else(|| broken("has no finite number for the weights beside it"))
    }

    /// Whether the graph asks for a tensor of this name itself, as Gemma 4's does for the scales of router and experts.
    fn is_in_the_graph(&self, name: &str) -> bool {
        let in_layer = |known: &str| {
            let (before, behind) = known.split_once("{l}")?;
            let layer = name.strip_prefix(before)?.strip_suffix(behind)?;
            Some(!layer.is_empty() && layer.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let mut names = self.config.architecture.names.iter().copied().flatten();
        names.any(|known| known.gguf == name || in_layer(known.gguf) == Some(true))
    }

    /// Plain numbers of the type they are stored in; `None` for blocks.
    fn plain(&self, located: &LocatedTensor, shape: &[usize]) -> Result<Option<Tensor>> {
        let LocatedTensor { name, ty, rows, .. } = located;
        Ok(Some(match ty {
            Type::F32 => Tensor::from_vec(self.numbers(name, rows.f32s())?, shape, self.device)?,
            Type::F16 => Tensor::from_vec(self.numbers(name, rows.f16s())?, shape, self.device)?,
            Type::BF16 => Tensor::from_vec(self.numbers(name, rows.bf16s())?, shape, self.device)?,
            _ => return Ok(None),
        }))
    }

    /// The same, if they are numbers.
    fn numbers<T: finite::Stored>(&self, name: &str, numbers: Vec<T>) -> Result<Vec<T>> {
        match finite::damaged_number(&numbers) {
            None => Ok(numbers),
            Some(at) => Err(Error::broken(self.gguf.file(), finite::sentence(name, "weight", at))),
        }
    }

    /// The bytes of blocks, if their scales are numbers.
    fn sound<B: Deref<Target = [u8]>>(&self, name: &str, ty: Type, bytes: B) -> Result<B> {
        match finite::damaged_block(ty, &bytes) {
            None => Ok(bytes),
            Some(at) => Err(Error::broken(self.gguf.file(), finite::sentence(name, "the scale of block", at))),
        }
    }

    /// Blocks on the CPU that stay in the file's map where they lie in order, and are wanted so.
    fn kept(&self, located: &LocatedTensor, out: usize, inp: usize) -> Result<Blocks> {
        match located.rows.shared().filter(|_| self.mapped) {
            Some(bytes) => {
                let blocks = Blocks::new(located.ty, out, inp, self.sound(located.name, located.ty, bytes)?)?;
                Ok(blocks.times(located.factor))
            }
            None => self.blocks(located, &[out, inp]),
        }
    }

    /// Blocks copied out of the file, on the CPU.
    fn blocks(&self, located: &LocatedTensor, shape: &[usize]) -> Result<Blocks> {
        let (out, inp) = (shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1]);
        let blocks = Blocks::new(located.ty, out, inp, self.sound(located.name, located.ty, located.rows.bytes())?)?;
        Ok(blocks.times(located.factor))
    }

    /// Blocks on another device, in a type that candle has.
    fn quantized(&self, dtype: GgmlDType, located: &LocatedTensor, shape: &[usize]) -> Result<QTensor> {
        let LocatedTensor { name, ty, rows, .. } = located;
        self.sound(name, *ty, rows.bytes())?;
        Ok(QTensor::new(rows.blocks(dtype, self.device)?, shape)?)
    }
}

impl GgufWeights<'_> {
    /// Refuses a type that nothing here computes with.
    fn refuse_uncomputed(&self, info: &TensorInfo) -> Result<()> {
        match computes(info.kind) {
            true => Ok(()),
            false => {
                let what = format!("tensor {} of type {}", info.name, info.kind);
                Err(Error::unsupported(self.gguf.file(), what, computable()))
            }
        }
    }

    /// The numbers in f32, as they stand in the file.
    fn widened(&self, located: &LocatedTensor, shape: &[usize]) -> Result<Tensor> {
        Ok(match self.plain(located, shape)? {
            Some(plain) if located.factor != 1.0 => (plain.to_dtype(DType::F32)? * f64::from(located.factor))?,
            Some(plain) => plain.to_dtype(DType::F32)?,
            None => self.blocks(located, shape)?.dequantized()?.reshape(shape)?.to_device(self.device)?,
        })
    }

    /// The matrix to keys and values of latent attention, (heads · (still + value), rank), out of the two that files have of
    /// it since they are made for its short form: that of keys, transposed, and that of values, both head by head.
    fn latent_up(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(sizes) = self.config.latent else { return Ok(None) };
        let Some(place) = self.config.architecture.place(name).filter(|place| place.part == Part::LatentUp) else {
            return Ok(None);
        };
        let half = |of: char| self.gguf.tensor(&format!("blk.{}.attn_{of}_b.weight", place.layer));
        let (Some(keys), Some(values)) = (half('k'), half('v')) else { return Ok(None) };
        let (heads, rank) = (self.config.heads, sizes.rank);
        let whole = |info: &'_ TensorInfo, shape: [usize; 3]| -> Result<Tensor> {
            let file = self.gguf.file();
            if info.shape != shape {
                let what = format!("tensor {} has shape {:?}, its keys ask for {shape:?}", info.name, info.shape);
                return Err(Error::broken(file, what));
            }
            self.refuse_uncomputed(info)?;
            let rows = TensorRows::new(self.gguf, info, 0, info.elements(), None);
            let rows = rows.ok_or_else(|| Error::broken(file, format!("tensor {} is damaged", info.name)))?;
            let factor = self.factor(&info.name, 0)?;
            let located =
                LocatedTensor { name: &info.name, ty: info.kind, rows, columns: None, holds: Holds::Same, factor };
            self.widened(&located, &shape)
        };
        let keys = whole(keys, [heads, rank, sizes.still])?.transpose(1, 2)?;
        let values = whole(values, [heads, sizes.value, rank])?;
        let rows = heads * (sizes.still + sizes.value);
        Ok(Some(Tensor::cat(&[&keys.contiguous()?, &values], 1)?.reshape((rows, rank))?))
    }

    /// One of the numbers that a non-linearity has learnt, which files have as keys.
    fn learnt(&self, name: &str) -> Result<Option<Tensor>> {
        let own = self.config.architecture.own_activation;
        let Some(place) = self.config.architecture.place(name).filter(|_| own) else { return Ok(None) };
        let Some(key) = learnt_key(place.part) else { return Ok(None) };
        let number = match self.gguf.metadata().get(key) {
            Some(Value::Array(_, numbers)) => numbers.get(place.layer).and_then(Value::float),
            Some(one) => one.float(),
            None => None,
        };
        let number = number.filter(|number| number.is_finite());
        let number = number
            .ok_or_else(|| Error::broken(self.gguf.file(), format!("{key} has no number for layer {}", place.layer)))?;
        Ok(Some(Tensor::new(&[number as f32], self.device)?))
    }
}

impl Weights for GgufWeights<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(learnt) = self.learnt(name)? {
            return Ok(learnt);
        }
        if let Some(made) = self.latent_up(name)? {
            return Ok(made);
        }
        let located = self.locate(name, shape)?;
        let tensor = self.widened(&located, shape)?;
        let tensor = match located.holds {
            Holds::Same => tensor,
            Holds::PlusOne => (tensor - 1.0)?,
            Holds::Rate => tensor.neg()?.log()?,
        };
        match located.columns {
            None => Ok(tensor),
            Some(columns) => {
                let mut stored_at = vec![0u32; columns.len()];
                (0..).zip(&columns).for_each(|(at, &column)| stored_at[column as usize] = at);
                Ok(tensor.index_select(&Tensor::new(stored_at, self.device)?, 1)?)
            }
        }
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        let shape = [out, inp];
        if let Some(made) = self.latent_up(name)? {
            return Ok(Linear::dense(made));
        }
        let located = self.locate(name, &shape)?;
        let ty = located.ty;
        // only blocks on the CPU are held beside a number for all of them
        let is_scaled = located.factor != 1.0 && !(ty.is_quantized() && self.device.is_cpu());
        if self.precision == Precision::F32 || is_scaled {
            return Ok(Linear::dense(self.tensor(name, &shape)?));
        }
        let in_order = |linear: Linear| match &located.columns {
            Some(columns) => linear.with_columns_in(columns),
            None => Ok(linear),
        };
        if let Some(plain) = self.plain(&located, &shape)? {
            return in_order(Linear::dense(plain));
        }
        if self.device.is_cpu() {
            return in_order(Linear::blocks(Arc::new(self.kept(&located, out, inp)?)));
        }
        match candle_type(ty) {
            Some(dtype) => in_order(Linear::quantized(Arc::new(self.quantized(dtype, &located, &shape)?))),
            // only the CPU multiplies these blocks; f32 holds their values exactly
            None => {
                tracing::warn!("{name}: {ty} blocks are widened to f32 on this device");
                Ok(Linear::dense(self.tensor(name, &shape)?))
            }
        }
    }
}
