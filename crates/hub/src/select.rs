//! Which files of a repository are fetched: those that a model is read from, one GGUF of several, or what the user's
//! patterns name. Pickles never come by themselves, since loading one runs whatever its writer wanted.

use super::error::Error;
use super::gguf;
use super::glob;
use super::listing::{Listing, Remote};
use super::name::{Name, usable};

/// What the user said about the files to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// Patterns of which a file must match one; empty for the files that a model needs.
    pub include: Vec<String>,
    /// The quantization or name of the GGUF file to fetch.
    pub quant: Option<String>,
    /// Whether what is here is read again, also where it is remembered to be right.
    pub verify: bool,
}

/// Folders that hold the same weights for other programs.
const FOREIGN: [&str; 6] = ["onnx/", "openvino/", "coreml/", "original/", "runs/", "metal/"];
/// Endings of what a model is read from or told by.
const READ: [&str; 10] =
    [".safetensors", ".gguf", ".json", ".txt", ".md", ".model", ".jinja", ".tiktoken", ".vocab", ".jsonl"];
const TEXTS: [&str; 3] = ["LICENSE", "LICENCE", "NOTICE"];
/// Endings of Python's pickles, alone or in archives.
const PICKLES: [&str; 6] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];

/// Selects the files to fetch, largest first, so that the last one to end is a short one.
///
/// # Errors
/// One sentence where there is nothing to select: only pickles, several GGUF files, no match.
pub(crate) fn select(name: &Name, listing: &Listing, want: &Want) -> Result<Vec<Remote>, Error> {
    let mut files: Vec<Remote> = wanted(name, listing, want)?.into_iter().cloned().collect();
    for file in &files {
        usable(&file.path).map_err(|why| Error::OddName { name: name.repo.id(), file: file.path.clone(), why })?;
    }
    files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    Ok(files)
}

fn wanted<'a>(name: &Name, listing: &'a Listing, want: &Want) -> Result<Vec<&'a Remote>, Error> {
    let all = || listing.files.iter();
    let (id, there) = (name.repo.id(), listing.names());
    if !want.include.is_empty() {
        let files: Vec<&Remote> = all().filter(|f| want.include.iter().any(|p| glob::matches(p, &f.path))).collect();
        return match files.is_empty() {
            true => Err(Error::NoMatch { name: id, patterns: want.include.clone(), there }),
            false => Ok(files),
        };
    }
    let choices = gguf::choices(all().map(|f| f.path.as_str()));
    let safetensors = all().any(|f| f.path.ends_with(".safetensors") && !is_foreign(&f.path));
    let quant = want.quant.as_deref().or(name.quant.as_deref());
    if !choices.is_empty() && (quant.is_some() || !safetensors) {
        let chosen = gguf::choose(&id, &choices, quant)?;
        return Ok(all().filter(|f| chosen.files.contains(&f.path) || is_text(&f.path)).collect());
    }
    if let Some(quant) = quant {
        return Err(Error::NoFile { name: id, wanted: format!("*{quant}*.gguf"), there });
    }
    if !safetensors {
        let pickles: Vec<String> = there.iter().filter(|f| ends(f, &PICKLES)).cloned().collect();
        return Err(match pickles.is_empty() {
            true => Error::NoWeights { name: id, there },
            false => Error::Pickles { name: id, files: pickles },
        });
    }
    let parted = all().any(|f| f.path.starts_with("model") && f.path.ends_with(".safetensors"));
    // the same weights once more, in the layout of those who trained them
    let again = |f: &Remote| parted && f.path.starts_with("consolidated");
    let usual = |f: &&Remote| is_usual(&f.path) && !f.path.ends_with(".gguf") && !again(f);
    Ok(all().filter(usual).collect())
}

fn is_usual(path: &str) -> bool {
    // a text whose name cannot be a file's here is nothing that a model is read from
    let odd = usable(path).is_err() && !path.ends_with(".safetensors");
    !is_foreign(path) && !odd && (ends(path, &READ) || is_text(path))
}

