//! The plan by its keys and as pictures; and every screen on a wide terminal and with two hundred variants of long names.

use super::action::{Action, Command, Message, Page, Selection};
use super::app::App;
use super::screen::{plan, profiles};
use super::setup::Setup;
use super::tests::{advice, app, drawn, finished, on, picture, press, results, running, setup};
use super::theme::{Theme, ThemeName};
use crate::library::catalog::{Catalog, Known};
use bantam_core::profile::RecipeRef;
use bantam_core::unit::Seconds;
use crossterm::event::{Event as Input, KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 50)];

fn catalog() -> Catalog {
    let known = |typed: &str, about: &str| Known { typed: typed.into(), about: about.into() };
    Catalog {
        models: vec![
            known("my.gguf", "24.1 MiB"),
            known("bundled:bantam-s", "832 KiB"),
            known("bundled:bantam-m", "2.1 MiB"),
            known("HuggingFaceTB/SmolLM2-135M-Instruct", "258 MiB"),
        ],
        recipes: ["base", "Q8_0", "Q6_K", "Q4_K_M", "prune:layers=1 > quantize:q8_0"]
            .map(|name| known(name, ""))
            .to_vec(),
        suites: vec![known("tickets.suite.toml", "your file"), known("routing", "bundled"), known("needle", "bundled")],
        profiles: vec![
            known("tickets.toml", "The smallest that answers tickets as well"),
            known("quickstart", "bundled: Which of them?"),
        ],
    }
}

fn planned(width: u16, height: u16) -> App {
    let mut app = on(plan::TITLE, app)(width, height);
    app.hear(Message::Catalog(Box::new(catalog())));
    app
}

fn chosen(command: Option<Command>) -> Selection {
    match command {
        Some(Command::Plan(selection)) => selection,
        other => panic!("no plan: {other:?}"),
    }
}

/// What the world answers to a wish: the setup with what is taken in beside the profile's own.
fn answered(app: &mut App, selection: &Selection) {
    let mut setup = setup();
    setup.profile = selection.whole(&setup.profile);
    app.hear(Message::Planned(Box::new(Ok(setup))));
}

#[test]
fn plan_of_all_that_is_known() {
    for (width, height) in SIZES {
        insta::assert_snapshot!(format!("plan_known_{width}x{height}"), picture(&planned(width, height)));
    }
}

#[test]
fn what_is_known_is_taken_in_and_every_change_is_taken_back() {
    let mut app = planned(120, 36);
    assert!(press(&mut app, KeyCode::Char('u')).is_none() && picture(&app).contains("nothing to take back"));
    // the recipes: base, Q4_K_M and Q2_K are the profile's, then Q8_0
    (0..3).for_each(|_| drop(press(&mut app, KeyCode::Down)));
    let first = chosen(press(&mut app, KeyCode::Char(' ')));
    assert_eq!(first.recipes_added, ["Q8_0"]);
    answered(&mut app, &first);
    assert!(picture(&app).contains("[x] Q8_0"), "{}", picture(&app));
    // and out again: it is one of the profile's lines now
    let second = chosen(press(&mut app, KeyCode::Char(' ')));
    assert_eq!((second.recipes.last(), second.recipes_added.len()), (Some(&false), 1));
    answered(&mut app, &second);
    let undone = chosen(press(&mut app, KeyCode::Char('u')));
    assert_eq!((undone.recipes.last(), &undone.recipes_added), (Some(&true), &first.recipes_added));
    let none = chosen(press(&mut app, KeyCode::Char('u')));
    assert!(none.recipes_added.is_empty());
    answered(&mut app, &none);
    assert!(picture(&app).contains("[ ] Q8_0"), "{}", picture(&app));
    // a model of this machine and a suite of the folder
    press(&mut app, KeyCode::Left);
    press(&mut app, KeyCode::Char('G'));
    assert_eq!(chosen(press(&mut app, KeyCode::Char(' '))).pulled, ["HuggingFaceTB/SmolLM2-135M-Instruct"]);
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Right);
    (0..2).for_each(|_| drop(press(&mut app, KeyCode::Down)));
    assert_eq!(chosen(press(&mut app, KeyCode::Char(' '))).suites_added, ["tickets.suite.toml"]);
}

