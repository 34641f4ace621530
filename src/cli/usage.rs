//! What is said of arguments that are no command: the help, clap's own words on what is wrong, and, for a word that is none of
//! ours, what may have been meant.

use super::Exit;
use super::args::Args;
use crate::library::models;
use crate::show::out::{self, note};
use anyhow::{Result, bail};
use bantam_bundled::profiles;
use bantam_core::text;
use bantam_hub::Name;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

/// Commands that had another name once.
const FORMER: [(&str, &str); 1] = [("family", "bundled")];

/// Reads the arguments; where they are no command, says what is wrong, or prints the help that was asked for, and gives the
/// exit code.
///
/// # Errors
/// The exit code: 0 where the help could be printed, 2 else.
pub fn parse(arguments: Vec<OsString>) -> Result<Args, ExitCode> {
    Args::try_parse_from(&arguments).map_err(|error| match error.use_stderr() {
        false => help(&error),
        true => {
            refuse(&error, &arguments);
            ExitCode::from(Exit::Usage.code())
        }
    })
}

/// The help or the version, on stdout.
fn help(error: &clap::Error) -> ExitCode {
    match out::own(&styled(error, io::stdout().is_terminal())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("bantam: the help cannot be printed: {error}");
            ExitCode::from(Exit::Usage.code())
        }
    }
}

fn refuse(error: &clap::Error, arguments: &[OsString]) {
    let first = arguments.get(1).map(|first| first.to_string_lossy()).unwrap_or_default();
    let is_word = !first.starts_with('-') && !Path::new(first.as_ref()).exists() && !is_command(&first);
    if is_word
        && matches!(
            error.kind(),
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict
        )
    {
        return note!("bantam: {}", no_command(&first));
    }
    // what clap quotes of the arguments may steer a terminal: it is asked again about what can be shown
    let shown = arguments.iter().map(|argument| text::plain(&argument.to_string_lossy()).into_owned());
    match Args::try_parse_from(shown) {
        Err(error) => out::own_remark(&styled(&error, io::stderr().is_terminal())),
        Ok(_) => out::own_remark(&text::lines(&styled(error, false))),
    }
}

fn styled(error: &clap::Error, colours: bool) -> String {
    let words = error.render();
    match colours && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        true => words.ansi().to_string(),
        false => words.to_string(),
    }
}

/// Says of what stands where a profile does what it is, where it is none.
///
/// # Errors
/// One sentence where it is a model, or a word that is no profile and no command.
pub(super) fn is_profile(typed: &Path) -> Result<()> {
    let name = typed.to_string_lossy();
    let is_bundled = profiles::text(&name).is_some();
    if !is_bundled && is_model(&name, typed) {
        bail!(
            "{name} is a model, and a profile is asked for here: `bantam inspect {name}` shows the model, `bantam eval {name} \
             --suite SUITE` scores it, and a profile names it under `models`"
        );
    }
    if !typed.exists() && !is_bundled && !name.contains(['/', '.']) {
        bail!("{}", no_command(&name));
    }
    Ok(())
}

fn is_model(name: &str, typed: &Path) -> bool {
    let weights = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf") || e == "safetensors");
    let holds =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().any(|file| weights(&file.path()));
    match typed.metadata() {
        Ok(facts) if facts.is_dir() => typed.join("config.json").is_file() || holds(typed),
        Ok(_) => weights(typed),
        Err(_) => {
            let of_hub = || Name::parse(name).is_ok_and(|name| name.repo.has_owner()) && !name.ends_with(".toml");
            models::bundled_names().iter().any(|bundled| bundled == name) || weights(typed) || of_hub()
        }
    }
}

/// "there is no command and no profile 'evla'; `bantam eval` may be meant …"
fn no_command(word: &str) -> String {
    if let Some((_, now)) = FORMER.iter().find(|(former, _)| *former == word) {
        return format!("`bantam {word}` is `bantam {now}` now; `bantam {now} --help` says what it does");
    }
    let commands = Args::command();
    let names: Vec<&str> =
        commands.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
    let close = names.iter().map(|name| (distance(word, name), *name)).min().filter(|(far, _)| *far <= 2);
    let meant = close.map_or(String::new(), |(_, name)| format!(" (`bantam {name}`?)"));
    let profiles: Vec<&str> = profiles::PROFILES.iter().map(|(name, _)| *name).collect();
    format!(
        "there is no command and no profile '{word}'{meant}; the commands are {}, the bundled profiles {}",
        names.join(", "),
        profiles.join(", ")
    )
}

fn is_command(word: &str) -> bool {
    Args::command().get_subcommands().any(|command| command.get_name() == word)
}

/// Letters to change, to add or to leave out between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(typed: &str) -> String {
        is_profile(Path::new(typed)).expect_err(typed).to_string()
    }

    #[test]
    fn a_word_that_is_no_profile_is_told_what_may_be_meant() {
        assert!(refusal("chat").starts_with("there is no command and no profile 'chat'; the commands are run, search"));
        assert!(refusal("evla").contains("'evla' (`bantam eval`?)"));
        assert!(refusal("family").contains("is `bantam bundled` now"));
        assert!(is_profile(Path::new("quickstart")).is_ok());
        // what is wrong with a file is said by who reads it
        assert!(is_profile(Path::new("no/such.toml")).is_ok());
    }

    #[test]
    fn a_model_where_a_profile_is_asked_for_is_told_what_to_do_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("m.Q4_0.gguf");
        std::fs::write(&file, b"GGUF\xff\xfe").expect("writes");
        for model in
            [file.display().to_string(), folder.path().display().to_string(), "bantam-s".into(), "org/small".into()]
        {
            let said = refusal(&model);
            assert!(said.starts_with(&format!("{model} is a model")) && said.contains("bantam inspect"), "{said}");
        }
    }

    #[test]
    fn words_are_as_far_apart_as_their_letters() {
        assert_eq!(["eval", "evla", "val", "evaluate", ""].map(|word| distance(word, "eval")), [0, 2, 1, 4, 4]);
    }
}
