//! Suites by name, with data from the hub where they name it: `suite` reads files, `hub` knows where they are; here they
//! meet. Loading looks at this machine only; what is not here is fetched before a run, by name.
//!
//! A suite may be a stranger's, and its templates are programs: 100,000 nested operators, a string doubled forty times.
//! So one whose templates are not simple is loaded in a child first, which has little memory, stack and time; only what
//! that child survived is loaded here, in the same way.

use anyhow::Result;
use bantam_core::chat::Chat;
use bantam_core::unit::Bytes;
use bantam_eval::{self as eval, LmEvalTask, Suite, Task};
use bantam_host::sandbox::{Child, Exit, Settings};
use bantam_hub::{Cache, DataName, Error};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Stack in which every suite is loaded, here and in the child, so that what went well there goes well here.
const STACK: usize = 64 << 20;
/// Memory that a suite of a stranger may take.
const MEMORY: Bytes = Bytes(2 << 30);
/// How long it may take.
const TIME: Duration = Duration::from_secs(120);
/// The hidden command of the binary that loads a suite and says nothing.
pub const TRY_SUITE: &str = "try-suite";

/// The program that has the command [`TRY_SUITE`]; without one suites are loaded untried.
static TRIED_BY: OnceLock<PathBuf> = OnceLock::new();

/// Says which program tries the suites of strangers: this one, where it is bantam's.
pub fn try_with(program: PathBuf) {
    // the first one stays
    let _ = TRIED_BY.set(program);
}

/// Reads a suite; data of the hub is taken from the cache.
pub fn load(name: &str) -> Result<Suite, eval::Error> {
    load_as(name, &Chat::default())
}

/// Reads a suite as it is put to models that were taught to talk.
pub fn load_as(name: &str, chat: &Chat) -> Result<Suite, eval::Error> {
    if let Some(program) = TRIED_BY.get()
        && !eval::is_simple(name)?
    {
        harmless(name, program)?;
    }
    load_untried(name, chat)
}

/// Reads a suite whatever its templates do; for the child that tries it, and after it.
pub fn load_untried(name: &str, chat: &Chat) -> Result<Suite, eval::Error> {
    apart(&|| eval::load_as(name, chat, &cached))
}

/// The files of data of the hub, as far as they are here.
fn cached(data: &str) -> Result<Vec<PathBuf>, String> {
    let data = DataName::parse(data).map_err(|e| e.to_string())?;
    Cache::here().data(&data).map_err(|e| e.to_string())
}

/// Loads with the stack that loading may take.
fn apart<T: Send>(load: &(dyn Fn() -> Result<T, eval::Error> + Sync)) -> Result<T, eval::Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("suite".into()).stack_size(STACK).spawn_scoped(scope, load);
        match thread.map(|thread| thread.join()) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // no thread can be had: here is as good
            Err(_) => load(),
        }
    })
}

/// Reads one task of a suite, and of others as little as can be.
pub fn load_task(suite: &str, task: &str, chat: &Chat) -> Result<Option<Task>, eval::Error> {
    if !LmEvalTask::is_named(suite) {
        return Ok(load_as(suite, chat)?.tasks.into_iter().find(|one| one.name == task));
    }
    if let Some(program) = TRIED_BY.get()
        && !eval::is_simple(suite)?
    {
        harmless(suite, program)?;
    }
    apart(&|| eval::load_task(suite, task, chat, &cached))
}

/// The names under which suites are asked for tasks of lm-evaluation-harness: as a command lists them, with what it says
/// beside them.
///
/// # Errors
/// Where a path has no place in a name.
pub fn lm_eval(
    tasks: &[String],
    num_fewshot: Option<usize>,
    include_path: &[PathBuf],
    allow_code: bool,
) -> Result<Vec<String>> {
    // a worker may be elsewhere
    let folders = include_path.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
    let name = |task: &String| {
        let is_file = [".yaml", ".yml"].iter().any(|ending| task.ends_with(ending));
        let name = if is_file { std::path::absolute(task)?.to_string_lossy().into_owned() } else { task.clone() };
        let include_path = folders.clone();
        Ok(LmEvalTask { name, num_fewshot, include_path, allow_code, ..LmEvalTask::default() }.to_string())
    };
    tasks.iter().map(|task| task.trim().to_owned()).filter(|task| !task.is_empty()).map(|task| name(&task)).collect()
}

/// Loads the suite in a child that may take little. An ordinary error of the suite is none here: it is found again.
fn harmless(name: &str, program: &PathBuf) -> Result<(), eval::Error> {
    let refused = |why: &str| {
        let (stack, time) = (Bytes(STACK as u64), TIME.as_secs());
        let allowed = format!("a suite may take {MEMORY}, {stack} of it stack, and {time} s; simplify them");
        Err(eval::Error::Harmful { file: name.into(), message: format!("{why}; {allowed}") })
    };
    match tried(name, program) {
        // 2: the suite is refused for a reason that is found again here
        Ok(Some(Exit::Done | Exit::Code(2))) | Err(_) => Ok(()),
        Ok(Some(Exit::Code(_))) => refused("its templates end the program that renders them"),
        Ok(Some(Exit::OutOfMemory(_))) => refused("its templates take too much memory"),
        Ok(Some(Exit::Signal(_))) => refused("its templates take too much stack"),
        Ok(Some(Exit::Killed) | None) => refused("its templates take too long"),
    }
}

/// How the child ended; `None` where it was ended because it took too long.
fn tried(name: &str, program: &PathBuf) -> std::io::Result<Option<Exit>> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(program);
    command.arg(TRY_SUITE).arg("--").arg(name);
    let settings = Settings { memory_limit: Some(MEMORY), ..Settings::new(folder.path().join("log")) };
    let mut child = Child::spawn(command, &settings)?;
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    while begun.elapsed() < TIME {
        if let Some(exit) = child.try_wait()? {
            return Ok(Some(exit));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    child.kill();
    child.wait()?;
    Ok(None)
}

/// The data of the hub that a suite names and that is not here, or not whole.
///
/// # Errors
/// Where the suite cannot be read or what it names is no dataset.
pub fn to_fetch(name: &str) -> Result<Vec<DataName>> {
    let cache = Cache::here();
    let named: Vec<DataName> =
        eval::data_on_hub(name)?.iter().map(|data| DataName::parse(data)).collect::<Result<_, Error>>()?;
    Ok(named.into_iter().filter(|data| cache.data(data).is_err()).collect())
}
