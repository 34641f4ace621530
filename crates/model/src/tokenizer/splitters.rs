//! How byte-level BPE cuts a text before merging, by the names that GGUF files have for it in `tokenizer.ggml.pre`. The
//! names and what they mean are llama.cpp's (`llm_tokenizer_bpe` and `llama_vocab::impl::load` in src/llama-vocab.cpp);
//! the patterns are those of the tokenizer.json files that the names were given to.

/// A way of cutting a text, with the names that GGUF files have for it.
pub(crate) struct Splitter {
    /// The values of `tokenizer.ggml.pre` that mean it.
    pub names: &'static [&'static str],
    /// Each pattern cuts the pieces of the one before.
    pub patterns: &'static [&'static str],
    /// Whether a piece that is a token as a whole is taken without merging.
    pub whole_first: bool,
    /// Whether a first token is added where the file does not say.
    pub adds_bos: bool,
    /// Whether the text is composed (NFC) first. GGUF has no key for it; every checkpoint that bears such a name does
    /// it.
    pub composes: bool,
}

/// GPT-2's pattern.
pub(crate) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3's pattern: numbers in threes.
pub(crate) const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's pattern: digits one by one.
pub(crate) const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 3.5's pattern: as Qwen 2's, with marks among the letters.
pub(crate) const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o's pattern: cuts at a change of case, and numbers in threes.
pub(crate) const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's pattern: cuts at a change of case, and digits one by one.
pub(crate) const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SEED_CODER: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const MINICPM5: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_V3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const CJK: &str = r"[\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+";
const KANA: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+";

/// The patterns that are more than one class of characters, for the test that holds them against another engine.
#[cfg(test)]
pub(crate) static PATTERNS: &[(&str, &str)] = &[
    ("GPT2", GPT2),
    ("LLAMA3", LLAMA3),
    ("QWEN2", QWEN2),
    ("QWEN35", QWEN35),
    ("GPT4O", GPT4O),
    ("TEKKEN", TEKKEN),
    ("SEED_CODER", SEED_CODER),
    ("MINICPM5", MINICPM5),
    ("DEEPSEEK_V3", DEEPSEEK_V3),
    ("CJK", CJK),
    ("KANA", KANA),
];

const fn splitter(names: &'static [&'static str], patterns: &'static [&'static str]) -> Splitter {
    Splitter { names, patterns, whole_first: false, adds_bos: false, composes: false }
}

/// Every way of cutting that is known.
#[rustfmt::skip]
pub(crate) static SPLITTERS: &[Splitter] = &[
    Splitter {
        whole_first: true,
        adds_bos: true,
        ..splitter(
            &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
            &[LLAMA3],
        )
    },
    splitter(&["smaug-bpe", "dbrx", "glm4", "chatglm-bpe"], &[LLAMA3]),
    Splitter { composes: true, ..splitter(&["qwen2"], &[QWEN2]) },
    splitter(
        &["stablelm2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "hunyuan", "solar-open", "grok-2"],
        &[QWEN2],
    ),
    Splitter { composes: true, ..splitter(&["qwen35"], &[QWEN35]) },
    splitter(
        &["gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum",
            "modern-bert", "jais", "trillion", "granite-docling", "exaone4", "roberta-bpe", "jina-v2-code"],
        &[GPT2],
    ),
    Splitter { composes: true, ..splitter(&["olmo", "mpt"], &[GPT2]) },
    splitter(
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
        &[r"\p{N}", GPT2],
    ),
    Splitter { whole_first: true, adds_bos: true, ..splitter(&["tekken"], &[TEKKEN]) },
    splitter(&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], &[GPT4O]),
    splitter(&["seed-coder"], &[SEED_CODER]),
    Splitter { whole_first: true, ..splitter(&["minicpm5"], &[r"\p{N}{1,3}", MINICPM5]) },
    splitter(&["deepseek-coder"], &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"]),
    splitter(&["deepseek-v3", "hunyuan-dense", "joyai-llm"], &[r"\p{N}{1,3}", KANA, DEEPSEEK_V3]),
    splitter(&["falcon"], &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"]),
    splitter(&["default"], &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"]),
];

impl Splitter {
    /// Finds the splitter that a name stands for.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SPLITTERS.iter().find(|splitter| splitter.names.contains(&name))
    }

    /// Lists all names, for a sentence on what is supported.
    pub(crate) fn names() -> String {
        SPLITTERS.iter().flat_map(|splitter| splitter.names).copied().collect::<Vec<_>>().join(", ")
    }
}
