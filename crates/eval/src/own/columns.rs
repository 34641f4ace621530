//! What stands in the columns of a file of data: text or numbers, how many different ones, how long they are.

use crate::error::Error;
use crate::lines::Lines;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Different values that are kept in full; a column with more of them is no list of classes.
const KEPT: usize = 1000;
/// Names of values in a sentence about a column.
const NAMED: usize = 3;
/// Signs of a value in a sentence.
const SIGNS: usize = 24;

/// The columns of a file of data.
#[derive(Debug)]
pub struct Columns {
    /// The file.
    pub file: PathBuf,
    /// In the order in which the file has them.
    pub columns: Vec<Column>,
    pub(super) lines: Lines,
    rows: usize,
}

/// A column of the data: a field that lines have.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub holds: Holds,
    /// Lines in which something stands.
    pub filled: usize,
    /// Different values.
    pub distinct: usize,
    /// These values in order, where there are so few that they may be classes.
    pub values: Vec<String>,
    /// Signs of the longest one.
    pub longest: usize,
    /// Values that are one of `values` but for white space around them, or for large and small letters: each with that one.
    pub spellings: Vec<(String, String)>,
    /// Some of its whole numbers are written as `1.0`.
    pub has_points: bool,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Nothing in any line.
    Nothing,
    /// Text.
    Text,
    /// Whole numbers from 0 on.
    Whole,
    /// Other numbers.
    Number,
    /// True or false.
    Truth,
    /// Lists.
    List,
    /// Objects, or values of several kinds.
    Other,
}

impl Columns {
    /// Tells whether every value of a column is a text that has this in it.
    pub(super) fn all_hold(&self, name: &str, mark: &str) -> bool {
        let values = self.lines.iter().filter_map(|line| line.fields().get(name)).filter(|value| !value.is_null());
        let (mut any, mut all) = (false, true);
        for value in values {
            any = true;
            all &= value.as_str().is_some_and(|text| text.contains(mark));
        }
        any && all
    }

    /// Reads a file: CSV and TSV with a head line, Parquet, a JSON list, or JSON lines.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line of it is none.
    pub fn read(file: &Path) -> Result<Columns, Error> {
        let lines = Lines::read(file)?;
        let mut seen: Vec<Seen> = Vec::new();
        for line in lines.iter() {
            // fields stand in the same order on most lines, so that the next one is looked for first
            for (nth, (name, value)) in line.fields().iter().enumerate() {
                let at = match seen.get(nth).is_some_and(|column| column.name == *name) {
                    true => Some(nth),
                    false => seen.iter().position(|column| column.name == *name),
                };
                let at = at.unwrap_or_else(|| {
                    seen.push(Seen::new(name));
                    seen.len() - 1
                });
                seen[at].take(value);
            }
        }
        let rows = lines.iter().count();
        Ok(Columns { file: file.to_owned(), columns: seen.into_iter().map(Seen::column).collect(), lines, rows })
    }

    /// Counts the lines.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column of this name.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// "id (360 different numbers), body (360 different texts), topic (4 texts: billing, delivery, returns …)".
    pub fn told(&self) -> String {
        self.columns.iter().map(|column| format!("{} ({})", column.name, column.told())).collect::<Vec<_>>().join(", ")
    }
}

impl Column {
    /// "360 different texts"; "4 texts: billing, delivery, returns …".
    pub fn told(&self) -> String {
        let what = match self.holds {
            Holds::Nothing => return "empty".into(),
            Holds::Text => "text",
            Holds::Whole | Holds::Number => "number",
            Holds::Truth => return "true or false".into(),
            Holds::List => "list",
            Holds::Other => return "values of several kinds".into(),
        };
        let many = if self.distinct == 1 { what.to_owned() } else { format!("{what}s") };
        let few = self.distinct * 2 <= self.filled && !self.values.is_empty() && self.longest <= 4 * SIGNS;
        match few {
            false => format!("{} different {many}", self.distinct),
            true => {
                let short = |value: &String| match value.chars().count() > SIGNS {
                    true => format!("{}…", value.chars().take(SIGNS - 1).collect::<String>()),
                    false => value.clone(),
                };
                let named: Vec<String> = self.values.iter().take(NAMED).map(short).collect();
                let more = if self.values.len() > NAMED { " …" } else { "" };
                format!("{} {many}: {}{more}", self.distinct, named.join(", "))
            }
        }
    }

    /// Whether every line has a value of its own, and a number at that: what lines are counted by.
    pub(super) fn is_number_of_lines(&self) -> bool {
        matches!(self.holds, Holds::Whole | Holds::Number) && self.distinct == self.filled && self.filled > 2
    }
}

/// A column while its lines are read.
struct Seen {
    name: String,
    holds: Option<Holds>,
    filled: usize,
    /// How often each value is there.
    different: HashMap<u64, usize>,
    values: Vec<Json>,
    longest: usize,
    has_points: bool,
}

impl Seen {
    fn new(name: &str) -> Seen {
        Seen {
            name: name.into(),
            holds: None,
            filled: 0,
            different: HashMap::new(),
            values: Vec::new(),
            longest: 0,
            has_points: false,
        }
    }

