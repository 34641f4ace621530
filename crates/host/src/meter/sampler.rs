//! Reads the meters every so often, for the live picture and so that no counter wraps around unseen, and exactly at
//! the marks that the measured work sets, for the energy in between.
//!
//! The [`Ledger`] is the whole of it without a thread; the [`Sampler`] ticks one in the background.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::energy::{MeterEnergy, Span};
use super::{Clock, Fault, Identity, Meter};
use bantam_core::sync::lock;
use bantam_core::unit::{Joules, Watts};

/// The interval at which the background thread usually reads.
pub const TICK: Duration = Duration::from_millis(100);
/// A minute of ticks is kept for the live picture.
const KEPT: usize = 600;
/// The live power is a mean over this long: some counters move only every tenth of a second.
const WINDOW: Duration = Duration::from_secs(1);

/// What all meters showed at one moment.
#[derive(Debug, Clone)]
pub struct Mark {
    at: Duration,
    shown: Vec<Shown>,
}

#[derive(Debug, Clone)]
struct Shown {
    joules: Result<Joules, Fault>,
    /// Faulty readings so far: two marks with different counts have one in between.
    faults: usize,
}

struct Track {
    meter: Box<dyn Meter>,
    faults: usize,
    last_fault: Option<Fault>,
}

impl Track {
    fn read(&mut self, now: Duration) -> Shown {
        let joules = self.meter.read(now);
        if let Err(fault) = &joules {
            self.faults += 1;
            self.last_fault = Some(fault.clone());
        }
        Shown { joules, faults: self.faults }
    }

    /// Joules from one mark to a later one.
    fn spent(&self, from: &Shown, to: &Shown) -> Result<Joules, Fault> {
        let (start, end) = (from.joules.clone()?, to.joules.clone()?);
        match &self.last_fault {
            Some(fault) if from.faults != to.faults => Err(fault.clone()),
            _ => Ok(Joules(end.0 - start.0)),
        }
    }
}

/// Meters, what they showed lately, and the way from two marks to joules.
pub struct Ledger {
    clock: Arc<dyn Clock>,
    tracks: Vec<Track>,
    ticks: VecDeque<Mark>,
}

impl Ledger {
    /// Makes a ledger of these meters; nothing is read yet.
    pub fn new(meters: Vec<Box<dyn Meter>>, clock: Arc<dyn Clock>) -> Self {
        let tracks = meters.into_iter().map(|meter| Track { meter, faults: 0, last_fault: None }).collect();
        Self { clock, tracks, ticks: VecDeque::new() }
    }

    /// Lists the meters.
    pub fn identities(&self) -> Vec<Identity> {
        self.tracks.iter().map(|t| t.meter.identity().clone()).collect()
    }

    /// Reads all meters now.
    pub fn mark(&mut self) -> Mark {
        let at = self.clock.now();
        Mark { at, shown: self.tracks.iter_mut().map(|t| t.read(at)).collect() }
    }

    /// Reads all meters and keeps what they showed for the live picture.
    pub fn tick(&mut self) {
        if self.ticks.len() == KEPT {
            self.ticks.pop_front();
        }
        let mark = self.mark();
        self.ticks.push_back(mark);
    }

    /// Computes what every meter counted from one of this ledger's marks to a later one.
    pub fn between(&self, from: &Mark, to: &Mark) -> Span {
        let parts = self.tracks.iter().zip(from.shown.iter().zip(&to.shown)).map(|(track, (from, to))| MeterEnergy {
            meter: track.meter.identity().clone(),
            joules: track.spent(from, to).map_err(|fault| fault.to_string()),
        });
        Span { duration: to.at.saturating_sub(from.at), parts: parts.collect() }
    }

    /// Gives the power drawn over the last second, all meters together; `None` before the second tick, after a fault
    /// and without meters.
    pub fn power(&self) -> Option<Watts> {
        let last = self.ticks.back()?;
        let first = self.ticks.iter().find(|mark| last.at.saturating_sub(mark.at) <= WINDOW)?;
        self.between(first, last).power()
    }

    /// Lists the power between one tick and the next, oldest first, with the clock's time at the end of each.
    pub fn history(&self) -> Vec<(Duration, Watts)> {
        self.ticks
            .iter()
            .zip(self.ticks.iter().skip(1))
            .filter_map(|(a, b)| Some((b.at, self.between(a, b).power()?)))
            .collect()
    }
}