#[test]
fn items_go_down_and_up_and_say_what_they_could_show() {
    let mut app = planned(120, 36);
    assert!(picture(&app).contains("100/300: 9 points"), "{}", picture(&app));
    let fewer = chosen(press(&mut app, KeyCode::Char('-')));
    assert_eq!(fewer.limit, Some(Some(200)), "the profile has no limit of its own");
    answered(&mut app, &fewer);
    let fewer = chosen(press(&mut app, KeyCode::Char('-')));
    assert_eq!(fewer.limit, Some(Some(100)));
    answered(&mut app, &fewer);
    let more = chosen(press(&mut app, KeyCode::Char('+')));
    answered(&mut app, &more);
    let all = chosen(press(&mut app, KeyCode::Char('+')));
    assert_eq!((more.limit, all.limit), (Some(Some(200)), Some(None)));
    answered(&mut app, &all);
    assert!(press(&mut app, KeyCode::Char('+')).is_none() && picture(&app).contains("all items that there are"));
}

#[test]
fn what_is_taken_in_is_saved_beside_and_another_profile_is_opened() {
    let mut app = planned(120, 36);
    press(&mut app, KeyCode::Down);
    chosen(press(&mut app, KeyCode::Char(' ')));
    let Some(Command::Save(profile)) = press(&mut app, KeyCode::Char('W')) else { panic!("nothing is saved") };
    assert_eq!(profile.recipes, [RecipeRef::Base, RecipeRef::Quantize("Q2_K".into())]);
    press(&mut app, KeyCode::Char('O'));
    assert_eq!(app.screen().title(), profiles::TITLE);
    insta::assert_snapshot!("profiles_80x24", {
        let mut small = planned(80, 24);
        press(&mut small, KeyCode::Char('O'));
        picture(&small)
    });
    press(&mut app, KeyCode::Char('/'));
    "tick".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    press(&mut app, KeyCode::Enter);
    assert_eq!(press(&mut app, KeyCode::Enter), Some(Command::OpenProfile("tickets.toml".into())));
    assert!(!app.has_opened() && app.shared.setup.is_none() && app.screen().title() == plan::TITLE);
    assert_eq!(app.shared.profile_name, "tickets");
}

#[test]
fn a_running_plan_stays_as_it_is() {
    let mut app = on(plan::TITLE, running)(120, 36);
    for key in ['-', '+', 'u', ' ', 'W', 'o'] {
        assert_eq!(press(&mut app, KeyCode::Char(key)), None, "{key}");
        assert!(picture(&app).contains("the run is going on"), "{key}: {}", picture(&app));
    }
    press(&mut app, KeyCode::Char('O'));
    assert_eq!(press(&mut app, KeyCode::Enter), None);
}

#[test]
fn what_is_typed_is_tried_too_and_what_is_none_is_said() {
    let mut app = planned(120, 36);
    let typed = |app: &mut App, text: &str| app.update(Action::Tell(text.into()));
    assert_eq!(chosen(typed(&mut app, "items 50")).limit, Some(Some(50)));
    assert_eq!(
        chosen(typed(&mut app, "recipe quantize:q4_k_m,calibrate")).recipes_added,
        ["quantize:q4_k_m,calibrate"]
    );
    assert_eq!(chosen(typed(&mut app, "suite lm_eval:hellaswag")).suites_added, ["lm_eval:hellaswag"]);
    assert_eq!(typed(&mut app, "recipe Q9_9"), None);
    assert!(picture(&app).contains("'Q9_9' is no quantization type"), "{}", picture(&app));
    assert_eq!(typed(&mut app, "items many"), None);
    assert!(picture(&app).contains("'many' is no number of items"), "{}", picture(&app));
}

#[test]
fn lists_are_filtered_each_by_its_own_words() {
    let mut app = planned(120, 36);
    press(&mut app, KeyCode::Char('/'));
    "q4".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    let shown = picture(&app);
    assert!(shown.contains("/q4▏ shows 1 of 6") && !shown.contains("] Q2_K"), "{shown}");
    press(&mut app, KeyCode::Enter);
    assert_eq!(chosen(press(&mut app, KeyCode::Char(' '))).recipes, [true, false, true]);
    press(&mut app, KeyCode::Left);
    assert!(picture(&app).contains("bantam-m"), "the models have a filter of their own");
    let mut app = app_of_models();
    press(&mut app, KeyCode::Char('/'));
    "bantam-l".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    press(&mut app, KeyCode::Enter);
    assert!(picture(&app).contains("shows 1 of 2"), "{}", picture(&app));
    assert_eq!(chosen(press(&mut app, KeyCode::Char(' '))).models, [true, false]);
}

