//! Text as it grows, token by token: what is certain of it, and which part of an answer it is.

use bantam_model::Tokenizer;
use bantam_model::tokenizer::Special;

/// Stands where bytes are no letter, or not yet a whole one.
pub(super) const BROKEN: char = char::REPLACEMENT_CHARACTER;
/// Tokens without text, or that are no whole letter yet, that are held back at most.
const MOST_HELD: usize = 16;

/// Tokens that become text. Some end within a letter, and some are written otherwise at the beginning of a text than behind
/// others, so that the last ones are decoded together with those before.
#[derive(Debug, Clone, Default)]
pub(super) struct Growing {
    /// From where on tokens are decoded.
    tokens: Vec<u32>,
    /// How many of them are text already.
    told: usize,
}

impl Growing {
    /// Adds a token, and gives the text that is certain now.
    pub(super) fn push(&mut self, token: u32, tokenizer: &Tokenizer) -> String {
        let text = self.with(token, tokenizer);
        self.tokens.push(token);
        let may_become_whole = self.tokens.len() - self.told < MOST_HELD;
        if may_become_whole && (text.is_empty() || text.ends_with(BROKEN)) {
            return String::new();
        }
        self.tokens.drain(..self.told);
        self.told = self.tokens.len();
        text
    }

    /// What would be added to the text with this token; it may end within a letter.
    pub(super) fn with(&self, token: u32, tokenizer: &Tokenizer) -> String {
        let mut all = self.tokens.clone();
        all.push(token);
        behind(&decoded(&self.tokens[..self.told], tokenizer), &decoded(&all, tokenizer))
    }

    /// What is left when no token follows.
    pub(super) fn rest(&mut self, tokenizer: &Tokenizer) -> String {
        let rest = behind(&decoded(&self.tokens[..self.told], tokenizer), &decoded(&self.tokens, tokenizer));
        *self = Growing::default();
        rest
    }
}

/// A token as it is written behind others.
pub(super) fn text_of(token: u32, tokenizer: &Tokenizer) -> String {
    let text = behind(&decoded(&[token], tokenizer), &decoded(&[token, token], tokenizer));
    match text.is_empty() {
        true => tokenizer.decode(&[token], Special::With).unwrap_or_default(),
        false => text,
    }
}

/// What cannot be decoded is no text.
fn decoded(tokens: &[u32], tokenizer: &Tokenizer) -> String {
    tokenizer.decode(tokens, Special::Without).unwrap_or_default()
}

fn behind(before: &str, all: &str) -> String {
    let same = before.chars().zip(all.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    all[same..].to_owned()
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// What the model thought before it answered.
    Reasoning(String),
    Content(String),
    /// A call of a function, as the model wrote it.
    Call(String),
}

/// What may stand in an answer beside its text.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// What thinking stands between.
    pub(super) thinking: Option<(&'static str, &'static str)>,
    /// The prompt has begun the thinking.
    pub(super) thinks: bool,
    /// What calls of functions stand between.
    pub(super) calls: Option<(&'static str, &'static str)>,
    /// Those that are special tokens, which do not show in a text.
    pub(super) tokens: Vec<(u32, &'static str)>,
    /// What ends the text, and does not belong to it.
    pub(super) stops: Vec<String>,
}

/// Takes an answer's text apart as it comes. What may be the beginning of a mark is held back until it is clear.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    marks: Marks,
    part: Part,
    held: String,
    /// Something was thought already: white space before is no part of it.
    thought: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Where thinking may begin.
    Start,
    Thinking,
    /// Behind the thinking, of which white space is no part.
    Behind,
    Content,
    Call,
    /// A stop has come.
    Over,
}

impl Parts {
    pub(super) fn new(marks: Marks) -> Parts {
        let part = match (&marks.thinking, marks.thinks) {
            (None, _) => Part::Content,
            (Some(_), false) => Part::Start,
            (Some(_), true) => Part::Thinking,
        };
        Parts { marks, part, held: String::new(), thought: false }
    }

