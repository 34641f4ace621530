//! The sandbox: a child process that cannot outlive its parent, take all the memory, fill the disk with its log, or
//! die without a reason.
//!
//! On Linux the kernel kills the child with its parent and holds it to a memory limit; elsewhere a child ends when its
//! stdin does, which it must see to itself, and no memory limit holds. What the two say to each other is the
//! protocol's; the log is what the child writes to stderr.

mod exit;
mod log;
mod system;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use crate::card::Roots;
use bantam_core::unit::Bytes;

pub use exit::{Exit, OutOfMemory};
use log::Copier;
pub use log::{Log, TAIL};

/// Whether [`Settings::memory_limit`] is held to on this system.
pub const LIMITS_MEMORY: bool = cfg!(target_os = "linux");

/// How a child is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most private memory that it may take: heap, stacks and copies, but not files that it maps to read.
    pub memory_limit: Option<Bytes>,
    /// Where its log goes; see [`Log`].
    pub log: PathBuf,
    /// Where the kernel counts its kills for want of memory.
    pub roots: Roots,
}

impl Settings {
    /// Keeps a child without a memory limit, its log at this path.
    pub fn new(log: PathBuf) -> Self {
        Self { memory_limit: None, log, roots: Roots::default() }
    }
}

/// A running child. Dropping it kills it and everything that it started.
pub struct Child {
    process: std::process::Child,
    /// The thread that started the child, and lives until this is dropped; see [`spawn_kept`].
    _keeper: Keeper,
    copier: Arc<Copier<ChildStderr>>,
    copying: Option<JoinHandle<()>>,
    log: Log,
    roots: Roots,
    kills_before: exit::Kills,
    killed: bool,
    exit: Option<Exit>,
}

impl Child {
    /// Starts the command with its stdin and stdout piped to the caller and its stderr to the log.
    ///
    /// # Errors
    /// The operating system's, where the program cannot be started or the log not be written.
    pub fn spawn(mut command: Command, settings: &Settings) -> io::Result<Child> {
        let kills_before = exit::Kills::read(&settings.roots);
        let (log, writer) = Log::create(&settings.log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        system::confine(&mut command, settings.memory_limit);
        let (mut process, keeper) = spawn_kept(command)?;
        let stderr = process.stderr.take().expect("stderr was piped above");
        let copier = Arc::new(Copier::new(stderr, writer));
        let copy = copier.clone();
        let copying = std::thread::Builder::new().name("worker log".into()).spawn(move || copy.run())?;
        Ok(Child {
            process,
            _keeper: keeper,
            copier,
            copying: Some(copying),
            log,
            roots: settings.roots.clone(),
            kills_before,
            killed: false,
            exit: None,
        })
    }

    /// Gives the child's process number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The child's stdin, once.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// The child's stdout, once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Gives the child's log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Begins another piece of work of a child that stays: what it writes to stderr from now on goes to a log of its
    /// own, and only kills for want of memory from now on can be what ended it.
    ///
    /// # Errors
    /// The operating system's, where the log cannot be written; the one before is kept on then.
    pub fn begin(&mut self, log: &Path) -> io::Result<()> {
        self.log = self.copier.change(log)?;
        self.kills_before = exit::Kills::read(&self.roots);
        Ok(())
    }

    /// Kills the child and everything that it started, if it still runs; [`Child::wait`] then says [`Exit::Killed`].
    pub fn kill(&mut self) {
        if self.exit.is_none() && !system::has_ended(&mut self.process) {
            self.killed = true;
            system::kill_all(&mut self.process);
        }
    }

    /// Closes the child's stdin if it was not taken, waits for its end and says how it came.
    ///
    /// # Errors
    /// The operating system's.
    pub fn wait(&mut self) -> io::Result<Exit> {
        if let Some(exit) = &self.exit {
            return Ok(exit.clone());
        }
        self.process.stdin.take();
        system::await_end(&mut self.process)?;
        self.finish()
    }

    /// How the child ended; `None` while it runs.
    ///
    /// # Errors
    /// The operating system's.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        if self.exit.is_none() && !system::has_ended(&mut self.process) {
            return Ok(None);
        }
        self.wait().map(Some)
    }

    /// Sweeps up what the child left running, reads its log to the end and decodes its status.
    fn finish(&mut self) -> io::Result<Exit> {
        // before the child is reaped, while nobody else can have its number
        system::kill_all(&mut self.process);
        let status = self.process.wait()?;
        if let Some(copying) = self.copying.take() {
            // a log that could not be written has less in it; the exit is told all the same
            let _ = copying.join();
        }
        let kills = exit::Kills::read(&self.roots);
        let exit = exit::decode(status, self.killed, &self.log.tail(), kills.since(&self.kills_before));
        self.exit = Some(exit.clone());
        Ok(exit)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        // nobody is left to be told
        let _ = self.wait();
    }
}

