//! A bar of progress in so many characters, for terminals of both kinds: whole screens and lines.

/// Draws a share as a bar with eighths of a character: ████▌░░░
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

#[cfg(test)]
mod tests {
    #[test]
    fn a_bar_is_as_wide_as_asked_at_every_fraction() {
        for width in [1, 5, 20] {
            for step in 0..=1000 {
                assert_eq!(super::bar(step as f64 / 1000.0, width).chars().count(), width);
            }
        }
    }
}
