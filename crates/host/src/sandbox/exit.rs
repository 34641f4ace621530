//! How a child ended, told from its exit status, the end of its log, and the kernel's counts of kills for want of
//! memory.

use std::process::ExitStatus;

use crate::card::{Roots, activity, cgroup};
use bantam_core::record::Failure;

/// The end of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0.
    Done,
    /// Another exit code.
    Code(i32),
    /// The parent killed it.
    Killed,
    /// There was no memory left.
    OutOfMemory(OutOfMemory),
    /// A signal of somebody else's, or of its own making, by number.
    Signal(i32),
}

/// Who found that there was no memory left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfMemory {
    /// The kernel, in the child's control group.
    Group,
    /// The kernel, on the whole machine.
    Machine,
    /// The child itself, when it was refused more.
    Refused,
}

/// How often the kernel has killed for want of memory; `None` where it does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kills {
    group: Option<u64>,
    machine: Option<u64>,
}

impl Kills {
    pub(super) fn read(roots: &Roots) -> Kills {
        Kills { group: cgroup::oom_kills(roots).ok(), machine: activity::oom_kills(roots).ok() }
    }

    /// Where kills were added; the group is the closer witness.
    pub(super) fn since(&self, before: &Kills) -> Option<OutOfMemory> {
        let grew = |now: Option<u64>, then: Option<u64>| now.zip(then).is_some_and(|(now, then)| now > then);
        if grew(self.group, before.group) {
            Some(OutOfMemory::Group)
        } else {
            grew(self.machine, before.machine).then_some(OutOfMemory::Machine)
        }
    }
}

/// What programs say that were refused memory: Rust's allocator, C++'s, and the C library's.
const LAST_WORDS: &[&str] = &["memory allocation of ", "std::bad_alloc", "Cannot allocate memory"];
/// A program that ends itself in order may have got over such words, unless they stand so near the end of its log. One
/// that aborts has not, and a backtrace may follow them.
const LAST_LINES: usize = 5;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// Names the end. `oom` tells whether and where the kernel killed for want of memory while the child ran.
pub(super) fn decode(status: ExitStatus, killed: bool, tail: &str, oom: Option<OutOfMemory>) -> Exit {
    let refused =
        |lines| tail.lines().rev().take(lines).any(|line| LAST_WORDS.iter().any(|words| line.contains(words)));
    match (status.code(), signal(status)) {
        (Some(0), _) => Exit::Done,
        (_, Some(SIGKILL)) if killed => Exit::Killed,
        (_, Some(SIGKILL)) => oom.map_or(Exit::Signal(SIGKILL), Exit::OutOfMemory),
        (_, Some(SIGABRT)) if refused(usize::MAX) => Exit::OutOfMemory(OutOfMemory::Refused),
        (Some(_), _) if refused(LAST_LINES) => Exit::OutOfMemory(OutOfMemory::Refused),
        (_, Some(signal)) => Exit::Signal(signal),
        (Some(code), None) => Exit::Code(code),
        (None, None) => Exit::Code(-1),
    }
}

fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// Signals that end programs: number on Linux and macOS where they agree, name, and what it usually means here.
const SIGNALS: &[(i32, &str, &str)] = &[
    (2, "SIGINT", "somebody pressed Ctrl-C"),
    (4, "SIGILL", "an instruction that this processor does not have: build bantam on this machine"),
    (6, "SIGABRT", "the program gave up; its log says why"),
    (8, "SIGFPE", "an impossible calculation"),
    (9, "SIGKILL", "somebody killed it, and the kernel counts no kill for want of memory"),
    (11, "SIGSEGV", "a fault in the program"),
    (13, "SIGPIPE", "the parent stopped listening"),
    (15, "SIGTERM", "somebody asked it to end"),
    (24, "SIGXCPU", "its limit of CPU time"),
    (25, "SIGXFSZ", "its limit of file size"),
];
/// SIGBUS has another number on macOS.
const SIGBUS: i32 = libc::SIGBUS;

