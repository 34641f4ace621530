//! What the tests share that start the real binary: it finds nothing of this machine's settings and no network, and keeps
//! its results, its cache and what it writes in a folder that goes away with the test.

#![allow(dead_code, reason = "each test takes what it needs of this")]

use bantam_core::record::Row;
use bantam_verdict::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary that cargo built for these tests.
pub(crate) const BANTAM: &str = env!("CARGO_BIN_EXE_bantam");

/// An address where nobody listens: what asks for it is refused at once.
const NO_HUB: &str = "http://127.0.0.1:9";

/// What a user's machine may say about the hub and about proxies.
const SETTINGS: [&str; 11] = [
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "BANTAM_LOG",
];

/// The binary with these arguments, all that it keeps below `folder`, ready to be started without a terminal.
pub(crate) fn bantam(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BANTAM);
    command.args(args).env("BANTAM_HOME", folder.join("home")).env("HF_HOME", folder.join("hf"));
    command.env("BANTAM_CONFIG", "").env("OLLAMA_MODELS", folder.join("ollama"));
    SETTINGS.iter().for_each(|variable| {
        command.env_remove(variable);
    });
    command.env("HF_ENDPOINT", NO_HUB).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command printed on stdout and on stderr.
pub(crate) fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Rows of a session with their items, which only the store has.
pub(crate) fn whole(rows: Vec<Row>, store: &Store) -> Vec<Row> {
    let whole = |mut row: Row| {
        row.outcome.items = store.items_of(&row.trial.id).expect("reads");
        row
    };
    rows.into_iter().map(whole).collect()
}

/// A file or folder of tests/golden.
pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// Writes a bundled model into a folder of its name below `folder`.
pub(crate) fn bundled(name: &str, folder: &Path) -> PathBuf {
    let model = bantam_bundled::models::embedded().iter().find(|model| model.name == name).expect("bundled");
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).expect("makes");
    for file in &model.files {
        std::fs::write(folder.join(file.name), file.data).expect("writes");
    }
    folder
}
