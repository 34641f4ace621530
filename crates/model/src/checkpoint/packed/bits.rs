//! Small unsigned integers packed into 32-bit words, lowest bits first. Two layouts are in use: dense, where an integer
//! may lie across two words, and padded, where each word holds as many whole ones as fit. For 2, 4 and 8 bits they are
//! one.

/// How integers lie in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordLayout {
    Dense,
    Padded,
}

/// Integers of `bits` bits in a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    pub bits: u8,
    pub layout: WordLayout,
}

impl Packing {
    pub(super) fn dense(bits: u8) -> Self {
        Self { bits, layout: WordLayout::Dense }
    }

    /// Words that `count` integers take.
    pub(super) fn words(self, count: usize) -> usize {
        match self.layout {
            WordLayout::Dense => (count * usize::from(self.bits)).div_ceil(32),
            WordLayout::Padded => count.div_ceil(32 / usize::from(self.bits)),
        }
    }

    /// Unpacks integers from the words that `word` gives by their index, in order, into as many slots as there are.
    #[inline]
    pub(super) fn unpack(self, word: impl Fn(usize) -> u32, slots: &mut [i16]) {
        let bits = usize::from(self.bits);
        let mask = (1u32 << bits) - 1;
        if self.layout == WordLayout::Padded || 32usize.is_multiple_of(bits) {
            for (i, slots) in slots.chunks_mut(32 / bits).enumerate() {
                let mut rest = word(i);
                for slot in slots {
                    *slot = (rest & mask) as i16;
                    rest >>= bits;
                }
            }
            return;
        }
        for (i, slot) in slots.iter_mut().enumerate() {
            let (at, shift) = (i * bits / 32, i * bits % 32);
            let low = word(at) >> shift;
            let high = if shift + bits > 32 { word(at + 1) << (32 - shift) } else { 0 };
            *slot = ((low | high) & mask) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_in_both_layouts() {
        for bits in 1..=8u8 {
            for layout in [WordLayout::Dense, WordLayout::Padded] {
                for count in [1, 7, 10, 11, 32, 33, 45, 64] {
                    let packing = Packing { bits, layout };
                    let integers: Vec<i16> = (0..count).map(|i| (i * 37 + i / 3) as i16 & ((1 << bits) - 1)).collect();
                    let words = pack(packing, &integers);
                    assert_eq!(words.len(), packing.words(count), "{packing:?} {count}");
                    let mut back = vec![-1; count];
                    packing.unpack(|i| words[i], &mut back);
                    assert_eq!(back, integers, "{packing:?} {count}");
                }
            }
        }
    }

    /// One integer after the other, bit by bit.
    fn pack(packing: Packing, integers: &[i16]) -> Vec<u32> {
        let bits = usize::from(packing.bits);
        let place = |i: usize| match packing.layout {
            WordLayout::Dense => i * bits,
            WordLayout::Padded => i / (32 / bits) * 32 + i % (32 / bits) * bits,
        };
        let mut words = vec![0u32; (place(integers.len() - 1) + bits).div_ceil(32)];
        for (i, integer) in integers.iter().enumerate() {
            for bit in 0..bits {
                words[(place(i) + bit) / 32] |= u32::from(integer >> bit & 1 == 1) << ((place(i) + bit) % 32);
            }
        }
        words
    }
}
