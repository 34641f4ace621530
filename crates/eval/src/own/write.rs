//! The file of a suite that asks one task of somebody's own data, as a person would write it.

use super::columns::{Column, Columns, Holds};
use super::guess::{Asked, Options, RightIs, Unclear};
use crate::data::WHOLE;
use serde_json::{Map, Value as Json};
use std::fmt::Write;

/// Labels that are told to the model before each question; more of them would be a page.
const TOLD: usize = 20;
/// Signs of a written answer's token, at the least.
const SIGNS_A_TOKEN: usize = 2;
/// Tokens that a written answer has beside those of the longest right one, and the most that it has.
const TOKENS: (usize, usize) = (12, 512);
/// Labels by which the score is broken down.
const SLICES: usize = 20;

/// A suite's file with one task, as it is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteFile {
    /// The suite's name, and its task's.
    pub name: String,
    /// The data, from the suite's folder.
    pub data: String,
    /// Examples before each question: how many, and their file from the suite's folder.
    pub shots: Option<(usize, String)>,
    /// What is asked.
    pub asked: Asked,
}

impl SuiteFile {
    /// Writes the suite's file.
    ///
    /// # Errors
    /// Where a column has a name that no template can have.
    pub fn to_toml(&self, columns: &Columns) -> Result<String, Unclear> {
        let Asked { question, answer, options } = &self.asked;
        for name in question.iter().chain([answer]) {
            can_be_named(name, columns)?;
        }
        let cue = cue(answer, "Answer");
        let mut text = String::new();
        for name in question {
            let before =
                if question.len() == 1 && plain_cue(name).is_none() { "Text".into() } else { self::cue(name, "Text") };
            let _ = writeln!(text, "{before}: {}", field(name));
        }
        let mut out = Lines(String::new());
        out.key("name", &self.name);
        out.line("version = 1");
        out.key("title", &format!("{} of {}", self.asked.answer, self.data.rsplit('/').next().unwrap_or(&self.data)));
        out.key("description", &format!("Of {}: {}.", self.data, self.asked.told()));
        out.line("\n[[task]]");
        out.key("task", &self.name);
        out.key("data", &self.data);
        match options {
            Options::Labels(labels) => {
                out.key("output_type", "multiple_choice");
                if labels.len() <= TOLD && !labels.iter().any(|label| has_signs(label)) {
                    out.key("description", &format!("Answer with one of: {}.\n\n", labels.join(", ")));
                }
                out.key("doc_to_text", &format!("{text}{cue}:"));
                out.list("doc_to_choice", &labels.iter().map(|label| as_it_stands(label)).collect::<Vec<_>>());
                out.key("doc_to_target", &right_label(columns, answer, labels));
                out.line("metric_list = [{ metric = \"acc\" }, { metric = \"acc_norm\" }]");
            }
            Options::Written { longest, has_lines } => {
                out.key("output_type", "generate_until");
                out.key("doc_to_text", &format!("{text}{cue}:"));
                let tokens = (longest / SIGNS_A_TOKEN + TOKENS.0).min(TOKENS.1);
                if columns.all_hold(answer, SOLVED) {
                    solved(&mut out, answer, tokens, &cue_of(question));
                    return Ok(self.with_shots(out, options, false));
                }
                out.key("doc_to_target", answer);
                let first = cue_of(question);
                let (until, filter) = match has_lines {
                    false => ("\n".to_owned(), "(\\S.*\\S|\\S)"),
                    true => (format!("\n{first}:"), "(?s)(\\S.*\\S|\\S)"),
                };
                out.line(&format!("generation_kwargs = {{ until = [{}], max_gen_toks = {tokens} }}", quoted(&until)));
                // what stands around the answer is none of it
                out.line(&format!(
                    "filter_list = [{{ name = \"bare\", filter = [{{ function = \"regex\", regex_pattern = {} }}, \
                     {{ function = \"take_first\" }}] }}]",
                    quoted(filter)
                ));
                out.line("metric_list = [{ metric = \"exact_match\", ignore_case = true, ignore_punctuation = true }]");
            }
            Options::Columns(names, right) => {
                names.iter().try_for_each(|name| can_be_named(name, columns))?;
                let letters: Vec<String> = letters(names.len(), *right);
                for (letter, name) in letters.iter().zip(names) {
                    let _ = writeln!(text, "{letter}. {}", field(name));
                }
                out.key("output_type", "multiple_choice");
                out.key("doc_to_text", &format!("{text}{cue}:"));
                out.list("doc_to_choice", &letters);
                let options = names.iter().map(|name| inner(name)).collect::<Vec<_>>().join(", ");
                out.key(
                    "doc_to_target",
                    &match right {
                        RightIs::Text => format!("{{{{ [{options}].index({}) }}}}", inner(answer)),
                        right => right_option(columns, answer, names.len(), *right),
                    },
                );
                out.line("metric_list = [{ metric = \"acc\" }]");
            }
            Options::List(list, right) => {
                can_be_named(list, columns)?;
                out.key("output_type", "multiple_choice");
                out.key("doc_to_text", &format!("{text}{cue}:"));
                out.key("doc_to_choice", list);
                let most = columns.longest_list(list);
                out.key(
                    "doc_to_target",
                    &match right {
                        RightIs::Text => answer.clone(),
                        RightIs::Letter { .. } => {
                            let letters: Vec<String> =
                                letters(most, *right).iter().map(|letter| quoted(letter)).collect();
                            format!("{{{{ [{}].index({}) }}}}", letters.join(", "), inner(answer))
                        }
                        right => right_option(columns, answer, most, *right),
                    },
                );
                out.line("metric_list = [{ metric = \"acc\" }, { metric = \"acc_norm\" }]");
            }
        }
        let spelt = columns.get(answer).is_some_and(|column| !column.spellings.is_empty());
        Ok(self.with_shots(out, options, spelt))
    }

