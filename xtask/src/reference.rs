//! The reference pages of docs/, from the schemas of the types that read profiles, suites and recipes: no key is told by hand.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Each page's file, its title, what stands above the keys, and its schema.
fn pages() -> [(&'static str, &'static str, &'static str, Value); 3] {
    [
        ("profile.md", "Profile", PROFILE, bantam_core::profile::schema()),
        ("suite.md", "Suite", SUITE, bantam_eval::schema()),
        ("recipe.md", "Recipe", RECIPE, bantam_lab::schema()),
    ]
}

const PROFILE: &str = "A profile is a TOML file that says what to try, what may not be exceeded and what matters. `bantam run PROFILE` takes it. A key \
that is not known is refused, with its line. The same as a JSON schema: [schema/profile.json](../schema/profile.json).

```toml
models = [\"bundled:bantam-l\", \"ORG/NAME\"]
recipes = [\"base\", \"Q8_0\", \"Q4_K_M\"]
suites = [\"tickets.suite.toml\"]
[constraints]
max_memory = \"1 GiB\"
[objective]
prefer = \"smallest\"
margin = 0.03
```";

const SUITE: &str = "A suite is a TOML file of tasks in lm-evaluation-harness's words, beside its data. A key that is not known is refused, with its line. \
[Bringing tasks](../tasks.md) tells of them one after the other; the same as a JSON schema: [schema/suite.json](../schema/suite.json).";

const RECIPE: &str = "A recipe makes one model of another, step by step. In a profile's `recipes` and after `--recipe` it stands in short, or as a TOML file:

```text
Q4_K_M                                   one step: quantize
prune:layers=2 > quantize:q4_k_m,calibrate
```
```toml
[[step]]
prune = { layers = 2 }
[[step]]
quantize = { type = \"Q4_K_M\", calibrate = \"default\" }
```

In short a setting is `key=value`, and the first one may stand by its value alone; lists stand in brackets. A list in place of one value is a range: \
every value makes a recipe of its own. What each step takes and loses: [the compression lab](../lab.md).";

/// Writes every page into a folder, and gives their paths.
pub(crate) fn write(folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let put = |(name, title, above, schema): (&str, &str, &str, Value)| {
        let path = folder.join(name);
        std::fs::write(&path, page(title, above, &schema))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    pages().into_iter().map(put).collect()
}

/// The keys of the file, then those of every table in it, in the order in which they are met.
fn page(title: &str, above: &str, schema: &Value) -> String {
    let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    let mut text = format!(
        "# {title}\n\n<!-- written by `cargo xtask reference`: change the types, not this page -->\n\n{above}\n\n"
    );
    let mut met: Vec<String> = Vec::new();
    keys(schema, &definitions, &mut met, &mut text);
    let mut next = 0;
    while let Some(name) = met.get(next).cloned() {
        next += 1;
        let definition = &definitions[&name];
        let _ = write!(text, "## {}\n\n", shown(&name));
        if let Some(told) = definition["description"].as_str() {
            let _ = write!(text, "{}\n\n", line(told));
        }
        words(definition, &mut text);
        variants(definition, &definitions, &mut met, &mut text);
        keys(definition, &definitions, &mut met, &mut text);
    }
    text.trim_end().to_owned() + "\n"
}

/// A table of the keys of an object.
fn keys(schema: &Value, definitions: &Map<String, Value>, met: &mut Vec<String>, text: &mut String) {
    let Some(properties) = schema["properties"].as_object() else { return };
    text.push_str("| key | what stands there | what it is |\n|---|---|---|\n");
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (key, value) in properties {
        let needed = if required.iter().any(|name| name == key.as_str()) { " (needed)" } else { "" };
        let told = value["description"].as_str().map(line).unwrap_or_default();
        let otherwise = match &value["default"] {
            Value::Null => String::new(),
            Value::Bool(false) => String::new(),
            Value::Array(list) if list.is_empty() => String::new(),
            other => format!(" [{other}]"),
        };
        let kind = kind(value, definitions, met);
        let _ = writeln!(text, "| `{key}`{needed} | {kind} | {told}{otherwise} |");
    }
    text.push('\n');
}

/// A table of the words that a key may have, where each is told.
fn words(schema: &Value, text: &mut String) {
    let all: Vec<(&str, &str)> = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| Some((one["const"].as_str()?, one["description"].as_str().unwrap_or_default())))
        .collect();
    if all.is_empty() {
        return;
    }
    text.push_str("| word | what it means |\n|---|---|\n");
    for (word, told) in all {
        let _ = writeln!(text, "| `{word}` | {} |", line(told));
    }
    text.push('\n');
}

/// The tables of one of which there is one, told by a key of their own, as filters are.
fn variants(schema: &Value, definitions: &Map<String, Value>, met: &mut Vec<String>, text: &mut String) {
    for one in schema["oneOf"].as_array().into_iter().flatten().filter(|one| one["properties"].is_object()) {
        let named = one["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .find_map(|(key, value)| Some((key, value["const"].as_str()?)));
        if let Some((key, word)) = named {
            let _ = write!(text, "`{key} = \"{word}\"`:\n\n");
        }
        keys(one, definitions, met, text);
    }
}

/// What may stand at a key, in words, with links to the tables that it leads to.
fn kind(value: &Value, definitions: &Map<String, Value>, met: &mut Vec<String>) -> String {
    if let Some(reference) = value["$ref"].as_str() {
        return referred(reference.rsplit('/').next().unwrap_or_default(), definitions, met);
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(all) = value[several].as_array() {
            let all: Vec<String> =
                all.iter().filter(|one| one["type"] != "null").map(|one| kind(one, definitions, met)).collect();
            let mut distinct: Vec<String> = Vec::new();
            all.into_iter().for_each(|one| {
                if !distinct.contains(&one) {
                    distinct.push(one)
                }
            });
            return distinct.join(" or ");
        }
    }
    if let Some(word) = value["const"].as_str() {
        return format!("`\"{word}\"`");
    }
    if let Some(words) = value["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(|word| Some(format!("`\"{}\"`", word.as_str()?))).collect();
        return words.join(", ");
    }
    let types = match &value["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return "anything".into(),
    };
    let named = types.into_iter().filter(|name| *name != "null").map(|name| match name {
        "string" => "text".to_owned(),
        "boolean" => "true or false".into(),
        "integer" => "whole number".into(),
        "number" => "number".into(),
        "array" => match kind(&value["items"], definitions, met) {
            of if of == "anything" => "list".into(),
            of => format!("list of {of}"),
        },
        "object" => match &value["additionalProperties"] {
            Value::Object(_) => format!("table, by name: {}", kind(&value["additionalProperties"], definitions, met)),
            _ => "table".into(),
        },
        other => other.to_owned(),
    });
    named.collect::<Vec<_>>().join(" or ")
}

/// A definition: its own section where it has keys or words that are told, else what it is in place.
fn referred(name: &str, definitions: &Map<String, Value>, met: &mut Vec<String>) -> String {
    let definition = &definitions[name];
    let told = definition["properties"].is_object() || definition["oneOf"].is_array();
    if !told {
        return kind(definition, definitions, met);
    }
    if !met.iter().any(|known| known == name) {
        met.push(name.to_owned());
    }
    let shown = shown(name);
    format!("[{shown}](#{})", shown.to_lowercase())
}

/// A definition's name without what it is called so in the code.
fn shown(name: &str) -> &str {
    name.strip_prefix("Raw").unwrap_or(name)
}

/// A description in one line of a table.
fn line(told: &str) -> String {
    told.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
    }

    #[test]
    fn the_reference_in_docs_is_that_of_the_types() {
        for (name, title, above, schema) in pages() {
            let there = std::fs::read_to_string(docs().join("reference").join(name)).unwrap_or_default();
            assert!(there == page(title, above, &schema), "{name} is not up to date: run `cargo xtask reference`");
        }
    }

    #[test]
    fn every_key_says_what_it_is() {
        for (name, title, above, schema) in pages() {
            let page = page(title, above, &schema);
            let bare: Vec<&str> =
                page.lines().filter(|line| line.starts_with("| `") && line.ends_with("|  |")).collect();
            assert!(bare.len() < 20, "{name}: {bare:#?}");
        }
    }

    /// Every page of the book, and what it is told of beside it.
    fn files() -> Vec<PathBuf> {
        let mut files =
            vec![docs().join("../README.md"), docs().join("../CONTRIBUTING.md"), docs().join("../SECURITY.md")];
        for folder in [docs(), docs().join("reference")] {
            let entries = std::fs::read_dir(folder).expect("it is there").flatten().map(|entry| entry.path());
            files.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
        }
        files
    }

    /// The places that a page links to, outside of code.
    fn links(text: &str) -> Vec<String> {
        let mut fenced = false;
        let mut prose = String::new();
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                // what stands between backticks is code
                prose.extend(line.split('`').step_by(2));
                prose.push('\n');
            }
        }
        let after = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
        after.filter_map(|rest| Some(rest[..rest.find(')')?].to_owned())).collect()
    }

    /// What mdbook and GitHub call a heading's place.
    fn anchors(text: &str) -> Vec<String> {
        let heading =
            |line: &str| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim().to_lowercase());
        let slug = |title: String| -> String {
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        text.lines().filter_map(heading).map(slug).collect()
    }

    #[test]
    fn every_link_leads_somewhere() {
        let mut broken = Vec::new();
        for file in files() {
            let text = std::fs::read_to_string(&file).expect("it reads");
            for link in links(&text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
                let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let target = if path.is_empty() { file.clone() } else { file.parent().expect("a folder").join(path) };
                let there = match target.exists() {
                    false => false,
                    true if anchor.is_empty() || target.extension().is_none_or(|ending| ending != "md") => true,
                    true => anchors(&std::fs::read_to_string(&target).expect("it reads"))
                        .iter()
                        .any(|known| known == anchor),
                };
                if !there {
                    broken.push(format!("{}: {link}", file.display()));
                }
            }
        }
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn every_page_is_in_the_book() {
        let summary = std::fs::read_to_string(docs().join("SUMMARY.md")).expect("it is there");
        for file in files().into_iter().filter(|file| !file.to_string_lossy().contains("../docs/..")) {
            let name = file.strip_prefix(docs()).expect("of the book").display().to_string();
            assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{name} is not in SUMMARY.md");
        }
    }
}
