//! Meters of energy, and why each is or is not believed.
//!
//! A [`Meter`] counts the joules of one [`Domain`] from its first reading on. Real ones are RAPL (`rapl`), NVIDIA's
//! NVML (`nvml`) and a battery that discharges (`battery`); `estimate` turns CPU seconds and a TDP into a guess that is
//! labelled one. [`find`] opens what this machine has, [`Meters::verify`] throws out counters that do not behave, the
//! `sampler` integrates what is left, and `energy` subtracts the idle baseline and adds up what may be added. Nothing
//! here is ever zero for want of a meter: what is missing is a [`Fault`], one sentence with what to do.

pub mod battery;
pub mod clock;
pub mod energy;
pub mod estimate;
mod fault;
pub mod nvml;
pub mod rapl;
pub mod sampler;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use bantam_core::unit::{Joules, Watts};

pub use clock::{Clock, Monotonic};
pub use fault::Fault;
pub use verify::{Verification, spin, verify};

/// The part of the machine whose joules a meter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// One CPU socket: cores, caches, integrated graphics; not the memory sticks.
    Package(u32),
    /// The memory behind one socket; not part of the package.
    Dram(u32),
    /// One graphics card, its memory included.
    Gpu(u32),
    /// Everything that the battery feeds, the screen included.
    Battery(u32),
    /// This program's share of the processor, computed from CPU seconds.
    Processor,
}

/// Which meters may be added together: parts with parts, and the whole with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Separate parts of the machine: packages, memory, graphics cards.
    Parts,
    /// The whole machine, which holds the parts.
    Machine,
    /// A computed share of the processor.
    Guess,
}

impl Domain {
    /// Tells what its joules may be added to.
    pub fn scope(self) -> Scope {
        match self {
            Domain::Package(_) | Domain::Dram(_) | Domain::Gpu(_) => Scope::Parts,
            Domain::Battery(_) => Scope::Machine,
            Domain::Processor => Scope::Guess,
        }
    }

    /// Tells whether this is a part of the machine that works, or feeds the work, when `device` computes.
    pub fn serves(self, device: Device) -> bool {
        matches!(self, Domain::Package(_) | Domain::Dram(_)) || self.is(device)
    }

    /// Tells whether this is the device itself.
    pub fn is(self, device: Device) -> bool {
        match (self, device) {
            (Domain::Package(_), Device::Cpu) => true,
            (Domain::Gpu(n), Device::Gpu(m)) => n == m,
            _ => false,
        }
    }

    /// Gives the most power that is believed: about three times what the largest part sold draws.
    pub fn most(self) -> Watts {
        Watts(match self {
            Domain::Package(_) | Domain::Processor => 2000.0,
            Domain::Dram(_) => 500.0,
            Domain::Gpu(_) => 4000.0,
            Domain::Battery(_) => 500.0,
        })
    }

    /// Gives the least power that is believed under load. Memory may really draw next to nothing, a busy core may not.
    pub fn least(self) -> Watts {
        Watts(match self {
            Domain::Package(_) => 0.1,
            Domain::Gpu(_) | Domain::Battery(_) => 0.5,
            Domain::Dram(_) => 0.001,
            Domain::Processor => 0.0,
        })
    }

    /// Gives the shortest span whose energy this kind of meter can tell to a few percent: a good twenty of its updates.
    pub fn shortest_span(self) -> Duration {
        match self {
            Domain::Package(_) | Domain::Dram(_) => Duration::from_millis(30),
            Domain::Gpu(_) => Duration::from_secs(2),
            Domain::Battery(_) => Duration::from_secs(600),
            Domain::Processor => Duration::from_millis(200),
        }
    }
}

impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Domain::Package(n) => write!(f, "CPU package {n}"),
            Domain::Dram(n) => write!(f, "memory of package {n}"),
            Domain::Gpu(n) => write!(f, "GPU {n}"),
            Domain::Battery(n) => write!(f, "battery {n} (the whole machine)"),
            Domain::Processor => f.write_str("processor share"),
        }
    }
}

