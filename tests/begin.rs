//! From nothing to a decision on somebody's own model and data: by `bantam init`, and in the workbench by keys alone, on the
//! real binary in a terminal.

mod common;

use common::{BANTAM, bantam, said};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A folder with a home of its own, a GGUF file and data, and nothing else.
struct Stranger {
    dir: tempfile::TempDir,
}

impl Stranger {
    fn new() -> Stranger {
        Stranger { dir: tempfile::tempdir().expect("temp dir") }
    }

    fn folder(&self) -> PathBuf {
        let folder = self.dir.path().join("own");
        std::fs::create_dir_all(&folder).expect("makes");
        folder
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = bantam(self.dir.path(), args).current_dir(self.folder()).output().expect("starts");
        let (stdout, stderr) = said(&output);
        (output.status.code(), stdout, stderr)
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        stdout
    }

    #[track_caller]
    fn refuses(&self, args: &[&str], why: &str) {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(why) && stderr.lines().count() == 1, "{args:?}: {stderr}");
    }

    /// A GGUF that a stranger may have: 16 bits, so that recipes can be made of it.
    fn model(&self) {
        self.does(&["compress", "bantam-s", "--quant", "F16", "-o", "my.gguf"]);
        // what made it is nothing that the stranger did
        let home = self.dir.path().join("home");
        if home.exists() {
            std::fs::remove_dir_all(home).expect("removed");
        }
    }

    /// Support messages with their queues, as a table that a person exported.
    fn data(&self, rows: usize) {
        let text = bantam_bundled::suites::file("routing.jsonl").expect("bundled");
        let mut table = String::from("nr,message,queue\n");
        // its lines are sorted by their queues
        let step = text.lines().count() / rows;
        for (n, line) in text.lines().step_by(step).take(rows).enumerate() {
            let item: Value = serde_json::from_str(line).expect("a line");
            let cell = |name: &str| item[name].as_str().expect("a text").replace('"', "\"\"");
            table += &format!("{n},\"{}\",\"{}\"\n", cell("message"), cell("queue"));
        }
        std::fs::write(self.folder().join("tickets.csv"), table).expect("writes");
    }
}

#[test]
fn init_writes_files_that_a_run_takes_at_once() {
    let stranger = Stranger::new();
    stranger.data(40);
    let printed =
        stranger.does(&["init", "bantam-s", "--data", "tickets.csv", "--recipes", "base,Q8_0", "--margin", "20"]);
    assert!(printed.contains("message is the question, queue the answer: one of 7 labels."), "{printed}");
    assert!(printed.contains("40 items can show a loss of"), "{printed}");
    assert!(printed.lines().any(|line| line == "tickets.toml"), "{printed}");
    let profile = stranger.folder().join("tickets.toml");
    let text = std::fs::read_to_string(&profile).expect("written").replace("budget = \"3 s\"", "budget = \"0.1 s\"");
    std::fs::write(&profile, text).expect("writes");
    let (code, advice, stderr) = stranger.run(&["run", "tickets.toml", "--quiet"]);
    assert!(matches!(code, Some(0 | 3)), "{advice}{stderr}");
    assert!(advice.contains("bantam-s"), "{advice}");
    stranger.refuses(&["init", "bantam-s", "--data", "tickets.csv"], "it is there already");
    stranger.does(&["init", "bantam-s", "--data", "tickets.csv", "--force", "--json"]);
}

#[test]
fn what_is_not_clear_is_asked_for_in_one_sentence() {
    let stranger = Stranger::new();
    std::fs::write(stranger.folder().join("t.csv"), "title,body,topic\na,b,x\nc,d,y\n").expect("writes");
    let columns = "its columns are title (2 different texts), body (2 different texts), topic (2 different texts)";
    stranger.refuses(&["init", "bantam-s", "--data", "t.csv"], columns);
    stranger.refuses(&["init", "bantam-s", "--data", "t.csv"], "(title or body?); say --question COLUMN");
    stranger.refuses(&["init", "bantam-s", "--data", "t.csv", "-a", "topik"], "there is no column 'topik' (topic?)");
    stranger.refuses(&["init", "bantam-s", "--data", "none.csv"], "none.csv: cannot be read");
    stranger.refuses(&["init", "nonsense", "--data", "t.csv", "-q", "body"], "'nonsense' is no model here");
    stranger.refuses(&["init", "bantam-s", "--data", "t.csv", "-q", "body", "--margin", "many"], "--margin");
    assert_eq!(std::fs::read_dir(stranger.folder()).expect("a folder").count(), 1, "nothing was written");
}

