//! What differs between two texts, word by word: the longest common sequence of words stays as it is, the rest is lit. Two
//! single words are held against each other letter by letter.

use super::wrapped;
use bantam_core::text;

/// Words of a text that are held against those of another, at most: the work grows with the product of both.
const MOST: usize = 600;

/// A piece of a text, and whether the other text lacks it.
pub type Piece = (String, bool);

/// The pieces of two texts, of each those that the other one lacks.
pub fn difference(one: &str, other: &str) -> (Vec<Piece>, Vec<Piece>) {
    let is_one_word = |text: &str| !text.contains(char::is_whitespace);
    let by_letter = is_one_word(one) && is_one_word(other);
    let cut = if by_letter { letters } else { words };
    let (a, b) = (cut(one), cut(other));
    let (in_a, in_b) = common(&a, &b);
    // two labels that share a few letters by chance are two labels
    let shared = in_a.iter().filter(|common| **common).count();
    if by_letter && shared * 2 < a.len().max(b.len()) {
        return (vec![(one.to_owned(), true)], vec![(other.to_owned(), true)]);
    }
    (joined(&a, &in_a), joined(&b, &in_b))
}

/// Pieces broken into lines of a width, each still as its pieces.
pub fn wrapped_pieces(pieces: &[Piece], width: usize) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    let lit = |line: &[(char, bool)]| {
        let whole: String = line.iter().map(|(letter, _)| *letter).collect();
        let mut left = line.iter().copied();
        let broken = wrapped(&whole, width).into_iter().map(|shown| {
            let mut pieces: Vec<Piece> = Vec::new();
            for letter in shown.chars() {
                // spaces at which a line was broken are not shown
                let differs = left.by_ref().find(|(of, _)| *of == letter).is_some_and(|(_, differs)| differs);
                push(&mut pieces, letter.encode_utf8(&mut [0; 4]), differs);
            }
            pieces
        });
        broken.collect::<Vec<_>>()
    };
    let mut line: Vec<(char, bool)> = Vec::new();
    for (piece, differs) in pieces {
        let mut parts = piece.split('\n').peekable();
        while let Some(part) = parts.next() {
            line.extend(text::plain(part).chars().map(|letter| (letter, *differs)));
            if parts.peek().is_some() {
                lines.extend(lit(&line));
                line.clear();
            }
        }
    }
    lines.extend(lit(&line));
    lines
}

/// Words, and what stands between them.
fn words(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut all = Vec::new();
    let mut begin = 0;
    let mut before = None;
    for (at, letter) in text.char_indices() {
        let now = kind(letter);
        // signs stand each for themselves
        if before.is_some_and(|before| before != now || now == 2) {
            all.push(&text[begin..at]);
            begin = at;
        }
        before = Some(now);
    }
    if begin < text.len() {
        all.push(&text[begin..]);
    }
    all
}

fn letters(text: &str) -> Vec<&str> {
    text.char_indices().map(|(at, letter)| &text[at..at + letter.len_utf8()]).collect()
}

/// Of two sequences which members belong to a longest common one.
fn common(a: &[&str], b: &[&str]) -> (Vec<bool>, Vec<bool>) {
    let front = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let behind = a[front..].iter().rev().zip(b[front..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (mut in_a, mut in_b) = (vec![false; a.len()], vec![false; b.len()]);
    in_a[..front].fill(true);
    in_b[..front].fill(true);
    in_a[a.len() - behind..].fill(true);
    in_b[b.len() - behind..].fill(true);
    let (a, b) = (&a[front..a.len() - behind], &b[front..b.len() - behind]);
    if a.len() > MOST || b.len() > MOST {
        return (in_a, in_b);
    }
    // lengths[i][j]: of the longest common sequence of what follows a[i] and b[j]
    let width = b.len() + 1;
    let mut lengths = vec![0_u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = match a[i] == b[j] {
                true => lengths[(i + 1) * width + j + 1] + 1,
                false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            (in_a[front + i], in_b[front + j]) = (true, true);
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    (in_a, in_b)
}

fn joined(words: &[&str], common: &[bool]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (word, common) in words.iter().zip(common) {
        push(&mut pieces, word, !common);
    }
    pieces
}

fn push(pieces: &mut Vec<Piece>, text: &str, differs: bool) {
    match pieces.last_mut() {
        Some((last, same)) if *same == differs => last.push_str(text),
        _ => pieces.push((text.to_owned(), differs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lit(pieces: &[Piece]) -> String {
        pieces.iter().map(|(text, differs)| if *differs { format!("[{text}]") } else { text.clone() }).collect()
    }

    fn both(one: &str, other: &str) -> (String, String) {
        let (a, b) = difference(one, other);
        (lit(&a), lit(&b))
    }

    #[test]
    fn words_that_the_other_lacks_are_lit() {
        assert_eq!(
            both("the order is 12 pieces of A-7", "the order was 12 pieces of A-9, blue"),
            ("the order [is] 12 pieces of A-[7]".into(), "the order [was] 12 pieces of A-[9, blue]".into())
        );
        assert_eq!(both("same", "same"), ("same".into(), "same".into()));
        assert_eq!(both("", "a b"), (String::new(), "[a b]".into()));
        assert_eq!(both("a b c d", "b c"), ("[a ]b c[ d]".into(), "b c".into()));
    }

    #[test]
    fn two_words_are_held_against_each_other_by_letters_where_they_share_most() {
        assert_eq!(both("12345", "12845"), ("12[3]45".into(), "12[8]45".into()));
        assert_eq!(both("billing", "account"), ("[billing]".into(), "[account]".into()));
        assert_eq!(both("模型", "模式"), ("模[型]".into(), "模[式]".into()));
    }

    #[test]
    fn pieces_are_broken_at_spaces_and_stay_lit() {
        let (_, now) = difference("one two three", "one four three\nfive");
        let lines: Vec<String> = wrapped_pieces(&now, 9).iter().map(|line| lit(line)).collect();
        assert_eq!(lines, ["one [four]", "three", "[five]"]);
    }

    #[test]
    fn texts_of_any_length_are_answered() {
        let long = "word ".repeat(5000);
        let (a, b) = difference(&format!("x {long}"), &format!("{long} y"));
        assert!(!a.is_empty() && !b.is_empty());
    }
}
