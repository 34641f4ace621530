//! The screens as pictures at 80×24 and 120×36, and the app's answers to keys, on made-up facts.

use super::action::{Action, Command, Message, Recorded};
use super::app::App;
use super::draw::draw;
use super::results::{ResultColumn, ResultRow, Results, Told};
use super::screen::{advice as advice_screen, find, models, plan, results as results_screen, run};
use super::setup::{Expected, From, GridRow, ModelEntry, ModelInfo, Setup, SuiteEntry, SuiteInfo, TaskEntry};
use super::theme::{Theme, ThemeName};
use bantam_core::event::{Event, Pulse};
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::*;
use bantam_core::unit::{Bytes, Seconds, Unit};
use bantam_verdict::recommend::Standing;
use bantam_verdict::recommend::advice::words::{Evidence, Words};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Position, Rect};
use std::path::Path;

const PROFILE: &str = "
name = 'quickstart'
models = ['bundled:bantam-s', 'bundled:bantam-l']
recipes = ['base', 'Q4_K_M', 'Q2_K']
suites = ['routing', 'arithmetic']
[constraints]
max_memory = '64 MiB'
";

fn variant(model: &str, recipe: Option<&str>) -> Variant {
    let reference = ModelRef {
        name: model.into(),
        place: Place::Bundled(model.into()),
        digest: Id::of_bytes(model.as_bytes()),
        parameters: 2_622_720,
        commit: None,
        adapter: None,
    };
    Variant::new(reference, recipe.map(|r| (r.to_owned(), format!("quantize = '{r}'"))))
}

fn conditions() -> Conditions {
    Conditions {
        threads: 2,
        seed: 1,
        max_length: None,
        limit: None,
        half_width: 0.05,
        budget: Seconds(10.0),
        min_repeats: 5,
        timeout: None,
        memory_limit: None,
        tdp_watts: None,
        idle: Seconds(1.0),
        engine: Default::default(),
    }
}

fn task(name: &str, metric: Metric) -> Ask {
    Ask::Task(TaskRef {
        suite: name.into(),
        task: name.into(),
        digest: Id::of_bytes(name.as_bytes()),
        file: format!("bundled:{name}"),
        items: 300,
        metrics: vec![metric],
        chance: None,
        chat: Default::default(),
    })
}

pub(super) fn variants() -> Vec<Variant> {
    let of = |model: &str| [None, Some("Q4_K_M"), Some("Q2_K")].map(|recipe| variant(model, recipe));
    of("bantam-s").into_iter().chain(of("bantam-l")).collect()
}

pub(super) fn trials() -> Vec<Trial> {
    let host = Id::of_bytes(b"host");
    let asks = [
        task("routing", Metric::Acc),
        task("arithmetic", Metric::ExactMatch),
        Ask::Speed(Shape { prompt: 128, output: 64 }),
    ];
    let of = |v: Variant| asks.clone().map(|ask| Trial::new(v.clone(), ask, conditions(), &host));
    variants().into_iter().flat_map(of).collect()
}

fn info(parameters: u64, stored: u64) -> ModelInfo {
    ModelInfo {
        architecture: "LlamaForCausalLM".into(),
        parameters,
        layers: 4,
        hidden: 256,
        heads: 4,
        kv_heads: 2,
        vocab: 1024,
        context: 1024,
        kv_bytes_per_token: Some(Bytes(4096)),
        stored: Bytes(stored),
        weights: "bf16".into(),
        sizes: vec![
            ("base".into(), Ok((Bytes(stored), Bytes(stored + 4_194_304)))),
            ("Q4_K_M".into(), Ok((Bytes(stored / 3), Bytes(stored / 3 + 4_194_304)))),
        ],
    }
}

fn task_entry(name: &str) -> TaskEntry {
    let (suite, name) = (name.to_owned(), name.to_owned());
    TaskEntry { suite, name, items: 100, available: 300, smallest: Some(0.094), letters: 120.0 }
}

pub(super) fn setup() -> Setup {
    let entry = |name: &str, info| ModelEntry { name: name.into(), typed: format!("bundled:{name}"), info };
    let suite = |name: &str, metric| SuiteEntry {
        name: name.into(),
        info: Ok(SuiteInfo { items: 100, available: 300, metric, tasks: vec![task_entry(name)] }),
    };
    let row = |variant: &Variant| GridRow {
        label: variant.label(),
        disk: Bytes(1_048_576),
        trials: 3,
        done: 0,
        expected: Some(Expected { time: Seconds(100.0), from: From::Guess }),
    };
    Setup {
        grid: variants().iter().map(row).collect(),
        profile: Profile::parse(PROFILE, Path::new("quickstart.toml")).expect("valid"),
        models: vec![entry("bantam-s", Ok(info(426_240, 852_480))), entry("bantam-l", Ok(info(2_622_720, 5_245_440)))],
        suites: vec![suite("routing", Metric::Acc), suite("arithmetic", Metric::ExactMatch)],
        trials: trials(),
        variants: variants().len(),
        unmakable: vec![],
        done: Default::default(),
        host: "AMD EPYC, 2 cores, 23.4 GiB".into(),
        energy: "no meter: /sys/class/powercap is not there".into(),
        warnings: vec!["the CPU governor is unknown: no cpufreq here".into()],
    }
}

