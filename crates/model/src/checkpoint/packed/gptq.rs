//! GPTQ as AutoGPTQ and GPTQModel write it: `qweight` (in · bits / 32, out) packed along the input, `qzeros` (groups,
//! out · bits / 32) packed along the output, `scales` (groups, out), and `g_idx` (in), the group of each column.
//! w = scales[g] · (q − z[g]).

use super::bits::Packing;
use super::grid::{Grid, Groups};
use super::marlin;
use super::module::Module;
use super::quantization::{Skips, groups};
use crate::error::Result;
use crate::json_object::JsonObject;

const BITS: [u8; 4] = [2, 3, 4, 8];

/// A GPTQ checkpoint's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Gptq {
    pub bits: u8,
    /// Columns that share a scale; `None` for whole rows.
    pub group: Option<usize>,
    pub symmetric: bool,
    /// Columns were quantized in the order of their activations, so that groups are scattered.
    pub ordered: bool,
    /// Version 1 stores zero points less one.
    zero_offset: i16,
    /// Some modules have settings of their own, which their shapes tell.
    mixed: bool,
    /// In the layout of a kernel, see `marlin`.
    is_marlin: bool,
    pub(super) skips: Skips,
}

impl Gptq {
    pub(super) fn new(table: &JsonObject) -> Result<Self> {
        let format = match table.text("checkpoint_format")? {
            Some(format) => format,
            None => table.text("format")?.unwrap_or("gptq"),
        };
        let zero_offset = match format.to_ascii_lowercase().as_str() {
            "gptq" => 1,
            "gptq_v2" | "marlin" => 0,
            _ => return Err(table.unsupported(format!("the GPTQ format {format:?}"), "gptq, gptq_v2, marlin")),
        };
        let is_marlin = format.eq_ignore_ascii_case("marlin") || table.flag("is_marlin_format")?.unwrap_or(false);
        Ok(Self {
            bits: table.bits(["bits", "w_bit"], if is_marlin { &[4] } else { &BITS })?,
            is_marlin,
            group: table.group_size(["group_size", "q_group_size"])?,
            symmetric: table.flag("sym")?.unwrap_or(true),
            ordered: table.flag("desc_act")?.unwrap_or(false),
            zero_offset,
            mixed: table.get("dynamic").is_some(),
            skips: Skips::new(table, "modules_to_not_convert")?,
        })
    }

    pub(super) fn is_packed(&self, module: Module) -> bool {
        module.has("qweight") || (self.is_marlin && module.has("B"))
    }

    /// The matrix of a module, (out, inp).
    pub(super) fn grid<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Grid<'a>> {
        if self.is_marlin {
            return marlin::grid(module, self.group, out, inp);
        }
        let qweight = module.tensor("qweight")?;
        let packing = Packing::dense(self.bits_of(&qweight, inp)?);
        let bits = usize::from(packing.bits);
        if !(inp * bits).is_multiple_of(32) || !(out * bits).is_multiple_of(32) {
            return Err(module.broken(format!("of {out} rows by {inp} columns cannot be packed in {bits} bits")));
        }
        let qweight = qweight.shaped(&[packing.words(inp), out])?;
        let scales = module.tensor("scales")?;
        let (index, count) = match (module.optional("g_idx"), self.mixed, self.group) {
            (Some(index), _, _) => (Some(index.shaped(&[inp])?), scales.shape().first().copied().unwrap_or(0)),
            // the shape of the scales tells a module's own group size
            (None, true, _) => (None, scales.shape().first().copied().unwrap_or(0)),
            (None, false, group) => (None, inp.div_ceil(group.unwrap_or(inp))),
        };
        if count == 0 {
            return Err(scales.broken("has no groups"));
        }
        let scales = scales.shaped(&[count, out])?;
        let qzeros = module.tensor("qzeros")?.shaped(&[count, packing.words(out)])?;
        let groups = match index {
            None => Groups::even(inp, count, self.group.filter(|_| !self.mixed)),
            Some(index) => {
                let of_column = index.i32s()?;
                Groups::indexed(&of_column, count).ok_or_else(|| index.broken(Groups::misfit(&of_column, count)))?
            }
        };
        let zero_words = qzeros.words()?;
        let mut zeros = vec![0i16; out * count];
        let mut row = vec![0i16; out];
        for group in 0..count {
            let first = group * packing.words(out);
            packing.unpack(|i| u32::from_le_bytes(zero_words[first + i]), &mut row);
            for (o, zero) in row.iter().enumerate() {
                // a stored 15 is a zero point of 0 that was lowered by one before packing
                zeros[o * count + group] = (zero + self.zero_offset) & ((1 << bits) - 1);
            }
        }
        let words = qweight.words()?;
        let codes = move |first: usize, tile: &mut [i16]| {
            for (row, slots) in tile.chunks_exact_mut(inp).enumerate() {
                packing.unpack(|i| u32::from_le_bytes(words[i * out + first + row]), slots);
            }
        };
        Ok(Grid {
            out,
            inp,
            codes: Box::new(codes),
            code_range: (0, (1 << bits) - 1),
            scales: super::grid::transposed(&scales.floats()?, count, out),
            zeros,
            groups,
            tensors: vec![qweight, qzeros, scales],
        })
    }

    fn bits_of(&self, qweight: &super::module::ModuleTensor, inp: usize) -> Result<u8> {
        let rows = qweight.shape().first().copied().unwrap_or(0);
        let fits = |bits: &u8| inp * usize::from(*bits) == rows * 32;
        match self.mixed {
            false => Ok(self.bits),
            true => BITS.into_iter().find(fits).ok_or_else(|| {
                qweight.broken(format!("has {rows} rows, which is no packing of {inp} columns in 2, 3, 4 or 8 bits"))
            }),
        }
    }
}

impl std::fmt::Display for Gptq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.symmetric { "symmetric" } else { "asymmetric" };
        write!(f, "GPTQ, {} bits, {}, {sign}", self.bits, groups(self.group))?;
        f.write_str(if self.is_marlin { ", in Marlin's layout" } else { "" })?;
        f.write_str(if self.ordered { ", in activation order" } else { "" })?;
        f.write_str(if self.mixed { ", some modules with settings of their own" } else { "" })
    }
}
