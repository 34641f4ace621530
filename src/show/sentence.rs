//! Errors as sentences.

/// Says an error with its causes in one line; a cause that its effect already tells is not told again.
pub fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match told.as_str() {
            "" => cause,
            told if told.contains(&cause) => told.to_owned(),
            told => format!("{told}: {cause}"),
        }
    })
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
}
