//! profile.toml: what was asked, as a person would write it, so that `bantam run profile.toml` gets the numbers again.

use super::{Exporter, Page};
use anyhow::Result;
use std::io::Write;

pub(super) struct ProfileToml;

impl Exporter for ProfileToml {
    fn file(&self) -> &'static str {
        "profile.toml"
    }

    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()> {
        Ok(out.write_all(page.profile.as_bytes())?)
    }
}
