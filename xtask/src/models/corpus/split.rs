//! What training may see and what it may not. Every template, name, phrase and number combination has a key; a hash of the
//! key puts one in eight of them on the held-out side, for ever. Nothing here depends on a seed: reseeding the generator
//! gives other documents, never a leak.

use super::random::Random;

/// The two sides of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Training,
    HeldOut,
}

impl Split {
    /// Whether the thing called `key` among its `kind` belongs to this side.
    pub(super) fn takes(self, kind: &str, key: &str) -> bool {
        held_out(kind, key) == (self == Split::HeldOut)
    }

    /// Draws until what was drawn belongs to this side. The caller's space must have members on both.
    pub(super) fn draw<T>(
        self,
        random: &mut Random,
        kind: &str,
        key: impl Fn(&T) -> String,
        mut make: impl FnMut(&mut Random) -> T,
    ) -> T {
        loop {
            let made = make(random);
            if self.takes(kind, &key(&made)) {
                return made;
            }
        }
    }
}

/// FNV-1a over kind and key, then Murmur3's finaliser because FNV's low bits alone are weak on short keys.
fn held_out(kind: &str, key: &str) -> bool {
    let bytes = kind.bytes().chain([0]).chain(key.bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash.is_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_in_eight_is_held_out() {
        let held = (0..8000).filter(|i| Split::HeldOut.takes("number", &i.to_string())).count();
        assert!((900..1100).contains(&held), "{held} of 8000");
    }

    #[test]
    fn the_sides_exclude_each_other() {
        for key in ["", "a", "Marlo", "7+5-3"] {
            assert_ne!(Split::Training.takes("x", key), Split::HeldOut.takes("x", key));
        }
    }
}
