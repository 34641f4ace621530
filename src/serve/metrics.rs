//! What the server counts of itself, in the text form that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the histograms' steps, in seconds.
const STEPS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Counters and gauges of a server.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Sequences that are decoded now.
    pub(super) running: AtomicUsize,
    /// Sequences that wait for a slot.
    pub(super) waiting: AtomicUsize,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) generated_tokens: AtomicU64,
    /// Passes of the engine over its batch.
    pub(super) passes: AtomicU64,
    /// Requests whose client went away before its answer was whole.
    pub(super) gone: AtomicU64,
    /// Requests that went on to another member of the router.
    pub(super) escalated: AtomicU64,
    /// Requests by path and status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    first_token: Mutex<Histogram>,
    whole: Mutex<Histogram>,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [u64; STEPS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    pub(super) fn request(&self, path: &'static str, status: u16) {
        *locked(&self.requests).entry((path, status)).or_default() += 1;
    }

    pub(super) fn first_token(&self, after: Duration) {
        locked(&self.first_token).add(after);
    }

    pub(super) fn whole(&self, after: Duration) {
        locked(&self.whole).add(after);
    }

    /// All of them, as Prometheus reads them.
    pub(super) fn text(&self, slots: usize) -> String {
        let mut text = String::new();
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let now = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        head(&mut text, "bantam_requests_total", "counter", "Requests by path and HTTP status.");
        for ((path, status), count) in locked(&self.requests).iter() {
            line(&mut text, &format!("bantam_requests_total{{path=\"{path}\",status=\"{status}\"}}"), *count);
        }
        for (name, kind, what, value) in [
            ("bantam_requests_abandoned_total", "counter", "Requests whose client went away.", of(&self.gone)),
            ("bantam_requests_escalated_total", "counter", "Requests that a router sent on.", of(&self.escalated)),
            ("bantam_prompt_tokens_total", "counter", "Tokens of prompts.", of(&self.prompt_tokens)),
            ("bantam_generated_tokens_total", "counter", "Tokens of answers.", of(&self.generated_tokens)),
            ("bantam_passes_total", "counter", "Passes of the model over a batch.", of(&self.passes)),
            ("bantam_sequences_running", "gauge", "Sequences that are decoded now.", now(&self.running)),
            ("bantam_sequences_waiting", "gauge", "Sequences that wait for a slot.", now(&self.waiting)),
            ("bantam_slots", "gauge", "Sequences that can be decoded together.", slots as u64),
        ] {
            head(&mut text, name, kind, what);
            line(&mut text, name, value);
        }
        let first = "Time from a request to the first token of its answer.";
        locked(&self.first_token).write(&mut text, "bantam_time_to_first_token_seconds", first);
        locked(&self.whole).write(&mut text, "bantam_answer_seconds", "Time from a request to the end of its answer.");
        text
    }
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        for (count, _) in self.counts.iter_mut().zip(STEPS).filter(|(_, end)| seconds <= *end) {
            *count += 1;
        }
    }

    fn write(&self, text: &mut String, name: &str, what: &str) {
        head(text, name, "histogram", what);
        for (count, end) in self.counts.iter().zip(STEPS) {
            line(text, &format!("{name}_bucket{{le=\"{end}\"}}"), *count);
        }
        line(text, &format!("{name}_bucket{{le=\"+Inf\"}}"), self.count);
        line(text, &format!("{name}_sum"), self.sum);
        line(text, &format!("{name}_count"), self.count);
    }
}

fn head(text: &mut String, name: &str, kind: &str, what: &str) {
    writeln!(text, "# HELP {name} {what}\n# TYPE {name} {kind}").expect("a string takes all");
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(text, "{name} {value}").expect("a string takes all");
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_in_prometheus_words() {
        let metrics = Metrics::default();
        metrics.request("/health", 200);
        metrics.request("/health", 200);
        metrics.first_token(Duration::from_millis(30));
        metrics.generated_tokens.fetch_add(7, Ordering::Relaxed);
        let text = metrics.text(4);
        for line in [
            "bantam_requests_total{path=\"/health\",status=\"200\"} 2",
            "# TYPE bantam_time_to_first_token_seconds histogram",
            "bantam_time_to_first_token_seconds_bucket{le=\"0.025\"} 0",
            "bantam_time_to_first_token_seconds_bucket{le=\"0.05\"} 1",
            "bantam_time_to_first_token_seconds_bucket{le=\"+Inf\"} 1",
            "bantam_generated_tokens_total 7",
            "bantam_slots 4",
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\nis not in\n{text}");
        }
    }
}