fn figure(value: f64, unit: Unit, spread: f64) -> Reading {
    Reading::Known(Figure {
        value,
        unit,
        provenance: Provenance::Measured,
        interval: Some(Interval { low: value - spread, high: value + spread, level: 0.95 }),
        no_interval: None,
        n: Some(300),
        how: "Wilson interval over 300 items".into(),
    })
}

pub(super) fn results() -> Results {
    let column = |title: &str, metric| ResultColumn { title: title.into(), metric };
    let columns = vec![
        column("routing", Metric::Acc),
        column("arithmetic", Metric::ExactMatch),
        column("decode", Metric::DecodeTps),
        column("memory", Metric::PeakMemory),
        column("energy", Metric::DecodeEnergy),
    ];
    let row = |i: usize, variant: Variant| {
        let score = [0.45, 0.44, 0.3, 0.93, 0.92, 0.6][i];
        let memory = [12.0, 11.0, 10.5, 24.0, 17.0, 15.0][i] * 1048576.0;
        ResultRow {
            variant,
            cells: vec![
                figure(score, Unit::Fraction, 0.03),
                figure(score - 0.1, Unit::Fraction, 0.03),
                figure(9000.0 - 1000.0 * i as f64, Unit::TokensPerSecond, 200.0),
                figure(memory, Unit::Bytes, 0.0),
                Reading::missing("no meter: /sys/class/powercap is not there"),
            ],
            standing: match i {
                2 => Standing::Out { reason: "Worse on routing: −15.0 points (−19.1 to −10.9).".into() },
                5 => Standing::CannotTell { reason: "300 items of arithmetic cannot tell.".into() },
                _ => Standing::Qualifies,
            },
            on_front: ![2, 5].contains(&i),
            advised: i == 4,
            at: Some((memory, score)),
        }
    };
    Results { columns, rows: variants().into_iter().enumerate().map(|(i, v)| row(i, v)).collect() }
}

pub(super) fn app(width: u16, height: u16) -> App {
    let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
    app.hear(Message::Planned(Box::new(Ok(setup()))));
    app
}

/// An app in the middle of its run.
pub(super) fn running(width: u16, height: u16) -> App {
    let mut app = app(width, height);
    assert_eq!(app.update(Action::Start), Some(Command::Start));
    let trials = trials();
    let item = |i| ItemResult { index: i, tokens: 40, ..Default::default() };
    let job = |app: &mut App, event| app.hear(Message::Run(Box::new(event)));
    app.hear(Message::Clock(1.0));
    job(&mut app, Event::Started { trial: trials[0].id.clone() });
    let mut done = Outcome::failed(trials[0].id.clone(), Failure::Cancelled, 0.0, Seconds(3.0));
    done.result = Ok(());
    app.hear(Message::Clock(4.0));
    job(&mut app, Event::Finished { trial: trials[0].id.clone(), outcome: Box::new(done) });
    let failure = Failure::OutOfMemory { message: "the worker was killed for memory at 64 MiB".into() };
    let failed = Outcome::failed(trials[1].id.clone(), failure, 0.0, Seconds(1.0));
    job(&mut app, Event::Finished { trial: trials[1].id.clone(), outcome: Box::new(failed) });
    job(&mut app, Event::Started { trial: trials[2].id.clone() });
    job(&mut app, Event::Item { trial: trials[2].id.clone(), item: Box::new(item(41)), done: 42, of: 100 });
    for i in 0..60 {
        let pulse = Pulse {
            tokens_per_second: Some(3000.0 + 200.0 * (i % 7) as f64),
            resident: Some(Bytes(16 << 20)),
            power: None,
        };
        job(&mut app, Event::Pulse { trial: trials[2].id.clone(), pulse });
    }
    let warning = Warning { kind: WarningKind::Steal, text: "3.1% of the time was stolen by neighbours".into() };
    job(&mut app, Event::Warned { trial: Some(trials[2].id.clone()), warning });
    app.hear(Message::Clock(9.0));
    app
}

pub(super) fn advice() -> Told {
    let words = Words {
        found: true,
        title: "Take bantam-l · Q4_K_M".into(),
        lines: vec![
            "It is the smallest variant that meets the constraints and is shown not worse than bantam-l by more than \
             2 points: 17.0 MiB instead of 24.0 MiB."
                .into(),
        ],
        evidence: vec![
            Evidence { title: "What was compared".into(), lines: vec!["routing, 300 items".into()] },
            Evidence { title: "Doubts".into(), lines: vec!["bantam-l: 3.1% of the time was stolen.".into()] },
        ],
    };
    let how_to_run = vec!["the file: /cache/bantam-l.Q4_K_M.gguf".into(), "ask it: bantam eval bantam-l.gguf".into()];
    Told { words, unfinished: false, how_to_run }
}

pub(super) fn picture(app: &App) -> String {
    let backend = TestBackend::new(app.shared.size.width, app.shared.size.height);
    let mut terminal = Terminal::new(backend).expect("a test backend never fails");
    terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
    terminal.backend().to_string()
}

fn pictures(name: &str, make: impl Fn(u16, u16) -> App) {
    for (width, height) in [(80, 24), (120, 36)] {
        let app = make(width, height);
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), picture(&app));
    }
}

