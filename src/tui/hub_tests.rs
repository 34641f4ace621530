//! The Hub screen on made-up answers: what is typed is asked, the newest question wins, and a pull ends among the
//! models.

use super::action::{Action, Command, Message};
use super::app::App;
use super::draw::draw;
use super::screen::hub::{self, HubScreen};
use super::theme::Theme;
use crate::library::fit::{HostFit, estimate_on};
use bantam_core::unit::Bytes;
use bantam_hub::{
    Counted, Gate, GgufFacts, Header, Hit, Hits, Listing, ModelInfo, Page, Planned, Progress, Remote, Repo, RepoKind,
    TensorHead, gguf,
};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;

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
    app.update(Action::Go(hub::TITLE));
    app
}

/// The screen itself, where its picture does not tell.
fn hub_of(app: &App) -> &HubScreen {
    (app.screen() as &dyn std::any::Any).downcast_ref().expect("the Hub is shown")
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
fn hub_screen() {
    for (width, height) in [(80, 24), (120, 36)] {
        insta::assert_snapshot!(format!("hub_{width}x{height}"), picture(&searched(width, height)));
    }
}

#[test]
fn a_pull_is_shown_while_it_goes_on() {
    let mut app = searched(80, 24);
    assert_eq!(press(&mut app, KeyCode::Char('p')), Some(Command::Pull("HuggingFaceTB/SmolLM2-135M".into())));
    let file = |path: &str, size, there| Planned { path: path.into(), size, there };
    let files = vec![file("model.safetensors", 269_060_552, 0), file("tokenizer.json", 2_104_556, 2_104_556)];
    app.hear(Message::Pulling(Progress::Planned { commit: "9".repeat(40), files }));
    app.hear(Message::Clock(2.0));
    app.hear(Message::Pulling(Progress::At { file: 0, bytes: 100 << 20 }));
    insta::assert_snapshot!("hub_pulling_80x24", picture(&app));
    assert_eq!(press(&mut app, KeyCode::Char('p')), None);
    assert!(picture(&app).contains("a pull is going on"));
    assert_eq!(press(&mut app, KeyCode::Char('x')), Some(Command::StopPull));
    app.hear(Message::Pulled("HuggingFaceTB/SmolLM2-135M".into(), Err("stopped; what is fetched is kept".into())));
    assert!(hub_of(&app).pull.is_none() && picture(&app).contains("what is fetched is kept"));
}

#[test]
fn letters_are_text_while_typing_and_commands_after() {
    let mut app = app(80, 24);
    assert_eq!(asked(write(&mut app, "qp6r")).1, "qp6r");
    assert_eq!(app.screen().title(), hub::TITLE);
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
        KeyCode::Char('s'),
        KeyCode::Char('f'),
        KeyCode::Char('p'),
        KeyCode::Char('/'),
        KeyCode::Char(' '),
    ] {
        assert_eq!(press(&mut app, code), None, "{code:?}");
    }
    assert!(picture(&app).contains("and never before"));
}

#[test]
fn the_newest_question_wins_whatever_comes_back_first() {
    let mut app = app(80, 24);
    let (old, _) = asked(write(&mut app, "lla"));
    let (new, _) = asked(write(&mut app, "ma"));
    let next = answer(&mut app, new, hits(&["org/new"]));
    assert_eq!(next, Some(Command::ModelInfo("org/new".into())));
    answer(&mut app, old, hits(&["org/old"]));
    assert_eq!(hub_of(&app).hits[0].repo.id(), "org/new");
    app.hear(Message::Found { number: old, found: Box::new(Err("too late".into())), is_first: true });
    assert_eq!(hub_of(&app).error, None);
    // another order is another question
    press(&mut app, KeyCode::Enter);
    assert_eq!(asked(press(&mut app, KeyCode::Char('s'))).0, new + 1);
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
    assert!(picture(&app).contains("▸Q8_0"), "the largest stands first");
    press(&mut app, KeyCode::Right);
    assert_eq!(press(&mut app, KeyCode::Char('p')), Some(Command::Pull(format!("{id}:Q4_K_M"))));
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
    app.update(Action::Go(hub::TITLE));
    assert!(picture(&app).contains("Pulling org/model"));
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert_eq!(press(&mut app, KeyCode::Char('x')), Some(Command::StopPull));
    app.hear(Message::Fetched(Err("stopped; what is fetched is kept".into())));
    assert!(hub_of(&app).pull.is_none() && picture(&app).contains("what is fetched is kept"));
    assert!(matches!(app.hear(Message::Fetched(Ok(()))), Some(Command::Plan(_))));
}
