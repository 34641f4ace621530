//! The instructions of a request, and whether an answer follows them.

use super::{language, words};
use crate::python::{regex, split, stripped};
use fancy_regex::Regex;
use serde_json::{Map, Value as Json, json};

/// The instructions of one request, in its order.
#[derive(Debug)]
pub(crate) struct Instructions(Vec<Instruction>);

/// How often something is to be there.
#[derive(Debug, Clone, Copy)]
enum Often {
    LessThan(usize),
    AtLeast(usize),
}

impl Often {
    fn is(self, count: usize) -> bool {
        match self {
            Often::LessThan(limit) => count < limit,
            Often::AtLeast(limit) => count >= limit,
        }
    }
}

/// What an answer is to be like.
#[derive(Debug)]
enum Instruction {
    Keywords(Vec<Regex>),
    KeywordOften(Regex, Often),
    NoneOf(Vec<Regex>),
    LetterOften(char, Often),
    InLanguage(String),
    Sentences(Often),
    Paragraphs(usize),
    Words(Often),
    NthBegins { paragraphs: usize, nth: usize, word: String },
    Placeholders(usize),
    Postscript(Regex),
    Bullets(usize),
    OneOfThree,
    Highlights(usize),
    Sections(Regex, usize),
    IsJson,
    HasTitle,
    TwoAnswers,
    Repeats(String),
    EndsWith(String),
    CapitalWords(Often),
    AllCapital,
    NoCapital,
    NoComma,
    InQuotes,
}

/// The keys of one instruction; what is null, zero or empty is as good as not there.
struct Arguments<'a> {
    id: &'a str,
    given: Option<&'a Map<String, Json>>,
}

impl Arguments<'_> {
    fn value(&self, name: &str) -> Result<&Json, String> {
        let is_some = |value: &&Json| match value {
            Json::Null | Json::Bool(false) => false,
            Json::Number(number) => number.as_f64() != Some(0.0),
            Json::String(text) => !text.is_empty(),
            Json::Array(list) => !list.is_empty(),
            _ => true,
        };
        let found = self.given.and_then(|given| given.get(name)).filter(is_some);
        found.ok_or_else(|| format!("instruction '{}' has no {name}, which it needs", self.id))
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.value(name)?.as_str().ok_or_else(|| format!("{name} of instruction '{}' is no text", self.id))
    }

    fn texts(&self, name: &str) -> Result<Vec<&str>, String> {
        let list = self.value(name)?.as_array().and_then(|list| list.iter().map(Json::as_str).collect());
        list.ok_or_else(|| format!("{name} of instruction '{}' is no list of texts", self.id))
    }

    fn count(&self, name: &str) -> Result<usize, String> {
        let whole = self.value(name)?.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0);
        whole
            .map(|number| number as usize)
            .ok_or_else(|| format!("{name} of instruction '{}' is no whole number from 0 on", self.id))
    }

    fn often(&self, relation: &str, count: &str) -> Result<Often, String> {
        // a limit of zero is as good as none to lm-evaluation-harness, which draws another one then
        let limit = self.count(count)?;
        match self.text(relation)? {
            "less than" => Ok(Often::LessThan(limit)),
            "at least" => Ok(Often::AtLeast(limit)),
            other => {
                Err(format!("{relation} of instruction '{}' is '{other}'; less than or at least is needed", self.id))
            }
        }
    }

    fn pattern(&self, pattern: &str) -> Result<Regex, String> {
        regex(pattern).map_err(|why| format!("instruction '{}': {why}", self.id))
    }

    fn patterns(&self, name: &str, around: (&str, &str)) -> Result<Vec<Regex>, String> {
        let (before, after) = around;
        self.texts(name)?.iter().map(|word| self.pattern(&format!("(?i){before}{word}{after}"))).collect()
    }
}