pub(super) fn on(screen: &'static str, make: impl Fn(u16, u16) -> App) -> impl Fn(u16, u16) -> App {
    move |width, height| {
        let mut app = make(width, height);
        app.update(Action::Go(screen));
        app
    }
}

pub(super) fn finished(width: u16, height: u16) -> App {
    let mut app = running(width, height);
    app.hear(Message::Results(Box::new(results())));
    app.hear(Message::Advised(Box::new(advice())));
    app.hear(Message::Over(None));
    app
}

#[test]
fn models_screen() {
    pictures("models", app);
}

#[test]
fn plan_screen() {
    pictures("plan", on(plan::TITLE, app));
}

#[test]
fn run_screen() {
    pictures("run", running);
}

#[test]
fn a_trial_opens_with_its_curve_its_last_answer_and_its_log_and_is_steered() {
    for (width, height) in [(80, 24), (120, 36), (200, 50)] {
        let mut app = running(width, height);
        let trial = &trials()[2];
        let look = press(&mut app, KeyCode::Enter);
        assert!(matches!(look, Some(Command::LookAtTrial(ref of)) if of.id == trial.id), "the one at work: {look:?}");
        assert!(picture(&app).contains("looking for its prompt"), "{}", picture(&app));
        let item = ItemResult {
            index: 42,
            target: Some("billing".into()),
            answer: Some("account".into()),
            scores: vec![ItemScore { metric: Metric::Acc, value: 0.0, weight: 1.0 }],
            ..ItemResult::default()
        };
        let event = Event::Item { trial: trial.id.clone(), item: Box::new(item), done: 43, of: 100 };
        app.hear(Message::Run(Box::new(event)));
        let recorded = Recorded {
            last: None,
            prompts: Ok([(42, "Message: my card was charged twice\nQueue:".to_owned())].into()),
            repeats: vec![],
            shares: vec![1.0, 0.5],
            log: "loaded in 0.2 s".into(),
        };
        app.hear(Message::Recorded(trial.id.clone(), Box::new(recorded)));
        let shown = picture(&app);
        assert!(shown.contains("tok/s┤") && shown.contains("charged twice") && shown.contains("account"), "{shown}");
        assert!(shown.contains("loaded in 0.2 s") && shown.contains("stolen by neighbours"), "{shown}");
        insta::assert_snapshot!(format!("trial_{width}x{height}"), shown);
        let id = trial.variant.id.clone();
        assert_eq!(press(&mut app, KeyCode::Char('s')), Some(Command::Skip(id.clone(), true)));
        assert_eq!(press(&mut app, KeyCode::Char('s')), Some(Command::Skip(id.clone(), false)));
        assert_eq!(press(&mut app, KeyCode::Char('f')), Some(Command::First(Some(id.clone()))));
        press(&mut app, KeyCode::Esc);
        assert_eq!(press(&mut app, KeyCode::Char('s')), Some(Command::Skip(id, true)), "on the run itself, too");
    }
    // nothing runs that could be steered
    let mut idle = on(run::TITLE, super::tests::app)(80, 24);
    assert_eq!(press(&mut idle, KeyCode::Char('s')), None);
    assert!(picture(&idle).contains("no run goes on"), "{}", picture(&idle));
}

#[test]
fn results_screen() {
    pictures("results", on(results_screen::TITLE, finished));
}

#[test]
fn scatter_alone_on_a_narrow_terminal() {
    let mut app = on(results_screen::TITLE, finished)(80, 24);
    app.update(results_screen::CHART);
    insta::assert_snapshot!("scatter_80x24", picture(&app));
}

#[test]
fn advice_screen() {
    pictures("advice", finished);
}

#[test]
fn help_page() {
    pictures("help", |width, height| {
        let mut app = on(results_screen::TITLE, finished)(width, height);
        app.update(Action::Help);
        app
    });
}

#[test]
fn a_broken_profile_is_told_on_the_first_screen() {
    pictures("broken", |width, height| {
        let mut app = App::new("p".into(), Theme::plain(), Rect::new(0, 0, width, height));
        let error = "p.toml:2: unknown field `siutes`, expected one of `name`, `title`, `models`";
        app.hear(Message::Planned(Box::new(Err(error.into()))));
        assert_eq!(app.update(Action::Start), None);
        app
    });
}

#[test]
fn below_80x24_it_says_what_it_needs() {
    let small = picture(&app(79, 24));
    assert!(small.contains("bantam needs 80×24; this terminal is 79×24"), "{small}");
    for (width, height) in [(1, 1), (80, 3), (3, 80), (200, 60)] {
        for screen in app(80, 24).titles() {
            picture(&on(screen, finished)(width, height));
        }
    }
}

#[test]
fn every_screen_draws_before_anything_is_known() {
    for screen in app(80, 24).titles() {
        let mut app = App::new("p".into(), Theme::coloured(), Rect::new(0, 0, 80, 24));
        app.update(Action::Go(screen));
        picture(&app);
    }
}

#[test]
fn quitting_in_mid_run_asks_first() {
    let mut app = running(80, 24);
    assert_eq!(app.update(Action::Quit), None);
    assert!(picture(&app).contains("Stop and quit?"));
    assert_eq!(app.update(Action::No), None);
    assert!(app.shared.running() && !app.asking);
    app.update(Action::Quit);
    assert_eq!(app.update(Action::Yes), Some(Command::Quit));
}

