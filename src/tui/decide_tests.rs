//! Decide and what opens from it, as pictures and by their keys, on rows that are decided over by the real advice.

use super::action::{Action, Answered, Command, Message, Page, Recorded};
use super::app::App;
use super::draw::draw;
use super::results::Decision;
use super::screen::decide;
use super::theme::Theme;
use crate::run::decide::{self as deciding, Turned};
use crate::run::examine::{self, Contrast, Examined, Filed, Trialled};
use crate::show::strip::StripRow;
use bantam_core::metric::Metric;
use bantam_core::profile::{Knob, Profile};
use bantam_core::record::*;
use bantam_core::unit::{Bytes, Seconds, Unit};
use bantam_verdict::recommend::known::Nothing;
use bantam_verdict::recommend::{Desk, whatif};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Position, Rect};
use std::path::Path;

const RECIPES: [&str; 6] = ["base", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q2_K"];

/// So many variants; the more of a model's names are as long as the longest of the hub.
fn variant(n: usize, long: bool) -> Variant {
    let (model, recipe) = (n / RECIPES.len(), RECIPES[n % RECIPES.len()]);
    let name = match long {
        true => format!("organisation/a-model-with-a-name-of-sixty-letters-{model:03}-instruct"),
        false => format!("bantam-{}", ["l", "m", "s"][model % 3]),
    };
    let reference = ModelRef {
        name: name.clone(),
        place: Place::Bundled(name.clone()),
        digest: Id::of_bytes(name.as_bytes()),
        parameters: 2_622_720 - 1000 * model as u64,
        commit: None,
        adapter: None,
    };
    Variant::new(reference, (recipe != "base").then(|| (recipe.to_owned(), format!("quantize = '{recipe}'"))))
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

fn bytes(value: f64) -> Reading {
    Reading::Known(Figure {
        value,
        unit: Unit::Bytes,
        provenance: Provenance::Measured,
        interval: None,
        no_interval: None,
        n: None,
        how: "VmHWM of the worker".into(),
    })
}

const TASKS: [&str; 3] = ["routing", "arithmetic", "needle"];

/// The rows of a variant: later recipes take less and lose more, most of it of the needle.
fn rows_of(n: usize, long: bool) -> Vec<Row> {
    let (variant, host) = (variant(n, long), Id::of_bytes(b"host"));
    let (model, recipe) = (n / RECIPES.len(), n % RECIPES.len());
    let size = (24.0 - 5.0 * (model % 3) as f64 - 2.0 * recipe as f64).max(2.0) * 1_048_576.0;
    let outcome = |ask: Ask| {
        let trial = Trial::new(variant.clone(), ask, conditions(), &host);
        let mut outcome = Outcome::failed(trial.id.clone(), Failure::Cancelled, 0.0, Seconds(2.0));
        (outcome.result, outcome.peak_memory, outcome.disk) = (Ok(()), bytes(size), bytes(size / 3.0));
        Row { trial, outcome }
    };
    let mut rows = Vec::new();
    for (t, task) in TASKS.into_iter().enumerate() {
        let mut row = outcome(Ask::Task(TaskRef {
            suite: task.into(),
            task: task.into(),
            digest: Id::of_bytes(task.as_bytes()),
            file: format!("bundled:{task}"),
            items: 360,
            metrics: vec![Metric::Acc],
            chance: None,
            chat: Default::default(),
        }));
        let wrong = 12 + [1, 2, 6][t] * recipe + 30 * (model % 3);
        row.outcome.items = (0..360)
            .map(|index| {
                let right = (index * 7) % 360 >= wrong;
                ItemResult {
                    index,
                    scores: vec![ItemScore { metric: Metric::Acc, value: f64::from(u8::from(right)), weight: 1.0 }],
                    target: Some(format!("right {index}")),
                    answer: Some(if right { format!("right {index}") } else { format!("wrong {index} of {n}") }),
                    slices: [("length".into(), if index % 2 == 0 { "short" } else { "long" }.into())].into(),
                    tokens: 10,
                    ..ItemResult::default()
                }
            })
            .collect();
        rows.push(row);
    }
    let mut speed = outcome(Ask::Speed(Shape { prompt: 128, output: 64 }));
    let tps = 2000.0 + 300.0 * recipe as f64;
    let sample = |turn: f64| SpeedSample {
        prefill: Seconds(0.1),
        ttft: Seconds(0.11),
        decode: Seconds(63.0 / (tps + turn)),
        inter_token: vec![1.0 / (tps + turn); 63],
        energy: None,
        turn: None,
    };
    speed.outcome.samples = [-5.0, 0.0, 5.0].map(sample).to_vec();
    rows.push(speed);
    rows
}

fn rows(variants: usize, long: bool) -> Vec<Row> {
    (0..variants).flat_map(|n| rows_of(n, long)).collect()
}

fn profile() -> Profile {
    let text = "name = 'quickstart'\nmodels = ['m']\nsuites = ['routing']\n[constraints]\nmax_memory = '64 MiB'\n\
                [objective]\nmargin = 0.03";
    Profile::parse(text, Path::new("quickstart.toml")).expect("valid")
}

/// What the desk says to these commands, one after the other.
fn said(rows: &[Row], turned: &[Turned]) -> Vec<Message> {
    let desk = Desk::new(rows, &Nothing);
    let base = profile();
    let mut before = desk.advise(&base);
    let mut messages = Vec::new();
    for (number, turned) in (1..).zip(turned) {
        let decided = deciding::decided(&desk, turned.of(&base), &before);
        before = decided.advice.clone();
        // with so many it takes seconds where nothing is optimised
        let turns = deciding::turns(&desk, &decided, &|| rows.len() > 200);
        let tasks = whatif::task_names(&decided.advice);
        let decision = Decision { number, base: base.clone(), decided, tasks, unfinished: None };
        messages.extend([Message::Decided(Box::new(decision)), Message::Turns(number, turns)]);
    }
    messages
}

fn app(rows: &[Row], width: u16, height: u16) -> App {
    told(&said(rows, &[Turned::default()]), width, height)
}

/// Decide when it was told this.
fn told(messages: &[Message], width: u16, height: u16) -> App {
    let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
    assert_eq!(app.update(Action::Go(decide::TITLE)), Some(Command::Decide(Turned::default())));
    messages.iter().cloned().for_each(|message| drop(app.hear(message)));
    app
}

fn press(app: &mut App, code: KeyCode) -> Option<Command> {
    app.input(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn picture(app: &App) -> String {
    let backend = TestBackend::new(app.shared.size.width, app.shared.size.height);
    let mut terminal = Terminal::new(backend).expect("a test backend never fails");
    terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
    terminal.backend().to_string()
}

/// A key, and what the desk answers to what it asks.
fn turn(app: &mut App, rows: &[Row], key: KeyCode) -> Turned {
    let Some(Command::Decide(turned)) = press(app, key) else { panic!("{key:?} turns nothing: {}", picture(app)) };
    said(rows, std::slice::from_ref(&turned)).into_iter().for_each(|message| drop(app.hear(message)));
    turned
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 50)];

#[test]
fn the_groups_stand_beside_the_settings_with_few_and_with_many_variants() {
    for (variants, long) in [(3, false), (18, false), (200, true)] {
        let messages = said(&rows(variants, long), &[Turned::default()]);
        for (width, height) in SIZES {
            let app = told(&messages, width, height);
            insta::assert_snapshot!(format!("decide_{variants}_{width}x{height}"), picture(&app));
        }
    }
}

#[test]
fn an_arrow_turns_a_margin_and_the_table_regroups() {
    let rows = rows(18, false);
    let mut app = app(&rows, 120, 36);
    let before = picture(&app);
    // five limits and the preference stand above the margin
    (0..6).for_each(|_| drop(press(&mut app, KeyCode::Down)));
    let mut turned = Turned::default();
    for _ in 0..8 {
        turned = turn(&mut app, &rows, KeyCode::Right);
    }
    assert_eq!(turned.knobs, [(Knob::Margin, Some(0.07))]);
    let after = picture(&app);
    assert!(after.contains("‹ 7 points ›") && after.contains("1 turned, p: none"), "{after}");
    assert!(after.contains("The last turn: ") && before != after, "{after}");
    insta::assert_snapshot!("decide_turned_120x36", after);
    // and back, notch by notch
    for _ in 0..8 {
        assert!(matches!(press(&mut app, KeyCode::Char('u')), Some(Command::Decide(_))));
    }
    assert_eq!(press(&mut app, KeyCode::Char('u')), None);
    assert!(picture(&app).contains("as the profile has it"), "{}", picture(&app));
}

#[test]
fn a_margin_of_one_task_begins_at_that_of_all_and_goes_again() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    (0..7).for_each(|_| drop(press(&mut app, KeyCode::Down)));
    let turned = turn(&mut app, &rows, KeyCode::Right);
    assert_eq!(turned.knobs, [(Knob::TaskMargin("routing".into()), Some(0.035))]);
    assert!(picture(&app).contains("‹ 3.5 points ›"), "{}", picture(&app));
    let turned = turn(&mut app, &rows, KeyCode::Backspace);
    assert_eq!(turned, Turned::default());
    assert!(picture(&app).contains("‹ as all ›"), "{}", picture(&app));
}

#[test]
fn a_limit_nobody_comes_near_is_turned_to_the_first_that_matters_and_then_to_none() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    assert!(picture(&app).contains("‹ ≤ 64.0 MiB ›"), "{}", picture(&app));
    let turned = turn(&mut app, &rows, KeyCode::Left);
    assert_eq!(turned.knobs, [(Knob::Limit(Metric::PeakMemory), Some(f64::from(24 << 20)))]);
    turn(&mut app, &rows, KeyCode::Left);
    assert!(picture(&app).contains("‹ ≤ 23.0 MiB ›"), "{}", picture(&app));
    turn(&mut app, &rows, KeyCode::Right);
    let turned = turn(&mut app, &rows, KeyCode::Right);
    assert_eq!(turned.knobs, [(Knob::Limit(Metric::PeakMemory), None)]);
    assert!(picture(&app).contains("‹ any ›") && press(&mut app, KeyCode::Right).is_none());
}

#[test]
fn a_number_is_typed_with_its_unit_and_a_wrong_one_says_what_is_one() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    press(&mut app, KeyCode::Enter);
    assert!(app.typing());
    "12MiB".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    assert!(picture(&app).contains("12MiB▏") && picture(&app).contains("enter take it"), "{}", picture(&app));
    let turned = turn(&mut app, &rows, KeyCode::Enter);
    assert_eq!(turned.of(&profile()).constraints.max_memory, Some(Bytes(12 << 20)));
    assert!(!app.typing());
    press(&mut app, KeyCode::Enter);
    "lots".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    assert!(picture(&app).contains("like \"64 MiB\""), "{}", picture(&app));
}

