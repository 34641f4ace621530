//! Folders as people write them into the environment: `~`, `~user`, `$NAME` and `${NAME}` mean what Python's
//! `os.path.expandvars(os.path.expanduser(…))` makes of them, which is how `huggingface_hub` reads its variables.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Where accounts and their home folders are listed.
const ACCOUNTS: &str = "/etc/passwd";

/// Reads a folder from a variable; None where it is not set or empty.
pub(super) fn folder(name: &str, variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let value = variable(name).filter(|value| !value.is_empty())?;
    let accounts = std::fs::read_to_string(ACCOUNTS).unwrap_or_default();
    Some(expanded(&value, variable, &accounts).into())
}

/// The user's home folder: HOME, or what the list of accounts says.
pub(super) fn home(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let accounts = std::fs::read_to_string(ACCOUNTS).unwrap_or_default();
    home_of("", variable, &accounts).map(PathBuf::from)
}

/// First the home folder, then the variables: what is put in for `~` is expanded, too.
fn expanded(text: &OsStr, variable: &impl Fn(&str) -> Option<OsString>, accounts: &str) -> OsString {
    let bytes = text.as_bytes();
    let Some(rest) = bytes.strip_prefix(b"~") else { return OsString::from_vec(variables(bytes, variable)) };
    let end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
    let user = String::from_utf8_lossy(&rest[..end]);
    let whole = match home_of(&user, variable, accounts) {
        // "/" and what follows would begin with two slashes
        Some(home) => [home.as_bytes().strip_suffix(b"/").unwrap_or(home.as_bytes()), &rest[end..]].concat(),
        None => bytes.to_vec(),
    };
    OsString::from_vec(variables(&whole, variable))
}

/// HOME for nobody by name; else the sixth field of an account's line.
fn home_of(user: &str, variable: &impl Fn(&str) -> Option<OsString>, accounts: &str) -> Option<OsString> {
    let given = variable("HOME").filter(|home| user.is_empty() && !home.is_empty());
    let own = rustix::process::getuid().as_raw().to_string();
    given.or_else(|| {
        let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let is_meant = |fields: &Vec<&str>| match user {
            "" => fields.get(2) == Some(&own.as_str()),
            user => fields.first() == Some(&user),
        };
        lines.find(is_meant)?.get(5).filter(|home| !home.is_empty()).map(OsString::from)
    })
}

/// `$NAME` and `${NAME}`; what is not set stays as it is written.
fn variables(text: &[u8], variable: &impl Fn(&str) -> Option<OsString>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b == b'$') {
        out.extend_from_slice(&rest[..at]);
        let (name, length) = name_at(&rest[at + 1..]);
        let value = std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).and_then(variable);
        match value {
            Some(value) => out.extend_from_slice(value.as_bytes()),
            None => out.extend_from_slice(&rest[at..at + 1 + length]),
        }
        rest = &rest[at + 1 + length..];
    }
    out.extend_from_slice(rest);
    out
}

/// The name behind a `$`, and how many bytes it takes there.
fn name_at(text: &[u8]) -> (&[u8], usize) {
    if let Some(braced) = text.strip_prefix(b"{") {
        return match braced.iter().position(|&b| b == b'}') {
            Some(end) => (&braced[..end], end + 2),
            None => (&[], 0),
        };
    }
    let end = text.iter().position(|&b| !b.is_ascii_alphanumeric() && b != b'_').unwrap_or(text.len());
    (&text[..end], end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.12 makes of the same texts, with the same variables and accounts.
    #[test]
    fn folders_are_expanded_as_python_expands_them() {
        let variable = |name: &str| match name {
            "HOME" => Some(OsString::from("/home/me")),
            "USER" => Some("me".into()),
            "DISK" => Some("/mnt/$USER".into()),
            _ => None,
        };
        let accounts = "root:x:0:0::/root:/bin/sh\nada:x:7:7:,,:/srv/ada:/bin/sh\nnone:x:8:8\n";
        for (written, meant) in [
            ("~/hfx", "/home/me/hfx"),
            ("~", "/home/me"),
            ("~ada/hf", "/srv/ada/hf"),
            ("~nobody-here/x", "~nobody-here/x"),
            ("a/~/b", "a/~/b"),
            ("$HOME/x", "/home/me/x"),
            ("${HOME}x/$USER", "/home/mex/me"),
            ("/d/$NOT_SET/${NOT_SET}/$", "/d/$NOT_SET/${NOT_SET}/$"),
            ("$DISK/x", "/mnt/$USER/x"),
            ("/a/${HOME", "/a/${HOME"),
            ("$$USER", "$me"),
        ] {
            assert_eq!(expanded(written.as_ref(), &variable, accounts), OsString::from(meant), "{written}");
        }
        assert_eq!(
            home_of("", &|_| None, &format!("me:x:{}:1::/m:/bin/sh", rustix::process::getuid().as_raw())),
            Some("/m".into())
        );
        assert_eq!(expanded("~/x".as_ref(), &|_| None, ""), OsString::from("~/x"));
    }
}
