//! Split GGUF files: one model in several files NAME-00001-of-00003.gguf, of which the first holds the metadata and
//! each its share of the tensors. Any of them names the whole (`llama_split_path` and llama-gguf-split in llama.cpp).

use std::path::{Path, PathBuf};

use super::read::{Gguf, TensorInfo};
use crate::error::Result;

/// More parts than any model comes in.
const MOST_PARTS: u64 = 1000;

/// The place of a file in a split set: which part of how many, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartNumber {
    part: u64,
    parts: u64,
}

impl PartNumber {
    /// Reads a file's place from its metadata; `None` for a whole file.
    ///
    /// # Errors
    /// Where the keys are no whole numbers, or the part is not among at most 1000.
    pub(super) fn of(gguf: &Gguf) -> Result<Option<Self>> {
        let parts = gguf.optional_integer("split.count")?.unwrap_or(0);
        let part = gguf.optional_integer("split.no")?.unwrap_or(0);
        match parts {
            0 | 1 => Ok(None),
            _ if parts > MOST_PARTS || part >= parts => {
                Err(gguf
                    .broken(format!("split.no {part} of split.count {parts}, allowed are at most {MOST_PARTS} parts")))
            }
            _ => Ok(Some(Self { part, parts })),
        }
    }

    /// How the name of such a part ends.
    fn ending(self) -> String {
        format!("-{:05}-of-{:05}.gguf", self.part + 1, self.parts)
    }
}

/// Joins an opened part with those that lie beside it to the whole model.
///
/// # Errors
/// Where the name does not end as the part's should, or a part cannot be read or is of another set.
pub(super) fn join(path: &Path, opened: Gguf, place: PartNumber) -> Result<Gguf> {
    let stem = stem(path, place).ok_or_else(|| {
        let which = format!("part {} of {} of a split file", place.part + 1, place.parts);
        opened.broken(format!("{which}, whose name does not end in {}", place.ending()))
    })?;
    let mut opened = Some(opened);
    let parts = (0..place.parts).map(|part| {
        let wanted = PartNumber { part, ..place };
        let other = || open_beside(&path.with_file_name(format!("{stem}{}", wanted.ending())), wanted);
        if part == place.part { opened.take().map_or_else(other, Ok) } else { other() }
    });
    let mut parts = parts.collect::<Result<Vec<_>>>()?.into_iter();
    let mut whole = parts.next().expect("a split file has more than one part");
    for part in parts {
        let index = whole.parts.len();
        whole.tensors.extend(part.tensors.into_iter().map(|tensor| TensorInfo { part: index, ..tensor }));
        whole.parts.extend(part.parts);
    }
    match whole.optional_integer("split.tensors.count")? {
        Some(count) if count != whole.tensors.len() as u64 => {
            Err(whole.broken(format!("split.tensors.count is {count}, and its parts hold {}", whole.tensors.len())))
        }
        _ => whole.indexed(),
    }
}

fn open_beside(path: &Path, wanted: PartNumber) -> Result<Gguf> {
    let part = Gguf::open_part(path)?;
    match PartNumber::of(&part)? {
        Some(place) if place == wanted => Ok(part),
        _ => {
            let which = format!("part {} of {} by its name", wanted.part + 1, wanted.parts);
            Err(part.broken(format!("{which}, and its keys split.no and split.count say otherwise")))
        }
    }
}

/// The name without the ending of its place.
fn stem(path: &Path, place: PartNumber) -> Option<String> {
    Some(path.file_name()?.to_str()?.strip_suffix(&place.ending())?.to_owned())
}

/// Which set and place a name tells: `m-00002-of-00003.gguf` is the second part of three of `m`.
fn named(path: &Path) -> Option<(String, PartNumber)> {
    let name = path.file_name()?.to_str()?;
    let (rest, parts) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    let number = |digits: &str| (digits.len() == 5).then(|| digits.parse::<u64>().ok()).flatten();
    let place = PartNumber { part: number(part)?.checked_sub(1)?, parts: number(parts)? };
    (place.parts > 1 && place.part < place.parts).then(|| (stem.to_owned(), place))
}

/// Lists all files of the model that one file names, the first part first: itself, or by their names the parts of its
/// set.
pub fn parts(path: &Path) -> Vec<PathBuf> {
    match named(path) {
        None => vec![path.to_owned()],
        Some((stem, place)) => (0..place.parts)
            .map(|part| path.with_file_name(format!("{stem}{}", PartNumber { part, ..place }.ending())))
            .collect(),
    }
}

/// Tells whether these files are, by their names, all parts of one set.
pub fn is_one_set(files: &[PathBuf]) -> bool {
    let Some(first) = files.first() else { return false };
    let mut set = parts(first);
    let mut files = files.to_vec();
    set.sort();
    files.sort();
    set == files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_parts_of_a_set() {
        let path = |name: &str| PathBuf::from("/models").join(name);
        let set: Vec<PathBuf> = (1..=3).map(|part| path(&format!("m-Q8_0-0000{part}-of-00003.gguf"))).collect();
        assert_eq!(parts(&set[1]), set);
        assert!(is_one_set(&[set[2].clone(), set[0].clone(), set[1].clone()]));
        assert!(!is_one_set(&set[..2]));
        for whole in ["m.gguf", "m-00004-of-00003.gguf", "m-1-of-3.gguf", "m-00001-of-00001.gguf", "of-.gguf"] {
            assert_eq!(parts(&path(whole)), [path(whole)]);
            assert!(is_one_set(&[path(whole)]));
        }
    }
}
