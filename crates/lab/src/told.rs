//! What a GGUF file tells of its model that no file of a checkpoint has a place for: its name, licence, authors, tags. In a
//! folder that was exported from one it stands in a file of its own, and comes back where a GGUF file is made of the
//! folder.

use anyhow::{Context, Result, bail};
use bantam_format::gguf::{Gguf, Value, list};
use bantam_model::config::gguf::Pair;
use serde_json::{Map, Value as Json};
use std::path::Path;

/// The file, beside config.json.
pub(crate) const FILE: &str = "gguf_general.json";

/// Keys that are said of the file and not of the model.
const OF_THE_FILE: [&str; 4] =
    ["general.architecture", "general.file_type", "general.quantization_version", "general.alignment"];

/// The text of the file for a GGUF file, or the one that a folder has already; None where there is nothing to tell.
pub(crate) fn of(model: &Path) -> Result<Option<String>> {
    let main = bantam_model::main_file(model)?;
    if main.is_dir() {
        return read(&main).map(|pairs| (!pairs.is_empty()).then(|| written(pairs)));
    }
    let file = Gguf::open(&main)?;
    let is_told = |key: &str| key.starts_with("general.") && !OF_THE_FILE.contains(&key);
    let told = file.metadata().iter().filter(|(key, _)| is_told(key));
    let told: Vec<Pair> = told.map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok((!told.is_empty()).then(|| written(told)))
}

fn written(pairs: Vec<Pair>) -> String {
    let map: Map<String, Json> = pairs.into_iter().filter_map(|(key, value)| Some((key, json(&value)?))).collect();
    format!("{:#}\n", Json::Object(map))
}

/// What the file of a folder tells; nothing where it has none.
///
/// # Errors
/// Where the file is there and is not what is written there.
pub(crate) fn read(folder: &Path) -> Result<Vec<Pair>> {
    let path = folder.join(FILE);
    let text = match bantam_core::input::read_to_string(&path, bantam_core::input::WRITTEN_BY_HAND) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => bail!("cannot read {}: {e}", path.display()),
    };
    let map: Map<String, Json> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let pair = |(key, json): (String, Json)| match value(&json).filter(|_| key.starts_with("general.")) {
        Some(value) => Ok((key, value)),
        None => bail!(
            "{}: {key} is {json}; allowed are texts, whole numbers, true, false and lists of texts under \
                       general.*",
            path.display()
        ),
    };
    map.into_iter().filter(|(key, _)| !OF_THE_FILE.contains(&key.as_str())).map(pair).collect()
}

fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Bool(yes) => Json::from(*yes),
        Value::Array(_, values) => values.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        // GGUF's whole numbers here are counts
        other => Json::from(u32::try_from(other.integer()?).ok()?),
    })
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => Value::U32(u32::try_from(number.as_u64()?).ok()?),
        Json::Array(all) => {
            list(all.iter().map(|one| Some(Value::String(one.as_str()?.into()))).collect::<Option<_>>()?)
        }
        Json::Null | Json::Object(_) => return None,
    })
}
