//! The regular expressions that cut text before merging, against those of the field's own tools: patterns are run by a
//! crate in Rust here and by Oniguruma there, and tokens are equal only where both cut alike. The cuts of 4,000 strings
//! of all kinds of characters were hashed once with Python's tokenizers 0.23.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use super::goldens::root;
use crate::tokenizer::splitters;

/// Strings that share a hash.
const BLOCK: usize = 500;

/// Where characters are taken from; some more often than others.
static RANGES: [(u32, u32); 35] = [
    (0x20, 0x7E),
    (0x61, 0x7A),
    (0x41, 0x5A),
    (0x30, 0x39),
    (0x20, 0x20),
    (0x20, 0x20),
    (0x9, 0xD),
    (0x0, 0x1F),
    (0x7F, 0xFF),
    (0x100, 0x24F),
    (0x250, 0x2FF),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x4FF),
    (0x590, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x1100, 0x11FF),
    (0x1C4, 0x1CC),
    (0x1E00, 0x1FFF),
    (0x2000, 0x206F),
    (0x2070, 0x209F),
    (0x20A0, 0x20CF),
    (0x2100, 0x218F),
    (0x2190, 0x23FF),
    (0x2460, 0x24FF),
    (0x3000, 0x30FF),
    (0x4E00, 0x4FFF),
    (0xAC00, 0xACFF),
    (0xFB00, 0xFB4F),
    (0xFF00, 0xFFEF),
    (0x1F300, 0x1F64F),
    (0x1D400, 0x1D7FF),
    (0x10400, 0x1044F),
    (0xE000, 0xE0FF),
];
static WORDS: [&str; 15] = [
    "'s", "'S", "'LL", "'re", "'\u{17F}", "'D", "don't", "I'VE", "  ", "\n\n", "\r\n", " \u{A0}", "123456", "\u{212A}",
    "e\u{301}",
];

/// Knuth's linear congruential generator, which is as short in Python.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn string(&mut self) -> String {
        let parts = 1 + self.below(40);
        (0..parts)
            .map(|_| match self.below(6) {
                0 => WORDS[self.below(WORDS.len())].to_owned(),
                _ => {
                    let (from, to) = RANGES[self.below(RANGES.len())];
                    let code = from + self.below((to - from + 1) as usize) as u32;
                    char::from_u32(code).expect("no range holds surrogates").to_string()
                }
            })
            .collect()
    }
}

#[test]
fn patterns_cut_as_onigurumas_do() {
    let mut random = Random(20_261_121);
    let strings: Vec<String> = (0..4000).map(|_| random.string()).collect();
    let golden = std::fs::read(root().with_file_name("tokenizer").join("cuts.json")).expect("cuts.json");
    let golden: HashMap<String, Vec<String>> = serde_json::from_slice(&golden).expect("cuts.json");
    for (name, pattern) in splitters::PATTERNS {
        let split = Split::new(SplitPattern::Regex((*pattern).into()), SplitDelimiterBehavior::Isolated, false);
        let split = split.expect("a pattern");
        for (block, wanted) in strings.chunks(BLOCK).zip(&golden[*name]) {
            let mut hash = Sha256::new();
            for string in block {
                let mut cut = PreTokenizedString::from(string.as_str());
                split.pre_tokenize(&mut cut).expect("cut");
                let ends = cut.get_splits(OffsetReferential::Original, OffsetType::Char);
                let ends: Vec<String> = ends.into_iter().map(|(_, (_, to), _)| to.to_string()).collect();
                hash.update(format!("{}\n", ends.join(",")));
            }
            let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(&hash, wanted, "{name}");
        }
    }
}
