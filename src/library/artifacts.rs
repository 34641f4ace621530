//! The file of a variant: its model's own where nothing was done to it, else the one that was made of it here.

use super::home::Home;
use bantam_core::record::{Place, Variant};
use std::fs;
use std::path::{Path, PathBuf};

/// Finds the files of a variant; None where they are not made, or not here any more. A bundled model has none.
pub fn find(variant: &Variant, home: &Home) -> Option<PathBuf> {
    match &variant.model.place {
        _ if !variant.is_base() => made(variant, &home.artifacts()),
        Place::Folder(path) | Place::Gguf(path) => path.exists().then(|| path.clone()),
        Place::Bundled(_) => None,
    }
}

/// The newest artifact whose note tells of this recipe and whose name begins with this model's.
fn made(variant: &Variant, artifacts: &Path) -> Option<PathBuf> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let stem: String = variant.model.name.chars().map(safe).chain(['.']).collect();
    let is_of = |note: &Path| {
        let named = note.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem));
        named
            && note.extension().is_some_and(|ending| ending == "json")
            && recipe_of(note) == Some(variant.steps.clone())
    };
    let notes = fs::read_dir(artifacts).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_of(path));
    let files = notes.map(|note| note.with_extension("gguf")).filter(|file| file.exists());
    files.max_by_key(|file| fs::metadata(file).and_then(|meta| meta.modified()).ok())
}

fn recipe_of(note: &Path) -> Option<String> {
    let note: serde_json::Value = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    Some(note.get("recipe")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::record::{Id, ModelRef};

    #[test]
    fn the_file_of_a_recipe_is_found_by_its_note() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        fs::create_dir_all(home.artifacts()).expect("made");
        let model = |name: &str| ModelRef {
            name: name.into(),
            place: Place::Folder(folder.path().into()),
            digest: Id::of_bytes(b"m"),
            parameters: 1,
            commit: None,
            adapter: None,
        };
        let note = serde_json::json!({"recipe": "steps", "bytes": 3});
        fs::write(home.artifacts().join("org-m.Q4_K.0123.json"), note.to_string()).expect("written");
        let file = home.artifacts().join("org-m.Q4_K.0123.gguf");
        let variant = |name, steps: &str| Variant::new(model(name), Some(("Q4_K".into(), steps.into())));
        assert_eq!(find(&variant("org/m", "steps"), &home), None, "the note alone is no file");
        fs::write(&file, b"abc").expect("written");
        assert_eq!(find(&variant("org/m", "steps"), &home), Some(file));
        assert_eq!(find(&variant("org/m", "other steps"), &home), None);
        assert_eq!(find(&variant("org/mm", "steps"), &home), None);
        assert_eq!(find(&Variant::new(model("org/m"), None), &home), Some(folder.path().into()), "a base is its model");
    }
}
