//! The bundled profiles, embedded so that the first run needs no file.

/// Name and text.
pub const PROFILES: &[(&str, &str)] = &[("quickstart", include_str!("../profiles/quickstart.toml"))];

/// The text of a bundled profile.
pub fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
