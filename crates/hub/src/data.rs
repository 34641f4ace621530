//! Datasets of the hub: `ORG/NAME[@REVISION]#CONFIG/SPLIT`, and which files of the repository these are. The README
//! says so in its YAML header; where it does not, names of files and folders do, as Python's datasets has it.

use super::cache::below;
use super::error::Error;
use super::glob;
use super::http::ByteRange;
use super::listing::Remote;
use super::name::{Name, RepoKind};
use super::{Cache, Hub, Progress, Pulled};
use std::fmt;
use std::path::PathBuf;

/// The name of a dataset's split as typed: `ORG/NAME[@REVISION]#[CONFIG/]SPLIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataName {
    /// The repository and the revision.
    pub name: Name,
    /// The config; None for the default one or the only one.
    pub config: Option<String>,
    /// The split: "test", "validation".
    pub split: String,
}

const README: &str = "README.md";
const MOST_README: u64 = 4 << 20;
/// Endings of what a suite can read.
const READ: [&str; 5] = [".parquet", ".jsonl", ".json", ".csv", ".tsv"];
/// What a split is called in the names of files.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

impl DataName {
    /// Reads a name, without the `hub:` before it.
    ///
    /// # Errors
    /// One sentence on the part that is wrong.
    pub fn parse(text: &str) -> Result<DataName, Error> {
        let wrong = |why: &str| Error::DataName { text: text.into(), why: why.into() };
        let (name, part) = text.split_once('#').ok_or_else(|| wrong("it names no split"))?;
        let name = Name::of(RepoKind::Dataset, name).map_err(|_| wrong("ORG/NAME is no name of a repository"))?;
        let (config, split) = match part.rsplit_once('/') {
            Some((config, split)) => (Some(config), split),
            None => (None, part),
        };
        if split.is_empty() || config == Some("") || name.quant.is_some() {
            return Err(wrong("the split or the config is empty"));
        }
        Ok(DataName { name, config: config.map(str::to_owned), split: split.into() })
    }
}

impl fmt::Display for DataName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.config.as_ref().map_or(String::new(), |config| format!("{config}/"));
        write!(f, "{}#{config}{}", self.name, self.split)
    }
}

impl Hub {
    /// Fetches the files of a split, and the README that says which they are.
    ///
    /// # Errors
    /// One sentence; what was fetched until then is kept, and the next pull goes on from it.
    pub fn pull_data(&self, data: &DataName, say: &(dyn Fn(Progress) + Sync)) -> Result<Pulled, Error> {
        self.http.guarded(|| {
            let listing = self.listing(&data.name)?;
            let readme = match listing.file(README) {
                Some(_) => {
                    let url = listing.url_of(&self.settings.endpoint, README);
                    let text = self.http.bytes(&url, ByteRange::Whole, MOST_README);
                    let text = text.map_err(|fault| self.explain(fault, &data.name, Some(&listing)))?;
                    String::from_utf8_lossy(&text).into_owned()
                }
                None => String::new(),
            };
            let mut wanted = pick(data, &listing.names(), &readme)?;
            wanted.push(README.into());
            let files: Vec<Remote> = listing.files.iter().filter(|file| wanted.contains(&file.path)).cloned().collect();
            self.pull_files(&data.name, &listing, &files, false, say)
        })
    }
}

impl Cache {
    /// Lists the files of a split that are here, in order.
    ///
    /// # Errors
    /// [`Error::NoData`] where they are not here, or not all of them.
    pub fn data(&self, data: &DataName) -> Result<Vec<PathBuf>, Error> {
        let missing = |why: String| Error::NoData { name: data.to_string(), cache: self.folder().into(), why };
        let folder = self.snapshot_of(&data.name)?.ok_or_else(|| missing("nothing of it is here".into()))?;
        let readme = std::fs::read_to_string(folder.join(README)).unwrap_or_default();
        let files = pick(data, &below(&folder), &readme).map_err(|error| missing(error.to_string()))?;
        match missing_part(&files) {
            Some(part) => Err(missing(format!("{part} is missing"))),
            None => Ok(files.into_iter().map(|file| folder.join(file)).collect()),
        }
    }
}

