//! Python's `random.Random`: the Mersenne Twister (Matsumoto and Nishimura 1998) as CPython seeds it by a number, and
//! `sample` as CPython 3 draws it (`Lib/random.py`, `Modules/_randommodule.c`).

const N: usize = 624;
const M: usize = 397;

/// The generator.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: Box<[u32; N]>,
    index: usize,
}

impl Random {
    /// `Random(seed)`
    pub(crate) fn new(seed: u32) -> Random {
        let mut random = Random { state: Box::new([0; N]), index: N };
        random.seed_plain(19_650_218);
        random.mix(seed);
        random
    }

    fn seed_plain(&mut self, seed: u32) {
        self.state[0] = seed;
        for i in 1..N {
            let before = self.state[i - 1];
            self.state[i] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
    }

    /// `init_by_array` with a key of one word.
    fn mix(&mut self, key: u32) {
        let (state, mut i) = (&mut self.state, 1);
        let next = |state: &mut [u32; N], i: usize, by: u32| {
            (state[i] ^ (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(by), i)
        };
        let wrap = |state: &mut [u32; N], i: usize| match i + 1 {
            N => {
                state[0] = state[N - 1];
                1
            }
            i => i,
        };
        for _ in 0..N {
            let (mixed, at) = next(state, i, 1_664_525);
            state[at] = mixed.wrapping_add(key);
            i = wrap(state, i);
        }
        for _ in 0..N - 1 {
            let (mixed, at) = next(state, i, 1_566_083_941);
            state[at] = mixed.wrapping_sub(at as u32);
            i = wrap(state, i);
        }
        state[0] = 0x8000_0000;
        self.index = N;
    }

    fn word(&mut self) -> u32 {
        if self.index >= N {
            self.refill();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for k in 0..N {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[k] = self.state[(k + M) % N] ^ (y >> 1) ^ odd;
        }
        self.index = 0;
    }

    /// `_randbelow(n)`, for what fits into a word.
    fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        debug_assert!((1..=32).contains(&bits), "a pool has fewer than 2^32 lines");
        loop {
            let drawn = (self.word() >> (32 - bits.clamp(1, 32))) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `sample(range(n), k)`: `k` different places of `n`; None where there are not so many.
    pub(crate) fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        // a list is cheaper than a set up to here
        let mut set_size = 21.0;
        if k > 5 {
            set_size += 4f64.powf((((k * 3) as f64).ln() / 4f64.ln()).ceil());
        }
        if n as f64 <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            return Some(
                (0..k)
                    .map(|i| {
                        let drawn = self.below(n - i);
                        let last = pool[n - i - 1];
                        std::mem::replace(&mut pool[drawn], last)
                    })
                    .collect(),
            );
        }
        let mut drawn = Vec::with_capacity(k);
        while drawn.len() < k {
            let place = self.below(n);
            if !drawn.contains(&place) {
                drawn.push(place);
            }
        }
        Some(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `random.Random(1234)`, then `sample(range(n), k)` one after the other.
    #[test]
    fn samples_are_pythons() {
        let mut random = Random::new(1234);
        let drawn: [(usize, &[usize]); 7] = [
            (100, &[99, 56, 14, 0, 11]),
            (7473, &[7462, 6610, 4769, 286, 5501]),
            (7473, &[5677, 687, 806, 6279, 2905, 1939]),
            (20, &[0, 19, 18, 11, 15]),
            (21, &[19, 14, 4, 2, 5, 3]),
            (90, &[1, 64, 62, 31, 8, 85, 69, 59, 76, 86]),
            (5, &[0, 4, 1, 3, 2]),
        ];
        for (n, wanted) in drawn {
            assert_eq!(random.sample(n, wanted.len()).as_deref(), Some(wanted), "of {n}");
        }
        assert_eq!(random.sample(1, 1), Some(vec![0]));
        assert_eq!(random.sample(2, 3), None);
        assert_eq!(Random::new(0).sample(50, 3), Some(vec![24, 48, 26]));
        assert_eq!(Random::new(u32::MAX).sample(50, 3), Some(vec![40, 39, 13]));
    }
}
