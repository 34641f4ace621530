//! Ids of special tokens that are no token's: -1, or one beyond the vocabulary. A text cannot hold such a token and a
//! model cannot answer it, so the id is dropped with a note; who has to write the token refuses it.

use bantam_format::gguf::Gguf;
use serde_json::Value;

/// The keys of config.json and generation_config.json that are looked at.
const KEYS: [&str; 3] = ["bos_token_id", "eos_token_id", "pad_token_id"];

/// What the keys of a GGUF file with ids of tokens begin and end with.
const GGUF_KEY: (&str, &str) = ("tokenizer.ggml.", "_token_id");

/// A sentence on the ids of a GGUF file that are outside its vocabulary.
pub(crate) fn unused_of_gguf(gguf: &Gguf) -> Option<String> {
    let vocabulary = gguf.list_len("tokenizer.ggml.tokens").ok()?;
    let is_id = |key: &&String| key.starts_with(GGUF_KEY.0) && key.ends_with(GGUF_KEY.1);
    let ids = gguf.metadata().iter().filter(|(key, _)| is_id(key));
    sentence(ids.filter_map(|(key, value)| Some((key.clone(), value.integer()?))), vocabulary)
}

/// A sentence on the ids of a JSON config that are outside the vocabulary. `file` is the config's name.
pub(crate) fn unused_of_json(config: &serde_json::Map<String, Value>, file: &str, vocabulary: usize) -> Option<String> {
    let ids = KEYS.into_iter().flat_map(|key| {
        let values = match config.get(key) {
            Some(Value::Array(ids)) => &ids[..],
            Some(id) => std::slice::from_ref(id),
            None => &[],
        };
        values.iter().filter_map(move |id| Some((key.to_owned(), id.as_i64()?.into())))
    });
    sentence(ids, vocabulary).map(|sentence| format!("{file}: {sentence}"))
}

fn sentence(ids: impl Iterator<Item = (String, i128)>, vocabulary: usize) -> Option<String> {
    let outside = ids.filter(|(_, id)| !usize::try_from(*id).is_ok_and(|id| id < vocabulary));
    let told: Vec<String> = outside.map(|(key, id)| format!("{key} {id}")).collect();
    let (are, used) = if told.len() == 1 { ("is", "it is") } else { ("are", "they are") };
    (!told.is_empty()).then(|| {
        format!("{} {are} outside the vocabulary of {vocabulary} tokens, and {used} not used", told.join(", "))
    })
}
