//! The man pages: one for bantam and one for each command, from the same words as `--help`.

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;
use std::path::{Path, PathBuf};

/// A page: its file's name and its text in roff.
struct ManPage {
    file: String,
    text: Vec<u8>,
}

/// Writes every page into a folder, and gives their paths.
pub(crate) fn write(folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let put = |page: ManPage| {
        let path = folder.join(page.file);
        std::fs::write(&path, page.text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    pages()?.into_iter().map(put).collect()
}

fn pages() -> Result<Vec<ManPage>> {
    let mut bantam = bantam::cli::Args::command().disable_help_subcommand(true);
    // commands of commands learn their whole names
    bantam.build();
    let mut pages = Vec::new();
    add(&bantam, &mut pages)?;
    Ok(pages)
}

/// The page of a command, and those of its own commands; not of hidden ones.
fn add(command: &clap::Command, pages: &mut Vec<ManPage>) -> Result<()> {
    let source = format!("bantam {}", env!("CARGO_PKG_VERSION"));
    let (man, mut text) = (Man::new(command.clone()).manual("bantam").source(source), Vec::new());
    man.render(&mut text).with_context(|| format!("the page {}", man.get_filename()))?;
    pages.push(ManPage { file: man.get_filename(), text });
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| add(below, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_tells_its_arguments() {
        let pages = pages().expect("renders");
        let names: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        for command in bantam::cli::Args::command().get_subcommands() {
            let file = format!("bantam-{}.1", command.get_name());
            assert_eq!(names.contains(&file.as_str()), !command.is_hide_set(), "{file} of {names:?}");
        }
        assert!(names.contains(&"bantam.1") && names.contains(&"bantam-models-remove.1"), "{names:?}");
        for page in &pages {
            let text = String::from_utf8_lossy(&page.text);
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{}: {text}", page.file);
        }
        let bench = pages.iter().find(|page| page.file == "bantam-bench.1").expect("is there");
        assert!(String::from_utf8_lossy(&bench.text).contains("Prompt tokens"));
    }
}
