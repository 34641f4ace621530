//! Which column is the question and which the answer: as it was picked, or where that is unmistakable. What is not
//! unmistakable is never guessed; a sentence says which columns it may be.

use super::columns::{Column, Columns, Holds, whole, written};
use serde_json::Value as Json;

/// Names that questions go by, in small letters without signs between the words.
const QUESTIONS: &[&str] = &[
    "question",
    "text",
    "prompt",
    "input",
    "body",
    "message",
    "sentence",
    "content",
    "review",
    "query",
    "utterance",
    "problem",
    "instruction",
    "stem",
    "ctx",
    "ticket",
    "comment",
    "tweet",
    "email",
    "title",
    "question_stem",
];
/// Names of what stands before the question, each read with it.
const BEFORE: &[&str] = &["context", "passage", "paragraph", "document", "story", "article"];
/// Names that answers go by.
const ANSWERS: &[&str] = &[
    "answer",
    "label",
    "target",
    "class",
    "category",
    "intent",
    "output",
    "response",
    "completion",
    "gold",
    "expected",
    "sentiment",
    "topic",
    "queue",
    "answerkey",
    "solution",
    "correct",
    "groundtruth",
    "truth",
    "reply",
    "labeltext",
    "correctanswer",
    "bestanswer",
    "rightanswer",
    "finalanswer",
    "goldanswer",
    "reference",
    "answers",
];
/// Names of answers that are numbers to be written, and no numbers of classes.
const WRITTEN: &[&str] = &[
    "answer",
    "output",
    "response",
    "completion",
    "solution",
    "expected",
    "reply",
    "correctanswer",
    "bestanswer",
    "finalanswer",
    "answers",
];
/// Names of lists of options.
const LISTS: &[&str] = &["choices", "options", "endings", "candidates", "alternatives"];
/// What a column of one option may be called before its letter or number.
const ONE_OF: &[&str] =
    &["option", "choice", "opt", "ending", "candidate", "answer", "alternative", "op", "ans", "sol"];

/// Classes that are told without being asked; more of them are a list of answers.
const CLASSES: usize = 1000;
/// Lines that each class has in the mean, where it is one.
const LINES_A_CLASS: usize = 4;
/// Signs of a class's name.
const SIGNS: usize = 60;

/// How the answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// One of few labels, the same for every question.
    Labels,
    /// Written freely, and right where it is the same but for case and punctuation.
    Written,
    /// One of several options that stand beside the question.
    Options,
}

impl How {
    /// All of them.
    pub const ALL: [How; 3] = [How::Labels, How::Written, How::Options];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            How::Labels => "labels",
            How::Written => "written",
            How::Options => "options",
        }
    }
}

/// What was picked; what is left open is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// How the answer is asked for.
    pub how: Option<How>,
    /// The columns that the model reads, in this order.
    pub question: Vec<String>,
    /// The column of the right answer.
    pub answer: Option<String>,
    /// The columns of the options, or one that holds a list of them.
    pub options: Vec<String>,
}

/// What is asked, with every column known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The columns that the model reads, at least one.
    pub question: Vec<String>,
    /// The column of the right answer.
    pub answer: String,
    /// Where the answers come from.
    pub options: Options,
}

/// Where the answers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// They are these for every question, in this order.
    Labels(Vec<String>),
    /// The model writes them; so many signs has the longest.
    Written {
        /// Signs of the longest right answer.
        longest: usize,
        /// Some right answers have several lines.
        has_lines: bool,
    },
    /// A column each.
    Columns(Vec<String>, RightIs),
    /// A column that holds a list.
    List(String, RightIs),
}

/// How the column of the answer says which option is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightIs {
    /// Its number from 0.
    From0,
    /// Its number from 1.
    From1,
    /// Its letter, A or a.
    Letter {
        /// Letters are small.
        is_small: bool,
    },
    /// Its text.
    Text,
}

impl Asked {
    /// How the answer is asked for.
    pub fn how(&self) -> How {
        match self.options {
            Options::Labels(_) => How::Labels,
            Options::Written { .. } => How::Written,
            Options::Columns(..) | Options::List(..) => How::Options,
        }
    }

    /// "body is the question, topic the answer: one of 4 labels".
    pub fn told(&self) -> String {
        let question = self.question.join(" and ");
        let answer = match &self.options {
            Options::Labels(labels) => format!("one of {} labels", labels.len()),
            Options::Written { .. } => "written, and right where it is the same but for case and punctuation".into(),
            Options::Columns(columns, _) => format!("one of the options {}", columns.join(", ")),
            Options::List(list, _) => format!("one of the options in {list}"),
        };
        format!("{question} is the question, {} the answer: {answer}", self.answer)
    }
}

