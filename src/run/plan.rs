//! The plan: a profile as variants and trials, and what the store has already of them. It measures nothing.

use crate::library::home::Home;
use crate::library::models::{self, Opened};
use crate::library::suites;
use crate::run::deployed::Program;
use crate::run::steer::Steer;
use crate::run::{device, endpoints, engine};
use crate::subject::missing_template;
use anyhow::{Context, Result, anyhow, bail};
use bantam_core::cache_type::CacheType;
use bantam_core::endpoint::Terms;
use bantam_core::metric::Aggregation;
use bantam_core::profile::{self, Profile, RecipeRef};
use bantam_core::record::{
    Ask, Conditions, Engine, Figure, Id, LeftOut, Place, Provenance, Reading, Run, TaskRef, Trial, Variant, Warning,
    WarningKind,
};
use bantam_core::stats::noninferior::FEWEST_CLUSTERS;
use bantam_core::unit::{Bytes, Unit};
use bantam_eval::{Battery, Task};
use bantam_host::card::{Card, Fact};
use bantam_lab::{Recipe, Source};
use bantam_verdict::store::{self, Store};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// Parameters of a model whose passes are too short to share.
const SMALL: u64 = 32_000_000;
/// More batches at a time would take more memory than the model.
const MOST_PARALLEL_BATCHES: usize = 16;

/// What a session will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The run, with all its trials in order. The same profile with the same models and suites on the same host is the
    /// same run, so that doing it again goes on with it.
    pub run: Run,
    /// The same trials by variant.
    pub variants: Vec<Planned>,
    /// Trials that have their result.
    pub done: Vec<Id>,
    pub host: Host,
    /// Trials that are measured again though they have a result, which stays until the new one is begun.
    pub again: BTreeSet<Id>,
    /// What is doubtful about the suites' files, a sentence each.
    pub notes: Vec<String>,
    /// The terms under which variants that are endpoints are asked.
    pub endpoints: BTreeMap<Id, Terms>,
    /// The engine that speeds are measured with, where it is another than bantam's own.
    pub program: Option<Program>,
    /// What is wished of the run while it goes on.
    pub steer: Steer,
}

/// A variant, what is asked of it and what it will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub variant: Variant,
    pub trials: Vec<Trial>,
    pub estimate: Estimate,
}

/// What a variant will take, computed from the config alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    pub memory: Reading,
    pub disk: Reading,
}

impl Estimate {
    fn of(opened: &Opened, bytes: Bytes, tokens: usize, kv: CacheType) -> Estimate {
        let memory = models::memory(opened, bytes, tokens, kv);
        let how = format!("weights and a cache of {tokens} tokens in {kv}; working memory and the program come on top");
        Estimate {
            memory: figure(memory, Provenance::Estimated, how),
            disk: figure(bytes, Provenance::Estimated, "sizes of the tensors and of the rest of the file".into()),
        }
    }
}

fn figure(bytes: Bytes, provenance: Provenance, how: String) -> Reading {
    Reading::Known(Figure {
        value: bytes.0 as f64,
        unit: Unit::Bytes,
        provenance,
        interval: None,
        no_interval: None,
        n: None,
        how,
    })
}

/// What the machine is.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// The identity under which speeds can be compared.
    pub id: Id,
    /// The whole card and the engine, as they are stored with the run.
    pub card: serde_json::Value,
    /// Bytes a second that its memory gives, or why that is unknown.
    pub bandwidth: Result<f64, String>,
    /// What makes its numbers doubtful before anything has run.
    pub warnings: Vec<Warning>,
    pub threads: usize,
    /// What computes on it.
    pub engine: Engine,
    /// "AMD EPYC, 2 threads, 23.5 GiB".
    pub words: String,
}

impl Host {
    /// This machine. Measuring its bandwidth takes a third of a second of all its CPUs.
    pub fn here(with_bandwidth: bool) -> Host {
        let card = Card::here();
        let card = if with_bandwidth { card.with_bandwidth() } else { card };
        let engine = engine::here();
        Host {
            id: card.id(),
            bandwidth: match &card.bandwidth {
                Fact::Known(bandwidth) => Ok(bandwidth.bytes_per_second),
                Fact::Unknown { reason } => Err(reason.clone()),
            },
            warnings: card.warnings(),
            threads: card.threads(),
            words: format!(
                "{}, {} threads, {}",
                card.cpu.model.show(String::clone),
                card.threads(),
                card.memory.total.show(Bytes::to_string)
            ),
            card: record(&card, &engine),
            engine,
        }
    }
}

