//! Running what a model writes: a Python program with its tests, in a child of its own. Only tasks that were allowed to do so
//! (`allow_code`) come here.
//!
//! A program gets an empty folder that is gone afterwards, no environment, three seconds, and limits on memory, files and processes
//! that the kernel holds; the interpreter refuses it other programs, sockets, and changes outside its folder. Where the system lets an
//! ordinary user do so (`unshare`), it has no network and sees no other process. That keeps a clumsy program from doing harm; a
//! hostile one is kept in by a machine of its own, and whoever runs models that may write such should use one.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What runs a program within the child.
const RUNNER: &str = include_str!("run.py");
/// Seconds that a program may take, as in the metric `code_eval` that lm-evaluation-harness asks.
const SECONDS: f64 = 3.0;
/// Seconds beside them, for the interpreter to begin and end.
const BESIDE: Duration = Duration::from_secs(7);
/// Memory that the child may take, in bytes.
const MEMORY: u64 = 2 << 30;
/// What the user and network of a child are cut off with, where that works.
const APART: [&str; 7] = ["--user", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child"];

/// The Python on the path; an error in one sentence.
pub(crate) fn python() -> Result<PathBuf, String> {
    on_the_path("python3")
        .ok_or_else(|| "runs programs by python3, and none is on the path; install it, or leave the task out".into())
}

fn on_the_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether programs are cut off from the network here.
pub(crate) fn is_apart() -> bool {
    UNSHARE.is_some()
}

/// `unshare`, where it may do what it is asked.
static UNSHARE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let unshare = on_the_path("unshare")?;
    let mut tried = Command::new(&unshare);
    tried.args(APART).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    tried.status().ok().filter(|status| status.success()).map(|_| unshare)
});

/// How many of the programs run to their end. Each is the text with its tests behind it.
///
/// # Errors
/// Where no child can be started; never for what a program does.
pub(crate) fn passed(texts: &[String], tests: &str) -> Result<usize> {
    let mut passed = 0;
    let mut known: Vec<(&String, bool)> = Vec::new();
    for text in texts {
        // what was written twice runs once
        let ran = match known.iter().find(|(other, _)| *other == text) {
            Some((_, ran)) => *ran,
            None => runs(&format!("{text}\n{tests}"))?,
        };
        known.push((text, ran));
        passed += usize::from(ran);
    }
    Ok(passed)
}

/// Whether a program runs to its end without an error, in its time.
fn runs(program: &str) -> Result<bool> {
    let python = python().map_err(anyhow::Error::msg)?;
    let folder = tempfile::tempdir().context("a folder for a program")?;
    let mut child = command(&python, folder.path()).spawn().context("python3 cannot be started")?;
    let word = word();
    let told = format!("{word}\n{program}");
    let mut stdin = child.stdin.take().context("a child's standard input")?;
    // one that ends before it has read everything has failed, and is asked below
    let _ = stdin.write_all(told.as_bytes());
    drop(stdin);
    ended(&mut child)?;
    let mut said = String::new();
    let mut stdout = child.stdout.take().context("a child's standard output")?;
    let read = stdout.by_ref().take(word.len() as u64 + 1).read_to_string(&mut said);
    let passed = read.is_ok() && said == word;
    ensure!(passed || can_run(&python)?, "python3 cannot run a program that does nothing; is it whole?");
    Ok(passed)
}

fn command(python: &Path, folder: &Path) -> Command {
    let mut command = match UNSHARE.as_ref() {
        Some(unshare) => {
            let mut command = Command::new(unshare);
            command.args(APART).arg("--").arg(python);
            command
        }
        None => Command::new(python),
    };
    // isolated, without the site's packages of the user, without files of bytecode
    command.args(["-I", "-B", "-c", RUNNER, &SECONDS.to_string(), &MEMORY.to_string()]);
    command.current_dir(folder).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", folder).env("TMPDIR", folder).env("OPENBLAS_NUM_THREADS", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    command
}

/// Waits for a child, and ends it with all that it began where its time is over.
fn ended(child: &mut Child) -> Result<()> {
    let begun = Instant::now();
    let most = Duration::from_secs_f64(SECONDS) + BESIDE;
    let mut pause = Duration::from_millis(2);
    while child.try_wait().context("waiting for a program")?.is_none() {
        if begun.elapsed() > most {
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) else {
        bail!("a child without a number");
    };
    // those that it began and left behind, too
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    child.wait().context("waiting for a program")?;
    Ok(())
}

/// Whether the interpreter runs anything at all, asked once: else every program would seem wrong.
fn can_run(python: &Path) -> Result<bool> {
    static CAN: LazyLock<std::sync::Mutex<Option<bool>>> = LazyLock::new(std::sync::Mutex::default);
    let mut can = CAN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(can) = *can {
        return Ok(can);
    }
    let folder = tempfile::tempdir().context("a folder for a program")?;
    let mut child = command(python, folder.path()).spawn().context("python3 cannot be started")?;
    let mut stdin = child.stdin.take().context("a child's standard input")?;
    let _ = stdin.write_all(b"yes\npass\n");
    drop(stdin);
    ended(&mut child)?;
    let mut said = String::new();
    child.stdout.take().context("a child's standard output")?.read_to_string(&mut said).ok();
    Ok(*can.insert(said == "yes"))
}

/// A word that no program can know beforehand.
fn word() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// None where this machine has no Python.
    fn passes(program: &str) -> Option<bool> {
        python().ok()?;
        Some(passed(&[program.to_owned()], "assert add(2, 3) == 5").expect("a child") == 1)
    }

    #[test]
    fn a_program_passes_where_it_and_its_tests_run_to_the_end() {
        let Some(right) = passes("def add(a, b):\n    return a + b") else { return };
        assert!(right);
        for wrong in [
            "def add(a, b):\n    return a * b",
            "def add(a, b) return",
            "import sys\nsys.exit(0)",
            "import os\nos._exit(0)",
            "def add(a, b):\n    while True: pass",
            "print('0123456789abcdef')",
            "add = lambda a, b: input()",
        ] {
            assert_eq!(passes(wrong), Some(false), "{wrong}");
        }
    }

    #[test]
    fn a_program_reaches_nothing_outside_of_its_folder() {
        let folder = tempfile::tempdir().expect("temp dir");
        let file = folder.path().join("kept");
        std::fs::write(&file, "kept").expect("written");
        let path = file.display();
        let after = "\ndef add(a, b):\n    return a + b";
        for harm in [
            format!("open('{path}', 'w').write('gone')"),
            format!("import os\nos.remove('{path}')"),
            format!("import shutil\nshutil.rmtree('{}')", folder.path().display()),
            "import subprocess\nsubprocess.run(['true'])".to_owned(),
            "import os\nos.fork()".to_owned(),
            "import socket\nsocket.socket().connect(('127.0.0.1', 9))".to_owned(),
            "x = bytearray(1 << 34)".to_owned(),
        ] {
            assert_ne!(passes(&format!("{harm}{after}")), Some(true), "{harm}");
        }
        assert_eq!(std::fs::read_to_string(&file).expect("there"), "kept");
        if let Some(own) = passes(&format!("open('own', 'w').write('x'){after}")) {
            assert!(own, "its own folder is its own");
        }
    }
}
