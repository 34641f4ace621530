//! The bytes that each token stands for: what holds answers to a form reads tokens as texts.

use serde_json::Value;

use super::Tokenizer;

/// What a token adds to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes, which need not be whole letters.
    pub bytes: Vec<u8>,
    /// It is no part of a text, but a mark: it is left out where a text is decoded.
    pub is_special: bool,
}

impl Tokenizer {
    /// Lists what every token adds to a text, by its number; numbers that no token has add nothing.
    pub fn words(&self) -> Vec<Word> {
        let decoder = self.inner.get_decoder().map(serde_json::to_value);
        let decoder = decoder.and_then(Result::ok).unwrap_or_default();
        let (is_byte_level, space) = (has_step(&decoder, "ByteLevel"), space_of(&decoder));
        let added = self.inner.get_added_tokens_decoder();
        let vocabulary = self.inner.get_vocab(true);
        let count = vocabulary.values().max().map_or(0, |last| *last as usize + 1);
        let mut words = vec![Word { bytes: Vec::new(), is_special: false }; count];
        for (token, id) in vocabulary {
            let is_special = added.get(&id).is_some_and(|added| added.special);
            let bytes = match (added.contains_key(&id), byte_of(&token)) {
                (true, _) => token.into_bytes(),
                (false, Some(byte)) if !is_byte_level => vec![byte],
                (false, _) if is_byte_level => token.chars().flat_map(bytes_of_letter).collect(),
                (false, _) => space.map_or(token.clone(), |space| token.replace(space, " ")).into_bytes(),
            };
            words[id as usize] = Word { bytes, is_special };
        }
        words
    }
}

/// The byte of a token that is written `<0x00>` to `<0xFF>`.
pub(in crate::tokenizer) fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
}

/// A decoder's steps, those within others among them.
fn steps(decoder: &Value) -> Vec<&Value> {
    let inner = decoder["decoders"].as_array().into_iter().flatten().flat_map(steps);
    [decoder].into_iter().chain(inner).collect()
}

fn has_step(decoder: &Value, name: &str) -> bool {
    steps(decoder).iter().any(|step| step["type"] == name)
}

/// The letter that stands for a space.
fn space_of(decoder: &Value) -> Option<char> {
    let of = |step: &&Value| match step["type"].as_str()? {
        "Metaspace" => step["replacement"].as_str()?.chars().next(),
        "Replace" if step["content"] == " " => step["pattern"]["String"].as_str()?.chars().next(),
        _ => None,
    };
    steps(decoder).iter().find_map(of)
}

/// The byte that a letter stands for where bytes are written as letters (`bytes_to_unicode` of GPT-2); the letter's own bytes
/// where it stands for none.
fn bytes_of_letter(letter: char) -> Vec<u8> {
    let printed = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let byte = match u32::from(letter) {
        code @ 0..=255 => u8::try_from(code).ok().filter(|byte| printed(*byte)),
        code => (0..=255).filter(|byte| !printed(*byte)).nth(code.wrapping_sub(256) as usize),
    };
    byte.map_or_else(|| letter.to_string().into_bytes(), |byte| vec![byte])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_for_bytes() {
        // as transformers' bytes_to_unicode: a space, a line's end, the last of those that are moved
        assert_eq!(
            [bytes_of_letter('Ġ'), bytes_of_letter('Ċ'), bytes_of_letter('Ń')],
            [vec![b' '], vec![b'\n'], vec![0xAD]]
        );
        assert_eq!(
            [bytes_of_letter('a'), bytes_of_letter('Ã'), bytes_of_letter('日')],
            [vec![b'a'], vec![0xC3], "日".as_bytes().to_vec()]
        );
        let all: std::collections::BTreeSet<Vec<u8>> =
            (0..=0x143).filter_map(char::from_u32).map(bytes_of_letter).filter(|b| b.len() == 1).collect();
        assert_eq!(all.len(), 256);
        assert_eq!([byte_of("<0x0A>"), byte_of("<0x0>"), byte_of("a")], [Some(10), None, None]);
    }

    /// A text's tokens, put together as bytes, are the text.
    #[test]
    #[cfg(goldens)]
    fn tokens_put_together_are_the_text() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model");
        for name in ["llama", "llama_spm"] {
            let folder = golden.join(name);
            let tokenizer = crate::read_tokenizer(&folder).expect("a tokenizer");
            let words = tokenizer.words();
            let text = "{\"name\": \"Zoë\", \"list\": [1, 2.5]}\n\t日本";
            let tokens = tokenizer.encode(text, super::super::Special::Without).expect("encoded");
            let bytes: Vec<u8> = tokens.iter().flat_map(|token| words[*token as usize].bytes.clone()).collect();
            let put = String::from_utf8(bytes).expect("a text");
            assert_eq!(put.trim_start(), text, "{name}");
        }
    }
}
