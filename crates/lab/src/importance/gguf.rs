//! Importance matrices in GGUF: two tensors of f32 for each entry, `NAME.in_sum2` and `NAME.counts`
//! (tools/imatrix/imatrix.cpp, `save_imatrix`).

use super::{Entry, Importance};
use anyhow::{Result, bail, ensure};
use bantam_format::ggml::Type;
use bantam_format::gguf::{self, ALIGNMENT, Gguf, NewTensor, TensorInfo, Value};
use std::collections::BTreeMap;
use std::path::Path;

const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

pub(super) fn read(file: &Path) -> Result<Importance> {
    let file = Gguf::open(file)?;
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for tensor in file.tensors() {
        if let Some(name) = tensor.name.strip_suffix(SUMS) {
            entries.entry(name.to_owned()).or_default().sums = numbers(&file, tensor)?;
        } else if let Some(name) = tensor.name.strip_suffix(COUNTS) {
            // stored as f32
            let counts = numbers(&file, tensor)?.into_iter().map(|count| count.round().max(0.0) as u64).collect();
            entries.entry(name.to_owned()).or_default().counts = counts;
        } else {
            bail!(
                "tensor {} is neither sums ({SUMS}) nor counts ({COUNTS}): it is a GGUF file of another kind",
                tensor.name
            );
        }
    }
    let number = |key: &str| file.optional_integer(key).map(|n| n.unwrap_or(0).try_into().unwrap_or(u32::MAX));
    let datasets = if file.has("imatrix.datasets") { file.strings("imatrix.datasets")? } else { Vec::new() };
    Ok(Importance {
        entries,
        datasets,
        chunks: number("imatrix.chunk_count")?,
        chunk_size: number("imatrix.chunk_size")?,
    })
}

fn numbers(file: &Gguf, tensor: &TensorInfo) -> Result<Vec<f32>> {
    ensure!(tensor.kind == Type::F32, "tensor {} is {}, allowed is F32", tensor.name, tensor.kind);
    let bytes = file.data(tensor);
    let (numbers, rest) = bytes.as_chunks();
    ensure!(rest.is_empty(), "tensor {} is cut off", tensor.name);
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

pub(super) fn bytes(importance: &Importance) -> Vec<u8> {
    let datasets = importance.datasets.iter().cloned().map(Value::String).collect::<Vec<_>>();
    // an empty list is one of texts, too
    let datasets = if datasets.is_empty() { Value::Array(8, datasets) } else { gguf::list(datasets) };
    let metadata = [
        ("general.type".to_owned(), Value::String("imatrix".into())),
        ("imatrix.datasets".to_owned(), datasets),
        ("imatrix.chunk_count".to_owned(), Value::U32(importance.chunks)),
        ("imatrix.chunk_size".to_owned(), Value::U32(importance.chunk_size)),
    ];
    let tensors = importance.entries.iter().flat_map(|(name, entry)| {
        let matrices = entry.counts.len();
        let tensor = |ending, columns| NewTensor {
            name: format!("{name}{ending}"),
            // as ggml writes it: one matrix is no dimension
            shape: if matrices == 1 { vec![columns] } else { vec![matrices, columns] },
            kind: Type::F32,
        };
        [tensor(SUMS, entry.sums.len() / matrices.max(1)), tensor(COUNTS, 1)]
    });
    let mut bytes = gguf::head(&metadata, &tensors.collect::<Vec<_>>());
    for entry in importance.entries.values() {
        for numbers in [entry.sums.clone(), entry.counts.iter().map(|&count| count as f32).collect()] {
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        }
    }
    bytes
}
