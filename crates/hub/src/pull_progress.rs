//! The progress of a pull in numbers: each file's bytes, the rate of the last seconds, the time that is left. The
//! screen or command that shows a pull keeps one; it knows the clock only as a number of seconds.

use super::listing::sum;
use super::pull::{Planned, Progress};
use std::collections::VecDeque;

/// The rate is that of the last so many seconds.
const WINDOW: f64 = 5.0;
/// Between two points of it.
const STEP: f64 = 0.1;

/// The progress of a pull.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PullProgress {
    /// The commit that is pulled; empty before the plan is known.
    pub commit: String,
    /// The files with what is there of each.
    pub files: Vec<Planned>,
    /// Why each file is waited for, by its number; None for those that are not.
    pub waiting: Vec<Option<String>>,
    /// Times and bytes of all files at them.
    points: VecDeque<(f64, u64)>,
}

impl PullProgress {
    /// Takes in what the pull says; `now` is in seconds from any fixed start.
    pub fn on(&mut self, progress: &Progress, now: f64) {
        match progress {
            Progress::Planned { commit, files } => {
                *self = PullProgress {
                    commit: commit.clone(),
                    waiting: vec![None; files.len()],
                    files: files.clone(),
                    points: VecDeque::new(),
                };
                self.points.push_back((now, self.there()));
            }
            Progress::At { file, bytes } => {
                if let Some(entry) = self.files.get_mut(*file) {
                    entry.there = *bytes;
                    self.waiting[*file] = None;
                }
                self.point(now);
            }
            Progress::Waiting { file, wait } => {
                if let Some(entry) = self.waiting.get_mut(*file) {
                    *entry = Some(wait.why.clone());
                }
            }
        }
    }

    fn point(&mut self, now: f64) {
        let there = self.there();
        let several = self.points.len() > 1;
        match self.points.back_mut() {
            Some((at, bytes)) if several && now - *at < STEP => *bytes = there,
            _ => self.points.push_back((now, there)),
        }
        while self.points.len() > 2 && self.points.front().is_some_and(|(at, _)| now - at > WINDOW) {
            self.points.pop_front();
        }
    }

    /// Gives the bytes that are there, of all files.
    pub fn there(&self) -> u64 {
        sum(self.files.iter().map(|file| file.there))
    }

    /// Gives the bytes of all files.
    pub fn size(&self) -> u64 {
        sum(self.files.iter().map(|file| file.size))
    }

    /// Gives the share that is there, from 0 to 1; 1 where there is nothing to fetch.
    pub fn share(&self) -> f64 {
        if self.size() == 0 { 1.0 } else { self.there() as f64 / self.size() as f64 }
    }

    /// Gives the bytes a second of the last seconds; None until enough time has passed to tell.
    pub fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (*self.points.front()?, *self.points.back()?);
        (to - from >= STEP && after >= before).then(|| (after - before) as f64 / (to - from))
    }

    /// Estimates the seconds until all is there at this rate; None where nothing comes.
    pub fn left(&self) -> Option<f64> {
        let rate = self.rate().filter(|rate| *rate > 0.0)?;
        Some((self.size() - self.there()) as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wait;
    use std::time::Duration;

    #[test]
    fn the_rate_counts_what_was_fetched_now_and_not_what_was_there() {
        let mut pull_progress = PullProgress::default();
        let file = |path: &str, size, there| Planned { path: path.into(), size, there };
        pull_progress
            .on(&Progress::Planned { commit: "c".into(), files: vec![file("a", 1000, 600), file("b", 200, 0)] }, 10.0);
        assert_eq!((pull_progress.share(), pull_progress.rate(), pull_progress.left()), (0.5, None, None));
        pull_progress.on(&Progress::At { file: 0, bytes: 700 }, 11.0);
        pull_progress.on(&Progress::At { file: 1, bytes: 100 }, 12.0);
        assert_eq!((pull_progress.rate(), pull_progress.left()), (Some(100.0), Some(4.0)));
        // long ago does not count
        pull_progress.on(&Progress::At { file: 0, bytes: 700 }, 30.0);
        pull_progress.on(&Progress::At { file: 0, bytes: 720 }, 32.0);
        assert_eq!(pull_progress.rate(), Some(10.0));
        // a file that begins again takes its bytes back
        pull_progress.on(&Progress::At { file: 0, bytes: 0 }, 33.0);
        assert_eq!((pull_progress.there(), pull_progress.rate()), (100, None));
    }

    #[test]
    fn what_is_waited_for_is_told_until_it_goes_on() {
        let mut pull_progress = PullProgress::default();
        let files = vec![Planned { path: "a".into(), size: 10, there: 0 }];
        pull_progress.on(&Progress::Planned { commit: "c".into(), files }, 0.0);
        let wait = Wait { why: "it answers 503".into(), time: Duration::from_secs(1) };
        pull_progress.on(&Progress::Waiting { file: 0, wait }, 0.1);
        assert_eq!(pull_progress.waiting, [Some("it answers 503".to_owned())]);
        pull_progress.on(&Progress::At { file: 0, bytes: 1 }, 1.2);
        assert_eq!(pull_progress.waiting, [None]);
    }
}
