//! Control groups: what a container, a slice or a batch system allows this process, in versions 1 and 2.
//!
//! A limit holds for a group and all groups below it, so the tightest one on the way up counts. Inside a container the
//! way is cut off at the container's own group.
//! The files: <https://docs.kernel.org/admin-guide/cgroup-v2.html>, <https://docs.kernel.org/admin-guide/cgroup-v1/>

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Roots, field, text};
use bantam_core::unit::Bytes;

/// What the control groups let this process use; `Known(None)` is known to be unlimited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// CPUs' worth of time: 1.5 is one and a half CPUs.
    pub cpus: Fact<Option<f64>>,
    /// Bytes of memory.
    pub memory: Fact<Option<Bytes>>,
}

impl Limits {
    /// Reads the tightest limits from the group of this process up to the top.
    pub fn read(roots: &Roots) -> Limits {
        Limits {
            cpus: group(roots, "cpu").map(|g| g.tightest(Group::cpus)).into(),
            memory: group(roots, "memory").map(|g| g.tightest(Group::memory).map(|b| Bytes(b as u64))).into(),
        }
    }
}

/// Gives what the control groups leave to take: the least that a limit on the way up leaves above what the group holds
/// already, all of its processes together. Files that were read and lie about unused can go, so they are not counted as
/// held. `None` where nothing limits.
///
/// # Errors
/// The reason why that is unknown.
pub fn memory_left(roots: &Roots) -> Result<Option<Bytes>, String> {
    Ok(group(roots, "memory")?.tightest(Group::memory_left).map(|bytes| Bytes(bytes as u64)))
}

/// Counts the processes of this group that the kernel has killed for want of memory.
///
/// # Errors
/// The reason why that is unknown.
pub fn oom_kills(roots: &Roots) -> Result<u64, String> {
    let group = group(roots, "memory")?;
    let file = match group.version {
        Version::One => "memory.oom_control",
        Version::Two => "memory.events",
    };
    let path = group.folder.join(file);
    let events = text(&path)?;
    field(&events, "oom_kill")
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| format!("{} counts no oom_kill", path.display()))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Version {
    One,
    Two,
}

/// The group of this process under one controller.
struct Group {
    version: Version,
    /// Where the hierarchy begins.
    top: PathBuf,
    folder: PathBuf,
}

/// Finds the group that holds this process under a version 1 controller, or else under version 2.
fn group(roots: &Roots, controller: &str) -> Result<Group, String> {
    let membership = text(&roots.proc.join("self/cgroup"))?;
    let lines: Vec<Vec<&str>> = membership.lines().map(|line| line.splitn(3, ':').collect()).collect();
    let base = roots.sys.join("fs/cgroup");
    for line in &lines {
        let [_, controllers, path] = line[..] else { continue };
        if controllers.split(',').any(|c| c == controller) {
            // a hierarchy of several controllers is mounted under all their names, with a link under each
            let tops = [base.join(controllers), base.join(controller)];
            let top = tops.into_iter().find(|top| top.is_dir()).ok_or_else(|| not_mounted(&base, controller))?;
            return Ok(Group { version: Version::One, folder: inside(&top, path), top });
        }
    }
    for line in &lines {
        let ["0", "", path] = line[..] else { continue };
        let tops = [base.clone(), base.join("unified")];
        let top = tops.into_iter().find(|top| top.join("cgroup.controllers").exists());
        let top = top.ok_or_else(|| not_mounted(&base, controller))?;
        return Ok(Group { version: Version::Two, folder: inside(&top, path), top });
    }
    Err(format!("this process is in no control group for {controller}"))
}

fn not_mounted(base: &Path, controller: &str) -> String {
    format!("no control groups for {controller} are mounted under {}", base.display())
}

/// The group's folder; the top where the path is told from outside a container and means nothing in here.
fn inside(top: &Path, path: &str) -> PathBuf {
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    let folder = top.join(relative);
    if plain && folder.is_dir() { folder } else { top.to_path_buf() }
}

/// Version 1 writes "no limit" as the largest number of pages.
const UNLIMITED: f64 = (1u64 << 60) as f64;

impl Group {
    /// The smallest limit of this group and those above it; `None` where there is none.
    fn tightest(&self, limit: fn(&Group, &Path) -> Option<f64>) -> Option<f64> {
        self.folder
            .ancestors()
            .take_while(|folder| folder.starts_with(&self.top))
            .filter_map(|folder| limit(self, folder))
            .reduce(f64::min)
    }

