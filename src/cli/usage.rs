//! What is said of arguments that are no command: the help, clap's own words on what is wrong, and, for a word that is none of
//! ours, what may have been meant.

use super::Exit;
use super::args::Args;
use crate::library::models;
use crate::show::out::{self, note};
use anyhow::{Result, bail};
use bantam_bundled::profiles;
use bantam_core::meant::meant;
use bantam_hub::Name;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

/// Commands that had another name once.
const FORMER: [(&str, &str); 1] = [("family", "bundled")];

/// What can stand in the place of an argument that a command wants.
const IN_PLACE: [(&str, &str, &str); 2] = [("train", "--data", "--suite SUITE"), ("compare", "--suite", "--kld TEXT")];

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
    // what clap quotes of the arguments may steer a terminal: it passes the filter with the rest of the line
    note!("bantam: {}", sentence(error, &first));
}

/// What clap has against the arguments, in one sentence.
fn sentence(error: &clap::Error, command: &str) -> String {
    let words = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(all)) => all.clone(),
        _ => Vec::new(),
    };
    let (named, value) = (words(ContextKind::InvalidArg), words(ContextKind::InvalidValue).join(" "));
    let (others, allowed) = (words(ContextKind::PriorArg), words(ContextKind::ValidValue));
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    let meant: Vec<String> = meant.into_iter().flat_map(words).map(|word| format!(" ({word}?)")).collect();
    let argument = spelled(&named);
    let said = match error.kind() {
        ErrorKind::ArgumentConflict if others.is_empty() || others == named => format!("{argument} is given twice"),
        ErrorKind::ArgumentConflict => {
            format!("{argument} and {} exclude each other: give one of them", spelled(&others))
        }
        ErrorKind::MissingRequiredArgument => {
            let plain = named.join(" and no ").replace(['<', '>'], "");
            let other = IN_PLACE.iter().find(|(of, one, _)| *of == command && plain.starts_with(one));
            format!(
                "there is no {plain}{}",
                other.map_or(String::new(), |(_, _, other)| format!(", and no {other} in its place"))
            )
        }
        ErrorKind::InvalidValue if value.is_empty() => match allowed.is_empty() {
            true => format!("{argument} has no value"),
            false => format!("{argument} has no value; allowed are {}", allowed.join(", ")),
        },
        ErrorKind::InvalidValue => {
            format!("{argument} is '{value}'{}; allowed are {}", meant.concat(), allowed.join(", "))
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(why) => format!("{argument} is '{value}': {why}"),
            None => format!("{argument} is '{value}'"),
        },
        ErrorKind::UnknownArgument => format!("there is no {argument} here{}", meant.concat()),
        ErrorKind::InvalidSubcommand => {
            format!("there is no {} here{}", words(ContextKind::InvalidSubcommand).join(" "), meant.concat())
        }
        ErrorKind::NoEquals => format!("{argument} wants its value behind a ="),
        // the rest is rare: clap's own first line
        _ => {
            let all = error.render().to_string();
            let first = all.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(':').to_owned()
        }
    };
    match is_command(command) {
        true => format!("{said}; `bantam {command} --help` says what can stand here"),
        false => format!("{said}; `bantam --help` says what can stand here"),
    }
}

/// Arguments as they are typed, without what stands for their values: "--budget and --bpw".
fn spelled(arguments: &[String]) -> String {
    let one = |argument: &String| match argument.starts_with('-') {
        true => argument.split([' ', '=']).next().unwrap_or_default().to_owned(),
        false => argument.clone(),
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" and ")
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
    let profiles: Vec<&str> = profiles::PROFILES.iter().map(|(name, _)| *name).collect();
    let meant = match (meant(word, names.iter().copied()), meant(word, profiles.iter().copied())) {
        (Some(command), _) => format!(" (`bantam {command}`?)"),
        (None, Some(profile)) => format!(" (`bantam run {profile}`?)"),
        (None, None) => String::new(),
    };
    format!(
        "there is no command and no profile '{word}'{meant}; the commands are {}, the bundled profiles {}",
        names.join(", "),
        profiles.join(", ")
    )
}

fn is_command(word: &str) -> bool {
    Args::command().get_subcommands().any(|command| command.get_name() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(typed: &str) -> String {
        is_profile(Path::new(typed)).expect_err(typed).to_string()
    }

    #[test]
    fn a_word_that_is_no_profile_is_told_what_may_be_meant() {
        assert!(
            refusal("wizard").starts_with("there is no command and no profile 'wizard'; the commands are run, init")
        );
        assert!(refusal("quikstart").contains("'quikstart' (`bantam run quickstart`?)"));
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
    fn what_clap_has_against_the_arguments_is_one_sentence() {
        for (typed, said) in [
            (
                "compress m --budget 1GB --bpw 3",
                "--budget and --bpw exclude each other: give one of them; `bantam compress --help`",
            ),
            ("compress m --budget 1GB --budget 2GB", "--budget is given twice"),
            ("compress m --recipe", "--recipe has no value"),
            ("compress m --bpw much", "--bpw is 'much': invalid float literal"),
            ("compress m --methd gptq", "there is no --methd here (--method?)"),
            ("compress m --method gtpq", "--method is 'gtpq' (gptq?); allowed are rounding, gptq, best"),
            ("compress", "there is no MODEL"),
            ("train m -o x", "there is no --data FILE, and no --suite SUITE in its place"),
            ("eval m", "there is no --suite SUITE; "),
            ("eval m -s routing -l 0", "--limit is '0': allowed is a whole number from 1 on"),
            ("bundled lst", "there is no lst here (list?)"),
        ] {
            let arguments: Vec<&str> = ["bantam"].into_iter().chain(typed.split(' ')).collect();
            let error = Args::try_parse_from(&arguments).expect_err(typed);
            let sentence = sentence(&error, arguments[1]);
            assert!(sentence.starts_with(said) && !sentence.contains('\n'), "{typed}: {sentence}");
        }
    }

    #[test]
    fn numbers_below_zero_are_numbers() {
        for typed in ["compress m --max-kld -1", "compress m --bpw -0.5", "compare a b -s x --margin -0.1"] {
            let arguments: Vec<&str> = ["bantam"].into_iter().chain(typed.split(' ')).collect();
            assert!(Args::try_parse_from(&arguments).is_ok(), "{typed}");
        }
    }
}
