//! NVIDIA graphics cards through NVML, the driver's own library, opened at run time: bantam runs without it.
//!
//! Cards since Volta count energy; of older ones the power is integrated between readings, which needs a sampler that
//! reads often. A card's energy covers its memory and everything else that runs on it.
//! The library: <https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html>

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::{Domain, Fault, Identity, Meter, Method};
use bantam_core::unit::Joules;

/// Between readings further apart than this, a power reading says nothing about the energy.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// Opens one meter per card, in NVML's order.
pub fn find(library: Option<&Path>) -> Vec<Result<Gpu<Card>, Fault>> {
    let nvml = match open(library) {
        Ok(nvml) => Arc::new(nvml),
        Err(fault) => return vec![Err(fault)],
    };
    match nvml.device_count() {
        Ok(0) => vec![Err(Fault::Absent { what: "NVIDIA graphics card".into(), why: "NVML lists none".into() })],
        Ok(count) => (0..count).map(|index| Card { nvml: nvml.clone(), index }.meter()).collect(),
        Err(e) => vec![Err(library_fault("listing NVIDIA graphics cards", e))],
    }
}

/// Opens the library, by its usual names or from the path that is given.
///
/// # Errors
/// [`Fault::Absent`] where there is no library or no driver.
pub fn open(library: Option<&Path>) -> Result<Nvml, Fault> {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        // a machine with the driver has the first name, one with the toolkit may have only the second
        None => Nvml::init().or_else(|e| Nvml::builder().lib_path("libnvidia-ml.so".as_ref()).init().map_err(|_| e)),
    };
    opened.map_err(|e| {
        let why = match e {
            NvmlError::LibloadingError(_) => {
                "its library libnvidia-ml.so.1 is not installed; the NVIDIA driver brings it".into()
            }
            other => format!("{other}; check that `nvidia-smi` works"),
        };
        Fault::Absent { what: "NVIDIA's NVML".into(), why }
    })
}

fn library_fault(what: &str, error: NvmlError) -> Fault {
    Fault::Library { what: what.to_string(), problem: error.to_string() }
}

/// What an NVIDIA card tells; a fake stands in for it in tests.
pub trait NvmlSource: Send {
    /// Gives the millijoules since the driver was loaded.
    ///
    /// # Errors
    /// NVML's, such as where the card counts no energy.
    fn energy(&self) -> Result<u64, NvmlError>;
    /// Gives the milliwatts that the card draws now.
    ///
    /// # Errors
    /// NVML's, such as where the card tells no power.
    fn power(&self) -> Result<u32, NvmlError>;
}

/// A card of the machine.
pub struct Card {
    nvml: Arc<Nvml>,
    index: u32,
}

impl Card {
    fn meter(self) -> Result<Gpu<Card>, Fault> {
        let index = self.index;
        let name = self.nvml.device_by_index(index).map_err(|e| library_fault("opening a graphics card", e))?.name();
        let name = name.unwrap_or_else(|_| format!("NVIDIA card {index}"));
        Gpu::new(self, name, index)
    }
}

impl NvmlSource for Card {
    fn energy(&self) -> Result<u64, NvmlError> {
        self.nvml.device_by_index(self.index)?.total_energy_consumption()
    }

    fn power(&self) -> Result<u32, NvmlError> {
        self.nvml.device_by_index(self.index)?.power_usage()
    }
}

/// The energy of one card.
pub struct Gpu<S> {
    identity: Identity,
    source: S,
    state: State,
}

enum State {
    /// Of a card that counts: the first value.
    Counting { first: Option<u64>, last: u64 },
    /// Of a card that tells its power: when and how much, and the joules so far.
    Integrating { last: Option<(Duration, f64)>, spent: f64 },
}

impl<S: NvmlSource> Gpu<S> {
    /// Takes the energy counter where the card has one, else its power.
    fn new(source: S, name: String, index: u32) -> Result<Self, Fault> {
        let (method, state, call) = match source.energy() {
            Ok(last) => (Method::Counter, State::Counting { first: None, last }, "nvmlDeviceGetTotalEnergyConsumption"),
            Err(_) => {
                source.power().map_err(|e| library_fault(&format!("reading the power of {name}"), e))?;
                (Method::IntegratedPower, State::Integrating { last: None, spent: 0.0 }, "nvmlDeviceGetPowerUsage")
            }
        };
        let identity = Identity { name, domain: Domain::Gpu(index), method, source: format!("NVML {call}") };
        Ok(Self { identity, source, state })
    }
}

