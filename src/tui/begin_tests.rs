//! From nothing to a profile, by keys alone: the page for who begins, before a world that does what it asks by the library.

use super::action::{Action, Command, Message, Page};
use super::app::App;
use super::draw::draw;
use super::jobs::begin::drafted;
use super::screen::{begin, plan};
use super::theme::{Theme, ThemeName};
use crate::library::own::{self, Around};
use bantam_core::unit::Bytes;
use bantam_eval::own::Columns;
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Position, Rect};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The app in a folder of its own.
struct World {
    app: App,
    folder: tempfile::TempDir,
    /// Profiles that were opened.
    opened: Vec<PathBuf>,
}

impl World {
    fn new(width: u16, height: u16) -> World {
        let mut app = App::new("quickstart".into(), Theme::plain(), Rect::new(0, 0, width, height));
        let folder = tempfile::tempdir().expect("a folder");
        let command = app.open(Page::Begin);
        let mut world = World { app, folder, opened: Vec::new() };
        world.write("tickets.csv", &tickets("id,body,topic"));
        world.write("mail.jsonl", "{\"a\": 1}\n");
        world.does(command);
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }

    /// Does what the app asks of the world, until it asks for nothing more.
    fn does(&mut self, command: Option<Command>) {
        let here = self.folder.path().to_owned();
        let mut next = command;
        while let Some(command) = next.take() {
            next = match command {
                Command::LookAround(folder) => {
                    let found = own::around(&here.join(&folder));
                    let bare = |path: &PathBuf| path.strip_prefix(&here).unwrap_or(path).to_owned();
                    let all =
                        |files: &[(PathBuf, Bytes)]| files.iter().map(|(file, bytes)| (bare(file), *bytes)).collect();
                    let around = Around {
                        models: all(&found.models),
                        data: all(&found.data),
                        folders: found.folders.iter().map(bare).collect(),
                        written: Vec::new(),
                        named: vec![("bundled:bantam-s".into(), "832 KiB, bundled".into())],
                    };
                    self.app.hear(Message::Around(folder, Box::new(around)))
                }
                Command::LookAt(file) => {
                    let looked = Columns::read(&here.join(&file)).map(|mut columns| {
                        columns.file = file.clone();
                        Arc::new(columns)
                    });
                    self.app.hear(Message::Looked(
                        file,
                        looked.map_err(|error| error.to_string().replace(&format!("{}/", here.display()), "")),
                    ))
                }
                Command::Draft(number, mut question) => {
                    // as if it had been started in that folder
                    let whole = Columns::read(&here.join(&question.columns.file)).expect("read before");
                    question.columns = Arc::new(whole);
                    let draft = drafted(*question, &here).map(Box::new).map_err(|error| error.to_string());
                    self.app.hear(Message::Drafted(number, draft))
                }
                Command::Write(draft) => {
                    let written = draft.write(false).map(|()| draft.profile().to_owned());
                    self.app.hear(Message::Written(written.map_err(|error| error.to_string())))
                }
                Command::OpenProfile(profile) => {
                    self.opened.push(profile);
                    None
                }
                Command::Close => None,
                other => panic!("{other:?} is nothing for the world"),
            };
        }
    }

    fn press(&mut self, code: KeyCode) {
        let command = self.app.input(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        self.does(command);
    }

    fn type_text(&mut self, text: &str) {
        text.chars().for_each(|letter| self.press(KeyCode::Char(letter)));
    }

    fn picture(&self) -> String {
        let backend = TestBackend::new(self.app.shared.size.width, self.app.shared.size.height);
        let mut terminal = Terminal::new(backend).expect("a test backend never fails");
        terminal.draw(|frame| draw(frame, &self.app)).expect("a test backend never fails");
        terminal.backend().to_string()
    }
}

fn tickets(head: &str) -> String {
    let row = |n: usize| format!("{n},\"Where is order {n}?\",{}\n", ["delivery", "billing", "returns"][n % 3]);
    format!("{head}\n{}", (0..360).map(row).collect::<String>())
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 50)];

