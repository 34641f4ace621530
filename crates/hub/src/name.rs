//! Names on the hub: `ORG/NAME[@REVISION][:QUANT]`, and the files of a repository. A name that exists here is safe to
//! make paths and addresses of: it leads nowhere else.

use super::Error;
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

/// A repository: ORG/NAME of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repo {
    /// What it holds.
    pub kind: RepoKind,
    organisation: String,
    name: String,
}

impl Repo {
    /// Makes a repository of ORG/NAME; None where it has not that form or cannot be part of a path.
    pub fn new(kind: RepoKind, id: &str) -> Option<Repo> {
        let (organisation, name) = id.split_once('/')?;
        let valid = is_plain(organisation) && is_plain(name);
        valid.then(|| Repo { kind, organisation: organisation.into(), name: name.into() })
    }

    /// Gives ORG/NAME.
    pub fn id(&self) -> String {
        format!("{}/{}", self.organisation, self.name)
    }

    /// "models--ORG--NAME", as `huggingface_hub` names the folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("{}--{}--{}", self.kind.plural(), self.organisation, self.name)
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
    /// Reads the name of a model.
    ///
    /// # Errors
    /// One sentence on the part that is wrong.
    pub fn parse(text: &str) -> Result<Name, Error> {
        Name::of(RepoKind::Model, text)
    }

    pub(super) fn of(kind: RepoKind, text: &str) -> Result<Name, Error> {
        let wrong = |why: &str| Error::Name { text: text.into(), why: why.into() };
        // git allows no colon in the names of branches and tags
        let (whole, quant) = match text.rsplit_once(':') {
            Some((whole, quant)) => (whole, Some(quant)),
            None => (text, None),
        };
        let (id, revision) = whole.split_once('@').unwrap_or((whole, MAIN));
        let repo = Repo::new(kind, id)
            .ok_or_else(|| wrong("ORG and NAME are letters, digits, '-', '_' and '.', with one '/' between"))?;
        if !is_revision(revision) {
            return Err(wrong("a revision is a branch, a tag or a commit hash"));
        }
        if quant.is_some_and(|q| !is_plain(q)) {
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

/// Whether a file name from the hub stays below the folder it is joined to.
pub(super) fn stays_inside(file: &str) -> bool {
    let component = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
    let harmless = |c: char| !c.is_control() && !matches!(c, '\\' | ':');
    file.chars().all(harmless) && file.split('/').all(component)
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
        for wrong in
            ["", "gpt2", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a/b@v1/../..", "a/b:", "a/b:../x", "a b/c"]
        {
            let message = Name::parse(wrong).expect_err(wrong).to_string();
            assert!(message.contains("write ORG/NAME"), "{message}");
        }
    }

    #[test]
    fn file_names_cannot_leave_the_folder() {
        for inside in ["config.json", "onnx/model.json", "a b/ü.txt", ".gitattributes", "..a/b.."] {
            assert!(stays_inside(inside), "{inside}");
        }
        for outside in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\\..\\b", "C:x", "a\0b", "a\nb"]
        {
            assert!(!stays_inside(outside), "{outside:?}");
        }
    }

    #[test]
    fn a_folder_of_the_cache_names_its_repository() {
        let repo = Repo::new(RepoKind::Dataset, "allenai/ai2_arc").expect("valid");
        assert_eq!(repo.folder(), "datasets--allenai--ai2_arc");
        assert_eq!(Repo::of_folder(&repo.folder()), Some(repo));
        assert_eq!(Repo::of_folder("models--gpt2"), None);
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(encoded("a b/ü#?.json"), "a%20b/%C3%BC%23%3F.json");
        assert_eq!(encoded_part("refs/pr/7"), "refs%2Fpr%2F7");
    }
}
