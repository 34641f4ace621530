//! Verification: a file that bantam made says of what and how, so it can be made again and held against what is there, tensor
//! by tensor. What was changed since, in the file or in what is given as its base, is named.

use crate::history::{self, Made};
use crate::{Progress, Recipe, Source, write_to};
use anyhow::{Context, Result, bail};
use bantam_core::cancel::Cancel;
use bantam_format::gguf::{Gguf, Value};
use std::path::Path;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// What the file says that it was made of, and by what; the steps of several recipes one after the other.
    pub made: Vec<Made>,
    /// Whether the base that was given is the one that the file names.
    pub is_its_base: bool,
    /// The base's identity.
    pub base: String,
    /// How many tensors the file holds.
    pub tensors: usize,
    /// Tensors that are not what comes out, by name, with how they differ.
    pub tensors_differ: Vec<(String, String)>,
    /// Keys of the metadata that are not what comes out.
    pub keys_differ: Vec<String>,
}

impl Verified {
    /// Whether everything came out as it is in the file, made of the base that the file names.
    pub fn holds(&self) -> bool {
        self.is_its_base && self.tensors_differ.is_empty() && self.keys_differ.is_empty()
    }
}

/// Makes a file again of a base, below `folder`, and compares.
///
/// # Errors
/// One sentence where the file does not say how it was made, or it cannot be made again: a step's data is not there, the
/// base is of another shape, the disk is too full, or it is cancelled.
pub fn verify(
    file: &Path,
    base: Source<'static>,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified> {
    let made = history::made_of(file)?;
    if made.is_empty() {
        bail!(
            "{}: does not say of what it was made and how; files that bantam {} or later makes do",
            file.display(),
            env!("CARGO_PKG_VERSION")
        );
    }
    let identity = base.identity()?.to_owned();
    let found = made.iter().position(|link| link.base == identity);
    // of a base that is none of those it names, it is made from the first step on, to tell what differs
    let links = &made[found.unwrap_or(0)..];
    let scratch = tempfile::Builder::new().prefix(".verify-").tempdir_in(folder);
    let scratch = scratch.with_context(|| format!("{}: cannot make a folder there", folder.display()))?;
    let mut source = base;
    let mut again = scratch.path().join("0.gguf");
    for (number, link) in links.iter().enumerate() {
        let recipe = Recipe::parse("again", &link.recipe).with_context(|| format!("{}: its recipe", file.display()))?;
        again = scratch.path().join(format!("{number}.gguf"));
        write_to(&source, &recipe, &again, cancel, progress)
            .with_context(|| format!("{} cannot be made again of {}", file.display(), source.name()))?;
        source = Source::unpacked(&link.name, &again)?;
    }
    drop(source);
    let (here, again) = (Gguf::open(file)?, Gguf::open(&again)?);
    Ok(Verified {
        is_its_base: found.is_some(),
        base: identity,
        tensors: here.tensors().len(),
        tensors_differ: tensors(&here, &again),
        keys_differ: keys(&here, &again),
        made,
    })
}

fn tensors(here: &Gguf, again: &Gguf) -> Vec<(String, String)> {
    let mut differ = Vec::new();
    for tensor in here.tensors() {
        let Some(other) = again.tensor(&tensor.name) else {
            differ.push((tensor.name.clone(), "is none of those that come out".into()));
            continue;
        };
        if tensor.kind != other.kind {
            differ.push((tensor.name.clone(), format!("is {} and comes out as {}", tensor.kind, other.kind)));
        } else if tensor.shape != other.shape {
            differ.push((tensor.name.clone(), format!("is {:?} and comes out as {:?}", tensor.shape, other.shape)));
        } else if here.data(tensor) != again.data(other) {
            let (one, two) = (here.data(tensor), again.data(other));
            let count = one.iter().zip(two).filter(|(a, b)| a != b).count();
            differ.push((tensor.name.clone(), format!("differs in {count} of {} bytes", one.len())));
        }
        here.release(tensor, 0..tensor.size);
        again.release(other, 0..other.size);
    }
    let missing = again.tensors().iter().filter(|tensor| here.tensor(&tensor.name).is_none());
    differ.extend(missing.map(|tensor| (tensor.name.clone(), "is missing".to_owned())));
    differ
}