#[test]
fn keys_alone_lead_from_an_empty_folder_to_a_profile() {
    for (width, height) in SIZES {
        let mut world = World::new(width, height);
        insta::assert_snapshot!(format!("begin_model_{width}x{height}"), world.picture());
        world.type_text("bantam");
        world.press(KeyCode::Enter);
        insta::assert_snapshot!(format!("begin_data_{width}x{height}"), world.picture());
        world.press(KeyCode::Down);
        world.press(KeyCode::Enter);
        insta::assert_snapshot!(format!("begin_columns_{width}x{height}"), world.picture());
        world.press(KeyCode::Enter);
        assert_eq!(world.opened, [world.folder.path().join("tickets.toml")]);
        assert_eq!(world.app.screen().title(), plan::TITLE);
        let shown = world.picture();
        assert!(shown.contains("r measures and decides"), "{shown}");
        let profile = bantam_core::profile::Profile::load(&world.opened[0]).expect("a profile");
        assert_eq!((profile.models.join(" "), profile.objective.margin), ("bundled:bantam-s".into(), 0.03));
        assert_eq!(crate::library::suites::load(&profile.suites[0]).expect("a suite").tasks[0].items().len(), 360);
    }
}

/// At the columns of the tickets.
fn at_columns(head: &str) -> World {
    let mut world = World::new(120, 36);
    world.write("tickets.csv", &tickets(head));
    world.press(KeyCode::Enter);
    world.type_text("tickets");
    world.press(KeyCode::Enter);
    world
}

#[test]
fn columns_that_are_not_clear_are_picked_with_arrows() {
    let mut world = at_columns("nr,was,wohin");
    world.press(KeyCode::Esc);
    world.write(
        "tickets.csv",
        &tickets("nr,was,wohin")
            .replace(",delivery", ",delivery,x")
            .replace(",billing", ",billing,y")
            .replace(",returns", ",returns,z")
            .replacen("wohin", "wohin,woher", 1),
    );
    world.type_text("tickets");
    world.press(KeyCode::Enter);
    let shown = world.picture();
    assert!(
        shown.contains("Which column is what is not clear") && shown.contains("wohin") && shown.contains("3 texts"),
        "{shown}"
    );
    insta::assert_snapshot!("begin_unclear_120x36", shown);
    world.press(KeyCode::Enter);
    assert!(world.opened.is_empty(), "what is not clear is not written");
    // question: nr, was; answer: nr, was, wohin
    world.press(KeyCode::Right);
    world.press(KeyCode::Right);
    world.press(KeyCode::Down);
    (0..3).for_each(|_| world.press(KeyCode::Right));
    let shown = world.picture();
    assert!(shown.contains("Was: Where is order 0?") && shown.contains("right: delivery"), "{shown}");
    // written instead of labels, four examples, five points
    world.press(KeyCode::Down);
    world.press(KeyCode::Right);
    world.press(KeyCode::Down);
    world.press(KeyCode::Right);
    world.press(KeyCode::Down);
    world.press(KeyCode::Right);
    let shown = world.picture();
    assert!(
        shown.contains("in its own words") && shown.contains("2, taken out of the data") && shown.contains("5 points"),
        "{shown}"
    );
    assert!(shown.contains("358 items can show"), "{shown}");
}