/// The card with one key more.
fn record(card: &Card, engine: &Engine) -> serde_json::Value {
    let mut record = serde_json::to_value(card).expect("a card has string keys");
    record["engine"] = serde_json::to_value(engine).expect("an engine is three strings");
    record
}

impl Plan {
    /// Finds the profile's models, recipes and suites, and looks at this machine. Models are identified by all their
    /// bytes, so large ones take a second a gigabyte.
    ///
    /// # Errors
    /// One sentence on the model, recipe or suite that cannot be used; or the store's. A model and a recipe that do not
    /// go together are left out with the reason, unless nothing is left then.
    pub fn make(profile: &Profile, store: &Store) -> Result<Plan> {
        device::check(profile)?;
        let Tasks { tasks, notes, templates, parity } = Tasks::of(profile)?;
        let pairs = Pairs::of(profile, &templates)?;
        check_names(profile, &tasks, &pairs)?;
        let mut host = Host::here(!profile.measure.speed.is_empty());
        host.warnings.extend((pairs.made.len() > 1).then(|| too_few(&tasks)).flatten());
        host.warnings.extend(check_threads(profile.measure.threads, host.threads)?);
        let notes = notes.into_iter().chain(pairs.same).collect();
        let endpoints = pairs.endpoints;
        let program = profile.engine.as_ref().map(Program::find).transpose()?;
        let (planned, logs) = (Plan::through(profile, pairs.made, &tasks, host, store, program)?, Home::find()?.logs());
        let program = planned.program.clone().map(|program| Program { parity, logs, ..program });
        let mut plan = Plan { notes, endpoints, program, ..planned };
        plan.run.left_out = pairs.left_out;
        Ok(plan)
    }

    /// Every variant on every task and speed shape. Tasks come first, since their scores do not mind a warm machine
    /// and speed does mind a cold one.
    pub fn of(
        profile: &Profile,
        variants: Vec<(Variant, Estimate)>,
        tasks: &[TaskRef],
        host: Host,
        store: &Store,
    ) -> store::Result<Plan> {
        Plan::through(profile, variants, tasks, host, store, None)
    }

    /// The same, where speeds are measured with another engine.
    fn through(
        profile: &Profile,
        variants: Vec<(Variant, Estimate)>,
        tasks: &[TaskRef],
        host: Host,
        store: &Store,
        program: Option<Program>,
    ) -> store::Result<Plan> {
        let conditions = conditions(profile, &host);
        let asks: Vec<Ask> =
            tasks.iter().cloned().map(Ask::Task).chain(profile.measure.speed.iter().copied().map(Ask::Speed)).collect();
        let planned = |(variant, estimate): (Variant, Estimate)| {
            // whoever asks: what computes is elsewhere
            let conditions = match &variant.model.place {
                Place::Endpoint(_) => Conditions { engine: engine::elsewhere(), ..conditions.clone() },
                _ => conditions.clone(),
            };
            let is_here = !matches!(variant.model.place, Place::Endpoint(_));
            let trial = |ask: &Ask| {
                let through = program.as_ref().filter(|_| is_here && matches!(ask, Ask::Speed(_)));
                let engine = through.map_or_else(|| conditions.engine.clone(), Program::engine);
                Trial::new(variant.clone(), ask.clone(), Conditions { engine, ..conditions.clone() }, &host.id)
            };
            Planned { trials: asks.iter().map(trial).collect(), variant: variant.clone(), estimate }
        };
        let variants: Vec<Planned> = variants.into_iter().map(planned).collect();
        let run = run(profile, &variants, host.card.clone());
        let mut done = Vec::new();
        for trial in &run.trials {
            if store.has_result(&trial.id)? {
                done.push(trial.id.clone());
            }
        }
        let (again, notes, endpoints) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
        Ok(Plan { run, variants, done, host, again, notes, endpoints, program, steer: Steer::default() })
    }

