//! The Find screen on made-up answers: what is typed is asked, the newest question wins, pulls wait for each other and end
//! among the models, and limits that are edited are held against every row.

use super::action::{Action, Command, Message, Wanted};
use super::app::App;
use super::draw::draw;
use super::screen::find::{self, FindScreen};
use super::tests::setup;
use super::theme::Theme;
use crate::library::fit::{HostFit, estimate_on};
use crate::library::inventory::Origin;
use crate::library::shelf::{Facts, Shelf, Shelved};
use bantam_core::unit::Bytes;
use bantam_hub::{
    Counted, Gate, GgufFacts, Header, Hit, Hits, Listing, ModelInfo, Page, Planned, Progress, Remote, Repo, RepoKind,
    TensorHead, gguf,
};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 50)];

const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152,
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16",
    "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2}"#;

fn page(architecture: &str) -> Page {
    Page {
        licence: Some("apache-2.0".into()),
        gate: Gate::Open,
        modified: Some("2026-01-02T03:04:05.000Z".into()),
        downloads: Some(1_234_567),
        architecture: Some(architecture.into()),
        counted: Counted { total: Some(134_515_008), packed: false },
        ..Page::default()
    }
}

fn repo(id: &str) -> Repo {
    Repo::new(RepoKind::Model, id).expect("a name")
}

fn hits(ids: &[&str]) -> Hits {
    let hit = |id: &&str| Hit { repo: repo(id), page: page("llama"), parameters: Some(134_515_008) };
    Hits { hits: ids.iter().map(hit).collect(), next: None }
}

fn host_fit(id: &str, config: Option<&str>, header: Header, weights: u64, ggufs: &[&str]) -> HostFit {
    let remote = |path: &str, size| Remote { path: path.into(), size: Some(size), hash: None };
    let files = vec![remote("model.safetensors", weights), remote("config.json", 700)];
    let listing = Listing { repo: repo(id), commit: "9".repeat(40), files, page: page("llama") };
    let ggufs =
        gguf::choices(ggufs.iter().copied()).into_iter().zip(1..).map(|(c, n)| (c, Bytes(weights * n))).collect();
    let model_info = ModelInfo {
        listing,
        config: config.map(|c| c.as_bytes().to_vec()),
        parameters: Ok(header.parameters(None)),
        header: Ok(header),
        weights: Bytes(weights),
        pull: Ok(Bytes(weights + 700)),
        ggufs,
    };
    estimate_on(model_info, None, Ok(Bytes(500 << 20)))
}

fn plain(id: &str) -> HostFit {
    let tensor = TensorHead { name: "w".into(), kind: "BF16".into(), shape: vec![134_515_008] };
    host_fit(id, Some(CONFIG), Header { tensors: vec![tensor], gguf: None }, 269_060_552, &[])
}

fn ggufs(id: &str) -> HostFit {
    let facts = GgufFacts {
        architecture: "llama".into(),
        layers: Some(30),
        width: Some(576),
        heads: Some(9),
        kv_heads: Some(3),
        ..GgufFacts::default()
    };
    let tensor = TensorHead { name: "w".into(), kind: String::new(), shape: vec![134_515_008] };
    let header = Header { tensors: vec![tensor], gguf: Some(facts) };
    host_fit(id, None, header, 90_000_000, &["m-Q4_K_M.gguf", "m-Q8_0.gguf"])
}

fn app(width: u16, height: u16) -> App {
    let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
    app.update(Action::Go(find::TITLE));
    app
}

/// The screen itself, where its picture does not tell.
fn find_of(app: &App) -> &FindScreen {
    (app.screen() as &dyn std::any::Any).downcast_ref().expect("Find is shown")
}

fn wanted(names: &[&str]) -> Option<Command> {
    Some(Command::Pull(names.iter().map(|name| Wanted { name: (*name).into(), files: Vec::new() }).collect()))
}