/// Why the columns do not say what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// A column was picked that the data has not.
    #[error("there is no column '{name}'{meant}")]
    NoColumn {
        /// As picked.
        name: String,
        /// " (topic?)", where one is called much the same.
        meant: String,
    },
    /// The question may be any of these columns, or none looks like one.
    #[error("which column is the question is not clear{}", maybe(.0))]
    Question(Vec<String>),
    /// The answer may be any of these columns, or none looks like one.
    #[error("which column is the answer is not clear{}", maybe(.0))]
    Answer(Vec<String>),
    /// No columns of options are there.
    #[error("no columns hold options: they are called A, B, C …, or one column holds a list of them")]
    NoOptions,
    /// The column of the answer says none of what can be asked.
    #[error("{0}")]
    NoAnswer(String),
}

fn maybe(columns: &[String]) -> String {
    let lower: Vec<String> = columns.iter().map(|name| name.to_lowercase()).collect();
    match columns {
        [] => String::new(),
        [first, others @ ..] if !others.is_empty() && lower.iter().all(|name| *name == lower[0]) => {
            format!(" ({first} or {}, which differ in large and small letters only?)", others.join(" or "))
        }
        columns => format!(" ({}?)", columns.join(" or ")),
    }
}

/// Small letters and digits of a name.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_one_of(column: &Column, names: &[&str]) -> bool {
    names.contains(&plain(&column.name).as_str())
}

impl Columns {
    /// Says what is asked: as picked, and else as the columns say unmistakably.
    ///
    /// # Errors
    /// Where a column that was picked is not there or cannot be what it was picked for, and where it is not clear which
    /// one is the question or the answer.
    pub fn ask(&self, picked: &Picked) -> Result<Asked, Unclear> {
        for name in picked.question.iter().chain(&picked.answer).chain(&picked.options) {
            if self.get(name).is_none() {
                let names = self.columns.iter().map(|column| column.name.as_str());
                let meant = bantam_core::meant::meant_words(name, names);
                return Err(Unclear::NoColumn { name: name.clone(), meant });
            }
        }
        let options = match picked.how {
            Some(How::Labels | How::Written) => Vec::new(),
            _ if !picked.options.is_empty() => picked.options.clone(),
            _ => self.option_columns(),
        };
        let counts_lines = |column: &Column| column.is_number_of_lines() && !is_one_of(column, ANSWERS);
        let is_open = |column: &&Column| {
            column.holds != Holds::Nothing && !options.contains(&column.name) && !counts_lines(column)
        };
        let open: Vec<&Column> = self.columns.iter().filter(is_open).collect();
        let answer = match &picked.answer {
            Some(name) => Some(name.clone()),
            None => self.by_name(&open, ANSWERS, &picked.question).map_err(Unclear::Answer)?,
        };
        let question = match picked.question.is_empty() {
            false => picked.question.clone(),
            true => self.question(&open, answer.as_deref())?,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => the_only(open.iter().filter(|column| !question.contains(&column.name)), Unclear::Answer)?,
        };
        if question.contains(&answer) {
            return Err(Unclear::NoAnswer(format!("'{answer}' is the question and the answer at the same time")));
        }
        let options = self.options(picked.how, &answer, options)?;
        Ok(Asked { question, answer, options })
    }

    /// The one column that goes by one of these names; none where none does.
    fn by_name(&self, open: &[&Column], names: &[&str], taken: &[String]) -> Result<Option<String>, Vec<String>> {
        let named: Vec<&&Column> =
            open.iter().filter(|column| is_one_of(column, names) && !taken.contains(&column.name)).collect();
        match named[..] {
            [] => Ok(None),
            [one] => Ok(Some(one.name.clone())),
            // of two that hold the same either will do
            [one, ref others @ ..] if others.iter().all(|other| self.are_the_same(&one.name, &other.name)) => {
                Ok(Some(one.name.clone()))
            }
            _ => Err(named.iter().map(|column| column.name.clone()).collect()),
        }
    }

    fn are_the_same(&self, one: &str, other: &str) -> bool {
        self.lines.iter().all(|line| line.fields().get(one) == line.fields().get(other))
    }