impl Instruction {
    fn parse(of: &Arguments) -> Result<Instruction, String> {
        use Instruction::*;
        Ok(match of.id {
            "keywords:existence" => Keywords(of.patterns("keywords", ("", ""))?),
            "keywords:frequency" => KeywordOften(
                of.pattern(&format!("(?i){}", stripped(of.text("keyword")?)))?,
                of.often("relation", "frequency")?,
            ),
            "keywords:forbidden_words" => NoneOf(of.patterns("forbidden_words", (r"\b", r"\b"))?),
            "keywords:letter_frequency" => {
                let letter = of.text("letter")?.to_lowercase();
                let mut letters = letter.chars();
                match (letters.next(), letters.next()) {
                    // a sign that is no letter is counted all the same; lm-evaluation-harness draws a letter for it
                    (Some(letter), None) => LetterOften(letter, of.often("let_relation", "let_frequency")?),
                    _ => return Err(format!("letter of instruction '{}' is '{letter}'; one letter is needed", of.id)),
                }
            }
            "language:response_language" => {
                let code = of.text("language")?;
                if !language::is_known(code) {
                    return Err(format!(
                        "instruction '{}' asks for '{code}', a language that bantam cannot tell; it tells {}",
                        of.id,
                        language::codes()
                    ));
                }
                InLanguage(code.to_owned())
            }
            "length_constraints:number_sentences" => Sentences(of.often("relation", "num_sentences")?),
            "length_constraints:number_paragraphs" => Paragraphs(of.count("num_paragraphs")?),
            "length_constraints:number_words" => Words(of.often("relation", "num_words")?),
            "length_constraints:nth_paragraph_first_word" => NthBegins {
                paragraphs: of.count("num_paragraphs")?,
                nth: of.count("nth_paragraph")?,
                word: of.text("first_word")?.to_lowercase(),
            },
            "detectable_content:number_placeholders" => Placeholders(of.count("num_placeholders")?),
            "detectable_content:postscript" => {
                let pattern = match stripped(of.text("postscript_marker")?) {
                    "P.P.S" => r"(?m)\s*p\.\s?p\.\s?s.*$".into(),
                    "P.S." => r"(?m)\s*p\.\s?s\..*$".into(),
                    other => format!(r"(?m)\s*{}.*$", other.to_lowercase()),
                };
                Postscript(of.pattern(&pattern)?)
            }
            "detectable_format:number_bullet_lists" => Bullets(of.count("num_bullets")?),
            "detectable_format:constrained_response" => OneOfThree,
            "detectable_format:number_highlighted_sections" => Highlights(of.count("num_highlights")?),
            "detectable_format:multiple_sections" => Sections(
                of.pattern(&format!(r"\s?{}\s?\d+\s?", stripped(of.text("section_spliter")?)))?,
                of.count("num_sections")?,
            ),
            "detectable_format:json_format" => IsJson,
            "detectable_format:title" => HasTitle,
            "combination:two_responses" => TwoAnswers,
            "combination:repeat_prompt" => Repeats(stripped(of.text("prompt_to_repeat")?).to_lowercase()),
            "startend:end_checker" => EndsWith(stripped(of.text("end_phrase")?).to_lowercase()),
            "change_case:capital_word_frequency" => CapitalWords(of.often("capital_relation", "capital_frequency")?),
            "change_case:english_capital" => AllCapital,
            "change_case:english_lowercase" => NoCapital,
            "punctuation:no_comma" => NoComma,
            "startend:quotation" => InQuotes,
            other => return Err(format!("'{other}' is no instruction that IFEval has")),
        })
    }