fn app_of_models() -> App {
    app(80, 24)
}

/// The same with so many variants, whose names have sixty letters.
fn many(setup: &mut Setup) {
    let name = |n: usize| format!("organisation/a-model-with-a-name-of-sixty-letters-{n:03}-instruct");
    let (model, suite, row) = (setup.models[0].clone(), setup.suites[0].clone(), setup.grid[0].clone());
    setup.models =
        (0..200).map(|n| super::setup::ModelEntry { name: name(n), typed: name(n), ..model.clone() }).collect();
    setup.suites = (0..20).map(|n| super::setup::SuiteEntry { name: name(n), ..suite.clone() }).collect();
    setup.grid =
        (0..200).map(|n| super::setup::GridRow { label: format!("{} · Q4_K_M", name(n)), ..row.clone() }).collect();
    setup.variants = 200;
    for (n, trial) in setup.trials.iter_mut().enumerate() {
        trial.variant.model.name = name(n);
    }
}

fn crowded(width: u16, height: u16) -> App {
    let mut app = finished(width, height);
    let mut setup = setup();
    many(&mut setup);
    app.hear(Message::Catalog(Box::new(catalog())));
    app.hear(Message::Planned(Box::new(Ok(setup))));
    let mut results = results();
    let row = results.rows[0].clone();
    results.rows = (0..200)
        .map(|n| {
            let mut row = row.clone();
            row.variant.model.name = format!("organisation/a-model-with-a-name-of-sixty-letters-{n:03}-instruct");
            row
        })
        .collect();
    app.hear(Message::Results(Box::new(results)));
    app
}

#[test]
fn every_screen_on_a_wide_terminal() {
    for screen in app(200, 50).titles() {
        let name = screen.to_lowercase();
        insta::assert_snapshot!(format!("wide_{name}_200x50"), picture(&on(screen, finished)(200, 50)));
    }
}

#[test]
fn every_screen_with_two_hundred_variants_of_long_names() {
    for (width, height) in SIZES {
        for screen in ["Models", "Plan", "Run", "Results"] {
            let mut app = on(screen, crowded)(width, height);
            let shown = picture(&app);
            assert!(shown.contains("000") && shown.contains("instruct"), "names are told apart on {screen}: {shown}");
            insta::assert_snapshot!(format!("crowded_{}_{width}x{height}", screen.to_lowercase()), shown);
            // to the end and back
            press(&mut app, KeyCode::Char('G'));
            let last = picture(&app);
            press(&mut app, KeyCode::Char('g'));
            assert!(screen == "Plan" || screen == "Run" || last.contains("199"), "{screen}: {last}");
        }
    }
}

#[test]
fn advice_of_names_of_sixty_letters_is_read_whole() {
    let name = "organisation/a-model-with-a-name-of-sixty-letters-000-instruct · Q4_K_M";
    for (width, height) in SIZES {
        let mut app = on("Advice", crowded)(width, height);
        let mut told = advice();
        told.words.title = format!("Take {name}");
        told.words.lines =
            vec![format!("It is the smallest variant that is shown not worse than {name} by more than 2 points.")];
        app.hear(Message::Advised(Box::new(told)));
        insta::assert_snapshot!(format!("crowded_advice_{width}x{height}"), picture(&app));
    }
}

#[test]
fn the_wheel_and_clicks_choose_on_the_plan() {
    let mut app = planned(120, 36);
    let mouse = |kind, column, row| Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    // the second line of the models
    app.input(mouse(MouseEventKind::Down(MouseButton::Left), 5, 4));
    assert_eq!(chosen(press(&mut app, KeyCode::Char(' '))).models, [true, false]);
    app.input(mouse(MouseEventKind::ScrollUp, 5, 4));
    let command = press(&mut app, KeyCode::Char(' '));
    assert!(command.is_none() && picture(&app).contains("at least one has to stay in"), "{}", picture(&app));
}

