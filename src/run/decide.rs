//! Deciding again over what is measured, with other limits, margins and preference; no model is asked. The command line and
//! the workbench decide by this, and write the profile that comes of it.

use anyhow::{Context, Result};
use bantam_core::output;
use bantam_core::profile::{Knob, Prefer, Profile};
use bantam_verdict::recommend::whatif::{self, Changed, Turn};
use bantam_verdict::recommend::{Advice, Desk};
use std::path::{Path, PathBuf};

/// What is turned before it is decided again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turned {
    /// Knobs and their numbers; none for no limit, or no margin of its own.
    pub knobs: Vec<(Knob, Option<f64>)>,
    pub prefer: Option<Prefer>,
}

impl Turned {
    /// The profile with all that turned.
    pub fn of(&self, profile: &Profile) -> Profile {
        let mut turned = profile.clone();
        self.knobs.iter().for_each(|(knob, to)| knob.turn(&mut turned, *to));
        turned.objective.prefer = self.prefer.unwrap_or(turned.objective.prefer);
        turned
    }
}

/// A decision, and what changed by it.
#[derive(Debug, Clone)]
pub struct Decided {
    pub profile: Profile,
    pub advice: Advice,
    /// Against the decision that it is held against.
    pub changed: Changed,
}

/// Decides by a profile, and holds it against an earlier advice.
pub fn decided(desk: &Desk, profile: Profile, before: &Advice) -> Decided {
    let advice = desk.advise(&profile);
    let changed = whatif::changed(before, &advice);
    Decided { profile, advice, changed }
}

/// What would change a decision; `stop` ends the search.
pub fn turns(desk: &Desk, decided: &Decided, stop: &dyn Fn() -> bool) -> Vec<Turn> {
    whatif::turns(desk, &decided.profile, &decided.advice, stop)
}

/// Writes a profile under the name of its file. A file that is there is not replaced.
pub fn save(profile: &Profile, file: &Path) -> Result<()> {
    output::check(file, false, &[], &|_| false)?;
    let name = file.file_stem().map_or_else(|| profile.name.clone(), |stem| stem.to_string_lossy().into_owned());
    let named = Profile { name, ..profile.clone() };
    std::fs::write(file, named.to_toml()).with_context(|| format!("{}: cannot be written", file.display()))
}

/// The first name of a file in the present folder that is free for what was made of a profile: "quickstart-2.toml".
pub fn free_file(name: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    // a profile that was made so already counts on
    let (stem, first) = match name.rsplit_once('-').map(|(stem, n)| (stem, n.parse::<usize>())) {
        Some((stem, Ok(n))) if !stem.is_empty() => (stem.to_owned(), n.saturating_add(1)),
        _ => (name, 2),
    };
    let file = |n: usize| PathBuf::from(format!("{stem}-{n}.toml"));
    (first..).map(file).find(|file| !file.exists()).expect("there are more numbers than files")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::metric::Metric;

    fn profile() -> Profile {
        let text = "models = ['bundled:bantam-s']\nsuites = ['routing']\n";
        Profile::parse(text, Path::new("mine.toml")).expect("valid")
    }

    #[test]
    fn a_saved_profile_is_read_back_as_what_was_turned_and_replaces_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tight.toml");
        let knobs = vec![
            (Knob::Limit(Metric::PeakMemory), Some(67_108_864.0)),
            (Knob::Margin, Some(0.03)),
            (Knob::TaskMargin("routing".into()), Some(0.13)),
        ];
        let turned = Turned { knobs, prefer: Some(Prefer::Fastest) }.of(&profile());
        save(&turned, &file).expect("saves");
        let read = Profile::load(&file).expect("reads");
        assert_eq!(read, Profile { name: "tight".into(), ..turned.clone() });
        let again = save(&turned, &file).expect_err("it is there").to_string();
        assert!(again.contains("it is there already"), "{again}");
    }

    #[test]
    fn a_free_name_counts_on_and_needs_no_quotes() {
        assert_eq!(free_file("my profile"), PathBuf::from("my-profile-2.toml"));
        assert_eq!(free_file("quickstart-2"), PathBuf::from("quickstart-3.toml"));
        assert_eq!(free_file("q4"), PathBuf::from("q4-2.toml"));
    }
}
