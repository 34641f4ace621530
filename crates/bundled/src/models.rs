//! The bundled models: the files of models/, embedded in the binary.

/// One file of a bundled model.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// The file's name in the model's folder: "config.json".
    pub name: &'static str,
    /// The file's contents.
    pub data: &'static [u8],
}

/// A bundled model: the files of its folder.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// The model's name: "bantam-s".
    pub name: &'static str,
    /// Its config, tokenizer and weights.
    pub files: [File; 5],
}

impl Bundled {
    /// Gives the contents of the file of that name; `None` where the model has no such file.
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

/// Lists the bundled models, smallest first.
pub fn embedded() -> &'static [Bundled] {
    &FAMILY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_leave_room_in_a_crate_of_ten_megabytes() {
        let bytes: usize = embedded().iter().flat_map(|b| &b.files).map(|f| f.data.len()).sum();
        assert!(bytes < 9_000_000, "{bytes} bytes");
    }
}