    /// The file with its last keys.
    fn with_shots(&self, mut out: Lines, options: &Options, spelt: bool) -> String {
        match &self.shots {
            Some((shots, file)) => {
                out.line(&format!("num_fewshot = {shots}"));
                out.key("fewshot_data", file);
            }
            None => out.line("num_fewshot = 0"),
        }
        // a slice is a value as the data writes it
        if let Options::Labels(labels) = options
            && labels.len() <= SLICES
            && !spelt
        {
            out.list("slices", std::slice::from_ref(&self.asked.answer));
        }
        out.0
    }
}

/// A label as a template that writes it as it stands.
fn as_it_stands(label: &str) -> String {
    if ["{{", "{%", "{#"].iter().any(|mark| label.contains(mark)) {
        format!("{{{{ {} }}}}", quoted(label))
    } else {
        label.to_owned()
    }
}

/// What a worked solution ends with before its result, as in GSM8K.
const SOLVED: &str = "####";

/// The keys of a task whose right answers are worked solutions: the result alone is right or wrong, the last number that the
/// model writes against what stands behind the mark.
fn solved(out: &mut Lines, answer: &str, tokens: usize, first: &str) {
    out.key("doc_to_target", &format!("{{{{ {}.split('{SOLVED}')[-1].strip() }}}}", inner(answer)));
    out.line(&format!(
        "generation_kwargs = {{ until = [{}], max_gen_toks = {tokens} }}",
        quoted(&format!("\n{first}:"))
    ));
    out.line(&format!(
        "filter_list = [{{ name = \"result\", filter = [{{ function = \"regex\", group_select = -1, regex_pattern = {} }}, \
         {{ function = \"take_first\" }}] }}]",
        quoted("(-?[$0-9.,]{2,})|(-?[0-9]+)")
    ));
    let ignored = [",", "\\$", "\\.$"].map(quoted).join(", ");
    out.line(&format!("metric_list = [{{ metric = \"exact_match\", regexes_to_ignore = [{ignored}] }}]"));
}

impl Columns {
    /// Takes some lines out as examples, of every answer as many as of the others: the places of the examples.
    pub fn examples(&self, answer: &str, shots: usize) -> Vec<usize> {
        let mut seen: Vec<(String, usize)> = Vec::new();
        // by how many of its answer came before it, then by its place: one of each answer, then a second one of each
        let mut ranked: Vec<(usize, usize)> = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            let said = line.fields().get(answer).map(super::columns::written).unwrap_or_default();
            let rank = match seen.iter_mut().find(|(known, _)| *known == said) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                // of many answers each is the first of its kind
                None => {
                    if seen.len() < TOLD * 5 {
                        seen.push((said, 0));
                    }
                    0
                }
            };
            ranked.push((rank, place));
        }
        ranked.sort_unstable();
        let mut places: Vec<usize> = ranked.into_iter().take(shots).map(|(_, place)| place).collect();
        places.sort_unstable();
        places
    }

    /// The lines' fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &Map<String, Json>> {
        self.lines.iter().map(|line| line.fields())
    }

    fn longest_list(&self, name: &str) -> usize {
        let lists = self.lines.iter().filter_map(|line| line.fields().get(name).and_then(Json::as_array).map(Vec::len));
        lists.max().unwrap_or(0)
    }
}

