//! `bantam config`: what holds of the user's settings, and where each of it comes from; and the settings as the defaults of
//! arguments that were not given.

use super::Exit;
use super::args::{Args, Command, Common, ConfigArgs};
use crate::library::config::{self, Config, Given};
use crate::library::home::Home;
use crate::show::Table;
use crate::show::out::{self, say};
use crate::tui::ThemeName;
use anyhow::{Result, anyhow};
use serde_json::{Map, json};
use std::fmt::Display;

pub(super) fn run(args: ConfigArgs) -> Result<Exit> {
    let config = config::current().map_err(|why| anyhow!(why))?;
    let held = held(config, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    if args.json {
        let values: Map<_, _> =
            held.iter().map(|held| (held.key.clone(), json!({ "value": held.value, "from": held.from }))).collect();
        out::pretty_json(&json!({ "file": config.file, "settings": values }))?;
        return Ok(Exit::Done);
    }
    match &config.file {
        Some(file) if file.exists() => say!("{}", file.display())?,
        Some(file) => say!("{} (there is none yet)", file.display())?,
        None => say!("no file: BANTAM_CONFIG is empty, or there is no HOME")?,
    }
    say!()?;
    let mut table = Table::new().text("key").text("holds").text("from");
    for Held { key, value, from } in held {
        table.row(vec![key, value, from]);
    }
    table.print(&mut out::stdout())?;
    Ok(Exit::Done)
}

/// A setting as it holds.
#[derive(Debug, PartialEq)]
struct Held {
    key: String,
    value: String,
    from: String,
}

/// All settings in the order of the file's keys: of the environment before the file, of the file before what holds else.
fn held(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Held>> {
    let theme = ThemeName::settled(None, |name| std::env::var_os(name), config).map_err(|why| anyhow!(why))?;
    let home = Home::find()?;
    let named = |names: &[&str]| names.iter().find(|name| variable(name).is_some()).map(|name| (*name).to_owned());
    let all: [(&str, Option<String>, Option<usize>, String); 7] = [
        ("theme", named(&["NO_COLOR", "BANTAM_THEME"]), line(&config.theme), theme.name().into()),
        ("mouse", named(&["BANTAM_MOUSE"]), line(&config.mouse), with_mouse(config).to_string()),
        ("threads", None, line(&config.threads), shown(&config.threads, "all cores")),
        (
            "offline",
            named(&["HF_HUB_OFFLINE"]),
            line(&config.offline),
            shown(&config.offline, &is_set(variable, "HF_HUB_OFFLINE")),
        ),
        ("quiet", None, line(&config.quiet), shown(&config.quiet, "false")),
        ("data", named(&["BANTAM_HOME"]), line(&config.data), home.data().display().to_string()),
        ("cache", named(&["BANTAM_HOME"]), line(&config.cache), home.cache().display().to_string()),
    ];
    let of = |(key, variable, line, value): (&str, Option<String>, Option<usize>, String)| Held {
        key: key.into(),
        value,
        from: match (variable, line) {
            (Some(variable), _) => variable,
            (None, Some(line)) => format!("line {line}"),
            (None, None) => "default".into(),
        },
    };
    let keys = config.keys.iter().map(|(name, key)| Held {
        key: format!("keys.{name}"),
        value: key.value.clone(),
        from: format!("line {}", key.line),
    });
    Ok(all.into_iter().map(of).chain(keys).collect())
}

fn line<T>(given: &Option<Given<T>>) -> Option<usize> {
    given.as_ref().map(|given| given.line)
}

fn shown<T: Display>(given: &Option<Given<T>>, otherwise: &str) -> String {
    given.as_ref().map_or_else(|| otherwise.to_owned(), |given| given.value.to_string())
}

fn is_set(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> String {
    variable(name).is_some_and(|value| value != "0").to_string()
}

/// Whether the workbench takes the mouse, where no argument says.
pub(super) fn with_mouse(config: &Config) -> bool {
    match std::env::var_os("BANTAM_MOUSE") {
        Some(value) => value != "0",
        None => config.mouse.as_ref().is_none_or(|given| given.value),
    }
}

/// The arguments, with what the settings say where they say nothing.
pub(super) fn with_defaults(mut args: Args, config: &Config) -> Args {
    let (offline, quiet) =
        (config.offline.as_ref().is_some_and(|g| g.value), config.quiet.as_ref().is_some_and(|g| g.value));
    let threads = config.threads.as_ref().map(|given| given.value);
    let common = |common: &mut Common| {
        common.offline |= offline;
        common.quiet |= quiet;
    };
    match &mut args.command {
        Some(Command::Run(args)) => common(&mut args.common),
        Some(Command::Bench(args)) => {
            common(&mut args.common);
            args.threads = args.threads.or(threads);
        }
        Some(Command::Eval(args)) => {
            common(&mut args.common);
            args.threads = args.threads.or(threads);
        }
        Some(Command::Compare(args)) => {
            common(&mut args.common);
            args.threads = args.threads.or(threads);
        }
        Some(Command::Search(args)) => args.offline |= offline,
        Some(Command::Pull(args)) => {
            args.offline |= offline;
            args.quiet |= quiet;
        }
        Some(Command::Train(args)) => args.threads = args.threads.or(threads),
        Some(Command::Imatrix(args)) => args.threads = args.threads.or(threads),
        Some(Command::Serve(args)) => args.threads = args.threads.or(threads),
        Some(Command::Chat(args)) => args.threads = args.threads.or(threads),
        _ => {}
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::path::Path;

    #[test]
    fn settings_stand_in_for_arguments_that_were_not_given() {
        let config = Config::parse("threads = 3\noffline = true\nquiet = true", Path::new("c.toml")).expect("valid");
        let read = |typed: &str| with_defaults(Args::parse_from(typed.split(' ')), &config).command;
        let Some(Command::Bench(bench)) = read("bantam bench m") else { panic!("bench") };
        assert_eq!((bench.threads, bench.common.offline, bench.common.quiet), (Some(3), true, true));
        let Some(Command::Bench(bench)) = read("bantam bench m -t 2") else { panic!("bench") };
        assert_eq!(bench.threads, Some(2), "an argument goes before");
        let Some(Command::Pull(pull)) = read("bantam pull a/b") else { panic!("pull") };
        assert!(pull.offline && pull.quiet);
    }

    #[test]
    fn what_holds_says_where_it_comes_from() {
        let config = Config::parse("\nthreads = 3\n[keys]\nrun = 'R'", Path::new("c.toml")).expect("valid");
        let held = held(&config, &|name| (name == "BANTAM_MOUSE").then(|| "1".to_owned())).expect("there is a home");
        let from =
            |key: &str| held.iter().find(|held| held.key == key).map(|held| (held.value.as_str(), held.from.as_str()));
        assert_eq!(from("threads"), Some(("3", "line 2")));
        assert_eq!(from("mouse").map(|(_, from)| from), Some("BANTAM_MOUSE"));
        assert_eq!(from("quiet"), Some(("false", "default")));
        assert_eq!(from("keys.run"), Some(("R", "line 4")));
    }
}
