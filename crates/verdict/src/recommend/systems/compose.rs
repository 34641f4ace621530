//! The rows of a system, as if it had been asked: each item of the second half as the member gave it that answers there,
//! with what all members that were asked took; and speeds as a client sees them, who waits for the first member before the
//! second is asked.

use super::fit;
use super::table::{Answerer, Half, Table, TaskTable};
use super::{Considered, Fitted};
use bantam_core::metric::Metric;
use bantam_core::profile::Hold;
use bantam_core::record::{
    Ask, Figure, Id, ItemResult, ModelRef, Outcome, PhaseEnergy, Place, Provenance, Reading, Row, Shape, SpeedSample,
    Spent, TaskRef, Trial, Variant, Warning,
};
use bantam_core::system::{Member, System};
use bantam_core::unit::Seconds;
use std::collections::{BTreeMap, BTreeSet};

/// The system as a variant of its own. Its identity covers its members and its rules.
pub(super) fn variant(table: &Table, fitted: &Fitted) -> Variant {
    let of = |place: &usize| &table.variants[*place].variant;
    let members: Vec<Member> =
        fitted.members.iter().map(|place| Member { variant: of(place).id.clone(), label: of(place).label() }).collect();
    let rules: Vec<_> = table
        .tasks
        .iter()
        .zip(&fitted.rules)
        .map(|(task, rule)| (&task.task.digest, rule.first, rule.then.map(|(to, by, below)| (to, by, below.to_bits()))))
        .collect();
    let system = System { composition: fitted.composition, members };
    let digest = Id::of(&("system 1", &system, rules, table.hold));
    let model = ModelRef {
        name: system.label(),
        digest,
        parameters: fitted.members.iter().map(|place| of(place).model.parameters).sum(),
        place: Place::System(Box::new(system)),
        commit: None,
        adapter: None,
    };
    Variant::new(model, None)
}

/// All rows of a system.
pub(super) fn rows(table: &Table, fitted: &Fitted, considered: &Considered) -> Vec<Row> {
    let tasks = table.tasks.iter().enumerate().map(|(at, task)| task_row(table, fitted, considered, at, task));
    // a task whose score is no mean of items is left to one member
    let last = *fitted.members.last().expect("a system has members");
    let whole = table.whole.iter().filter_map(|name| {
        let row = table.variants[last].row(name)?;
        let Ask::Task(task) = &row.trial.ask else { return None };
        Some(row_of(table, fitted, considered, Ask::Task(task.clone()), row.outcome.items.clone(), &[row]))
    });
    tasks.chain(whole).chain(speeds(table, fitted, considered)).collect()
}

fn task_row(table: &Table, fitted: &Fitted, considered: &Considered, at: usize, task: &TaskTable) -> Row {
    let rule = &fitted.rules[at];
    let row = |place: usize| table.variants[place].row(&task.name).expect("members were asked every task");
    let by_index = |place: usize| -> BTreeMap<usize, &ItemResult> {
        row(place).outcome.items.iter().map(|item| (item.index, item)).collect()
    };
    let firsts = by_index(rule.first);
    let then = rule.then.map(|(to, ..)| (to, by_index(to)));
    let item = |place: usize| {
        let index = task.items[place];
        let first = firsts[&index];
        let Some((to, others)) = then.as_ref().filter(|_| rule.goes_on(task, place).is_some()) else {
            return ItemResult { spent: spent(table, task, &[(rule.first, first)], place, 0.0), ..first.clone() };
        };
        let other = others[&index];
        let waits = fit::loading(table, rule.first, *to).unwrap_or(0.0);
        ItemResult {
            spent: spent(table, task, &[(rule.first, first), (*to, other)], place, waits),
            tokens: first.tokens + other.tokens,
            ..other.clone()
        }
    };
    let items: Vec<ItemResult> = task.half(Half::Second).map(item).collect();
    let asked = TaskRef { items: items.len(), ..task.task.clone() };
    let rows: Vec<&Row> = std::iter::once(rule.first).chain(rule.then.map(|(to, ..)| to)).map(row).collect();
    row_of(table, fitted, considered, Ask::Task(asked), items, &rows)
}