#[test]
fn every_cell_of_the_new_pages_has_contrast_in_every_theme() {
    use ratatui::style::{Color, Modifier};
    for name in ThemeName::ALL {
        for page in [None, Some(Page::Profiles)] {
            let mut app = planned(120, 36);
            app.shared.theme = Theme::on(name, None, true);
            if let Some(page) = page {
                app.open(page);
            }
            for cell in &drawn(&app).content {
                for colour in [cell.fg, cell.bg] {
                    assert!(matches!(colour, Color::Reset | Color::Indexed(16..)), "{colour:?} in {}", name.name());
                }
                let both = (cell.fg == Color::Reset) == (cell.bg == Color::Reset);
                let own = matches!(name, ThemeName::Night | ThemeName::Day | ThemeName::Auto);
                assert!(both || !own, "a theme with a background has ink for it: {cell:?}");
                let word = cell.symbol().chars().all(char::is_alphanumeric);
                assert!(!(word && cell.modifier.contains(Modifier::DIM)), "no word is dim: {cell:?}");
            }
        }
    }
}

#[test]
fn times_are_told_roughly() {
    let mut app = planned(120, 36);
    let mut setup = setup();
    setup.grid.iter_mut().for_each(|row| row.done = row.trials);
    app.hear(Message::Planned(Box::new(Ok(setup.clone()))));
    assert!(picture(&app).contains("all is measured"), "{}", picture(&app));
    setup.grid[0].done = 0;
    setup.grid[0].expected =
        setup.grid[0].expected.map(|expected| super::setup::Expected { time: Seconds(7200.0), ..expected });
    app.hear(Message::Planned(Box::new(Ok(setup))));
    assert!(picture(&app).contains("≈ 2.0 h (a guess)"), "{}", picture(&app));
    let size = Rect::new(0, 0, 120, 36);
    assert_eq!(app.shared.size, size);
}

/// `cargo test --release --lib key_to_frame -- --ignored --nocapture` tells the times.
#[test]
#[ignore = "times are told, and nothing is asked of them"]
fn key_to_frame_of_ten_thousand_rows_on_every_screen() {
    let name = |n: usize| format!("organisation/a-model-with-a-name-of-sixty-letters-{n:05}-instruct");
    let mut app = finished(200, 50);
    let mut setup = setup();
    let (model, row, trial) = (setup.models[0].clone(), setup.grid[0].clone(), setup.trials[0].clone());
    setup.models =
        (0..10_000).map(|n| super::setup::ModelEntry { name: name(n), typed: name(n), ..model.clone() }).collect();
    setup.grid = (0..10_000).map(|n| super::setup::GridRow { label: name(n), ..row.clone() }).collect();
    let trial = |n: usize| {
        let mut trial = trial.clone();
        trial.variant.model.name = name(n / 5);
        trial.variant.id = bantam_core::record::Id::of(&(n / 5));
        trial.id = bantam_core::record::Id::of(&n);
        trial
    };
    setup.trials = (0..10_000).map(trial).collect();
    app.hear(Message::Planned(Box::new(Ok(setup))));
    let mut results = results();
    let row = results.rows[0].clone();
    let result = |n: usize| {
        let mut row = row.clone();
        row.variant.model.name = name(n);
        row
    };
    results.rows = (0..10_000).map(result).collect();
    app.hear(Message::Results(Box::new(results)));
    let backend = ratatui::backend::TestBackend::new(200, 50);
    let mut terminal = ratatui::Terminal::new(backend).expect("a test backend never fails");
    for screen in ["Models", "Plan", "Run", "Results"] {
        let begun = std::time::Instant::now();
        app.update(Action::Go(screen));
        terminal.draw(|frame| super::draw::draw(frame, &app)).expect("a test backend never fails");
        let first = begun.elapsed().as_secs_f64() * 1e3;
        let mut times = Vec::new();
        for code in [KeyCode::Down, KeyCode::PageDown, KeyCode::End, KeyCode::Up].into_iter().cycle().take(40) {
            let begun = std::time::Instant::now();
            press(&mut app, code);
            terminal.draw(|frame| super::draw::draw(frame, &app)).expect("a test backend never fails");
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{screen}: {first:.1} ms for the first picture, then {:.1} in the median, {:.1} at most",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}
