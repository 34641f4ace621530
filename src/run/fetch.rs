//! Fetching what a profile names of the hub and is not here, or not whole: the step before a plan.

use crate::library::{models, suites};
use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::profile::Profile;
use bantam_hub::{DataName, Hub, Name, Progress, Pulled, Settings, Want};

/// One thing of the hub that is to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    Data(DataName),
    Model(Name),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::Data(name) => name.fmt(f),
            Missing::Model(name) => name.fmt(f),
        }
    }
}

/// What happens while a profile's files are fetched.
#[derive(Debug)]
pub enum Fetching<'a> {
    Begun(&'a Missing),
    Progress(Progress),
    Done(&'a Pulled),
}

/// Lists what is missing, data first: it is small, and a suite that cannot be read is told before a model is fetched.
///
/// # Errors
/// Where a suite cannot be read.
pub fn missing(profile: &Profile) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    let data = profile.suites.iter().map(|name| suites::to_fetch(name)).collect::<Result<Vec<_>>>()?;
    let models = profile.models.iter().filter_map(|name| models::to_fetch(name));
    for one in data.into_iter().flatten().map(Missing::Data).chain(models.map(Missing::Model)) {
        if !missing.contains(&one) {
            missing.push(one);
        }
    }
    Ok(missing)
}

/// Fetches what [`missing`] found. `say` is called from the threads that fetch.
///
/// # Errors
/// The hub's, with what it was about; after a cancel `bantam_hub::Error::Cancelled`, and what has come is kept.
pub fn fetch(
    missing: &[Missing],
    settings: Settings,
    cancel: &Cancel,
    say: &(dyn Fn(Fetching) + Sync),
) -> Result<Vec<Pulled>> {
    let hub = Hub::new(settings, cancel);
    let one = |missing: &Missing| {
        say(Fetching::Begun(missing));
        let progress = |progress| say(Fetching::Progress(progress));
        let pulled = match missing {
            Missing::Data(name) => hub.pull_data(name, &progress)?,
            Missing::Model(name) => hub
                .pull(name, &Want::default(), &progress)
                .with_context(|| format!("'{name}' is no folder and no model here"))?,
        };
        say(Fetching::Done(&pulled));
        Ok(pulled)
    };
    missing.iter().map(one).collect()
}
