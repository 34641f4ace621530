//! Models that other programs keep on this machine: Ollama's store and LM Studio's folders. They are used in place and
//! never written; `ollama:NAME:TAG` and `lmstudio:PUBLISHER/REPOSITORY/FILE` name them wherever a model is named.

mod lmstudio;
mod ollama;
#[cfg(test)]
mod tests;

use super::error::list;
use super::{Error, Found, expand};
use bantam_core::meant::meant_words;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Before the name of a model of Ollama's.
const OLLAMA: &str = "ollama:";
/// Before the name of a model of LM Studio's.
const LM_STUDIO: &str = "lmstudio:";

/// A program whose models can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// [Ollama](https://github.com/ollama/ollama/blob/main/docs/faq.mdx#where-are-models-stored): manifests that name blobs by
    /// their hash.
    Ollama,
    /// [LM Studio](https://lmstudio.ai/docs/app/advanced/import-model): PUBLISHER/REPOSITORY/FILE.
    LmStudio,
}

impl Keeper {
    /// Its name, as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Keeper::Ollama => "Ollama",
            Keeper::LmStudio => "LM Studio",
        }
    }

    /// What stands before the name of one of its models.
    pub fn prefix(self) -> &'static str {
        match self {
            Keeper::Ollama => OLLAMA,
            Keeper::LmStudio => LM_STUDIO,
        }
    }
}

/// A model that a program keeps.
#[derive(Debug)]
pub struct Stored {
    /// As it can be named, with the keeper's prefix: "ollama:llama3.2:1b".
    pub name: String,
    /// Who keeps it.
    pub keeper: Keeper,
    /// Where its files are, or in one sentence why they are no model.
    pub place: Result<Place, Error>,
    /// Bytes of its weights.
    pub bytes: Bytes,
    /// When a file of it was last read, where the file system tells.
    pub used: Option<SystemTime>,
}

/// The folders of the programs that keep models here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stores {
    ollama: Vec<PathBuf>,
    lm_studio: Vec<PathBuf>,
}

impl Stores {
    /// Finds the folders where the environment says (OLLAMA_MODELS), or where the programs put them by default; those alone
    /// that are there.
    pub fn here() -> Stores {
        Stores::from(|name| std::env::var_os(name))
    }

    /// Names the folders, whatever the environment says.
    pub fn at(ollama: impl Into<PathBuf>, lm_studio: impl Into<PathBuf>) -> Stores {
        Stores { ollama: vec![ollama.into()], lm_studio: vec![lm_studio.into()] }
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Stores {
        let home = expand::home(&variable);
        let below = |folder: &str| home.as_ref().map(|home| home.join(folder));
        let ollama = match expand::folder("OLLAMA_MODELS", &variable) {
            Some(named) => vec![named],
            // of the user; of the account that Linux's service runs as
            None => below(".ollama/models").into_iter().chain(["/usr/share/ollama/.ollama/models".into()]).collect(),
        };
        let lm_studio = [".lmstudio/models", ".cache/lm-studio/models"].into_iter().filter_map(below).collect();
        let there = |folders: Vec<PathBuf>| folders.into_iter().filter(|folder| folder.is_dir()).collect();
        Stores { ollama: there(ollama), lm_studio: there(lm_studio) }
    }

    /// Lists all models that are kept, by their names. It looks at manifests and at files' entries, and reads no weights.
    pub fn kept(&self) -> Vec<Stored> {
        let mut all: Vec<Stored> = self.ollama.iter().flat_map(|store| ollama::kept(store)).collect();
        all.extend(self.lm_studio.iter().flat_map(|folder| lmstudio::kept(folder)));
        all.sort_by(|a, b| (a.keeper.name(), &a.name).cmp(&(b.keeper.name(), &b.name)));
        // the first folder that has a name is meant, as `find` means it
        all.dedup_by(|later, first| later.name == first.name);
        all
    }

    /// Finds a model by a name with a keeper's prefix; `None` for any other name.
    ///
    /// # Errors
    /// One sentence where the program keeps no such model, or what it keeps is broken.
    pub fn find(&self, typed: &str) -> Result<Option<Found>, Error> {
        if let Some(name) = typed.strip_prefix(OLLAMA) {
            return self.looked(Keeper::Ollama, name, &self.ollama, ollama::find).map(Some);
        }
        if let Some(name) = typed.strip_prefix(LM_STUDIO) {
            return self.looked(Keeper::LmStudio, name, &self.lm_studio, lmstudio::find).map(Some);
        }
        Ok(None)
    }

    fn looked(
        &self,
        keeper: Keeper,
        name: &str,
        folders: &[PathBuf],
        find: fn(&Path, &str) -> Result<Option<Found>, Error>,
    ) -> Result<Found, Error> {
        if folders.is_empty() {
            return Err(Error::NoStore { keeper: keeper.name(), name: name.into(), looked: looked_at(keeper) });
        }
        for folder in folders {
            if let Some(found) = find(folder, name)? {
                return Ok(found);
            }
        }
        let of_it = |stored: &Stored| stored.keeper == keeper;
        let there: Vec<String> = self.kept().into_iter().filter(of_it).map(|stored| stored.name).collect();
        let typed = format!("{}{name}", keeper.prefix());
        let meant = meant_words(&typed, there.iter().map(String::as_str));
        Err(Error::NotKept { keeper: keeper.name(), name: typed.clone(), meant, there: list(&there) })
    }
}

/// Where a program's models are looked for, for a message.
fn looked_at(keeper: Keeper) -> &'static str {
    match keeper {
        Keeper::Ollama => "OLLAMA_MODELS, ~/.ollama/models and /usr/share/ollama/.ollama/models",
        Keeper::LmStudio => "~/.lmstudio/models and ~/.cache/lm-studio/models",
    }
}

/// Whether a part of a name can be the name of a file or folder, and of none but itself.
fn is_part(part: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || " -_.+()[]@".contains(c);
    !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain)
}
