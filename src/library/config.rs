//! The user's own settings, for the command line and the workbench alike: `$XDG_CONFIG_HOME/bantam/config.toml`, or the file
//! that BANTAM_CONFIG names (empty: none). An argument wins over the environment, that over the file, and the file over what
//! holds without it. What the file has and is not known is refused, with its line: a slip of the pen is no setting.

use bantam_core::meant::meant_words;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use toml::de::{DeTable, DeValue};

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

/// A key of the file: its name, what may stand there, and what it does.
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may stand there, with an example.
    pub allowed: &'static str,
    /// What it does.
    pub does: &'static str,
}

/// Every key that the file may have.
pub const KEYS: [Key; 8] = [
    Key { name: "theme", allowed: "auto, dark, light, night, day or plain", does: "colours of the workbench" },
    Key { name: "mouse", allowed: "true or false", does: "whether clicks and the wheel come to the workbench" },
    Key {
        name: "threads",
        allowed: "a whole number from 1 on",
        does: "threads, where neither profile nor argument says",
    },
    Key { name: "offline", allowed: "true or false", does: "whether nothing is fetched, as with --offline" },
    Key { name: "quiet", allowed: "true or false", does: "whether commands tell no progress, as with --quiet" },
    Key { name: "data", allowed: "a folder, like \"/home/me/bantam\"", does: "where results are kept" },
    Key { name: "cache", allowed: "a folder, like \"/big/bantam\"", does: "where made variants and logs are kept" },
    Key {
        name: "keys",
        allowed: "a table, like { run = \"R\" }",
        does: "keys of the workbench, by the names that `:` has",
    },
];

/// A setting of the file and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T> {
    /// What stands there.
    pub value: T,
    /// Its line, from one on.
    pub line: usize,
}

/// What the file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The file, whether it is there or not; `None` where there is no place for one.
    pub file: Option<PathBuf>,
    pub theme: Option<Given<String>>,
    pub mouse: Option<Given<bool>>,
    pub threads: Option<Given<usize>>,
    pub offline: Option<Given<bool>>,
    pub quiet: Option<Given<bool>>,
    pub data: Option<Given<PathBuf>>,
    pub cache: Option<Given<PathBuf>>,
    /// The name of what a key does to the key.
    pub keys: BTreeMap<String, Given<String>>,
}

/// The settings of this process, read once.
///
/// # Errors
/// One sentence with the file, the line and the key that is wrong, and what is allowed.
pub fn current() -> Result<&'static Config, String> {
    static READ: OnceLock<Result<Config, String>> = OnceLock::new();
    READ.get_or_init(|| Config::read(place(|name| std::env::var_os(name)))).as_ref().map_err(Clone::clone)
}

/// The settings, or none where the file is wrong, which was said when the process began.
pub fn settled() -> &'static Config {
    static NONE: OnceLock<Config> = OnceLock::new();
    current().unwrap_or_else(|_| NONE.get_or_init(Config::default))
}

/// Where the file is looked for.
fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(named) = variable("BANTAM_CONFIG") {
        return (!named.is_empty()).then(|| named.into());
    }
    let folder = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let given = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    Some(given.or_else(|| Some(folder("HOME")?.join(".config")))?.join("bantam/config.toml"))
}