#[test]
fn the_cursor_goes_on_to_the_variants_and_says_why_each_is_where_it_is() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    press(&mut app, KeyCode::Char('G'));
    assert!(picture(&app).contains(": out: "), "{}", picture(&app));
    press(&mut app, KeyCode::Left);
    assert!(picture(&app).contains("‹ ≤ 64.0 MiB ›"), "{}", picture(&app));
    // a click on the first variant: below the tabs, the frame, the head and the group's name
    app.update(Action::Click(Position::new(40, 5)));
    assert!(picture(&app).contains("qualifies: keeps every limit"), "{}", picture(&app));
    press(&mut app, KeyCode::Char('v'));
    assert!(picture(&app).contains("‹ ≤ 64.0 MiB ›"), "{}", picture(&app));
}

#[test]
fn what_is_decided_is_saved_as_a_profile() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    turn(&mut app, &rows, KeyCode::Left);
    let Some(Command::Save(saved)) = press(&mut app, KeyCode::Char('W')) else { panic!("W saves") };
    assert_eq!(saved.constraints.max_memory, Some(Bytes(24 << 20)));
    app.hear(Message::Saved(Ok("quickstart-2.toml".into())));
    assert!(picture(&app).contains("bantam run quickstart-2.toml"), "{}", picture(&app));
}

