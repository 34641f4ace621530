//! The file of what is advised: where it is, and the commands that run it.

use crate::library::models::{self, ModelFacts};
use crate::run::Workplace;
use bantam_core::cache_type::CacheType;
use bantam_core::record::{Ask, Place, Run, Variant};
use bantam_core::unit::{Bytes, grouped};
use bantam_model::KvType;
use bantam_verdict::recommend::Advice;
use bantam_verdict::report::AdvisedFile;
use std::path::{Path, PathBuf};

/// The file of the advised variant; None where nothing is advised.
pub(super) fn file(advice: &Advice, run: &Run, workplace: &Workplace) -> Option<AdvisedFile> {
    let variant = &advice.advised()?.variant;
    let path = place(variant, workplace);
    let inside = variant.has_own_files() && path.is_none();
    let exists = inside || path.as_ref().is_some_and(|path| path.exists());
    let facts = models::inspect(&variant.model.place).ok();
    Some(AdvisedFile {
        variant: variant.label(),
        commands: commands(variant, path.as_deref().filter(|_| exists), facts.as_ref(), &run.profile_name),
        context: facts.and_then(|facts| longer_context(&facts, models::kv_type(variant.kv), run)),
        address: match &variant.model.place {
            Place::Endpoint(at) => Some(at.url.clone()),
            _ => None,
        },
        members: match &variant.model.place {
            Place::System(of) => of.members.iter().map(|member| member.label.clone()).collect(),
            _ => Vec::new(),
        },
        path,
        exists,
    })
}

