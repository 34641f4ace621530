//! `bantam report RUN --out DIR`: the report of a stored run again, without measuring anything.

use super::Exit;
use super::args::Report;
use crate::run::{self, Workplace};
use crate::show::out;
use anyhow::Result;
use bantam_verdict::report;

pub(super) fn run(args: Report) -> Result<Exit> {
    let workplace = Workplace::open()?;
    let done = run::stored(&args.run, &workplace)?;
    for file in report::write(&done.report(&workplace.store)?, &args.out)? {
        out::path(&file)?;
    }
    Ok(Exit::Done)
}
