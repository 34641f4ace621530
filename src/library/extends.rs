//! Profiles that others keep at an address: brought here once, and only as what the address pins. One file over http by its
//! SHA-256, or a folder out of a git repository by its commit, with the suites that lie beside the profile.

use crate::library::home::Home;
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::{self, hex};
use bantam_core::input;
use bantam_core::record::Id;
use bantam_hub::{Settings, file_at};
use sha2::{Digest, Sha256};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// What stands before the hash of one file.
const SHA256: &str = "#sha256=";
/// What an address of a repository begins with.
const GIT: &str = "git+";
/// The folder of what was brought, in the cache.
const FOLDER: &str = "extends";

/// The file that an address pins, brought where it is not here.
///
/// # Errors
/// One sentence where the address has no hash, it cannot be reached, or what is there is not what is pinned.
pub fn bring(address: &str, offline: bool) -> Result<PathBuf> {
    let folder = Home::find()?.cache().join(FOLDER);
    match address.strip_prefix(GIT) {
        Some(rest) => from_git(rest, &folder, offline),
        None => from_http(address, &folder, offline),
    }
}

fn from_http(address: &str, folder: &Path, offline: bool) -> Result<PathBuf> {
    let Some((url, sha256)) = address.split_once(SHA256) else {
        bail!(
            "{address}: says nothing of its hash; write it behind, as {address}{SHA256}64 digits (`sha256sum` tells them)"
        )
    };
    let is_hash = sha256.len() == 64 && sha256.chars().all(|c| c.is_ascii_hexdigit());
    ensure!(is_hash, "{url}: '{sha256}' is no SHA-256, which has 64 digits from 0 to f");
    let sha256 = sha256.to_ascii_lowercase();
    let file = folder.join(format!("{sha256}.toml"));
    let is_whole = |bytes: &[u8]| hex(&Sha256::digest(bytes)) == sha256;
    if input::read(&file, input::WRITTEN_BY_HAND).is_ok_and(|bytes| is_whole(&bytes)) {
        return Ok(file);
    }
    ensure!(!offline, "{url}: is not here yet, and nothing is fetched offline");
    let bytes = file_at(url, &Settings::from_env()?, &Cancel::new(), input::WRITTEN_BY_HAND)
        .with_context(|| format!("{url}: cannot be fetched"))?;
    ensure!(
        is_whole(&bytes),
        "{url}: is not what is pinned: its SHA-256 is {}, and {sha256} is asked for",
        hex(&Sha256::digest(&bytes))
    );
    let write = || {
        std::fs::create_dir_all(folder)?;
        disk::write(&file, &bytes)
    };
    write().with_context(|| format!("{}: cannot be written", file.display()))?;
    Ok(file)
}

/// `URL@COMMIT#PATH`: the commit's own hash is over all its files, so that it pins them.
fn from_git(address: &str, folder: &Path, offline: bool) -> Result<PathBuf> {
    let form = "write git+URL@COMMIT#PATH, with the commit's whole hash";
    let (rest, path) = address.split_once('#').with_context(|| format!("{GIT}{address}: names no file; {form}"))?;
    let (url, commit) = rest.rsplit_once('@').with_context(|| format!("{GIT}{address}: names no commit; {form}"))?;
    let is_commit = matches!(commit.len(), 40 | 64) && commit.chars().all(|c| c.is_ascii_hexdigit());
    ensure!(
        is_commit,
        "{GIT}{address}: '{commit}' is no whole commit, which has 40 digits; a branch or a tag may be another tomorrow"
    );
    let known = ["https://", "http://", "ssh://", "file://"];
    ensure!(known.iter().any(|scheme| url.starts_with(scheme)), "{GIT}{address}: is of none of {}", known.join(", "));
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(inside && !path.is_empty(), "{GIT}{address}: '{path}' is no path within the repository");
    let commit = commit.to_ascii_lowercase();
    let here = folder.join(format!("{commit}-{}", Id::of(&url)));
    if !here.is_dir() {
        ensure!(!offline, "{url}: commit {commit} is not here yet, and nothing is fetched offline");
        check_out(url, &commit, &here, folder)?;
    }
    let file = here.join(path);
    ensure!(file.is_file(), "{url}: has no file {path} in commit {commit}");
    Ok(file)
}

/// Brings a commit's files into a folder, whole or not at all.
fn check_out(url: &str, commit: &str, place: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let draft = tempfile::Builder::new().prefix(".git-").tempdir_in(folder).context("a folder to check out into")?;
    let git = |args: &[&str]| {
        run_git(draft.path(), args).with_context(|| format!("{url}: commit {commit} cannot be brought"))
    };
    git(&["init", "-q", "--template="])?;
    // not every server gives a commit that is no branch's
    let one = git(&["fetch", "-q", "--depth", "1", "--no-tags", "--", url, commit]);
    one.or_else(|_| {
        git(&["fetch", "-q", "--", url, "+refs/heads/*:refs/brought/heads/*", "+refs/tags/*:refs/brought/tags/*"])
    })?;
    git(&["checkout", "-q", "--detach", commit])?;
    std::fs::remove_dir_all(draft.path().join(".git")).context("tidying up")?;
    let draft = draft.keep();
    if let Err(error) = std::fs::rename(&draft, place) {
        let _ = std::fs::remove_dir_all(&draft);
        // another process was first
        ensure!(place.is_dir(), "{}: cannot be made: {error}", place.display());
    }
    Ok(())
}

/// Runs git with nothing of the repository's own to run, no questions asked, and no links to follow out of it.
fn run_git(folder: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    for setting in
        ["core.hooksPath=/dev/null", "core.symlinks=false", "protocol.ext.allow=never", "submodule.recurse=false"]
    {
        command.args(["-c", setting]);
    }
    command
        .args(args)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .stdin(std::process::Stdio::null());
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let output = command.output().context("git is needed for that, and cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "git {}: {}",
        args.first().unwrap_or(&""),
        said.trim().lines().last().unwrap_or("failed")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let brought = match address.strip_prefix(GIT) {
            Some(rest) => from_git(rest, folder.path(), true),
            None => from_http(address, folder.path(), true),
        };
        format!("{:#}", brought.expect_err(address))
    }

    #[test]
    fn an_address_without_a_hash_is_refused_before_anything_is_asked() {
        let zeros = "0".repeat(40);
        for (address, why) in [
            ("https://a.b/p.toml", "says nothing of its hash; write it behind, as https://a.b/p.toml#sha256="),
            ("https://a.b/p.toml#sha256=12", "'12' is no SHA-256"),
            ("git+https://a.b/r#p.toml", "names no commit"),
            ("git+https://a.b/r@main#p.toml", "'main' is no whole commit"),
            ("git+https://a.b/r@main", "names no file"),
            (&format!("git+https://a.b/r@{zeros}#../p.toml"), "is no path within the repository"),
            (&format!("git+ext::sh@{zeros}#p.toml"), "is of none of https://"),
            (&format!("git+https://a.b/r@{zeros}#p.toml"), "nothing is fetched offline"),
            (&format!("https://a.b/p.toml#sha256={}", "0".repeat(64)), "nothing is fetched offline"),
        ] {
            let said = refused(address);
            assert!(said.contains(why), "{said}");
        }
    }
}