    fn cpus(&self, folder: &Path) -> Option<f64> {
        let number = |file: &str| number(&folder.join(file));
        let (quota, period) = match self.version {
            Version::One => (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?),
            Version::Two => {
                let max = text(&folder.join("cpu.max")).ok()?;
                let (quota, period) = max.split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        // version 1 writes "no quota" as -1, version 2 as the word max
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    }

    fn memory(&self, folder: &Path) -> Option<f64> {
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let own = number(&folder.join(file));
        // version 1 tells a limit above the container's top here, where its own files are out of sight
        let above = match self.version {
            Version::One => stat(folder, "hierarchical_memory_limit"),
            Version::Two => None,
        };
        own.into_iter().chain(above).filter(|&bytes| bytes < UNLIMITED).reduce(f64::min)
    }

    /// What this group's limit leaves above what it holds. In version 2 a group above `memory.high` is slowed down to a
    /// crawl, so that is a limit of what can be taken, too.
    fn memory_left(&self, folder: &Path) -> Option<f64> {
        let (usage, idle_files) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.current", "inactive_file"),
        };
        let high = match self.version {
            Version::One => None,
            Version::Two => number(&folder.join("memory.high")),
        };
        let limit = self.memory(folder).into_iter().chain(high).reduce(f64::min)?;
        let idle_files = stat(folder, idle_files).unwrap_or(0.0);
        let held = number(&folder.join(usage)).map_or(0.0, |usage| (usage - idle_files).max(0.0));
        Some((limit - held).max(0.0))
    }
}

/// A file that holds one number; none in "max".
fn number(path: &Path) -> Option<f64> {
    text(path).ok()?.parse().ok()
}

/// One line of a group's memory.stat.
fn stat(folder: &Path, key: &str) -> Option<f64> {
    field(&text(&folder.join("memory.stat")).ok()?, key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    const V2: &[(&str, &str)] = &[
        ("proc/self/cgroup", "0::/batch.slice/job-7\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
        ("sys/fs/cgroup/batch.slice/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/batch.slice/memory.max", "8589934592\n"),
        ("sys/fs/cgroup/batch.slice/job-7/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/batch.slice/job-7/memory.max", "4294967296\n"),
        ("sys/fs/cgroup/batch.slice/job-7/memory.events", "low 0\noom 3\noom_kill 2\n"),
    ];

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let limits = Limits::read(&Tree::new(V2).roots());
        assert_eq!(limits.cpus, Fact::Known(Some(1.5)));
        assert_eq!(limits.memory, Fact::Known(Some(Bytes(4 << 30))));
        assert_eq!(oom_kills(&Tree::new(V2).roots()), Ok(2));
    }

    #[test]
    fn version_one_is_read_too() {
        let tree = Tree::new(&[
            ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
        ]);
        let limits = Limits::read(&tree.roots());
        assert_eq!(limits.cpus, Fact::Known(Some(2.0)));
        assert_eq!(limits.memory, Fact::Known(Some(Bytes(1 << 30))));
        assert_eq!(oom_kills(&tree.roots()), Ok(5));
    }

    #[test]
    fn what_others_in_the_group_hold_is_not_free_in_either_version() {
        let two = Tree::new(&[
            ("proc/self/cgroup", "0::/pod/box\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000000\n"),
            ("sys/fs/cgroup/pod/memory.current", "900000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 500000\ninactive_file 300000\n"),
            ("sys/fs/cgroup/pod/box/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/box/memory.current", "100000\n"),
        ]);
        assert_eq!(memory_left(&two.roots()), Ok(Some(Bytes(400_000))), "of the group above, idle files not counted");
        two.set("sys/fs/cgroup/pod/box/memory.high", "150000\n");
        assert_eq!(memory_left(&two.roots()), Ok(Some(Bytes(50_000))));
        let one = Tree::new(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "200000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "155000000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "cache 1\ntotal_inactive_file 5000000\n"),
        ]);
        assert_eq!(memory_left(&one.roots()), Ok(Some(Bytes(50_000_000))));
        one.set("sys/fs/cgroup/memory/memory.usage_in_bytes", "300000000\n");
        assert_eq!(memory_left(&one.roots()), Ok(Some(Bytes(0))));
        one.set("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory_left(&one.roots()), Ok(None));
    }

    #[test]
    fn version_one_tells_a_limit_above_the_top_that_is_seen() {
        let tree = Tree::new(&[
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 1048576\n"),
        ]);
        assert_eq!(Limits::read(&tree.roots()).memory, Fact::Known(Some(Bytes(1 << 20))));
    }

    #[test]
    fn a_path_from_outside_the_container_means_its_top() {
        for path in ["/../../elsewhere", "/kubepods/pod1/abc"] {
            let tree = Tree::new(&[
                ("proc/self/cgroup", &format!("0::{path}\n")),
                ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
                ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
                ("sys/fs/cgroup/memory.max", "max\n"),
            ]);
            let limits = Limits::read(&tree.roots());
            assert_eq!((limits.cpus, limits.memory), (Fact::Known(Some(0.5)), Fact::Known(None)));
        }
    }

    #[test]
    fn no_control_groups_is_unknown_not_unlimited() {
        let limits = Limits::read(&Tree::new(&[]).roots());
        assert!(limits.cpus.known().is_none() && limits.memory.known().is_none());
        let tree = Tree::new(&[("proc/self/cgroup", "0::/\n")]);
        assert!(Limits::read(&tree.roots()).memory.show(|_| "known".into()).contains("mounted"));
    }
}
