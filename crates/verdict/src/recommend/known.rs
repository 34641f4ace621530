//! What was worked out of rows before. A score's interval or a comparison takes thousands of resamples, and depends on
//! the rows, the settings and the method alone: so it is kept under a hash of these, and any change of them is another
//! key.

use bantam_core::record::{Ask, Id, ItemResult, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

/// Where results are kept. Losing one costs time, nothing else.
pub trait Known {
    /// Finds what was kept under a key.
    fn find(&self, key: &Id) -> Option<String>;

    /// Keeps a result that is of this trial, among others: it may go when the trial does.
    fn keep(&self, key: &Id, trial: &Id, record: &str);

    /// Gives the items of a row that was read without them; none where rows have all they have.
    fn items(&self, _trial: &Id) -> Vec<ItemResult> {
        Vec::new()
    }

    /// Gives the [`fingerprint`] of a row that was read without its items.
    fn print(&self, _trial: &Id) -> Option<Id> {
        None
    }
}

/// Keeps nothing.
pub struct Nothing;

impl Known for Nothing {
    fn find(&self, _: &Id) -> Option<String> {
        None
    }

    fn keep(&self, _: &Id, _: &Id, _: &str) {}
}

/// A hash of the sources that make the numbers, taken when this was built: a changed method is another key.
const METHOD: &str = env!("BANTAM_METHOD");

/// Rows by the hash of what they hold, and the results of an earlier time.
pub(super) struct Memo<'a> {
    known: &'a dyn Known,
    /// By the rows' addresses, which nothing else can have while the memo lives.
    prints: RefCell<HashMap<*const Row, Id>>,
}