impl Config {
    /// Reads the file; one that is not there says nothing.
    fn read(file: Option<PathBuf>) -> Result<Config, String> {
        let Some(file) = file else { return Ok(Config::default()) };
        let bytes = match bantam_core::input::read(&file, LONGEST) {
            Ok(bytes) => bytes,
            Err(_) if !file.exists() => return Ok(Config { file: Some(file), ..Config::default() }),
            Err(error) => return Err(format!("{}: cannot be read: {error}", file.display())),
        };
        let text = String::from_utf8(bytes).map_err(|_| format!("{}: is no text", file.display()))?;
        Config::parse(&text, &file)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// One sentence with the file, the line and the key.
    pub fn parse(text: &str, file: &Path) -> Result<Config, String> {
        let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(1, |span| line(span.start));
            format!("{}, line {at}: {}", file.display(), error.message())
        })?;
        let mut config = Config { file: Some(file.into()), ..Config::default() };
        for (key, value) in table.get_ref() {
            let (name, at) = (&**key.get_ref(), line(key.span().start));
            config
                .take(name, value.get_ref(), at, &line)
                .map_err(|why| format!("{}, line {at}: {why}", file.display()))?;
        }
        Ok(config)
    }

    fn take(&mut self, name: &str, value: &DeValue, at: usize, line: &dyn Fn(usize) -> usize) -> Result<(), String> {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let known = KEYS.map(|key| key.name);
            return Err(format!(
                "there is no key '{name}'{}; there are {}",
                meant_words(name, known),
                known.join(", ")
            ));
        };
        let wrong = || format!("{name} is {}; allowed is {}", spelled(value), key.allowed);
        let word = || value.as_str().map(str::to_owned).ok_or_else(wrong);
        let truth = || value.as_bool().ok_or_else(wrong);
        let folder = || {
            let path = PathBuf::from(word()?);
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(format!("{name} is '{}'; allowed is a whole path from / on", path.display()))
            }
        };
        match name {
            "theme" => self.theme = Some(Given { value: word()?, line: at }),
            "mouse" => self.mouse = Some(Given { value: truth()?, line: at }),
            "offline" => self.offline = Some(Given { value: truth()?, line: at }),
            "quiet" => self.quiet = Some(Given { value: truth()?, line: at }),
            "data" => self.data = Some(Given { value: folder()?, line: at }),
            "cache" => self.cache = Some(Given { value: folder()?, line: at }),
            "threads" => {
                let count = value.as_integer().and_then(|n| n.as_str().parse::<usize>().ok()).filter(|n| *n > 0);
                self.threads = Some(Given { value: count.ok_or_else(wrong)?, line: at });
            }
            _ => {
                for (action, key) in value.as_table().ok_or_else(wrong)? {
                    let at = line(action.span().start);
                    let typed = key.get_ref().as_str().filter(|typed| !typed.is_empty());
                    let typed =
                        typed.ok_or_else(|| format!("keys.{} has no key; write one like \"R\"", action.get_ref()))?;
                    self.keys.insert(action.get_ref().to_string(), Given { value: typed.into(), line: at });
                }
            }
        }
        Ok(())
    }

    /// What is said of a value that only its user can tell to be wrong.
    pub fn wrong(&self, line: usize, why: &str) -> String {
        let file = self.file.as_ref().map_or_else(|| "the settings".into(), |file| file.display().to_string());
        format!("{file}, line {line}: {why}")
    }
}

/// A value as it was typed, shortly.
fn spelled(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("'{text}'"),
        DeValue::Integer(number) => number.as_str().into(),
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("c.toml"))
    }

    #[test]
    fn every_key_is_read_with_its_line() {
        let text = "# mine\ntheme = 'night'\nmouse = false\nthreads = 4\noffline = true\nquiet = true\ndata = '/d'\ncache = '/c'\n[keys]\nrun = 'R'\n";
        let config = read(text).expect("valid");
        assert_eq!(config.theme, Some(Given { value: "night".into(), line: 2 }));
        assert_eq!(config.threads, Some(Given { value: 4, line: 4 }));
        assert_eq!(config.cache, Some(Given { value: "/c".into(), line: 8 }));
        assert_eq!(config.keys["run"], Given { value: "R".into(), line: 10 });
        assert_eq!(
            [&config.mouse, &config.offline].map(|given| given.as_ref().map(|g| g.value)),
            [Some(false), Some(true)]
        );
    }

    #[test]
    fn what_is_not_known_is_refused_with_file_key_and_line() {
        let refused = |text| read(text).expect_err(text);
        assert_eq!(
            refused("\nthrads = 4"),
            "c.toml, line 2: there is no key 'thrads' (threads?); there are theme, mouse, threads, offline, quiet, data, cache, keys"
        );
        assert_eq!(refused("threads = 0"), "c.toml, line 1: threads is 0; allowed is a whole number from 1 on");
        assert_eq!(refused("mouse = 'no'"), "c.toml, line 1: mouse is 'no'; allowed is true or false");
        assert!(refused("cache = 'here'").contains("allowed is a whole path"));
        assert!(refused("keys = 3").contains("keys is 3; allowed is a table, like { run = \"R\" }"));
        assert!(refused("theme = ").starts_with("c.toml, line 1: "));
    }

    #[test]
    fn the_file_is_where_configurations_go() {
        let place = |variables: &[(&str, &str)]| {
            place(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
        };
        assert_eq!(place(&[("HOME", "/h")]), Some("/h/.config/bantam/config.toml".into()));
        assert_eq!(place(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Some("/x/bantam/config.toml".into()));
        assert_eq!(place(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]), Some("/h/.config/bantam/config.toml".into()));
        assert_eq!(place(&[("HOME", "/h"), ("BANTAM_CONFIG", "/my.toml")]), Some("/my.toml".into()));
        assert_eq!(place(&[("HOME", "/h"), ("BANTAM_CONFIG", "")]), None);
        assert_eq!(place(&[]), None);
    }

    #[test]
    fn a_file_that_is_not_there_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        assert_eq!(Config::read(Some(file.clone())), Ok(Config { file: Some(file), ..Config::default() }));
    }
}