    fn is_followed(&self, answer: &str) -> bool {
        use Instruction::*;
        let has = |regex: &Regex| regex.is_match(answer).unwrap_or(false);
        match self {
            Keywords(all) => all.iter().all(has),
            KeywordOften(keyword, often) => often.is(finds(keyword, answer).len()),
            NoneOf(all) => !all.iter().any(has),
            LetterOften(letter, often) => often.is(answer.to_lowercase().chars().filter(|c| c == letter).count()),
            // an answer without a letter has no language that it could be wrong in
            InLanguage(code) => language::of(answer).is_none_or(|found| found == code),
            Sentences(often) => often.is(words::sentences(answer)),
            Paragraphs(count) => paragraphs(answer) == Some(*count),
            Words(often) => often.is(words::words(answer)),
            NthBegins { paragraphs, nth, word } => nth_begins(answer, *paragraphs, *nth, word),
            Placeholders(least) => count(r"\[.*?\]", answer) >= *least,
            Postscript(marker) => marker.is_match(&answer.to_lowercase()).unwrap_or(false),
            Bullets(exactly) => count(r"(?m)^\s*\*[^\*].*$", answer) + count(r"(?m)^\s*-.*$", answer) == *exactly,
            OneOfThree => ["My answer is yes.", "My answer is no.", "My answer is maybe."]
                .iter()
                .any(|option| stripped(answer).contains(option)),
            Highlights(least) => highlights(answer) >= *least,
            Sections(splitter, least) => finds(splitter, answer).len() >= *least,
            IsJson => is_json(answer),
            HasTitle => titles(answer),
            TwoAnswers => two_answers(answer),
            Repeats(prompt) => stripped(answer).to_lowercase().starts_with(prompt),
            EndsWith(phrase) => stripped(answer).trim_matches('"').to_lowercase().ends_with(phrase),
            CapitalWords(often) => often.is(words::capitals(answer)),
            AllCapital => words::is_upper(answer) && language::of(answer).is_none_or(|found| found == "en"),
            NoCapital => is_lower(answer) && language::of(answer).is_none_or(|found| found == "en"),
            NoComma => !answer.contains(','),
            InQuotes => {
                let answer = stripped(answer);
                answer.chars().count() > 1 && answer.starts_with('"') && answer.ends_with('"')
            }
        }
    }
}

impl Instructions {
    /// A line's instructions as a JSON text that [`parse`](Instructions::parse) takes, checked.
    pub(crate) fn written(ids: &[String], arguments: &[Json]) -> Result<String, String> {
        if ids.len() != arguments.len() {
            return Err(format!("there are {} instructions and keys for {}", ids.len(), arguments.len()));
        }
        let text = json!(ids.iter().zip(arguments).collect::<Vec<_>>()).to_string();
        Instructions::parse(&text)?;
        Ok(text)
    }

    /// Reads a JSON list of pairs: the instruction's name, and its keys.
    pub(crate) fn parse(text: &str) -> Result<Instructions, String> {
        let pairs: Vec<(String, Json)> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let one = |(id, given): &(String, Json)| Instruction::parse(&Arguments { id, given: given.as_object() });
        pairs.iter().map(one).collect::<Result<_, _>>().map(Instructions)
    }

    /// Which instructions the answer follows as it is.
    pub(super) fn strictly(&self, answer: &str) -> Vec<bool> {
        self.0.iter().map(|one| follows(one, answer)).collect()
    }

    /// Which it follows in one of its readings.
    pub(super) fn loosely(&self, answer: &str) -> Vec<bool> {
        let lines: Vec<&str> = answer.split('\n').collect();
        let without = |from: usize, behind: usize| {
            let lines = lines.get(from..lines.len().saturating_sub(behind).max(from)).unwrap_or_default();
            stripped(&lines.join("\n")).to_owned()
        };
        let mut readings = vec![answer.to_owned(), without(1, 0), without(0, 1), without(1, 1)];
        readings.extend(readings.clone().into_iter().map(|reading| reading.replace('*', "")));
        self.0.iter().map(|one| readings.iter().any(|reading| follows(one, reading))).collect()
    }
}

/// An answer that says nothing follows nothing.
fn follows(instruction: &Instruction, answer: &str) -> bool {
    !stripped(answer).is_empty() && instruction.is_followed(answer)
}

/// `re.findall`
fn finds<'a>(regex: &Regex, text: &'a str) -> Vec<&'a str> {
    regex.find_iter(text).map_while(Result::ok).map(|found| found.as_str()).collect()
}

fn count(pattern: &str, text: &str) -> usize {
    finds(&regex(pattern).expect("a pattern without faults"), text).len()
}

/// `str.islower`: some letter, and none that is large.
fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)
}

/// Paragraphs that `***` parts; None where one within the text is empty.
fn paragraphs(answer: &str) -> Option<usize> {
    let splitter = regex(r"\s?\*\*\*\s?").expect("a pattern without faults");
    let parts: Vec<&str> = splitter.split(answer).map_while(Result::ok).collect();
    let is_empty = |at: usize| stripped(parts[at]).is_empty();
    let inner = 1..parts.len().saturating_sub(1);
    if inner.into_iter().any(is_empty) {
        return None;
    }
    let ends = if parts.len() == 1 { vec![0] } else { vec![0, parts.len() - 1] };
    Some(parts.len() - ends.into_iter().filter(|at| is_empty(*at)).count())
}