    /// The columns of the question: one by its name with what stands before it, or the only one that it can be.
    fn question(&self, open: &[&Column], answer: Option<&str>) -> Result<Vec<String>, Unclear> {
        let others: Vec<&Column> = open.iter().filter(|column| Some(column.name.as_str()) != answer).copied().collect();
        let pairs =
            [["premise", "hypothesis"], ["sentence1", "sentence2"], ["text1", "text2"], ["question1", "question2"]];
        for pair in pairs {
            let of = |name: &str| others.iter().find(|column| plain(&column.name) == name);
            if let (Some(one), Some(two)) = (of(pair[0]), of(pair[1])) {
                return Ok(vec![one.name.clone(), two.name.clone()]);
            }
        }
        if let Some(named) = self.by_name(&others, QUESTIONS, &[]).map_err(Unclear::Question)? {
            let before = self.by_name(&others, BEFORE, &[]).map_err(Unclear::Question)?;
            return Ok(before.into_iter().chain([named]).collect());
        }
        let is_free = |column: &&&Column| {
            column.holds == Holds::Text && (answer.is_some() || column.distinct * 2 > column.filled)
        };
        the_only(others.iter().filter(is_free), Unclear::Question).map(|one| vec![one])
    }

    /// The columns that hold options: one list, or a family by letters or numbers; none where there is none.
    fn option_columns(&self) -> Vec<String> {
        let list = |column: &&Column| column.holds == Holds::List && is_one_of(column, LISTS);
        if let [one] = self.columns.iter().filter(list).collect::<Vec<_>>()[..] {
            return vec![one.name.clone()];
        }
        let families = std::iter::once("").chain(ONE_OF.iter().copied());
        for family in families {
            let mut found: Vec<(u32, &Column)> =
                self.columns.iter().filter_map(|column| Some((place(&column.name, family)?, column))).collect();
            found.sort_by_key(|(place, _)| *place);
            let first = found.first().map_or(0, |(place, _)| *place);
            let is_row = (first..).zip(&found).all(|(at, (place, _))| at == *place) && first <= 1;
            if found.len() >= 2 && is_row {
                return found.into_iter().map(|(_, column)| column.name.clone()).collect();
            }
        }
        Vec::new()
    }

    fn options(&self, how: Option<How>, answer: &str, options: Vec<String>) -> Result<Options, Unclear> {
        let column = self.get(answer).ok_or_else(|| Unclear::Answer(Vec::new()))?;
        if matches!(column.holds, Holds::Nothing | Holds::Other) {
            return Err(Unclear::NoAnswer(format!(
                "'{answer}' is no column of answers: it has {}",
                if column.holds == Holds::Nothing { "nothing in any line" } else { "values of several kinds" }
            )));
        }
        match (&options[..], how) {
            ([], Some(How::Options)) => Err(Unclear::NoOptions),
            ([], Some(How::Labels)) => self.labels(column),
            ([], None) if is_label(column) => self.labels(column),
            ([], _) => Ok(self.written(answer, column)),
            ([list], _) if self.get(list).is_some_and(|list| list.holds == Holds::List) => {
                Ok(Options::List(list.clone(), self.right_is(column, std::slice::from_ref(list))?))
            }
            ([one], _) => Err(Unclear::NoAnswer(format!(
                "'{one}' alone holds no options: a list does, or several columns with one option each"
            ))),
            (columns, _) => Ok(Options::Columns(columns.to_vec(), self.right_is(column, columns)?)),
        }
    }

    fn labels(&self, column: &Column) -> Result<Options, Unclear> {
        if column.holds == Holds::Number {
            let why = "has numbers that are not whole, or below 0: as labels they would be texts";
            return Err(Unclear::NoAnswer(format!("'{}' {why}", column.name)));
        }
        match &column.values[..] {
            [] => Err(Unclear::NoAnswer(format!(
                "'{}' has {} different values, which are no labels: as written answers they can be asked for",
                column.name, column.distinct
            ))),
            [one] => Err(Unclear::NoAnswer(format!(
                "'{}' has one value only ({one}), so that nothing is to be told apart",
                column.name
            ))),
            values => Ok(Options::Labels(values.to_vec())),
        }
    }

    fn written(&self, answer: &str, column: &Column) -> Options {
        let has_lines = self.lines.iter().any(|line| match line.fields().get(answer) {
            Some(Json::String(text)) => text.trim().contains('\n'),
            _ => false,
        });
        Options::Written { longest: column.longest, has_lines }
    }