#[test]
fn quitting_without_a_run_does_not_ask() {
    assert_eq!(app(80, 24).update(Action::Quit), Some(Command::Quit));
}

#[test]
fn the_run_ends_on_the_advice() {
    assert_eq!(finished(80, 24).screen().title(), advice_screen::TITLE);
}

fn order(app: &App) -> Vec<usize> {
    let screen: Option<&results_screen::ResultsScreen> = (app.screen() as &dyn std::any::Any).downcast_ref();
    screen.expect("Results is shown").order(&app.shared.results)
}

#[test]
fn sorting_puts_the_best_first_and_the_missing_last() {
    let mut app = on(results_screen::TITLE, finished)(80, 24);
    let names = |app: &App| -> Vec<f64> {
        let results = &app.shared.results;
        order(app).iter().map(|&r| results.rows[r].cells[3].value().unwrap_or(f64::NAN)).collect()
    };
    for _ in 0..4 {
        app.update(results_screen::SORT);
    }
    assert!(names(&app).is_sorted(), "memory: least first");
    app.update(results_screen::REVERSE);
    assert!(names(&app).iter().rev().is_sorted());
    app.update(results_screen::SORT);
    assert_eq!(order(&app).len(), 6, "a column of missing figures keeps every row");
}

#[test]
fn a_click_on_a_tab_goes_there_and_on_a_line_chooses_it() {
    let mut app = app(80, 24);
    app.update(Action::Click(Position::new(23, 0)));
    assert_eq!(app.screen().title(), plan::TITLE);
    app.update(Action::Go(models::TITLE));
    app.update(Action::Click(Position::new(4, 5)));
    let command = app.update(Action::Toggle);
    assert!(matches!(command, Some(Command::Plan(ref s)) if s.models == [true, false]), "{command:?}");
}

#[test]
fn a_model_is_left_out_but_never_the_last_one() {
    let mut app = app(80, 24);
    let command = app.update(Action::Toggle);
    assert!(matches!(command, Some(Command::Plan(ref s)) if s.models == [false, true]), "{command:?}");
    app.update(Action::Down);
    assert_eq!(app.update(Action::Toggle), None);
    assert_eq!(app.shared.selection.models, [false, true]);
}

pub(super) fn press(app: &mut App, code: KeyCode) -> Option<Command> {
    app.input(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// The picture and, cell by cell, how it is drawn.
pub(super) fn drawn(app: &App) -> ratatui::buffer::Buffer {
    let backend = TestBackend::new(app.shared.size.width, app.shared.size.height);
    let mut terminal = Terminal::new(backend).expect("a test backend never fails");
    terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
    terminal.backend().buffer().clone()
}

#[test]
fn pasted_text_is_no_keys() {
    let mut app = running(80, 24);
    assert_eq!(app.input(Input::Paste("microsoft/phi-2 q r x".into())), None);
    assert!(app.shared.running() && !app.asking);
    assert!(picture(&app).contains("what is pasted is text and no keys"), "{}", picture(&app));
}

#[test]
fn ctrl_z_goes_to_the_shell_whatever_lies_over_the_screen() {
    let z = || Input::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL));
    let mut app = running(80, 24);
    assert_eq!(app.input(z()), Some(Command::Suspend));
    app.update(Action::Help);
    assert_eq!(app.input(z()), Some(Command::Suspend));
    app.update(Action::Back);
    app.update(Action::Quit);
    assert_eq!(app.input(z()), Some(Command::Suspend));
    assert!(app.asking, "the question waits");
}

#[test]
fn the_mouse_is_left_to_the_terminal_and_taken_back() {
    let mut app = app(80, 24);
    assert_eq!(press(&mut app, KeyCode::Char('m')), Some(Command::Mouse(false)));
    assert!(picture(&app).contains("mark and copy"));
    assert_eq!(press(&mut app, KeyCode::Char('m')), Some(Command::Mouse(true)));
}

#[test]
fn an_error_of_planning_takes_no_screen_away_and_what_was_added_can_be_taken_out() {
    let mut app = app(80, 24);
    app.shared.selection.pulled.push("org/model-GGUF:Q8_0".into());
    let error = "org/model-GGUF:Q8_0: Q4_K_M cannot be made of it: it is stored as Q8_0 already";
    app.hear(Message::Planned(Box::new(Err(error.into()))));
    let models = picture(&app);
    for word in ["stored as Q8_0", "already", "bantam-l", "model-GGUF:Q8_0", "d takes it away again"] {
        assert!(models.contains(word), "{word} is missing:\n{models}");
    }
    assert_eq!(app.update(Action::Start), None);
    app.update(Action::Go(plan::TITLE));
    let plan = picture(&app);
    assert!(plan.contains("stored as Q8_0") && plan.contains("Recipes") && plan.contains("routing"), "{plan}");
    app.update(Action::Go(models::TITLE));
    assert_eq!(app.update(models::AWAY), None, "the first line is the profile's own");
    app.update(Action::Last);
    let command = app.update(models::AWAY);
    assert!(
        matches!(command, Some(Command::Plan(ref s)) if s.pulled.is_empty() && s.models == [true, true]),
        "{command:?}"
    );
    app.hear(Message::Planned(Box::new(Ok(setup()))));
    let after = picture(&app);
    assert!(!after.contains("[x] model-GGUF") && after.contains("bundled:bantam-l"), "{after}");
}