/// So many paragraphs, parted by empty lines, of which the n-th begins with the word.
fn nth_begins(answer: &str, paragraphs: usize, nth: usize, word: &str) -> bool {
    let parts: Vec<&str> = answer.split("\n\n").collect();
    let filled = parts.iter().filter(|part| !stripped(part).is_empty()).count();
    // counted among all, and held against the number of those that are filled
    if nth == 0 || nth > filled {
        return false;
    }
    let Some(first) = split(parts[nth - 1]).next() else { return false };
    let first = first.trim_start_matches('\'').trim_start_matches('"');
    let bare: String = first.chars().take_while(|c| !".,?!'\"".contains(*c)).collect();
    filled == paragraphs && bare.to_lowercase() == word
}

/// `*text*` and `**text**`, each for itself, as the checker counts them.
fn highlights(answer: &str) -> usize {
    let of = |pattern: &str| finds(&regex(pattern).expect("a pattern without faults"), answer);
    let single = of(r"\*[^\n\*]*\*").into_iter().filter(|found| !stripped(found.trim_matches('*')).is_empty());
    let double = of(r"\*\*[^\n\*]*\*\*").into_iter().filter(|found| {
        let inner = found.strip_prefix("**").unwrap_or(found);
        !stripped(inner.strip_suffix("**").unwrap_or(inner)).is_empty()
    });
    single.count() + double.count()
}

fn is_json(answer: &str) -> bool {
    let mut text = stripped(answer);
    for fence in ["```json", "```Json", "```JSON", "```"] {
        text = text.strip_prefix(fence).unwrap_or(text);
    }
    let text = stripped(text.strip_suffix("```").unwrap_or(text));
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn titles(answer: &str) -> bool {
    let all = finds(&regex(r"<<[^\n]+>>").expect("a pattern without faults"), answer);
    all.iter().any(|title| !stripped(title.trim_start_matches('<').trim_end_matches('>')).is_empty())
}

/// Two answers that are not the same, parted by six asterisks.
fn two_answers(answer: &str) -> bool {
    let parts: Vec<&str> = answer.split("******").map(stripped).collect();
    let inner = parts.get(1..parts.len() - 1).unwrap_or_default();
    let filled: Vec<&&str> = parts.iter().filter(|part| !part.is_empty()).collect();
    !inner.contains(&"") && matches!(filled[..], [one, other] if one != other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        ids: Vec<String>,
        kwargs: Vec<Json>,
        answer: String,
        strict: Vec<bool>,
        loose: Vec<bool>,
    }

    /// What `test_instruction_following_strict` and `_loose` of 0.4.13 say (xtask/goldens/instructions.py).
    #[test]
    fn answers_follow_what_they_follow_in_lm_eval() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/metrics/instructions.json");
        let text = std::fs::read_to_string(file).expect("a golden file");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("of this shape");
        assert!(cases.len() > 200, "{}", cases.len());
        for Case { ids, kwargs, answer, strict, loose } in cases {
            let text = Instructions::written(&ids, &kwargs).expect("instructions");
            let known = Instructions::parse(&text).expect("its own text");
            assert_eq!(
                (known.strictly(&answer), known.loosely(&answer)),
                (strict, loose),
                "{ids:?} {kwargs:?} {answer:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused_before_it_is_asked() {
        let refused = |id: &str, arguments: Json| Instructions::written(&[id.into()], &[arguments]).unwrap_err();
        assert!(refused("keywords:rhyme", json!({})).contains("'keywords:rhyme' is no instruction"));
        assert!(
            refused("length_constraints:number_words", json!({ "num_words": 3, "relation": null }))
                .contains("no relation")
        );
        assert!(refused("language:response_language", json!({ "language": "cy" })).contains("bantam cannot tell"));
        assert!(refused("keywords:existence", json!({ "keywords": ["("] })).contains("no regular expression"));
        assert!(Instructions::written(&["punctuation:no_comma".into()], &[]).is_err());
    }
}
