//! RAPL: the energy counters of x86 processors, read through the kernel's powercap files.
//!
//! One meter per package and one per package's memory where there is one. Left out, for they would count joules
//! twice: the other subzones (cores, uncore: parts of the package), `psys` (the platform, which holds the package)
//! and the `intel-rapl-mmio` twins of the same packages. AMD processors show up under the same names.
//! The files: <https://docs.kernel.org/power/powercap/powercap.html>

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Domain, Fault, Identity, Meter, Method};
use bantam_core::unit::Joules;

/// Since CVE-2020-8694 the counter is readable by root alone.
const FIX: &str = "run `sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj` (until the next boot), or for good \
    put ACTION==\"add\", SUBSYSTEM==\"powercap\", KERNEL==\"intel-rapl:*\", RUN+=\"/bin/chmod a+r /sys%p/energy_uj\" \
    into /etc/udev/rules.d/70-rapl.rules";

/// How a file is read; a parameter because a test that runs as root can read everything.
type Read = fn(&Path) -> io::Result<String>;

fn read_file(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

/// Opens the meters under a powercap folder, in the order of their zones.
pub fn find(powercap: &Path) -> Vec<Result<Rapl, Fault>> {
    find_with(powercap, read_file)
}

fn find_with(powercap: &Path, read: Read) -> Vec<Result<Rapl, Fault>> {
    let zones = match zones(powercap) {
        Ok(zones) => zones,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return vec![Err(absent(powercap))],
        Err(e) => return vec![Err(Fault::reading(powercap, &e, FIX))],
    };
    let mut meters: Vec<_> = zones.into_iter().filter_map(|zone| open(zone, read).transpose()).collect();
    // one fix opens all of them: say it once
    meters.dedup_by(|a, b| matches!((a, b), (Err(Fault::Denied { .. }), Err(Fault::Denied { .. }))));
    if meters.is_empty() { vec![Err(absent(powercap))] } else { meters }
}

fn absent(powercap: &Path) -> Fault {
    Fault::Absent {
        what: "RAPL energy counter".into(),
        why: format!(
            "{} holds no intel-rapl package; virtual machines and containers seldom show it, on real x86 machines \
             `sudo modprobe intel_rapl_msr` loads the driver",
            powercap.display()
        ),
    }
}

/// A powercap zone: `intel-rapl:PACKAGE` or `intel-rapl:PACKAGE:PART`.
struct Zone {
    folder: PathBuf,
    package: u32,
    part: Option<u32>,
}

fn zones(powercap: &Path) -> io::Result<Vec<Zone>> {
    let mut zones = Vec::new();
    for entry in fs::read_dir(powercap)? {
        let folder = entry?.path();
        zones.extend(Zone::at(folder));
    }
    zones.sort_by_key(|z| (z.package, z.part));
    Ok(zones)
}

impl Zone {
    /// `None` for what is no zone of the `intel-rapl` driver, as its mmio twins.
    fn at(folder: PathBuf) -> Option<Zone> {
        let name = folder.file_name()?.to_str()?.strip_prefix("intel-rapl:")?;
        let (package, part) = match name.split_once(':') {
            Some((package, part)) => (package.parse().ok()?, Some(part.parse().ok()?)),
            None => (name.parse().ok()?, None),
        };
        Some(Zone { folder, package, part })
    }

    fn domain(&self, name: &str) -> Option<Domain> {
        match self.part {
            None if name.starts_with("package") => Some(Domain::Package(self.package)),
            Some(_) if name == "dram" => Some(Domain::Dram(self.package)),
            _ => None,
        }
    }
}

fn open(zone: Zone, read: Read) -> Result<Option<Rapl>, Fault> {
    let name = text(&zone.folder.join("name"), read)?;
    let Some(domain) = zone.domain(&name) else { return Ok(None) };
    let file = zone.folder.join("energy_uj");
    let range_file = zone.folder.join("max_energy_range_uj");
    let range = number(&range_file, read)?;
    if range == 0 {
        return Err(Fault::Unreadable {
            path: range_file,
            problem: "it says that the counter has no range (0)".into(),
        });
    }
    number(&file, read)?;
    let name = match domain {
        Domain::Dram(package) => format!("dram of package-{package}"),
        _ => name,
    };
    let identity = Identity { name, domain, method: Method::Counter, source: file.display().to_string() };
    Ok(Some(Rapl { identity, file, range, last: None, microjoules: 0, read }))
}

fn text(path: &Path, read: Read) -> Result<String, Fault> {
    read(path).map(|s| s.trim().to_string()).map_err(|e| Fault::reading(path, &e, FIX))
}

fn number(path: &Path, read: Read) -> Result<u64, Fault> {
    let text = text(path, read)?;
    text.parse().map_err(|_| Fault::Unreadable {
        path: path.to_path_buf(),
        problem: format!("it holds {text:?}, not a whole number"),
    })
}

/// One RAPL counter.
pub struct Rapl {
    identity: Identity,
    file: PathBuf,
    /// The counter goes from 0 to this many microjoules and starts again.
    range: u64,
    /// When and what was read last.
    last: Option<(Duration, u64)>,
    /// Counted since the first reading.
    microjoules: u64,
    read: Read,
}

impl Rapl {
    /// In less than this the counter cannot wrap around twice, whatever is drawn.
    fn longest_silence(&self) -> Duration {
        Duration::from_secs_f64(self.range as f64 * 1e-6 / self.identity.domain.most().0)
    }

    /// Microjoules from one raw value to a later one, with at most one wrap-around in between.
    fn step(&self, from: u64, to: u64) -> u64 {
        if to >= from { to - from } else { (self.range - from) + to }
    }

    fn raw(&self) -> Result<u64, Fault> {
        let raw = number(&self.file, self.read)?;
        if raw > self.range {
            return Err(Fault::Unreadable {
                path: self.file.clone(),
                problem: format!("it shows {raw}, above its own max_energy_range_uj of {}", self.range),
            });
        }
        Ok(raw)
    }
}

impl Meter for Rapl {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn read(&mut self, now: Duration) -> Result<Joules, Fault> {
        let raw = self.raw()?;
        if let Some((then, from)) = self.last.replace((now, raw)) {
            let silent = now.saturating_sub(then);
            let longest = self.longest_silence();
            if silent >= longest {
                return Err(Fault::Gap { meter: self.identity.name.clone(), silent, longest });
            }
            self.microjoules += self.step(from, raw);
        }
        Ok(Joules(self.microjoules as f64 * 1e-6))
    }

    fn counter(&self) -> Option<Joules> {
        self.raw().ok().map(|microjoules| Joules(microjoules as f64 * 1e-6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn zone(root: &Path, zone: &str, name: &str, energy: u64) {
        let folder = root.join(zone);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "262143328850\n").unwrap();
        fs::write(folder.join("energy_uj"), format!("{energy}\n")).unwrap();
    }

    fn set(root: &Path, zone: &str, energy: u64) {
        fs::write(root.join(zone).join("energy_uj"), format!("{energy}\n")).unwrap();
    }

    fn only(root: &Path) -> Rapl {
        let mut meters = find(root);
        assert_eq!(meters.len(), 1);
        meters.remove(0).expect("it opens")
    }

    fn fault(root: &Path, read: Read) -> String {
        let mut meters = find_with(root, read);
        assert_eq!(meters.len(), 1);
        meters.remove(0).err().expect("it is refused").to_string()
    }

    #[test]
    fn takes_packages_and_their_memory_and_nothing_that_counts_twice() {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in [
            ("intel-rapl", "control type"),
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "uncore"),
            ("intel-rapl:0:2", "dram"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:1:0", "core"),
            ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
            ("dtpm", "something else"),
        ] {
            zone(root.path(), folder, name, 5);
        }
        let domains: Vec<_> = find(root.path()).into_iter().map(|m| m.expect("it opens").identity().domain).collect();
        assert_eq!(domains, [Domain::Package(0), Domain::Dram(0), Domain::Package(1)]);
    }

    #[test]
    fn counts_from_its_first_reading() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 1_000_000);
        let mut meter = only(root.path());
        assert_eq!(meter.read(SECOND), Ok(Joules(0.0)));
        set(root.path(), "intel-rapl:0", 31_500_000);
        assert_eq!(meter.read(2 * SECOND), Ok(Joules(30.5)));
        assert!(meter.identity().source.ends_with("intel-rapl:0/energy_uj"));
    }

    #[test]
    fn goes_on_counting_over_wrap_arounds() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 262_140_000_000);
        let mut meter = only(root.path());
        meter.read(SECOND).unwrap();
        set(root.path(), "intel-rapl:0", 6_671_150);
        assert_eq!(meter.read(2 * SECOND), Ok(Joules(10.0)));
        set(root.path(), "intel-rapl:0", 0);
        assert_eq!(meter.read(3 * SECOND), Ok(Joules(10.0 + 262_143.328850 - 6.671150)));
    }

    #[test]
    fn does_not_guess_how_often_it_wrapped_around_in_a_long_silence() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 0);
        let mut meter = only(root.path());
        meter.read(SECOND).unwrap();
        set(root.path(), "intel-rapl:0", 5_000_000);
        assert!(matches!(meter.read(200 * SECOND), Err(Fault::Gap { .. })));
        set(root.path(), "intel-rapl:0", 7_000_000);
        assert_eq!(meter.read(201 * SECOND), Ok(Joules(2.0)), "it counts on after the gap");
    }

    #[test]
    fn a_denied_counter_comes_with_the_fix_once() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 0);
        zone(root.path(), "intel-rapl:1", "package-1", 0);
        let words = fault(root.path(), |path| {
            if path.ends_with("energy_uj") { Err(io::ErrorKind::PermissionDenied.into()) } else { read_file(path) }
        });
        assert!(words.contains("intel-rapl:0/energy_uj may not be read"), "{words}");
        assert!(words.contains("sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"), "{words}");
        assert!(words.contains("udev"), "{words}");
    }

    #[test]
    fn says_what_is_missing_or_broken() {
        let root = tempfile::tempdir().unwrap();
        assert!(fault(&root.path().join("powercap"), read_file).contains("not found"));
        assert!(fault(root.path(), read_file).contains("not found"));
        zone(root.path(), "intel-rapl:0", "package-0", 0);
        fs::write(root.path().join("intel-rapl:0/energy_uj"), "lots\n").unwrap();
        assert!(fault(root.path(), read_file).contains("it holds \"lots\", not a whole number"));
        set(root.path(), "intel-rapl:0", 0);
        fs::write(root.path().join("intel-rapl:0/max_energy_range_uj"), "0\n").unwrap();
        assert!(fault(root.path(), read_file).contains("max_energy_range_uj cannot be read"));
    }

    #[test]
    fn a_value_beyond_its_range_is_no_reading() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 0);
        let mut meter = only(root.path());
        meter.read(SECOND).unwrap();
        set(root.path(), "intel-rapl:0", 262_143_328_851);
        assert!(meter.read(2 * SECOND).unwrap_err().to_string().contains("max_energy_range_uj"));
    }
}