    fn take(&mut self, value: &Json) {
        let holds = match value {
            Json::Null => return,
            Json::String(text) if text.trim().is_empty() => return,
            Json::String(_) => Holds::Text,
            Json::Number(number) if number.is_u64() => Holds::Whole,
            Json::Number(_) if whole(value).is_some() => {
                self.has_points = true;
                Holds::Whole
            }
            Json::Number(_) => Holds::Number,
            Json::Bool(_) => Holds::Truth,
            Json::Array(_) => Holds::List,
            Json::Object(_) => Holds::Other,
        };
        self.filled += 1;
        self.holds = Some(match (self.holds, holds) {
            (None, holds) => holds,
            (Some(before), holds) if before == holds => holds,
            (Some(Holds::Whole | Holds::Number), Holds::Whole | Holds::Number) => Holds::Number,
            _ => Holds::Other,
        });
        let text = written(value);
        self.longest = self.longest.max(text.chars().count());
        let count = self.different.entry(hash_of(&text)).or_default();
        *count += 1;
        if *count == 1 && self.values.len() <= KEPT {
            self.values.push(value.clone());
        }
    }

    fn column(self) -> Column {
        let holds = self.holds.unwrap_or(Holds::Nothing);
        let mut values = self.values;
        match holds {
            Holds::Whole => values.sort_by_key(whole),
            _ => values.sort_by_key(written),
        }
        let is_few = self.different.len() <= KEPT && !matches!(holds, Holds::List | Holds::Other);
        let values: Vec<String> = if is_few { values.iter().map(written).collect() } else { Vec::new() };
        let count = |value: &String| self.different.get(&hash_of(value)).copied().unwrap_or(0);
        let (values, spellings) = if holds == Holds::Text { merged(values, count) } else { (values, Vec::new()) };
        Column {
            name: self.name,
            holds,
            filled: self.filled,
            distinct: self.different.len(),
            values,
            longest: self.longest,
            spellings,
            has_points: self.has_points,
        }
    }
}

fn hash_of(text: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    hash.finish()
}

/// A whole number from 0 on, however it is written: tables have `1.0` in columns with gaps.
pub(super) fn whole(value: &Json) -> Option<u64> {
    let of = |number: f64| (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(of))
}

/// Texts that are the same but for white space around them, and for large and small letters, as the one that is there most often;
/// and which became which. Where only one would be left letters count as they are.
fn merged(values: Vec<String>, count: impl Fn(&String) -> usize) -> (Vec<String>, Vec<(String, String)>) {
    let by = |same: fn(&str) -> String| {
        let mut groups: Vec<(String, Vec<&String>)> = Vec::new();
        for value in &values {
            let name = same(value.trim());
            match groups.iter_mut().find(|(other, _)| *other == name) {
                Some((_, group)) => group.push(value),
                None => groups.push((name, vec![value])),
            }
        }
        groups
    };
    let mut groups = by(str::to_lowercase);
    if groups.len() < 2 {
        groups = by(str::to_owned);
    }
    let (mut kept, mut spellings) = (Vec::new(), Vec::new());
    for (_, group) in groups {
        // of equally many the first
        let most = group.iter().fold(group[0], |most, value| if count(value) > count(most) { value } else { most });
        let name = most.trim().to_owned();
        let others = group.into_iter().filter(|value| **value != name);
        spellings.extend(others.map(|value| (value.clone(), name.clone())));
        kept.push(name);
    }
    (kept, spellings)
}

/// A value as it is shown: text without quotes, a whole number without a point.
pub(super) fn written(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(_) => whole(value).map_or_else(|| value.to_string(), |whole| whole.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_told_by_what_stands_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("d.csv");
        let row = |n: usize| format!("{n},\"Where is order {n}?\",{},\n", ["delivery", "billing"][n % 2]);
        let text = format!("id,body,topic,empty\n{}", (0..40).map(row).collect::<String>());
        std::fs::write(&file, text).expect("written");
        let columns = Columns::read(&file).expect("a table");
        assert_eq!(columns.rows(), 40);
        assert_eq!(
            columns.told(),
            "id (40 different numbers), body (40 different texts), topic (2 texts: billing, delivery), empty (empty)"
        );
        let topic = columns.get("topic").expect("there");
        assert_eq!((topic.holds, topic.distinct, topic.longest), (Holds::Text, 2, 8));
        assert!(columns.get("id").expect("there").is_number_of_lines() && !topic.is_number_of_lines());
    }

    #[test]
    fn values_that_differ_in_how_they_are_written_are_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("d.csv");
        let row = |n: usize| {
            format!("{},{}\n", ["billing", "Billing ", "billing", "delivery"][n % 4], ["1.0", "1", "2.0"][n % 3])
        };
        std::fs::write(&file, format!("topic,grade\n{}", (0..40).map(row).collect::<String>())).expect("written");
        let columns = Columns::read(&file).expect("a table");
        let topic = columns.get("topic").expect("there");
        assert_eq!(topic.values, ["billing", "delivery"]);
        assert_eq!(topic.spellings, [("Billing ".to_owned(), "billing".to_owned())]);
        let grade = columns.get("grade").expect("there");
        assert_eq!((grade.holds, grade.has_points, grade.values.join(" ")), (Holds::Whole, true, "1 2".into()));
        let two = merged(vec!["A".into(), "a".into()], |_| 1);
        assert_eq!(two, (vec!["A".into(), "a".into()], Vec::new()), "else there would be nothing to tell apart");
    }

    #[test]
    fn json_lines_have_lists_truths_and_fields_that_some_lack() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("d.jsonl");
        let text = "{\"a\":[1],\"b\":true,\"c\":1}\n{\"b\":false,\"a\":[2],\"c\":\"x\",\"d\":-1}\n";
        std::fs::write(&file, text).expect("written");
        let columns = Columns::read(&file).expect("lines");
        let holds: Vec<Holds> = columns.columns.iter().map(|column| column.holds).collect();
        assert_eq!(holds, [Holds::List, Holds::Truth, Holds::Other, Holds::Number]);
        assert_eq!(columns.get("d").map(|column| column.filled), Some(1));
    }
}
