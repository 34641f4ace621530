//! Memory: the machine's, and this process's own.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::fact::{Fact, Roots, field, text};
use bantam_core::record::{Figure, Provenance, Reading};
use bantam_core::unit::{Bytes, Unit};

/// The machine's memory now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The machine's memory.
    pub total: Fact<Bytes>,
    /// What programs could still take without swapping, and without the control group's limit being met.
    pub available: Fact<Bytes>,
    /// The size of the swap; 0 where there is none.
    pub swap_total: Fact<Bytes>,
    /// Swap in use.
    pub swap_used: Fact<Bytes>,
}

impl Memory {
    /// Reads the memory from the kernel's files.
    pub fn read(roots: &Roots) -> Memory {
        let path = roots.proc.join("meminfo");
        let info = text(&path);
        let get = |key: &str| info.clone().and_then(|info| kilobytes(&info, key, &path));
        let swap_used = get("SwapTotal").and_then(|total| Ok(Bytes(total.0.saturating_sub(get("SwapFree")?.0))));
        Memory {
            total: get("MemTotal").into(),
            available: get("MemAvailable").map(|free| within_the_group(roots, free)).into(),
            swap_total: get("SwapTotal").into(),
            swap_used: swap_used.into(),
        }
    }
}

/// Of what the machine has free, what the control group leaves to this process.
fn within_the_group(roots: &Roots, free: Bytes) -> Bytes {
    let left = cgroup::memory_left(roots).ok().flatten();
    left.map_or(free, |left| left.min(free))
}

/// A line like `VmHWM:     1024 kB`, where the kernel's kB are 1024 bytes.
fn kilobytes(text: &str, key: &str, path: &Path) -> Result<Bytes, String> {
    field(text, key)
        .and_then(|value| value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024))
        .map(Bytes)
        .ok_or_else(|| format!("{} tells no {key} in kB", path.display()))
}

/// The most memory that this process has held at once, file mappings included (VmHWM). Read it in the worker itself at
/// its end: `ru_maxrss` keeps the parent's mark through exec, and samples from outside miss the peak.
pub fn own_peak(roots: &Roots) -> Reading {
    peak(roots, "self", "VmHWM of the worker")
}

/// The most memory that another process of this user has held at once (VmHWM), while it still runs.
pub fn peak_of(roots: &Roots, pid: u32) -> Reading {
    peak(roots, &pid.to_string(), "VmHWM of the engine's process")
}

fn peak(roots: &Roots, process: &str, how: &str) -> Reading {
    status(roots, process, "VmHWM").map_or_else(
        |reason| Reading::Missing { reason },
        |peak| {
            Reading::Known(Figure {
                value: peak.0 as f64,
                unit: Unit::Bytes,
                provenance: Provenance::Measured,
                interval: None,
                no_interval: None,
                n: None,
                how: how.into(),
            })
        },
    )
}

/// Forgets the most that this process has held, so that [`own_peak`] tells what it holds from now on; memory that was
/// freed goes back to the system first. Threads that run on may take some meanwhile.
///
/// # Errors
/// A sentence where the system does not do it, seen by the mark itself: it must have come down to what is held now.
pub fn reset_own_peak(roots: &Roots) -> Result<(), String> {
    give_back();
    let path = roots.proc.join("self/clear_refs");
    std::fs::write(&path, "5").map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
    let (peak, held) = (status(roots, "self", "VmHWM")?, status(roots, "self", "VmRSS")?);
    match peak.0 <= held.0 + held.0 / RESET_SHARE + RESET_SLACK {
        true => Ok(()),
        false => Err(format!("VmHWM stayed at {peak} where {held} are held: this system does not reset it")),
    }
}

/// What the mark may stand above what is held, right after it was reset: the kernel counts a few pages late.
const RESET_SHARE: u64 = 50;
const RESET_SLACK: u64 = 1 << 20;

/// Hands freed memory back to the system, where the C library keeps it for later.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only releases memory that is free already.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What a process holds now (VmRSS); for the live picture only.
pub fn resident(roots: &Roots, pid: u32) -> Option<Bytes> {
    status(roots, &pid.to_string(), "VmRSS").ok()
}

