//! compressed-tensors, as llm-compressor writes it. `pack-quantized`: weight_packed (out, words) of integers packed
//! along the input, with 2^(bits − 1) added. `int-quantized`: weight (out, in) in signed bytes. Both with weight_scale
//! (out, groups), and where they are asymmetric weight_zero_point, in bytes or packed along the output. w = scale[g] ·
//! (q − z[g]). Of floats: `float-quantized`, E4M3 with scales as `fp8` has them; `nvfp4-pack-quantized`, two E2M1 a byte, whose
//! weight_global_scale divides; `mxfp4-pack-quantized`. What it says of activations is not done: they stay as they are.

use safetensors::tensor::Dtype;

use super::bits::{Packing, WordLayout};
use super::floats::Floats;
use super::fp8;
use super::grid::{Codes, Grid, Groups};
use super::module::{Module, ModuleTensor};
use super::quantization::groups;
use crate::error::Result;
use crate::json_object::JsonObject;
use crate::pattern::Pattern;

const FORMATS: &str =
    "pack-quantized, int-quantized, float-quantized, naive-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized";
const STRATEGIES: &str = "tensor, channel, group, tensor_group, block";

/// A compressed-tensors checkpoint's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct CompressedTensors {
    pub schemes: Vec<Scheme>,
    ignore: Vec<Target>,
    /// Its own runtime would round activations or the cache as well.
    pub rounds_activations: bool,
}

/// How the matrices of some modules are quantized.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    targets: Vec<Target>,
    pub format: Format,
    pub bits: u8,
    pub symmetric: bool,
    pub strategy: Strategy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Packed,
    Int,
    /// E4M3 with a scale for the matrix, a row or a block.
    Float,
    /// E2M1 with an E4M3 for 16 weights.
    Nvfp4,
    /// E2M1 with an E8M0 for 32 weights.
    Mxfp4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Tensor,
    Channel,
    Group(usize),
    /// Rows and columns.
    Block(usize, usize),
}

/// Which modules are meant.
#[derive(Debug, Clone, PartialEq)]
enum Target {
    /// A module's name, or the name of its class.
    Name(String),
    /// `re:`, matched from the beginning.
    Start(Pattern),
}

impl CompressedTensors {
    pub(super) fn new(table: &JsonObject) -> Result<Self> {
        if let Some(sparsity) = table.table("sparsity_config")?
            && let Some(format) = sparsity.text("format")?
            && format != "dense"
        {
            return Err(table.unsupported(format!("the sparsity format {format:?}"), "dense"));
        }
        let listed = table.table("config_groups")?.ok_or_else(|| table.broken("config_groups is missing".into()))?;
        let mut rounds_activations = table.get("kv_cache_scheme").is_some();
        let mut schemes = Vec::new();
        for name in listed.keys() {
            let group = listed.table(name)?.ok_or_else(|| listed.broken(format!("{name} is null")))?;
            rounds_activations |= ["input_activations", "output_activations"].iter().any(|k| group.get(k).is_some());
            if let Some(weights) = group.table("weights")? {
                schemes.push(Scheme::new(table, &group, &weights)?);
            }
        }
        if schemes.is_empty() {
            return Err(table.broken("config_groups quantizes no weights".into()));
        }
        Ok(Self { schemes, ignore: targets(table, "ignore")?, rounds_activations })
    }

    pub(super) fn is_packed(&self, module: Module) -> bool {
        let is_small = |weight: ModuleTensor| matches!(weight.dtype(), Dtype::I8 | Dtype::F8_E4M3);
        let is_stored = || module.optional("weight").is_some_and(is_small);
        module.has("weight_packed") || (module.has("weight_scale") && is_stored())
    }

