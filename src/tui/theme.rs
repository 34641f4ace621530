//! Themes. On a background that is known, colours are chosen for it so that every word has a contrast of 4.5 at least
//! (WCAG 2.2, 1.4.3); night and day bring a background of their own; plain uses weight and reversal alone, as everything
//! does under NO_COLOR. Nothing is told by colour alone.
//!
//! Colours are of the 216 of the cube and the 24 greys, which no terminal's theme changes, and never of the sixteen, of
//! which nobody knows what they look like.

use super::ground::Ground;
use crate::library::config::Config;
use bantam_core::meant::meant_words;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use std::ffi::OsStr;

/// The least contrast of words with what is behind them.
const CONTRAST: f64 = 4.5;
/// The lightest of the backgrounds that are called dark (Zenburn's), and the darkest that are called light (Solarized's
/// raised one): what can be read there can be read on the others.
const DARK: Ground = Ground(0x3f, 0x3f, 0x3f);
const LIGHT: Ground = Ground(0xe4, 0xdd, 0xc8);
/// Backgrounds of our own, of the cube's greys.
const NIGHT: u8 = 234;
const DAY: u8 = 255;

/// A theme by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ThemeName {
    /// What the terminal says of its background; where it says nothing, night
    #[default]
    Auto,
    /// For dark backgrounds
    Dark,
    /// For light backgrounds
    Light,
    /// Dark, with a background of its own
    Night,
    /// Light, with a background of its own
    Day,
    /// No colours: bold and reversed alone
    Plain,
}

impl ThemeName {
    /// Every theme, in the order in which a key goes through them.
    pub(super) const ALL: [ThemeName; 6] =
        [ThemeName::Auto, ThemeName::Dark, ThemeName::Light, ThemeName::Night, ThemeName::Day, ThemeName::Plain];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            ThemeName::Auto => "auto",
            ThemeName::Dark => "dark",
            ThemeName::Light => "light",
            ThemeName::Night => "night",
            ThemeName::Day => "day",
            ThemeName::Plain => "plain",
        }
    }

    pub(super) fn next(self) -> ThemeName {
        let at = ThemeName::ALL.iter().position(|name| *name == self).unwrap_or(0);
        ThemeName::ALL[(at + 1) % ThemeName::ALL.len()]
    }

    /// What somebody asked for: `--theme`, else NO_COLOR (no-color.org: any value that is not empty), else BANTAM_THEME.
    ///
    /// # Errors
    /// Where BANTAM_THEME names no theme: what it may say.
    pub(super) fn chosen(
        asked: Option<ThemeName>,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<ThemeName, String> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match (asked, set("NO_COLOR"), set("BANTAM_THEME")) {
            (Some(asked), ..) => Ok(asked),
            (None, Some(_), _) => Ok(ThemeName::Plain),
            (None, None, None) => Ok(ThemeName::Auto),
            (None, None, Some(named)) => ThemeName::named(&named),
        }
    }

    fn named(named: &OsStr) -> Result<ThemeName, String> {
        ThemeName::of(named).ok_or_else(|| {
            let names = ThemeName::ALL.map(ThemeName::name).join(", ");
            format!("BANTAM_THEME={}: there are the themes {names}", named.display())
        })
    }

    fn of(named: &OsStr) -> Option<ThemeName> {
        ThemeName::ALL.into_iter().find(|theme| *named == *theme.name())
    }

    /// What somebody asked for, else the environment's, else that of the user's settings.
    ///
    /// # Errors
    /// Where BANTAM_THEME or the settings name no theme: what they may say.
    pub fn settled(
        asked: Option<ThemeName>,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
        config: &Config,
    ) -> Result<ThemeName, String> {
        let is_open = asked.is_none()
            && ["NO_COLOR", "BANTAM_THEME"].iter().all(|name| variable(name).is_none_or(|value| value.is_empty()));
        match config.theme.as_ref().filter(|_| is_open) {
            None => ThemeName::chosen(asked, variable),
            Some(given) => ThemeName::of(given.value.as_ref()).ok_or_else(|| {
                let names = ThemeName::ALL.map(ThemeName::name);
                let meant = meant_words(&given.value, names);
                config.wrong(given.line, &format!("theme is '{}'{meant}; there are {}", given.value, names.join(", ")))
            }),
        }
    }
}