/// How a meter's joules come about; a reader must be able to tell these apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The hardware counts energy.
    Counter,
    /// The hardware tells power, and bantam integrates it between readings.
    IntegratedPower,
    /// Computed from CPU seconds and a TDP; not a measurement.
    Estimate,
}

/// The identity of a meter: enough to say in a report where a joule came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// What a person calls it: `package-0` or `NVIDIA H100`.
    pub name: String,
    /// The part of the machine that it counts for.
    pub domain: Domain,
    /// How its joules come about.
    pub method: Method,
    /// The file or library that is read.
    pub source: String,
}

/// A meter: counts the joules of one domain.
pub trait Meter: Send {
    /// Tells which meter it is.
    fn identity(&self) -> &Identity;

    /// Gives the joules since the first reading, never fewer than before but after a fault; wrap-arounds are accounted
    /// for. `now` is the reading clock's time and never goes back.
    ///
    /// # Errors
    /// A [`Fault`] where a span with this reading inside has no known energy. Later spans may have: the meter counts
    /// on.
    fn read(&mut self, now: Duration) -> Result<Joules, Fault>;

    /// Gives the counter's own value in joules, from wherever it began; `None` for a meter that has none.
    fn counter(&self) -> Option<Joules> {
        None
    }
}

/// The places where meters are looked for.
#[derive(Debug, Clone)]
pub struct Places {
    /// Usually `/sys/class/powercap`.
    pub powercap: PathBuf,
    /// Usually `/sys/class/power_supply`.
    pub power_supply: PathBuf,
    /// NVIDIA's library; its usual names where `None`.
    pub nvml: Option<PathBuf>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            powercap: PathBuf::from("/sys/class/powercap"),
            power_supply: PathBuf::from("/sys/class/power_supply"),
            nvml: None,
        }
    }
}

/// A meter that is not used, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// What was looked for or found: `RAPL`, `package-0`.
    pub meter: String,
    /// Why it is not used, as a sentence that names the meter itself.
    pub reason: String,
}

/// The device that does the measured work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The processor.
    Cpu,
    /// The graphics card with this number in NVML.
    Gpu(u32),
}

/// A meter that is believed, and the power it showed under full load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// The meter.
    pub meter: Identity,
    /// The mean power it showed.
    pub watts: Watts,
}

/// The meters found on this machine.
#[derive(Default)]
pub struct Meters {
    /// The meters that are open; after [`Meters::verify`] only those that are believed.
    pub meters: Vec<Box<dyn Meter>>,
    /// What each of the meters that were verified showed.
    pub verified: Vec<Verified>,
    /// The meters that are not used, each with its reason.
    pub refused: Vec<Refused>,
}

/// The work that a meter must be able to tell, where nobody measures for longer.
pub const USUAL_WORK: Duration = Duration::from_secs(60);

/// Opens every meter of the machine; none of them is verified yet.
pub fn find(places: &Places) -> Meters {
    let mut found = Meters::default();
    found.take("RAPL", rapl::find(&places.powercap));
    found.take("NVML", nvml::find(places.nvml.as_deref()));
    found.take("battery", battery::find(&places.power_supply));
    found
}

/// Two readings of one counter, one right after the other, differ by what is drawn in this time at most …
const MIRROR_LAG: Duration = Duration::from_millis(20);
/// … or by one step of the counter, in joules.
const MIRROR_STEP: f64 = 0.001;

/// What a counter showed at one moment.
struct Counter {
    name: String,
    source: String,
    kind: std::mem::Discriminant<Domain>,
    joules: f64,
}

impl Counter {
    fn of_all(meters: &[Box<dyn Meter>]) -> Vec<Counter> {
        let of = |meter: &dyn Meter| {
            let Identity { name, domain, source, .. } = meter.identity().clone();
            Some(Counter { name, source, kind: std::mem::discriminant(&domain), joules: meter.counter()?.0 })
        };
        meters.iter().filter_map(|meter| of(meter.as_ref())).collect()
    }
}