fn shelved(typed: &str, origin: Origin, parameters: u64, quant: &str) -> Shelved {
    let facts = Facts {
        runs: "LlamaForCausalLM".into(),
        parameters,
        quant: quant.into(),
        licence: Some("apache-2.0".into()),
        cache_per_token: 46_080,
        longest: 2048,
        path: None,
    };
    Shelved { typed: typed.into(), origin, bytes: Bytes(parameters), facts: Ok(facts) }
}

fn shelf() -> Shelf {
    let broken = Shelved {
        facts: Err("ollama:gone:latest: its blob sha256-aaaaaaaaaaaa is not there".into()),
        ..shelved("ollama:gone:latest", Origin::Ollama, 0, "")
    };
    Shelf {
        models: vec![
            shelved("bundled:bantam-s", Origin::Bundled, 426_240, "BF16"),
            shelved("ollama:llama3.2:1b", Origin::Ollama, 1_235_814_432, "Q8_0"),
            broken,
            shelved(
                "lmstudio:lmstudio-community/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q4_K_M.gguf",
                Origin::LmStudio,
                596_049_920,
                "Q4_K_M",
            ),
            shelved("HuggingFaceTB/SmolLM2-360M", Origin::Cache, 361_821_120, "BF16"),
            shelved("my.gguf", Origin::Folder, 134_515_008, "Q4_1"),
        ],
        memory: Ok(Bytes(1 << 30)),
        bandwidth: Ok(20e9),
    }
}

/// With what this machine has, and a profile that is planned.
fn stocked(width: u16, height: u16) -> App {
    let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
    app.hear(Message::Planned(Box::new(Ok(setup()))));
    assert_eq!(app.update(Action::Go(find::TITLE)), Some(Command::Shelve { with_bandwidth: true }));
    app.hear(Message::Shelf(Box::new(shelf())));
    app
}