    /// The matrix of a module, (out, inp), where it is one of floats.
    pub(super) fn floats<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Option<Floats<'a>>> {
        let scheme = self.scheme(module)?;
        let scale = || module.tensor("weight_scale");
        Ok(Some(match scheme.format {
            Format::Packed | Format::Int => return Ok(None),
            Format::Float => {
                let block =
                    if let Strategy::Block(rows, columns) = scheme.strategy { Some((rows, columns)) } else { None };
                fp8::fp8(module.tensor("weight")?, scale()?, block, out, inp)?
            }
            Format::Nvfp4 => {
                let factor = fp8::one(&module.tensor("weight_global_scale")?)?.recip();
                fp8::nvfp4(module.tensor("weight_packed")?, scale()?, factor, out, inp)?
            }
            Format::Mxfp4 => fp8::mxfp4(module.tensor("weight_packed")?, scale()?, out, inp)?,
        }))
    }

    pub(super) fn ignores(&self, module: &str) -> bool {
        self.ignore.iter().any(|target| target.names(module))
    }

    /// The matrix of a module, (out, inp).
    pub(super) fn grid<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Grid<'a>> {
        let scheme = self.scheme(module)?;
        let count = match scheme.strategy {
            Strategy::Group(size) => inp.div_ceil(size),
            Strategy::Channel | Strategy::Tensor | Strategy::Block(..) => 1,
        };
        let (codes, code_range, part) = match scheme.format {
            Format::Packed => scheme.packed(module, out, inp)?,
            Format::Int => {
                let part = module.tensor("weight")?.shaped(&[out, inp])?;
                (signed_bytes(part.i8s()?, inp), (-128, 127), part)
            }
            Format::Float | Format::Nvfp4 | Format::Mxfp4 => return Err(module.broken("is packed as floats")),
        };
        let scale = module.tensor("weight_scale")?;
        Ok(Grid {
            out,
            inp,
            codes,
            code_range,
            scales: scheme.spread(&scale, scale.floats()?, out, count)?,
            zeros: scheme.zeros(module, out, count)?,
            groups: scheme.groups(module, inp, count)?,
            tensors: vec![part, scale],
        })
    }

    fn scheme(&self, module: Module) -> Result<&Scheme> {
        let by_name = |scheme: &&Scheme| scheme.targets.iter().any(|target| target.names(module.name));
        let by_class = |scheme: &&Scheme| scheme.targets.iter().any(Target::is_class);
        let found = self.schemes.iter().find(by_name).or_else(|| self.schemes.iter().find(by_class));
        found.ok_or_else(|| module.broken("is quantized, and no group of config_groups has it as a target"))
    }
}

impl Scheme {
    fn new(table: &JsonObject, group: &JsonObject, weights: &JsonObject) -> Result<Self> {
        let format = match group.text("format")? {
            Some(format) => Some(format),
            None => table.text("format")?,
        };
        let format = match format {
            Some("pack-quantized") => Format::Packed,
            Some("int-quantized") => Format::Int,
            Some("float-quantized") => Format::Float,
            // of either kind, as its type says
            Some("naive-quantized") if weights.text("type")? == Some("float") => Format::Float,
            Some("naive-quantized") => Format::Int,
            Some("nvfp4-pack-quantized") => Format::Nvfp4,
            Some("mxfp4-pack-quantized") => Format::Mxfp4,
            Some(other) => return Err(table.unsupported(format!("the format {other:?}"), FORMATS)),
            None => return Err(table.broken("format is missing".into())),
        };
        let (kind, bits) = match format {
            Format::Packed | Format::Int => ("int", &[1, 2, 3, 4, 5, 6, 7, 8][..]),
            Format::Float => ("float", &[8][..]),
            Format::Nvfp4 | Format::Mxfp4 => ("float", &[4][..]),
        };
        if let Some(other) = weights.text("type")?.filter(|&other| other != kind) {
            return Err(weights.unsupported(format!("type {other:?}"), kind));
        }
        let size = weights.integer("group_size")?;
        let strategy = match (weights.text("strategy")?, size) {
            (Some("tensor"), _) | (None, None) => Strategy::Tensor,
            (Some("channel"), _) | (None, Some(-1)) => Strategy::Channel,
            (Some("block"), _) => Strategy::block(weights)?,
            (Some("group" | "tensor_group") | None, _) => match weights.group_size(["group_size", "group_size"])? {
                Some(size) => Strategy::Group(size),
                None => return Err(weights.broken("group_size is -1, and the strategy is group".into())),
            },
            (Some(other), _) => return Err(weights.unsupported(format!("the strategy {other:?}"), STRATEGIES)),
        };
        let goes = match strategy {
            Strategy::Tensor | Strategy::Channel => matches!(format, Format::Packed | Format::Int | Format::Float),
            Strategy::Group(size) => match format {
                Format::Packed | Format::Int => true,
                Format::Float => false,
                Format::Nvfp4 => size == 16,
                Format::Mxfp4 => size == 32,
            },
            Strategy::Block(..) => format == Format::Float,
        };
        if !goes {
            let what = format!("the strategy {:?} beside this format", weights.text("strategy")?.unwrap_or("group"));
            return Err(weights.unsupported(what, format.strategies()));
        }
        Ok(Self {
            targets: targets(group, "targets")?,
            format,
            bits: weights.bits(["num_bits", "num_bits"], bits)?,
            symmetric: weights.flag("symmetric")?.unwrap_or(true),
            strategy,
        })
    }

