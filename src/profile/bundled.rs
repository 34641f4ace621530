//! The bundled profiles, embedded so that the first run needs no file.

/// Name and text.
pub const BUNDLED: &[(&str, &str)] = &[("quickstart", include_str!("../../profiles/quickstart.toml"))];

/// The text of a bundled profile.
pub fn bundled(name: &str) -> Option<&'static str> {
    BUNDLED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