/// Whether a terminal of this TERM shows the 256 colours.
pub(super) fn has_colours(term: &str) -> bool {
    let few = ["linux", "ansi", "cons25", "cygwin", "sun", "wyse", "vt"];
    !term.is_empty() && !few.iter().any(|name| term.starts_with(name))
}

/// A theme as it is on this terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Theme {
    pub name: ThemeName,
    /// What the terminal said of its background, for the time when it is asked again.
    ground: Option<Ground>,
    /// The terminal shows colours.
    shows: bool,
    colours: Option<Palette>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Palette {
    /// Ink and background where they are ours.
    own: Option<(u8, u8)>,
    soft: u8,
    rule: u8,
    accent: u8,
    good: u8,
    bad: u8,
    warn: u8,
    groups: [u8; 6],
    selected: (u8, u8),
}

impl Theme {
    /// A theme on a terminal with this background, where it is known, and with or without colours.
    pub(super) fn on(name: ThemeName, ground: Option<Ground>, shows: bool) -> Theme {
        let colours = match (name, ground) {
            _ if !shows => None,
            (ThemeName::Plain, _) => None,
            (ThemeName::Auto, Some(ground)) => Some(Palette::on(ground, None)),
            (ThemeName::Dark, _) => Some(Palette::on(DARK, None)),
            (ThemeName::Light, _) => Some(Palette::on(LIGHT, None)),
            (ThemeName::Day, _) => Some(Palette::on(of_cube(DAY), Some(DAY))),
            (ThemeName::Night, _) | (ThemeName::Auto, None) => Some(Palette::on(of_cube(NIGHT), Some(NIGHT))),
        };
        Theme { name, ground, shows, colours }
    }

    /// The next one; a terminal without colours stays without.
    pub(super) fn next(self) -> Theme {
        Theme::on(self.name.next(), self.ground, self.shows)
    }

    #[cfg(test)]
    pub(super) fn plain() -> Theme {
        Theme::on(ThemeName::Plain, None, true)
    }

    #[cfg(test)]
    pub(super) fn coloured() -> Theme {
        Theme::on(ThemeName::Dark, None, true)
    }

    fn ink(self, of: impl Fn(Palette) -> u8) -> Style {
        self.colours.map_or_else(Style::new, |palette| Style::new().fg(Color::Indexed(of(palette))))
    }

    pub(super) fn text(self) -> Style {
        Style::new()
    }

    /// Words of less weight: labels, heads, hints.
    pub(super) fn soft(self) -> Style {
        self.ink(|palette| palette.soft)
    }