#[test]
fn what_was_added_before_the_first_plan_can_be_taken_out_too() {
    let mut app = App::new("p".into(), Theme::plain(), Rect::new(0, 0, 80, 24));
    app.shared.selection.pulled.push("org/bad".into());
    app.hear(Message::Planned(Box::new(Err("org/bad: cannot be read".into()))));
    let command = press(&mut app, KeyCode::Char('d'));
    assert!(matches!(command, Some(Command::Plan(ref s)) if s.pulled.is_empty()), "{command:?}");
}

#[test]
fn pairs_that_cannot_be_made_stand_with_their_reason() {
    let mut setup = setup();
    let why = "it is stored as Q8_0 already, and what is quantized is quantized no second time";
    let recipes = ["Q4_K_M", "Q2_K", "Q3_K_M", "Q5_K_M", "Q6_K", "Q4_0", "Q8_0", "IQ4_NL", "IQ4_XS"];
    let pair = |recipe: &str| LeftOut { model: "bantam-s".into(), recipe: recipe.into(), reason: why.into() };
    setup.unmakable = recipes.map(pair).to_vec();
    if let Ok(info) = &mut setup.models[0].info {
        info.sizes.truncate(1);
        info.sizes.extend(recipes.map(|recipe| (recipe.to_owned(), Err(why.to_owned()))));
    }
    for (width, height) in [(80, 24), (120, 36)] {
        let mut app = finished(width, height);
        app.shared.setup = Some(setup.clone());
        for screen in [models::TITLE, plan::TITLE, run::TITLE, results_screen::TITLE] {
            app.update(Action::Go(screen));
            if screen != models::TITLE {
                app.update(Action::Last);
            }
            let shown = picture(&app);
            // lines break where they must
            let words = shown.replace(|c: char| c.is_whitespace() || "│\"".contains(c), "");
            assert!(words.contains("IQ4_XS") && words.contains("storedasQ8_0already"), "{screen}\n{shown}");
            assert!(!shown.contains("more; 3 Run"), "{screen}\n{shown}");
            app.update(Action::First);
        }
        app.update(Action::Go(plan::TITLE));
        insta::assert_snapshot!(format!("unmakable_plan_{width}x{height}"), picture(&app));
        app.update(Action::Go(results_screen::TITLE));
        app.update(Action::Last);
        insta::assert_snapshot!(format!("unmakable_results_{width}x{height}"), picture(&app));
    }
    // where nothing is measured yet it is told, too
    let mut app = app(80, 24);
    app.hear(Message::Planned(Box::new(Ok(setup))));
    app.update(Action::Go(results_screen::TITLE));
    assert!(picture(&app).contains("cannot be made (9)"), "{}", picture(&app));
}

/// States that the workbench comes into, each made anew.
const STATES: [fn(u16, u16) -> App; 6] = [
    |width, height| App::new("p".into(), Theme::plain(), Rect::new(0, 0, width, height)),
    app,
    running,
    stopped,
    finished,
    |width, height| {
        let mut app = app(width, height);
        app.hear(Message::Planned(Box::new(Err("p.toml: cannot be planned".into()))));
        app
    },
];

#[test]
fn every_hint_at_the_foot_does_something_and_what_does_something_is_there() {
    for (width, height) in [(80, 24), (120, 36)] {
        for (state, make) in STATES.into_iter().enumerate() {
            for screen in app(80, 24).titles() {
                let fresh = || {
                    let mut app = on(screen, make)(width, height);
                    // out of the search line, where letters are text
                    press(&mut app, KeyCode::Esc);
                    app.shared.notice = None;
                    app
                };
                let before = fresh();
                for binding in super::keys::with(before.screen().keys()).into_iter().filter(|binding| binding.foot) {
                    let mut after = fresh();
                    let command = press(&mut after, binding.codes[0]);
                    after.shared.notice = None;
                    let acted = command.is_some() || picture(&after) != picture(&before);
                    let key = binding.keys;
                    assert_eq!(acted, before.acts(&binding.action), "{key} on {screen} in state {state}, {width} wide");
                }
                let foot = picture(&before).lines().last().unwrap_or_default().to_owned();
                assert!(foot.contains("1-7 screens"), "{foot}");
            }
        }
    }
}

#[test]
fn digits_leave_help_for_their_screen_and_its_foot_says_so() {
    let mut app = finished(80, 24);
    app.update(Action::Help);
    let foot = picture(&app).lines().last().unwrap_or_default().to_owned();
    assert!(foot.contains("esc close help") && foot.contains("1-7 screens") && !foot.contains("run"), "{foot}");
    press(&mut app, KeyCode::Char('2'));
    assert!(!app.help && app.screen().title() == plan::TITLE);
}

