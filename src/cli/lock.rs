//! `bantam lock PROFILE`: pins what the profile measures in a file beside it, which `bantam run` obeys.

use super::args::Common;
use super::{Exit, run as headless, stop, usage};
use crate::run::lock::{self, Lock};
use crate::run::{self, Workplace};
use crate::show::out::{self, note, say};
use anyhow::{Context, Result};
use bantam_core::disk;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct LockArgs {
    /// Profile file, or the name of a bundled one
    pub profile: PathBuf,
    /// Write nothing: hold what is there now against the lock, and name what changed
    #[arg(long)]
    pub check: bool,
    /// Fetch nothing: models and data of the hub have to be here
    #[arg(long)]
    pub offline: bool,
    /// No progress lines
    #[arg(long, short)]
    pub quiet: bool,
}

pub(super) fn run(args: LockArgs) -> Result<Exit> {
    usage::is_profile(&args.profile)?;
    let profile = run::profile_offline_if(&args.profile, args.offline)?;
    let file = lock::beside(&args.profile);
    let before = Lock::read_beside(&args.profile);
    let cancel = stop::on_signals()?;
    let how = Common { json: false, fresh: false, offline: args.offline, quiet: args.quiet };
    let mut workplace = Workplace::open()?;
    let plan = headless::planned(&profile, &mut workplace, &how, &cancel)?;
    if args.check {
        let lock = before?.with_context(|| format!("{}: is not there; `bantam lock` writes it", file.display()))?;
        lock.check(&plan, &profile)?;
        say!("{}: all as it is pinned: {}", file.display(), lock.words())?;
        return Ok(Exit::Done);
    }
    let lock = stop::at_once(&cancel, || Lock::of(&plan, &profile))?;
    // what is pinned anew is told, for it is what a reviewer asks
    if let Ok(Some(before)) = before
        && !args.quiet
    {
        before.changes(&plan, &profile)?.iter().for_each(|change| note!("changed: {change}"));
    }
    disk::write(&file, lock.to_toml(&args.profile)?.as_bytes())
        .with_context(|| format!("{}: cannot be written", file.display()))?;
    out::path(&file)?;
    if !args.quiet {
        note!("pinned: {}", lock.words());
    }
    Ok(Exit::Done)
}
