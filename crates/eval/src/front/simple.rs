//! Whether a suite's templates are so simple that rendering them can neither take long nor much memory or stack. What
//! is not simple is no fault; whoever loads a suite of a stranger tries it where it can do no harm first.

use super::lm_eval_yaml::{self, LmEvalTask};
use super::load::Origin;
use crate::error::Error;
use fancy_regex::Regex;
use std::sync::LazyLock;

/// Fields in one template; a text with more of them may be many times as long as the data.
const FIELDS: usize = 16;
/// Examples before a question.
const EXAMPLES: i64 = 32;

/// `{{ field }}`, `{{ field.part[0] | trim }}`, `{{ field.strip() }}`.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    let part = r#"\.\w{1,64}|\[\s*(?:\d{1,9}|'[^'\\]{0,64}'|"[^"\\]{0,64}")\s*\]"#;
    let call = r"\.(?:strip|lstrip|rstrip|lower|upper|capitalize|title)\(\)";
    let filter = r"\s*\|\s*(?:trim|lower|upper|capitalize|title|string|int|float|length|first|last|tojson)\b(?!\s*\()";
    let word = format!(r"^\s*[A-Za-z_]\w{{0,63}}(?:{call}|{part}){{0,4}}(?:{filter}){{0,4}}\s*$");
    Regex::new(&word).expect("a pattern without faults")
});

/// Tells whether a suite's templates are simple; those of the bundled ones are trusted.
///
/// # Errors
/// Where the suite's file is not found or cannot be read.
pub fn is_simple(name: &str) -> Result<bool, Error> {
    if LmEvalTask::is_named(name) {
        return lm_eval_yaml::is_simple(name);
    }
    let origin = Origin::find(name)?;
    if origin.is_bundled() {
        return Ok(true);
    }
    // what is no TOML is refused before anything of it is rendered
    let Ok(table) = ::toml::from_str::<::toml::Table>(&origin.manifest()?) else { return Ok(true) };
    // what is no suite is refused, too
    let others = origin.harness_tasks().unwrap_or_default();
    let others = others.iter().map(|task| lm_eval_yaml::is_simple(task)).collect::<Result<Vec<_>, Error>>()?;
    Ok(table.iter().all(|(k, v)| simple(k, v)) && others.into_iter().all(|simple| simple))
}

fn simple(key: &str, value: &::toml::Value) -> bool {
    use ::toml::Value;
    match value {
        Value::String(text) => is_simple_template(text),
        Value::Integer(number) => key != "num_fewshot" || *number <= EXAMPLES,
        Value::Table(table) => table.iter().all(|(key, value)| simple(key, value)),
        Value::Array(list) => list.iter().all(|value| simple(key, value)),
        _ => true,
    }
}

/// Tells whether a template has but fields in it, with their filters.
pub(crate) fn is_simple_template(text: &str) -> bool {
    let mut pieces = text.split("{{");
    let is_plain = |piece: &str| !piece.contains("{%");
    let first = pieces.next().is_none_or(is_plain);
    let placeholders: Vec<&str> = pieces.collect();
    let is_field = |piece: &&str| {
        let Some((inner, after)) = piece.split_once("}}") else { return false };
        is_plain(after) && PLACEHOLDER.is_match(inner).unwrap_or(false)
    };
    first && placeholders.len() <= FIELDS && placeholders.iter().all(is_field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_their_like_are_simple_and_what_computes_is_not() {
        for text in [
            "",
            "plain",
            "Q: {{question}}\nA:",
            "{{ a.b['c d'][0] | trim | upper }}",
            "{{choices.text}}",
            "{{ question.strip() }} {{x}}",
            "100% {not} a } template",
        ] {
            assert!(is_simple_template(text), "{text}");
        }
        for text in [
            "{% for i in range(9) %}x{% endfor %}",
            "{{ a ~ a }}",
            "{{ 'x' * 10 }}",
            "{{ not not a }}",
            "{{ [a] }}",
            "{{ a | indent(10000000000) }}",
            "{{ a.center(99999999999) }}",
            "{{ a | trim(b) }}",
            "{{ a",
            "{{ range(9) }}",
            "{{ a | batch(2) }}",
            "{{a}}{% set b = 1 %}",
            &"{{a}}".repeat(17),
        ] {
            assert!(!is_simple_template(text), "{text}");
        }
    }

    #[test]
    fn every_bundled_suite_is_trusted() {
        for name in bantam_bundled::suites::names() {
            assert!(is_simple(name).expect("a suite"));
        }
    }
}