#[test]
fn a_variant_opens_with_everything_that_is_known_and_esc_goes_back() {
    let rows = rows(18, false);
    for (width, height) in SIZES {
        let mut app = app(&rows, width, height);
        (0..9).for_each(|_| drop(press(&mut app, KeyCode::Down)));
        press(&mut app, KeyCode::Char('v'));
        let Some(Command::Examine(id)) = press(&mut app, KeyCode::Enter) else {
            panic!("enter opens: {}", picture(&app))
        };
        assert!(picture(&app).contains("reading what is known of it"), "{}", picture(&app));
        let desk = Desk::new(&rows, &Nothing);
        let advice = desk.advise(&profile());
        let summary = advice.summary(&id).expect("it is one of them").clone();
        let file = Filed {
            path: Some("/cache/bantam-l.Q4_K_M.gguf".into()),
            exists: true,
            tensors: vec![("Q4_K".into(), 24, Bytes(1_200_000)), ("Q6_K".into(), 5, Bytes(400_000))],
            strip: vec![
                StripRow { part: "token_embd".into(), bits: vec![Some(6.5625)] },
                StripRow { part: "attn_q".into(), bits: [4.5, 2.0625, 3.4375, 8.5].map(Some).to_vec() },
                StripRow { part: "ffn_down".into(), bits: vec![Some(5.5), None, Some(16.0), Some(4.5)] },
            ],
            unread: None,
            steps: vec![("quantize".into(), "rounded each weight for itself, Q4_K_M".into())],
            commands: vec![("Serve it with llama.cpp:".into(), "llama-server -m /cache/bantam-l.Q4_K_M.gguf".into())],
        };
        let trials = vec![Trialled { ask: "routing".into(), count: 360, wall: 2.0, started: 1.79e9, failure: None }];
        let examined = Examined { summary, reference: Some("bantam-l".into()), trials, file };
        app.hear(Message::Examined(id, Some(Box::new(examined))));
        insta::assert_snapshot!(format!("variant_{width}x{height}"), picture(&app));
        let foot = picture(&app).lines().last().unwrap_or_default().to_owned();
        assert!(foot.contains("esc back") && foot.contains("1-7 screens"), "{foot}");
        press(&mut app, KeyCode::Char('G'));
        assert!(picture(&app).contains("When it was measured"), "{}", picture(&app));
        assert!(
            matches!(press(&mut app, KeyCode::Char('y')), Some(Command::Copy(text)) if text.starts_with("/cache/"))
        );
        press(&mut app, KeyCode::Esc);
        assert!(picture(&app).contains("What changed, and what would change it"), "{}", picture(&app));
    }
}

