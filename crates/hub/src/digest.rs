//! The identity of a model's files: a hash of the weights, config and tokenizer, so that a changed file is another
//! model, wherever it lies and whatever it is called.

use super::{Error, names};
use bantam_core::disk::hex;
use bantam_core::record::Id;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
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

/// The identity of a GGUF file. Reads every byte, about a second a gigabyte.
pub fn digest_of_file(file: &Path) -> Result<Id, Error> {
    Ok(Id::of(&("gguf 1", content(file)?)))
}

/// The identity of a checkpoint's folder. Reads every byte that counts, about a second a gigabyte.
pub fn digest_of_folder(folder: &Path) -> Result<Id, Error> {
    let hashed = |file: PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        content(&file).map(|hash| (name, hash))
    };
    let files: Vec<_> = files(folder)?.into_iter().map(hashed).collect::<Result<_, _>>()?;
    Ok(Id::of(&("folder 1", files)))
}

/// The files of a checkpoint's folder that make it the model it is, sorted by name; those of the folders below it come
/// last, which modules.json (sentence-transformers' pooling and dense layers) makes count.
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

/// The SHA-256 of a file in hex. In the Hugging Face cache a large file is a link to a blob that is named by it.
fn content(file: &Path) -> Result<String, Error> {
    if let Some(hash) = std::fs::read_link(file).ok().and_then(|blob| named_by_hash(&blob)) {
        return Ok(hash);
    }
    let mut reader = File::open(file).map_err(Error::unreadable(file))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer).map_err(Error::unreadable(file))? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hex(&hash.finalize()))
}

fn named_by_hash(blob: &Path) -> Option<String> {
    let name = blob.file_name()?.to_str()?;
    let in_blobs = blob.parent()?.file_name()? == "blobs";
    (in_blobs && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_ascii_lowercase())
}