/// The files of a split, sorted.
fn pick(data: &DataName, files: &[String], readme: &str) -> Result<Vec<String>, Error> {
    let wrong = |what: String, there: Vec<String>| Error::NoSplit { name: data.name.repo.id(), what, there };
    let configs = configs(readme);
    let mut picked: Vec<String> = if configs.is_empty() {
        files.iter().filter(|file| is_of(file, data)).cloned().collect()
    } else {
        let config = config(data, &configs).map_err(|(what, there)| wrong(what, there))?;
        let split = config.splits.iter().find(|split| split.name == data.split);
        let there = || config.splits.iter().map(|split| split.name.clone()).collect();
        let split = split.ok_or_else(|| wrong(format!("split '{}'", data.split), there()))?;
        let meant =
            |file: &&String| split.patterns.iter().any(|pattern| glob::matches(pattern.trim_start_matches("./"), file));
        files.iter().filter(meant).cloned().collect()
    };
    picked.sort();
    let readable = |file: &String| READ.iter().any(|ending| file.ends_with(ending));
    match picked.iter().all(readable) && !picked.is_empty() {
        true => Ok(picked),
        false => {
            let part = data.to_string();
            let part = part.split_once('#').map_or("", |(_, part)| part);
            Err(wrong(format!("file for {part} that ends in {}", READ.join(", ")), files.to_vec()))
        }
    }
}

/// The config that is meant: the one named, else the default, else the only one.
fn config<'a>(data: &DataName, configs: &'a [DatasetConfig]) -> Result<&'a DatasetConfig, (String, Vec<String>)> {
    let names = || configs.iter().map(|config| config.name.clone()).collect();
    match &data.config {
        Some(name) => configs.iter().find(|c| c.name == *name).ok_or_else(|| (format!("config '{name}'"), names())),
        None => match configs {
            [one] => Ok(one),
            _ => {
                let default =
                    configs.iter().find(|c| c.default).or_else(|| configs.iter().find(|c| c.name == "default"));
                default.ok_or_else(|| ("config without a name".into(), names()))
            }
        },
    }
}

/// Whether the names of a file and its folders say that it is of the split, and of the config where one is named.
fn is_of(file: &str, data: &DataName) -> bool {
    let known = SPLITS.iter().find(|(name, _)| *name == data.split).map(|(_, words)| *words);
    let own = [data.split.as_str()];
    let words = known.unwrap_or(&own);
    let stem = READ.iter().find_map(|ending| file.strip_suffix(ending));
    let Some(stem) = stem else { return false };
    let mut parts = stem.split(|c: char| !c.is_ascii_alphanumeric());
    let split = parts.any(|part| words.contains(&part.to_ascii_lowercase().as_str()));
    let config = data.config.as_ref().is_none_or(|config| {
        file.split('/').any(|folder| folder == config)
            || stem.rsplit('/').next().is_some_and(|f| f.starts_with(config.as_str()))
    });
    split && config
}

/// A part of a set of `…-00000-of-00003` that is not among the files.
fn missing_part(files: &[String]) -> Option<String> {
    files.iter().find_map(|file| {
        let (front, rest) = file.split_once("-of-")?;
        let count: usize = rest.get(..5)?.parse().ok()?;
        let (stem, number) = front.rsplit_once('-')?;
        (number.len() == 5).then_some(())?;
        let part = |n: usize| format!("{stem}-{n:05}-of-{rest}");
        // parts are counted from 0, by some from 1
        let first = usize::from(!files.contains(&part(0)) && files.contains(&part(count)));
        (first..first + count).map(part).find(|part| !files.contains(part))
    })
}

/// A config of a README: its splits, and the files of each.
#[derive(Debug, Default, PartialEq, Eq)]
struct DatasetConfig {
    name: String,
    default: bool,
    splits: Vec<Split>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Split {
    name: String,
    patterns: Vec<String>,
}

/// The `configs` of the YAML that a README begins with, in the forms that the hub's documentation names: a list of
/// tables with `config_name`, `default` and `data_files`, which is one pattern, a list of them, or a list of tables
/// with `split` and `path`. What is written otherwise is passed over.
/// <https://huggingface.co/docs/hub/datasets-manual-configuration>
fn configs(readme: &str) -> Vec<DatasetConfig> {
    let mut lines = readme.lines();
    if lines.next().map(str::trim) != Some("---") {
        return Vec::new();
    }
    let head = lines.take_while(|line| line.trim() != "---");
    let within = head.skip_while(|line| line.trim_end() != "configs:").skip(1);
    let mut configs: Vec<DatasetConfig> = Vec::new();
    for line in within.take_while(|line| line.starts_with([' ', '-']) || line.trim().is_empty()) {
        let text = line.trim().trim_start_matches("- ").trim();
        match text.split_once(':') {
            Some(("config_name", name)) => configs.push(DatasetConfig { name: bare(name), ..DatasetConfig::default() }),
            _ => {
                if let Some(config) = configs.last_mut() {
                    config.read(text);
                }
            }
        }
    }
    configs
}

impl DatasetConfig {
    fn read(&mut self, text: &str) {
        match text.split_once(':').map(|(key, value)| (key.trim(), bare(value))) {
            Some(("default", value)) => self.default = value == "true",
            Some(("split", name)) => self.splits.push(Split { name, patterns: vec![] }),
            Some(("path" | "data_files", value)) if value.is_empty() => {}
            Some(("path", pattern)) => self.last().patterns.push(pattern),
            Some(("data_files", pattern)) => self.splits.push(Split { name: "train".into(), patterns: vec![pattern] }),
            None if !text.is_empty() => self.last().patterns.push(bare(text)),
            _ => {}
        }
    }

