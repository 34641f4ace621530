//! The identity of a model's files: a hash of the weights, config and tokenizer, so that a changed file is another
//! model, wherever it lies and whatever it is called.

use super::name::Repo;
use super::verify::Hash;
use super::{Error, names};
use bantam_core::cancel::Cancel;
use bantam_core::digest;
use bantam_core::record::Id;
use std::path::{Path, PathBuf};

/// Files beside the weights that change what a model says.
const SMALL: &[&str] = &[
    "config.json",
    "generation_config.json",
    "quantize_config.json",
    "quant_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
];

/// Computes the identity of a GGUF file. Reads every byte once, about a second a gigabyte.
///
/// # Errors
/// Where the file cannot be read, or is a blob of the cache that is not what its name says.
pub fn digest_of_file(file: &Path) -> Result<Id, Error> {
    Ok(Id::of(&("gguf 1", content(file)?)))
}

/// Computes the identity of a checkpoint's folder. Reads every byte that counts once, about a second a gigabyte.
///
/// # Errors
/// Where the folder or a file of it cannot be read, or one is a blob of the cache that is not what its name says.
pub fn digest_of_folder(folder: &Path) -> Result<Id, Error> {
    let hashed = |file: PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        content(&file).map(|hash| (name, hash))
    };
    let files: Vec<_> = files(folder)?.into_iter().map(hashed).collect::<Result<_, _>>()?;
    Ok(Id::of(&("folder 1", files)))
}

/// Lists the files of a checkpoint's folder that make it the model it is, sorted by name; those of the folders below it
/// come last, which modules.json (sentence-transformers' pooling and dense layers) makes count.
///
/// # Errors
/// Where the folder, or one below it that counts, cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let names = names(folder)?;
    let mut files: Vec<PathBuf> =
        names.iter().filter(|name| counts(name.as_str())).map(|name| folder.join(name)).collect();
    if names.iter().any(|name| name == "modules.json") {
        for module in names.iter().map(|name| folder.join(name)).filter(|path| path.is_dir()) {
            files.extend(
                self::names(&module)?.iter().filter(|name| counts(name.as_str())).map(|name| module.join(name)),
            );
        }
    }
    Ok(files)
}

fn counts(name: &str) -> bool {
    // sentence_bert_config.json and its kin
    let of_sentences = name.starts_with("sentence_") && name.ends_with("_config.json");
    name.ends_with(".safetensors") || of_sentences || SMALL.contains(&name)
}

/// The SHA-256 of a file in hex, read once as long as the file stays as it is.
fn content(file: &Path) -> Result<String, Error> {
    let cancel = Cancel::new();
    verified(file, false, &cancel)?;
    digest::here().sha256(file, &cancel).map_err(Error::unreadable(file))
}

/// Holds a file of the Hugging Face cache, a link to a blob that is named by its hash, to that name; any other file is what
/// it is.
pub(crate) fn verified(file: &Path, anew: bool, cancel: &Cancel) -> Result<(), Error> {
    let Some((blob, hash)) = std::fs::read_link(file).ok().and_then(|link| named_by_hash(file, &link)) else {
        return Ok(());
    };
    match hash.check(&blob, anew, cancel) {
        Ok(None) => Ok(()),
        Err(_) if cancel.is_cancelled() => Err(Error::Cancelled),
        Err(error) => Err(Error::unreadable(&blob)(error)),
        Ok(Some(found)) => {
            let folder = blob.parent().and_then(Path::parent).and_then(Path::file_name);
            let repo = folder.and_then(|name| Repo::of_folder(&name.to_string_lossy()));
            let name = repo.map_or_else(|| "ORG/NAME".into(), |repo| repo.id());
            Err(Error::Rotten { name, file: blob, found: found.to_string() })
        }
    }
}

/// The blob behind a link of a snapshot, and the hash that its name is.
fn named_by_hash(file: &Path, link: &Path) -> Option<(PathBuf, Hash)> {
    let in_blobs = link.parent()?.file_name()? == "blobs";
    let hash = Hash::of_hex(link.file_name()?.to_str()?).filter(|_| in_blobs)?;
    Some((file.canonicalize().ok()?, hash))
}