/// Two variants side by side, with prompts.
fn contrast(rows: &[Row]) -> (Id, Id, Contrast) {
    let desk = Desk::new(rows, &Nothing);
    let (one, other) = (variant(0, false), variant(4, false));
    let mut contrast = examine::contrast(&desk, &profile(), &one.id, &other.id).expect("both are there");
    for task in &mut contrast.tasks {
        task.no_prompts = None;
        for flip in &mut task.flips {
            flip.prompt = Some(format!("Message: my card was charged twice, item {}\nQueue:", flip.flip.index));
        }
    }
    (one.id, other.id, contrast)
}

#[test]
fn two_variants_are_held_against_each_other_answer_by_answer() {
    let rows = rows(18, false);
    for (width, height) in SIZES {
        let (one, other, contrast) = contrast(&rows);
        let mut app = app(&rows, width, height);
        app.shared.held = Some((one.clone(), "bantam-l".into()));
        let opened = app.shared.compare(&other, "bantam-l · Q4_K_M");
        assert_eq!(opened, Some(Command::Open(Page::Contrast(one.clone(), other.clone()))));
        assert_eq!(
            app.open(Page::Contrast(one.clone(), other.clone())),
            Some(Command::Contrast(one.clone(), other.clone()))
        );
        app.hear(Message::Contrasted(one, other, Some(Box::new(contrast))));
        let shown = picture(&app);
        assert!(shown.contains('●') && shown.contains('░') && shown.contains("my card was charged twice"), "{shown}");
        insta::assert_snapshot!(format!("contrast_{width}x{height}"), shown);
        press(&mut app, KeyCode::Right);
        press(&mut app, KeyCode::Char('f'));
        assert!(picture(&app).contains(" lost"), "{}", picture(&app));
        press(&mut app, KeyCode::Char('f'));
        assert!(picture(&app).contains("none of these"), "{}", picture(&app));
        press(&mut app, KeyCode::Char('f'));
        press(&mut app, KeyCode::Char('f'));
        press(&mut app, KeyCode::Char('s'));
        assert!(picture(&app).contains("length long"), "{}", picture(&app));
    }
}

