//! The energy of the work from what the meters counted: the idle baseline subtracted, parts added up, and every joule
//! with its provenance.

use std::time::Duration;

use super::{Identity, Method};
use bantam_core::record::{Figure, Provenance, Reading, Warning, WarningKind};
use bantam_core::unit::{Joules, Unit, Watts};

/// A stretch of time, and what the meters counted in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// How long it was.
    pub duration: Duration,
    /// One part per meter.
    pub parts: Vec<MeterEnergy>,
}

/// What one meter counted, or why that is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterEnergy {
    /// The meter.
    pub meter: Identity,
    /// Joules, idle included, or why they are unknown.
    pub joules: Result<Joules, String>,
}

impl Span {
    /// Adds up all meters, idle included.
    ///
    /// # Errors
    /// The reason why a meter's part is unknown, or that there is no meter: a sum of the rest would be too small.
    pub fn gross(&self) -> Result<Joules, String> {
        if self.parts.is_empty() {
            return Err("no energy meter".into());
        }
        self.parts.iter().map(|p| p.joules.clone().map(|j| j.0)).sum::<Result<f64, _>>().map(Joules)
    }

    /// Gives the mean power; `None` where the energy is unknown or no time passed.
    pub fn power(&self) -> Option<Watts> {
        let joules = self.gross().ok()?;
        (!self.duration.is_zero()).then(|| Watts(joules.0 / self.duration.as_secs_f64()))
    }

    /// Gives the joules above idle. Below zero where a short span drew less than the baseline: a single such span means
    /// nothing, but the mean of many is unbiased only if it is kept.
    ///
    /// # Errors
    /// As [`Span::gross`].
    pub fn net(&self, idle: &Baseline) -> Result<Joules, String> {
        Ok(Joules(self.gross()?.0 - idle.watts.0 * self.duration.as_secs_f64()))
    }

    /// Says why nothing is known of the work where the idle power changed meanwhile by as much as the work drew; `None`
    /// where it is known.
    pub fn lost_in_drift(&self, idle: &Baseline) -> Option<String> {
        let net = self.net(idle).ok()?;
        let unsure = (idle.before.0 - idle.after?.0).abs() / 2.0 * self.duration.as_secs_f64();
        (idle.drift().is_some() && unsure >= net.0.abs()).then(|| {
            format!(
                "the idle power went from {} to {} meanwhile, which is as much as the work drew: stop other programs \
                 and measure again",
                idle.before,
                idle.after.unwrap_or(idle.before)
            )
        })
    }

    /// Gives the joules above idle as a figure to add up with others, below zero where less than the baseline was drawn.
    pub fn counted(&self, idle: &Baseline) -> Reading {
        match self.net(idle) {
            Err(reason) => Reading::Missing { reason },
            Ok(net) => Reading::Known(self.figure(net, idle)),
        }
    }

    fn figure(&self, net: Joules, idle: &Baseline) -> Figure {
        Figure {
            value: net.0,
            unit: Unit::Joules,
            provenance: self.provenance(),
            interval: None,
            no_interval: None,
            n: None,
            how: self.how(idle),
        }
    }

    /// Gives the joules above idle as a figure for a report.
    pub fn reading(&self, idle: &Baseline) -> Reading {
        match self.net(idle) {
            Err(reason) => Reading::Missing { reason },
            Ok(net) if net.0 < 0.0 => Reading::missing(format!(
                "less than the idle baseline of {} was drawn over {:.1?}: other work disturbed the baseline, or the \
                 span is too short",
                idle.watts, self.duration
            )),
            Ok(net) => Reading::Known(self.figure(net, idle)),
        }
    }

    /// Adds this span and another of the same meters, as if they were one.
    pub fn and(&self, other: &Span) -> Span {
        let parts = self.parts.iter().zip(&other.parts).map(|(a, b)| MeterEnergy {
            meter: a.meter.clone(),
            joules: a.joules.clone().and_then(|x| b.joules.clone().map(|y| Joules(x.0 + y.0))),
        });
        Span { duration: self.duration + other.duration, parts: parts.collect() }
    }

    /// Tells whether the joules are measured, or estimated by one of the meters at least.
    pub fn provenance(&self) -> Provenance {
        match self.parts.iter().any(|p| p.meter.method == Method::Estimate) {
            true => Provenance::Estimated,
            false => Provenance::Measured,
        }
    }

    /// Which meters, and what was subtracted.
    fn how(&self, idle: &Baseline) -> String {
        let meters: Vec<_> = self.parts.iter().map(|p| p.meter.name.as_str()).collect();
        match self.provenance() {
            Provenance::Estimated => format!("{}, not measured", meters.join(" + ")),
            _ => format!("{}, idle {} subtracted", meters.join(" + "), idle.watts),
        }
    }

    /// Warns where the span is shorter than a meter can tell apart.
    pub fn too_short(&self) -> Option<Warning> {
        let slowest = self.parts.iter().max_by_key(|p| p.meter.domain.shortest_span())?;
        let shortest = slowest.meter.domain.shortest_span();
        (self.duration < shortest).then(|| Warning {
            kind: WarningKind::Meter,
            text: format!(
                "only {:.0?} were measured, but {} needs {:.0?} to tell the energy to a few percent: measure longer",
                self.duration, slowest.meter.name, shortest
            ),
        })
    }
}

/// The idle power: what the machine draws when the work does not run, watched before and after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    /// The power to subtract; zero for an estimate, which counts the program's own CPU seconds only.
    pub watts: Watts,
    before: Watts,
    after: Option<Watts>,
}

/// Idle powers that differ by more than this share of the larger one make the subtraction doubtful.
const DRIFT: f64 = 0.2;

