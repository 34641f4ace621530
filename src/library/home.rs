//! Home: where results, made variants and logs are kept on this machine.
//!
//! BANTAM_HOME names one folder for all of it; without, the user's settings may name two; without these, results go where
//! data goes and what can be made again goes where caches go, after the XDG base directory specification. Nothing is
//! created here.

use super::config::{self, Config};
use bantam_core::record::Id;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    data: PathBuf,
    cache: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("there is no place to keep results: set BANTAM_HOME to a folder, or HOME")]
pub struct Homeless;

impl Home {
    /// What the environment and the settings say.
    pub fn find() -> Result<Home, Homeless> {
        Home::from(|name| std::env::var_os(name), config::settled())
    }

    /// Everything below one folder.
    pub fn at(folder: impl Into<PathBuf>) -> Home {
        let folder = folder.into();
        Home { cache: folder.clone(), data: folder }
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>, config: &Config) -> Result<Home, Homeless> {
        let folder = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(home) = folder("BANTAM_HOME") {
            return Ok(Home::at(home));
        }
        // the specification: a relative path is invalid and ignored
        let xdg = |name: &str, otherwise: &str| {
            let given = folder(name).filter(|path| path.is_absolute());
            given.or_else(|| Some(folder("HOME")?.join(otherwise))).map(|base| base.join("bantam")).ok_or(Homeless)
        };
        let data = config.data.as_ref().map(|given| Ok(given.value.clone()));
        let cache = config.cache.as_ref().map(|given| Ok(given.value.clone()));
        Ok(Home {
            data: data.unwrap_or_else(|| xdg("XDG_DATA_HOME", ".local/share"))?,
            cache: cache.unwrap_or_else(|| xdg("XDG_CACHE_HOME", ".cache"))?,
        })
    }

    /// The results.
    pub fn store(&self) -> PathBuf {
        self.data.join("store.sqlite")
    }

    /// Variants that were made, by what they are made of.
    pub fn artifacts(&self) -> PathBuf {
        self.cache.join("artifacts")
    }

    /// What files hash to, as far as they were read.
    pub fn digests(&self) -> PathBuf {
        self.cache.join("digests")
    }

    /// What the workers said on stderr.
    pub fn logs(&self) -> PathBuf {
        self.cache.join("logs")
    }

    /// The log of one trial's, or one variant's, last worker.
    pub fn log(&self, of: &Id) -> PathBuf {
        self.logs().join(format!("{of}.log"))
    }

    /// The folder of the results.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder that may grow large.
    pub fn cache(&self) -> &Path {
        &self.cache
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(variables: &[(&str, &str)]) -> Option<Home> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        Home::from(find, &Config::default()).ok()
    }

    #[test]
    fn bantam_home_wins_and_xdg_comes_next() {
        let both = home(&[("BANTAM_HOME", "/b"), ("HOME", "/h"), ("XDG_DATA_HOME", "/d")]).expect("found");
        assert_eq!(both.store(), Path::new("/b/store.sqlite"));
        let xdg = home(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d"), ("XDG_CACHE_HOME", "relative")]).expect("found");
        assert_eq!(xdg.store(), Path::new("/d/bantam/store.sqlite"));
        assert_eq!(xdg.artifacts(), Path::new("/h/.cache/bantam/artifacts"));
        assert_eq!(home(&[("HOME", ""), ("BANTAM_HOME", "")]), None);
    }

    #[test]
    fn settings_name_folders_where_the_environment_does_not() {
        let config = Config::parse("cache = '/big'", Path::new("c.toml")).expect("valid");
        let of = |home: Option<&'static str>| {
            let find = |name: &str| match name {
                "BANTAM_HOME" => home.map(Into::into),
                "HOME" => Some("/h".into()),
                _ => None,
            };
            Home::from(find, &config).expect("found")
        };
        assert_eq!(
            (of(None).store(), of(None).artifacts()),
            ("/h/.local/share/bantam/store.sqlite".into(), "/big/artifacts".into())
        );
        assert_eq!(of(Some("/b")).artifacts(), Path::new("/b/artifacts"));
    }
}
