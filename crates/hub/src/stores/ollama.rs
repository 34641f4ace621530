//! Ollama's store. `manifests/HOST/NAMESPACE/NAME/TAG` is a small JSON, whose layer of the kind
//! `application/vnd.ollama.image.model` names a GGUF file among the `blobs` by its hash:
//! [manifest](https://github.com/ollama/ollama/blob/main/server/manifest.go),
//! [names](https://github.com/ollama/ollama/blob/main/types/model/name.go).

use super::{Error, Found, Keeper, OLLAMA, Stored, is_part};
use bantam_core::input;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The registry that a name without one means.
const REGISTRY: &str = "registry.ollama.ai";
/// The namespace that a name without one means.
const LIBRARY: &str = "library";
/// The tag that a name without one means.
const LATEST: &str = "latest";
/// The longest manifest that is read; they have about a kilobyte.
const LONGEST: u64 = 4 << 20;

const MODEL: &str = "application/vnd.ollama.image.model";
const ADAPTER: &str = "application/vnd.ollama.image.adapter";
const TENSOR: &str = "application/vnd.ollama.image.tensor";

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
}

/// A name in its four parts.
struct Name {
    host: String,
    namespace: String,
    model: String,
    tag: String,
}

impl Name {
    /// Reads `[[HOST/]NAMESPACE/]MODEL[:TAG]`; None where it cannot be one.
    fn parse(text: &str) -> Option<Name> {
        // a colon before the last slash belongs to a host's port
        let at = text.rfind(':').filter(|at| *at > text.rfind('/').unwrap_or(0));
        let (path, tag) = at.map_or((text, LATEST), |at| (&text[..at], &text[at + 1..]));
        let parts: Vec<&str> = path.split('/').collect();
        let (host, namespace, model) = match parts[..] {
            [model] => (REGISTRY, LIBRARY, model),
            [namespace, model] => (REGISTRY, namespace, model),
            [host, namespace, model] => (host, namespace, model),
            _ => return None,
        };
        let is_host = host.split(':').all(is_part);
        let all = is_host && [namespace, model, tag].into_iter().all(is_part);
        all.then(|| Name { host: host.into(), namespace: namespace.into(), model: model.into(), tag: tag.into() })
    }

    /// As Ollama shows it, with the tag and without what goes without saying.
    fn shown(&self) -> String {
        let Name { host, namespace, model, tag } = self;
        match (host.as_str(), namespace.as_str()) {
            (REGISTRY, LIBRARY) => format!("{OLLAMA}{model}:{tag}"),
            (REGISTRY, _) => format!("{OLLAMA}{namespace}/{model}:{tag}"),
            _ => format!("{OLLAMA}{host}/{namespace}/{model}:{tag}"),
        }
    }

    fn manifest(&self, store: &Path) -> PathBuf {
        store.join("manifests").join(&self.host).join(&self.namespace).join(&self.model).join(&self.tag)
    }
}

/// Finds a model by the name behind the prefix; None where the store has none of it.
pub(super) fn find(store: &Path, typed: &str) -> Result<Option<Found>, Error> {
    let Some(name) = Name::parse(typed) else { return Ok(None) };
    let manifest = name.manifest(store);
    if !manifest.exists() {
        return Ok(None);
    }
    let (blob, _) = model_of(store, &manifest, &name.shown())?;
    Ok(Some(Found { name: name.shown(), place: Place::Gguf(blob), commit: None }))
}

/// Everything that the store has a manifest of.
pub(super) fn kept(store: &Path) -> Vec<Stored> {
    let mut all = Vec::new();
    for host in below(&store.join("manifests")) {
        for namespace in below(&host) {
            for model in below(&namespace) {
                all.extend(below(&model).into_iter().filter_map(|manifest| stored(store, &manifest)));
            }
        }
    }
    all
}

/// What lies in a folder, sorted; nothing of what cannot be read.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    all.sort();
    all
}

fn stored(store: &Path, manifest: &Path) -> Option<Stored> {
    let part = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let (model, namespace) = (manifest.parent()?, manifest.parent()?.parent()?);
    let (host, namespace_part) = (part(namespace.parent()?)?, part(namespace)?);
    let name = Name { host, namespace: namespace_part, model: part(model)?, tag: part(manifest)? };
    // what was put there by hand, or by the system that shows folders
    let is_name =
        Name::parse(&name.shown()[OLLAMA.len()..]).is_some() && manifest.is_file() && !name.tag.starts_with('.');
    let read = is_name.then(|| model_of(store, manifest, &name.shown()))?;
    let facts = read.as_ref().ok().and_then(|(blob, _)| std::fs::metadata(blob).ok());
    Some(Stored {
        name: name.shown(),
        keeper: Keeper::Ollama,
        bytes: read.as_ref().map_or(Bytes(0), |(_, bytes)| *bytes),
        used: facts.and_then(|facts| facts.accessed().ok()),
        place: read.map(|(blob, _)| Place::Gguf(blob)),
    })
}

/// The blob of a manifest's model, which is there and whole, and its size.
fn model_of(store: &Path, manifest: &Path, name: &str) -> Result<(PathBuf, Bytes), Error> {
    let broken = |why: String| Error::BrokenManifest { name: name.to_owned(), manifest: manifest.to_owned(), why };
    let again = || format!("`ollama pull {}` fetches it again", name.trim_start_matches(OLLAMA));
    let bytes = input::read(manifest, LONGEST).map_err(Error::unreadable(manifest))?;
    let read: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| broken(format!("its manifest is none ({error}); {}", again())))?;
    let of = |kind: &str| read.layers.iter().filter(|layer| layer.media_type == kind).collect::<Vec<_>>();
    if !of(ADAPTER).is_empty() {
        return Err(broken(
            "it is a model with an adapter in Ollama's form, which bantam does not lay over it; name the \
                           model below it, and the adapter as a folder: MODEL + FOLDER"
                .into(),
        ));
    }
    let layer = match of(MODEL)[..] {
        [one] => one,
        [] if !of(TENSOR).is_empty() => {
            return Err(broken(
                "its weights are single tensors in Ollama's own form, and a GGUF file is read here".into(),
            ));
        }
        [] => return Err(broken(format!("its manifest names no model; {}", again()))),
        _ => return Err(broken("its manifest names several files of weights, and one is read here".into())),
    };
    let hash = layer.digest.strip_prefix("sha256:").filter(|hash| is_hash(hash)).ok_or_else(|| {
        broken(format!(
            "its manifest names a blob '{}', and sha256: with 64 digits belongs there; {}",
            layer.digest,
            again()
        ))
    })?;
    // the first versions wrote a colon, as the hash has it
    let blobs = store.join("blobs");
    let blob = ["-", ":"].map(|between| blobs.join(format!("sha256{between}{hash}"))).into_iter().find(|b| b.is_file());
    let blob = blob.ok_or_else(|| broken(format!("its blob sha256-{} is not there; {}", &hash[..12], again())))?;
    let size = std::fs::metadata(&blob).map_err(Error::unreadable(&blob))?.len();
    if size != layer.size {
        let why = format!("its blob has {} of {}; {}", Bytes(size), Bytes(layer.size), again());
        return Err(broken(why));
    }
    Ok((blob, Bytes(size)))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