#[test]
fn where_nothing_runs_that_is_said_with_the_key_that_changes_it() {
    let told = |app: App| {
        let mut app = app;
        app.update(Action::Go(run::TITLE));
        picture(&app).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(told(app(120, 36)).contains("Nothing runs: r starts the run"));
    assert!(told(stopped(120, 36)).contains("Nothing runs: r goes on"));
    assert!(told(working(120, 36)).contains("Nothing runs: everything is measured already"));
    assert!(told(finished(120, 36)).contains("Nothing runs: the run is over"));
    assert!(!told(running(120, 36)).contains("Nothing runs"));
    assert!(!told(app(120, 36)).contains("waiting for"));
}

#[test]
fn a_figure_keeps_its_unit_however_long_it_is() {
    for (width, height) in [(80, 24), (120, 36)] {
        let mut app = on(results_screen::TITLE, finished)(width, height);
        let mut results = results();
        for row in &mut results.rows {
            row.cells[2] = figure(1_234_567.0, Unit::TokensPerSecond, 200.0);
        }
        long_names(&mut results);
        app.hear(Message::Results(Box::new(results)));
        let shown = picture(&app);
        assert!(shown.matches("1234567 tok/s").count() >= 6, "{shown}");
    }
}

#[test]
fn columns_to_the_side_are_told_and_the_last_one_is_the_end() {
    let mut app = on(results_screen::TITLE, finished)(80, 24);
    let mut results = results();
    results.columns.extend(results.columns.clone());
    for row in &mut results.rows {
        row.cells.extend(row.cells.clone());
    }
    app.hear(Message::Results(Box::new(results)));
    let first = picture(&app);
    assert!(first.contains("columns 1 to ") && first.contains("→ for more") && first.contains("→ more"), "{first}");
    for _ in 0..20 {
        app.update(Action::Right);
    }
    let last = picture(&app);
    assert!(last.contains("to 10 of 10, ← for those before") && !last.contains("→ more"), "{last}");
    assert!(last.contains("memory") && last.contains("energy"), "the last page is a full one: {last}");
}

#[test]
fn the_scatter_shows_two_places_at_least_or_says_why_not() {
    let mut app = on(results_screen::TITLE, finished)(120, 36);
    let mut results = results();
    for (n, row) in results.rows.iter_mut().enumerate() {
        if n != 4 {
            row.standing = Standing::Out { reason: "Worse.".into() };
        }
    }
    app.hear(Message::Results(Box::new(results.clone())));
    let shown = picture(&app);
    assert!(shown.contains('★') && shown.contains('✗') && !shown.contains("outside"), "{shown}");
    assert!(!shown.lines().last().unwrap_or_default().contains("zoom"), "{shown}");
    results.rows.iter_mut().enumerate().filter(|(n, _)| *n != 4).for_each(|(_, row)| row.at = None);
    app.hear(Message::Results(Box::new(results)));
    assert!(picture(&app).contains("one point: the other 5 lack a score"), "{}", picture(&app));
}

#[test]
fn models_are_told_by_their_files_on_the_smallest_terminal() {
    let mut setup = setup();
    for (n, name) in ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m.Q4_K_M.gguf"].into_iter().enumerate() {
        setup.models[n].name = format!("/work/models/real/{name}");
    }
    let mut app = app(80, 24);
    app.hear(Message::Planned(Box::new(Ok(setup))));
    let shown = picture(&app);
    assert!(shown.contains("gemma-3-270m.Q4_K_M ") && shown.contains("SmolLM2-13…struct.Q4_1"), "{shown}");
    insta::assert_snapshot!("model_files_80x24", shown);
}

/// The store has everything already, and what follows from it is being worked out.
fn working(width: u16, height: u16) -> App {
    let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
    let mut setup = setup();
    setup.done = trials().iter().map(|trial| trial.id.clone()).collect();
    app.hear(Message::Planned(Box::new(Ok(setup))));
    app
}

#[test]
fn a_finished_store_is_never_said_to_be_empty() {
    let mut app = working(80, 24);
    for screen in [results_screen::TITLE, advice_screen::TITLE] {
        app.update(Action::Go(screen));
        let picture = picture(&app);
        assert!(picture.contains("working out 10 comparisons …"), "{picture}");
        assert!(!picture.contains("nothing is measured") && !picture.contains("no advice yet"), "{picture}");
    }
    app.hear(Message::Results(Box::new(results())));
    app.hear(Message::Advised(Box::new(advice())));
    assert!(picture(&app).contains("18 trials measured already"), "{}", picture(&app));
}

#[test]
fn old_results_and_an_old_advice_are_marked() {
    let mut app = working(80, 24);
    app.hear(Message::Results(Box::new(results())));
    app.hear(Message::Advised(Box::new(advice())));
    app.update(Action::Go(plan::TITLE));
    let command = app.update(Action::Toggle);
    assert!(matches!(command, Some(Command::Plan(_))));
    assert_eq!(app.update(Action::Start), None, "what is planned is not what is chosen");
    for screen in [results_screen::TITLE, advice_screen::TITLE] {
        app.update(Action::Go(screen));
        assert!(picture(&app).contains("what follows from the change is being worked out"), "{}", picture(&app));
    }
    // a plan of which nothing is measured has neither
    app.hear(Message::Planned(Box::new(Ok(setup()))));
    assert!(app.shared.results.rows.is_empty() && app.shared.advice.is_none());
}

