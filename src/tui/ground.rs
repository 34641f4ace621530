//! The terminal's background: asked for with OSC 11, or told by COLORFGBG. Colours are chosen for it.
//!
//! The question goes out with a second one that every terminal answers (DA1), so that the wait ends where the first is not
//! understood. What is typed meanwhile is kept as keys; an answer that comes too late is no keys ([`Late`]).

use super::terminal::Greeting;
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long the answer may take; through a slow line it takes as long as a key.
const PATIENCE: Duration = Duration::from_millis(300);
/// No answer is longer: the rest of one that never ends is keys again.
const LONGEST: usize = 64;
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[c";

/// A background colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground(pub u8, pub u8, pub u8);

/// Asks the terminal, which is raw already.
pub(super) fn ask() -> Greeting {
    let mut bytes = Vec::new();
    let mut out = io::stdout();
    let asked = out.write_all(QUESTION).and_then(|()| out.flush()).is_ok();
    let begun = Instant::now();
    while asked && !Answer::of(&bytes).whole {
        let Some(rest) = PATIENCE.checked_sub(begun.elapsed()) else { break };
        match read(rest) {
            Some(more) if !more.is_empty() => bytes.extend(more),
            _ => break,
        }
    }
    let answer = Answer::of(&bytes);
    Greeting { ground: answer.ground, late: asked && !answer.whole, typed: keys(&answer.rest) }
}

/// What can be read of the terminal within a time; nothing where the time is over.
fn read(within: Duration) -> Option<Vec<u8>> {
    let stdin = rustix::stdio::stdin();
    let within = Timespec { tv_sec: within.as_secs() as _, tv_nsec: within.subsec_nanos() as _ };
    let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&within)).ok()?;
    let mut bytes = [0; 256];
    let count = if ready > 0 { rustix::io::read(stdin, &mut bytes).ok()? } else { 0 };
    Some(bytes[..count].to_vec())
}

/// What a terminal's bytes hold of the answers, and what else.
struct Answer {
    ground: Option<Ground>,
    /// The second question is answered: no more will come.
    whole: bool,
    rest: Vec<u8>,
}

impl Answer {
    fn of(bytes: &[u8]) -> Answer {
        let mut answer = Answer { ground: None, whole: false, rest: Vec::new() };
        let mut at = 0;
        while at < bytes.len() {
            let left = &bytes[at..];
            if let Some((colour, length)) = osc(left) {
                answer.ground = parse(colour).or(answer.ground);
                at += length;
            } else if let Some(length) = device(left) {
                answer.whole = true;
                at += length;
            } else {
                answer.rest.push(left[0]);
                at += 1;
            }
        }
        answer
    }
}

/// An answer to OSC 11 at the beginning of `bytes`: the colour's words, and how long the whole of it is.
fn osc(bytes: &[u8]) -> Option<(&str, usize)> {
    let words = bytes.strip_prefix(b"\x1b]11;")?;
    let end = words.iter().position(|b| matches!(b, 0x07 | 0x1b))?;
    let closing = if words[end] == 0x07 { 1 } else { 2 };
    Some((std::str::from_utf8(&words[..end]).ok()?, 5 + end + closing))
}

/// How long the answer to DA1 is that `bytes` begin with: ESC [ ? 6 2 ; 4 c.
fn device(bytes: &[u8]) -> Option<usize> {
    let words = bytes.strip_prefix(b"\x1b[?")?;
    let end = words.iter().position(|b| !b.is_ascii_digit() && *b != b';')?;
    (words[end] == b'c').then_some(3 + end + 1)
}

/// "rgb:ffff/f8f8/dcdc", "rgba:…" or "#fdf6e3", of any number of digits.
fn parse(words: &str) -> Option<Ground> {
    let part = |digits: &str| -> Option<u8> {
        let value = u32::from_str_radix(digits, 16).ok()?;
        let most = 16_u32.checked_pow(digits.len() as u32)?.checked_sub(1).filter(|most| *most > 0)?;
        Some((value as f64 * 255.0 / most as f64).round() as u8)
    };
    let parts: Vec<u8> = match words.strip_prefix('#') {
        Some(digits) if digits.len() % 3 == 0 && digits.is_ascii() => {
            let each = digits.len() / 3;
            (0..3).map(|i| part(&digits[i * each..(i + 1) * each])).collect::<Option<_>>()?
        }
        _ => words.split_once(':')?.1.split('/').take(3).map(part).collect::<Option<_>>()?,
    };
    <[u8; 3]>::try_from(parts).ok().map(|[r, g, b]| Ground(r, g, b))
}

/// What COLORFGBG says ("15;0"): its last number is the background's among the sixteen colours.
pub(super) fn told(colorfgbg: &str) -> Option<Ground> {
    match colorfgbg.rsplit(';').next()?.trim().parse::<u8>().ok()? {
        7 | 15 => Some(Ground(238, 232, 213)),
        0..=6 | 8 => Some(Ground(63, 63, 63)),
        _ => None,
    }
}

