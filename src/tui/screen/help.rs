//! Help: every key of the screen one came from, made from the tables of keys. It lies over that screen; where it is longer
//! than the terminal it is scrolled.

use super::Screen;
use crate::show::{left, wrapped};
use crate::tui::keys;
use crate::tui::layout::window;
use crate::tui::theme::Theme;
use crate::tui::widget::{inside, lit};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Width of the keys and words.
const KEYS: usize = 16;

pub(crate) fn draw(frame: &mut Frame, screen: &dyn Screen, titles: &[&str], theme: Theme, from: usize) {
    let area = frame.area();
    let (place, entries) = (place(area, screen, titles), entries(area, screen, titles));
    let room = inside(place).height as usize;
    let line = |(keys, help): &(String, String)| {
        Line::from(vec![Span::styled(format!(" {} ", left(keys, KEYS)), theme.strong()), Span::raw(help.clone())])
    };
    let lines: Vec<Line> = entries.iter().skip(from).take(room).map(line).collect();
    let more = if entries.len() > room { "↑ ↓ for more, " } else { "" };
    let title = format!("Keys on {} ({more}? closes)", screen.title());
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(lit(&title, theme.accent())), place);
}

/// The last line that help can begin with.
pub(crate) fn last_line(area: Rect, screen: &dyn Screen, titles: &[&str]) -> usize {
    let room = inside(place(area, screen, titles)).height as usize;
    entries(area, screen, titles).len().saturating_sub(room)
}

fn place(area: Rect, screen: &dyn Screen, titles: &[&str]) -> Rect {
    // the line of keys at the foot stays
    let above = Rect { height: area.height.saturating_sub(1), ..area };
    window(above, 92, entries(area, screen, titles).len() as u16 + 2)
}

/// Keys and what they do, a line each; what is longer goes on in the next.
fn entries(area: Rect, screen: &dyn Screen, titles: &[&str]) -> Vec<(String, String)> {
    let width = (area.width.min(92) as usize).saturating_sub(KEYS + 5);
    let mut all: Vec<(String, String)> =
        keys::with(screen.keys()).iter().map(|binding| (binding.shown().to_owned(), binding.help.to_owned())).collect();
    all.push((format!("1-{}", titles.len()), titles.join(", ")));
    all.push(("ctrl-z".into(), "to the shell; fg comes back".into()));
    all.push(("mouse".into(), "click a tab or a line, scroll".into()));
    all.push(("signs".into(), "★ advised  ● Pareto front  ✓ qualifies  ? cannot tell  ✗ out  ≈ estimated".into()));
    for (n, (word, meaning)) in screen.words().iter().enumerate() {
        if n == 0 {
            all.push((String::new(), String::new()));
            all.push(("words".into(), "what stands on this screen:".into()));
        }
        all.push(((*word).into(), (*meaning).into()));
    }
    let broken = |(keys, help): (String, String)| {
        let lines = wrapped(&help, width).into_iter().enumerate();
        lines.map(move |(n, line)| (if n == 0 { keys.clone() } else { String::new() }, line)).collect::<Vec<_>>()
    };
    all.into_iter().flat_map(broken).collect()
}
