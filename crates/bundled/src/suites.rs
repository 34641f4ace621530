//! The bundled suites: the files of suites/, by name. Only the list; they are read as a user's are.

/// A bundled file: its name and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../suites/", $name))),)*] };
}

/// Manifests and their data, by file name.
const FILES: &[File] = files! {
    "arithmetic.jsonl"
    "arithmetic.toml"
    "extract.jsonl"
    "extract.toml"
    "needle.jsonl"
    "needle.toml"
    "prose.jsonl"
    "prose.toml"
    "routing.few.jsonl"
    "routing.jsonl"
    "routing.toml"
    "sentiment.jsonl"
    "sentiment.toml"
};

/// Lists the names of the bundled suites.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter_map(|(name, _)| name.strip_suffix(".toml"))
}

/// Gives the text of a bundled file by its name with its ending: "arithmetic.toml".
pub fn file(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
