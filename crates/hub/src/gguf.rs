//! The GGUF files of a repository by their names: which quantization a file holds, and which files are shards of one.

use super::Error;
use super::error::list;
use std::collections::BTreeMap;

/// A model among GGUF files: one file, or the shards of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its quantization, "Q4_K_M"; the file's own name where that tells none.
    pub quant: String,
    /// Its files' paths in the repository, in the order of the shards.
    pub files: Vec<String>,
}

/// Finds the models among the files, one a quantization and base name, sorted by name. Projectors of images and
/// importance matrices are no models.
pub fn choices<'a>(files: impl IntoIterator<Item = &'a str>) -> Vec<Choice> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let Some(stem) = file.strip_suffix(".gguf").or_else(|| file.strip_suffix(".GGUF")) else { continue };
        let base = stem.rsplit('/').next().unwrap_or(stem).to_ascii_lowercase();
        if base.starts_with("mmproj") || base.contains("imatrix") {
            continue;
        }
        groups.entry(without_shard(stem).to_owned()).or_default().push(file.to_owned());
    }
    let choice = |(stem, mut files): (String, Vec<String>)| {
        files.sort();
        let base = stem.rsplit('/').next().unwrap_or(&stem);
        Choice { quant: quantization(base).unwrap_or_else(|| base.to_owned()), files }
    };
    groups.into_iter().map(choice).collect()
}

/// Chooses the model with this quantization or file name; `quant` may be left out where there is only one model.
///
/// # Errors
/// [`Error::WhichGguf`] with what there is, where no model or several fit.
pub fn choose(name: &str, all: &[Choice], quant: Option<&str>) -> Result<Choice, Error> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let meant: Vec<&Choice> = match quant {
        None => all.iter().collect(),
        Some(quant) => all.iter().filter(|c| same(&c.quant, quant) || c.files.iter().any(|f| same(f, quant))).collect(),
    };
    match meant[..] {
        [one] => Ok(one.clone()),
        _ => Err(Error::WhichGguf {
            name: name.into(),
            there: labels(if meant.len() > 1 { meant } else { all.iter().collect() }),
        }),
    }
}

/// The quantizations; the files where several have the same.
fn labels(choices: Vec<&Choice>) -> Vec<String> {
    let twice = |c: &Choice| choices.iter().filter(|other| other.quant == c.quant).count() > 1;
    choices.iter().map(|c| if twice(c) { list(&c.files[..1]) } else { c.quant.clone() }).collect()
}

/// "x-00001-of-00003" without its end.
fn without_shard(stem: &str) -> &str {
    let digits = |s: &str| s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit());
    let parts = stem.rsplit_once("-of-").and_then(|(front, of)| Some((front.rsplit_once('-')?, of)));
    match parts {
        Some(((base, shard), of)) if digits(shard) && digits(of) => base,
        _ => stem,
    }
}

/// The last part of a name that looks like a type of llama.cpp.
fn quantization(base: &str) -> Option<String> {
    let is_type = |part: &&str| {
        let part = part.to_ascii_uppercase();
        let digit_after =
            |prefix: &str| part.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        matches!(part.as_str(), "F32" | "F16" | "BF16" | "FP16" | "FP32")
            || ["Q", "IQ", "TQ", "MXFP"].iter().any(|prefix| digit_after(prefix))
    };
    base.rsplit(['-', '.']).find(is_type).map(str::to_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 8] = [
        "README.md",
        "m-Q4_K_M.gguf",
        "m.q8_0.gguf",
        "BF16/m-BF16-00002-of-00002.gguf",
        "BF16/m-BF16-00001-of-00002.gguf",
        "mmproj-F16.gguf",
        "imatrix_unsloth.gguf",
        "m-IQ2_XXS.gguf",
    ];

    #[test]
    fn shards_belong_together_and_projectors_to_nobody() {
        let all = choices(FILES);
        let told: Vec<_> = all.iter().map(|c| (c.quant.as_str(), c.files.len())).collect();
        assert_eq!(told, [("BF16", 2), ("IQ2_XXS", 1), ("Q4_K_M", 1), ("Q8_0", 1)]);
        assert_eq!(all[0].files[0], "BF16/m-BF16-00001-of-00002.gguf");
    }

    #[test]
    fn one_is_chosen_by_type_or_by_file() {
        let all = choices(FILES);
        assert_eq!(choose("a/b", &all, Some("q4_k_m")).map(|c| c.files).ok(), Some(vec!["m-Q4_K_M.gguf".to_owned()]));
        assert_eq!(choose("a/b", &all, Some("m.q8_0.gguf")).map(|c| c.quant).ok().as_deref(), Some("Q8_0"));
        for quant in [None, Some("Q5_K_M")] {
            let message = choose("a/b", &all, quant).expect_err("several").to_string();
            assert!(message.contains("as a/b:TYPE: BF16, IQ2_XXS, Q4_K_M, Q8_0"), "{message}");
        }
        let twins = choices(["x-Q4_0.gguf", "y-Q4_0.gguf"]);
        let message = choose("a/b", &twins, Some("Q4_0")).expect_err("two").to_string();
        assert!(message.contains("x-Q4_0.gguf, y-Q4_0.gguf"), "{message}");
        assert_eq!(choose("a/b", &choices(["only.gguf"]), None).map(|c| c.quant).ok().as_deref(), Some("only"));
    }
}