#[test]
fn doubts_stand_below_the_conclusion_and_every_line_can_be_read() {
    let mut app = finished(80, 24);
    let mut told = advice();
    let line =
        "a line that is far longer than the screen is wide, so that it goes on in a second and in a third line of it";
    told.words.evidence[0].lines = vec![line.into(); 30];
    told.words.evidence[0].lines.push("THE LAST LINE".into());
    app.hear(Message::Advised(Box::new(told)));
    let first = picture(&app);
    assert!(first.contains("Doubts") && first.contains("Where it is and how to run it"), "{first}");
    assert!(!first.contains("THE LAST LINE") && first.contains("for more"), "{first}");
    let mut seen = first.clone();
    for _ in 0..8 {
        app.update(Action::PageDown);
        seen += &picture(&app);
    }
    assert!(picture(&app).contains("THE LAST LINE"), "{}", picture(&app));
    app.update(Action::First);
    assert_eq!(picture(&app), first);
    app.update(Action::Last);
    assert!(picture(&app).contains("THE LAST LINE"));
    app.update(Action::Up);
    assert!(!picture(&app).contains("THE LAST LINE"), "one line up is one line up");
}

/// A run that was stopped in the middle of its third trial.
fn stopped(width: u16, height: u16) -> App {
    let mut app = running(width, height);
    assert_eq!(app.update(Action::Stop), Some(Command::Stop));
    let trial = &trials()[2];
    let cut = Outcome::failed(trial.id.clone(), Failure::Cancelled, 0.0, Seconds(1.0));
    let event = Event::Finished { trial: trial.id.clone(), outcome: Box::new(cut) };
    app.hear(Message::Run(Box::new(event)));
    app.hear(Message::Run(Box::new(Event::Ended { run: Id("run".into()), cancelled: true })));
    let words = Words { title: "No advice yet: stopped after 2 of 18 trials".into(), ..Words::default() };
    app.hear(Message::Advised(Box::new(Told { words, unfinished: true, how_to_run: vec![] })));
    app.hear(Message::Over(None));
    app
}

#[test]
fn a_stopped_run_is_stopped_and_nothing_else() {
    let mut app = stopped(80, 24);
    let picture_of = |app: &App| picture(app);
    let run = picture_of(&app);
    assert_eq!(app.screen().title(), run::TITLE, "there is no advice to go to");
    assert!(run.contains("stopped after 2 of 18") && run.contains("1 failed"), "{run}");
    assert!(!run.contains("done:") && !run.contains("2 failed"), "{run}");
    app.update(Action::Go(advice_screen::TITLE));
    let advice = picture_of(&app);
    assert!(advice.contains("stopped after 2 of 18 trials") && !advice.contains("No variant meets"), "{advice}");
    // and it goes on
    assert_eq!(app.update(Action::Start), Some(Command::Start));
    assert_eq!(app.shared.progress.counts(), (1, 0, 18), "the failed one is tried again");
}

/// Names as they are on the find, in wide signs and with everything in common.
fn long_names(results: &mut Results) {
    let names = ["Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Qwen/Qwen2.5-1.5B-Instruct-GGUF"];
    for (i, row) in results.rows.iter_mut().enumerate() {
        row.variant.model.name = names[i / 3].into();
    }
}

#[test]
fn real_names_are_told_apart_with_their_recipes_and_in_full_at_the_foot() {
    let mut app = finished(80, 24);
    let mut results = results();
    long_names(&mut results);
    app.hear(Message::Results(Box::new(results)));
    app.update(Action::Go(results_screen::TITLE));
    let shown = picture(&app);
    let lines = |of: &str| shown.lines().filter(|line| line.contains(of)).count();
    assert!(lines("0.5B") >= 3 && lines("1.5B") >= 3 && lines("Q4_K_M") >= 2 && lines("base") == 2, "{shown}");
    assert!(shown.contains("Qwen/Qwen2.5-0.5B-Instruct-GGUF"), "{shown}");
    insta::assert_snapshot!("long_names_80x24", shown);
}

#[test]
fn names_in_wide_signs_keep_the_columns() {
    let mut setup = setup();
    setup.models[0].name = "模型模型模型".into();
    let mut app = app(120, 30);
    app.hear(Message::Planned(Box::new(Ok(setup))));
    let buffer = drawn(&app);
    // the right ends of "832 KiB" and "5.00 MiB" stand below each other
    let end = |row: u16| (0..54).rev().find(|x| buffer[(*x, row)].symbol() == "B");
    assert_eq!(end(4), end(5));
    assert!(end(4).is_some());
}

