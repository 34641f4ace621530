//! A bar of progress and a name beside it in so many characters, for terminals of both kinds: whole screens and lines.

/// ████▌░░░ with eighths.
pub fn bar(fraction: f64, width: usize) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (fraction.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let (full, part) = (eighths / 8, eighths % 8);
    let mut text: String = "█".repeat(full);
    if part > 0 {
        text.push(PARTS[part]);
    }
    let rest = width.saturating_sub(text.chars().count());
    text + &"░".repeat(rest)
}

/// A text cut to a width from its front: the end of a path or of a model's name tells more than its beginning.
pub fn ending(text: &str, width: usize) -> String {
    let length = text.chars().count();
    match length <= width {
        true => text.into(),
        false => ['…'].into_iter().chain(text.chars().skip(length + 1 - width)).collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_end_of_a_long_name_stays() {
        assert_eq!(super::ending("org/name", 8), "org/name");
        assert_eq!(super::ending("org/name", 5), "…name");
    }

    #[test]
    fn a_bar_is_as_wide_as_asked_at_every_fraction() {
        for width in [1, 5, 20] {
            for step in 0..=1000 {
                assert_eq!(super::bar(step as f64 / 1000.0, width).chars().count(), width);
            }
        }
    }
}
