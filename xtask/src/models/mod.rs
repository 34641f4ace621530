//! The bundled family: small real models that bantam trains itself. Here is the text they learn from, their sizes, their tokenizer, how they are built, and the files.
//! It measures nothing: what they can do is in models/README.md.

pub(crate) mod build;
pub(crate) mod corpus;
mod export;
mod reader;
mod size;
mod tokenizer;

pub(crate) use build::{Build, build};
pub(crate) use size::{SIZES, Size};

#[cfg(test)]
mod tests {
    use super::size::{SIZES, VOCAB};
    use bantam_bundled::models::embedded;
    use bantam_model::checkpoint::safetensors::Safetensors;
    use bantam_model::{Config, Decoder, Precision};
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
}
