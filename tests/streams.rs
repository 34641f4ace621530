//! The standard streams from outside: a line that cannot be printed is no panic.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::{Command, Output, Stdio};

/// Tables, lines, JSON, the help, and more than a pipe holds.
const COMMANDS: [&[&str]; 8] = [
    &["bundled", "list"],
    &["inspect", "bantam-s"],
    &["bundled", "list", "--json"],
    &["completions", "bash"],
    &["--help"],
    &["eval", "--help"],
    &["--version"],
    &["compress", "bantam-s", "--quant", "Q8_0", "--dry-run"],
];

fn bantam(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bantam"));
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("Linux has it")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    for arguments in COMMANDS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = bantam(arguments).stdout(writer).output().expect("started");
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error_of_the_command() {
    for arguments in COMMANDS {
        let output = bantam(arguments).stdout(full()).output().expect("started");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).starts_with("bantam: ") && said(&output).contains("No space left"), "{}", said(&output));
    }
}

#[test]
fn what_is_said_on_the_way_may_be_lost() {
    let output = bantam(&["inspect", "no-such-model"]).stderr(full()).output().expect("started");
    assert_eq!(output.status.code(), Some(2));
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("table.txt");
    let arguments = ["bench", "bantam-s", "--prompt", "8", "--output", "4", "--budget", "100 ms"];
    let mut command = bantam(&arguments);
    command.env("BANTAM_HOME", home.path()).stdout(File::create(&out).expect("a file")).stderr(full());
    let status = command.status().expect("started");
    assert_eq!(status.code(), Some(0));
    assert!(std::fs::read_to_string(&out).expect("a table").contains("bantam-s"));
}

#[test]
fn without_any_stream_the_work_is_done_all_the_same() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("copy");
    let script = "exec 0<&- 1>&- 2>&-; exec \"$0\" bundled export bantam-s --out \"$1\"";
    let mut command = Command::new("/bin/sh");
    let command = command.args(["-c", script, env!("CARGO_BIN_EXE_bantam")]).arg(&out);
    let status = command.env("BANTAM_HOME", home.path()).status().expect("started");
    assert_eq!(status.code(), Some(0));
    assert!(out.join("config.json").is_file());
}

#[test]
fn what_is_said_of_arguments_steers_no_terminal() {
    let arguments = [["inspect", "x\u{1b}]0;OWNED\u{7}"], ["bundled", "\u{9b}2J"], ["pull", "--\u{202e}txt"]];
    for arguments in arguments {
        let output = bantam(&arguments).output().expect("started");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = said(&output);
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']) && said.contains('�'), "{said:?}");
    }
}