impl Baseline {
    /// Takes the mean of the idle power before and, where it was watched, after the work.
    ///
    /// # Errors
    /// The reason why the idle energy is unknown.
    pub fn around(before: &Span, after: Option<&Span>) -> Result<Self, String> {
        let watts = |span: &Span| {
            if span.provenance() == Provenance::Estimated {
                return Ok(Watts(0.0));
            }
            span.gross()?;
            span.power().ok_or_else(|| "the idle baseline was watched for no time at all".to_string())
        };
        let before = watts(before)?;
        let after = after.map(watts).transpose()?;
        let mean = Watts((before.0 + after.unwrap_or(before).0) / 2.0);
        Ok(Self { watts: mean, before, after })
    }

    /// Warns where the idle power changed while the work ran.
    pub fn drift(&self) -> Option<Warning> {
        let after = self.after?;
        let larger = self.before.0.max(after.0);
        ((self.before.0 - after.0).abs() > DRIFT * larger).then(|| Warning {
            kind: WarningKind::Drift,
            text: format!(
                "idle power was {} before and {after} after the measurement, so the energy above idle is doubtful: \
                 stop other programs, let the machine cool, and repeat",
                self.before
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Domain;

    fn span(seconds: u64, joules: &[f64], method: Method) -> Span {
        let parts = joules.iter().zip(0..).map(|(&joules, n)| MeterEnergy {
            meter: Identity { name: format!("package-{n}"), domain: Domain::Package(n), method, source: "t".into() },
            joules: Ok(Joules(joules)),
        });
        Span { duration: Duration::from_secs(seconds), parts: parts.collect() }
    }

    fn counted(seconds: u64, joules: &[f64]) -> Span {
        span(seconds, joules, Method::Counter)
    }

    #[test]
    fn idle_is_the_mean_of_before_and_after_and_is_subtracted() {
        let idle = Baseline::around(&counted(2, &[8.0, 2.0]), Some(&counted(2, &[9.0, 3.0]))).unwrap();
        assert_eq!(idle.watts, Watts(5.5));
        assert_eq!(idle.drift(), None);
        let work = counted(10, &[300.0, 100.0]);
        assert_eq!(work.net(&idle), Ok(Joules(345.0)));
        let Reading::Known(figure) = work.reading(&idle) else { panic!("it is known") };
        assert_eq!((figure.value, figure.provenance), (345.0, Provenance::Measured));
        assert_eq!(figure.how, "package-0 + package-1, idle 5.50 W subtracted");
    }

    #[test]
    fn a_drifting_baseline_is_doubtful() {
        let idle = Baseline::around(&counted(2, &[10.0]), Some(&counted(2, &[20.0]))).unwrap();
        let warning = idle.drift().unwrap();
        assert_eq!(warning.kind, WarningKind::Drift);
        assert!(warning.text.contains("5.00 W before and 10.0 W after"), "{}", warning.text);
    }

    #[test]
    fn an_unknown_part_makes_the_sum_unknown() {
        let mut work = counted(10, &[300.0, 100.0]);
        work.parts[1].joules = Err("it was cut off".into());
        let idle = Baseline::around(&counted(1, &[1.0, 1.0]), None).unwrap();
        assert_eq!(work.reading(&idle), Reading::missing("it was cut off"));
        assert_eq!(work.power(), None);
        assert!(Baseline::around(&work, None).is_err());
        assert!(counted(1, &[]).gross().is_err(), "no meter is not zero joules");
    }

    #[test]
    fn what_the_idle_power_changed_by_is_not_told_from_the_work() {
        // a neighbour of 34 W left in the middle: 68 W before, 34 W after, and the work drew next to nothing
        let idle = Baseline::around(&counted(1, &[68.0]), Some(&counted(1, &[34.0]))).unwrap();
        let why = counted(2, &[90.0]).lost_in_drift(&idle).unwrap();
        assert!(why.contains("from 68.0 W to 34.0 W"), "{why}");
        assert_eq!(counted(2, &[400.0]).lost_in_drift(&idle), None, "this is more than the change explains");
        let steady = Baseline::around(&counted(1, &[50.0]), Some(&counted(1, &[51.0]))).unwrap();
        assert_eq!(counted(2, &[101.0]).lost_in_drift(&steady), None);
    }

    #[test]
    fn less_than_idle_is_no_figure() {
        let idle = Baseline::around(&counted(1, &[10.0]), None).unwrap();
        let work = counted(2, &[19.0]);
        assert_eq!(work.net(&idle), Ok(Joules(-1.0)));
        assert!(work.reading(&idle).known().is_none());
    }

    #[test]
    fn an_estimate_is_labelled_and_has_no_idle() {
        let guess = |joules| span(2, &[joules], Method::Estimate);
        let idle = Baseline::around(&guess(7.0), Some(&guess(1.0))).unwrap();
        let Reading::Known(figure) = guess(60.0).reading(&idle) else { panic!("it is known") };
        assert_eq!((figure.value, figure.provenance), (60.0, Provenance::Estimated));
        assert!(figure.how.ends_with("not measured"));
        assert_eq!(idle.drift(), None);
    }

    #[test]
    fn spans_add_up_and_short_ones_are_doubtful() {
        let two = counted(1, &[3.0]).and(&counted(2, &[5.0]));
        assert_eq!((two.duration, two.gross()), (Duration::from_secs(3), Ok(Joules(8.0))));
        assert_eq!(two.too_short(), None);
        let short = Span { duration: Duration::from_millis(5), ..two };
        assert_eq!(short.too_short().unwrap().kind, WarningKind::Meter);
    }
}
