//! Rows laid out to be decided over: once, or again and again with other limits and margins, without asking any model
//! again. What the items of two rows show is worked out once and answers every margin after that.

use super::advice::{self, Advice};
use super::compare::{self, Comparison, Paired};
use super::known::{Known, Memo};
use super::rate::Pricing;
use super::score::Confidence;
use super::skill;
use super::summary::{TaskName, VariantSummary};
use bantam_core::profile::Profile;
use bantam_core::record::{Id, Row};
use bantam_core::stats::Level;
use bantam_core::stats::chance::Skill;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// So many rows with all their items are held at once: the reference's and the advised variant's come again and again.
const WHOLE: usize = 64;

/// And so many verdicts at some margin.
const VERDICTS: usize = 50_000;

/// Rows, and what was worked out of them.
pub struct Desk<'a> {
    rows: &'a [Row],
    memo: Memo<'a>,
    /// The rows of every variant, in the order of the rows; of each task by its place.
    variants: Vec<(&'a Id, Vec<&'a Row>)>,
    places: HashMap<&'a Id, HashMap<TaskName, &'a Row>>,
    held: Option<Held>,
}

/// A row by its address, which nothing else can have while the desk lives.
type RowAt = *const Row;
/// The bits of a level or a margin, to find it again by.
type Bits = u64;
/// The variants as they are before anything is held against anything, with what they were made by.
type Summaries = (Confidence, Pricing, Vec<VariantSummary>);
/// Something that was worked out of a row or two, by these and the settings.
type By<K, T> = RefCell<HashMap<K, Option<T>>>;

/// What is held from one decision to the next.
#[derive(Default)]
struct Held {
    summaries: RefCell<Option<Summaries>>,
    /// Two rows side by side.
    pairs: By<(RowAt, RowAt, Bits), Rc<Paired>>,
    /// Verdicts of pairs at a margin, since most margins stay where they are.
    verdicts: By<(RowAt, RowAt, Bits, Bits), Comparison>,
    whole: RefCell<HashMap<RowAt, Rc<Row>>>,
    skills: By<(RowAt, Bits, Bits), Skill>,
}

