//! Chooses rules on the first half: the cheapest that keep the margin by one standard error.

use super::Fitted;
use super::table::{Answers, Half, Table, TaskTable, mean};
use bantam_core::profile::Hold;
use bantam_core::stats::isotonic::Isotonic;
use bantam_core::system::{Composition, Sureness};

/// Variants that pairs are made of, at most: the cheapest of those that no other beats in both score and cost.
const MOST_MEMBERS: usize = 16;

/// Who answers a task, by places among the table's variants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TaskFit {
    pub first: usize,
    /// Who is asked where the first is less sure than the limit.
    pub then: Option<(usize, Sureness, f64)>,
    /// How often the first is right at the limit, calibrated.
    pub right_at: Option<f64>,
    pub keeps: bool,
}

impl TaskFit {
    fn of(first: usize, keeps: bool) -> TaskFit {
        TaskFit { first, then: None, right_at: None, keeps }
    }

    /// Whether an item goes on.
    pub(super) fn goes_on(&self, task: &TaskTable, item: usize) -> Option<usize> {
        let (to, _, below) = self.then?;
        let (_, sure) = task.answers[self.first].sure.as_ref()?;
        (sure[item] < below).then_some(to)
    }

    /// The score of an item, higher being better.
    pub(super) fn score(&self, task: &TaskTable, item: usize) -> f64 {
        task.answers[self.goes_on(task, item).unwrap_or(self.first)].scores[item]
    }

    /// What an item costs by a place among the costs; none where it is not known.
    pub(super) fn cost(&self, table: &Table, task: &TaskTable, item: usize, by: usize) -> Option<f64> {
        let of = |place: usize| Some(task.answers[place].costs[by].as_ref()?[item]);
        let Some(then) = self.goes_on(task, item) else { return of(self.first) };
        let loading = if by == SECONDS { loading(table, self.first, then)? } else { 0.0 };
        // what loading draws and costs was not measured
        if by > TOKENS && table.hold == Hold::One {
            return None;
        }
        Some(of(self.first)? + of(then)? + loading)
    }
}

/// Places among the costs.
const SECONDS: usize = 0;
const TOKENS: usize = 1;

/// Seconds that an item which goes on waits for members to be loaded: the large one, and then the small one again.
pub(super) fn loading(table: &Table, first: usize, then: usize) -> Option<f64> {
    match table.hold {
        Hold::All => Some(0.0),
        Hold::One => one_after_the_other(table, first, then),
    }
}

/// Seconds that loading one and then the other takes; none where that was not measured.
pub(super) fn one_after_the_other(table: &Table, first: usize, then: usize) -> Option<f64> {
    Some(table.variants[first].load? + table.variants[then].load?)
}

/// The cheapest variant that keeps every margin by itself, on the first half.
pub(super) fn single(table: &Table) -> Option<usize> {
    let keeps = |place: &usize| {
        table.tasks.iter().all(|task| {
            keeps(task, table.reference, &mut task.half(Half::First), |item| task.answers[*place].scores[item])
        })
    };
    let cost = |place: usize| (table.mean_cost(place, Half::First), place);
    let kept = (0..table.variants.len()).filter(keeps).map(cost);
    kept.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, place)| place)
}

/// Whether scores are no more than the margin below the reference's, by one standard error.
fn keeps(
    task: &TaskTable,
    reference: usize,
    items: &mut dyn Iterator<Item = usize>,
    score: impl Fn(usize) -> f64,
) -> bool {
    let mut sums = Sums::default();
    items.for_each(|item| sums.add(score(item) - task.answers[reference].scores[item]));
    sums.lower() >= -task.margin
}

/// Differences, summed.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, difference: f64) {
        *self = Sums {
            count: self.count + 1.0,
            sum: self.sum + difference,
            squares: self.squares + difference * difference,
        };
    }

    fn less(self, other: Sums) -> Sums {
        Sums { count: self.count - other.count, sum: self.sum - other.sum, squares: self.squares - other.squares }
    }

    fn and(self, other: Sums) -> Sums {
        Sums { count: self.count + other.count, sum: self.sum + other.sum, squares: self.squares + other.squares }
    }

    /// The mean less one standard error.
    fn lower(self) -> f64 {
        let mean = self.sum / self.count;
        mean - ((self.squares / self.count - mean * mean).max(0.0) / self.count).sqrt()
    }
}