    /// The engine that a trial is done with, where it is another than bantam's own.
    pub fn program_of(&self, trial: &Trial) -> Option<&Program> {
        let is_here = !matches!(trial.variant.model.place, Place::Endpoint(_));
        self.program.as_ref().filter(|_| is_here && matches!(trial.ask, Ask::Speed(_)))
    }

    /// How many batches of the trial's items are answered at the same time. Threads that share the passes of a small model
    /// wait for each other most of the time, so each takes batches of its own there. That takes memory, and is done only
    /// where a speed shape tells the variant's.
    pub fn parallel_batches(&self, trial: &Trial) -> usize {
        let is_here = !matches!(trial.variant.model.place, Place::Endpoint(_));
        let is_small = is_here && trial.variant.model.parameters <= SMALL;
        let has_speed = || self.run.trials.iter().any(|other| matches!(other.ask, Ask::Speed(_)));
        match trial.ask {
            Ask::Task(_) if is_small && has_speed() => trial.conditions.threads.clamp(1, MOST_PARALLEL_BATCHES),
            _ => 1,
        }
    }

    /// How many trials have no result yet.
    pub fn missing(&self) -> usize {
        self.run.trials.len() - self.done.len()
    }
}

/// Says before anything is measured on which tasks variants will not be compared. Items that are right or wrong need no
/// such number.
fn too_few(tasks: &[TaskRef]) -> Option<Warning> {
    let graded = |task: &TaskRef| task.metrics.first().is_some_and(|metric| metric.aggregation() != Aggregation::Mean);
    let few = tasks.iter().filter(|task| graded(task) && task.items < FEWEST_CLUSTERS);
    let named: Vec<String> = few.map(|task| format!("{} ({})", task.task, task.items)).collect();
    (!named.is_empty()).then(|| Warning {
        kind: WarningKind::TooFewItems,
        text: format!(
            "too few items to compare variants on {}: {FEWEST_CLUSTERS} are needed, so it will be scored and decide nothing;              give it more items, or raise measure.limit",
            named.join(", ")
        ),
    })
}

fn run(profile: &Profile, variants: &[Planned], host: serde_json::Value) -> Run {
    // read again, it means the same files from every folder
    let here = std::env::current_dir().unwrap_or_default();
    let rooted = profile.clone().rooted(&here);
    let resolved = toml::to_string(&rooted).expect("a profile has string keys and no numbers that TOML cannot write");
    let trials: Vec<Trial> = variants.iter().flat_map(|planned| planned.trials.clone()).collect();
    let ids: Vec<&Id> = trials.iter().map(|trial| &trial.id).collect();
    Run {
        id: Id::of(&("run 1", &resolved, ids)),
        profile_name: profile.name.clone(),
        profile: resolved,
        host,
        version: env!("CARGO_PKG_VERSION").into(),
        started: crate::run::session::now(),
        finished: None,
        trials,
        left_out: Vec::new(),
    }
}

/// The tasks of the profile's suites, each in every way of asking, in order.
#[derive(Default)]
struct Tasks {
    tasks: Vec<TaskRef>,
    /// What is doubtful about them.
    notes: Vec<String>,
    /// The chat templates that they are written by, each with the first task that needs it; None is a model's default.
    templates: Vec<(Option<String>, String)>,
    /// Texts that two engines go on with, to see whether they agree.
    parity: Vec<String>,
}

