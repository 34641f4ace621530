//! The JSON schemas of profiles, suites and results.json, from the types that read and write them.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Each file's name and its schema.
fn schemas() -> [(&'static str, Value); 3] {
    let titled = |mut schema: Value, title: &str| {
        // not the name that the type has in the code
        schema["title"] = title.into();
        schema
    };
    [
        ("profile.json", titled(bantam_core::profile::schema(), "A profile of bantam")),
        ("results.json", titled(bantam_verdict::report::schema(), "The results.json of bantam")),
        ("suite.json", titled(bantam_eval::schema(), "A suite of bantam")),
    ]
}

/// Writes every schema into a folder, and gives their paths.
pub(crate) fn write(folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let put = |(name, schema): (&str, Value)| {
        let path = folder.join(name);
        std::fs::write(&path, text(&schema)?).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    schemas().into_iter().map(put).collect()
}

fn text(schema: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(schema).context("a schema as text")? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_in_docs_are_those_of_the_types() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
        for (name, schema) in schemas() {
            let there = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
            assert!(there == text(&schema).expect("text"), "{name} is not up to date: run `cargo xtask schema`");
        }
    }
}