/// The template or field that gives the right one of these labels. Numbers would be taken for places among them, and what is written
/// in several ways is found however it is written.
fn right_label(columns: &Columns, answer: &str, labels: &[String]) -> String {
    let column = columns.get(answer);
    let holds = column.map(|column: &Column| column.holds);
    let counts_on = labels.iter().enumerate().all(|(at, label)| *label == at.to_string());
    if let Some(column) = column.filter(|column| !column.spellings.is_empty()) {
        // small letters tell them apart where two were merged, and only there
        let lower: Vec<String> = labels.iter().map(|label| label.to_lowercase()).collect();
        let apart = lower.iter().enumerate().all(|(at, label)| !lower[..at].contains(label));
        let by_case = column.spellings.iter().any(|(other, kept)| other.trim() != kept) && apart;
        let (labels, as_written) = if by_case { (&lower[..], ".lower()") } else { (labels, "") };
        let quoted: Vec<String> = labels.iter().map(|label| quoted(label)).collect();
        return format!("{{{{ [{}].index({}.strip(){as_written}) }}}}", quoted.join(", "), inner(answer));
    }
    match holds {
        Some(Holds::Whole) if !counts_on || column.is_some_and(|column| column.has_points) => {
            format!("{{{{ [{}].index({}) }}}}", labels.join(", "), inner(answer))
        }
        _ => answer.to_owned(),
    }
}

/// The same of one of so many options.
fn right_option(columns: &Columns, answer: &str, options: usize, right: RightIs) -> String {
    let has_points = columns.get(answer).is_some_and(|column| column.has_points);
    let from = |first: usize| {
        let numbers: Vec<String> = (first..first + options).map(|number| number.to_string()).collect();
        format!("{{{{ [{}].index({}) }}}}", numbers.join(", "), inner(answer))
    };
    match right {
        RightIs::From0 if has_points => from(0),
        RightIs::From1 => from(1),
        _ => answer.to_owned(),
    }
}

/// "A", "B", "C" …
fn letters(count: usize, right: RightIs) -> Vec<String> {
    let first = if right == (RightIs::Letter { is_small: true }) { b'a' } else { b'A' };
    (0..count.min(26)).map(|at| char::from(first + at as u8).to_string()).collect()
}

/// Refuses names that cannot stand in a template, or that the file of the suite would write otherwise than the data does.
fn can_be_named(name: &str, columns: &Columns) -> Result<(), Unclear> {
    let odd = name.contains(['"', '\\', '\n', '\r']) || name.chars().any(char::is_control) || name.is_empty();
    let hidden = !is_word(name) && columns.get(WHOLE).is_some();
    match odd || hidden {
        true => Err(Unclear::NoAnswer(format!(
            "the column '{}' has a name that a template cannot name; rename it to a word",
            name.escape_debug()
        ))),
        false => Ok(()),
    }
}

/// Words of templates that no field can be named by alone.
const KEYWORDS: &[&str] =
    &["true", "false", "none", "not", "and", "or", "in", "is", "if", "else", "loop", "self", "super"];

fn is_word(name: &str) -> bool {
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    begins
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&name.to_ascii_lowercase().as_str())
}

/// A field within an expression.
fn inner(name: &str) -> String {
    if is_word(name) { name.to_owned() } else { format!("{WHOLE}[\"{name}\"]") }
}

/// A field in a text.
fn field(name: &str) -> String {
    if is_word(name) { format!("{{{{{name}}}}}") } else { format!("{{{{ {} }}}}", inner(name)) }
}

/// What stands before a field: its own name as words, where it is some.
fn cue(name: &str, otherwise: &str) -> String {
    plain_cue(name).unwrap_or_else(|| otherwise.to_owned())
}

fn cue_of(question: &[String]) -> String {
    question.first().map_or_else(|| "Text".into(), |name| cue(name, "Text"))
}