    /// How the answers say which option is right; every line has to agree.
    fn right_is(&self, answer: &Column, options: &[String]) -> Result<RightIs, Unclear> {
        let mut says: Vec<RightIs> = vec![
            RightIs::Text,
            RightIs::Letter { is_small: false },
            RightIs::Letter { is_small: true },
            RightIs::From0,
            RightIs::From1,
        ];
        let (mut has_first, mut has_last) = (false, false);
        for line in self.lines.iter() {
            let Some(value) = line.fields().get(&answer.name).filter(|value| !value.is_null()) else { continue };
            let texts: Vec<String> = match options {
                [list] if line.fields().get(list).is_some_and(Json::is_array) => {
                    line.fields()[list].as_array().into_iter().flatten().map(written).collect()
                }
                options => options.iter().filter_map(|name| line.fields().get(name)).map(written).collect(),
            };
            let said = written(value);
            let number = whole(value).and_then(|number| usize::try_from(number).ok());
            has_first |= number == Some(0);
            has_last |= number == Some(texts.len());
            says.retain(|right| match right {
                RightIs::Text => texts.contains(&said),
                RightIs::Letter { is_small } => {
                    let mut letters = said.chars();
                    let first = if *is_small { 'a' } else { 'A' };
                    let at = letters.next().map(|letter| u32::from(letter).wrapping_sub(u32::from(first)));
                    letters.next().is_none() && at.is_some_and(|at| (at as usize) < texts.len())
                }
                RightIs::From0 => number.is_some_and(|number| number < texts.len()),
                RightIs::From1 => number.is_some_and(|number| (1..=texts.len()).contains(&number)),
            });
        }
        match says[..] {
            // options that are letters or numbers themselves are what the answer says
            [RightIs::Text, ..] => Ok(RightIs::Text),
            [RightIs::From0, RightIs::From1] if !has_first && !has_last => Err(Unclear::NoAnswer(format!(
                "whether '{}' counts the options from 0 or from 1 is not to be seen: neither the first nor the last is right",
                answer.name
            ))),
            [one, ..] => Ok(one),
            [] => Err(Unclear::NoAnswer(format!(
                "'{}' does not say which option is right: on every line it has to be the option's letter, its number, or its \
                 text",
                answer.name
            ))),
        }
    }
}

/// The only one of these; else which ones there are.
fn the_only<'c>(
    columns: impl Iterator<Item = &'c &'c Column>,
    unclear: fn(Vec<String>) -> Unclear,
) -> Result<String, Unclear> {
    let mut names: Vec<String> = columns.map(|column| column.name.clone()).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        _ => Err(unclear(names)),
    }
}

/// Whether its values are few enough to be labels.
fn is_label(column: &Column) -> bool {
    let is_written = column.holds == Holds::Whole && is_one_of(column, WRITTEN);
    let is_few = (2..=CLASSES).contains(&column.distinct) && column.distinct * LINES_A_CLASS <= column.filled;
    let holds = matches!(column.holds, Holds::Text | Holds::Whole | Holds::Truth);
    holds && is_few && column.longest <= SIGNS && !is_written && !column.values.is_empty()
}