impl Tasks {
    fn of(profile: &Profile) -> Result<Tasks> {
        let mut all = Tasks::default();
        let battery = battery(profile)?;
        for way in profile.ways() {
            for name in profile.suites.iter().chain(&battery) {
                // the battery says itself how many items it has
                let limit = profile.measure.limit.filter(|_| Some(name) != battery.as_ref());
                for mut task in suites::load_as(name, &way)?.tasks {
                    task.notes.extend(task.one_sided(limit));
                    let task = task.limited(limit);
                    let wanted = profile.engine.as_ref().map_or(0, |engine| engine.parity);
                    if all.parity.len() < wanted && task.chat_style().is_none() {
                        let prompts = task.prompts().into_values().filter(|prompt| !prompt.trim().is_empty());
                        all.parity.extend(prompts.take(wanted - all.parity.len()));
                    }
                    all.add(task);
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, task: Task) {
        for note in &task.notes {
            // tasks that differ in their filters only have the same doubts
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        if let Some(style) = task.chat_style()
            && !self.templates.iter().any(|(template, _)| *template == style.template)
        {
            self.templates.push((style.template.clone(), task.name.clone()));
        }
        self.tasks.push(task.reference());
    }
}

/// What is left of a context for the question and its answer, as a share and in tokens.
const BESIDE: (f64, usize) = (1.15, 64);

/// The suite that tells losses, with the context lengths that all models take; None where the profile asks for none.
pub(super) fn battery(profile: &Profile) -> Result<Option<String>> {
    let Some(loss) = profile.loss.as_ref().filter(|loss| loss.battery) else { return Ok(None) };
    let mut shortest = profile.measure.max_length.unwrap_or(usize::MAX);
    for typed in &profile.models {
        // one that cannot be read is told of where it is opened
        if let Ok(models::ModelFacts::Decoder(facts)) =
            models::find(typed).and_then(|found| models::inspect(&found.place))
        {
            shortest = shortest.min(facts.config.max_positions);
        }
    }
    let fits = |length: &&usize| (**length as f64 * BESIDE.0) as usize + BESIDE.1 <= shortest;
    let lengths = loss.lengths.iter().filter(fits).copied().collect();
    Ok(Some(Battery { seed: profile.measure.seed, items: loss.items, lengths }.name()))
}

/// Every model after every recipe, in the profile's order: those that can be made with what each will take, and those
/// that cannot with the reason.
struct Pairs {
    made: Vec<(Variant, Estimate)>,
    left_out: Vec<LeftOut>,
    /// What was named more than once, a sentence each.
    same: Vec<String>,
    /// Variants that are measured under another name.
    others: Vec<Variant>,
    /// Of them those that are endpoints.
    endpoints: BTreeMap<Id, Terms>,
}

impl Pairs {
    fn of(profile: &Profile, templates: &[(Option<String>, String)]) -> Result<Pairs> {
        let recipes = profile.recipes.iter().map(recipes).collect::<Result<Vec<_>>>()?.concat();
        // the longest sequence that is surely asked for
        let longest = profile.measure.speed.iter().map(|shape| shape.prompt + shape.output).max().unwrap_or(0);
        let mut pairs = Pairs {
            made: Vec::new(),
            left_out: Vec::new(),
            same: Vec::new(),
            others: Vec::new(),
            endpoints: BTreeMap::new(),
        };
        for typed in &profile.models {
            // a name that leads nowhere is a slip of the pen, and what it leads to may be no model
            let found = models::find(typed)?;
            match models::open(typed) {
                Ok(opened) => match lacks(&opened, templates) {
                    Some(error) => {
                        recipes.iter().for_each(|recipe| pairs.leave_out(&found.name, recipe.as_ref(), &error));
                    }
                    None => {
                        let kv = opened.kv.map_or_else(|| profile.kv.clone(), |kv| vec![kv]);
                        pairs.add(&opened, &recipes, &kv, longest);
                    }
                },
                Err(error) => {
                    recipes.iter().for_each(|recipe| pairs.leave_out(&found.name, recipe.as_ref(), &error));
                }
            }
        }
        for terms in &profile.endpoints {
            let (variant, terms) = endpoints::variant(terms)?;
            pairs.endpoints.insert(variant.id.clone(), terms);
            pairs.make((variant, endpoints::estimate()));
        }
        if pairs.made.is_empty() {
            let left_out: Vec<String> = pairs.left_out.iter().map(|pair| pair.to_string()).collect();
            bail!("nothing is left to be measured: {}", left_out.join("; "));
        }
        Ok(pairs)
    }

    /// A model of which no recipe can make another is measured as it is, whether or not the profile says `base`.
    fn add(&mut self, opened: &Opened, recipes: &[Option<Recipe>], kv: &[CacheType], longest: usize) {
        let mut any = false;
        // read once for all recipes, and only if there is one: what is quantized can be measured, though not compressed
        let source = OnceCell::new();
        for recipe in recipes {
            let bytes = match recipe {
                None => models::bytes(&opened.model.place),
                Some(recipe) => match source.get_or_init(|| source_of(opened)) {
                    Ok(source) => models::bytes_after(source, recipe),
                    Err(error) => Err(anyhow!("{error:#}")),
                },
            };
            match bytes {
                Ok(bytes) => {
                    any = true;
                    self.make_all(opened, recipe.as_ref(), kv, (bytes, longest));
                }
                Err(error) => self.leave_out(&opened.model.name, recipe.as_ref(), &error),
            }
        }
        if !any && !recipes.contains(&None) {
            match models::bytes(&opened.model.place) {
                Ok(bytes) => self.make_all(opened, None, kv, (bytes, longest)),
                Err(error) => self.leave_out(&opened.model.name, None, &error),
            }
        }
    }

    /// Adds a variant for each way to keep its keys and values; an encoder has none to keep.
    fn make_all(
        &mut self,
        opened: &Opened,
        recipe: Option<&Recipe>,
        kv: &[CacheType],
        (bytes, longest): (Bytes, usize),
    ) {
        let steps = recipe.map(|recipe| (recipe.name.clone(), recipe.to_toml()));
        let variant = Variant::new(opened.model.clone(), steps);
        for &kv in kv {
            let variant = variant.clone().keeping(kv);
            if !opened.compresses && !kv.is_default() {
                let reason = "an encoder keeps no keys and values".to_owned();
                self.left_out.push(LeftOut { model: variant.model.name.clone(), recipe: variant.treatment(), reason });
                continue;
            }
            self.make((variant, Estimate::of(opened, bytes, longest, kv)));
        }
    }

    /// Adds a variant, unless it is there already under this or another name: measured twice, its results would count
    /// twice.
    fn make(&mut self, made: (Variant, Estimate)) {
        let (variant, known) = (&made.0, self.made.iter().find(|(known, _)| known.id == made.0.id));
        let Some((known, _)) = known else { return self.made.push(made) };
        let said = match (variant.model.name == known.model.name, variant.label() == known.label()) {
            (_, true) => format!("{} is named twice, and is measured once", variant.label()),
            (true, false) => format!("{} does what {} does, and is measured once", variant.label(), known.label()),
            (false, _) => {
                let (name, known) = (&variant.model.name, &known.model.name);
                format!("{name} is {known}, byte for byte, and is measured once, as {known}")
            }
        };
        if !self.same.contains(&said) {
            self.same.push(said);
        }
        self.others.push(made.0);
    }

    fn leave_out(&mut self, model: &str, recipe: Option<&Recipe>, why: &anyhow::Error) {
        self.left_out.push(LeftOut {
            model: model.into(),
            recipe: recipe.map_or("base", |recipe| &recipe.name).into(),
            reason: format!("{why:#}"),
        });
    }

    /// Why there is no variant of this name.
    fn reason(&self, named: &str) -> Option<&LeftOut> {
        self.left_out.iter().find(|pair| pair.label() == named)
    }
}

/// Why a model cannot be asked all tasks: it has not the chat template that one of them is written by.
fn lacks(opened: &Opened, templates: &[(Option<String>, String)]) -> Option<anyhow::Error> {
    let there = opened.chat_templates.as_ref()?;
    let has = |name: &Option<String>| there.iter().any(|known| known == name.as_deref().unwrap_or("default"));
    let (template, task) = templates.iter().find(|(template, _)| !has(template))?;
    Some(anyhow!("{task} is asked in a chat template: {}", missing_template(template.as_deref(), there.iter())))
}

/// The model as recipes want it.
fn source_of(opened: &Opened) -> Result<Source<'static>> {
    let name = &opened.model.name;
    if opened.model.adapter.is_some() {
        bail!("{name}: a recipe starts from a model's own files; write the merged model with `bantam export` first");
    }
    models::source(name, &opened.model.place)
}

/// More threads than this, or than four on each CPU, only wait for each other: minutes for what takes seconds.
const MOST_THREADS: usize = 128;

/// Refuses more threads than can be of use, by the name that they were asked for under.
pub(crate) fn bound_threads(name: &str, threads: usize, cpus: usize) -> Result<()> {
    let most = MOST_THREADS.max(4 * cpus);
    if threads > most {
        bail!("{name}: {threads} is too many for {cpus} usable CPUs; give at most {most}, best {cpus} or fewer");
    }
    Ok(())
}

/// What makes numbers doubtful where more threads are asked for than there are CPUs.
fn check_threads(threads: Option<usize>, cpus: usize) -> Result<Option<Warning>> {
    let Some(threads) = threads.filter(|&threads| threads > cpus) else { return Ok(None) };
    bound_threads("measure.threads", threads, cpus)?;
    let text = format!(
        "{threads} threads share {cpus} usable CPUs and wait for each other: give at most {cpus} threads to see what the \
         machine can do"
    );
    Ok(Some(Warning { kind: WarningKind::CpuLimit, text }))
}

/// What the objective and the constraints speak of must be among what will be measured.
fn check_names(profile: &Profile, tasks: &[TaskRef], pairs: &Pairs) -> Result<()> {
    if let Some(named) = &profile.objective.reference
        && !pairs.made.iter().any(|(variant, _)| variant.is_called(named))
    {
        if let Some(pair) = pairs.reason(named) {
            bail!("objective.reference: {named:?} cannot be made: {}", pair.reason);
        }
        if let Some(other) = pairs.others.iter().find(|other| other.is_called(named))
            && let Some((known, _)) = pairs.made.iter().find(|(known, _)| known.id == other.id)
        {
            bail!(
                "objective.reference: {named:?} is the same as {}, byte for byte, and is measured under that name; write \
                 reference = {:?}",
                known.label(),
                known.label()
            );
        }
        let labels: Vec<String> = pairs.made.iter().map(|(variant, _)| variant.label()).collect();
        bail!("objective.reference: {named:?} is none of the profile's variants: {}", labels.join(", "));
    }
    let constraints = &profile.constraints;
    let named = (constraints.score.iter().map(|(task, _)| ("constraints.score", task)))
        .chain(constraints.relative.iter().map(|(task, _)| ("constraints.relative", task)))
        .chain(profile.objective.margins.iter().map(|(task, _)| ("objective.margins", task)))
        .chain(profile.objective.tasks.iter().flatten().map(|task| ("objective.tasks", task)));
    for (key, name) in named {
        if !tasks.iter().any(|task| task.task == *name) {
            let known: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
            bail!("{key}: {name:?} is none of the profile's tasks: {}", known.join(", "));
        }
    }
    for (name, least) in &constraints.score {
        let task = tasks.iter().find(|task| task.task == *name).and_then(|task| task.metrics.first());
        if task.is_some_and(|metric| metric.unit() == Unit::Fraction) && *least > 1.0 {
            bail!(
                "constraints.score.{name} is {least}, and the score is a share: allowed is 0 to 1, as in {name} = {} for {least}%",
                least / 100.0
            );
        }
    }
    Ok(())
}

/// The recipes behind a name, several where it has ranges; None for the model as it is.
fn recipes(named: &RecipeRef) -> Result<Vec<Option<Recipe>>> {
    let recipes = match named {
        RecipeRef::Base => return Ok(vec![None]),
        RecipeRef::File(file) => Recipe::read_all(file)?,
        RecipeRef::Quantize(name) => Recipe::all_named(name).context("recipes")?,
    };
    Ok(recipes.into_iter().map(Some).collect())
}

/// How the profile wants it measured; what it leaves open is filled in from this machine.
fn conditions(profile: &Profile, host: &Host) -> Conditions {
    let profile::Measure {
        speed: _,
        threads,
        seed,
        limit,
        max_length,
        half_width,
        budget,
        min_repeats,
        timeout,
        memory_limit,
        tdp_watts,
        idle,
    } = profile.measure.clone();
    Conditions {
        threads: threads.unwrap_or(host.threads),
        seed,
        max_length,
        limit,
        half_width,
        budget,
        min_repeats,
        timeout,
        memory_limit,
        tdp_watts,
        idle,
        engine: host.engine.clone(),
    }
}