#[test]
fn pages_tell_names_of_sixty_letters_apart() {
    let rows = rows(6, true);
    let (one, other) = (variant(0, true), variant(4, true));
    let contrast = {
        let desk = Desk::new(&rows, &Nothing);
        examine::contrast(&desk, &profile(), &one.id, &other.id).expect("both are there")
    };
    let trial = rows[0].trial.clone();
    for (width, height) in SIZES {
        let mut app = app(&rows, width, height);
        app.open(Page::Contrast(one.id.clone(), other.id.clone()));
        app.hear(Message::Contrasted(one.id.clone(), other.id.clone(), Some(Box::new(contrast.clone()))));
        insta::assert_snapshot!(format!("long_contrast_{width}x{height}"), picture(&app));
        press(&mut app, KeyCode::Char('i'));
        insta::assert_snapshot!(format!("long_ask_{width}x{height}"), picture(&app));
        press(&mut app, KeyCode::Esc);
        press(&mut app, KeyCode::Esc);
        press(&mut app, KeyCode::Esc);
        app.shared.progress.plan(rows.iter().map(|row| row.trial.clone()).collect(), [trial.id.clone()]);
        app.open(Page::Trial(Box::new(trial.clone())));
        let shown = picture(&app);
        assert!(shown.contains("measured before"), "{shown}");
        let recorded = Recorded {
            last: rows[0].outcome.items.last().cloned(),
            prompts: Err("its suite is another one by now".into()),
            shares: (1..=360).map(|n| 1.0 - 1.0 / f64::from(n + 1)).collect(),
            repeats: vec![],
            log: String::new(),
        };
        app.hear(Message::Recorded(trial.id.clone(), Box::new(recorded)));
        let shown = picture(&app);
        assert!(shown.contains("right so far") && shown.contains("50.0%"), "{shown}");
        insta::assert_snapshot!(format!("long_trial_{width}x{height}"), shown);
    }
}

/// The letters that stand out, line by line.
fn lit(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.shared.size.width, app.shared.size.height)).expect("a test");
    terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
    let is_lit = |cell: &&ratatui::buffer::Cell| cell.modifier.contains(ratatui::style::Modifier::REVERSED);
    terminal.backend().buffer().content.iter().filter(is_lit).map(ratatui::buffer::Cell::symbol).collect()
}

#[test]
fn what_differs_between_two_answers_is_lit_and_both_are_asked_one_prompt() {
    let rows = rows(18, false);
    let (one, other, mut contrast) = contrast(&rows);
    for flip in contrast.tasks.iter_mut().flat_map(|task| &mut task.flips) {
        flip.flip.reference = Some("move 12 boxes to the north hall".into());
        flip.flip.candidate = Some("move 15 boxes to the south hall".into());
    }
    let mut app = app(&rows, 120, 36);
    app.open(Page::Contrast(one.clone(), other.clone()));
    app.hear(Message::Contrasted(one, other, Some(Box::new(contrast))));
    let shown = lit(&app);
    assert!(shown.ends_with("12north15south"), "{shown}");
    // i: one prompt for both
    press(&mut app, KeyCode::Char('i'));
    assert!(app.typing() && picture(&app).contains("One prompt for both"), "{}", picture(&app));
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    assert!(picture(&app).contains("type a prompt first"), "{}", picture(&app));
    "where to?".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    let Some(Command::Ask(number, both, text)) = press(&mut app, KeyCode::Enter) else { panic!("enter asks") };
    assert_eq!((text.as_str(), both.one.label() == both.other.label()), ("where to?", false));
    app.hear(Message::Said(number, 0, "to the north".into()));
    app.hear(Message::Said(number.wrapping_sub(1), 1, "of an older prompt".into()));
    assert!(picture(&app).contains("answering …") && !picture(&app).contains("older"), "{}", picture(&app));
    assert_eq!(press(&mut app, KeyCode::Char('x')), Some(Command::StopAnswers));
    app.hear(Message::Said(number, 0, " hall".into()));
    app.hear(Message::Said(number, 1, "to the south hall".into()));
    let answered = |tps| Answered { tokens: 12, first: 0.12, tps: Some(tps), is_whole: true };
    app.hear(Message::Answered(number, 0, Ok(answered(41.2))));
    app.hear(Message::Answered(number, 1, Ok(answered(63.0))));
    let shown = lit(&app);
    assert!(shown.contains("north") && shown.contains("south") && !shown.contains("hall"), "{shown}");
    for (width, height) in SIZES {
        app.shared.size = Rect::new(0, 0, width, height);
        insta::assert_snapshot!(format!("ask_{width}x{height}"), picture(&app));
    }
    app.hear(Message::Answered(number, 1, Err("m is an encoder, which answers nothing".into())));
    assert!(picture(&app).contains("which answers nothing"));
    app.shared.progress.begin(0.0);
    press(&mut app, KeyCode::Char('i'));
    press(&mut app, KeyCode::Char('a'));
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    assert!(picture(&app).contains("its speeds would suffer"), "{}", picture(&app));
}

#[test]
fn c_on_one_variant_and_on_another_compares_the_two() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    press(&mut app, KeyCode::Char('v'));
    assert_eq!(press(&mut app, KeyCode::Char('c')), None);
    assert!(picture(&app).contains("is held: c on another variant"), "{}", picture(&app));
    press(&mut app, KeyCode::Down);
    assert!(matches!(press(&mut app, KeyCode::Char('c')), Some(Command::Contrast(one, other)) if one != other));
}