#[test]
fn a_path_that_is_typed_is_looked_into_and_a_bad_file_is_said() {
    let mut world = World::new(80, 24);
    world.press(KeyCode::Enter);
    world.type_text("mail");
    world.press(KeyCode::Enter);
    let shown = world.picture();
    assert!(shown.contains("which column is the question is not clear"), "{shown}");
    world.press(KeyCode::Esc);
    world.write("broken.csv", "a,b\n1\n");
    (0..4).for_each(|_| world.press(KeyCode::Backspace));
    world.type_text("broken.csv");
    world.press(KeyCode::Enter);
    let shown = world.picture();
    assert!(shown.contains("broken.csv:2: is no row of this table"), "{shown}");
    std::fs::create_dir_all(world.folder.path().join("data/old")).expect("folders");
    world.write("data/old/more.csv", "q,a\n");
    (0..10).for_each(|_| world.press(KeyCode::Backspace));
    world.type_text("data/");
    let shown = world.picture();
    assert!(shown.contains("data/old/more.csv"), "{shown}");
    // a step back is to the model, and one more out of it
    world.press(KeyCode::Esc);
    assert!(world.picture().contains("Your model"), "{}", world.picture());
    world.press(KeyCode::Esc);
    assert!(!world.app.has_opened());
}

#[test]
fn the_page_opens_by_its_key_and_a_click_chooses() {
    let mut world = World::new(120, 36);
    world.press(KeyCode::Esc);
    world.press(KeyCode::Char('n'));
    assert_eq!(world.app.screen().title(), begin::TITLE);
    world.press(KeyCode::Enter);
    // the second line of the list
    let body = super::layout::body(world.app.shared.size);
    let command = world.app.update(Action::Click(Position::new(10, body.y + 7)));
    world.does(command);
    world.press(KeyCode::Enter);
    assert!(world.picture().contains("360 lines of tickets.csv"), "{}", world.picture());
    // a click on the fifth row, and the margin turns
    let command = world.app.update(Action::Click(Position::new(10, body.y + 7)));
    world.does(command);
    world.press(KeyCode::Left);
    assert!(world.picture().contains("at most 2 points worse"), "{}", world.picture());
}

#[test]
fn every_cell_of_the_page_has_contrast_in_every_theme() {
    use ratatui::style::{Color, Modifier};
    for name in ThemeName::ALL {
        let mut world = at_columns("id,body,topic");
        world.app.shared.theme = Theme::on(name, None, true);
        for _ in 0..3 {
            let backend = TestBackend::new(120, 36);
            let mut terminal = Terminal::new(backend).expect("a test backend never fails");
            terminal.draw(|frame| draw(frame, &world.app)).expect("a test backend never fails");
            for cell in &terminal.backend().buffer().content {
                for colour in [cell.fg, cell.bg] {
                    assert!(matches!(colour, Color::Reset | Color::Indexed(16..)), "{colour:?} in {}", name.name());
                }
                let both = (cell.fg == Color::Reset) == (cell.bg == Color::Reset);
                let own = matches!(name, ThemeName::Night | ThemeName::Day | ThemeName::Auto);
                assert!(both || !own, "a theme with a background has ink for it: {cell:?}");
                let word = cell.symbol().chars().all(char::is_alphanumeric);
                assert!(!(word && cell.modifier.contains(Modifier::DIM)), "no word is dim: {cell:?}");
            }
            world.press(KeyCode::Esc);
        }
    }
}

#[test]
fn what_is_wanted_before_it_is_made_is_written_when_it_is() {
    let mut world = at_columns("id,body,topic");
    let right = Input::Key(KeyEvent::new(KeyCode::Right, KeyModifiers::NONE));
    (0..4).for_each(|_| world.press(KeyCode::Down));
    let command = world.app.input(right);
    let enter = Input::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    assert_eq!(world.app.input(enter), None);
    assert!(world.picture().contains("as soon as the first question is made"), "{}", world.picture());
    world.does(command);
    assert_eq!(world.opened.len(), 1);
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let mut world = at_columns("id,body,topic");
    world.write("tickets.toml", "mine");
    world.press(KeyCode::Right);
    world.press(KeyCode::Left);
    world.press(KeyCode::Enter);
    assert_eq!(world.opened, [world.folder.path().join("tickets-2.toml")]);
    assert_eq!(std::fs::read_to_string(world.folder.path().join("tickets.toml")).expect("there"), "mine");
    assert!(Path::new(&world.folder.path().join("tickets-2.suite.toml")).exists());
}