    /// Whether the text that comes now is thought.
    pub(super) fn is_thinking(&self) -> bool {
        self.part == Part::Thinking
    }

    /// Whether the answer itself has begun, or may begin with the next letter.
    pub(super) fn is_content(&self) -> bool {
        matches!(self.part, Part::Content | Part::Behind)
    }

    /// Whether a stop has come.
    pub(super) fn is_over(&self) -> bool {
        self.part == Part::Over
    }

    /// Takes more text, and gives what is certain.
    pub(super) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        while self.step(&mut pieces) {}
        pieces.retain(|piece| !matches!(piece, Piece::Reasoning(text) | Piece::Content(text) if text.is_empty()));
        pieces
    }

    /// Gives what was held back, since nothing follows.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        let piece = match self.part {
            Part::Thinking => Piece::Reasoning(held.trim_end().to_owned()),
            Part::Call => Piece::Content(format!("{}{held}", self.marks.calls.map_or("", |(begin, _)| begin))),
            Part::Over => return Vec::new(),
            Part::Start | Part::Behind | Part::Content => Piece::Content(held),
        };
        if matches!(&piece, Piece::Reasoning(text) | Piece::Content(text) if text.is_empty()) {
            return Vec::new();
        }
        vec![piece]
    }

    /// Goes on by one part of what is held, and tells whether there may be another.
    fn step(&mut self, pieces: &mut Vec<Piece>) -> bool {
        match self.part {
            Part::Start => self.begin(),
            Part::Thinking => self.think(pieces),
            Part::Behind => {
                self.held = self.held.trim_start().to_owned();
                if !self.held.is_empty() {
                    self.part = Part::Content;
                }
                !self.held.is_empty()
            }
            Part::Content => self.say(pieces),
            Part::Call => self.call(pieces),
            Part::Over => {
                self.held.clear();
                false
            }
        }
    }

    fn begin(&mut self) -> bool {
        let (open, _) = self.marks.thinking.expect("only what thinks starts so");
        let text = self.held.trim_start();
        if let Some(rest) = text.strip_prefix(open) {
            (self.held, self.part) = (rest.to_owned(), Part::Thinking);
            return true;
        }
        if open.starts_with(text) {
            return false;
        }
        self.part = Part::Content;
        true
    }

    fn think(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let (_, close) = self.marks.thinking.expect("only what thinks comes here");
        if !self.thought {
            self.held = self.held.trim_start().to_owned();
        }
        if let Some(at) = self.held.find(close) {
            pieces.push(Piece::Reasoning(self.held[..at].trim_end().to_owned()));
            (self.held, self.part) = (self.held[at + close.len()..].to_owned(), Part::Behind);
            return true;
        }
        let kept = begun(&self.held, [close]);
        let certain = self.held[..self.held.len() - kept].trim_end().len();
        self.thought |= certain > 0;
        pieces.push(Piece::Reasoning(self.held.drain(..certain).collect()));
        false
    }

    fn say(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let stops = || self.marks.stops.iter().map(String::as_str);
        let call = self.marks.calls.map(|(begin, _)| begin);
        let stop = stops().filter_map(|stop| self.held.find(stop)).min();
        let called = call.and_then(|begin| self.held.find(begin));
        match (stop, called) {
            (Some(at), called) if called.is_none_or(|called| at <= called) => {
                pieces.push(Piece::Content(self.held[..at].to_owned()));
                (self.held, self.part) = (String::new(), Part::Over);
                false
            }
            (_, Some(at)) => {
                pieces.push(Piece::Content(self.held[..at].trim_end().to_owned()));
                let begin = call.map_or(0, str::len);
                (self.held, self.part) = (self.held[at + begin..].to_owned(), Part::Call);
                true
            }
            _ => {
                let kept = begun(&self.held, stops().chain(call));
                let mut certain = self.held.len() - kept;
                if call.is_some() {
                    // it is left out before a call
                    certain = self.held[..certain].trim_end().len();
                }
                pieces.push(Piece::Content(self.held.drain(..certain).collect()));
                false
            }
        }
    }

    fn call(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let (_, close) = self.marks.calls.expect("only what calls comes here");
        let Some(at) = self.held.find(close) else { return false };
        pieces.push(Piece::Call(self.held[..at].trim().to_owned()));
        (self.held, self.part) = (self.held[at + close.len()..].to_owned(), Part::Behind);
        true
    }
}

