//! Importance matrices: for each column of each matrix, how much an error in it matters, which is the mean square of what
//! it is multiplied by. Kept as llama-imatrix keeps it: the sums of squares and how many rows were seen, by GGUF names,
//! the experts of a stacked matrix one after the other. `gguf` and `legacy` are its two kinds of file.

mod gguf;
mod legacy;

use crate::calibrate::InputSquares;
use anyhow::{Context, Result, anyhow, bail, ensure};
use bantam_core::{disk, input};
use bantam_model::Config;
use bantam_model::checkpoint::gguf::Placed;
use std::collections::BTreeMap;
use std::path::Path;

/// The largest file that is read as one: a model of 400 layers with 256 experts each stays below.
const LARGEST: u64 = 4 << 30;

/// An importance matrix of a whole model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Importance {
    /// By the names of GGUF.
    pub entries: BTreeMap<String, Entry>,
    /// What it was made with, as a name for people.
    pub datasets: Vec<String>,
    /// Windows that were read.
    pub chunks: u32,
    /// Tokens of a window; 0 where the file does not say.
    pub chunk_size: u32,
}

/// What is known of one tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// Σ x² of each column; of stacked matrices one after the other.
    pub sums: Vec<f32>,
    /// Rows seen: one for all, or one for each stacked matrix.
    pub counts: Vec<u64>,
}

/// The two kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A GGUF file, since 2025.
    Gguf,
    /// llama.cpp's own format before.
    Legacy,
}

impl Kind {
    /// What a file's ending asks for: legacy for `.dat`, GGUF for all else.
    pub fn of(file: &Path) -> Kind {
        match file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("dat")) {
            true => Kind::Legacy,
            false => Kind::Gguf,
        }
    }
}

impl Importance {
    /// Gathers what a calibration saw, by the matrices' checkpoint names, under the names of GGUF. A matrix that has none
    /// there is left out.
    pub fn of_squares(config: &Config, seen: &BTreeMap<String, InputSquares>) -> Importance {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for (name, squares) in seen {
            let Some(placed) = Placed::of(config, name) else { continue };
            let columns = squares.sums.len();
            let entry = entries.entry(placed.tensor).or_insert_with(|| Entry {
                sums: vec![0.0; columns * placed.stacked],
                counts: vec![0; placed.stacked],
            });
            let own = placed.index * columns..(placed.index + 1) * columns;
            // of stacked matrices all have as many columns
            if let Some(own) = entry.sums.get_mut(own) {
                let column = |at: usize| placed.columns.as_ref().map_or(at, |columns| columns[at]);
                own.iter_mut().enumerate().for_each(|(at, to)| *to = squares.sums[column(at)] as f32);
                entry.counts[placed.index] = squares.rows;
            }
        }
        // an expert that no token went to was not multiplied, and its matrices not seen
        Importance { entries, ..Importance::default() }
    }

    /// Reads a file of either kind.
    ///
    /// # Errors
    /// One sentence where it cannot be read, is damaged, or holds what is no importance.
    pub fn read(file: &Path) -> Result<Importance> {
        let place = file.display();
        let bytes =
            input::read(file, LARGEST).map_err(|e| anyhow!("{place}: cannot read the importance matrix: {e}"))?;
        let read = match bytes.starts_with(&bantam_format::gguf::MAGIC) {
            true => gguf::read(file),
            // its first entries are counted, and none is a text
            false if is_text(&bytes) => bail!(
                "{place}: no importance matrix but a text; `bantam imatrix MODEL --text {place} -o FILE` makes one of a \
                 text, and --calibrate does so on the way"
            ),
            false => legacy::read(&bytes),
        };
        let read = read.with_context(|| format!("{place}: no importance matrix"))?;
        read.check().with_context(|| format!("{place}: no importance matrix"))?;
        Ok(read)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Where the disk does not take it; nothing half-written is left.
    pub fn write(&self, kind: Kind, file: &Path) -> Result<()> {
        let bytes = match kind {
            Kind::Gguf => gguf::bytes(self),
            Kind::Legacy => legacy::bytes(self),
        };
        disk::write(file, &bytes).with_context(|| format!("cannot write {}", file.display()))
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.entries.is_empty(), "it has no entries");
        for (name, entry) in &self.entries {
            let fits = !entry.counts.is_empty() && entry.sums.len().is_multiple_of(entry.counts.len());
            ensure!(
                fits && !entry.sums.is_empty(),
                "{name} has {} sums for {} counts",
                entry.sums.len(),
                entry.counts.len()
            );
            if let Some(bad) = entry.sums.iter().find(|sum| !sum.is_finite() || **sum < 0.0) {
                bail!("{name} holds {bad}, and a sum of squares is a finite number from 0 on");
            }
        }
        Ok(())
    }

    /// The importance of each column of a tensor's `matrices` stacked ones, `columns` each; None where the file says
    /// nothing of it. A head that is the embedding is found under either name.
    ///
    /// # Errors
    /// Where the file has another number of columns: it is one of another model.
    pub fn of_tensor(&self, name: &str, matrices: usize, columns: usize) -> Result<Option<Vec<f32>>> {
        let other = match name {
            "token_embd.weight" => "output.weight",
            "output.weight" => "token_embd.weight",
            same => same,
        };
        let Some(entry) = self.entries.get(name).or_else(|| self.entries.get(other)) else { return Ok(None) };
        let (has, wants) = (entry.sums.len(), matrices * columns);
        ensure!(
            has == wants && (entry.counts.len() == 1 || entry.counts.len() == matrices),
            "the importance matrix has {has} columns for {name}, which has {wants}: it was made of another model"
        );
        Ok(Some(entry.means()))
    }
}

/// Whether it is letters that a file begins with.
fn is_text(bytes: &[u8]) -> bool {
    let begins = &bytes[..bytes.len().min(512)];
    let letters = match std::str::from_utf8(begins) {
        Ok(text) => text,
        // cut within a letter
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&begins[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => "",
    };
    !letters.is_empty() && letters.chars().all(|c| !c.is_control() || c.is_whitespace())
}

impl Entry {
    /// The mean square of each column, 1 where nothing was seen, as llama.cpp has it.
    pub fn means(&self) -> Vec<f32> {
        let columns = self.sums.len() / self.counts.len().max(1);
        let of = |(own, count): (&[f32], &u64)| -> Vec<f32> {
            match *count {
                0 => vec![1.0; own.len()],
                count => own.iter().map(|sum| sum / count as f32).collect(),
            }
        };
        self.sums.chunks(columns.max(1)).zip(&self.counts).flat_map(of).collect()
    }
}