/// Ends the keeper thread when dropped.
struct Keeper {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the command from a thread of its own that stays until the keeper is dropped. Linux sends the parent-death
/// signal when the *thread* that started the child ends, and the caller's may be one of a pool.
fn spawn_kept(mut command: Command) -> io::Result<(std::process::Child, Keeper)> {
    let (started, start) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let keep = move || {
        let sent = started.send(command.spawn());
        if sent.is_ok() {
            // nothing is ever sent: this returns when the keeper is dropped
            let _ = ended.recv();
        }
    };
    let thread = std::thread::Builder::new().name("worker keeper".into()).spawn(keep)?;
    let keeper = Keeper { end: Some(end), thread: Some(thread) };
    let process = start.recv().map_err(|_| io::Error::other("the thread that starts workers died"))??;
    Ok((process, keeper))
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // it does nothing that can panic
            let _ = thread.join();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::card::Tree;
    use std::io::{BufRead, BufReader, Write};

    fn settings() -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings::new(folder.path().join("worker.log"));
        (folder, settings)
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn end_of(script: &str) -> (Exit, String) {
        let (_folder, settings) = settings();
        let mut child = Child::spawn(shell(script), &settings).expect("a child");
        (child.wait().expect("its end"), child.log().tail())
    }

    fn is_gone(pid: u32) -> bool {
        let pid = rustix::process::Pid::from_raw(pid as i32).expect("no process has number 0");
        rustix::process::test_kill_process(pid).is_err()
    }

    #[test]
    fn tells_how_a_child_ended_and_what_it_said() {
        assert_eq!(end_of("echo hello >&2"), (Exit::Done, "hello\n".into()));
        assert_eq!(end_of("echo oh >&2; exit 3"), (Exit::Code(3), "oh\n".into()));
        assert_eq!(end_of("kill -SEGV $$").0, Exit::Signal(11));
        assert_eq!(end_of("kill -KILL $$").0, Exit::Signal(9), "killed by a stranger");
    }

    #[test]
    fn stdin_and_stdout_belong_to_the_protocol() {
        let (_folder, settings) = settings();
        let mut child = Child::spawn(shell("read line; echo got $line; echo noise >&2"), &settings).unwrap();
        child.stdin().unwrap().write_all(b"this\n").unwrap();
        let mut answer = String::new();
        BufReader::new(child.stdout().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer, "got this\n");
        assert_eq!(child.wait().unwrap(), Exit::Done);
        assert_eq!(child.wait().unwrap(), Exit::Done, "it can be asked again");
        assert_eq!(child.log().tail(), "noise\n");
    }

    #[test]
    fn waiting_closes_a_stdin_that_nobody_took() {
        assert_eq!(end_of("cat").0, Exit::Done);
    }

    #[test]
    fn a_killed_child_says_so_and_takes_its_own_children_along() {
        let (_folder, settings) = settings();
        let mut child = Child::spawn(shell("sleep 1000 & echo $!; wait"), &settings).unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        let mut grandchild = String::new();
        let mut output = BufReader::new(child.stdout().unwrap());
        output.read_line(&mut grandchild).unwrap();
        assert!(!is_gone(grandchild.trim().parse().unwrap()));
        child.kill();
        assert_eq!(child.wait().unwrap(), Exit::Killed);
        // the grandchild held the pipe open as long as it lived
        assert_eq!(output.read_line(&mut String::new()).unwrap(), 0);
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let (_folder, settings) = settings();
        let child = Child::spawn(shell("exec sleep 1000"), &settings).unwrap();
        let pid = child.id();
        assert!(!is_gone(pid));
        drop(child);
        assert!(is_gone(pid));
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let (_folder, settings) = settings();
        let ask = move || Child::spawn(shell("while read line; do echo $line; done"), &settings).unwrap();
        let mut child = std::thread::spawn(ask).join().unwrap();
        let (mut to, mut from) = (child.stdin().unwrap(), BufReader::new(child.stdout().unwrap()));
        for _ in 0..3 {
            to.write_all(b"alive\n").unwrap();
            let mut answer = String::new();
            from.read_line(&mut answer).unwrap();
            assert_eq!(answer, "alive\n");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (_folder, settings) = settings();
        let error = Child::spawn(Command::new("/nowhere/worker"), &settings).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_kill_that_the_kernel_counts_is_want_of_memory() {
        let tree = Tree::new(&[("proc/vmstat", "pswpin 0\noom_kill 7\n")]);
        let (_folder, settings) = settings();
        let settings = Settings { roots: tree.roots(), ..settings };
        let count = settings.roots.proc.join("vmstat");
        let script = format!("echo oom_kill 8 > '{}'; kill -KILL $$", count.display());
        let exit = Child::spawn(shell(&script), &settings).unwrap().wait().unwrap();
        assert_eq!(exit, Exit::OutOfMemory(OutOfMemory::Machine));
    }

    /// Set to run a part of the tests below in a process of its own.
    const PART: &str = "BANTAM_SANDBOX_TEST";

    /// This test program again, to do one part only.
    #[cfg(target_os = "linux")]
    fn part(name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "sandbox::tests::a_part_for_another_process", "--nocapture"]).env(PART, name);
        command
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_part_for_another_process() {
        match std::env::var(PART).as_deref() {
            Ok("parent") => {
                let (_folder, settings) = settings();
                let child = Child::spawn(shell("exec sleep 1000"), &settings).unwrap();
                println!("child {}", child.id());
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
            }
            Ok("glutton") => {
                let block = std::hint::black_box(vec![1u8; 256 << 20]);
                println!("took {}", block.len());
            }
            _ => {}
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_dies_with_its_parent_even_when_that_is_killed() {
        let output = part("parent").stderr(Stdio::null()).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        let pid = said.lines().find_map(|line| line.strip_prefix("child ")).expect("it told the number");
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        // no file descriptor means that it is gone altogether; otherwise it becomes readable at its end
        if let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
            let mut ends = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
            let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
            assert_eq!(rustix::event::poll(&mut ends, Some(&limit)).unwrap(), 1, "the child still runs");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_that_takes_too_much_memory_is_out_of_memory() {
        let (_folder, settings) = settings();
        let limited = |mib: u64| Settings { memory_limit: Some(Bytes(mib << 20)), ..settings.clone() };
        let run = |settings: &Settings| {
            let mut child = Child::spawn(part("glutton"), settings).unwrap();
            (child.wait().unwrap(), child.log().tail())
        };
        let (exit, log) = run(&limited(192));
        assert_eq!(exit, Exit::OutOfMemory(OutOfMemory::Refused), "{log}");
        assert_eq!(run(&limited(2048)).0, Exit::Done);
    }
}
