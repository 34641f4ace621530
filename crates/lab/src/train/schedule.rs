//! The learning rate: a linear warm-up, then half a cosine down to a tenth of a percent or whatever floor is asked for
//! (Loshchilov and Hutter 2016, arXiv:1608.03983). It counts tokens, not steps, so batches may differ in size.

/// The rate as a function of tokens seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub peak: f64,
    /// The rate at the end, as a part of the peak.
    pub floor: f64,
    /// Tokens over which the rate rises from zero.
    pub warmup: u64,
    /// Tokens after which training ends.
    pub total: u64,
}

impl Schedule {
    /// Computes the rate of a step that begins after `seen` tokens and takes `taken` more.
    pub fn rate(&self, seen: u64, taken: u64) -> f64 {
        let at = seen + taken;
        if at < self.warmup {
            return self.peak * at as f64 / self.warmup as f64;
        }
        let span = self.total.saturating_sub(self.warmup).max(1) as f64;
        let progress = (seen.saturating_sub(self.warmup) as f64 / span).min(1.0);
        let cosine = (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0;
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_to_the_peak_and_falls_to_the_floor() {
        let schedule = Schedule { peak: 2.0, floor: 0.1, warmup: 100, total: 1100 };
        assert_eq!(schedule.rate(0, 50), 1.0);
        assert_eq!(schedule.rate(90, 10), 2.0);
        assert!((schedule.rate(600, 10) - 1.1).abs() < 1e-9);
        assert!((schedule.rate(1100, 10) - 0.2).abs() < 1e-9);
        assert!((schedule.rate(5000, 10) - 0.2).abs() < 1e-9);
    }
}