#[test]
fn a_command_is_typed_by_its_name_and_a_slip_of_the_pen_is_told() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    let mut line = |text: &str| {
        press(&mut app, KeyCode::Char(':'));
        text.chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
        let shown = picture(&app);
        (shown, press(&mut app, KeyCode::Enter), app.shared.notice.clone().unwrap_or_default(), app.tab())
    };
    let (shown, command, ..) = line("margin routing=5");
    assert!(shown.contains(":margin routing=5▏") && shown.contains("margin 3 for three points"), "{shown}");
    let Some(Command::Decide(turned)) = command else { panic!("{command:?}") };
    assert_eq!(turned.knobs, [(Knob::TaskMargin("routing".into()), Some(0.05))]);
    assert!(matches!(line("limit memory<=16MiB").1, Some(Command::Decide(_))));
    assert!(line("limit memroy<=16MiB").2.contains("(memory?)"));
    assert!(line("margni 5").2.contains("(margin?)"));
    assert!(matches!(line("undo").1, Some(Command::Decide(_))));
    assert_eq!(line("resul").3, "Results");
    assert_eq!(line("quit").1, Some(Command::Quit));
}

#[test]
fn a_filter_shows_those_alone_that_have_its_words() {
    let rows = rows(18, false);
    let mut app = app(&rows, 80, 24);
    press(&mut app, KeyCode::Char('/'));
    "q8".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    let shown = picture(&app);
    assert!(shown.contains("/q8▏ shows 3 of 18") && !shown.contains("Q2_K"), "{shown}");
    press(&mut app, KeyCode::Enter);
    assert!(!app.typing());
    press(&mut app, KeyCode::Char('/'));
    press(&mut app, KeyCode::Esc);
    assert!(!picture(&app).contains(" shows "), "{}", picture(&app));
}

#[test]
fn help_explains_the_words_of_its_screen() {
    let rows = rows(18, false);
    let mut app = app(&rows, 120, 50);
    press(&mut app, KeyCode::Char('?'));
    let shown = picture(&app);
    assert!(shown.contains("cannot tell") && shown.contains("how much worse than the reference"), "{shown}");
}

#[test]
fn the_run_is_a_grid_of_variants_and_tasks_too() {
    for (variants, long) in [(3, false), (200, true)] {
        let trials: Vec<Trial> = rows(variants, long).into_iter().map(|row| row.trial).collect();
        for (width, height) in SIZES {
            let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
            app.shared.progress.plan(trials.clone(), [trials[0].id.clone()]);
            app.update(Action::Go(super::screen::run::TITLE));
            press(&mut app, KeyCode::Char('v'));
            press(&mut app, KeyCode::Right);
            press(&mut app, KeyCode::Down);
            let shown = picture(&app);
            assert!(
                (width == 80 || shown.contains("on arithmetic"))
                    && shown.contains("Variants and what is asked of them"),
                "{shown}"
            );
            insta::assert_snapshot!(format!("grid_{variants}_{width}x{height}"), shown);
            let look = press(&mut app, KeyCode::Enter);
            let Some(Command::LookAtTrial(trial)) = look else { panic!("{look:?}") };
            assert_eq!(trial.variant.id, trials[4].variant.id);
            assert_eq!(press(&mut app, KeyCode::Enter), Some(Command::Examine(trials[4].variant.id.clone())));
            press(&mut app, KeyCode::Esc);
            press(&mut app, KeyCode::Esc);
            press(&mut app, KeyCode::Char('v'));
            assert!(picture(&app).contains("Trials"), "{}", picture(&app));
        }
    }
}

#[test]
fn no_key_before_anything_is_measured_does_harm() {
    let mut app = App::new("p".into(), Theme::plain(), Rect::new(0, 0, 80, 24));
    app.update(Action::Go(decide::TITLE));
    for key in [KeyCode::Left, KeyCode::Right, KeyCode::Enter, KeyCode::Backspace, KeyCode::Char('G')] {
        assert_eq!(press(&mut app, key), None, "{key:?}");
    }
    for key in ['u', 'W', 'v', 'p'] {
        assert_eq!(press(&mut app, KeyCode::Char(key)), None, "{key}");
    }
    assert!(picture(&app).contains("nothing is measured yet"), "{}", picture(&app));
}