impl Exit {
    /// The end in words, to follow "the worker".
    pub fn words(&self) -> String {
        match self {
            Exit::Done => "ended without saying why".into(),
            Exit::Code(code) => format!("ended with exit code {code}"),
            Exit::Killed => "was stopped".into(),
            Exit::OutOfMemory(OutOfMemory::Group) => {
                "was killed by the kernel, for its control group was out of memory: raise the group's limit or take a \
                 smaller variant"
                    .into()
            }
            Exit::OutOfMemory(OutOfMemory::Machine) => {
                "was killed by the kernel, for the machine was out of memory: close other programs or take a smaller \
                 variant"
                    .into()
            }
            Exit::OutOfMemory(OutOfMemory::Refused) => {
                "was refused more memory: raise memory_limit or take a smaller variant".into()
            }
            Exit::Signal(signal) if *signal == SIGBUS => {
                "died of SIGBUS: a file that it had mapped was cut short, or the disk is full".into()
            }
            Exit::Signal(signal) => match SIGNALS.iter().find(|(number, ..)| number == signal) {
                Some((_, name, meaning)) => format!("died of {name}: {meaning}"),
                None => format!("died of signal {signal}"),
            },
        }
    }

    /// The end as a trial's failure, for a child that ended before it had answered. A parent that killed its child
    /// knows better why.
    pub fn failure(&self, log: &str) -> Failure {
        let message = format!("the worker {}", self.words());
        match self {
            Exit::OutOfMemory(_) => Failure::OutOfMemory { message },
            Exit::Killed => Failure::Cancelled,
            _ => Failure::Crash { message, log: log.to_string() },
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn by_signal(signal: i32, killed: bool, tail: &str, oom: Option<OutOfMemory>) -> Exit {
        decode(ExitStatus::from_raw(signal), killed, tail, oom)
    }

    fn by_code(code: i32, tail: &str) -> Exit {
        decode(ExitStatus::from_raw(code << 8), false, tail, None)
    }

    #[test]
    fn a_kill_is_ours_the_kernels_or_a_strangers() {
        assert_eq!(by_signal(9, true, "", Some(OutOfMemory::Machine)), Exit::Killed);
        assert_eq!(by_signal(9, false, "", Some(OutOfMemory::Group)), Exit::OutOfMemory(OutOfMemory::Group));
        assert_eq!(by_signal(9, false, "", None), Exit::Signal(9));
        assert_eq!(by_signal(11, true, "", Some(OutOfMemory::Machine)), Exit::Signal(11));
    }

    #[test]
    fn last_words_tell_of_refused_memory() {
        let refused = Exit::OutOfMemory(OutOfMemory::Refused);
        assert_eq!(by_signal(6, false, "loaded\nmemory allocation of 268435456 bytes failed\n", None), refused);
        assert_eq!(by_code(1, "Error: Cannot allocate memory (os error 12)\n"), refused);
        assert_eq!(by_signal(6, false, "assertion failed\n", None), Exit::Signal(6));
        let long_ago = format!("memory allocation of 9 bytes failed\n{}", "fine\n".repeat(LAST_LINES));
        assert_eq!(by_code(3, &long_ago), Exit::Code(3));
        assert_eq!(by_signal(6, false, &long_ago, None), refused, "a backtrace follows");
        assert_eq!(by_code(0, "memory allocation of 9 bytes failed"), Exit::Done);
    }

    #[test]
    fn ends_become_failures_with_a_reason() {
        let crash = Exit::Signal(11).failure("the log");
        assert!(matches!(&crash, Failure::Crash { message, log } if message.contains("SIGSEGV") && log == "the log"));
        assert!(matches!(Exit::OutOfMemory(OutOfMemory::Group).failure(""), Failure::OutOfMemory { .. }));
        assert_eq!(Exit::Signal(40).words(), "died of signal 40");
        assert!(Exit::Signal(SIGBUS).words().contains("mapped"));
    }

    #[test]
    fn only_a_growing_count_is_a_kill() {
        let kills = |group, machine| Kills { group, machine };
        assert_eq!(kills(Some(3), Some(9)).since(&kills(Some(2), Some(8))), Some(OutOfMemory::Group));
        assert_eq!(kills(Some(2), Some(9)).since(&kills(Some(2), Some(8))), Some(OutOfMemory::Machine));
        assert_eq!(kills(Some(2), Some(8)).since(&kills(Some(2), Some(8))), None);
        assert_eq!(kills(Some(2), None).since(&kills(None, None)), None);
    }
}
