//! Open-loop load: requests begin when they are due, whether those before are answered or not, as strangers' requests do. A
//! closed loop, in which each waits for the one before, cannot see a queue: the slower the server, the less it is asked.
//!
//! Times count from when a request was due and not from when it was sent, so that what waits here counts as what waits there
//! (Tene, "How NOT to Measure Latency", 2013: coordinated omission). The knee is where the most is done for the wait: the
//! rate at which what was answered a second over the mean time of an answer is largest (Kleinrock, "Power and Deterministic
//! Rules of Thumb for Probabilistic Problems in Computer Communications", ICC 1979).

use crate::{Error, Streamed, Time};
use bantam_core::cancel::Cancel;
use bantam_core::stats::{Percentiles, Sample};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How often who waits for the next request looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// A rate is kept where so much of what was offered is answered in its time …
const KEPT: f64 = 0.95;
/// … and the first token takes no more than so many times what it takes at the lowest rate (95th percentile).
const SLOWER: f64 = 3.0;

/// When requests come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Each for itself, as of many who know nothing of each other: a Poisson process.
    #[default]
    Poisson,
    /// One after the other, always as far apart.
    Constant,
}

impl Arrivals {
    /// When the requests of a rate, a second, are due within a time; drawn by the seed.
    pub fn due(self, rate: f64, within: Duration, seed: u64) -> Vec<Duration> {
        let (mut at, mut due, mut state) = (0.0, Vec::new(), seed);
        loop {
            at += match self {
                Arrivals::Constant => 1.0 / rate,
                Arrivals::Poisson => -(1.0 - uniform(&mut state)).ln() / rate,
            };
            match Duration::try_from_secs_f64(at) {
                Ok(time) if time < within => due.push(time),
                _ => return due,
            }
        }
    }
}

/// A number from 0 to 1, 1 excluded: splitmix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// When it was due, from the load's beginning.
    pub due: Duration,
    /// By how much later it was sent.
    pub late: Duration,
    /// The answer as it came, or why there is none; `None` where too many were underway, so that it was never sent.
    pub answer: Option<Result<Streamed, Error>>,
    /// How many were underway when it was sent, itself among them.
    pub underway: usize,
}

/// Sends requests when they are due, each on a thread of its own, `most` at a time; what is due beyond that is not sent,
/// and counted. `ask` is given a request's number. Ends when all that were sent are over.
pub fn offer(
    due: &[Duration],
    most: usize,
    time: &dyn Time,
    cancel: &Cancel,
    ask: &(dyn Fn(usize) -> Result<Streamed, Error> + Sync),
) -> Vec<Sent> {
    let (began, open) = (time.now(), AtomicUsize::new(0));
    let mut all: Vec<Sent> = Vec::new();
    std::thread::scope(|scope| {
        let (say, told) = channel();
        for (number, &due) in due.iter().enumerate() {
            while !cancel.is_cancelled() && time.now() < began + due {
                time.sleep((began + due).saturating_sub(time.now()).min(LOOK));
            }
            if cancel.is_cancelled() {
                break;
            }
            let late = time.now().saturating_sub(began + due);
            let underway = open.fetch_add(1, Ordering::Relaxed) + 1;
            all.push(Sent { due, late, answer: None, underway });
            if underway > most {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (say, open) = (say.clone(), &open);
            scope.spawn(move || {
                let answer = ask(number);
                open.fetch_sub(1, Ordering::Relaxed);
                // nobody hears of it where the load was given up
                let _ = say.send((number, answer));
            });
        }
        drop(say);
        told.into_iter().for_each(|(number, answer)| all[number].answer = Some(answer));
    });
    all
}

/// What a server did at one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offered {
    /// Requests a second that were offered.
    pub rate: f64,
    /// Requests that were due.
    pub requests: usize,
    /// Those that were answered.
    pub answered: usize,
    /// Those that failed, and what the first of them said.
    pub failed: usize,
    /// The first failure in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Those that were never sent, since too many were underway.
    pub unsent: usize,
    /// Answers a second, from the first request due to the last answer's end.
    pub achieved: f64,
    /// Tokens a second that were written, all answers together.
    pub tokens: f64,
    /// The most that were underway at a time.
    pub underway: usize,
    /// Seconds from when a request was due to its first token.
    pub ttft: Option<Percentiles>,
    /// Seconds from one token to the next.
    pub inter_token: Option<Percentiles>,
    /// Seconds from when a request was due to its last token.
    pub whole: Option<Percentiles>,
    /// The mean of these.
    pub mean: Option<f64>,
}