/// The place of an option in a family: by its letter from 0, or by its number.
fn place(name: &str, family: &str) -> Option<u32> {
    let name = plain(name);
    let rest = name.strip_prefix(family)?;
    let mut letters = rest.chars();
    match (letters.next()?, letters.next()) {
        (letter @ 'a'..='j', None) => Some(u32::from(letter) - u32::from('a')),
        (digit, None) if digit.is_ascii_digit() && !family.is_empty() => digit.to_digit(10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(name: &str, text: &str) -> Columns {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        Columns::read(&file).expect("data")
    }

    fn csv(head: &str, row: impl Fn(usize) -> String) -> Columns {
        let rows: String = (0..40).map(|n| row(n) + "\n").collect();
        columns("d.csv", &format!("{head}\n{rows}"))
    }

    fn guessed(columns: &Columns) -> Asked {
        columns.ask(&Picked::default()).expect("unmistakable")
    }

    #[test]
    fn few_labels_are_labels_and_many_answers_are_written() {
        let tickets = csv("id,body,topic", |n| format!("{n},text {n},{}", ["delivery", "billing"][n % 2]));
        let asked = guessed(&tickets);
        assert_eq!((asked.question.join(" "), asked.answer.as_str()), ("body".into(), "topic"));
        assert_eq!(asked.options, Options::Labels(vec!["billing".into(), "delivery".into()]));
        let sums = csv("question,answer", |n| format!("1 + {n},{}", 1 + n % 7));
        assert_eq!(guessed(&sums).options, Options::Written { longest: 1, has_lines: false });
        let facts = csv("Question,Answer", |n| format!("capital {n},city {n}"));
        assert_eq!(guessed(&facts).how(), How::Written);
        // two columns without known names: the one of which there are few is the label
        let odd = csv("was,ziel", |n| format!("satz {n},{}", ["a", "b"][n % 2]));
        assert_eq!((guessed(&odd).question, guessed(&odd).answer), (vec!["was".into()], "ziel".into()));
        let picked = Picked { how: Some(How::Written), ..Picked::default() };
        assert_eq!(tickets.ask(&picked).expect("asked").how(), How::Written);
    }

    #[test]
    fn options_are_found_by_letters_by_numbers_and_in_a_list() {
        let letters = csv("question,A,B,C,answer", |n| format!("q{n},x{n},y{n},z{n},{}", ["A", "B", "C"][n % 3]));
        let asked = guessed(&letters);
        let abc = vec!["A".to_owned(), "B".into(), "C".into()];
        assert_eq!(asked.options, Options::Columns(abc, RightIs::Letter { is_small: false }));
        let numbers = csv("query,option_1,option_2,label", |n| format!("q{n},x{n},y{n},{}", 1 + n % 2));
        let asked = guessed(&numbers);
        assert!(matches!(&asked.options, Options::Columns(columns, RightIs::From1) if columns.len() == 2), "{asked:?}");
        let list = columns(
            "d.jsonl",
            &(0..9)
                .map(|n| format!("{{\"ctx\":\"c{n}\",\"endings\":[\"a{n}\",\"b{n}\"],\"label\":{}}}\n", n % 2))
                .collect::<String>(),
        );
        assert_eq!(guessed(&list).options, Options::List("endings".into(), RightIs::From0));
        let texts = csv("question,a,b,answer", |n| format!("q{n},x{n},y{n},x{n}"));
        assert!(matches!(guessed(&texts).options, Options::Columns(_, RightIs::Text)));
    }

    #[test]
    fn what_is_not_clear_is_said_and_not_guessed() {
        let two = csv("title,body,topic", |n| format!("t{n},b{n},{}", ["x", "y"][n % 2]));
        let said = two.ask(&Picked::default()).expect_err("unclear");
        assert_eq!(said.to_string(), "which column is the question is not clear (title or body?)");
        let picked = Picked { question: vec!["title".into(), "body".into()], ..Picked::default() };
        assert_eq!(two.ask(&picked).expect("asked").question, ["title", "body"]);
        let answers = csv("text,label,category", |n| format!("t{n},{},{}", n % 2, n % 3));
        assert!(answers.ask(&Picked::default()).expect_err("unclear").to_string().contains("label or category"));
        let slip = Picked { answer: Some("topik".into()), ..Picked::default() };
        assert_eq!(two.ask(&slip).expect_err("none").to_string(), "there is no column 'topik' (topic?)");
        let case = csv("Text,text,label", |n| format!("A{n},b{n},{}", ["x", "y"][n % 2]));
        let said = case.ask(&Picked::default()).expect_err("unclear").to_string();
        assert!(said.ends_with("(Text or text, which differ in large and small letters only?)"), "{said}");
        let twice = csv("Text,text,label", |n| format!("a{n},a{n},{}", ["x", "y"][n % 2]));
        assert_eq!(guessed(&twice).question, ["Text"]);
        let counts = csv("question,a,b,c,answer", |n| format!("q{n},x{n},y{n},z{n},{}", 1 + n % 2));
        assert!(counts.ask(&Picked::default()).expect_err("unclear").to_string().contains("from 0 or from 1"));
        let same = csv("text,label", |n| format!("t{n},yes"));
        let labels = Picked { how: Some(How::Labels), ..Picked::default() };
        assert!(same.ask(&labels).expect_err("one").to_string().contains("one value only (yes)"));
    }

    #[test]
    fn a_context_is_read_before_its_question_and_pairs_together() {
        let context = csv("question,context,answer", |n| format!("q{n},c{n},a{n}"));
        assert_eq!(guessed(&context).question, ["context", "question"]);
        let pair = csv("premise,hypothesis,label", |n| format!("p{n},h{n},{}", n % 3));
        assert_eq!(guessed(&pair).question, ["premise", "hypothesis"]);
        assert_eq!(guessed(&pair).options, Options::Labels(vec!["0".into(), "1".into(), "2".into()]));
    }
}