fn is_foreign(path: &str) -> bool {
    FOREIGN.iter().any(|folder| path.starts_with(folder))
}

fn is_text(path: &str) -> bool {
    usable(path).is_ok() && path.ends_with(".md") || TEXTS.iter().any(|text| path.starts_with(text))
}

fn ends(path: &str, endings: &[&str]) -> bool {
    let path = path.to_ascii_lowercase();
    endings.iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Page;

    fn listing(files: &[(&str, u64)]) -> Listing {
        let remote = |(path, size): &(&str, u64)| Remote { path: (*path).into(), size: Some(*size), hash: None };
        let repo = Name::parse("a/b").expect("a name").repo;
        Listing { repo, commit: "0".repeat(40), files: files.iter().map(remote).collect(), page: Page::default() }
    }

    fn selected(name: &str, files: &[(&str, u64)], include: &[&str]) -> Result<Vec<String>, String> {
        let want = Want { include: include.iter().map(|p| (*p).to_owned()).collect(), ..Want::default() };
        let chosen = select(&Name::parse(name).expect("a name"), &listing(files), &want);
        chosen.map(|files| files.into_iter().map(|f| f.path).collect()).map_err(|e| e.to_string())
    }

    const BOTH: [(&str, u64); 10] = [
        (".gitattributes", 1),
        ("README.md", 2),
        ("LICENSE", 1),
        ("config.json", 3),
        ("model.safetensors", 9),
        ("pytorch_model.bin", 9),
        ("onnx/model.json", 4),
        ("original/consolidated.safetensors", 9),
        ("tokenizer.json", 5),
        ("m-Q8_0.gguf", 7),
    ];

    #[test]
    fn what_a_model_is_read_from_comes_largest_first() {
        let usual = ["model.safetensors", "tokenizer.json", "config.json", "README.md", "LICENSE"];
        assert_eq!(selected("a/b", &BOTH, &[]), Ok(usual.map(String::from).to_vec()));
        let gguf = ["m-Q8_0.gguf", "README.md", "LICENSE"];
        assert_eq!(selected("a/b:q8_0", &BOTH, &[]), Ok(gguf.map(String::from).to_vec()));
        assert_eq!(selected("a/b", &BOTH, &["*.bin"]), Ok(vec!["pytorch_model.bin".into()]));
    }

    #[test]
    fn odd_names_that_nobody_asked_for_are_nobodys_business() {
        let (escape, long) = ("notes\u{1b}[2J.md", format!("{}.json", "n".repeat(300)));
        let files = [
            ("config.json", 3),
            ("model.safetensors", 9),
            ("runs/Jul12_13:45/x", 1),
            (escape, 1),
            (&long, 1),
            ("a:b.txt", 1),
        ];
        assert_eq!(
            selected("a/b", &files, &[]),
            Ok(["model.safetensors", "config.json", "a:b.txt"].map(String::from).to_vec())
        );
        assert_eq!(selected("a/b", &files, &["runs/*/x"]), Ok(vec!["runs/Jul12_13:45/x".into()]));
        let refusal = selected("a/b", &files, &["notes*"]).expect_err("refused");
        assert!(refusal.contains("characters that cannot be shown"), "{refusal}");
        assert!(selected("a/b", &files, &["nnn*"]).expect_err("refused").contains("longer than"));
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_what_there_is() {
        let only = [("config.json", 3), ("pytorch_model-00001-of-00002.bin", 9)];
        assert!(
            selected("a/b", &only, &[])
                .expect_err("refused")
                .contains("only as pickles (pytorch_model-00001-of-00002.bin)")
        );
        assert!(selected("a/b", &[("README.md", 1)], &[]).expect_err("refused").contains("there are README.md"));
        assert!(selected("a/b", &BOTH, &["*.xyz"]).expect_err("refused").contains("nothing in a/b matches *.xyz"));
        assert!(selected("a/b:Q4_K_M", &BOTH[..5], &[]).expect_err("refused").contains("no file *Q4_K_M*.gguf"));
    }
}