#[test]
fn results_stand_in_three_groups_each_with_its_reason() {
    let mut app = on(results_screen::TITLE, finished)(80, 24);
    let shown = picture(&app);
    for word in ["qualifies (4)", "cannot tell (1)", "out (1)"] {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
    app.update(Action::Last);
    assert!(picture(&app).contains("out: Worse on routing: −15.0 points"), "{}", picture(&app));
    app.update(Action::Up);
    assert!(picture(&app).contains("cannot tell: 300 items of arithmetic"), "{}", picture(&app));
    // a click on a line is a click on what is seen there: the first row stands below its group's head
    app.update(Action::Click(Position::new(10, 5)));
    assert!(picture(&app).contains("memory") && order(&app).len() == 6);
}

#[test]
fn the_scatter_marks_the_chosen_row_and_counts_what_coincides() {
    let mut app = on(results_screen::TITLE, finished)(80, 24);
    let mut results = results();
    // three at one place, and one far away that does not qualify
    results.rows[1].at = results.rows[0].at;
    results.rows[3].at = results.rows[0].at;
    results.rows[2].at = Some((9e12, 0.01));
    app.hear(Message::Results(Box::new(results)));
    app.update(results_screen::CHART);
    let shown = picture(&app);
    assert!(shown.contains("a+2") && shown.contains('★'), "{shown}");
    assert!(shown.contains("outside: z shows everything"), "{shown}");
    let buffer = drawn(&app);
    let chosen = |text: &str| {
        buffer
            .content
            .iter()
            .any(|cell| cell.symbol() == text && cell.modifier.contains(ratatui::style::Modifier::REVERSED))
    };
    assert!(chosen("a"), "the row under the cursor is marked");
    app.update(results_screen::ZOOM);
    assert!(picture(&app).contains('✗') && !picture(&app).contains("outside"), "{}", picture(&app));
}

#[test]
fn every_cell_of_every_screen_has_contrast_in_every_theme() {
    use ratatui::style::{Color, Modifier};
    for name in ThemeName::ALL {
        for make in [finished, stopped, working, running] {
            let mut app = make(120, 36);
            app.shared.theme = Theme::on(name, None, true);
            for screen in app.titles() {
                app.update(Action::Go(screen));
                for cell in &drawn(&app).content {
                    for colour in [cell.fg, cell.bg] {
                        assert!(
                            matches!(colour, Color::Reset | Color::Indexed(16..)),
                            "{colour:?} on {screen} in {}: nobody knows what it looks like",
                            name.name()
                        );
                    }
                    let both = (cell.fg == Color::Reset) == (cell.bg == Color::Reset);
                    let own = matches!(name, ThemeName::Night | ThemeName::Day | ThemeName::Auto);
                    assert!(both || !own, "a theme with a background has ink for it: {cell:?}");
                    let word = cell.symbol().chars().all(char::is_alphanumeric);
                    assert!(!(word && cell.modifier.contains(Modifier::DIM)), "no word is dim: {cell:?} on {screen}");
                }
            }
        }
    }
}

#[test]
fn a_key_goes_through_the_themes() {
    let mut app = app(80, 24);
    let seen: Vec<ThemeName> = (0..6)
        .map(|_| {
            press(&mut app, KeyCode::Char('t'));
            app.shared.theme.name
        })
        .collect();
    assert!(ThemeName::ALL.iter().all(|name| seen.contains(name)), "{seen:?}");
    assert!(picture(&app).contains("BANTAM_THEME="));
}

#[test]
fn help_can_be_read_whole_on_the_smallest_terminal() {
    for screen in app(80, 24).titles() {
        let mut app = on(screen, finished)(80, 24);
        app.update(Action::Back);
        press(&mut app, KeyCode::Esc);
        app.update(Action::Help);
        let mut seen = String::new();
        for _ in 0..40 {
            seen += &picture(&app);
            app.update(Action::Down);
        }
        for binding in super::keys::with(app.screen().keys()) {
            let last = binding.help.split(' ').next_back().unwrap_or_default();
            assert!(seen.contains(last), "{last:?} of {:?} on {screen}", binding.help);
        }
        assert!(seen.contains("cannot tell"), "signs, on {screen}");
        app.update(Action::Back);
        assert!(!app.help);
    }
}

#[test]
fn a_question_mark_is_help_in_the_search_line_too() {
    let mut app = app(80, 24);
    app.update(Action::Go(find::TITLE));
    press(&mut app, KeyCode::Char('/'));
    press(&mut app, KeyCode::Char('l'));
    assert_eq!(press(&mut app, KeyCode::Char('?')), None);
    assert!(app.help && picture(&app).contains("Keys on Find"));
    press(&mut app, KeyCode::Char('?'));
    assert!(!app.help && picture(&app).contains("│l▏"), "{}", picture(&app));
}

#[test]
fn every_hint_at_the_foot_is_seen_on_the_smallest_terminal() {
    for screen in app(80, 24).titles() {
        let mut app = on(screen, app)(80, 24);
        press(&mut app, KeyCode::Esc);
        let foot = picture(&app).lines().last().unwrap_or_default().to_owned();
        assert!(foot.contains("1-7 screens"), "{screen}: {foot}");
    }
}

#[test]
fn page_keys_move_a_page() {
    let mut app = on(run::TITLE, app)(80, 24);
    let trial = |app: &App| picture(app).lines().nth(3).unwrap_or_default().to_owned();
    assert!(trial(&app).contains("bantam-s on routing"), "{}", trial(&app));
    app.update(Action::PageDown);
    // the panel of trials has ten lines at 80×24
    assert!(trial(&app).contains("bantam-l on arithmetic"), "{}", trial(&app));
}

#[test]
fn one_trial_is_no_trials() {
    let mut setup = setup();
    setup.trials.truncate(1);
    let mut app = app(80, 24);
    app.hear(Message::Planned(Box::new(Ok(setup))));
    assert!(picture(&app).contains(" 1 trial, 0 measured already"), "{}", picture(&app));
}
