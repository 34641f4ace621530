//! Serves a folder as a small Hugging Face hub on loopback, for trying what bantam does with one: the server of tests/hub.rs as
//! a program.
//!
//! ```sh
//! cargo run --release --example hub_server -- ROOT --port 18990 --cdn-port 18991
//! HF_ENDPOINT=http://127.0.0.1:18990 bantam pull ORG/NAME
//! ```
//!
//! ROOT/models/ORG/NAME (or ROOT/models/NAME) and ROOT/datasets/ORG/NAME are repositories with the files in them;
//! ROOT/meta.json says more of some: `{"models/ORG/NAME": {"tags": ["license:mit"], "gated": "manual", "private": true}}`.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

#[allow(dead_code, reason = "the tests make faults, a program does not")]
#[path = "../tests/hub/server.rs"]
mod server;

use anyhow::{Context, Result, bail};
use server::{Repo, Server};
use sha1::{Digest, Sha1};
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let (root, ports) = arguments(std::env::args().skip(1))?;
    let meta = root.join("meta.json");
    let meta: serde_json::Value = match std::fs::read(&meta) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{}: no JSON", meta.display()))?,
        Err(_) => serde_json::json!({}),
    };
    let repos = ["models", "datasets"].map(|kind| repositories(&root, kind, &meta));
    let repos: Vec<Repo> = repos.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let server = Server::at(ports, repos).with_context(|| format!("listening on the ports {ports:?}"))?;
    println!("{}", server.endpoint);
    loop {
        std::thread::park();
    }
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Result<(PathBuf, [u16; 2])> {
    let (mut root, mut ports) = (None, [0, 0]);
    while let Some(argument) = arguments.next() {
        let mut port = |which: usize| -> Result<()> {
            ports[which] = arguments.next().context("a port is missing")?.parse().context("a port is a number")?;
            Ok(())
        };
        match argument.as_str() {
            "--port" => port(0)?,
            "--cdn-port" => port(1)?,
            _ if root.is_none() => root = Some(PathBuf::from(argument)),
            _ => bail!("usage: hub_server ROOT [--port P] [--cdn-port Q]"),
        }
    }
    Ok((root.context("usage: hub_server ROOT [--port P] [--cdn-port Q]")?, ports))
}

/// The folders two levels down, and those one level down that hold files.
fn repositories(root: &Path, kind: &str, meta: &serde_json::Value) -> Result<Vec<Repo>> {
    let mut repos = Vec::new();
    for first in folders(&root.join(kind)) {
        let name = name_of(&first);
        match entries(&first).iter().any(|entry| entry.is_file()) {
            true => repos.push(repository(&first, &name, kind, meta)?),
            false => {
                for second in folders(&first) {
                    repos.push(repository(&second, &format!("{name}/{}", name_of(&second)), kind, meta)?);
                }
            }
        }
    }
    Ok(repos)
}

fn repository(folder: &Path, id: &str, kind: &str, meta: &serde_json::Value) -> Result<Repo> {
    let mut repo = Repo { dataset: kind == "datasets", ..Repo::new(id) };
    let mut commit = Sha1::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in entries(&at) {
            if entry.is_dir() {
                open.push(entry);
                continue;
            }
            let path = entry.strip_prefix(folder)?.to_string_lossy().into_owned();
            let bytes = std::fs::read(&entry).with_context(|| entry.display().to_string())?;
            commit.update(&path);
            commit.update(&bytes);
            // as .gitattributes of most repositories has it
            let large = [".safetensors", ".gguf", ".bin", ".parquet"].iter().any(|ending| path.ends_with(ending));
            repo = if large { repo.large(&path, bytes) } else { repo.file(&path, bytes) };
        }
    }
    repo.commit = commit.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for (key, value) in meta.get(format!("{kind}/{id}")).and_then(|facts| facts.as_object()).into_iter().flatten() {
        match (key.as_str(), value.as_str()) {
            ("gated", Some("manual")) => repo.gated = Some("manual"),
            ("gated", Some(_)) => repo.gated = Some("auto"),
            ("private", _) => repo.private = value == true,
            _ => repo = repo.fact(key, value.clone()),
        }
    }
    Ok(repo)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|entry| entry.is_dir()).collect()
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
