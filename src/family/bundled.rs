//! The family's files as they lie in models/, carried inside the binary.

/// One file of a bundled model.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub name: &'static str,
    pub data: &'static [u8],
}

/// One bundled model: the files of its folder.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    pub name: &'static str,
    pub files: [File; 5],
}

impl Bundled {
    /// The contents of the file of that name.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|file| file.name == name).map(|file| file.data)
    }
}

macro_rules! bundled {
    ($name:literal) => {
        bundled!($name: "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    };
    ($name:literal: $($file:literal),+) => {
        Bundled {
            name: $name,
            files: [$(File {
                name: $file,
                data: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $name, "/", $file)),
            }),+],
        }
    };
}

static FAMILY: [Bundled; 3] = [bundled!("bantam-s"), bundled!("bantam-m"), bundled!("bantam-l")];

/// The bundled models, smallest first.
pub fn embedded() -> &'static [Bundled] {
    &FAMILY
}

#[cfg(test)]
mod tests {
    use super::super::size::{SIZES, VOCAB};
    use super::*;
    use crate::model::format::safetensors::Safetensors;
    use crate::model::{Config, Decoder, Precision};
    use candle_core::Device;
    use tokenizers::Tokenizer;

    #[test]
    fn every_size_of_the_table_is_bundled_as_the_table_says_and_loads() {
        assert_eq!(embedded().len(), SIZES.len());
        for (bundled, size) in embedded().iter().zip(&SIZES) {
            assert_eq!(bundled.name, size.name);
            let config = bundled.file("config.json").unwrap();
            assert_eq!(serde_json::from_slice::<serde_json::Value>(config).unwrap(), size.config());
            let config = Config::from_json(config, size.name).unwrap();
            let weights = bundled.file("model.safetensors").unwrap();
            let weights = Safetensors::embedded(size.name, weights, &Device::Cpu, Precision::AsStored).unwrap();
            Decoder::new(&config, &weights).unwrap();
            let tokenizer = Tokenizer::from_bytes(bundled.file("tokenizer.json").unwrap()).unwrap();
            assert_eq!(tokenizer.get_vocab_size(true), VOCAB);
        }
    }

    #[test]
    fn the_family_leaves_room_in_a_crate_of_ten_megabytes() {
        let bytes: usize = embedded().iter().flat_map(|b| &b.files).map(|f| f.data.len()).sum();
        assert!(bytes < 9_000_000, "{bytes} bytes");
    }
}