impl Offered {
    /// Adds up what became of the requests of a rate, which were due within a time.
    pub fn of(rate: f64, within: Duration, sent: &[Sent]) -> Offered {
        let answers: Vec<(&Sent, &Streamed)> =
            sent.iter().filter_map(|sent| Some((sent, sent.answer.as_ref()?.as_ref().ok()?))).collect();
        let failures = || sent.iter().filter_map(|sent| sent.answer.as_ref()?.as_ref().err());
        let first = |(sent, streamed): &(&Sent, &Streamed)| sent.late.as_secs_f64() + streamed.first;
        let whole = |one: &(&Sent, &Streamed)| first(one) + one.1.gaps.iter().sum::<f64>();
        let ended = answers.iter().map(|one| one.0.due.as_secs_f64() + whole(one)).fold(within.as_secs_f64(), f64::max);
        let written =
            |streamed: &Streamed| streamed.counted.map_or(1.0 + streamed.gaps.len() as f64, |(_, out)| out as f64);
        let percentiles = |values: Vec<f64>| Sample::new(values).ok().map(|sample| sample.percentiles());
        Offered {
            rate,
            requests: sent.len(),
            answered: answers.len(),
            failed: failures().count(),
            failure: failures().next().map(ToString::to_string),
            unsent: sent.iter().filter(|sent| sent.answer.is_none()).count(),
            achieved: answers.len() as f64 / ended,
            tokens: answers.iter().map(|(_, streamed)| written(streamed)).sum::<f64>() / ended,
            underway: sent.iter().filter(|sent| sent.answer.is_some()).map(|sent| sent.underway).max().unwrap_or(0),
            ttft: percentiles(answers.iter().map(first).collect()),
            inter_token: percentiles(answers.iter().flat_map(|(_, streamed)| between(streamed)).collect()),
            whole: percentiles(answers.iter().map(whole).collect()),
            mean: (!answers.is_empty()).then(|| answers.iter().map(whole).sum::<f64>() / answers.len() as f64),
        }
    }

    /// Whether the server keeps up: nearly all is answered, hardly later than at the lowest rate.
    fn is_kept(&self, lowest: &Offered) -> bool {
        let p95 = |of: &Offered| of.ttft.map_or(f64::INFINITY, |ttft| ttft.p95);
        self.answered as f64 >= KEPT * self.requests as f64 && p95(self) <= SLOWER * p95(lowest)
    }

    /// What is done for the wait.
    fn power(&self) -> f64 {
        self.mean.map_or(0.0, |mean| self.achieved / mean)
    }
}

/// Seconds between tokens: where pieces are several tokens, each has its part of the whole.
fn between(streamed: &Streamed) -> Vec<f64> {
    let tokens = streamed.counted.map(|(_, output)| (output as usize).saturating_sub(1));
    match tokens.filter(|&tokens| tokens > streamed.gaps.len() && !streamed.gaps.is_empty()) {
        Some(tokens) => vec![streamed.gaps.iter().sum::<f64>() / tokens as f64; tokens],
        None => streamed.gaps.clone(),
    }
}

/// What a sweep over rates shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The rates, rising.
    pub rates: Vec<Offered>,
    /// The rate at which the most is done for the wait; `None` where nothing was answered.
    pub knee: Option<f64>,
    /// The highest rate that it keeps up with; `None` where it keeps up with none.
    pub kept: Option<f64>,
}

impl Sweep {
    /// Finds the knee of what was offered.
    pub fn of(mut rates: Vec<Offered>) -> Sweep {
        rates.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let knee = rates.iter().filter(|of| of.answered > 0).max_by(|a, b| a.power().total_cmp(&b.power()));
        let kept = rates.first().and_then(|lowest| rates.iter().take_while(|of| of.is_kept(lowest)).last());
        Sweep { knee: knee.map(|of| of.rate), kept: kept.map(|of| of.rate), rates }
    }

