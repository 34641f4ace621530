//! What the hub says of a repository: its commit, its files with sizes and hashes, and what stands on its page. The
//! answer as written becomes `Listing`, in which every file name is safe to use.

use super::error::Error;
use super::name::{Name, Repo, RepoKind, encoded_part, escapes};
use super::verify::Hash;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A repository at one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The repository.
    pub repo: Repo,
    /// The commit, forty hex digits.
    pub commit: String,
    /// Its files, in the hub's order; no path leads out of the folder it is joined to.
    pub files: Vec<Remote>,
    /// What its page says.
    pub page: Page,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// Its path in the repository, with `/` between folders.
    pub path: String,
    /// Its length in bytes; None where the hub does not tell.
    pub size: Option<u64>,
    /// What its bytes hash to; None where the hub does not tell.
    pub hash: Option<Hash>,
}

/// What a repository's page says; for reading, nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The licence's name as the repository gives it: "apache-2.0".
    pub licence: Option<String>,
    /// Whether access has to be asked for.
    pub gate: Gate,
    /// Whether only its owners can see it.
    pub private: bool,
    /// When it was last changed, as the hub writes it: 2024-10-31T12:22:43.000Z.
    pub modified: Option<String>,
    /// Downloads, as the hub counts them.
    pub downloads: Option<u64>,
    /// Likes.
    pub likes: Option<u64>,
    /// What it is for, the hub's pipeline tag: "text-generation".
    pub task: Option<String>,
    /// The library it was made with: "transformers".
    pub library: Option<String>,
    /// The architecture's name in config.json or in the GGUF.
    pub architecture: Option<String>,
    /// The models that it was made from.
    pub base: Vec<String>,
    /// The hub's count of parameters, which is wrong by times for weights that are packed into integers.
    pub counted: Counted,
}

/// The hub's own count of parameters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    /// Numbers in the weights; packed integers count as one each. None where the hub does not tell.
    pub total: Option<u64>,
    /// Whether some of them are integers or bytes, which may hold several weights each.
    pub packed: bool,
}

/// Whether access to a repository has to be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// Anybody may fetch it.
    #[default]
    Open,
    /// Access is given as soon as it is asked for.
    Automatic,
    /// Somebody decides on each request.
    Manual,
}

/// As written. Everything may be missing: mirrors leave much out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    pub id: Option<String>,
    sha: Option<String>,
    #[serde(default)]
    private: Option<bool>,
    gated: Option<Value>,
    last_modified: Option<String>,
    downloads: Option<u64>,
    likes: Option<u64>,
    #[serde(rename = "library_name")]
    library: Option<String>,
    #[serde(rename = "pipeline_tag")]
    task: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    card_data: Option<Value>,
    config: Option<Value>,
    safetensors: Option<RawCount>,
    gguf: Option<RawCount>,
    #[serde(default)]
    siblings: Vec<RawFile>,
}

#[derive(Debug, Deserialize)]
struct RawCount {
    total: Option<u64>,
    #[serde(default)]
    parameters: BTreeMap<String, u64>,
    architecture: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<RawLfs>,
}

#[derive(Debug, Deserialize)]
struct RawLfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// The address of the listing.
pub(super) fn url(endpoint: &str, name: &Name) -> String {
    let (kind, id, revision) = (name.repo.kind.plural(), name.repo.id(), encoded_part(&name.revision));
    format!("{endpoint}/api/{kind}/{id}/revision/{revision}?blobs=true")
}

impl Raw {
    /// Checks the answer and makes a listing of it.
    ///
    /// # Errors
    /// Where it has no commit, or names a file that would leave its folder.
    pub(crate) fn listing(self, name: &Name, url: &str) -> Result<Listing, Error> {
        let protocol = |why: &str| Error::Protocol { url: url.into(), why: why.into() };
        let commit = self.sha.clone().ok_or_else(|| protocol("no sha of the revision"))?;
        if !super::name::is_commit(&commit) {
            return Err(protocol("the sha of the revision is no commit"));
        }
        if let Some(bad) = self.siblings.iter().find(|file| escapes(&file.rfilename)) {
            return Err(Error::UnsafePath { name: name.repo.id(), file: bad.rfilename.clone() });
        }
        let files = self.siblings.iter().map(RawFile::remote).collect();
        Ok(Listing { repo: name.repo.clone(), commit, files, page: self.page() })
    }

