//! Writes small GGUF files for tests, correct ones and broken ones, byte by byte after the format's description. It
//! shares no code with the reader, nor with the export that bantam ships.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::Result;
use bantam_format::gguf::Gguf;

#[derive(Default, Clone)]
pub(super) struct GgufFile {
    /// Type and bytes of each key's value.
    keys: BTreeMap<String, (u32, Vec<u8>)>,
    pub tensors: Vec<TensorEntry>,
}

#[derive(Clone)]
pub(super) struct TensorEntry {
    pub name: String,
    /// Innermost first, as in the file.
    pub dims: Vec<u64>,
    pub kind: u32,
    pub offset: u64,
    pub data: Vec<u8>,
}

/// A file on disk for as long as this lives.
pub(super) struct Saved(NamedTempFile);

impl Saved {
    pub(super) fn bytes(bytes: &[u8]) -> Self {
        let mut file = NamedTempFile::with_suffix(".gguf").expect("temporary file");
        file.write_all(bytes).expect("write");
        Self(file)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn open(&self) -> Result<Gguf> {
        Ok(Gguf::open(self.path())?)
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl GgufFile {
    pub(super) fn u32(&mut self, key: &str, value: u32) {
        self.keys.insert(key.into(), (4, value.to_le_bytes().into()));
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.keys.insert(key.into(), (8, text(value)));
    }

    pub(super) fn strings(&mut self, key: &str, values: &[impl AsRef<str>]) {
        let items = values.iter().flat_map(|value| text(value.as_ref())).collect::<Vec<_>>();
        self.list(key, 8, values.len(), &items);
    }

    pub(super) fn i32s(&mut self, key: &str, values: &[i32]) {
        let items = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        self.list(key, 5, values.len(), &items);
    }

    fn list(&mut self, key: &str, kind: u32, count: usize, items: &[u8]) {
        let bytes = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), items].concat();
        self.keys.insert(key.into(), (9, bytes));
    }

    /// A value of any type, as bytes.
    pub(super) fn raw(&mut self, key: &str, kind: u32, bytes: &[u8]) {
        self.keys.insert(key.into(), (kind, bytes.into()));
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// An f32 tensor of one row behind those there are.
    pub(super) fn tensor(&mut self, name: &str, values: &[f32]) {
        let end = self.tensors.last().map_or(0, |t| t.offset + t.data.len() as u64);
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let dims = vec![values.len() as u64];
        self.tensors.push(TensorEntry { name: name.into(), dims, kind: 0, offset: end.next_multiple_of(32), data });
    }

    /// The metadata llama.cpp's converter writes for the byte-level tokenizer of a folder.
    pub(super) fn with_tokenizer_of(folder: &Path, pre: &str) -> Self {
        let read = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(name)).expect(name)).expect(name)
        };
        let (json, config) = (read("tokenizer.json"), read("tokenizer_config.json"));
        let vocab = json["model"]["vocab"].as_object().expect("vocab");
        let added = json["added_tokens"].as_array().expect("added tokens");
        let mut tokens: BTreeMap<u64, (&str, i32)> =
            vocab.iter().map(|(text, id)| (id.as_u64().expect("id"), (text.as_str(), 1))).collect();
        tokens.extend(added.iter().map(|t| (t["id"].as_u64().expect("id"), (t["content"].as_str().expect("text"), 3))));
        let merge = |pair: &Value| match pair {
            Value::String(pair) => pair.clone(),
            pair => format!("{} {}", pair[0].as_str().expect("left"), pair[1].as_str().expect("right")),
        };
        let merges: Vec<String> = json["model"]["merges"].as_array().expect("merges").iter().map(merge).collect();
        let id = |role: &str| {
            let text = config[role].as_str().expect("special token");
            let (id, _) = tokens.iter().find(|(_, (t, _))| *t == text).expect("special token is in the vocabulary");
            *id as u32
        };
        let mut file = Self::default();
        file.string("tokenizer.ggml.model", "gpt2");
        file.string("tokenizer.ggml.pre", pre);
        file.strings("tokenizer.ggml.tokens", &tokens.values().map(|(text, _)| *text).collect::<Vec<_>>());
        file.i32s("tokenizer.ggml.token_type", &tokens.values().map(|(_, kind)| *kind).collect::<Vec<_>>());
        file.strings("tokenizer.ggml.merges", &merges);
        file.u32("tokenizer.ggml.bos_token_id", id("bos_token"));
        file.u32("tokenizer.ggml.eos_token_id", id("eos_token"));
        file.string("tokenizer.chat_template", config["chat_template"].as_str().expect("template"));
        file
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, (kind, value)) in &self.keys {
            out.extend([text(key), kind.to_le_bytes().into(), value.clone()].concat());
        }
        for tensor in &self.tensors {
            out.extend(text(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32), 0);
        let data = out.len();
        for tensor in &self.tensors {
            let from = data + tensor.offset as usize % (1 << 20);
            out.resize(out.len().max(from + tensor.data.len()), 0);
            out[from..from + tensor.data.len()].copy_from_slice(&tensor.data);
        }
        out
    }

    pub(super) fn save(&self) -> Saved {
        Saved::bytes(&self.bytes())
    }
}
