//! Names of what is exported: a model's without the types that its weights had, and a GGUF file's by the naming convention.

use crate::{GgufTensor, Source};
use bantam_format::gguf::FILE_TYPES;
use bantam_model::config::gguf::size_label;

/// A model's name without the types that its weights had: "SmolLM2-135M-Instruct" of "SmolLM2-135M-Instruct.Q4_1.gguf".
pub fn base_name(name: &str) -> &str {
    let ending = name.len().saturating_sub(".gguf".len());
    let mut name = if name.is_char_boundary(ending) && name[ending..].eq_ignore_ascii_case(".gguf") {
        &name[..ending]
    } else {
        name
    };
    let is_seam = |c: char| "-_. ".contains(c);
    let mut stripped = false;
    loop {
        let types = FILE_TYPES.iter().map(|(_, name)| *name).chain(OTHER_TYPES);
        let endings = types.chain(OF_TYPES.into_iter().filter(|_| stripped));
        let rest = endings.filter_map(|ending| without(name, ending)).min_by_key(|rest| rest.len());
        match rest.map(|rest| rest.trim_end_matches(is_seam)).filter(|rest| !rest.is_empty()) {
            Some(rest) => (name, stripped) = (rest, true),
            None => return name,
        }
    }
}

/// Types that files are named after beside llama.cpp's own names.
const OTHER_TYPES: [&str; 12] = [
    "FP16", "FP32", "Q2_K_L", "Q4_K_L", "Q5_K_L", "Q6_K_L", "Q2_K_XL", "Q3_K_XL", "Q4_K_XL", "Q5_K_XL", "Q6_K_XL",
    "Q8_K_XL",
];
/// What stands before a type in names of the hub: of unsloth's own mixtures, and of an importance matrix.
const OF_TYPES: [&str; 3] = ["UD", "imat", "i1"];

/// A name without a type at its end, whatever its case and however its parts are joined; None where it has no such end.
fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(ending.len()).filter(|at| name.is_char_boundary(*at))?;
    let (rest, last) = name.split_at(at);
    let same = last.replace('-', "_").eq_ignore_ascii_case(ending);
    (same && rest.ends_with(['-', '_', '.', ' '])).then_some(rest)
}

/// BaseName-SizeLabel-FineTune-Version-Encoding.gguf, the parts taken from the model's name where it has them
/// (the naming convention in ggml's docs/gguf.md).
pub(super) fn conventional(source: &Source, encoding: &str) -> String {
    let name = base_name(source.name().rsplit('/').next().unwrap_or_default());
    let parts: Vec<&str> = name.split(['-', '_']).filter(|part| !part.is_empty()).collect();
    let is_version = |part: &&str| {
        part.strip_prefix(['v', 'V']).is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
    };
    let is_size = |part: &&str| {
        let digits = part.strip_suffix(['K', 'M', 'B', 'T', 'k', 'm', 'b', 't']);
        digits.is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'x'))
    };
    let size = parts.iter().position(is_size);
    let version = parts.iter().find(|part| is_version(part)).map_or_else(|| "v1.0".to_owned(), |v| v.to_lowercase());
    let words = |parts: &[&str]| {
        let kept = parts.iter().filter(|part| !is_version(part));
        kept.map(|part| part.to_string()).collect::<Vec<_>>()
    };
    let (base, tune) = match size {
        Some(at) => (words(&parts[..at]), words(&parts[at + 1..])),
        None => (words(&parts), Vec::new()),
    };
    let label = size.map_or_else(|| label(source), |at| parts[at].to_uppercase().replace('X', "x"));
    let base = if base.is_empty() { vec!["Model".to_owned()] } else { base };
    let all = [base, vec![label], tune, vec![version, encoding.to_owned()]].concat();
    format!("{}.gguf", all.join("-"))
}

/// "853K", or "8x7B" for a mixture of experts: how many, and the size of a model with one of them.
fn label(source: &Source) -> String {
    let (experts, rest): (Vec<_>, Vec<_>) = source.tensors().iter().partition(|t| t.name.contains("_exps."));
    let sum = |tensors: Vec<&GgufTensor>| tensors.into_iter().map(GgufTensor::weights).sum::<u64>();
    let (experts, rest) = (sum(experts), sum(rest));
    match source.experts() as u64 {
        0 => size_label(rest),
        count => format!("{count}x{}", size_label(rest + experts / count)),
    }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_name_loses_the_types_that_weights_had_and_nothing_else() {
        for (name, base) in [
            ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
            ("gemma-3-270m.Q4_K_M", "gemma-3-270m"),
            ("Qwen3-0.6B-q4-k-m", "Qwen3-0.6B"),
            ("SmolLM2-135M-Instruct-v1.0-F16", "SmolLM2-135M-Instruct-v1.0"),
            ("Llama-3.2-1B-Instruct-UD-IQ2_XXS", "Llama-3.2-1B-Instruct"),
            ("m.f16.Q8_0.GGUF", "m"),
            ("bantam-l", "bantam-l"),
            ("Q8_0", "Q8_0"),
            ("bf16.gguf", "bf16"),
            ("aQ8_0", "aQ8_0"),
            ("größe-ü.gguf", "größe-ü"),
            ("", ""),
        ] {
            assert_eq!(base_name(name), base, "{name}");
        }
    }

    #[test]
    fn files_are_named_by_the_convention() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/llama");
        let named = |name: &str| conventional(&Source::open(name, &folder).expect("a source"), "F16");
        assert_eq!(named("meta-llama/Llama-3.2-1B-Instruct"), "Llama-3.2-1B-Instruct-v1.0-F16.gguf");
        assert_eq!(named("Mistral-7B-Instruct-v0.3"), "Mistral-7B-Instruct-v0.3-F16.gguf");
        assert_eq!(named("Mixtral-8x7B-v0.1"), "Mixtral-8x7B-v0.1-F16.gguf");
        assert_eq!(named("gemma-3-270m.Q4_K_M"), "gemma-3-270M-v1.0-F16.gguf");
        assert_eq!(named("gemma-2-2b-it"), "gemma-2-2B-it-v1.0-F16.gguf");
        assert!(named("bantam-l").starts_with("bantam-l-") && named("bantam-l").ends_with("K-v1.0-F16.gguf"));
    }
}
