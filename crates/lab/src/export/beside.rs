//! What stands beside the weights in a folder: config.json, the tokenizer's files, templates, and what a GGUF file told of
//! its model. A folder's own files are copied; those of a GGUF file are made of what it says.

use super::From;
use crate::told;
use anyhow::{Context, Result, bail, ensure};
use bantam_model::{self as model, Config, Tokenizer};
use serde_json::{Map, Value as Json, json};
use std::fs;
use std::path::Path;

/// Files beside the weights that go along.
const BESIDE: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
];

/// Writes what stands beside the weights, but for config.json; `tokenizer` is that of a model without files for it.
pub(super) fn write(from: From, tokenizer: Option<&Tokenizer>, folder: &Path) -> Result<()> {
    for file in BESIDE.into_iter().chain(["chat_template.jinja"]) {
        if let Some(bytes) = beside(from, file)? {
            fs::write(folder.join(file), bytes).with_context(|| format!("writing {file}"))?;
        }
    }
    copy_templates(from, folder)?;
    let told = match from.model {
        model::Source::Path(path) => told::of(path)?,
        model::Source::Embedded(_) => None,
    };
    if let Some(told) = told {
        fs::write(folder.join(told::FILE), told).with_context(|| format!("writing {}", told::FILE))?;
    }
    for (file, text) in tokenizer.map(Tokenizer::files).into_iter().collect::<model::Result<Vec<_>>>()?.concat() {
        let path = folder.join(&file);
        path.parent().map(fs::create_dir_all).transpose().with_context(|| format!("writing {file}"))?;
        fs::write(path, text).with_context(|| format!("writing {file}"))?;
    }
    Ok(())
}

/// A new folder, or an empty one.
pub(super) fn check_folder(out: &Path) -> Result<()> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(parent.is_dir(), "{}: there is no such folder to write into", parent.display());
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| out.display().to_string()),
        Ok(found) if !found.is_dir() => bail!("{}: it is there already and no folder; name a new one", out.display()),
        Ok(_) if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none()) => Ok(()),
        Ok(_) => bail!("{}: there is something in it already; name a new folder", out.display()),
    }
}

/// A file that stands beside the weights.
pub(super) fn beside(from: From, file: &str) -> Result<Option<Vec<u8>>> {
    match from.model {
        model::Source::Embedded(files) => Ok(match file {
            "config.json" => Some(files.config.to_vec()),
            "tokenizer.json" => Some(files.tokenizer.to_vec()),
            "tokenizer_config.json" => files.tokenizer_config.map(<[u8]>::to_vec),
            "generation_config.json" => files.generation_config.map(<[u8]>::to_vec),
            _ => None,
        }),
        model::Source::Path(path) if path.is_dir() => match fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => bail!("cannot read {}: {e}", path.join(file).display()),
        },
        model::Source::Path(_) => Ok(None),
    }
}

fn copy_templates(from: From, folder: &Path) -> Result<()> {
    const NAME: &str = "additional_chat_templates";
    let model::Source::Path(path) = from.model else { return Ok(()) };
    let Ok(entries) = fs::read_dir(path.join(NAME)) else { return Ok(()) };
    fs::create_dir(folder.join(NAME)).with_context(|| format!("making {NAME}"))?;
    for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "jinja")) {
        fs::copy(entry.path(), folder.join(NAME).join(entry.file_name())).with_context(|| format!("copying {NAME}"))?;
    }
    Ok(())
}

/// config.json of what is written: plain weights of one type, and of a larger model's config the text's part. It is made of
/// the config where a model has no such file.
pub(super) fn written_config(found: Option<&[u8]>, config: &Config, dtype: &str) -> Result<Map<String, Json>> {
    let Some(bytes) = found else {
        let mut map = config.to_json()?;
        map.insert("dtype".into(), json!(dtype));
        return Ok(map);
    };
    let whole: Map<String, Json> = serde_json::from_slice(bytes).context("config.json")?;
    let mut map = match whole.get("text_config") {
        Some(Json::Object(text)) => {
            let mut text = text.clone();
            text.insert("model_type".into(), json!(config.architecture.name));
            text.insert("architectures".into(), json!([config.architecture.class()]));
            for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
                if let (false, Some(id)) = (text.contains_key(key), whole.get(key)) {
                    text.insert(key.into(), id.clone());
                }
            }
            text
        }
        _ => whole,
    };
    map.shift_remove("quantization_config");
    map.shift_remove("compression_config");
    let key = if map.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    map.insert(key.into(), json!(dtype));
    if map.contains_key("vocab_size") {
        map.insert("vocab_size".into(), json!(config.vocab));
    }
    Ok(map)
}