impl<'a> Desk<'a> {
    /// Lays rows out to be decided over again and again. What was worked out of them before is known; what is worked out
    /// here is held, and not kept anywhere.
    pub fn new(rows: &'a [Row], known: &'a dyn Known) -> Desk<'a> {
        Desk { held: Some(Held::default()), ..Desk::once(rows, known) }
    }

    /// Lays rows out for one decision, whose results are kept where they are known.
    pub(super) fn once(rows: &'a [Row], known: &'a dyn Known) -> Desk<'a> {
        let mut variants: Vec<(&Id, Vec<&Row>)> = Vec::new();
        let mut at: HashMap<&Id, usize> = HashMap::new();
        let mut places: HashMap<&Id, HashMap<TaskName, &Row>> = HashMap::new();
        for row in rows {
            let id = &row.trial.variant.id;
            let place = *at.entry(id).or_insert_with(|| {
                variants.push((id, Vec::new()));
                variants.len() - 1
            });
            variants[place].1.push(row);
            if let Some(task) = TaskName::of(row) {
                places.entry(id).or_default().entry(task).or_insert(row);
            }
        }
        Desk { rows, memo: Memo::of(known), variants, places, held: None }
    }

    /// Decides which variant to use, as [`advise`](super::advise) does: its conclusion, standings and doubts, without
    /// what only a report tells beside them (who cannot be told apart, and what was lost).
    ///
    /// # Panics
    /// As [`advise`](super::advise).
    pub fn advise(&self, profile: &Profile) -> Advice {
        advice::advised(self, profile, false)
    }

    /// Compares one variant with another, task by task at the profile's margins, as if they alone had been tried. `one`
    /// is held against.
    pub fn compare(&self, one: &Id, other: &Id, profile: &Profile) -> Vec<Comparison> {
        let confidence = Confidence::of(profile);
        let compared = self.rows_of(one).iter().filter_map(|base| {
            let task = TaskName::of(base)?;
            let margin = profile.objective.margin_of(|name| task.is_called(name));
            self.compared(base, self.row(other, &task)?, margin, confidence)
        });
        let mut compared: Vec<Comparison> = compared.collect();
        compare::judge_family(&mut [(&mut compared, true, false)]);
        compared
    }

    /// A variant's row on a task with all its items.
    pub fn whole_row(&self, variant: &Id, task: &TaskName) -> Option<Row> {
        Some(self.memo.whole(self.row(variant, task)?).into_owned())
    }

    /// The rows of a variant, without their items where they were read so.
    pub fn rows_of(&self, variant: &Id) -> &[&'a Row] {
        self.variants.iter().find(|(id, _)| *id == variant).map_or(&[], |(_, rows)| rows)
    }

    /// The rows that lie here.
    pub fn rows(&self) -> &'a [Row] {
        self.rows
    }

    pub(super) fn memo(&self) -> &Memo<'a> {
        &self.memo
    }

    /// A variant's row on a task.
    pub(super) fn row(&self, variant: &Id, task: &TaskName) -> Option<&'a Row> {
        self.places.get(variant)?.get(task).copied()
    }

    /// Variants in the order of the rows.
    pub(super) fn summaries(&self, confidence: Confidence, pricing: &Pricing) -> Vec<VariantSummary> {
        let of_rows = || -> Vec<VariantSummary> {
            let of = |(_, rows): &(&Id, Vec<&'a Row>)| {
                VariantSummary::of(&rows[0].trial.variant, rows, confidence, pricing, &self.memo)
            };
            self.variants.iter().map(of).collect()
        };
        let Some(held) = &self.held else { return of_rows() };
        let mut summaries = held.summaries.borrow_mut();
        match &*summaries {
            Some((at, of, held)) if *at == confidence && of == pricing => held.clone(),
            _ => {
                let made = of_rows();
                *summaries = Some((confidence, pricing.clone(), made.clone()));
                made
            }
        }
    }

    /// Compares two rows, unless that was done before.
    pub(super) fn compared(
        &self,
        base: &'a Row,
        row: &'a Row,
        margin: f64,
        confidence: Confidence,
    ) -> Option<Comparison> {
        let Some(held) = &self.held else {
            return self.memo.get("comparison", &[base, row], &(margin, confidence), |rows| {
                compare::compare(rows[0], rows[1], margin, confidence)
            });
        };
        let (one, other): (RowAt, RowAt) = (base, row);
        let level = confidence.level.get().to_bits();
        let judged = || self.paired(held, base, row, confidence).map(|paired| paired.judged(margin));
        let mut verdicts = held.verdicts.borrow_mut();
        if verdicts.len() >= VERDICTS {
            verdicts.clear();
        }
        verdicts.entry((one, other, level, margin.to_bits())).or_insert_with(judged).clone()
    }

    /// What two rows show side by side; none of a desk for one decision, which holds nothing.
    pub(super) fn side_by_side(&self, base: &'a Row, row: &'a Row, confidence: Confidence) -> Option<Rc<Paired>> {
        self.paired(self.held.as_ref()?, base, row, confidence)
    }

    fn paired(&self, held: &Held, base: &'a Row, row: &'a Row, confidence: Confidence) -> Option<Rc<Paired>> {
        let key: (RowAt, RowAt, Bits) = (base, row, confidence.level.get().to_bits());
        if let Some(known) = held.pairs.borrow().get(&key) {
            return known.clone();
        }
        let made = Paired::of(&self.whole(held, base), &self.memo.whole(row), confidence).map(Rc::new);
        held.pairs.borrow_mut().insert(key, made.clone());
        made
    }

    /// Whether a row's answers beat guessing.
    pub(super) fn skill(&self, row: &'a Row, margin: f64, level: Level) -> Option<Skill> {
        let Some(held) = &self.held else {
            return self.memo.get("skill", &[row], &(margin, level), |rows| skill::of_row(rows[0], margin, level));
        };
        let key = (std::ptr::from_ref(row), margin.to_bits(), level.get().to_bits());
        if let Some(known) = held.skills.borrow().get(&key) {
            return *known;
        }
        let made = skill::of_row(&self.whole(held, row), margin, level);
        held.skills.borrow_mut().insert(key, made);
        made
    }

    /// A row with its items, held where it comes again.
    fn whole(&self, held: &Held, row: &'a Row) -> Rc<Row> {
        let mut whole = held.whole.borrow_mut();
        if whole.len() >= WHOLE && !whole.contains_key(&std::ptr::from_ref(row)) {
            whole.clear();
        }
        whole.entry(row).or_insert_with(|| Rc::new(self.memo.whole(row).into_owned())).clone()
    }
}