impl<S: NvmlSource> Meter for Gpu<S> {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn read(&mut self, now: Duration) -> Result<Joules, Fault> {
        let name = &self.identity.name;
        let failed = |e| library_fault(&format!("reading {name}"), e);
        match &mut self.state {
            State::Counting { first, last } => {
                let raw = self.source.energy().map_err(failed)?;
                let from = std::mem::replace(last, raw);
                if first.is_some() && raw < from {
                    // a reloaded driver starts at zero
                    *first = Some(raw);
                    return Err(Fault::Backwards { meter: name.clone(), from, to: raw });
                }
                Ok(Joules((raw - *first.get_or_insert(raw)) as f64 * 1e-3))
            }
            State::Integrating { last, spent } => {
                let watts = f64::from(self.source.power().map_err(failed)?) * 1e-3;
                if let Some((then, before)) = last.replace((now, watts)) {
                    let silent = now.saturating_sub(then);
                    if silent > LONGEST_SILENCE {
                        return Err(Fault::Unsampled { meter: name.clone(), silent, longest: LONGEST_SILENCE });
                    }
                    *spent += (before + watts) / 2.0 * silent.as_secs_f64();
                }
                Ok(Joules(*spent))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Values to tell; `None` is a card without the function.
    struct Fake {
        energy: Cell<Option<u64>>,
        power: Cell<Option<u32>>,
    }

    impl NvmlSource for Fake {
        fn energy(&self) -> Result<u64, NvmlError> {
            self.energy.get().ok_or(NvmlError::NotSupported)
        }

        fn power(&self) -> Result<u32, NvmlError> {
            self.power.get().ok_or(NvmlError::NotSupported)
        }
    }

    fn gpu(energy: Option<u64>, power: Option<u32>) -> Result<Gpu<Fake>, Fault> {
        Gpu::new(Fake { energy: energy.into(), power: power.into() }, "card".into(), 0)
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn counts_where_the_card_counts() {
        let mut gpu = gpu(Some(7_000_000), Some(9)).unwrap();
        assert_eq!(gpu.identity().method, Method::Counter);
        assert_eq!(gpu.read(ms(0)), Ok(Joules(0.0)));
        gpu.source.energy.set(Some(7_012_500));
        assert_eq!(gpu.read(ms(100)), Ok(Joules(12.5)));
    }

    #[test]
    fn a_reloaded_driver_is_a_fault_once() {
        let mut gpu = gpu(Some(7_000_000), None).unwrap();
        gpu.read(ms(0)).unwrap();
        gpu.source.energy.set(Some(1_000));
        assert!(matches!(gpu.read(ms(100)), Err(Fault::Backwards { .. })));
        gpu.source.energy.set(Some(3_000));
        assert_eq!(gpu.read(ms(200)), Ok(Joules(2.0)));
    }

    #[test]
    fn integrates_power_where_the_card_does_not_count() {
        let mut gpu = gpu(None, Some(100_000)).unwrap();
        assert_eq!(gpu.identity().method, Method::IntegratedPower);
        gpu.read(ms(0)).unwrap();
        gpu.source.power.set(Some(200_000));
        assert_eq!(gpu.read(ms(100)), Ok(Joules(15.0)));
        assert!(matches!(gpu.read(ms(9000)), Err(Fault::Unsampled { .. })));
        assert_eq!(gpu.read(ms(10_000)), Ok(Joules(215.0)));
    }

    #[test]
    fn says_why_a_card_has_no_meter() {
        let words = gpu(None, None).err().unwrap().to_string();
        assert!(words.contains("reading the power of card failed"), "{words}");
    }

    #[test]
    fn an_absent_library_is_a_reason() {
        let words = open(Some(Path::new("/nowhere/libnvidia-ml.so.1"))).err().unwrap().to_string();
        assert!(words.contains("not installed"), "{words}");
    }
}