fn press(app: &mut App, code: KeyCode) -> Option<Command> {
    app.input(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn write(app: &mut App, text: &str) -> Option<Command> {
    text.chars().map(|c| press(app, KeyCode::Char(c))).last().flatten()
}

/// What the last question was.
fn asked(command: Option<Command>) -> (u64, String) {
    match command {
        Some(Command::Search(asked)) => (asked.number, asked.query.map(|q| q.text).unwrap_or_default()),
        other => panic!("no search: {other:?}"),
    }
}

fn answer(app: &mut App, number: u64, found: Hits) -> Option<Command> {
    app.hear(Message::Found { number, found: Box::new(Ok(found)), is_first: true })
}

fn searched(width: u16, height: u16) -> App {
    let mut app = app(width, height);
    press(&mut app, KeyCode::Char('/'));
    let (number, _) = asked(write(&mut app, "smollm"));
    answer(&mut app, number, hits(&["HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF"]));
    app.hear(Message::ModelInfo(
        "HuggingFaceTB/SmolLM2-135M".into(),
        Box::new(Ok(plain("HuggingFaceTB/SmolLM2-135M"))),
    ));
    press(&mut app, KeyCode::Enter);
    app
}

fn picture(app: &App) -> String {
    let backend = TestBackend::new(app.shared.size.width, app.shared.size.height);
    let mut terminal = Terminal::new(backend).expect("a test backend never fails");
    terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
    terminal.backend().to_string()
}

#[test]
fn find_screen() {
    for (width, height) in SIZES {
        insta::assert_snapshot!(format!("found_{width}x{height}"), picture(&searched(width, height)));
        insta::assert_snapshot!(format!("find_{width}x{height}"), picture(&stocked(width, height)));
    }
}

/// Two hundred models whose names have sixty letters, here and on the hub.
fn crowded(width: u16, height: u16) -> App {
    let mut app = stocked(width, height);
    let name = |n: usize| format!("organisation/a-model-with-a-name-of-sixty-letters-{n:03}-instruct");
    let mut shelf = shelf();
    shelf.models = (0..100).map(|n| shelved(&name(n), Origin::Cache, 1_000_000 * n as u64, "Q4_K_M")).collect();
    app.hear(Message::Shelf(Box::new(shelf)));
    press(&mut app, KeyCode::Char('/'));
    let (number, _) = asked(write(&mut app, "a"));
    let names: Vec<String> = (100..200).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    answer(&mut app, number, hits(&names));
    press(&mut app, KeyCode::Enter);
    app
}

#[test]
fn find_with_two_hundred_models_of_long_names() {
    for (width, height) in SIZES {
        let mut app = crowded(width, height);
        let shown = picture(&app);
        assert!(shown.contains("000") && shown.contains("200 models"), "{shown}");
        insta::assert_snapshot!(format!("crowded_find_{width}x{height}"), shown);
        press(&mut app, KeyCode::Char('G'));
        assert!(picture(&app).contains("199"), "{}", picture(&app));
    }
}

#[test]
fn rows_are_held_against_the_limits_which_are_edited_in_place() {
    let mut app = stocked(120, 36);
    let fits = |app: &App, name: &str| {
        let row = find_of(app).rows().iter().find(|row| row.name.contains(name)).expect(name).clone();
        row.keeps
    };
    use super::screen::find::Keeps;
    // the profile's own limit
    assert!(picture(&app).contains("memory ≤ 64.0 MiB"), "{}", picture(&app));
    assert_eq!((fits(&app, "my.gguf"), fits(&app, "llama3.2")), (Keeps::No("memory"), Keeps::No("memory")));
    press(&mut app, KeyCode::Char('e'));
    write(&mut app, "1GiB");
    let plan = press(&mut app, KeyCode::Enter);
    assert!(matches!(plan, Some(Command::Plan(ref s)) if s.limits.len() == 1), "{plan:?}");
    assert!(picture(&app).contains("memory ≤ 1.00 GiB"), "{}", picture(&app));
    assert_eq!((fits(&app, "my.gguf"), fits(&app, "llama3.2")), (Keeps::Yes, Keeps::No("memory")));
    // the next field, a notch up of nothing
    press(&mut app, KeyCode::Char('e'));
    press(&mut app, KeyCode::Right);
    write(&mut app, "100");
    assert!(matches!(press(&mut app, KeyCode::Enter), Some(Command::Plan(_))));
    assert_eq!(fits(&app, "Qwen3"), Keeps::No("decode"), "20 GB/s over 596 MB are 33 tokens a second");
    press(&mut app, KeyCode::Char('e'));
    write(&mut app, "much");
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    assert!(picture(&app).contains("much"), "what is no number is said: {}", picture(&app));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('e'));
    press(&mut app, KeyCode::Left);
    write(&mut app, "gemma");
    press(&mut app, KeyCode::Enter);
    assert_eq!(fits(&app, "my.gguf"), Keeps::No("licence"));
    assert_eq!(fits(&app, "gone"), Keeps::No("broken"), "what cannot be read keeps nothing");
}

#[test]
fn the_list_is_sorted_by_any_column_and_the_other_way_round() {
    let mut app = stocked(120, 36);
    let first = |app: &App| find_of(app).rows()[0].name.clone();
    assert_eq!(first(&app), "bundled:bantam-s");
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(first(&app), "bundled:bantam-s");
    assert!(picture(&app).contains("by model"));
    press(&mut app, KeyCode::Char('s'));
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(first(&app), "ollama:llama3.2:1b", "the most parameters first: {}", picture(&app));
    press(&mut app, KeyCode::Char('S'));
    assert_eq!(first(&app), "bundled:bantam-s");
    assert!(picture(&app).contains("by params reversed"));
}

#[test]
fn a_model_that_is_here_goes_into_the_plan_and_out_of_it() {
    let mut app = stocked(120, 36);
    press(&mut app, KeyCode::Down);
    let plan = press(&mut app, KeyCode::Char(' '));
    assert!(matches!(plan, Some(Command::Plan(ref s)) if s.pulled == ["ollama:llama3.2:1b"]), "{plan:?}");
    let out = press(&mut app, KeyCode::Char(' '));
    assert!(matches!(out, Some(Command::Plan(ref s)) if s.pulled.is_empty()), "{out:?}");
    press(&mut app, KeyCode::Down);
    assert_eq!(press(&mut app, KeyCode::Char(' ')), None);
    assert!(picture(&app).contains("its blob sha256-aaaaaaaaaaaa is not there"));
    // what is typed is looked for here, too
    press(&mut app, KeyCode::Char('/'));
    write(&mut app, "qwen 0.6b");
    assert!(picture(&app).contains("1 model, asking the hub"), "{}", picture(&app));
}

#[test]
fn ten_thousand_rows_are_drawn_by_those_that_are_seen() {
    let mut app = stocked(120, 36);
    let mut shelf = shelf();
    shelf.models = (0..10_000).map(|n| shelved(&format!("org/model-{n:05}"), Origin::Cache, n, "Q8_0")).collect();
    app.hear(Message::Shelf(Box::new(shelf)));
    press(&mut app, KeyCode::Char('G'));
    assert!(picture(&app).contains("model-09999") && picture(&app).contains("10000 models"), "{}", picture(&app));
}

/// `cargo test --release --lib key_to_frame -- --ignored --nocapture` tells the times.
#[test]
#[ignore = "times are told, and nothing is asked of them"]
fn key_to_frame_of_ten_thousand_rows() {
    let mut app = stocked(200, 50);
    let mut shelf = shelf();
    let name = |n: u64| format!("organisation/a-model-with-a-name-of-sixty-letters-{n:05}-instruct");
    shelf.models = (0..10_000).map(|n| shelved(&name(n), Origin::Cache, n, "Q8_0")).collect();
    app.hear(Message::Shelf(Box::new(shelf)));
    let mut terminal = Terminal::new(TestBackend::new(200, 50)).expect("a test backend never fails");
    let mut told = |app: &mut App, what: &str, keys: &[KeyCode]| {
        let mut worst = 0.0_f64;
        for code in keys.iter().cycle().take(60) {
            let begun = std::time::Instant::now();
            press(app, *code);
            terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
            worst = worst.max(begun.elapsed().as_secs_f64() * 1000.0);
        }
        println!("{what}: at most {worst:.2} ms from key to frame");
    };
    told(&mut app, "down", &[KeyCode::Down]);
    told(&mut app, "a page, the end, the beginning", &[KeyCode::PageDown, KeyCode::End, KeyCode::Home]);
    told(&mut app, "sort", &[KeyCode::Char('s'), KeyCode::Char('S')]);
    press(&mut app, KeyCode::Char('/'));
    told(&mut app, "type", &[KeyCode::Char('a'), KeyCode::Char('m'), KeyCode::Backspace, KeyCode::Backspace]);
}

#[test]
fn a_pull_is_shown_while_it_goes_on() {
    let mut app = searched(80, 24);
    let name = "HuggingFaceTB/SmolLM2-135M";
    assert_eq!(press(&mut app, KeyCode::Char('p')), wanted(&[name]));
    let file = |path: &str, size, there| Planned { path: path.into(), size, there };
    let files = vec![file("model.safetensors", 269_060_552, 0), file("tokenizer.json", 2_104_556, 2_104_556)];
    app.hear(Message::Pulling(name.into(), Progress::Planned { commit: "9".repeat(40), files }));
    app.hear(Message::Clock(2.0));
    app.hear(Message::Pulling(name.into(), Progress::At { file: 0, bytes: 100 << 20 }));
    insta::assert_snapshot!("find_pulling_80x24", picture(&app));
    assert_eq!(press(&mut app, KeyCode::Char('p')), None);
    assert!(picture(&app).contains("it is being fetched already"));
    // another one waits for it, and the line at the foot of every screen tells of both
    press(&mut app, KeyCode::Down);
    let id = "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF";
    app.hear(Message::ModelInfo(id.into(), Box::new(Ok(ggufs(id)))));
    assert_eq!(press(&mut app, KeyCode::Char('p')), wanted(&[&format!("{id}:Q8_0")]));
    app.hear(Message::Clock(2.5));
    app.hear(Message::Pulling(name.into(), Progress::At { file: 0, bytes: 110 << 20 }));
    assert!(picture(&app).contains("1 waiting") && picture(&app).contains("waits"), "{}", picture(&app));
    app.update(Action::Go("Plan"));
    assert!(picture(&app).contains("(+1) 43%"), "{}", picture(&app));
    app.update(Action::Go(find::TITLE));
    press(&mut app, KeyCode::Up);
    assert_eq!(press(&mut app, KeyCode::Char('x')), Some(Command::StopPull(name.into())));
    app.hear(Message::Pulled("HuggingFaceTB/SmolLM2-135M".into(), Err("stopped; what is fetched is kept".into())));
    assert!(find_of(&app).queue.len() == 1 && picture(&app).contains("what is fetched is kept"));
}

#[test]
fn letters_are_text_while_typing_and_commands_after() {
    let mut app = app(80, 24);
    press(&mut app, KeyCode::Char('/'));
    assert_eq!(asked(write(&mut app, "qp6r")).1, "qp6r");
    assert_eq!(app.screen().title(), find::TITLE);
    assert_eq!(asked(press(&mut app, KeyCode::Backspace)).1, "qp6");
    assert_eq!(asked(app.input(Input::Paste("-mini\n".into()))).1, "qp6-mini");
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert_eq!(press(&mut app, KeyCode::Char('q')), Some(Command::Quit));
    press(&mut app, KeyCode::Char('/'));
    let erase = app.input(Input::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    assert!(matches!(erase, Some(Command::Search(asked)) if asked.query.is_none()), "what was asked is cut off");
    press(&mut app, KeyCode::Tab);
    assert_eq!(app.screen().title(), "Decide");
}

#[test]
fn nothing_is_asked_before_something_is_typed() {
    let mut app = app(80, 24);
    for code in [
        KeyCode::Esc,
        KeyCode::Down,
        KeyCode::Char('o'),
        KeyCode::Char('f'),
        KeyCode::Char('p'),
        KeyCode::Char('/'),
        KeyCode::Char(' '),
    ] {
        assert_eq!(press(&mut app, code), None, "{code:?}");
    }
    assert!(picture(&app).contains("looking what is here"), "{}", picture(&app));
}

#[test]
fn the_newest_question_wins_whatever_comes_back_first() {
    let mut app = app(80, 24);
    press(&mut app, KeyCode::Char('/'));
    let (old, _) = asked(write(&mut app, "lla"));
    let (new, _) = asked(write(&mut app, "ma"));
    let next = answer(&mut app, new, hits(&["org/new"]));
    assert_eq!(next, Some(Command::ModelInfo("org/new".into())));
    answer(&mut app, old, hits(&["org/old"]));
    assert_eq!(find_of(&app).hits[0].repo.id(), "org/new");
    app.hear(Message::Found { number: old, found: Box::new(Err("too late".into())), is_first: true });
    assert_eq!(find_of(&app).error, None);
    // another order is another question
    press(&mut app, KeyCode::Enter);
    assert_eq!(asked(press(&mut app, KeyCode::Char('o'))).0, new + 1);
    app.hear(Message::Found { number: new + 1, found: Box::new(Err("the hub is gone".into())), is_first: true });
    assert!(picture(&app).contains("the hub is gone"));
}

#[test]
fn what_a_model_is_is_read_once_and_a_gguf_is_chosen_beside_the_list() {
    let mut app = searched(120, 36);
    let id = "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF";
    assert_eq!(press(&mut app, KeyCode::Down), Some(Command::ModelInfo(id.into())));
    app.hear(Message::ModelInfo(id.into(), Box::new(Ok(ggufs(id)))));
    assert_eq!(press(&mut app, KeyCode::Up), None, "it is read already");
    press(&mut app, KeyCode::Down);
    assert!(picture(&app).contains("▸Q8_0"), "the largest that fits stands first");
    assert_eq!(find_of(&app).rows()[1].quant, "Q8_0");
    // two of its files are checked, and each is a pull
    press(&mut app, KeyCode::Char('v'));
    press(&mut app, KeyCode::Enter);
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char(' '));
    assert!(picture(&app).contains("2 files checked"), "{}", picture(&app));
    insta::assert_snapshot!("find_files_120x36", picture(&app));
    assert_eq!(press(&mut app, KeyCode::Char('p')), wanted(&[&format!("{id}:Q8_0"), &format!("{id}:Q4_K_M")]));
    press(&mut app, KeyCode::Esc);
    // of a repository of other files those that are checked
    press(&mut app, KeyCode::Up);
    press(&mut app, KeyCode::Enter);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char(' '));
    let some = Wanted { name: "HuggingFaceTB/SmolLM2-135M".into(), files: vec!["config.json".into()] };
    assert_eq!(press(&mut app, KeyCode::Char('p')), Some(Command::Pull(vec![some])));
}