impl Meters {
    /// Keeps what opened, notes what did not.
    fn take<M: Meter + 'static>(&mut self, kind: &str, opened: Vec<Result<M, Fault>>) {
        for one in opened {
            match one {
                Ok(meter) => self.meters.push(Box::new(meter)),
                Err(fault) => self.refuse(kind.to_string(), &fault),
            }
        }
    }

    fn refuse(&mut self, meter: String, fault: &Fault) {
        self.refused.push(Refused { meter, reason: fault.to_string() });
    }

    /// Keeps the meters that move plausibly while `busy` works, for measurements of a minute or less.
    pub fn verify(self, clock: &dyn Clock, busy: &mut dyn FnMut()) -> Meters {
        self.prove_for(USUAL_WORK, clock, busy)
    }

    /// Keeps the meters that can tell the energy of work that takes so long and that move plausibly while `busy`
    /// works. The whole machine's is tried only where no part of it has one: a battery's verification takes most of a
    /// minute, and its joules could not be added to theirs anyway.
    pub fn prove_for(self, work: Duration, clock: &dyn Clock, busy: &mut dyn FnMut()) -> Meters {
        let mut tried = Meters { refused: self.refused, ..Meters::default() };
        let (parts, wholes): (Vec<_>, Vec<_>) =
            self.meters.into_iter().partition(|m| m.identity().domain.scope() == Scope::Parts);
        let before = Counter::of_all(&parts);
        for meter in parts {
            tried.try_out(meter, work, clock, busy);
        }
        tried.drop_mirrors(&before);
        let fine = !tried.meters.is_empty();
        for meter in wholes {
            if fine {
                let meter = meter.identity().name.clone();
                tried.refuse(meter.clone(), &Fault::Coarser { meter });
            } else {
                tried.try_out(meter, work, clock, busy);
            }
        }
        tried
    }

    /// Drops all but the first of meters that show one counter, as the dies of some AMD packages do: their values agree
    /// now and agreed before, though they moved. `before` holds what the counters showed before the meters were tried.
    fn drop_mirrors(&mut self, before: &[Counter]) {
        let after = Counter::of_all(&self.meters);
        let watts = |name: &str| self.verified.iter().find(|v| v.meter.name == name).map_or(0.0, |v| v.watts.0);
        let early = |counter: &Counter| before.iter().find(|b| b.source == counter.source);
        let mirrors = |one: &Counter, other: &Counter| {
            let slack = (watts(&one.name).max(watts(&other.name)) * MIRROR_LAG.as_secs_f64()).max(MIRROR_STEP);
            let agree = |a: &Counter, b: &Counter| (a.joules - b.joules).abs() <= slack;
            one.kind == other.kind
                && agree(one, other)
                && early(one).zip(early(other)).is_some_and(|(a, b)| agree(a, b) && one.joules != a.joules)
        };
        let twin = |n: usize| after[..n].iter().find(|earlier| mirrors(earlier, &after[n]));
        let doubles: Vec<(String, String, String)> = (0..after.len())
            .filter_map(|n| Some((after[n].source.clone(), after[n].name.clone(), twin(n)?.name.clone())))
            .collect();
        for (source, meter, twin) in doubles {
            self.meters.retain(|m| m.identity().source != source);
            self.verified.retain(|v| v.meter.source != source);
            self.refuse(meter.clone(), &Fault::Mirror { meter, twin });
        }
    }

    fn try_out(&mut self, mut meter: Box<dyn Meter>, work: Duration, clock: &dyn Clock, busy: &mut dyn FnMut()) {
        let identity = meter.identity().clone();
        let shortest = identity.domain.shortest_span();
        if work < shortest {
            let meter = identity.name;
            return self.refuse(meter.clone(), &Fault::TooSlow { meter, work, shortest });
        }
        match verify(meter.as_mut(), clock, busy) {
            Ok(verification) => {
                self.meters.push(meter);
                self.verified.push(Verified { meter: identity, watts: verification.watts });
            }
            Err(fault) => self.refuse(identity.name, &fault),
        }
    }

    /// Chooses the meters that tell what work on this device costs and may be added up: those of its parts if there are
    /// any, else the whole machine's, else the estimate. Never a mixture of these.
    pub fn choose(self, device: Device, estimate: Option<estimate::EstimatedMeter>) -> Meters {
        let Meters { meters, verified, refused } = self;
        let (parts, wholes): (Vec<_>, Vec<_>) =
            meters.into_iter().partition(|m| m.identity().domain.scope() == Scope::Parts);
        let parts: Vec<_> = parts.into_iter().filter(|m| m.identity().domain.serves(device)).collect();
        let meters = if parts.iter().any(|m| m.identity().domain.is(device)) {
            parts
        } else if !wholes.is_empty() {
            wholes
        } else {
            estimate.map(|e| Box::new(e) as Box<dyn Meter>).into_iter().collect()
        };
        Meters { meters, verified, refused }
    }

    /// Says why there is no measured energy, for where a figure would stand.
    pub fn why_none(&self) -> String {
        why_none(&self.refused)
    }
}

