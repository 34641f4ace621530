//! The bundled profiles, embedded so that the first run needs no file.

/// Name and text.
pub const PROFILES: &[(&str, &str)] = &[("quickstart", include_str!("../profiles/quickstart.toml"))];

/// Gives the text of a bundled profile; `None` where there is none of that name.
pub fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
