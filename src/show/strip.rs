//! A strip of a file's types: for each kind of matrix a row, for each layer a sign that tells how many bits a weight has, so
//! that it can be seen at a glance where a search has spent its bytes.

use anyhow::Result;
use bantam_core::record::Place;
use bantam_format::gguf::Gguf;
use std::path::Path;

/// One kind of matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct StripRow {
    /// Its GGUF name without the layer: "attn_q", "token_embd".
    pub part: String,
    /// Bits a weight, layer by layer; one number outside the layers, None where a layer has no such matrix.
    pub bits: Vec<Option<f64>>,
}

impl StripRow {
    /// A sign for each layer.
    pub fn signs(&self) -> impl Iterator<Item = (char, Option<f64>)> {
        self.bits.iter().map(|bits| (sign(*bits), *bits))
    }

    /// All signs.
    pub fn text(&self) -> String {
        self.signs().map(|(sign, _)| sign).collect()
    }
}

/// What the signs mean.
pub const SIGNS: &str = "bits of a weight, whole ones: 1 to 9, h for 16, f for 32";

fn sign(bits: Option<f64>) -> char {
    match bits {
        None => ' ',
        Some(bits) if bits >= 32.0 => 'f',
        Some(bits) if bits >= 10.0 => 'h',
        Some(bits) => char::from_digit(bits as u32, 10).unwrap_or('?'),
    }
}

/// The strip of a model that is a GGUF file, empty for any other.
///
/// # Errors
/// Where the file cannot be read.
pub fn of(place: &Place) -> Result<Vec<StripRow>> {
    match place {
        Place::Gguf(path) => of_file(path),
        Place::Folder(path) => match bantam_model::main_file(path)? {
            file if file.extension().is_some_and(|ending| ending == "gguf") => of_file(&file),
            _ => Ok(Vec::new()),
        },
        _ => Ok(Vec::new()),
    }
}

/// The strip of a GGUF file.
///
/// # Errors
/// Where it cannot be read.
pub fn of_file(path: &Path) -> Result<Vec<StripRow>> {
    let file = Gguf::open(path)?;
    let tensors = file.tensors().iter().filter(|tensor| tensor.shape.len() > 1);
    Ok(rows(tensors.map(|tensor| {
        let weights: usize = tensor.shape.iter().product();
        (tensor.name.as_str(), 8.0 * tensor.size as f64 / weights.max(1) as f64)
    })))
}

/// Rows in the order in which their first tensors stand.
fn rows<'a>(tensors: impl Iterator<Item = (&'a str, f64)>) -> Vec<StripRow> {
    let mut rows: Vec<StripRow> = Vec::new();
    for (name, bits) in tensors {
        let name = name.strip_suffix(".weight").unwrap_or(name);
        let inside = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let inside = inside.and_then(|(layer, part)| Some((layer.parse::<usize>().ok()?, part)));
        // no model has so many, and a file may claim any number
        let (layer, part) = inside.filter(|(layer, _)| *layer < 4096).unwrap_or((0, name));
        let place = rows.iter().position(|row| row.part == part);
        let row = match place {
            Some(place) => &mut rows[place],
            None => {
                rows.push(StripRow { part: part.to_owned(), bits: Vec::new() });
                rows.last_mut().expect("it was pushed just now")
            }
        };
        if row.bits.len() <= layer {
            row.bits.resize(layer + 1, None);
        }
        row.bits[layer] = Some(bits);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_matrix_is_a_row_and_every_layer_a_sign() {
        let tensors = [
            ("token_embd.weight", 6.5625),
            ("blk.0.attn_q.weight", 4.5),
            ("blk.1.attn_q.weight", 2.0625),
            ("blk.2.ffn_down.weight", 16.0),
            ("blk.99999.ffn_down.weight", 32.0),
        ];
        let rows: Vec<(String, String)> =
            rows(tensors.into_iter()).into_iter().map(|row| (row.part.clone(), row.text())).collect();
        let wanted = [("token_embd", "6"), ("attn_q", "42"), ("ffn_down", "  h"), ("blk.99999.ffn_down", "f")];
        assert_eq!(rows, wanted.map(|(part, signs)| (part.to_owned(), signs.to_owned())));
    }
}
