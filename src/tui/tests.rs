//! The screens as pictures at 80×24 and 120×36, and the app's answers to keys, on made-up facts.

use super::action::{Action, Command, Message};
use super::app::App;
use super::draw::draw;
use super::results::{ResultColumn, ResultRow, Results};
use super::screen::{advice as advice_screen, models, plan, results as results_screen};
use super::setup::{ModelEntry, ModelInfo, Setup, SuiteEntry, SuiteInfo};
use super::theme::Theme;
use bantam_core::event::{Event, Pulse};
use bantam_core::metric::Metric;
use bantam_core::profile::Profile;
use bantam_core::record::*;
use bantam_core::unit::{Bytes, Seconds, Unit};
use bantam_verdict::recommend::advice::words::{Evidence, Words};
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
    })
}

fn variants() -> Vec<Variant> {
    let of = |model: &str| [None, Some("Q4_K_M"), Some("Q2_K")].map(|recipe| variant(model, recipe));
    of("bantam-s").into_iter().chain(of("bantam-l")).collect()
}

fn trials() -> Vec<Trial> {
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
            ("base".into(), Bytes(stored), Bytes(stored + 4_194_304)),
            ("Q4_K_M".into(), Bytes(stored / 3), Bytes(stored / 3 + 4_194_304)),
        ],
    }
}

fn setup() -> Setup {
    let entry = |name: &str, info| ModelEntry { name: name.into(), typed: format!("bundled:{name}"), info };
    let suite = |name: &str, metric| SuiteEntry {
        name: name.into(),
        info: Ok(SuiteInfo { items: 100, available: 300, metric }),
    };
    Setup {
        profile: Profile::parse(PROFILE, Path::new("quickstart.toml")).expect("valid"),
        models: vec![entry("bantam-s", Ok(info(426_240, 852_480))), entry("bantam-l", Ok(info(2_622_720, 5_245_440)))],
        suites: vec![suite("routing", Metric::Acc), suite("arithmetic", Metric::ExactMatch)],
        trials: trials(),
        variants: variants().len(),
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

fn results() -> Results {
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
            on_front: i != 5,
            advised: i == 4,
            at: Some((memory, score)),
        }
    };
    Results { columns, rows: variants().into_iter().enumerate().map(|(i, v)| row(i, v)).collect() }
}

fn app(width: u16, height: u16) -> App {
    let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
    app.hear(Message::Planned(Box::new(Ok(setup()))));
    app
}

/// An app in the middle of its run.
fn running(width: u16, height: u16) -> App {
    let mut app = app(width, height);
    assert_eq!(app.update(Action::Start), Some(Command::Start));
    let trials = trials();
    let item = |i| ItemResult {
        index: i,
        scores: vec![],
        choice: None,
        target: None,
        answer: None,
        logprobs: vec![],
        slices: Default::default(),
        pair: None,
        cluster: None,
        tokens: 40,
    };
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

fn advice() -> Words {
    Words {
        found: true,
        title: "Take bantam-l · Q4_K_M".into(),
        lines: vec![
            "It is the smallest variant that meets the constraints and is shown not worse than bantam-l by more than \
             2 points: 17.0 MiB instead of 24.0 MiB."
                .into(),
        ],
        evidence: vec![Evidence { title: "What was compared".into(), lines: vec!["routing, 300 items".into()] }],
    }
}

fn picture(app: &App) -> String {
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

fn on(screen: &'static str, make: impl Fn(u16, u16) -> App) -> impl Fn(u16, u16) -> App {
    move |width, height| {
        let mut app = make(width, height);
        app.update(Action::Go(screen));
        app
    }
}

fn finished(width: u16, height: u16) -> App {
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