impl<'a> Memo<'a> {
    pub(super) fn of(known: &'a dyn Known) -> Memo<'a> {
        Memo { known, prints: RefCell::default() }
    }

    /// Gives what was kept of these rows with these settings, or works it out of the rows with all their items and keeps
    /// it. What does not read back as the same (a number that is not finite) is not kept.
    pub(super) fn get<T>(
        &self,
        what: &str,
        rows: &[&'a Row],
        settings: &impl Serialize,
        work: impl FnOnce(&[&Row]) -> T,
    ) -> T
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let prints: Vec<Id> = rows.iter().map(|row| self.print(row)).collect();
        let key = Id::of(&(METHOD, what, prints, settings));
        let read = |record: String| serde_json::from_str(&record).ok();
        if let Some(known) = self.known.find(&key).and_then(read) {
            return known;
        }
        let whole: Vec<Cow<Row>> = rows.iter().map(|row| self.whole(row)).collect();
        let made = work(&whole.iter().map(Cow::as_ref).collect::<Vec<_>>());
        if let (Some(row), Ok(record)) = (rows.last(), serde_json::to_string(&made))
            && serde_json::from_str(&record).is_ok_and(|again: T| again == made)
        {
            self.known.keep(&key, &row.trial.id, &record);
        }
        made
    }

    fn print(&self, row: &'a Row) -> Id {
        let known = || if is_light(row) { self.known.print(&row.trial.id) } else { None };
        let mut prints = self.prints.borrow_mut();
        let print = prints.entry(std::ptr::from_ref(row));
        print.or_insert_with(|| known().unwrap_or_else(|| fingerprint(&self.whole(row)))).clone()
    }

    /// The row with its items, which are held no longer than this.
    pub(super) fn whole(&self, row: &'a Row) -> Cow<'a, Row> {
        if !is_light(row) {
            return Cow::Borrowed(row);
        }
        let mut whole = row.clone();
        whole.outcome.items = self.known.items(&row.trial.id);
        Cow::Owned(whole)
    }
}

/// Whether a row was read without its items, which all tasks have.
fn is_light(row: &Row) -> bool {
    matches!(row.trial.ask, Ask::Task(_)) && row.outcome.result.is_ok() && row.outcome.items.is_empty()
}

/// Hashes everything in a row that a score or a comparison is made of; not the texts that are only shown.
pub fn fingerprint(row: &Row) -> Id {
    let mut bytes = Vec::with_capacity(64 * row.outcome.items.len());
    let head = (&row.trial.id, &row.trial.ask, &row.outcome.result);
    bytes.extend(serde_json::to_vec(&head).unwrap_or_default());
    // a task that a race ended early is judged otherwise
    bytes.extend(row.outcome.settled.iter().flat_map(|why| why.bytes()));
    for item in &row.outcome.items {
        print(item, &mut bytes);
    }
    Id::of_bytes(&bytes)
}

/// Every field is followed by a byte that none of them starts with, so that two items cannot look like one.
fn print(item: &ItemResult, bytes: &mut Vec<u8>) {
    // all fields by name: a new one is thought of here
    let ItemResult {
        index,
        scores,
        choice,
        target: _,
        answer,
        logprobs,
        slices,
        pair,
        cluster,
        tokens,
        spent,
        gold,
        thinking: _,
        cut: _,
        parts,
        likelihood,
    } = item;
    bytes.extend(tokens.to_le_bytes());
    bytes.extend(logprobs.len().to_le_bytes());
    for number in logprobs.iter().copied().chain(spent.iter().flat_map(|s| [s.seconds, s.joules.unwrap_or(f64::NAN)])) {
        bytes.extend(number.to_le_bytes());
    }
    for number in [spent.and_then(|spent| spent.cents), *likelihood] {
        bytes.extend(number.unwrap_or(f64::NAN).to_le_bytes());
    }
    bytes.extend(gold.len().to_le_bytes());
    gold.iter().for_each(|gold| bytes.extend(gold.to_le_bytes()));
    bytes.extend(index.to_le_bytes());
    bytes.extend(choice.map_or(u64::MAX, |choice| choice as u64).to_le_bytes());
    for score in scores {
        bytes.extend(score.metric.name().as_bytes());
        bytes.extend(score.value.to_le_bytes());
        bytes.extend(score.weight.to_le_bytes());
    }
    let mut text = |text: &str| {
        bytes.extend(text.len().to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    for (slice, value) in slices {
        text(slice);
        text(value);
    }
    for (part, right) in parts {
        text(part);
        text(if *right { "right" } else { "wrong" });
    }
    for given in [answer, pair, cluster] {
        text(given.as_deref().unwrap_or("\u{0}none"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::{Made, answers};
    use std::cell::Cell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Map(RefCell<BTreeMap<Id, String>>);

    impl Known for Map {
        fn find(&self, key: &Id) -> Option<String> {
            self.0.borrow().get(key).cloned()
        }

        fn keep(&self, key: &Id, _: &Id, record: &str) {
            self.0.borrow_mut().insert(key.clone(), record.into());
        }
    }

    fn row(right: &[u8]) -> Row {
        Made::base("m", 10).task("t", right).rows().remove(0)
    }

    #[test]
    fn what_is_known_is_not_worked_out_again_until_rows_or_settings_change() {
        let (map, worked) = (Map::default(), Cell::new(0));
        let one = row(&answers(20, 3, 0));
        let (other, mut moved) = (row(&answers(20, 4, 0)), one.clone());
        moved.outcome.items[4].pair = Some("a".into());
        let memo = Memo::of(&map);
        let ask = |row, settings: f64| {
            let work = |_: &[&Row]| {
                worked.set(worked.get() + 1);
                0.1 + 0.2 + settings
            };
            memo.get("sum", &[row], &settings, work)
        };
        assert_eq!(ask(&one, 0.5), ask(&one, 0.5), "to the last digit");
        assert_eq!(worked.get(), 1);
        ask(&one, 0.6);
        assert_eq!(worked.get(), 2, "other settings");
        ask(&other, 0.5);
        assert_eq!(worked.get(), 3, "other answers under the same trial's id");
        ask(&moved, 0.5);
        assert_eq!(worked.get(), 4, "other pairs");
    }

    #[test]
    fn what_does_not_read_back_is_worked_out_again() {
        let (map, worked) = (Map::default(), Cell::new(0));
        let row = row(&[1, 0]);
        for _ in 0..2 {
            Memo::of(&map).get("none", &[&row], &(), |_| {
                worked.set(worked.get() + 1);
                f64::INFINITY
            });
        }
        assert_eq!((worked.get(), map.0.borrow().len()), (2, 0));
        Memo::of(&map).get("sum", &[&row], &(), |_| 1.0);
        map.0.borrow_mut().values_mut().for_each(|record| *record = "no number".into());
        assert_eq!(Memo::of(&map).get("sum", &[&row], &(), |_| 2.0), 2.0, "a damaged record is worked out again");
    }
}