/// Bytes at the end of a text that one of the marks may begin with.
fn begun<'a>(text: &str, marks: impl IntoIterator<Item = &'a str>) -> usize {
    let of = |mark: &str| {
        let longest = mark.len().saturating_sub(1).min(text.len());
        (1..=longest)
            .rev()
            .find(|&len| text.is_char_boundary(text.len() - len) && mark.starts_with(&text[text.len() - len..]))
    };
    marks.into_iter().filter_map(of).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks {
            thinking: Some(("<think>", "</think>")),
            thinks: false,
            calls: Some(("<tool_call>", "</tool_call>")),
            tokens: Vec::new(),
            stops: vec!["END".into(), "ü!".into()],
        }
    }

    /// Pieces of one kind that follow each other, as one.
    fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
        let mut all: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (all.last_mut(), piece) {
                (Some(Piece::Reasoning(text)), Piece::Reasoning(more))
                | (Some(Piece::Content(text)), Piece::Content(more)) => text.push_str(&more),
                (_, piece) => all.push(piece),
            }
        }
        all
    }

    fn parts(marks: &Marks, text: &str) -> Vec<Piece> {
        let mut whole = Parts::new(marks.clone());
        let mut at_once = whole.push(text);
        at_once.extend(whole.finish());
        let mut by_letter = Parts::new(marks.clone());
        let mut pieces: Vec<Piece> = text.chars().flat_map(|letter| by_letter.push(&letter.to_string())).collect();
        pieces.extend(by_letter.finish());
        assert_eq!(joined(pieces), joined(at_once.clone()), "{text:?}");
        assert_eq!(whole.is_over(), by_letter.is_over());
        joined(at_once)
    }

    fn content(text: &str) -> Piece {
        Piece::Content(text.into())
    }

    fn reasoning(text: &str) -> Piece {
        Piece::Reasoning(text.into())
    }

    #[test]
    fn an_answer_is_taken_apart_alike_in_one_piece_and_by_letters() {
        let marks = marks();
        assert_eq!(parts(&marks, "just text"), [content("just text")]);
        assert_eq!(parts(&marks, "<think>\nso\nso \n</think>\n\nIt is 4."), [reasoning("so\nso"), content("It is 4.")]);
        assert_eq!(parts(&marks, "<think>open end"), [reasoning("open end")]);
        assert_eq!(parts(&marks, "<thin"), [content("<thin")]);
        assert_eq!(
            parts(&marks, "Sure.\n<tool_call>\n{\"a\": 1}\n</tool_call>\n<tool_call>{}</tool_call>"),
            [content("Sure."), Piece::Call("{\"a\": 1}".into()), Piece::Call("{}".into())]
        );
        assert_eq!(parts(&marks, "x <tool_call>{"), [content("x<tool_call>{")]);
        let thinks = Marks { thinks: true, ..marks.clone() };
        assert_eq!(parts(&thinks, "hm</think>4"), [reasoning("hm"), content("4")]);
        let plain = Marks { stops: marks.stops, ..Marks::default() };
        assert_eq!(parts(&plain, "<think>x</think> \n"), [content("<think>x</think> \n")]);
    }

    #[test]
    fn a_stop_ends_the_text_and_is_no_part_of_it() {
        let marks = Marks { thinking: None, ..marks() };
        assert_eq!(parts(&marks, "one EN two END three"), [content("one EN two ")]);
        assert_eq!(parts(&marks, "für ü!x"), [content("für ")]);
        let thinks = Marks { thinks: true, ..self::marks() };
        assert_eq!(parts(&thinks, "END</think>a END"), [reasoning("END"), content("a ")]);
        let mut over = Parts::new(marks);
        over.push("END");
        assert!(over.is_over() && over.push("more").is_empty() && over.finish().is_empty());
    }
}
