//! Bytes that are no UTF-8: at which line, and which encoding they look like, so that a message can say what to do.

/// Gives what follows "is" of bytes of which the first `valid` are UTF-8: what they look like, and the command that
/// makes UTF-8 of them.
pub(super) fn not_utf8(bytes: &[u8], valid: usize) -> String {
    let (name, iconv) = guess(&bytes[valid.min(bytes.len())..], bytes);
    match iconv {
        Some(iconv) => format!(
            "is not UTF-8 text, it looks like {name}; save the file as UTF-8 (`iconv -f {iconv} -t UTF-8 OLD > NEW`)"
        ),
        None => "is not UTF-8 text; save the file as UTF-8".into(),
    }
}

/// An encoding's name and what iconv calls it. `rest` begins with the first byte that is no UTF-8.
fn guess(rest: &[u8], all: &[u8]) -> (&'static str, Option<&'static str>) {
    if all.starts_with(b"\xff\xfe") || all.starts_with(b"\xfe\xff") {
        return ("UTF-16", Some("UTF-16"));
    }
    if all.contains(&0) {
        return ("no text", None);
    }
    let high = || rest.iter().filter(|byte| !byte.is_ascii());
    // Windows has letters and quotes where Latin-1 has control characters, but for these five, which are nothing there
    let is_undefined = |byte: &u8| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d);
    match (high().any(is_undefined), high().any(|byte| (0x80..0xa0).contains(byte))) {
        (true, _) => ("no text", None),
        (false, true) => ("Windows-1252", Some("WINDOWS-1252")),
        (false, false) => ("Latin-1", Some("ISO-8859-1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        let valid = std::str::from_utf8(bytes).expect_err("no UTF-8").valid_up_to();
        not_utf8(bytes, valid)
    }

    #[test]
    fn an_encoding_is_named_with_the_command_that_changes_it() {
        assert!(said(b"caf\xe9").contains("looks like Latin-1; save the file as UTF-8 (`iconv -f ISO-8859-1"));
        assert!(said(b"\x93caf\xe9\x94").contains("looks like Windows-1252"), "{}", said(b"\x93caf\xe9\x94"));
        assert!(said(b"\xff\xfec\0a\0").contains("looks like UTF-16"));
        for no_text in [&b"\x81\xfe"[..], b"PAR1\0\xff"] {
            assert_eq!(said(no_text), "is not UTF-8 text; save the file as UTF-8");
        }
    }
}