/// Says why there is no measured energy where these meters are all there could be.
pub fn why_none(refused: &[Refused]) -> String {
    let reasons: Vec<_> = refused.iter().map(|r| r.reason.as_str()).collect();
    format!("no usable energy meter ({})", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::Hand;
    use estimate::EstimatedMeter;
    use std::fs;
    use std::path::Path;

    struct Fake(Identity, f64);

    impl Meter for Fake {
        fn identity(&self) -> &Identity {
            &self.0
        }

        fn read(&mut self, now: Duration) -> Result<Joules, Fault> {
            Ok(Joules(self.1 * now.as_secs_f64()))
        }
    }

    fn found(domains: &[(Domain, f64)]) -> Meters {
        let meters = domains.iter().map(|&(domain, watts)| {
            let identity =
                Identity { name: domain.to_string(), domain, method: Method::Counter, source: "test".into() };
            Box::new(Fake(identity, watts)) as Box<dyn Meter>
        });
        Meters { meters: meters.collect(), ..Meters::default() }
    }

    fn domains(found: &Meters) -> Vec<Domain> {
        found.meters.iter().map(|m| m.identity().domain).collect()
    }

    fn guess() -> Option<EstimatedMeter> {
        Some(EstimatedMeter::new(Watts(65.0), 8, Box::new(|| Ok(Duration::ZERO))))
    }

    const PACKAGE: (Domain, f64) = (Domain::Package(0), 50.0);
    const DRAM: (Domain, f64) = (Domain::Dram(0), 5.0);
    const GPU: (Domain, f64) = (Domain::Gpu(0), 90.0);
    const BATTERY: (Domain, f64) = (Domain::Battery(0), 20.0);

    #[test]
    fn meters_of_different_scope_are_never_mixed() {
        let cpu = |meters: &[_]| domains(&found(meters).choose(Device::Cpu, guess()));
        assert_eq!(cpu(&[PACKAGE, DRAM, GPU, BATTERY]), [Domain::Package(0), Domain::Dram(0)]);
        assert_eq!(cpu(&[GPU, BATTERY]), [Domain::Battery(0)], "a graphics card does not tell what the CPU draws");
        assert_eq!(cpu(&[GPU]), [Domain::Processor]);
        let gpu = |meters: &[_]| domains(&found(meters).choose(Device::Gpu(0), None));
        assert_eq!(gpu(&[PACKAGE, GPU]), [Domain::Package(0), Domain::Gpu(0)]);
        assert_eq!(gpu(&[PACKAGE]), [], "the CPU's counter does not tell what a graphics card draws");
    }

    #[test]
    fn a_stuck_meter_is_refused_and_a_battery_is_left_alone_beside_finer_ones() {
        let clock = Hand::default();
        let mut busy = || clock.turn(Duration::from_secs(1));
        let verified = found(&[PACKAGE, (Domain::Package(1), 0.0), BATTERY]).verify(&clock, &mut busy);
        assert_eq!(domains(&verified), [Domain::Package(0)]);
        assert!((verified.verified[0].watts.0 - 50.0).abs() < 1e-9 && verified.verified.len() == 1);
        assert_eq!(verified.refused.len(), 2);
        assert!(verified.refused[0].reason.contains("did not move"), "{:?}", verified.refused);
        assert!(verified.refused[1].reason.contains("finer meters"), "{:?}", verified.refused);
    }

    #[test]
    fn a_battery_tells_long_work_only() {
        let clock = Hand::default();
        let mut busy = || clock.turn(Duration::from_secs(1));
        let short = found(&[BATTERY]).verify(&clock, &mut busy);
        assert!(short.meters.is_empty() && short.refused[0].reason.contains("600s"), "{:?}", short.refused);
        assert_eq!(clock.now(), Duration::ZERO, "nobody waits for its verification");
        let long = found(&[BATTERY]).prove_for(Duration::from_secs(3600), &clock, &mut busy);
        assert_eq!(domains(&long), [Domain::Battery(0)]);
    }

    #[test]
    fn a_machine_without_meters_says_why() {
        let empty = tempfile::tempdir().unwrap();
        let places = Places {
            powercap: empty.path().join("powercap"),
            power_supply: empty.path().join("power_supply"),
            nvml: Some("/nowhere/libnvidia-ml.so.1".into()),
        };
        let found = find(&places);
        assert!(found.meters.is_empty());
        let why = found.why_none();
        for part in ["RAPL", "NVML", "battery"] {
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_stuck_counter_of_a_real_tree_is_refused() {
        let root = tempfile::tempdir().unwrap();
        write(
            &root.path().join("intel-rapl:0"),
            &[("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "0")],
        );
        let places = Places {
            powercap: root.path().into(),
            power_supply: root.path().join("none"),
            nvml: Some("/nowhere/libnvidia-ml.so.1".into()),
        };
        let clock = Hand::default();
        let found = find(&places);
        assert_eq!(domains(&found), [Domain::Package(0)]);
        let verified = found.verify(&clock, &mut || clock.turn(Duration::from_millis(100)));
        assert!(verified.meters.is_empty());
        assert!(verified.why_none().contains("package-0 did not move"), "{}", verified.why_none());
    }

    /// Two packages whose counters stand at these joules, drawing so many watts each.
    fn two_packages(at: [f64; 2], watts: [f64; 2]) -> Meters {
        let root = tempfile::tempdir().unwrap();
        let show = |seconds: f64| {
            for n in 0..2 {
                let microjoules = ((at[n] + watts[n] * seconds) * 1e6) as u64;
                let (zone, name) = (format!("intel-rapl:{n}"), format!("package-0-die-{n}"));
                let files = [
                    ("name", name.as_str()),
                    ("max_energy_range_uj", "65532610987"),
                    ("energy_uj", &microjoules.to_string()),
                ];
                write(&root.path().join(zone), &files);
            }
        };
        show(0.0);
        let (clock, places) = (
            Hand::default(),
            Places {
                powercap: root.path().into(),
                power_supply: root.path().join("none"),
                nvml: Some("/nowhere/libnvidia-ml.so.1".into()),
            },
        );
        find(&places).verify(&clock, &mut || {
            clock.turn(Duration::from_millis(100));
            show(clock.now().as_secs_f64());
        })
    }

    #[test]
    fn two_names_of_one_counter_are_one_meter() {
        let found = two_packages([5.0, 5.0], [68.0, 68.0]);
        assert_eq!(domains(&found), [Domain::Package(0)]);
        assert_eq!(found.verified.len(), 1);
        let why = &found.refused.last().unwrap().reason;
        assert!(why.contains("package-0-die-1") && why.contains("counter of package-0-die-0 again"), "{why}");
        let sockets = two_packages([5.0, 90.0], [68.0, 68.0]);
        assert_eq!(sockets.meters.len(), 2, "two sockets that draw the same stand at different counts");
        assert_eq!(two_packages([5.0, 5.0], [68.0, 60.0]).meters.len(), 2, "they part");
    }

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
    }
}
