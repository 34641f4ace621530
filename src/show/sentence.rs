//! Errors as sentences.

use bantam_core::text;

/// Says an error with its causes in one line, fit to be shown; a cause that its effect already tells is not told again.
pub fn sentence(error: &anyhow::Error) -> String {
    let told = error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match told.as_str() {
            "" => cause,
            told if told.contains(&cause) => told.to_owned(),
            told => format!("{told}: {cause}"),
        }
    });
    text::plain(&text::without_passwords(&told)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn an_error_is_one_sentence_without_repetition() {
        let error = anyhow!("no such file").context("p.toml: cannot be read: no such file").context("reading\nit");
        assert_eq!(sentence(&error), "reading it: p.toml: cannot be read: no such file");
    }

    #[test]
    fn a_name_within_an_error_steers_no_terminal() {
        let error = anyhow!("'a\u{1b}]0;x\u{7}b\u{202e}' is no model").context("two\r\nlines");
        assert_eq!(sentence(&error), "two lines: 'a�]0;x�b�' is no model");
        let error = anyhow!("http://me:secret@hub.example/x: it answers 500");
        assert_eq!(sentence(&error), "http://***@hub.example/x: it answers 500");
    }
}