    /// Lines and frames.
    pub(super) fn rule(self) -> Style {
        match self.colours {
            Some(palette) => Style::new().fg(Color::Indexed(palette.rule)),
            None => Style::new().add_modifier(Modifier::DIM),
        }
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn accent(self) -> Style {
        self.ink(|palette| palette.accent).add_modifier(Modifier::BOLD)
    }

    pub(super) fn good(self) -> Style {
        self.ink(|palette| palette.good)
    }

    pub(super) fn bad(self) -> Style {
        self.ink(|palette| palette.bad).add_modifier(Modifier::BOLD)
    }

    pub(super) fn warn(self) -> Style {
        self.ink(|palette| palette.warn)
    }

    /// The line under the cursor; whoever draws it leaves other colours out of that line.
    pub(super) fn selected(self) -> Style {
        match self.colours {
            Some(Palette { selected: (ink, ground), .. }) => {
                Style::new().bg(Color::Indexed(ground)).fg(Color::Indexed(ink)).add_modifier(Modifier::BOLD)
            }
            None => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// A model's colour in tables and scatter.
    pub(super) fn group(self, n: usize) -> Style {
        self.ink(|palette| palette.groups[n % palette.groups.len()])
    }

    /// Puts a background of our own under what is drawn, and ink where none is chosen.
    pub(super) fn paint(self, buffer: &mut Buffer) {
        let Some((ink, ground)) = self.colours.and_then(|palette| palette.own) else { return };
        for cell in &mut buffer.content {
            if cell.bg == Color::Reset {
                cell.bg = Color::Indexed(ground);
            }
            if cell.fg == Color::Reset {
                cell.fg = Color::Indexed(ink);
            }
        }
    }
}

impl Palette {
    /// Colours for a background: of every hue, the one that is nearest to what is wanted among those with contrast.
    fn on(ground: Ground, own: Option<u8>) -> Palette {
        let is_dark = luminance(ground) < 0.18;
        let hue = |dark, light| readable(if is_dark { dark } else { light }, ground);
        let lines = |dark, light| nearest(if is_dark { dark } else { light }, ground, 3.0);
        Palette {
            own: own.map(|own| (hue(Ground(225, 228, 232), Ground(28, 30, 34)), own)),
            soft: hue(Ground(158, 164, 174), Ground(98, 98, 98)),
            rule: lines(Ground(118, 122, 130), Ground(128, 128, 128)),
            accent: hue(Ground(95, 215, 255), Ground(0, 95, 135)),
            good: hue(Ground(135, 215, 95), Ground(0, 95, 0)),
            bad: hue(Ground(255, 135, 135), Ground(175, 0, 0)),
            warn: hue(Ground(255, 215, 95), Ground(135, 75, 0)),
            groups: [
                hue(Ground(95, 215, 255), Ground(0, 95, 135)),
                hue(Ground(255, 175, 95), Ground(135, 75, 0)),
                hue(Ground(175, 215, 95), Ground(60, 95, 0)),
                hue(Ground(215, 175, 255), Ground(135, 0, 135)),
                hue(Ground(135, 175, 255), Ground(0, 0, 175)),
                hue(Ground(255, 175, 215), Ground(175, 0, 95)),
            ],
            selected: (231, 24),
        }
    }
}

fn readable(wanted: Ground, ground: Ground) -> u8 {
    nearest(wanted, ground, CONTRAST)
}

/// Of the cube and the greys the colour nearest to the one wanted that has this contrast; where none has, the one that
/// has the most.
fn nearest(wanted: Ground, ground: Ground, least: f64) -> u8 {
    let far = |index: &u8| {
        let (Ground(r, g, b), Ground(x, y, z)) = (of_cube(*index), wanted);
        [(r, x), (g, y), (b, z)].iter().map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2)).sum::<i32>()
    };
    let against = |index: &u8| contrast(of_cube(*index), ground);
    let enough = (16..=255).filter(|index| against(index) >= least).min_by_key(far);
    let most = || (16..=255).max_by(|a, b| against(a).total_cmp(&against(b)));
    enough.or_else(most).unwrap_or(231)
}

/// What a colour from 16 on looks like (xterm's 256colres.pl).
fn of_cube(index: u8) -> Ground {
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match index {
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            Ground(grey, grey, grey)
        }
        _ => {
            let n = index.saturating_sub(16);
            Ground(level(n / 36), level(n / 6 % 6), level(n % 6))
        }
    }
}