    /// Gathers what the repository's page says.
    pub(crate) fn page(self) -> Page {
        let tag = |prefix: &str| self.tags.iter().find_map(|tag| tag.strip_prefix(prefix)).map(str::to_owned);
        let card = self.card_data.unwrap_or_default();
        let text = |key: &str| card.get(key).and_then(Value::as_str).map(str::to_owned);
        let licence = text("license_name").or_else(|| text("license")).or_else(|| tag("license:"));
        let model_type = self.config.as_ref().and_then(|c| c.get("model_type")?.as_str().map(str::to_owned));
        let gguf = self.gguf.as_ref();
        // packed weights are counted as the integers that hold them
        let packed = |kind: &String| kind.starts_with('I') || kind.starts_with('U') || kind.starts_with("F4");
        Page {
            licence,
            gate: match &self.gated {
                Some(Value::String(how)) if how == "manual" => Gate::Manual,
                Some(Value::String(_) | Value::Bool(true)) => Gate::Automatic,
                _ => Gate::Open,
            },
            private: self.private.unwrap_or(false),
            modified: self.last_modified,
            downloads: self.downloads,
            likes: self.likes,
            task: self.task,
            library: self.library,
            architecture: model_type.or_else(|| gguf?.architecture.clone()),
            base: bases(card.get("base_model")),
            counted: match (&self.safetensors, gguf) {
                (Some(count), _) => Counted { total: count.total, packed: count.parameters.keys().any(packed) },
                (None, Some(count)) => Counted { total: count.total, packed: false },
                (None, None) => Counted::default(),
            },
        }
    }
}

/// One name or a list of them.
fn bases(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

impl RawFile {
    fn remote(&self) -> Remote {
        let lfs = self.lfs.as_ref();
        let hash = match lfs {
            Some(lfs) => lfs.sha256.as_deref().and_then(Hash::of_hex),
            None => self.blob_id.as_deref().and_then(Hash::of_hex),
        };
        Remote { path: self.rfilename.clone(), size: lfs.and_then(|lfs| lfs.size).or(self.size), hash }
    }
}

impl Listing {
    /// The address of a file at the listing's commit.
    pub(super) fn url_of(&self, endpoint: &str, path: &str) -> String {
        let repo = &self.repo;
        format!("{endpoint}/{}{}/resolve/{}/{}", repo.kind.prefix(), repo.id(), self.commit, super::name::encoded(path))
    }

    /// The page that a person reads.
    pub(super) fn page_url(endpoint: &str, repo: &Repo) -> String {
        format!("{endpoint}/{}{}", repo.kind.prefix(), repo.id())
    }

    /// Finds the file at this path.
    pub fn file(&self, path: &str) -> Option<&Remote> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Lists the paths of all files.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// Gives the bytes of all files whose size is told.
    pub fn bytes(&self) -> u64 {
        sum(self.files.iter().filter_map(|file| file.size))
    }
}

/// A sum of sizes that somebody else told; as large as can be where it would be larger.
pub(crate) fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// The branches and tags of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct RawRefs {
    #[serde(default)]
    branches: Vec<RawRef>,
    #[serde(default)]
    tags: Vec<RawRef>,
}

#[derive(Debug, Deserialize)]
struct RawRef {
    name: String,
}

impl RawRefs {
    /// Gives the address of the list of branches and tags.
    pub(crate) fn url(endpoint: &str, repo: &Repo) -> String {
        format!("{endpoint}/api/{}/{}/refs", repo.kind.plural(), repo.id())
    }

    /// Lists the names, branches before tags.
    pub(crate) fn names(self) -> Vec<String> {
        self.branches.into_iter().chain(self.tags).map(|r| r.name).collect()
    }
}

impl Raw {
    /// Of a line of search results.
    pub(crate) fn repo(&self, kind: RepoKind) -> Option<Repo> {
        Repo::new(kind, self.id.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COMMIT: &str = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2";

    fn listing(answer: Value) -> Result<Listing, String> {
        let raw: Raw = serde_json::from_value(answer).expect("an answer");
        raw.listing(&Name::parse("a/b").expect("a name"), "http://h/api").map_err(|e| e.to_string())
    }

    #[test]
    fn a_large_file_is_known_by_its_sha256_and_a_small_one_by_git() {
        let (sha256, git) = (
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        );
        let listing = listing(json!({ "id": "a/b", "sha": COMMIT, "gated": "manual", "tags": ["license:mit"],
            "cardData": { "base_model": ["c/d"] }, "safetensors": { "parameters": { "I32": 5, "F16": 2 }, "total": 7 },
            "siblings": [
                { "rfilename": "model.safetensors", "size": 9, "blobId": git, "lfs": { "sha256": sha256, "size": 9, "pointerSize": 134 } },
                { "rfilename": "config.json", "size": 6, "blobId": git },
                { "rfilename": "bare.txt" },
            ] })).expect("fine");
        let hashes: Vec<_> = listing.files.iter().map(|f| f.hash.as_ref().map(Hash::hex)).collect();
        assert_eq!(hashes, [Some(sha256), Some(git), None]);
        assert_eq!((listing.page.gate, listing.page.licence.as_deref()), (Gate::Manual, Some("mit")));
        assert_eq!((listing.page.base.as_slice(), listing.bytes()), (&["c/d".to_owned()][..], 15));
        assert_eq!(listing.page.counted, Counted { total: Some(7), packed: true });
    }

    #[test]
    fn a_listing_that_would_write_elsewhere_is_refused_whole() {
        let evil = json!({ "sha": COMMIT, "siblings": [{ "rfilename": "ok" }, { "rfilename": "../../.ssh/authorized_keys" }] });
        assert!(listing(evil).expect_err("refused").contains("'../../.ssh/authorized_keys', which would leave"));
        assert!(listing(json!({ "sha": "../x", "siblings": [] })).expect_err("refused").contains("no commit"));
    }
}