/// What all members that were asked took; none where it is not known of one.
fn spent(table: &Table, task: &TaskTable, asked: &[(usize, &ItemResult)], item: usize, waits: f64) -> Option<Spent> {
    let each: Vec<Spent> = asked.iter().map(|(_, answer)| answer.spent).collect::<Option<_>>()?;
    let cents = super::table::COSTS.iter().position(|cost| *cost == Metric::CentsPerItem);
    let cents = asked.iter().map(|(place, _)| Some(task.answers[*place].costs[cents?].as_ref()?[item])).sum();
    Some(Spent {
        seconds: each.iter().map(|spent| spent.seconds).sum::<f64>() + waits,
        // what loading draws was not measured
        joules: each
            .iter()
            .map(|spent| spent.joules)
            .sum::<Option<f64>>()
            .filter(|_| table.hold == Hold::All || waits == 0.0),
        estimated: each.iter().any(|spent| spent.estimated),
        billed: None,
        cents,
    })
}

fn row_of(
    table: &Table,
    fitted: &Fitted,
    considered: &Considered,
    ask: Ask,
    items: Vec<ItemResult>,
    rows: &[&Row],
) -> Row {
    let like = rows.last().expect("somebody answered");
    let id = match &ask {
        Ask::Task(task) => Id::of(&("system task", &considered.variant.id, &task.digest)),
        Ask::Speed(shape) => Id::of(&("system speed", &considered.variant.id, shape)),
    };
    let trial = Trial {
        id: id.clone(),
        variant: considered.variant.clone(),
        ask,
        conditions: like.trial.conditions.clone(),
        needs: rows.iter().map(|row| row.trial.id.clone()).collect(),
    };
    let mut warnings: Vec<Warning> = Vec::new();
    for warning in rows.iter().flat_map(|row| &row.outcome.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    let memory = match table.hold {
        Hold::All => &considered.memory_of_all,
        Hold::One => &considered.memory_of_one,
    };
    let disk = fitted.members.iter().map(|&place| disk_of(&table.variants[place]));
    let outcome = Outcome {
        trial: id,
        result: Ok(()),
        items,
        samples: Vec::new(),
        peak_memory: memory.clone(),
        energy: energy(rows),
        disk: summed(disk, "the files of its members together"),
        ceiling: Reading::missing("a system has no ceiling of its own"),
        load: None,
        loaded_by: None,
        wall: Seconds(rows.iter().map(|row| row.outcome.wall.0).sum()),
        warnings,
        started: like.outcome.started,
        predicted: None,
        settled: None,
    };
    Row { trial, outcome }
}

fn disk_of(of: &Answerer) -> Reading {
    of.rows.first().map_or_else(|| Reading::missing("it has no result"), |row| row.outcome.disk.clone())
}

/// Whether there are joules, and how they were measured; the items have what each took.
fn energy(rows: &[&Row]) -> Reading {
    summed(rows.iter().map(|row| row.outcome.energy.clone()), "its members' work")
}

/// The sum; the first that is missing where one is.
fn summed(readings: impl Iterator<Item = Reading>, how: &str) -> Reading {
    combined(readings, |a, b| a + b, how)
}

/// Several readings as one, derived or, where one of them is, estimated; the first that is missing where one is.
pub(super) fn combined(readings: impl Iterator<Item = Reading>, of: fn(f64, f64) -> f64, how: &str) -> Reading {
    let mut all: Option<Figure> = None;
    for reading in readings {
        let Reading::Known(figure) = reading else { return reading };
        let provenance = match figure.provenance {
            Provenance::Estimated => Provenance::Estimated,
            _ => all.as_ref().map_or(Provenance::Derived, |all| all.provenance),
        };
        let value = all.map_or(figure.value, |all| of(all.value, figure.value));
        all = Some(Figure {
            value,
            unit: figure.unit,
            provenance,
            interval: None,
            no_interval: None,
            n: None,
            how: how.into(),
        });
    }
    all.map_or_else(|| Reading::missing("there is nothing to put together"), Reading::Known)
}

/// Its speed shapes, of those that all members have.
fn speeds(table: &Table, fitted: &Fitted, considered: &Considered) -> Vec<Row> {
    let shapes_of = |place: usize| -> Vec<Shape> {
        let shape = |row: &Row| match row.trial.ask {
            Ask::Speed(shape) => Some(shape).filter(|_| row.outcome.result.is_ok()),
            Ask::Task(_) => None,
        };
        table.variants[place].rows.iter().filter_map(shape).collect()
    };
    let mut shapes = shapes_of(fitted.members[0]);
    shapes.retain(|shape| fitted.members.iter().all(|&place| shapes_of(place).contains(shape)));
    let row = |shape: Shape| {
        let rows: Vec<&Row> = fitted
            .members
            .iter()
            .filter_map(|&place| {
                table.variants[place].rows.iter().find(|row| matches!(row.trial.ask, Ask::Speed(of) if of == shape))
            })
            .collect();
        let mut row = row_of(table, fitted, considered, Ask::Speed(shape), Vec::new(), &rows);
        row.outcome.samples = samples(table, fitted, &rows);
        row
    };
    shapes.into_iter().map(row).collect()
}

/// The repeats of the rounds that all members have in common, each as an answer takes it on average over the items of the
/// second half.
fn samples(table: &Table, fitted: &Fitted, rows: &[&Row]) -> Vec<SpeedSample> {
    let rounds = |row: &&Row| -> BTreeMap<u64, Vec<SpeedSample>> {
        let mut rounds: BTreeMap<u64, Vec<SpeedSample>> = BTreeMap::new();
        for (at, sample) in row.outcome.samples.iter().enumerate() {
            // of before there were rounds, each repeat is one
            let round = sample.turn.as_ref().map_or(at as u64, |turn| turn.round);
            rounds.entry(round).or_default().push(sample.clone());
        }
        rounds
    };
    let all: Vec<BTreeMap<u64, Vec<SpeedSample>>> = rows.iter().map(rounds).collect();
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let common: BTreeSet<u64> =
        first.keys().copied().filter(|round| others.iter().all(|other| other.contains_key(round))).collect();
    let shares = shares(table, fitted);
    let mut mixed = Vec::new();
    for round in common {
        let repeats = all.iter().map(|rounds| rounds[&round].len()).min().unwrap_or(0);
        for repeat in 0..repeats {
            let members: Vec<&SpeedSample> = all.iter().map(|rounds| &rounds[&round][repeat]).collect();
            mixed.push(mix(&members, &shares));
        }
    }
    mixed
}

/// The ways in which a question is answered, by members' places in the system: who is asked, in their order, and the share
/// of the items.
fn shares(table: &Table, fitted: &Fitted) -> Vec<(Vec<usize>, f64)> {
    let mut ways: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
    let number = |place: usize| fitted.members.iter().position(|member| *member == place).unwrap_or(0);
    let mut all = 0.0;
    for (task, rule) in table.tasks.iter().zip(&fitted.rules) {
        for item in task.half(Half::Second) {
            let asked = std::iter::once(rule.first).chain(rule.goes_on(task, item)).map(number).collect();
            *ways.entry(asked).or_default() += 1.0;
            all += 1.0;
        }
    }
    ways.into_iter().map(|(asked, count)| (asked, count / all)).collect()
}

fn mix(members: &[&SpeedSample], shares: &[(Vec<usize>, f64)]) -> SpeedSample {
    let mean = |of: &dyn Fn(&[usize]) -> f64| shares.iter().map(|(asked, share)| share * of(asked)).sum::<f64>();
    let sum = |of: &dyn Fn(&SpeedSample) -> f64| mean(&|asked| asked.iter().map(|&member| of(members[member])).sum());
    let energy: Option<Vec<PhaseEnergy>> = members.iter().map(|sample| sample.energy).collect();
    SpeedSample {
        prefill: Seconds(sum(&|sample| sample.prefill.0)),
        // whoever goes on has waited for the whole of the first answer
        ttft: Seconds(mean(&|asked| {
            let (last, before) = asked.split_last().expect("somebody is asked");
            let waited = before.iter().map(|&member| members[member].ttft.0 + members[member].decode.0).sum::<f64>();
            // with somebody behind it an answer is shown when it is whole, since only then it is known to be the last
            let judged = before.is_empty() && shares.iter().any(|(other, _)| other.len() > 1 && other[0] == *last);
            waited + members[*last].ttft.0 + if judged { members[*last].decode.0 } else { 0.0 }
        })),
        decode: Seconds(sum(&|sample| sample.decode.0)),
        inter_token: Vec::new(),
        energy: energy.map(|energy| PhaseEnergy {
            prefill_joules: mean(&|asked| asked.iter().map(|&m| energy[m].prefill_joules).sum()),
            decode_joules: mean(&|asked| asked.iter().map(|&m| energy[m].decode_joules).sum()),
            provenance: match energy.iter().any(|e| e.provenance == Provenance::Estimated) {
                true => Provenance::Estimated,
                false => Provenance::Derived,
            },
        }),
        turn: members.last().and_then(|sample| sample.turn.clone()).map(|turn| bantam_core::record::Turn {
            peak: None,
            disturbed: members.iter().find_map(|m| m.turn.as_ref()?.disturbed.clone()),
            ..turn
        }),
    }
}