/// Bytes that were typed before there was anybody to read them, as keys. Escape sequences other than arrows are dropped.
fn keys(bytes: &[u8]) -> Vec<Input> {
    let text = String::from_utf8_lossy(bytes);
    let mut keys = Vec::new();
    let mut letters = text.chars().peekable();
    let key = |code, modifiers| Input::Key(KeyEvent::new(code, modifiers));
    while let Some(letter) = letters.next() {
        let code = match letter {
            '\x1b' if letters.peek().is_some_and(|c| matches!(c, '[' | 'O')) => {
                letters.next();
                match letters.by_ref().find(|c| !c.is_ascii_digit() && *c != ';') {
                    Some('A') => KeyCode::Up,
                    Some('B') => KeyCode::Down,
                    Some('C') => KeyCode::Right,
                    Some('D') => KeyCode::Left,
                    _ => continue,
                }
            }
            '\x1b' => KeyCode::Esc,
            '\r' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x7f' => KeyCode::Backspace,
            '\x01'..='\x1a' => {
                let letter = (b'a' + letter as u8 - 1) as char;
                keys.push(key(KeyCode::Char(letter), KeyModifiers::CONTROL));
                continue;
            }
            letter if letter.is_control() => continue,
            letter => KeyCode::Char(letter),
        };
        keys.push(key(code, KeyModifiers::NONE));
    }
    keys
}

/// Takes an answer out of the keys that comes after the wait for it: it reads like Alt-] and letters, one of which would
/// start a run.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// One may still come.
    awaited: bool,
    /// How much of one has come.
    taken: usize,
}

impl Late {
    pub(super) fn awaited(awaited: bool) -> Late {
        Late { awaited, taken: 0 }
    }

    /// Whether an event is a piece of the answer.
    pub(super) fn is_part(&mut self, event: &Input) -> bool {
        let Input::Key(key) = event else { return false };
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        if self.taken == 0 {
            let begins = self.awaited && alt && key.code == KeyCode::Char(']');
            self.taken = usize::from(begins);
            return begins;
        }
        self.taken += 1;
        let bell = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('g');
        if bell || (alt && key.code == KeyCode::Char('\\')) || self.taken >= LONGEST {
            *self = Late::default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> String {
        let key = |event: &Input| match event {
            Input::Key(key) => match key.code {
                KeyCode::Char(letter) if key.modifiers.is_empty() => letter.to_string(),
                code => format!("<{code:?}>"),
            },
            other => format!("<{other:?}>"),
        };
        keys(&Answer::of(bytes).rest).iter().map(key).collect()
    }

    #[test]
    fn the_answer_is_read_and_the_keys_around_it_are_kept() {
        let bytes = b"2\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\j\x1b[B\x1b[?62;4cq";
        let answer = Answer::of(bytes);
        assert!(answer.whole);
        assert_eq!(answer.ground, Some(Ground(0xfd, 0xf6, 0xe3)));
        assert_eq!(typed(bytes), "2j<Down>q");
        assert_eq!(typed(b"\x1b\t\r\x7f\xc3\xa9\x03"), "<Esc><Tab><Enter><Backspace>é<Char('c')>");
    }

    #[test]
    fn an_answer_in_pieces_is_not_taken_for_one_or_for_keys() {
        let whole = b"\x1b]11;rgb:00/2b/36\x07\x1b[?1;2c";
        for end in 0..whole.len() {
            assert!(!Answer::of(&whole[..end]).whole, "{end}");
        }
        assert_eq!(Answer::of(whole).ground, Some(Ground(0, 0x2b, 0x36)));
        assert!(Answer::of(b"\x1b[?1;2c").whole, "a terminal that knows DA1 alone");
    }

    #[test]
    fn colours_of_every_spelling() {
        assert_eq!(parse("rgba:ffff/8080/0000/ffff"), Some(Ground(255, 128, 0)));
        assert_eq!(parse("#fdf6e3"), Some(Ground(0xfd, 0xf6, 0xe3)));
        for wrong in ["", "#", "rgb:", "rgb:12/34", "rgb:zz/00/00", "red", "rgb:/1/2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!((told("15;0"), told("0;default;15")), (Some(Ground(63, 63, 63)), Some(Ground(238, 232, 213))));
        assert_eq!(told("0;default"), None);
    }

    #[test]
    fn an_answer_that_comes_late_is_no_keys() {
        let press = |letter, modifiers| Input::Key(KeyEvent::new(KeyCode::Char(letter), modifiers));
        let mut late = Late::awaited(true);
        assert!(!late.is_part(&press('j', KeyModifiers::NONE)), "keys before it are keys");
        assert!(late.is_part(&press(']', KeyModifiers::ALT)));
        for letter in "11;rgb:0000/2b2b/3636".chars() {
            assert!(late.is_part(&press(letter, KeyModifiers::NONE)));
        }
        assert!(late.is_part(&press('\\', KeyModifiers::ALT)));
        assert!(!late.is_part(&press('r', KeyModifiers::NONE)), "and those behind it");
        assert!(!late.is_part(&press(']', KeyModifiers::ALT)), "one answer comes");
        assert!(!Late::awaited(false).is_part(&press(']', KeyModifiers::ALT)));
    }
}