/// Relative luminance, as WCAG 2.2 defines it.
fn luminance(Ground(r, g, b): Ground) -> f64 {
    let linear = |part: u8| match f64::from(part) / 255.0 {
        part if part <= 0.04045 => part / 12.92,
        part => ((part + 0.055) / 1.055).powf(2.4),
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// Contrast ratio, as WCAG 2.2 defines it: 1 to 21.
fn contrast(a: Ground, b: Ground) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Backgrounds that people have, dark and light.
    const GROUNDS: [(&str, Ground, bool); 16] = [
        ("black", Ground(0, 0, 0), true),
        ("Solarized dark", Ground(0x00, 0x2b, 0x36), true),
        ("Solarized dark, raised", Ground(0x07, 0x36, 0x42), true),
        ("Gruvbox dark", Ground(0x28, 0x28, 0x28), true),
        ("Nord", Ground(0x2e, 0x34, 0x40), true),
        ("Dracula", Ground(0x28, 0x2a, 0x36), true),
        ("One dark", Ground(0x28, 0x2c, 0x34), true),
        ("Tokyo night", Ground(0x1a, 0x1b, 0x26), true),
        ("Ubuntu", Ground(0x30, 0x0a, 0x24), true),
        ("Zenburn", Ground(0x3f, 0x3f, 0x3f), true),
        ("white", Ground(255, 255, 255), false),
        ("Solarized light", Ground(0xfd, 0xf6, 0xe3), false),
        ("Solarized light, raised", Ground(0xee, 0xe8, 0xd5), false),
        ("Gruvbox light", Ground(0xfb, 0xf1, 0xc7), false),
        ("Catppuccin latte", Ground(0xef, 0xf1, 0xf5), false),
        ("Gruvbox light, soft", Ground(0xf2, 0xe5, 0xbc), false),
    ];

    /// Every pair of ink and background that a theme's styles make on a terminal's background. None is the terminal's own.
    fn pairs(theme: Theme) -> Vec<(&'static str, Style)> {
        let mut pairs = vec![
            ("soft", theme.soft()),
            ("accent", theme.accent()),
            ("good", theme.good()),
            ("bad", theme.bad()),
            ("warn", theme.warn()),
            ("selected", theme.selected()),
            ("text", theme.text()),
            ("strong", theme.strong()),
        ];
        pairs.extend((0..6).map(|n| ("group", theme.group(n))));
        pairs
    }

    fn colour(colour: Option<Color>) -> Option<Ground> {
        match colour {
            None | Some(Color::Reset) => None,
            Some(Color::Indexed(index @ 16..)) => Some(of_cube(index)),
            other => panic!("{other:?}: nobody knows what it looks like"),
        }
    }

    fn check(theme: Theme, ground: Ground, on: &str) {
        let own = theme.colours.and_then(|palette| palette.own);
        for (name, style) in pairs(theme) {
            let behind = colour(style.bg).or(own.map(|(_, ground)| of_cube(ground))).unwrap_or(ground);
            // what has no ink of its own has the terminal's, which is the user's business
            let Some(ink) = colour(style.fg).or(own.map(|(ink, _)| of_cube(ink))) else { continue };
            let contrast = contrast(ink, behind);
            assert!(contrast >= CONTRAST, "{}: {name} on {on}: {contrast:.2}", theme.name.name());
        }
        let behind = own.map_or(ground, |(_, ground)| of_cube(ground));
        let rule = colour(theme.rule().fg).map(|ink| contrast(ink, behind));
        assert!(rule.is_none_or(|contrast| contrast >= 3.0), "{}: lines on {on}", theme.name.name());
    }

    #[test]
    fn every_word_has_a_contrast_of_four_and_a_half_on_every_background() {
        for (on, ground, dark) in GROUNDS {
            check(Theme::on(ThemeName::Auto, Some(ground), true), ground, on);
            check(Theme::on(ThemeName::Auto, None, true), ground, on);
            check(Theme::on(ThemeName::Night, None, true), ground, on);
            check(Theme::on(ThemeName::Day, None, true), ground, on);
            check(Theme::on(ThemeName::Plain, Some(ground), true), ground, on);
            let fitting = if dark { ThemeName::Dark } else { ThemeName::Light };
            check(Theme::on(fitting, None, true), ground, on);
        }
        // whatever background a terminal may tell of
        for step in 0..=51 {
            let grey = Ground(step * 5, step * 5, step * 5);
            check(Theme::on(ThemeName::Auto, Some(grey), true), grey, "a grey");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((contrast(Ground(0, 0, 0), Ground(255, 255, 255)) - 21.0).abs() < 1e-9);
        // Solarized's body text on its dark background, and its "bright black" on it
        assert!((contrast(Ground(0x83, 0x94, 0x96), Ground(0x00, 0x2b, 0x36)) - 4.75).abs() < 0.01);
        assert!((contrast(Ground(0x00, 0x2b, 0x36), Ground(0x00, 0x2b, 0x36)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn no_colours_where_nobody_wants_or_shows_them() {
        for theme in [Theme::plain(), Theme::on(ThemeName::Night, None, false)] {
            for (name, style) in pairs(theme) {
                assert!(style.fg.is_none() && style.bg.is_none(), "{name}");
            }
            assert!(theme.selected().add_modifier.contains(Modifier::REVERSED));
        }
        assert!(has_colours("xterm-256color") && has_colours("tmux") && has_colours("screen"));
        assert!(!has_colours("linux") && !has_colours("vt220") && !has_colours(""));
    }

    #[test]
    fn an_argument_wins_over_no_color_and_that_over_the_variable() {
        let chosen = |asked, variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
            ThemeName::chosen(asked, find)
        };
        assert_eq!(chosen(Some(ThemeName::Day), &[("NO_COLOR", "1")]), Ok(ThemeName::Day));
        assert_eq!(chosen(None, &[("NO_COLOR", "1"), ("BANTAM_THEME", "day")]), Ok(ThemeName::Plain));
        assert_eq!(chosen(None, &[("NO_COLOR", ""), ("BANTAM_THEME", "light")]), Ok(ThemeName::Light));
        assert_eq!(chosen(None, &[]), Ok(ThemeName::Auto));
        let error = chosen(None, &[("BANTAM_THEME", "pink")]).expect_err("no theme");
        assert!(error.contains("pink") && error.contains("auto, dark, light, night, day, plain"), "{error}");
    }
}
