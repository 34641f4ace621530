//! A screen that exists in tests only: what a new one needs, and the proof that it is a file and one line.

use super::Screen;
use crate::tui::action::{Action, Command};
use crate::tui::keys::Binding;
use crate::tui::shared::Shared;
use crossterm::event::KeyCode::Char;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;

const COUNT: Action = Action::Own("count");
const KEYS: &[Binding] =
    &[Binding { action: COUNT, codes: &[Char('+')], keys: "+", hint: "count", help: "count one more", foot: true }];

#[derive(Default)]
struct ExampleScreen {
    counted: usize,
}

impl Screen for ExampleScreen {
    fn title(&self) -> &'static str {
        "Example"
    }

    fn keys(&self) -> &'static [Binding] {
        KEYS
    }

    fn update(&mut self, action: Action, _: &mut Shared) -> Option<Command> {
        if action == COUNT {
            self.counted += 1;
        }
        None
    }

    fn hit(&self, body: Rect, at: Position, _: &Shared) -> Option<Action> {
        (at.y == body.y).then_some(COUNT)
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared) {
        frame.render_widget(Line::styled(format!("counted {}", self.counted), shared.theme.text()), body);
    }
}

#[test]
fn a_new_screen_is_a_file_and_a_line_in_the_list() {
    use crate::tui::app::App;
    use crate::tui::draw::draw;
    use crate::tui::theme::Theme;
    use crossterm::event::{Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    let mut screens = super::all();
    screens.push(Box::new(ExampleScreen::default()));
    let mut app = App::with(screens, "p".into(), Theme::plain(), Rect::new(0, 0, 100, 24));
    let press = |app: &mut App, key| app.input(Event::Key(Char(key).into()));
    let click = |app: &mut App, column, row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        app.input(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    };
    let picture = |app: &App| {
        let mut terminal = Terminal::new(TestBackend::new(100, 24)).expect("a test backend never fails");
        terminal.draw(|frame| draw(frame, app)).expect("a test backend never fails");
        terminal.backend().to_string()
    };

    assert_eq!(press(&mut app, '8'), None);
    assert_eq!(press(&mut app, '+'), None);
    assert_eq!(click(&mut app, 4, 2), None);
    let shown = picture(&app);
    assert!(shown.contains("8 Example") && shown.contains("counted 2") && shown.contains("+ count"), "{shown}");
    press(&mut app, '?');
    let help = picture(&app);
    assert!(help.contains("Keys on Example") && help.contains("count one more") && help.contains("1-8"), "{help}");
    press(&mut app, '?');
    press(&mut app, '1');
    assert_eq!(press(&mut app, '+'), None);
    press(&mut app, '8');
    assert!(picture(&app).contains("counted 2"), "its key is its own");
}
