//! Names on the hub: `ORG/NAME[@REVISION][:QUANT]`, the addresses of its pages, and the files of a repository. A name that
//! exists here is safe to make paths and addresses of: it leads nowhere else.

use super::{Error, address};
use bantam_core::text;
use std::fmt;

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepoKind {
    /// A model's files.
    Model,
    /// A dataset's files.
    Dataset,
}

impl RepoKind {
    /// Gives the word for the kind in `api/models` and in the cache's `models--ORG--NAME`.
    pub fn plural(self) -> &'static str {
        match self {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        }
    }

    /// What stands before ORG/NAME in the address of a page or a file.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            RepoKind::Model => "",
            RepoKind::Dataset => "datasets/",
        }
    }
}

/// A repository: ORG/NAME of a kind, or a NAME alone, as the hub's oldest have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repo {
    /// What it holds.
    pub kind: RepoKind,
    organisation: Option<String>,
    name: String,
}

impl Repo {
    /// Makes a repository of ORG/NAME or of a NAME without an owner; None where it has not that form or cannot be part of
    /// a path.
    pub fn new(kind: RepoKind, id: &str) -> Option<Repo> {
        let (organisation, name) = match id.split_once('/') {
            Some((organisation, name)) => (Some(organisation), name),
            // two dashes stand between owner and name in the cache
            None => (None, Some(id).filter(|id| !id.contains("--"))?),
        };
        let valid = organisation.is_none_or(is_plain) && is_plain(name);
        valid.then(|| Repo { kind, organisation: organisation.map(str::to_owned), name: name.into() })
    }

    /// Gives ORG/NAME, or the NAME that has no owner.
    pub fn id(&self) -> String {
        self.joined("/")
    }

    /// Tells whether the name says whose it is.
    pub fn has_owner(&self) -> bool {
        self.organisation.is_some()
    }

    /// "models--ORG--NAME", as `huggingface_hub` names the folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("{}--{}", self.kind.plural(), self.joined("--"))
    }

    fn joined(&self, between: &str) -> String {
        self.organisation.as_ref().map_or_else(|| self.name.clone(), |owner| format!("{owner}{between}{}", self.name))
    }

    /// The repository whose folder it is.
    pub(super) fn of_folder(folder: &str) -> Option<Repo> {
        let (kind, id) = folder.split_once("--")?;
        let kind = [RepoKind::Model, RepoKind::Dataset].into_iter().find(|k| k.plural() == kind)?;
        Repo::new(kind, &id.replacen("--", "/", 1))
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.id())
    }
}

/// The revision of a name that gives none.
pub const MAIN: &str = "main";

/// The name of a model as typed: `ORG/NAME[@REVISION][:QUANT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The repository.
    pub repo: Repo,
    /// A branch, a tag or a commit; [`MAIN`] where none is named.
    pub revision: String,
    /// The GGUF file of several that is meant: "Q4_K_M".
    pub quant: Option<String>,
}

impl Name {
    /// Reads the name of a model, or the address of its page or of a file of it.
    ///
    /// # Errors
    /// One sentence on the part that is wrong.
    pub fn parse(text: &str) -> Result<Name, Error> {
        Name::of(RepoKind::Model, text)
    }

    pub(super) fn of(kind: RepoKind, text: &str) -> Result<Name, Error> {
        let wrong = |why: &str| Error::Name { text: text.into(), why: why.into() };
        match address::path_of(text) {
            Some(path) => address::name(kind, path, &wrong),
            None => Name::typed(kind, text, &wrong),
        }
    }

    pub(super) fn typed(kind: RepoKind, text: &str, wrong: &dyn Fn(&str) -> Error) -> Result<Name, Error> {
        if text.contains("://") {
            return Err(wrong("it is no address of a model on the hub"));
        }
        // git allows no colon in the names of branches and tags
        let (whole, quant) = match text.split_once(':') {
            Some((whole, quant)) => (whole, Some(quant)),
            None => (text, None),
        };
        let (id, revision) = whole.split_once('@').unwrap_or((whole, MAIN));
        let repo = Repo::new(kind, id)
            .ok_or_else(|| wrong("ORG and NAME are letters, digits, '-', '_' and '.', with one '/' between"))?;
        if !is_revision(revision) {
            return Err(wrong("a revision is a branch, a tag or a commit hash"));
        }
        if quant.is_some_and(|quant| escapes(quant) || usable(quant).is_err()) {
            return Err(wrong("after ':' stands a quantization such as Q4_K_M"));
        }
        Ok(Name { repo, revision: revision.into(), quant: quant.map(str::to_owned) })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        self.quant.iter().try_for_each(|quant| write!(f, ":{quant}"))
    }
}

