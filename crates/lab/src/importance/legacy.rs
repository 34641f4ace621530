//! Importance matrices in llama.cpp's format before GGUF, often `imatrix.dat` (tools/imatrix/imatrix.cpp,
//! `save_imatrix_legacy`), little-endian: how many entries, and of each its name, a number of calls, and for each column
//! the mean square times that number; then the number of windows and the name of the text.

use super::{Entry, Importance};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// No name of a tensor is longer.
const LONGEST_NAME: usize = 4096;

pub(super) fn read(bytes: &[u8]) -> Result<Importance> {
    let mut rest = Rest(bytes);
    let count = rest.count().context("how many entries there are")?;
    ensure!(count > 0, "it says that it has no entries");
    let mut entries = BTreeMap::new();
    for number in 1..=count {
        let (name, entry) = rest.entry().with_context(|| format!("entry {number} of {count}"))?;
        entries.insert(name, entry);
    }
    // older files end here
    let chunks = if rest.0.is_empty() { 0 } else { rest.count().context("the number of windows")? };
    let dataset = if rest.0.is_empty() { None } else { Some(rest.text().context("the name of the text")?) };
    let datasets = dataset.into_iter().filter(|name| !name.is_empty()).collect();
    Ok(Importance { entries, datasets, chunks: chunks as u32, chunk_size: 0 })
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(bytes) else {
            bail!("{bytes} bytes are announced and {} are left: the file is cut off, or none of these", self.0.len())
        };
        self.0 = rest;
        Ok(taken)
    }

    fn count(&mut self) -> Result<usize> {
        let number = i32::from_le_bytes(self.take(4)?.try_into().expect("four bytes"));
        usize::try_from(number).with_context(|| format!("{number} is no count"))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.count()?;
        ensure!(length <= LONGEST_NAME, "a name of {length} bytes is none");
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn entry(&mut self) -> Result<(String, Entry)> {
        let name = self.text()?;
        let (calls, values) = (self.count()?, self.count()?);
        let bytes = values.checked_mul(4).context("it announces too many numbers")?;
        let sums = self.take(bytes)?.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        // without calls the numbers are the means themselves
        Ok((name, Entry { sums, counts: vec![calls.max(1) as u64] }))
    }
}

pub(super) fn bytes(importance: &Importance) -> Vec<u8> {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX).to_le_bytes();
    // what was never seen is not stored
    let seen: Vec<_> = importance.entries.iter().filter(|(_, entry)| entry.counts.iter().any(|&n| n > 0)).collect();
    let mut bytes = number(seen.len()).to_vec();
    for (name, entry) in seen {
        let most = entry.counts.iter().copied().max().unwrap_or(0);
        let calls = match importance.chunk_size {
            0 => most,
            size => most.div_ceil(u64::from(size)),
        };
        let calls = calls.clamp(1, i32::MAX as u64);
        bytes.extend(number(name.len()));
        bytes.extend(name.as_bytes());
        bytes.extend(number(calls as usize));
        bytes.extend(number(entry.sums.len()));
        bytes.extend(entry.means().iter().flat_map(|mean| (mean * calls as f32).to_le_bytes()));
    }
    bytes.extend(number(importance.chunks as usize));
    let dataset = importance.datasets.last().map_or("", String::as_str);
    bytes.extend(number(dataset.len()));
    bytes.extend(dataset.as_bytes());
    bytes
}