    fn packed<'a>(
        &self,
        module: Module<'a>,
        out: usize,
        inp: usize,
    ) -> Result<(Codes<'a>, (i16, i16), ModuleTensor<'a>)> {
        if let Some(shape) = module.optional("weight_shape") {
            let stored = shape_numbers(&shape)?;
            if stored != [out as i64, inp as i64] {
                return Err(shape.broken(format!("says {stored:?}, expected is {:?}", [out, inp])));
            }
        }
        let part = module.tensor("weight_packed")?;
        // up to compressed-tensors 0.12, 3, 5, 6 and 7 bits were not packed across words; the width tells
        let layouts = [WordLayout::Dense, WordLayout::Padded].map(|layout| Packing { bits: self.bits, layout });
        let width = part.shape().last().copied().unwrap_or(0);
        let packing = layouts.into_iter().find(|packing| packing.words(inp) == width).unwrap_or(layouts[0]);
        let across = packing.words(inp);
        let part = part.shaped(&[out, across])?;
        let words = part.words()?;
        let offset = 1i16 << (self.bits - 1);
        let codes = move |first: usize, tile: &mut [i16]| {
            for (row, slots) in tile.chunks_exact_mut(inp).enumerate() {
                let words = &words[(first + row) * across..][..across];
                packing.unpack(|i| u32::from_le_bytes(words[i]), slots);
                slots.iter_mut().for_each(|slot| *slot -= offset);
            }
        };
        Ok((Box::new(codes), (-offset, offset - 1), part))
    }

    /// Numbers for each row and group, (out, count), of a part that has them for each row, or one for all.
    fn spread<T: Copy>(&self, part: &ModuleTensor, numbers: Vec<T>, out: usize, count: usize) -> Result<Vec<T>> {
        let fits = match (self.strategy, part.shape()) {
            (Strategy::Tensor, _) if numbers.len() == 1 => return Ok(vec![numbers[0]; out]),
            (Strategy::Channel, [rows]) => *rows == out,
            (_, [rows, groups]) => *rows == out && *groups == count,
            _ => false,
        };
        match fits {
            true => Ok(numbers),
            false => Err(part.broken(format!("has shape {:?}, expected is {:?}", part.shape(), [out, count]))),
        }
    }

    /// Zero points, (out, count); empty where there are none.
    fn zeros(&self, module: Module, out: usize, count: usize) -> Result<Vec<i16>> {
        if self.symmetric {
            return Ok(Vec::new());
        }
        let part = module.tensor("weight_zero_point")?;
        if part.dtype() == Dtype::I8 {
            let bytes = part.i8s()?.iter().map(|&byte| i16::from(byte as i8)).collect();
            return self.spread(&part, bytes, out, count);
        }
        let layouts = [WordLayout::Dense, WordLayout::Padded].map(|layout| Packing { bits: self.bits, layout });
        let height = part.shape().first().copied().unwrap_or(0);
        let packing = layouts.into_iter().find(|packing| packing.words(out) == height).unwrap_or(layouts[0]);
        let part = part.shaped(&[packing.words(out), count])?;
        let words = part.words()?;
        let mut zeros = vec![0i16; out * count];
        let mut column = vec![0i16; out];
        for group in 0..count {
            packing.unpack(|i| u32::from_le_bytes(words[i * count + group]), &mut column);
            for (o, zero) in column.iter().enumerate() {
                zeros[o * count + group] = zero - (1 << (self.bits - 1));
            }
        }
        Ok(zeros)
    }

    fn groups(&self, module: Module, inp: usize, count: usize) -> Result<Groups> {
        let Strategy::Group(size) = self.strategy else { return Ok(Groups::even(inp, 1, None)) };
        let Some(index) = module.optional("weight_g_idx") else { return Ok(Groups::even(inp, count, Some(size))) };
        let of_column = index.clone().shaped(&[inp])?.i32s()?;
        // minus ones stand for an index that was never made
        if of_column.contains(&-1) {
            return Ok(Groups::even(inp, count, Some(size)));
        }
        Groups::indexed(&of_column, count).ok_or_else(|| index.broken(Groups::misfit(&of_column, count)))
    }
}