/// "order_text" is "Order text"; None where the name says nothing to a reader.
fn plain_cue(name: &str) -> Option<String> {
    let words = name.replace(['_', '-'], " ");
    let words = words.trim();
    let is_plain = words.chars().all(|c| c.is_alphanumeric() || c == ' ') && words.chars().any(char::is_alphabetic);
    let mut letters = words.chars();
    let first = letters.next().filter(|_| is_plain && words.chars().count() > 1)?;
    Some(first.to_uppercase().chain(letters).collect())
}

/// Whether a template would read something into the text.
fn has_signs(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|sign| text.contains(sign))
}

/// A text as TOML writes it on one line.
pub(super) fn quoted(text: &str) -> String {
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

struct Lines(String);

impl Lines {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {}", quoted(value)));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        self.line(&format!("{key} = [{}]", values.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::{How, Picked};
    use std::path::PathBuf;

    #[test]
    fn a_worked_solution_is_right_by_its_result() {
        let rows: String = (2..40)
            .map(|n| format!("{{\"question\":\"q {n}\",\"answer\":\"{n} and 1\\n#### {}\"}}\n", n + 1))
            .collect();
        let (prompt, target, items) = asked("sums.jsonl", &rows, &Picked::default());
        assert_eq!((target.trim(), items), ("3", 38), "{prompt}");
    }

    /// Writes the data and its suite, reads the suite as every suite is read, and gives the first prompt with its right
    /// answer, and how many items there are.
    fn asked(data: &str, text: &str, picked: &Picked) -> (String, String, usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let file: PathBuf = folder.path().join(data);
        std::fs::write(&file, text).expect("written");
        let columns = Columns::read(&file).expect("data");
        let asked = columns.ask(picked).expect("clear");
        let suite = SuiteFile { name: "own".into(), data: data.into(), shots: None, asked };
        let path = folder.path().join("own.suite.toml");
        std::fs::write(&path, suite.to_toml(&columns).expect("named")).expect("written");
        let suite = crate::load(&path.display().to_string()).expect("a suite");
        let task = &suite.tasks[0];
        let lessons = task.lessons().expect("right answers");
        (task.prompts()[&0].clone(), lessons[0].1.answer.clone(), task.items().len())
    }

    fn rows(row: impl Fn(usize) -> String) -> String {
        (0..40).map(|n| row(n) + "\n").collect()
    }

    #[test]
    fn labels_are_choices() {
        let text =
            format!("id,body,topic\n{}", rows(|n| format!("{n},Where is {n}?,{}", ["delivery", "billing"][n % 2])));
        let (prompt, answer, items) = asked("t.csv", &text, &Picked::default());
        assert_eq!(prompt, "Answer with one of: billing, delivery.\n\nBody: Where is 0?\nTopic:");
        assert_eq!((answer.as_str(), items), (" delivery", 40));
    }

    #[test]
    fn labels_that_are_written_in_several_ways_are_one() {
        let of = |labels: [&'static str; 4]| {
            let text = format!("id,body,topic\n{}", rows(|n| format!("{n},Where is {n}?,{}", labels[n % 4])));
            asked("t.csv", &text, &Picked::default())
        };
        let (prompt, answer, items) = of(["Billing ", "billing", "billing", "delivery"]);
        assert!(prompt.starts_with("Answer with one of: billing, delivery."), "{prompt}");
        assert_eq!((answer.as_str(), items), (" billing", 40));
        assert_eq!(of([" Billing ", "Billing", "Delivery", "Delivery"]).1, " Billing");
        // "1.0" is 1, as a label and as a place
        assert_eq!(of(["1.0", "1", "2.0", "3"]).1, " 1");
        assert_eq!(of(["0.0", "1.0", "0.0", "1.0"]).1, " 0");
        let options = format!("question,A,B,label\n{}", rows(|n| format!("q{n},x{n},y{n},{}.0", n % 2)));
        assert_eq!(asked("t.csv", &options, &Picked::default()).1, " A");
    }

    #[test]
    fn numbers_as_labels_are_no_places() {
        let text = format!("text,label\n{}", rows(|n| format!("a {n},{}", 1 + n % 3)));
        let (_, answer, _) = asked("t.csv", &text, &Picked::default());
        assert_eq!(answer, " 1");
        let from0 = format!("text,label\n{}", rows(|n| format!("a {n},{}", n % 3)));
        assert_eq!(asked("t.csv", &from0, &Picked::default()).1, " 0");
        let truths = rows(|n| format!("{{\"text\":\"a {n}\",\"label\":{}}}", n % 2 == 0));
        assert_eq!(asked("t.jsonl", &truths, &Picked::default()).1, " true");
    }

    #[test]
    fn answers_are_written() {
        let text = format!("question,answer\n{}", rows(|n| format!("Capital {n}?,City {n}")));
        let (prompt, answer, _) = asked("t.csv", &text, &Picked::default());
        assert_eq!((prompt.as_str(), answer.as_str()), ("Question: Capital 0?\nAnswer:", " City 0"));
        let lines = rows(|n| format!("{{\"question\":\"q {n}\",\"answer\":\"a\\nb {n}\"}}"));
        assert_eq!(asked("t.jsonl", &lines, &Picked::default()).1, " a\nb 0");
    }

    #[test]
    fn options_in_columns_are_letters_whatever_says_which_is_right() {
        let head = "question,A,B,C,answer";
        let of = |right: &str| {
            format!("{head}\n{}", rows(|n| format!("q{n},x{n},y{n},z{n},{}", right.replace('#', &n.to_string()))))
        };
        let (prompt, answer, _) = asked("t.csv", &of("B"), &Picked::default());
        assert_eq!((prompt.as_str(), answer.as_str()), ("Question: q0\nA. x0\nB. y0\nC. z0\nAnswer:", " B"));
        assert_eq!(asked("t.csv", &of("z#"), &Picked::default()).1, " C");
        assert_eq!(asked("t.csv", &of("b"), &Picked::default()).1, " b");
        let numbers = |from: usize| format!("{head}\n{}", rows(|n| format!("q{n},x{n},y{n},z{n},{}", from + n % 3)));
        assert_eq!(asked("t.csv", &numbers(0), &Picked::default()).1, " A");
        assert_eq!(asked("t.csv", &numbers(1), &Picked::default()).1, " A");
    }

    #[test]
    fn options_in_a_list_are_their_texts() {
        let of =
            |label: &str| rows(|n| format!("{{\"ctx\":\"c{n}\",\"endings\":[\"x{n}\",\"y{n}\"],\"label\":{label}}}"));
        let from0 = rows(|n| format!("{{\"ctx\":\"c{n}\",\"endings\":[\"x{n}\",\"y{n}\"],\"label\":{}}}", (1 + n) % 2));
        assert_eq!(asked("t.jsonl", &from0, &picked_options("endings")).1, " y0");
        assert_eq!(asked("t.jsonl", &of("\"B\""), &Picked::default()).1, " y0");
        let from1 = rows(|n| format!("{{\"ctx\":\"c{n}\",\"endings\":[\"x{n}\",\"y{n}\"],\"label\":{}}}", 1 + n % 2));
        assert_eq!(asked("t.jsonl", &from1, &Picked::default()).1, " x0");
    }

    fn picked_options(list: &str) -> Picked {
        Picked { how: Some(How::Options), options: vec![list.into()], ..Picked::default() }
    }

    #[test]
    fn names_that_are_no_words_can_be_asked_for() {
        let text = format!("the text,über topic\n{}", rows(|n| format!("a {n},{}", ["x", "y"][n % 2])));
        let (prompt, answer, _) = asked("t.csv", &text, &Picked::default());
        assert!(prompt.ends_with("The text: a 0\nÜber topic:") && answer == " x", "{prompt}");
        let odd = format!("te\"\"xt,label\n{}", rows(|n| format!("a {n},{}", ["x", "y"][n % 2])));
        let odd = odd.replacen("te\"\"xt", "\"te\"\"xt\"", 1);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("t.csv");
        std::fs::write(&file, odd).expect("written");
        let columns = Columns::read(&file).expect("data");
        let asked = columns.ask(&Picked::default()).expect("clear");
        let suite = SuiteFile { name: "own".into(), data: "t.csv".into(), shots: None, asked };
        assert!(suite.to_toml(&columns).expect_err("refused").to_string().contains("rename it to a word"));
    }

    #[test]
    fn examples_are_of_every_answer() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("t.csv");
        let text: String =
            (0..9).map(|n| format!("t{n},{}\n", ["x", "x", "x", "y", "y", "y", "z", "z", "z"][n])).collect();
        std::fs::write(&file, format!("text,label\n{text}")).expect("written");
        let columns = Columns::read(&file).expect("data");
        assert_eq!(columns.examples("label", 3), [0, 3, 6]);
        assert_eq!(columns.examples("label", 4), [0, 1, 3, 6]);
    }
}