#[test]
fn a_card_is_read_when_it_is_looked_at_and_scrolled() {
    let mut app = searched(120, 36);
    let name = "HuggingFaceTB/SmolLM2-135M";
    press(&mut app, KeyCode::Left);
    assert!(picture(&app).contains("reading its card"), "{}", picture(&app));
    let text = format!("---\nlicense: mit\n---\n# SmolLM2\n\u{1b}[31mred\n{}THE END", "a line\n".repeat(60));
    app.hear(Message::Readme(name.into(), Ok(text)));
    let shown = picture(&app);
    assert!(shown.contains("SmolLM2") && !shown.contains("license: mit") && !shown.contains('\u{1b}'), "{shown}");
    press(&mut app, KeyCode::Enter);
    press(&mut app, KeyCode::Char('G'));
    assert!(picture(&app).contains("THE END"), "{}", picture(&app));
    press(&mut app, KeyCode::Esc);
    app.hear(Message::Readme(name.into(), Err("org has no file README.md".into())));
    assert!(picture(&app).contains("has no file README.md"));
}

#[test]
fn what_was_pulled_is_tried_beside_the_profiles_models() {
    let mut app = searched(80, 24);
    let name = "HuggingFaceTB/SmolLM2-135M";
    press(&mut app, KeyCode::Char('p'));
    let plan = app.hear(Message::Pulled(name.into(), Ok("/cache/snapshots/9".into())));
    assert!(matches!(plan, Some(Command::Plan(ref s)) if s.pulled == [name]), "{plan:?}");
    assert!(picture(&app).contains("is here and among the models now"));
    press(&mut app, KeyCode::Char('p'));
    assert_eq!(
        app.hear(Message::Pulled(name.into(), Ok("/cache/snapshots/9".into()))),
        None,
        "it is among them already"
    );
    // one that was not read, or that bantam cannot run
    assert_eq!(app.hear(Message::Pulled("org/mamba".into(), Ok("/cache/snapshots/9".into()))), None);
    assert!(picture(&app).contains("bantam cannot run it"));
}

#[test]
fn what_the_profile_names_is_fetched_and_then_planned() {
    let mut app = App::new("p".into(), Theme::plain(), Rect::new(0, 0, 80, 24));
    let missing = "'org/model' is no folder and no model here; f fetches what the profile names of the hub";
    app.hear(Message::Planned(Box::new(Err(missing.into()))));
    assert!(matches!(press(&mut app, KeyCode::Char('f')), Some(Command::Fetch(_))));
    app.hear(Message::Fetching("org/model".into()));
    assert!(picture(&app).contains("fetching org/model; 6 shows how far"));
    app.update(Action::Go(find::TITLE));
    assert!(picture(&app).contains("Pulling org/model"));
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert_eq!(press(&mut app, KeyCode::Char('x')), Some(Command::StopPull("org/model".into())));
    app.hear(Message::Fetched(Err("stopped; what is fetched is kept".into())));
    assert!(find_of(&app).queue.is_empty() && picture(&app).contains("what is fetched is kept"));
    assert!(matches!(app.hear(Message::Fetched(Ok(()))), Some(Command::Plan(_))));
}