/// One component of a path, that leads nowhere else.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 255 && name.chars().all(allowed) && !name.starts_with('.')
}

/// "main", "v1.0", "refs/pr/7", or a commit.
pub(super) fn is_revision(name: &str) -> bool {
    let plain = |part: &str| is_plain(&part.replace(['+', '#', '='], "-"));
    name.split('/').all(plain)
}

/// Tells whether a revision is a commit: forty hex digits, which can never mean another state.
pub fn is_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a file name from the hub leads out of the folder that it is joined to.
pub(super) fn escapes(file: &str) -> bool {
    file.starts_with('/') || file.contains('\0') || file.split('/').any(|part| part == "..")
}

/// Whether a file name from the hub can be given to a file here; else what is wrong with it. A colon or a backslash leads
/// nowhere on this system.
pub(super) fn usable(file: &str) -> Result<(), &'static str> {
    match file {
        _ if file.split('/').any(|part| part.is_empty() || part == ".") => Err("whose name has an empty part"),
        _ if file.split('/').any(|part| part.len() > 255) => Err("whose name is longer than a file's can be"),
        _ if text::plain(file) != file => Err("whose name has characters that cannot be shown"),
        _ => Ok(()),
    }
}

/// A path in an address: what is not plain is percent-encoded, slashes stay.
pub(super) fn encoded(path: &str) -> String {
    path.split('/').map(encoded_part).collect::<Vec<_>>().join("/")
}

/// One component of an address, or a value of its query; a slash is encoded, too.
pub(super) fn encoded_part(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_with_its_revision_and_its_quantization() {
        let name = Name::parse("Org/Small-1.5@refs/pr/7:Q4_K_M").expect("a name");
        assert_eq!((name.repo.id().as_str(), name.revision.as_str()), ("Org/Small-1.5", "refs/pr/7"));
        assert_eq!(name.quant.as_deref(), Some("Q4_K_M"));
        assert_eq!(Name::parse("a/b").map(|n| n.to_string()).ok().as_deref(), Some("a/b"));
        assert_eq!(name.to_string(), "Org/Small-1.5@refs/pr/7:Q4_K_M");
        for wrong in [
            "",
            "a/b/c",
            "gpt2--x",
            ".x",
            "../b",
            "a/..",
            "a/b@",
            "a/b@../x",
            "a/b@v1/../..",
            "a/b:",
            "a/b:../x",
            "a b/c",
        ] {
            let message = Name::parse(wrong).expect_err(wrong).to_string();
            assert!(message.contains("write ORG/NAME"), "{message}");
        }
    }

    #[test]
    fn file_names_cannot_leave_the_folder() {
        for inside in
            ["config.json", "onnx/model.json", "a b/ü.txt", ".gitattributes", "..a/b..", "a\\..\\b", "runs/12:45"]
        {
            assert!(!escapes(inside) && usable(inside).is_ok(), "{inside}");
        }
        for outside in ["/etc/passwd", "../x", "a/../../x", "a/..", "a\0b"] {
            assert!(escapes(outside), "{outside:?}");
        }
        let long = "n".repeat(256);
        for odd in ["", "a//b", "a/", "./a", "a\nb", "a\u{1b}[2J", "a\u{202e}b", &long] {
            assert!(!escapes(odd) && usable(odd).is_err(), "{odd:?}");
        }
        assert!(usable(&long[1..]).is_ok());
    }

    #[test]
    fn the_oldest_names_have_no_owner() {
        let name = Name::parse("gpt2@main:Q8_0").expect("a name");
        assert_eq!((name.repo.id().as_str(), name.repo.folder().as_str()), ("gpt2", "models--gpt2"));
        assert!(!name.repo.has_owner());
        assert_eq!(name.to_string(), "gpt2:Q8_0");
    }

    #[test]
    fn a_folder_of_the_cache_names_its_repository() {
        let repo = Repo::new(RepoKind::Dataset, "allenai/ai2_arc").expect("valid");
        assert_eq!(repo.folder(), "datasets--allenai--ai2_arc");
        assert_eq!(Repo::of_folder(&repo.folder()), Some(repo));
        assert_eq!(Repo::of_folder("models--gpt2").map(|repo| repo.id()).as_deref(), Some("gpt2"));
        assert_eq!(Repo::of_folder("models--a--b--c").map(|repo| repo.id()).as_deref(), Some("a/b--c"));
        assert_eq!(Repo::of_folder("version.txt"), None);
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(encoded("a b/ü#?.json"), "a%20b/%C3%BC%23%3F.json");
        assert_eq!(encoded_part("refs/pr/7"), "refs%2Fpr%2F7");
    }
}