    /// Whether a sweep that goes on to higher rates would show nothing new: the last one is far behind.
    pub fn is_over(rates: &[Offered]) -> bool {
        let (Some(lowest), Some(last)) = (rates.first(), rates.last()) else { return false };
        rates.len() > 1 && (!last.is_kept(lowest)) && last.achieved < KEPT * last.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Made;
    use std::sync::Mutex;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn requests_are_due_as_often_as_the_rate_says_each_for_itself_or_evenly() {
        let even = Arrivals::Constant.due(2.0, Duration::from_secs(10), 1);
        assert_eq!((even.len(), even[0]), (19, Duration::from_millis(500)));
        let drawn = Arrivals::Poisson.due(50.0, 10 * MINUTE, 7);
        assert!((drawn.len() as f64 - 30_000.0).abs() < 4.0 * 30_000f64.sqrt(), "{}", drawn.len());
        assert!(drawn.windows(2).all(|two| two[0] <= two[1]));
        // of a Poisson process the counts of seconds vary as much as they are
        let mut counts = vec![0.0; 600];
        drawn.iter().for_each(|due| counts[due.as_secs() as usize] += 1.0);
        let variance = counts.iter().map(|count| (count - 50.0f64).powi(2)).sum::<f64>() / 600.0;
        assert!((35.0..70.0).contains(&variance), "{variance}");
        assert_ne!(drawn, Arrivals::Poisson.due(50.0, 10 * MINUTE, 8));
    }

    fn streamed(first: f64) -> Streamed {
        Streamed { first, gaps: vec![0.01; 4], counted: Some((10, 5)) }
    }

    #[test]
    fn requests_are_sent_when_they_are_due_and_what_is_too_much_is_counted() {
        let time = Made::default();
        let due: Vec<Duration> = (1..=6).map(Duration::from_secs).collect();
        // the first two are answered only when all are due
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (wait, seen) = (Mutex::new(wait), Mutex::new(Vec::new()));
        let go = Mutex::new(Some(go));
        let sent = offer(&due, 3, &time, &Cancel::new(), &|number| {
            bantam_core::sync::lock(&seen).push(number);
            if number < 2 {
                let _ = bantam_core::sync::lock(&wait).recv();
            } else {
                drop(bantam_core::sync::lock(&go).take());
            }
            if number == 2 { Err(Error::Cancelled) } else { Ok(streamed(0.5)) }
        });
        assert_eq!(sent.len(), 6);
        assert!(sent.iter().all(|sent| sent.late < Duration::from_millis(1)), "time is made: nobody is late");
        assert_eq!(sent[2].answer, Some(Err(Error::Cancelled)));
        let offered = Offered::of(1.0, Duration::from_secs(7), &sent);
        assert_eq!((offered.requests, offered.failed), (6, 1));
        assert_eq!(offered.answered + offered.unsent, 5);
        assert_eq!(offered.failure.as_deref(), Some(Error::Cancelled.to_string().as_str()));
        assert_eq!(offered.ttft.expect("answers").p50, 0.5);
    }

    /// A clock that goes on where somebody waits, and at which the job is given up at half past nine seconds.
    struct GivenUp(Made, Cancel);

    impl Time for GivenUp {
        fn now(&self) -> Duration {
            self.0.now()
        }

        fn sleep(&self, time: Duration) {
            self.0.sleep(time);
            if self.0.now() >= Duration::from_millis(9500) {
                self.1.cancel();
            }
        }
    }

    #[test]
    fn nothing_more_is_sent_once_it_is_not_wanted() {
        let cancel = Cancel::new();
        let time = GivenUp(Made::default(), cancel.clone());
        let due: Vec<Duration> = (1..=60).map(Duration::from_secs).collect();
        assert_eq!(offer(&due, 100, &time, &cancel, &|_| Ok(streamed(0.1))).len(), 9);
    }

    /// A server that answers one after the other, each in a tenth of a second on the mean.
    fn queue(rate: f64) -> Offered {
        let due = Arrivals::Poisson.due(rate, 10 * MINUTE, 3);
        let (mut free, mut state) = (0.0f64, 5);
        let sent = due.iter().map(|due| {
            let work = -0.1 * (1.0 - uniform(&mut state)).ln();
            free = free.max(due.as_secs_f64()) + work;
            let answer = Streamed { first: free - due.as_secs_f64(), gaps: vec![], counted: Some((1, 1)) };
            Sent { due: *due, late: Duration::ZERO, answer: Some(Ok(answer)), underway: 1 }
        });
        Offered::of(rate, 10 * MINUTE, &sent.collect::<Vec<Sent>>())
    }

    #[test]
    fn the_knee_of_a_queue_is_where_it_is_half_busy() {
        let rates: Vec<Offered> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 12.0].map(queue).into();
        assert!(Sweep::is_over(&rates) && !Sweep::is_over(&rates[..5]));
        // the mean wait at half of what it can do is twice the work (M/M/1)
        assert!((rates[4].mean.expect("answers") - 0.2).abs() < 0.03, "{:?}", rates[4]);
        let sweep = Sweep::of(rates);
        assert!(sweep.knee.is_some_and(|knee| (4.0..=6.0).contains(&knee)), "{:?}", sweep.knee);
        assert!(sweep.kept.is_some_and(|kept| (5.0..=8.0).contains(&kept)), "{:?}", sweep.kept);
        let behind = sweep.rates.last().expect("twelve a second");
        assert!((behind.achieved - 10.0).abs() < 0.7 && behind.ttft.expect("answers").p95 > 10.0, "{behind:?}");
    }

    #[test]
    fn what_was_sent_late_waited_here() {
        let late = Duration::from_secs(2);
        let sent = Sent { due: Duration::ZERO, late, answer: Some(Ok(streamed(0.5))), underway: 1 };
        let offered = Offered::of(1.0, Duration::from_secs(1), &[sent]);
        assert_eq!(offered.ttft.expect("one").p50, 2.5);
        assert!((offered.whole.expect("one").p50 - 2.54).abs() < 1e-9);
        assert!((offered.achieved - 1.0 / 2.54).abs() < 1e-9 && offered.inter_token.expect("gaps").p50 == 0.01);
    }
}
