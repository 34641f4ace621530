//! AWQ as AutoAWQ writes it. Version gemm: `qweight` (in, out / 8) and `qzeros` (groups, out / 8) packed along the output in
//! a shuffled order, `scales` (groups, out). Version gemv: `qweight` (out, in / 8) and `qzeros` (out, groups / 8) packed
//! along the input in order, `scales` (out, groups), both filled up with groups that are none. w = scales[g] · (q − z[g]).

use super::bits::Packing;
use super::grid::{Grid, Groups, transposed};
use super::module::Module;
use super::quantization::{Skips, groups};
use crate::error::Result;
use crate::json_object::JsonObject;

/// Four-bit integers in a word.
const IN_WORD: usize = 8;
/// The nibble of a word in which column 0, 1, … of eight stands: the inverse of AutoAWQ's order [0, 2, 4, 6, 1, 3, 5,
/// 7].
const NIBBLE: [u32; IN_WORD] = [0, 4, 1, 5, 2, 6, 3, 7];

/// An AWQ checkpoint's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Awq {
    /// Columns that share a scale; `None` for whole rows.
    pub group: Option<usize>,
    /// Packed along the input.
    is_gemv: bool,
    pub(super) skips: Skips,
}

impl Awq {
    pub(super) fn new(table: &JsonObject) -> Result<Self> {
        let version = match table.text("version")? {
            Some(version) => version,
            None => table.text("format")?.unwrap_or("gemm"),
        };
        // exllama, marlin and ipex as *backends* read the gemm layout; as versions, only exllama and ipex do
        let is_gemv = version.eq_ignore_ascii_case("gemv");
        if !is_gemv && !matches!(version.to_ascii_lowercase().as_str(), "gemm" | "exllama" | "ipex") {
            return Err(table.unsupported(format!("the AWQ version {version:?}"), "gemm, gemv"));
        }
        if table.text("backend")?.is_some_and(|backend| backend.eq_ignore_ascii_case("llm-awq")) {
            return Err(table.unsupported("the AWQ backend \"llm-awq\"", "autoawq, version gemm or gemv"));
        }
        table.bits(["bits", "w_bit"], &[4])?;
        Ok(Self {
            group: table.group_size(["group_size", "q_group_size"])?,
            is_gemv,
            skips: Skips::new(table, "modules_to_not_convert")?,
        })
    }

    pub(super) fn is_packed(&self, module: Module) -> bool {
        module.has("qweight")
    }

    /// The matrix of a module, (out, inp).
    pub(super) fn grid<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Grid<'a>> {
        if self.is_gemv {
            return self.gemv(module, out, inp);
        }
        if !out.is_multiple_of(IN_WORD) {
            return Err(module.broken(format!("of {out} rows cannot be packed by eights")));
        }
        let count = inp.div_ceil(self.group.unwrap_or(inp));
        let across = out / IN_WORD;
        let qweight = module.tensor("qweight")?.shaped(&[inp, across])?;
        let qzeros = module.tensor("qzeros")?.shaped(&[count, across])?;
        let scales = module.tensor("scales")?.shaped(&[count, out])?;
        let zero_words = qzeros.words()?;
        let zeros =
            (0..out).flat_map(|o| (0..count).map(move |group| nibble(zero_words[group * across + o / IN_WORD], o)));
        let words = qweight.words()?;
        let codes = move |first: usize, tile: &mut [i16]| {
            for (row, slots) in tile.chunks_exact_mut(inp).enumerate() {
                let o = first + row;
                for (i, slot) in slots.iter_mut().enumerate() {
                    *slot = nibble(words[i * across + o / IN_WORD], o);
                }
            }
        };
        Ok(Grid {
            out,
            inp,
            codes: Box::new(codes),
            code_range: (0, 15),
            scales: transposed(&scales.floats()?, count, out),
            zeros: zeros.collect(),
            groups: Groups::even(inp, count, self.group),
            tensors: vec![qweight, qzeros, scales],
        })
    }

    /// As `grid`, packed along the input.
    fn gemv<'a>(&self, module: Module<'a>, out: usize, inp: usize) -> Result<Grid<'a>> {
        let (count, packing) = (inp.div_ceil(self.group.unwrap_or(inp)), Packing::dense(4));
        if !inp.is_multiple_of(IN_WORD) {
            return Err(module.broken(format!("of {inp} columns cannot be packed by eights")));
        }
        let across = inp / IN_WORD;
        let qweight = module.tensor("qweight")?.shaped(&[out, across])?;
        let qzeros = module.tensor("qzeros")?;
        // as many words as one kernel or another wants, at least those of the groups
        let width = qzeros.shape().last().copied().unwrap_or(0).max(packing.words(count));
        let qzeros = qzeros.shaped(&[out, width])?;
        let scales = module.tensor("scales")?.shaped(&[out, width * IN_WORD])?;
        let (zero_words, words) = (qzeros.words()?, qweight.words()?);
        let mut zeros = vec![0i16; out * count];
        for (row, zeros) in zeros.chunks_exact_mut(count).enumerate() {
            packing.unpack(|i| u32::from_le_bytes(zero_words[row * width + i]), zeros);
        }
        let own = scales.floats()?;
        let own = own.chunks_exact(width * IN_WORD).flat_map(|row| row[..count].iter().copied());
        let codes = move |first: usize, tile: &mut [i16]| {
            for (row, slots) in tile.chunks_exact_mut(inp).enumerate() {
                packing.unpack(|i| u32::from_le_bytes(words[(first + row) * across + i]), slots);
            }
        };
        Ok(Grid {
            out,
            inp,
            codes: Box::new(codes),
            code_range: (0, 15),
            scales: own.collect(),
            zeros,
            groups: Groups::even(inp, count, self.group),
            tensors: vec![qweight, qzeros, scales],
        })
    }
}

/// The integer of column `o` in its word.
fn nibble(word: [u8; 4], o: usize) -> i16 {
    (u32::from_le_bytes(word) >> (4 * NIBBLE[o % IN_WORD]) & 15) as i16
}

impl std::fmt::Display for Awq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AWQ, 4 bits, {}", groups(self.group))?;
        f.write_str(if self.is_gemv { ", version gemv" } else { "" })
    }
}
