//! What the environment says about the hub, in the words of `huggingface_hub` (its constants.py): where it is, who
//! asks, and how long to wait. Nothing is fetched here.

use super::{Cache, Error, expand};
use std::ffi::OsString;
use std::fmt;
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

/// An access token, or a name and a password: a secret that is shown nowhere, not even for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Secret);

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Bearer(String),
    /// NAME:PASSWORD, as bytes.
    Basic(Vec<u8>),
}

impl Token {
    /// Makes a token of a text without the blanks around it; None where the rest cannot stand in a header.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Token(Secret::Bearer(text.into())))
    }

    /// The header's value.
    pub(super) fn authorization(&self) -> String {
        match &self.0 {
            Secret::Bearer(token) => format!("Bearer {token}"),
            Secret::Basic(pair) => format!("Basic {}", base64(pair)),
        }
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
            let value = without_password(&endpoint).0;
            return Err(Error::Variable { variable: "HF_ENDPOINT".into(), value, allowed });
        }
        let (endpoint, password) = without_password(endpoint.trim_end_matches('/'));
        Ok(Settings {
            endpoint,
            token: token(&variable).or(password),
            offline: is_true(text("HF_HUB_OFFLINE")) || is_true(text("TRANSFORMERS_OFFLINE")),
            cache: Cache::from(&variable),
            read_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", text("HF_HUB_DOWNLOAD_TIMEOUT"))?,
            ask_timeout: seconds("HF_HUB_ETAG_TIMEOUT", text("HF_HUB_ETAG_TIMEOUT"))?,
            patience: Patience::default(),
        })
    }
}

/// An address without the NAME:PASSWORD@ in it, and that as what is shown to its host: an address is told in many sentences.
fn without_password(endpoint: &str) -> (String, Option<Token>) {
    let begin = endpoint.find("://").map_or(0, |at| at + 3);
    let end = endpoint[begin..].find('/').map_or(endpoint.len(), |at| begin + at);
    match endpoint[begin..end].rsplit_once('@') {
        None => (endpoint.to_owned(), None),
        Some((user, host)) => {
            let bare = format!("{}{host}{}", &endpoint[..begin], &endpoint[end..]);
            (bare, Some(Token(Secret::Basic(super::address::decoded(user).into_bytes()))))
        }
    }
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

/// HF_TOKEN, else what `hf auth login` wrote.
fn token(variable: &impl Fn(&str) -> Option<OsString>) -> Option<Token> {
    let text = |name: &str| variable(name).map(|v| v.to_string_lossy().into_owned());
    if is_true(text("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        return None;
    }
    let given = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].iter().find_map(|name| Token::new(&text(name)?));
    given.or_else(|| {
        let file = expand::folder("HF_TOKEN_PATH", variable);
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
        assert_eq!(given.token.as_ref().map(Token::authorization).as_deref(), Some("Bearer hf_secret"));
        assert!(!format!("{given:?}").contains("secret"));
        let basic = settings(&[("HF_ENDPOINT", "https://me:p%40ss@hub.example/sub/")]).expect("valid");
        assert_eq!(basic.endpoint, "https://hub.example/sub");
        // printf me:p@ss | base64
        assert_eq!(basic.token.as_ref().map(Token::authorization).as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{basic:?}").contains("ss@"));
        let unread = settings(&[("HF_ENDPOINT", "me:secret@hub")]).expect_err("no scheme");
        assert!(!unread.contains("secret"), "{unread}");
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
        let bearer = |variables: &[(&str, &str)]| settings(variables).expect("valid").token.map(|t| t.authorization());
        let home = dir.path().display().to_string();
        let short = [("HOME", home.as_str()), ("HF_HOME", "~"), ("HF_TOKEN_PATH", "$HF_HOME/other")];
        assert_eq!(bearer(&short[..2]).as_deref(), Some("Bearer hf_file"));
        assert_eq!(bearer(&[short[0], ("HF_TOKEN_PATH", "${HOME}/other")]).as_deref(), Some("Bearer hf_other"));
        assert_eq!(bearer(&[("HF_HOME", &home)]).as_deref(), Some("Bearer hf_file"));
        assert_eq!(bearer(&[("HF_HOME", &home), ("HF_TOKEN_PATH", &at("other"))]).as_deref(), Some("Bearer hf_other"));
        assert_eq!(bearer(&[("HF_HOME", &home), ("HF_TOKEN", "hf_var")]).as_deref(), Some("Bearer hf_var"));
        assert_eq!(bearer(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(bearer(&[("HF_TOKEN", "two words")]), None);
    }
}
