//! The identity of a model's files: a hash of the weights, config and tokenizer, so that a changed file is another
//! model, wherever it lies and whatever it is called.

use super::{Error, names};
use crate::record::{Id, Place};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Files beside the weights that change what a model says.
const SMALL: &[&str] = &[
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// Reads every byte that counts, about a second a gigabyte. None for a bundled model: the binary knows those.
pub fn digest(place: &Place) -> Result<Option<Id>, Error> {
    match place {
        Place::Bundled(_) => Ok(None),
        Place::Gguf(file) => Ok(Some(Id::of(&("gguf 1", content(file)?)))),
        Place::Folder(folder) => {
            let counts = |name: &String| name.ends_with(".safetensors") || SMALL.contains(&name.as_str());
            let hashed = |name: String| content(&folder.join(&name)).map(|hash| (name, hash));
            let files: Vec<(String, String)> =
                names(folder)?.into_iter().filter(counts).map(hashed).collect::<Result<_, _>>()?;
            Ok(Some(Id::of(&("folder 1", files))))
        }
    }
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
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

fn named_by_hash(blob: &Path) -> Option<String> {
    let name = blob.file_name()?.to_str()?;
    let in_blobs = blob.parent()?.file_name()? == "blobs";
    (in_blobs && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_ascii_lowercase())
}
