//! What the sandbox asks of the operating system: limits set in the child before its program starts, waiting for its
//! end, and killing a whole family.

use std::io;
use std::process::{Child, Command};

use bantam_core::unit::Bytes;

use std::os::unix::process::CommandExt;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpid, kill_process_group, setrlimit, waitid,
};

/// Puts the child into a process group of its own, ties its end to the parent and limits its memory.
pub(super) fn confine(command: &mut Command, memory_limit: Option<Bytes>) {
    // a group of its own: Ctrl-C in the terminal is for the parent to answer, and kill_all reaches grandchildren
    command.process_group(0);
    let parent = getpid();
    let in_child = move || {
        #[cfg(target_os = "linux")]
        die_with(parent)?;
        #[cfg(not(target_os = "linux"))]
        let _ = parent;
        limit(Resource::Core, 0)?;
        match memory_limit {
            // RLIMIT_DATA, for RLIMIT_AS would forbid to map large files; elsewhere it does not cover maps at all
            Some(bytes) if cfg!(target_os = "linux") => limit(Resource::Data, bytes.0),
            _ => Ok(()),
        }
    };
    // SAFETY: between fork and exec only direct system calls are made; nothing allocates or takes a lock.
    unsafe { command.pre_exec(in_child) };
}

/// Asks to be killed when the parent's thread ends, and makes sure that it has not ended already.
#[cfg(target_os = "linux")]
fn die_with(parent: Pid) -> io::Result<()> {
    use rustix::process::{getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match getppid() {
        Some(pid) if pid == parent => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Waits without reaping: until [`Child::wait`] nobody else can get the child's number.
///
/// # Errors
/// The operating system's, where there is no such child.
pub(super) fn await_end(child: &mut Child) -> io::Result<()> {
    loop {
        match waitid(WaitId::Pid(pid(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Tells whether the child has ended, without reaping it.
pub(super) fn has_ended(child: &mut Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    // an error means that it was reaped already
    !matches!(waitid(WaitId::Pid(pid(child)), options), Ok(None))
}

/// Kills the child and everything that it started.
pub(super) fn kill_all(child: &mut Child) {
    // fails where the whole family is gone, which is what is wanted
    let _ = kill_process_group(pid(child), Signal::KILL);
}
