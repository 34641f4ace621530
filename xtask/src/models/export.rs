//! A trained model as a folder that transformers, llama.cpp's converter and bantam itself load: config.json,
//! generation_config.json, tokenizer.json, tokenizer_config.json, model.safetensors in bf16.

use super::size::{MAX_POSITIONS, Size};
use super::tokenizer::Special;
use anyhow::{Context, Result, anyhow};
use bantam_core::disk;
use bantam_lab::train::Vars;
use half::bf16;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use tokenizers::Tokenizer;

/// How a conversation is written for a model that knows only questions and answers.
const CHAT_TEMPLATE: &str = "{% for message in messages %}\
{% if message['role'] == 'assistant' %}A: {{ message['content'] }}\n\
{% else %}Q: {{ message['content'] }}\n{% endif %}{% endfor %}\
{% if add_generation_prompt %}A:{% endif %}";

/// Writes the folder, each file to a temporary name first.
pub(super) fn write(folder: &Path, size: &Size, tokenizer: &Tokenizer, vars: &Vars) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let tokenizer = tokenizer.to_string(true).map_err(|error| anyhow!("the tokenizer was not written: {error}"))?;
    let files: [(&str, Vec<u8>); 5] = [
        ("config.json", pretty(&size.config())?),
        ("generation_config.json", pretty(&generation_config())?),
        ("tokenizer.json", (tokenizer + "\n").into_bytes()),
        ("tokenizer_config.json", pretty(&tokenizer_config())?),
        ("model.safetensors", weights(vars)?),
    ];
    for (name, data) in files {
        let file = folder.join(name);
        disk::write(&file, &data).with_context(|| format!("{}: cannot be written", file.display()))?;
    }
    Ok(())
}

fn generation_config() -> Value {
    json!({
        "bos_token_id": Special::Begin.id(),
        "eos_token_id": Special::End.id(),
        "pad_token_id": Special::Pad.id(),
        "do_sample": false
    })
}

fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": Special::Begin.text(),
        "eos_token": Special::End.text(),
        "pad_token": Special::Pad.text(),
        "add_bos_token": false,
        "add_eos_token": false,
        "clean_up_tokenization_spaces": false,
        "model_max_length": MAX_POSITIONS,
        "chat_template": CHAT_TEMPLATE
    })
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    Ok((serde_json::to_string_pretty(value)? + "\n").into_bytes())
}

/// All variables rounded to the nearest bf16, ties to even. The head is the embedding, so it is not stored twice.
fn weights(vars: &Vars) -> Result<Vec<u8>> {
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, var) in vars.all() {
        let floats: Vec<f32> = var.flatten_all()?.to_vec1()?;
        let data = floats.iter().flat_map(|&f| bf16::from_f32(f).to_le_bytes()).collect();
        parts.push((name, var.dims().to_vec(), data));
    }
    let views = parts
        .iter()
        .map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::BF16, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    // transformers refuses a file that does not say which framework's layout it has
    let header = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views, Some(header))?)
}
