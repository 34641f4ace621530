//! Another engine that runs the files of variants as their users will: a program in llama-server's form, found on PATH or
//! by its path, started for one file, asked at an address of this machine, and ended with whoever started it.

use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::endpoint::{Endpoint, Terms};
use bantam_core::profile::Deployed;
use bantam_core::record::{Engine, Id, Place, Reading, Variant};
use bantam_endpoint::{Client, Forgetful, Machine, Patience};
use bantam_host::card::{Roots, memory};
use bantam_host::sandbox::{Child, Settings};
use bantam_hub::digest_of_file;
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a program may take to say its version.
const VERSION: Duration = Duration::from_secs(20);
/// How long it may take to load a file and listen.
const LOADING: Duration = Duration::from_secs(600);
/// How often it is looked whether it listens.
const LOOK: Duration = Duration::from_millis(50);
/// Tokens of context beside those of a shape: what a server sets around a prompt, and what its words come to more.
const BESIDE: usize = 128;

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What is given to it beside the file, its port and its threads.
    pub args: Vec<String>,
    /// Its name with what it says of its version and the hash of its bytes.
    pub version: String,
    /// Texts that are gone on with by both engines, to see whether they agree.
    pub parity: Vec<String>,
    /// The folder of its logs.
    pub logs: PathBuf,
}

impl Program {
    /// Finds a profile's program.
    ///
    /// # Errors
    /// Where there is none, in one sentence.
    pub fn find(named: &Deployed) -> Result<Program> {
        let path = on_path(&named.program).with_context(|| {
            format!(
                "engine: '{}' is no program here: neither a path nor on PATH; install llama.cpp, or give the path of its \
                 llama-server",
                named.program
            )
        })?;
        let path = std::path::absolute(&path).unwrap_or(path);
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let digest = digest_of_file(&path).with_context(|| format!("engine: {}", path.display()))?;
        let version = match said_version(&path) {
            Some(version) => format!("{name} {version}, {digest}"),
            None => format!("{name}, {digest}"),
        };
        Ok(Program { path, args: named.args.clone(), version, parity: Vec::new(), logs: PathBuf::new() })
    }

    /// What it says while it does a trial.
    pub fn log(&self, trial: &Id) -> PathBuf {
        self.logs.join(format!("{trial}.engine.log"))
    }

    /// The engine of trials that it does.
    pub fn engine(&self) -> Engine {
        let revision = match self.args.is_empty() {
            true => self.version.clone(),
            false => format!("{} {}", self.version, self.args.join(" ")),
        };
        Engine { revision, isa: "its own".into(), device: "its own".into() }
    }

    /// Starts it with a file, and waits until it listens.
    ///
    /// # Errors
    /// Where the file is none that it reads, or it ends or stays silent, with the end of its log.
    pub fn start(&self, place: &Place, variant: &Variant, job: &Job) -> Result<Running> {
        let Place::Gguf(file) = place else {
            bail!(
                "{} reads GGUF files, and {} is none: write it as one (`bantam export MODEL --format gguf`) and name that, or \
                 try it after a recipe such as \"F16\" or \"Q8_0\"",
                self.path.display(),
                variant.label()
            );
        };
        ensure!(
            variant.model.adapter.is_none(),
            "{} is measured without adapters: write the merged model with `bantam export` first",
            self.path.display()
        );
        let port = free_port().context("no port is free on this machine")?;
        let mut command = Command::new(&self.path);
        command.arg("-m").arg(file).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["-t", &job.threads.to_string(), "-c", &(job.tokens + BESIDE).to_string()]);
        if !variant.kv.is_default() {
            command.args(["-ctk", variant.kv.name(), "-ctv", variant.kv.name()]);
        }
        command.args(&self.args);
        let begun = Instant::now();
        let mut child = Child::spawn(command, &Settings::new(job.log.clone()))
            .with_context(|| format!("{} cannot be started", self.path.display()))?;
        if let Some(mut stdout) = child.stdout() {
            // what nobody reads would fill its pipe, and hold it up
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        }
        let url = format!("http://127.0.0.1:{port}/v1");
        let mut running = Running { child, url, loaded: Duration::ZERO };
        running.await_ready(&self.path, job.cancel)?;
        running.loaded = begun.elapsed();
        Ok(running)
    }
}

/// What a program is started for.
pub struct Job<'a> {
    pub threads: usize,
    /// Tokens of a sequence.
    pub tokens: usize,
    pub log: PathBuf,
    pub cancel: &'a Cancel,
}

/// A program that listens. Dropping it ends it; so does the death of this process.
pub struct Running {
    child: Child,
    url: String,
    /// How long it took to listen.
    pub loaded: Duration,
}

impl Running {
    /// A client of it.
    ///
    /// # Errors
    /// None that a client of this machine's own has.
    pub fn client(&self, name: &str, cancel: &Cancel) -> Result<Client> {
        let at = Endpoint::typed(&format!("{}#{name}", self.url)).context("an address of this machine")?;
        let terms = Terms { name: name.to_owned(), concurrency: 1, ..Terms::of(at) };
        let patience = Patience { tries: 3, ..Patience::default() };
        Ok(Client::new(&terms, None, patience, Arc::new(Machine::default()), Arc::new(Forgetful), cancel)?)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has held so far.
    pub fn peak_memory(&self) -> Reading {
        memory::peak_of(&Roots::default(), self.child.id())
    }

    fn await_ready(&mut self, program: &Path, cancel: &Cancel) -> Result<()> {
        let begun = Instant::now();
        let health = self.url.replace("/v1", "/health");
        loop {
            if let Some(exit) = self.child.try_wait()? {
                let tail = self.child.log().tail();
                let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
                bail!("{} {} before it listened: {}", program.display(), exit.words(), last.trim());
            }
            ensure!(!cancel.is_cancelled(), "cancelled");
            if bantam_endpoint::answers(&health) {
                return Ok(());
            }
            ensure!(begun.elapsed() < LOADING, "{} does not listen after {} s", program.display(), LOADING.as_secs());
            std::thread::sleep(LOOK);
        }
    }
}

/// A path, or a name on PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    let is_program = |path: &Path| path.is_file();
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| is_program(path))
}

/// A port that is free now.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What `--version` says in its first line with a number, if it says it in time.
fn said_version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > VERSION {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(LOOK);
    }
    let said = child.wait_with_output().ok()?;
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.contains("version") || line.chars().any(|c| c.is_ascii_digit()))?;
    let short: String = line.trim().trim_start_matches("version:").trim().chars().take(60).collect();
    (!short.is_empty()).then(|| bantam_core::text::plain(&short).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_path_or_on_path_and_known_by_its_bytes() {
        let named = |program: &str| Deployed { program: program.into(), args: Vec::new(), parity: 4 };
        let shell = Program::find(&named("sh")).expect("there is a shell");
        assert!(shell.path.is_absolute() && shell.version.starts_with("sh"), "{shell:?}");
        let missing = Program::find(&named("no-such-llama-server")).expect_err("missing").to_string();
        assert!(missing.contains("'no-such-llama-server' is no program here"), "{missing}");
        let args = Program { args: vec!["-ngl".into(), "0".into()], ..shell.clone() };
        assert_ne!(args.engine(), shell.engine(), "what it is told changes what it does");
    }
}