/// The cheapest rule of a cascade on some items of a task.
pub(super) fn cascade_rule(
    table: &Table,
    task: &TaskTable,
    (small, large): (usize, usize),
    within: impl Fn(usize) -> bool,
) -> TaskFit {
    let items: Vec<usize> = task.half(Half::First).filter(|&item| within(item)).collect();
    let reference = &task.answers[table.reference].scores;
    let (one, other) = (&task.answers[small], &task.answers[large]);
    let (of_one, of_other) = (cost(table, one), cost(table, other));
    let difference = |answers: &Answers, item: usize| answers.scores[item] - reference[item];
    let summed = |answers: &Answers| {
        let mut sums = Sums::default();
        items.iter().for_each(|&item| sums.add(difference(answers, item)));
        sums
    };
    // each with its lower bound and what it costs
    let mut ways: Vec<(TaskFit, f64, f64)> = vec![
        (TaskFit::of(small, true), summed(one).lower(), mean(items.iter().map(|&item| of_one[item]))),
        (TaskFit::of(large, true), summed(other).lower(), mean(items.iter().map(|&item| of_other[item]))),
    ];
    if let Some((by, sure)) = &one.sure {
        let mut sorted = items.clone();
        sorted.sort_by(|a, b| sure[*a].total_cmp(&sure[*b]));
        let points: Vec<(f64, f64)> = items.iter().map(|&item| (sure[item], one.scores[item])).collect();
        let steps = Isotonic::fit(&points).map_or_else(|_| Vec::new(), |fit| fit.steps().to_vec());
        let waits = loading(table, small, large).unwrap_or(f64::INFINITY) * f64::from(u8::from(table.by == SECONDS));
        let all = summed(one);
        let (mut below, mut below_other, mut dearer, mut at) = (Sums::default(), Sums::default(), 0.0, 0);
        let first_cost: f64 = items.iter().map(|&item| of_one[item]).sum();
        for step in steps.iter().skip(1) {
            while at < sorted.len() && sure[sorted[at]] < step.from {
                below.add(difference(one, sorted[at]));
                below_other.add(difference(other, sorted[at]));
                dearer += of_other[sorted[at]] + waits;
                at += 1;
            }
            let lower = all.less(below).and(below_other).lower();
            let fit = TaskFit {
                first: small,
                then: Some((large, *by, step.from)),
                right_at: task.is_share.then_some(step.value),
                keeps: true,
            };
            ways.push((fit, lower, (first_cost + dearer) / items.len() as f64));
        }
    }
    let kept = ways.iter().filter(|(_, lower, _)| *lower >= -task.margin);
    match kept.min_by(|a, b| a.2.total_cmp(&b.2)) {
        Some((fit, ..)) => *fit,
        None => {
            let nearest = ways.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are two at least");
            TaskFit { keeps: false, ..nearest.0 }
        }
    }
}

/// The cheapest variant for a task on some of its items.
pub(super) fn specialist_rule(
    table: &Table,
    task: &TaskTable,
    among: &[usize],
    within: impl Fn(usize) -> bool,
) -> TaskFit {
    let items: Vec<usize> = task.half(Half::First).filter(|&item| within(item)).collect();
    let kept = |place: &&usize| {
        keeps(task, table.reference, &mut items.iter().copied(), |item| task.answers[**place].scores[item])
    };
    let mean_cost = |place: &usize| {
        let costs = cost(table, &task.answers[*place]);
        mean(items.iter().map(|&item| costs[item]))
    };
    let cheapest = among.iter().filter(kept).min_by(|a, b| mean_cost(a).total_cmp(&mean_cost(b)));
    cheapest.map_or(TaskFit::of(table.reference, false), |place| TaskFit::of(*place, true))
}