/// A ledger that a thread of its own keeps up to date. Dropping it stops the thread.
pub struct Sampler {
    ledger: Arc<Mutex<Ledger>>,
    /// Dropped to wake the thread up for its end.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts reading, usually every [`TICK`].
    ///
    /// # Errors
    /// The operating system's, where it gives no thread.
    pub fn start(mut ledger: Ledger, every: Duration) -> io::Result<Self> {
        ledger.tick();
        let ledger = Arc::new(Mutex::new(ledger));
        let (stop, stopped) = mpsc::channel::<()>();
        let shared = ledger.clone();
        let thread = std::thread::Builder::new().name("meters".into()).spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                lock(&shared).tick();
            }
        })?;
        Ok(Self { ledger, stop: Some(stop), thread: Some(thread) })
    }

    /// Lists the meters.
    pub fn identities(&self) -> Vec<Identity> {
        lock(&self.ledger).identities()
    }

    /// Reads all meters now, on the caller's thread.
    pub fn mark(&self) -> Mark {
        lock(&self.ledger).mark()
    }

    /// Computes what every meter counted from one of its marks to a later one.
    pub fn between(&self, from: &Mark, to: &Mark) -> Span {
        lock(&self.ledger).between(from, to)
    }

    /// Gives the power drawn over the last second, as [`Ledger::power`].
    pub fn power(&self) -> Option<Watts> {
        lock(&self.ledger).power()
    }

    /// Lists the power between ticks of the last minute, as [`Ledger::history`].
    pub fn history(&self) -> Vec<(Duration, Watts)> {
        lock(&self.ledger).history()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // a meter that panicked has said so already
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::clock::Hand;
    use crate::meter::{Domain, Method};

    /// Draws `watts`; fails at the times listed.
    struct Fake {
        identity: Identity,
        watts: f64,
        fails_at: Vec<Duration>,
    }

    impl Meter for Fake {
        fn identity(&self) -> &Identity {
            &self.identity
        }

        fn read(&mut self, now: Duration) -> Result<Joules, Fault> {
            if self.fails_at.contains(&now) {
                return Err(Fault::Library { what: "reading".into(), problem: "gone".into() });
            }
            Ok(Joules(self.watts * now.as_secs_f64()))
        }
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn ledger(meters: &[(f64, &[u64])]) -> (Arc<Hand>, Ledger) {
        let clock = Arc::new(Hand::default());
        let meters = meters.iter().zip(0..).map(|(&(watts, fails_at), n)| {
            let identity = Identity {
                name: format!("package-{n}"),
                domain: Domain::Package(n),
                method: Method::Counter,
                source: "test".into(),
            };
            Box::new(Fake { identity, watts, fails_at: fails_at.iter().map(|&n| ms(n)).collect() }) as Box<dyn Meter>
        });
        let ledger = Ledger::new(meters.collect(), clock.clone());
        (clock, ledger)
    }

    #[test]
    fn joules_between_marks_are_told_per_meter() {
        let (clock, mut ledger) = ledger(&[(40.0, &[]), (10.0, &[])]);
        clock.turn(ms(300));
        let start = ledger.mark();
        clock.turn(ms(50));
        let prefilled = ledger.mark();
        clock.turn(ms(450));
        let decoded = ledger.mark();
        let near = |span: Span, expect: [f64; 2]| {
            for (part, joules) in span.parts.iter().zip(expect) {
                assert!((part.joules.as_ref().unwrap().0 - joules).abs() < 1e-9, "{span:?}");
            }
        };
        near(ledger.between(&start, &prefilled), [2.0, 0.5]);
        near(ledger.between(&prefilled, &decoded), [18.0, 4.5]);
        assert_eq!(ledger.between(&start, &decoded).duration, ms(500));
    }

    #[test]
    fn a_fault_between_two_marks_makes_that_meter_unknown_and_no_other() {
        let (clock, mut ledger) = ledger(&[(40.0, &[100]), (10.0, &[])]);
        let start = ledger.mark();
        clock.turn(ms(100));
        ledger.tick();
        clock.turn(ms(100));
        let middle = ledger.mark();
        clock.turn(ms(100));
        let end = ledger.mark();
        let span = ledger.between(&start, &middle);
        assert_eq!(span.parts[0].joules, Err("reading failed: gone".to_string()));
        assert_eq!(span.parts[1].joules, Ok(Joules(2.0)));
        assert!(ledger.between(&middle, &end).parts[0].joules.is_ok(), "later spans are known again");
    }

    #[test]
    fn the_live_power_is_the_last_second_of_all_meters() {
        let (clock, mut ledger) = ledger(&[(40.0, &[]), (10.0, &[])]);
        ledger.tick();
        assert_eq!(ledger.power(), None);
        for _ in 0..30 {
            clock.turn(ms(100));
            ledger.tick();
        }
        assert!((ledger.power().unwrap().0 - 50.0).abs() < 1e-9);
        let history = ledger.history();
        assert_eq!(history.len(), 30);
        assert!((history[29].1.0 - 50.0).abs() < 1e-9 && history[29].0 == ms(3000));
        for _ in 0..KEPT {
            clock.turn(ms(100));
            ledger.tick();
        }
        assert_eq!(ledger.history().len(), KEPT - 1);
    }

    #[test]
    fn without_meters_there_is_no_power() {
        let (clock, mut ledger) = ledger(&[]);
        ledger.tick();
        clock.turn(ms(100));
        ledger.tick();
        assert_eq!((ledger.power(), ledger.history().len()), (None, 0));
    }

    #[test]
    fn a_sampler_reads_at_marks_and_ends_with_its_owner() {
        let (clock, ledger) = ledger(&[(40.0, &[])]);
        let sampler = Sampler::start(ledger, Duration::from_secs(3600)).unwrap();
        let start = sampler.mark();
        clock.turn(ms(100));
        let end = sampler.mark();
        assert_eq!(sampler.between(&start, &end).parts[0].joules, Ok(Joules(4.0)));
        assert_eq!(sampler.identities()[0].name, "package-0");
    }
}
