//! A fact about the host, or why it is unknown; and the files that facts are read from.
//!
//! An absent file means "unknown, for this reason", never "fine" and never zero.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something known about the host, or the reason why it is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// The value.
    Known(T),
    /// The value is not known.
    Unknown {
        /// Why, as part of a sentence: "there is no /proc/loadavg".
        reason: String,
    },
}

impl<T> Fact<T> {
    /// Makes an unknown fact with its reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Fact::Unknown { reason: reason.into() }
    }

    /// Gives the value; None where it is unknown.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown { .. } => None,
        }
    }

    /// Writes the fact in words: the value as `show` writes it, or "unknown" with the reason.
    pub fn show(&self, show: impl FnOnce(&T) -> String) -> String {
        match self {
            Fact::Known(value) => show(value),
            Fact::Unknown { reason } => format!("unknown ({reason})"),
        }
    }

    pub(super) fn result(self) -> Result<T, String> {
        match self {
            Fact::Known(value) => Ok(value),
            Fact::Unknown { reason } => Err(reason),
        }
    }
}

impl<T> From<Result<T, String>> for Fact<T> {
    fn from(result: Result<T, String>) -> Self {
        match result {
            Ok(value) => Fact::Known(value),
            Err(reason) => Fact::Unknown { reason },
        }
    }
}

/// The folders in which the kernel shows the machine; a made-up tree in tests.
#[derive(Debug, Clone)]
pub struct Roots {
    /// Usually `/proc`.
    pub proc: PathBuf,
    /// Usually `/sys`.
    pub sys: PathBuf,
    /// Usually `/etc`.
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), etc: "/etc".into() }
    }
}

impl Roots {
    /// The folder of all CPUs.
    pub(super) fn cpus(&self) -> PathBuf {
        self.sys.join("devices/system/cpu")
    }
}

/// A file's text without the blanks around it.
pub(super) fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map(|s| s.trim().to_string()).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("there is no {}", path.display()),
        io::ErrorKind::PermissionDenied => format!("{} may not be read by this user", path.display()),
        _ => format!("{} cannot be read: {e}", path.display()),
    })
}

/// A file that holds one number.
pub(super) fn number<T: FromStr>(path: &Path) -> Result<T, String> {
    let text = text(path)?;
    text.parse().map_err(|_| format!("{} holds {text:?}, not a number", path.display()))
}

/// The entries of a folder whose names begin with `prefix` and go on with a number, in the order of the numbers.
pub(super) fn numbered(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// The value behind `key` in a text of `key: value` or `key value` lines.
pub(super) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        rest.starts_with([':', ' ', '\t']).then(|| rest.trim_start_matches([':', ' ', '\t']).trim())
    })
}

/// How many numbers a list like `0-3,8` holds.
pub(super) fn list_len(list: &str) -> Option<usize> {
    list.split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            Some(last.checked_sub(first)? + 1)
        })
        .sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A made-up machine: files by their paths under one folder that holds proc, sys and etc.
    pub(crate) struct Tree(tempfile::TempDir);

    impl Tree {
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let tree = Tree(tempfile::tempdir().unwrap());
            for (path, text) in files {
                tree.set(path, text);
            }
            tree
        }

        pub(crate) fn set(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        pub(crate) fn roots(&self) -> Roots {
            let at = |name: &str| self.0.path().join(name);
            Roots { proc: at("proc"), sys: at("sys"), etc: at("etc") }
        }
    }

    #[test]
    fn lists_and_fields_are_read() {
        assert_eq!((list_len("0-3,8"), list_len("0"), list_len(""), list_len("3-1")), (Some(5), Some(1), None, None));
        assert_eq!(field("VmHWMx: 3\nVmHWM:\t 12 kB\n", "VmHWM"), Some("12 kB"));
        assert_eq!(field("oom_kill_disable 0\noom_kill 4", "oom_kill"), Some("4"));
    }

    #[test]
    fn an_absent_or_broken_file_says_which() {
        let tree = Tree::new(&[("proc/n", "many\n")]);
        let roots = tree.roots();
        assert!(number::<u64>(&roots.proc.join("n")).unwrap_err().ends_with("holds \"many\", not a number"));
        assert!(text(&roots.proc.join("m")).unwrap_err().starts_with("there is no "));
    }
}