fn cost<'a>(table: &Table, answers: &'a Answers) -> &'a [f64] {
    answers.costs[table.by].as_deref().expect("variants without it were left out")
}

/// A cascade of two variants.
pub(super) fn cascade(table: &Table, small: usize, large: usize) -> Fitted {
    let rules: Vec<TaskFit> =
        table.tasks.iter().map(|task| cascade_rule(table, task, (small, large), |_| true)).collect();
    fitted(table, Composition::Cascade, vec![small, large], rules)
}

fn fitted(table: &Table, composition: Composition, members: Vec<usize>, rules: Vec<TaskFit>) -> Fitted {
    let costs = table.tasks.iter().zip(&rules).flat_map(|(task, rule)| {
        task.half(Half::First).map(|item| rule.cost(table, task, item, table.by).unwrap_or(f64::INFINITY))
    });
    Fitted { composition, members, cost: mean(costs), keeps: rules.iter().all(|rule| rule.keeps), rules }
}

/// The variants that no other beats in both the mean of scores and cost on the first half.
fn members(table: &Table) -> Vec<usize> {
    let score = |place: usize| {
        mean(table.tasks.iter().map(|task| mean(task.half(Half::First).map(|item| task.answers[place].scores[item]))))
    };
    let mut all: Vec<(f64, f64, usize)> =
        (0..table.variants.len()).map(|place| (table.mean_cost(place, Half::First), score(place), place)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut best = f64::NEG_INFINITY;
    let mut front: Vec<usize> = Vec::new();
    for (_, score, place) in all {
        if score > best || place == table.reference {
            best = best.max(score);
            front.push(place);
        }
    }
    if front.len() > MOST_MEMBERS {
        let last = front.pop().expect("there are many");
        front.truncate(MOST_MEMBERS - 1);
        front.push(last);
    }
    front
}

/// The cascades that look best on the first half; with each whether it is to be tried: it is cheaper there than the single
/// variant, and is one. Where none is, the one that comes nearest.
pub(super) fn cascades(table: &Table, single: Option<&usize>, most: usize) -> Vec<(Fitted, bool)> {
    let members = members(table);
    let mut all: Vec<Fitted> = Vec::new();
    for (at, &small) in members.iter().enumerate() {
        // they stand by their cost
        for &large in &members[at + 1..] {
            all.push(cascade(table, small, large));
        }
    }
    let mixes = |fitted: &Fitted| fitted.rules.iter().any(|rule| rule.then.is_some());
    let limit = single.map_or(f64::INFINITY, |&single| table.mean_cost(single, Half::First));
    all.sort_by(|a, b| (!a.keeps, !mixes(a)).cmp(&(!b.keeps, !mixes(b))).then(a.cost.total_cmp(&b.cost)));
    let is_useful = |fitted: &Fitted| fitted.keeps && mixes(fitted) && fitted.cost < limit;
    let useful = all.iter().filter(|fitted| is_useful(fitted)).count().min(most);
    all.truncate(useful.max(1));
    all.into_iter().enumerate().map(|(place, fitted)| (fitted, place < useful)).collect()
}

/// One variant for each task, where that is more than one in all; with whether it is to be tried.
pub(super) fn specialists(table: &Table, single: Option<&usize>) -> Option<(Fitted, bool)> {
    let all: Vec<usize> = (0..table.variants.len()).collect();
    let rules: Vec<TaskFit> = table.tasks.iter().map(|task| specialist_rule(table, task, &all, |_| true)).collect();
    let mut members: Vec<usize> = Vec::new();
    for rule in &rules {
        if !members.contains(&rule.first) {
            members.push(rule.first);
        }
    }
    if members.len() < 2 {
        return None;
    }
    let fitted = fitted(table, Composition::Specialists, members, rules);
    let limit = single.map_or(f64::INFINITY, |&single| table.mean_cost(single, Half::First));
    let is_useful = fitted.keeps && fitted.cost < limit;
    Some((fitted, is_useful))
}