/// Where a variant's file or folder is; None inside the binary, and of one that was never kept.
pub fn place(variant: &Variant, workplace: &Workplace) -> Option<PathBuf> {
    match &variant.model.place {
        _ if !variant.has_own_files() => made(variant, workplace),
        Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => None,
        Place::Folder(path) | Place::Gguf(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
    }
}

/// Where the file of a recipe is: among the artifacts of this home, wherever that was when the file was made, or where
/// it was written.
fn made(variant: &Variant, workplace: &Workplace) -> Option<PathBuf> {
    let written = workplace.store.place_of(&variant.id).ok().flatten()?;
    let here = workplace.home.artifacts().join(written.file_name()?);
    let here = std::path::absolute(&here).unwrap_or(here);
    Some(if here.exists() { here } else { written })
}

/// What can be done with it, with the command that does it.
pub(super) fn commands(
    variant: &Variant,
    file: Option<&Path>,
    facts: Option<&ModelFacts>,
    run: &str,
) -> Vec<(String, String)> {
    let line = |what: &str, command: String| (what.to_owned(), command);
    let typed = match (&variant.model.place, &variant.model.adapter) {
        (Place::Endpoint(at), _) => {
            let typed = quoted(&format!("{}#{}", at.url, at.model));
            return vec![line("Measure it on another suite:", format!("bantam eval {typed} --suite SUITE"))];
        }
        (Place::System(_), _) => {
            let run = quoted(run);
            return vec![
                line("Write it as a router's file:", format!("bantam systems {run} --export router.toml")),
                line("Serve that:", "bantam serve router.toml".into()),
            ];
        }
        (Place::Bundled(name), None) => name.clone(),
        (Place::Bundled(name), Some(adapter)) => models::with_adapter(name, adapter),
        (Place::Folder(path) | Place::Gguf(path), None) => path.display().to_string(),
        (Place::Folder(path) | Place::Gguf(path), Some(adapter)) => {
            models::with_adapter(&path.display().to_string(), adapter)
        }
    };
    let typed = quoted(&typed);
    let cache = match variant.kv.is_default() {
        true => String::new(),
        false => format!(" -ctk {0} -ctv {0}", variant.kv),
    };
    let gguf = file.filter(|file| bantam_hub::is_gguf(file));
    if let (Some(file), None) = (gguf, &variant.model.adapter) {
        let file = quoted(&file.display().to_string());
        return vec![
            line("Serve it with llama.cpp:", format!("llama-server -m {file}{cache}")),
            line("Take a copy of it:", format!("cp {file} .")),
        ];
    }
    if matches!(facts, Some(ModelFacts::Encoder(_))) {
        return vec![line("Measure it on another suite:", format!("bantam eval {typed} --suite SUITE"))];
    }
    let made = PathBuf::from(format!("{}.gguf", file_name(&variant.clone().keeping(CacheType::default()).label())));
    let made = quoted(&made.display().to_string());
    let make = match &variant.recipe {
        None => line("Write it as a GGUF file:", format!("bantam export {typed} --format gguf --out {made}")),
        Some(recipe) if variant.steps.is_empty() || is_quantization(recipe) => {
            line("Make it again:", format!("bantam compress {typed} --quant {} --out {made}", quoted(recipe)))
        }
        Some(_) => line("Make it again:", format!("bantam compress {typed} --recipe RECIPE.toml --out {made}")),
    };
    vec![make, line("Serve that with llama.cpp:", format!("llama-server -m {made}{cache}"))]
}

/// A recipe that is one of bantam's own, and no file.
fn is_quantization(recipe: &str) -> bool {
    bantam_lab::Recipe::named(recipe).is_ok()
}

/// What a context longer than the measured one takes on top, at most: sliding windows take less.
fn longer_context(facts: &ModelFacts, kept: KvType, run: &Run) -> Option<String> {
    let ModelFacts::Decoder(facts) = facts else { return None };
    let shapes = run.trials.iter().filter_map(|trial| match &trial.ask {
        Ask::Speed(shape) => Some(shape.prompt + shape.output),
        Ask::Task(_) => None,
    });
    let measured = shapes.max()?;
    let (each, context) = (facts.cost.cache_bytes_per_token(kept), facts.config.max_positions);
    let more = Bytes(each * context.saturating_sub(measured) as u64);
    (context > measured && each > 0).then(|| {
        format!(
            "A longer context takes up to {} more for every token: {more} more at its full {} tokens (derived from its config).",
            Bytes(each),
            grouped(&context.to_string())
        )
    })
}

/// A name of a file that needs no quotes.
fn file_name(label: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = label.replace(" · ", ".").chars().map(safe).collect();
    name.trim_start_matches(['.', '-']).to_owned()
}

/// As a shell reads one word.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+=%,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::home::Home;
    use bantam_core::record::{Id, ModelRef};

    fn variant(place: Place, recipe: Option<&str>) -> Variant {
        let model = ModelRef {
            name: "org/a model".into(),
            place,
            digest: Id::of(&1),
            parameters: 1,
            commit: None,
            adapter: None,
        };
        Variant::new(model, recipe.map(|recipe| (recipe.into(), "steps".into())))
    }

    fn told(variant: &Variant, file: Option<&str>) -> Vec<String> {
        commands(variant, file.map(Path::new), None, "mine").into_iter().map(|(_, command)| command).collect()
    }

    #[test]
    fn a_home_that_was_moved_tells_of_its_own_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path().join("new"));
        let mut store = bantam_verdict::store::Store::in_memory().expect("a store");
        let variant = variant(Place::Bundled("bantam-l".into()), Some("Q4_K_M"));
        let old = folder.path().join("old/artifacts/m.Q4_K_M.0123.gguf");
        store.put_place(&variant.id, &old).expect("puts");
        let workplace = Workplace { home: home.clone(), store };
        assert_eq!(made(&variant, &workplace), Some(old.clone()), "it is nowhere: where it was written");
        for place in [&old, &home.artifacts().join("m.Q4_K_M.0123.gguf")] {
            std::fs::create_dir_all(place.parent().expect("a folder")).expect("makes");
            std::fs::write(place, "x").expect("writes");
        }
        assert_eq!(made(&variant, &workplace), Some(home.artifacts().join("m.Q4_K_M.0123.gguf")));
    }

    #[test]
    fn the_commands_run_the_file_that_is_there_or_make_it_again() {
        let made = variant(Place::Bundled("bantam-l".into()), Some("Q4_K_M"));
        assert_eq!(told(&made, Some("/a b/x.gguf")), ["llama-server -m '/a b/x.gguf'", "cp '/a b/x.gguf' ."]);
        assert_eq!(
            told(&made, None),
            [
                "bantam compress bantam-l --quant Q4_K_M --out org-a-model.Q4_K_M.gguf",
                "llama-server -m org-a-model.Q4_K_M.gguf"
            ]
        );
        let small = told(&made.keeping(CacheType::Q4_0), None);
        assert_eq!(small[1], "llama-server -m org-a-model.Q4_K_M.gguf -ctk q4_0 -ctv q4_0");
        let folder = variant(Place::Folder("/it's".into()), None);
        assert_eq!(told(&folder, Some("/it's"))[0], r"bantam export '/it'\''s' --format gguf --out org-a-model.gguf");
    }
}