fn status(roots: &Roots, process: &str, key: &str) -> Result<Bytes, String> {
    if !roots.proc.join("self").exists() {
        return Err(format!("peak memory is read from /proc, which {} does not have", std::env::consts::OS));
    }
    let path = roots.proc.join(process).join("status");
    kilobytes(&text(&path)?, key, &path)
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    #[test]
    fn memory_and_swap_are_read() {
        let tree = Tree::new(&[(
            "proc/meminfo",
            "MemTotal:       2048 kB\nMemFree: 12 kB\nMemAvailable:   1024 kB\nSwapTotal: 512 kB\nSwapFree: 500 kB\n",
        )]);
        let memory = Memory::read(&tree.roots());
        assert_eq!(memory.total, Fact::Known(Bytes(2 << 20)));
        assert_eq!(memory.available, Fact::Known(Bytes(1 << 20)));
        assert_eq!(
            (memory.swap_total, memory.swap_used),
            (Fact::Known(Bytes(512 << 10)), Fact::Known(Bytes(12 << 10)))
        );
    }

    #[test]
    fn in_a_container_free_is_what_its_limit_leaves() {
        let tree = Tree::new(&[
            ("proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n"),
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cgroup.controllers", "memory\n"),
            ("sys/fs/cgroup/memory.max", "200000000\n"),
            ("sys/fs/cgroup/memory.current", "150000000\n"),
        ]);
        assert_eq!(Memory::read(&tree.roots()).available, Fact::Known(Bytes(50_000_000)));
        tree.set("sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(Memory::read(&tree.roots()).available, Fact::Known(Bytes(1_000_000 << 10)));
    }

    #[test]
    fn a_process_tells_its_peak_and_others_their_present() {
        let tree = Tree::new(&[
            ("proc/self/status", "Name:\tworker\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n"),
            ("proc/77/status", "VmRSS:\t 8 kB\n"),
        ]);
        let Reading::Known(peak) = own_peak(&tree.roots()) else { panic!("it is known") };
        assert_eq!((peak.value, peak.provenance), (4194304.0, Provenance::Measured));
        assert_eq!(resident(&tree.roots(), 77), Some(Bytes(8192)));
        assert_eq!(resident(&tree.roots(), 78), None);
    }

    #[test]
    fn without_proc_the_peak_is_missing_with_a_reason() {
        let tree = Tree::new(&[]);
        assert!(matches!(own_peak(&tree.roots()), Reading::Missing { reason } if reason.contains("/proc")));
        tree.set("proc/self/status", "VmHWM:\tlots\n");
        assert!(matches!(own_peak(&tree.roots()), Reading::Missing { reason } if reason.contains("VmHWM")));
        assert!(Memory::read(&tree.roots()).total.known().is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_held_what_it_took() {
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let peak = own_peak(&Roots::default()).value().expect("Linux tells it");
        assert!(peak >= block.len() as f64, "{peak}");
        assert!(resident(&Roots::default(), std::process::id()).is_some());
    }

    #[test]
    fn a_mark_that_does_not_come_down_is_told() {
        let tree =
            Tree::new(&[("proc/self/status", "VmHWM:\t 90000 kB\nVmRSS:\t 2048 kB\n"), ("proc/self/clear_refs", "")]);
        let reason = reset_own_peak(&tree.roots()).expect_err("it stayed");
        assert!(reason.contains("does not reset it"), "{reason}");
        tree.set("proc/self/status", "VmHWM:\t 2050 kB\nVmRSS:\t 2048 kB\n");
        assert_eq!(reset_own_peak(&tree.roots()), Ok(()));
        let nowhere = Tree::new(&[("proc/self/status", "VmHWM:\t 2050 kB\nVmRSS:\t 2048 kB\n")]);
        std::fs::create_dir(nowhere.roots().proc.join("self/clear_refs")).expect("makes");
        assert!(reset_own_peak(&nowhere.roots()).is_err_and(|reason| reason.contains("cannot be written")));
    }
}