impl Format {
    fn strategies(self) -> &'static str {
        match self {
            Self::Packed | Self::Int => "tensor, channel, group",
            Self::Float => "tensor, channel, block",
            Self::Nvfp4 => "tensor_group of 16",
            Self::Mxfp4 => "group of 32",
        }
    }
}

impl Strategy {
    fn block(weights: &JsonObject) -> Result<Self> {
        let structure = weights.get("block_structure");
        match structure.and_then(fp8::two_numbers) {
            Some((rows, columns)) => Ok(Self::Block(rows, columns)),
            None => Err(weights.broken("block_structure is no two numbers above 0, and the strategy is block".into())),
        }
    }
}

fn signed_bytes(bytes: &[u8], inp: usize) -> Codes<'_> {
    Box::new(move |first, tile| {
        for (slot, &byte) in tile.iter_mut().zip(&bytes[first * inp..]) {
            *slot = i16::from(byte as i8);
        }
    })
}

/// weight_shape: two numbers, in either width.
fn shape_numbers(part: &ModuleTensor) -> Result<Vec<i64>> {
    match part.dtype() {
        Dtype::I64 => Ok(part.bytes().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        _ => Ok(part.i32s()?.into_iter().map(i64::from).collect()),
    }
}

fn targets(table: &JsonObject, key: &str) -> Result<Vec<Target>> {
    let target = |text: &str| match text.strip_prefix("re:") {
        Some(pattern) => Ok(Target::Start(Pattern::start(pattern, table.file(), key)?)),
        None => Ok(Target::Name(text.to_owned())),
    };
    table.texts(key)?.into_iter().map(target).collect()
}

impl Target {
    fn names(&self, module: &str) -> bool {
        match self {
            Self::Name(name) => name == module,
            Self::Start(pattern) => pattern.matches(module),
        }
    }

    /// A class of modules that hold matrices.
    fn is_class(&self) -> bool {
        matches!(self, Self::Name(name) if matches!(name.as_str(), "Linear" | "Embedding"))
    }
}

impl std::fmt::Display for CompressedTensors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("compressed-tensors")?;
        for scheme in &self.schemes {
            let format = match scheme.format {
                Format::Packed => "packed",
                Format::Int => "int",
                Format::Float => "FP8",
                Format::Nvfp4 => "NVFP4",
                Format::Mxfp4 => "MXFP4",
            };
            let strategy = match scheme.strategy {
                Strategy::Tensor => "one scale a matrix".to_owned(),
                Strategy::Channel => groups(None),
                Strategy::Group(size) => groups(Some(size)),
                Strategy::Block(rows, columns) => format!("blocks of {rows} by {columns}"),
            };
            let sign = if scheme.symmetric { "symmetric" } else { "asymmetric" };
            write!(f, ", {format} {} bits, {strategy}, {sign}", scheme.bits)?;
        }
        f.write_str(if self.rounds_activations { ", with rounded activations" } else { "" })
    }
}