/// What the model is called differs with where it lies; what its steps told has paths and times in it.
fn keys(here: &Gguf, again: &Gguf) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "general.name",
        "general.basename",
        "general.finetune",
        "general.size_label",
        "general.organization",
        "general.version",
        history::KEY,
        history::MADE,
    ];
    let all: std::collections::BTreeSet<&String> = here.metadata().keys().chain(again.metadata().keys()).collect();
    let same = |key: &str| match (here.metadata().get(key), again.metadata().get(key)) {
        (Some(Value::F32(a)), Some(Value::F32(b))) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    };
    all.into_iter().filter(|key| !NAMES.contains(&key.as_str()) && !same(key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mixture;
    use bantam_bundled::models;
    use bantam_model::Embedded;

    fn bundled(name: &str) -> Source<'static> {
        let model = models::embedded().iter().find(|model| model.name == name).expect("bundled");
        let file = |name: &str| model.file(name).expect("it has it");
        Source::embedded(&Embedded {
            name: model.name,
            config: file("config.json"),
            weights: file("model.safetensors"),
            tokenizer: file("tokenizer.json"),
            tokenizer_config: model.file("tokenizer_config.json"),
            generation_config: model.file("generation_config.json"),
        })
        .expect("opens")
    }

    fn made(folder: &Path, recipe: &Recipe) -> std::path::PathBuf {
        let file = folder.join("made.gguf");
        write_to(&bundled("bantam-s"), recipe, &file, &Cancel::new(), &mut |_| {}).expect("makes");
        file
    }

    fn verified(file: &Path, base: Source<'static>, folder: &Path) -> Verified {
        verify(file, base, folder, &Cancel::new(), &mut |_| {}).expect("made again")
    }

    #[test]
    fn a_file_is_made_again_and_a_changed_weight_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path();
        for recipe in
            [Recipe::quantize(Mixture::Q4_0), Recipe::named("prune:heads=50% > quantize:q8_0").expect("a recipe")]
        {
            let file = made(folder, &recipe);
            let whole = verified(&file, bundled("bantam-s"), folder);
            assert!(whole.holds(), "{whole:?}");
            assert_eq!(whole.made[0].recipe, recipe.to_toml());
            let read = Gguf::open(&file).expect("opens");
            let last = read.tensors().last().expect("a tensor");
            // padding stands behind a tensor whose bytes are no multiple of the alignment
            let (name, mut bytes) = (last.name.clone(), std::fs::read(&file).expect("reads"));
            let at = bytes.len() - (last.size.next_multiple_of(32) - last.size) - 1;
            bytes[at] ^= 1;
            drop(read);
            std::fs::write(&file, bytes).expect("writes");
            let changed = verified(&file, bundled("bantam-s"), folder);
            assert_eq!(changed.tensors_differ.len(), 1, "{changed:?}");
            assert_eq!(changed.tensors_differ[0].0, name);
            assert!(!changed.holds() && changed.is_its_base);
        }
        assert_eq!(std::fs::read_dir(folder).expect("reads").count(), 1, "nothing is left but the file");
    }

    #[test]
    fn another_base_is_told_and_a_file_of_before_says_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = made(dir.path(), &Recipe::quantize(Mixture::Q8_0));
        let other = verified(&file, bundled("bantam-m"), dir.path());
        assert!(!other.is_its_base && !other.holds() && !other.tensors_differ.is_empty());
        let second = dir.path().join("second.gguf");
        let source = Source::unpacked("s", &file).expect("opens");
        write_to(&source, &Recipe::quantize(Mixture::Q4_0), &second, &Cancel::new(), &mut |_| {}).expect("makes");
        // by its first base, and by the one in between
        for base in [bundled("bantam-s"), Source::unpacked("s", &file).expect("opens")] {
            let whole = verified(&second, base, dir.path());
            assert!(whole.holds() && whole.made.len() == 2, "{whole:?}");
        }
    }
}