    /// Files without a split are training data, as Python's datasets has it.
    fn last(&mut self) -> &mut Split {
        if self.splits.is_empty() {
            self.splits.push(Split { name: "train".into(), patterns: vec![] });
        }
        self.splits.last_mut().expect("there is one")
    }
}

/// Without blanks and quotes around it.
fn bare(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of allenai/ai2_arc's README.
    const ARC: &str = "---\nannotations_creators:\n- found\nconfigs:\n- config_name: ARC-Challenge\n  data_files:\n  - split: train\n    \
        path: ARC-Challenge/train-*\n  - split: test\n    path: ARC-Challenge/test-*\n- config_name: ARC-Easy\n  data_files:\n  \
        - split: test\n    path:\n    - \"ARC-Easy/test-*\"\n    - 'extra/*.jsonl'\ndataset_info:\n- config_name: nothing\n---\n# ARC\n";

    fn files() -> Vec<String> {
        let files = [
            "README.md",
            "ARC-Easy/test-00000-of-00002.parquet",
            "ARC-Easy/test-00001-of-00002.parquet",
            "ARC-Challenge/test-00000-of-00001.parquet",
            "extra/more.jsonl",
        ];
        files.map(String::from).to_vec()
    }

    fn picked(data: &str, readme: &str) -> Result<Vec<String>, String> {
        pick(&DataName::parse(data).expect("a name"), &files(), readme).map_err(|e| e.to_string())
    }

    #[test]
    fn a_name_has_a_split_and_perhaps_a_config() {
        let name = DataName::parse("allenai/ai2_arc@v1.0#ARC-Easy/test").expect("a name");
        assert_eq!((name.config.as_deref(), name.split.as_str()), (Some("ARC-Easy"), "test"));
        assert_eq!(name.to_string(), "allenai/ai2_arc@v1.0#ARC-Easy/test");
        assert_eq!(DataName::parse("a/b#test").expect("a name").config, None);
        for wrong in ["a/b", "#test", "a/b#", "a/b#/test", "../b#test"] {
            assert!(DataName::parse(wrong).expect_err(wrong).to_string().contains("write hub:ORG/NAME"));
        }
    }

    #[test]
    fn the_readme_says_which_files_are_a_split() {
        assert_eq!(
            picked("a/b#ARC-Easy/test", ARC),
            Ok(vec![files()[1].clone(), files()[2].clone(), files()[4].clone()])
        );
        assert_eq!(picked("a/b#ARC-Challenge/test", ARC), Ok(vec![files()[3].clone()]));
        assert!(
            picked("a/b#ARC-Hard/test", ARC)
                .expect_err("none")
                .contains("no config 'ARC-Hard'; there are ARC-Challenge, ARC-Easy")
        );
        assert!(picked("a/b#ARC-Easy/dev", ARC).expect_err("none").contains("no split 'dev'; there are test"));
        assert!(picked("a/b#test", ARC).expect_err("which?").contains("there are ARC-Challenge, ARC-Easy"));
        assert!(
            picked("a/b#ARC-Challenge/train", ARC).expect_err("no file").contains("no file for ARC-Challenge/train")
        );
    }

    #[test]
    fn without_a_readme_names_of_files_and_folders_say_it() {
        assert_eq!(picked("a/b#ARC-Easy/test", ""), Ok(vec![files()[1].clone(), files()[2].clone()]));
        assert_eq!(
            picked("a/b#test", "# no head"),
            Ok(vec![files()[3].clone(), files()[1].clone(), files()[2].clone()])
        );
        assert!(picked("a/b#ARC-Easy/train", "").is_err());
        let dev = DataName::parse("a/b#validation").expect("a name");
        assert!(is_of("data/dev.jsonl", &dev) && !is_of("data/develop.jsonl", &dev) && !is_of("data/dev.zip", &dev));
    }

    #[test]
    fn a_set_of_parts_is_whole_or_not_there() {
        let all = files();
        assert_eq!(missing_part(&all), None);
        assert_eq!(missing_part(&all[2..]).as_deref(), Some("ARC-Easy/test-00000-of-00002.parquet"));
    }
}
