//! What the environment says about the hub, in the words of `huggingface_hub` (its constants.py): where it is, who
//! asks, and how long to wait. Nothing is fetched here.

use super::{Cache, Error};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How the hub is asked: where it is, who asks, and how long is waited.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hub's address, without a slash at its end.
    pub endpoint: String,
    /// The token shown to the hub; None to ask as nobody.
    pub token: Option<Token>,
    /// Whether no request may leave this machine.
    pub offline: bool,
    /// Where downloaded files go.
    pub cache: Cache,
    /// How long a download that gives no byte is waited for.
    pub read_timeout: Duration,
    /// How long the small requests before a download are waited for.
    pub ask_timeout: Duration,
    /// How often a request that failed is tried again, and after how long.
    pub patience: Patience,
}

/// How often something that may pass is tried, and how long to wait between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The most tries in a row that bring no byte.
    pub tries: u32,
    /// The wait after the first try; it doubles from then on.
    pub first: Duration,
    /// The longest wait that is chosen; the hub may ask for more.
    pub most: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { tries: 6, first: Duration::from_millis(500), most: Duration::from_secs(8) }
    }
}

/// An access token: a secret that is shown nowhere, not even for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Makes a token of a text without the blanks around it; None where the rest cannot stand in a header.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Token(text.into()))
    }

    /// The header's value.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

const HUB: &str = "https://huggingface.co";

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// One sentence on the variable whose value is not allowed.
    pub fn from_env() -> Result<Settings, Error> {
        Settings::from(|name| std::env::var_os(name))
    }

    /// Makes the settings offline, whatever the environment says, where `offline` is true.
    pub fn offline_if(mut self, offline: bool) -> Settings {
        self.offline |= offline;
        self
    }

    pub(super) fn from(variable: impl Fn(&str) -> Option<OsString>) -> Result<Settings, Error> {
        let text = |name: &str| variable(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| HUB.into());
        if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
            let allowed = "an address that begins with https:// or http:// is needed";
            return Err(Error::Variable { variable: "HF_ENDPOINT".into(), value: endpoint, allowed });
        }
        Ok(Settings {
            endpoint: endpoint.trim_end_matches('/').into(),
            token: token(&variable),
            offline: is_true(text("HF_HUB_OFFLINE")) || is_true(text("TRANSFORMERS_OFFLINE")),
            cache: Cache::from(&variable),
            read_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", text("HF_HUB_DOWNLOAD_TIMEOUT"))?,
            ask_timeout: seconds("HF_HUB_ETAG_TIMEOUT", text("HF_HUB_ETAG_TIMEOUT"))?,
            patience: Patience::default(),
        })
    }
}

/// HF_TOKEN, else what `hf auth login` wrote.
fn token(variable: &impl Fn(&str) -> Option<OsString>) -> Option<Token> {
    let text = |name: &str| variable(name).map(|v| v.to_string_lossy().into_owned());
    if is_true(text("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        return None;
    }
    let given = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].iter().find_map(|name| Token::new(&text(name)?));
    given.or_else(|| {
        let file = variable("HF_TOKEN_PATH").filter(|v| !v.is_empty()).map(PathBuf::from);
        let file = file.or_else(|| Some(super::cache::home(variable)?.join("token")))?;
        Token::new(&std::fs::read_to_string(file).ok()?)
    })
}

/// What Python's client takes for yes.
fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&v.to_ascii_uppercase().as_str()))
}

fn seconds(variable: &str, value: Option<String>) -> Result<Duration, Error> {
    let Some(value) = value else { return Ok(Duration::from_secs(10)) };
    match value.trim().parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= 86_400.0) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None => {
            let allowed = "a number of seconds above 0 is needed";
            Err(Error::Variable { variable: variable.into(), value, allowed })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        Settings::from(find).map_err(|e| e.to_string())
    }

    #[test]
    fn the_environment_is_read_as_pythons_client_reads_it() {
        let plain = settings(&[]).expect("nothing is needed");
        assert_eq!((plain.endpoint.as_str(), plain.offline), (HUB, false));
        assert_eq!(plain.read_timeout, Duration::from_secs(10));
        let given = settings(&[
            ("HF_ENDPOINT", "http://127.0.0.1:9/"),
            ("HF_HUB_OFFLINE", "yes"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "2.5"),
            ("HF_TOKEN", "hf_secret"),
        ]);
        let given = given.expect("valid");
        assert_eq!((given.endpoint.as_str(), given.offline), ("http://127.0.0.1:9", true));
        assert_eq!(given.read_timeout, Duration::from_millis(2500));
        assert_eq!(given.token.as_ref().map(Token::bearer).as_deref(), Some("Bearer hf_secret"));
        assert!(!format!("{given:?}").contains("secret"));
        assert!(
            settings(&[("HF_ENDPOINT", "huggingface.co")]).expect_err("no scheme").contains("begins with https://")
        );
        assert!(
            settings(&[("HF_HUB_ETAG_TIMEOUT", "soon")])
                .expect_err("no number")
                .starts_with("HF_HUB_ETAG_TIMEOUT is 'soon'")
        );
    }

    #[test]
    fn the_token_of_the_command_line_client_is_found() {
        let dir = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("token"), "hf_file\n").expect("writes");
        std::fs::write(at("other"), "hf_other").expect("writes");
        let bearer = |variables: &[(&str, &str)]| settings(variables).expect("valid").token.map(|t| t.bearer());
        let home = dir.path().display().to_string();
        assert_eq!(bearer(&[("HF_HOME", &home)]).as_deref(), Some("Bearer hf_file"));
        assert_eq!(bearer(&[("HF_HOME", &home), ("HF_TOKEN_PATH", &at("other"))]).as_deref(), Some("Bearer hf_other"));
        assert_eq!(bearer(&[("HF_HOME", &home), ("HF_TOKEN", "hf_var")]).as_deref(), Some("Bearer hf_var"));
        assert_eq!(bearer(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(bearer(&[("HF_TOKEN", "two words")]), None);
    }
}