#[test]
fn a_conversation_goes_through_a_pipe() {
    let stranger = Stranger::new();
    let mut command = bantam(stranger.dir.path(), &["chat", "bantam-s", "--temperature", "0", "--max-tokens", "8"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"/nonsense\n/reset\nMy card was charged twice\nAnd again\n/again\n").expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    let (stdout, stderr) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let answers: Vec<&str> = stdout.lines().collect();
    assert!(answers.len() == 3 && answers[1] == answers[2], "the same again: {stdout}");
    assert!(stderr.contains("there is no /nonsense; there are /reset"), "{stderr}");
    let told: Vec<&str> = stderr.lines().filter(|line| line.contains("first after")).collect();
    assert!(told.len() == 3 && told[0].contains("of the prompt read"), "{stderr}");
    assert!(!told[0].contains("known from before") && told[1].contains("known from before"), "{stderr}");
}

/// A terminal with the workbench on it, as far as a screen of letters goes.
#[cfg(target_os = "linux")]
struct Terminal {
    child: Child,
    out: ChildStdout,
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    pending: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Terminal {
    const SIZE: (usize, usize) = (36, 120);

    /// Starts bantam in a folder on a terminal of its own; `script` gives one.
    fn start(stranger: &Stranger) -> Terminal {
        let (rows, columns) = Terminal::SIZE;
        let typed = format!("stty rows {rows} cols {columns}; exec {BANTAM} --theme plain --no-mouse");
        // who waits for what never comes gets the screen at last, and not a build that hangs
        let mut command = Command::new("timeout");
        command.args(["--foreground", "1200", "script"]);
        let settings = bantam(stranger.dir.path(), &[]);
        for (name, value) in settings.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(["-qefc", &typed, "/dev/null"]).current_dir(stranger.folder()).env("TERM", "xterm-256color");
        command.env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("script of util-linux is there");
        let out = child.stdout.take().expect("piped");
        Terminal { child, out, cells: vec![vec![' '; columns]; rows], at: (0, 0), pending: Vec::new() }
    }

    fn shown(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>() + "\n").collect()
    }

    /// Reads until this stands on the screen.
    #[track_caller]
    fn sees(&mut self, any: &[&str]) -> String {
        let mut bytes = [0; 65536];
        loop {
            let shown = self.shown();
            if any.iter().any(|text| shown.contains(text)) {
                return shown;
            }
            let read = self.out.read(&mut bytes).expect("reads");
            assert!(read > 0, "it ended before {any:?} was seen:\n{shown}");
            self.pending.extend_from_slice(&bytes[..read]);
            self.take();
        }
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().expect("piped").write_all(keys.as_bytes()).expect("written");
    }

    /// Takes in what is whole of what came: letters, and where they go.
    fn take(&mut self) {
        let whole = match std::str::from_utf8(&self.pending) {
            Ok(_) => self.pending.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8(self.pending.drain(..whole).collect()).expect("checked");
        let mut letters = text.chars().peekable();
        let mut rest = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '\x1b' if letters.peek() == Some(&'[') => {
                    letters.next();
                    let mut sequence = String::new();
                    let end = loop {
                        match letters.next() {
                            None => break None,
                            Some(last @ '@'..='~') => break Some(last),
                            Some(other) => sequence.push(other),
                        }
                    };
                    match end {
                        None => rest = format!("\x1b[{sequence}"),
                        Some(end) => self.control(&sequence, end),
                    }
                }
                '\x1b' if letters.peek().is_none() => rest = "\x1b".into(),
                '\r' => self.at.1 = 0,
                '\n' => self.at.0 = (self.at.0 + 1).min(Terminal::SIZE.0 - 1),
                letter if letter.is_control() => {}
                letter => {
                    let (row, column) = self.at;
                    if let Some(cell) = self.cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                        *cell = letter;
                    }
                    self.at.1 += 1;
                }
            }
        }
        self.pending.splice(0..0, rest.into_bytes());
    }

    fn control(&mut self, sequence: &str, end: char) {
        let numbers: Vec<usize> = sequence.split(';').map(|number| number.parse().unwrap_or(1)).collect();
        match end {
            'H' => self.at = (numbers[0].max(1) - 1, numbers.get(1).copied().unwrap_or(1).max(1) - 1),
            'J' => self.cells.iter_mut().for_each(|row| row.fill(' ')),
            'C' => self.at.1 += numbers[0],
            'G' => self.at.1 = numbers[0] - 1,
            'd' => self.at.0 = numbers[0] - 1,
            _ => {}
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_stranger_comes_by_keys_alone_to_a_decision_on_their_own_model_and_data() {
    let stranger = Stranger::new();
    stranger.model();
    stranger.data(30);
    let mut terminal = Terminal::start(&stranger);
    // nothing was measured here: it begins by itself, with what lies in the folder
    let shown = terminal.sees(&["my.gguf"]);
    assert!(shown.contains("Your model"), "{shown}");
    terminal.press("\r");
    terminal.sees(&["tickets.csv"]);
    terminal.press("\r");
    let shown = terminal.sees(&["right: "]);
    assert!(shown.contains("Message: ") && shown.contains("one of 7 labels"), "{shown}");
    // the margin of three points becomes one of twenty
    terminal.press("\x1b[B\x1b[B\x1b[B\x1b[B");
    terminal.press("\x1b[C\x1b[C\x1b[C");
    terminal.sees(&["at most 20 points worse"]);
    terminal.press("\r");
    let shown = terminal.sees(&["r measures and decides"]);
    assert!(shown.contains("Plan"), "{shown}");
    terminal.sees(&["0 measured already"]);
    terminal.press("r");
    let shown = terminal.sees(&["╭ Advice"]);
    assert!(shown.contains("my"), "{shown}");
    terminal.press("q");
    assert!(terminal.child.wait().expect("ends").success());
    assert!(stranger.folder().join("tickets.suite.toml").is_file());
    let decided: Value = serde_json::from_str(&stranger.does(&["decide", "tickets", "--json"])).expect("JSON");
    assert!(decided["advice"].is_object(), "{decided}");
}
