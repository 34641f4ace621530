//! Every command started once on the real binary: what it prints where, what it writes, and how it ends.

mod common;

use common::{bantam, bundled, said};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder to work in, with a home of its own.
struct Shell {
    dir: tempfile::TempDir,
}

/// How a command ended and what it printed.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Shell {
    fn new() -> Shell {
        Shell { dir: tempfile::tempdir().expect("temp dir") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).expect("writes");
    }

    fn run(&self, args: &[&str]) -> Ended {
        let output = bantam(self.dir.path(), args).current_dir(self.dir.path()).output().expect("starts");
        let (stdout, stderr) = said(&output);
        Ended { code: output.status.code(), stdout, stderr }
    }

    /// A command that does what it is for, and what it printed on stdout.
    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended.stdout
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let printed = self.does(args);
        serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{args:?}: {e}: {printed}"))
    }

    /// A command that cannot: exit code 2, nothing on stdout, and one sentence of bantam's on stderr.
    #[track_caller]
    fn refuses(&self, args: &[&str], why: &str) {
        let ended = self.run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{args:?}: {}", ended.stderr);
        let last = ended.stderr.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("bantam: "), "{args:?}: {}", ended.stderr);
    }

    /// Arguments that cannot be read: the same in one line, with where to read on.
    #[track_caller]
    fn misreads(&self, args: &[&str], why: &str) {
        let ended = self.run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("bantam: ") && ended.stderr.contains(why), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help") && ended.stderr.lines().count() == 1, "{args:?}: {}", ended.stderr);
    }
}

const COMMANDS: [&str; 31] = [
    "run",
    "init",
    "search",
    "pull",
    "models",
    "bench",
    "eval",
    "compress",
    "train",
    "imatrix",
    "export",
    "inspect",
    "compare",
    "decide",
    "chat",
    "verify",
    "plan",
    "trial",
    "merge",
    "lock",
    "check",
    "diff",
    "serve",
    "ship",
    "report",
    "doctor",
    "bundled",
    "completions",
    "config",
    "systems",
    "devices",
];

const TINY: &str = "models = ['bantam-s']\nrecipes = ['base', 'Q8_0']\nsuites = ['routing']\n\
    [measure]\nlimit = 5\nspeed = [{ prompt = 8, output = 4 }]\nbudget = '0.1 s'\nmin_repeats = 2\nidle = '0.1 s'\n";

fn is_there(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.len() > 0)
}

#[test]
fn the_program_tells_its_version_and_helps_with_each_command() {
    let shell = Shell::new();
    assert_eq!(shell.does(&["--version"]), format!("bantam {}\n", env!("CARGO_PKG_VERSION")));
    let help = shell.does(&["--help"]);
    assert!(help.contains("Exit codes: 0 done") && !help.contains("worker"), "{help}");
    for command in COMMANDS {
        let listed = help.lines().any(|line| line.split_whitespace().next() == Some(command));
        assert!(listed, "{command} is not in the list: {help}");
        let own = shell.does(&[command, "--help"]);
        assert!(own.contains(&format!("Usage: bantam {command}")), "{own}");
    }
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let first = |line: &str| line.strip_prefix("  ").is_some_and(|rest| !rest.starts_with(' '));
    assert_eq!(listed.filter(|line| first(line)).count(), COMMANDS.len() + 1, "each of these, and help: {help}");
}

#[test]
fn what_cannot_be_read_is_refused_in_one_sentence() {
    let shell = Shell::new();
    shell.file("bad.toml", "models = ['bantam-s']\nmodelz = 1\n");
    shell.refuses(&["nonsense"], "there is no command and no profile 'nonsense'");
    shell.refuses(&["family", "export", "bantam-s"], "`bantam family` is `bantam bundled` now");
    shell.refuses(&["bantam-s"], "bantam-s is a model, and a profile is asked for here");
    shell.misreads(&["run"], "there is no PROFILE");
    shell.misreads(&["bench", "bantam-s", "--nonsense"], "--nonsense");
    shell.misreads(&["bench", "bantam-s", "-t", "0"], "allowed is a whole number from 1 on");
    shell.misreads(&["eval", "bantam-s", "-s", "routing", "--limit", "some"], "is no whole number");
    shell.misreads(&["completions", "ksh"], "allowed are bash");
    shell.refuses(&["run", "missing.toml"], "missing.toml: no such profile");
    shell.refuses(&["run", "bad.toml"], "bad.toml:2: unknown field `modelz`");
    shell.refuses(&["eval", "bantam-s", "-s", "nonsense"], "'nonsense' is no suite");
    shell.refuses(&["compare", "bantam-s", "bantam-s", "-s", "routing"], "compared with itself");
    shell.refuses(&["compress", "bantam-s", "--quant", "Q9_9"], "'Q9_9' is no quantization type");
    shell.refuses(&["compress", "bantam-s"], "or --recipe FILE.toml");
    shell.refuses(&["inspect", "nonsense"], "'nonsense' is no model here");
    shell.refuses(&["inspect", "/none/of/it.gguf"], "/none/of/it.gguf: there is no such file or folder");
    shell.refuses(&["eval", "./none", "-s", "routing"], "./none: there is no such file or folder");
    shell.refuses(&["compare", "bantam-s", "bundled:bantam-s", "-s", "routing", "--limit", "2", "-q"], "are one model");
    shell.refuses(&["eval", "nonsense", "-s", "routing"], "'nonsense' is no model here");
    shell.refuses(&["report", "nonsense"], "no run is called 'nonsense'");
    shell.refuses(&["models", "remove", "bundled:bantam-s", "--yes"], "is inside this binary");
}

#[test]
fn without_a_network_a_search_says_what_it_asks_and_soon_that_nobody_answers() {
    let shell = Shell::new();
    let ended = shell.run(&["search", "llama"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.starts_with("asking http://127.0.0.1:9 …\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(2 tries); is this machine on a network"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("is kept"), "{}", ended.stderr);
}

#[test]
fn a_password_in_an_address_is_shown_nowhere() {
    let shell = Shell::new();
    let mut command = bantam(shell.dir.path(), &["pull", "org/name"]);
    command.env("HF_ENDPOINT", "http://me:sesame@127.0.0.1:9").env("BANTAM_LOG", "trace");
    let output = command.output().expect("starts");
    let (stdout, stderr) = said(&output);
    assert!(stderr.contains("127.0.0.1:9") && !(stderr + &stdout).contains("sesame"));
}

#[test]
fn offline_nothing_is_asked_of_the_hub() {
    let shell = Shell::new();
    shell.refuses(&["search", "llama", "--offline"], "bantam is offline");
    shell.refuses(&["search", "--card", "org/name", "--offline"], "bantam is offline");
    shell.refuses(&["pull", "org/name", "--offline"], "org/name is not in the Hugging Face cache");
    shell.refuses(&["pull", "no name", "--offline"], "no name");
}

#[test]
fn a_run_prints_its_advice_writes_its_report_and_writes_it_again() {
    let shell = Shell::new();
    shell.file("tiny.toml", TINY);
    let advice = shell.does(&["run", "tiny.toml", "--out", "first", "--quiet"]);
    assert!(advice.contains("bantam-s") && advice.contains("confidence"), "{advice}");
    let files = ["report.html", "report.md", "results.json", "results.csv"];
    assert!(files.iter().all(|file| is_there(&shell.at("first").join(file))));

    let listed = shell.does(&["report", "tiny", "--out", "again"]);
    assert!(files.iter().all(|file| listed.lines().any(|line| line == format!("again/{file}"))), "{listed}");
    let html = |folder: &str| std::fs::read(shell.at(folder).join("report.html")).expect("there");
    assert_eq!(html("first"), html("again"));

    // nothing is measured twice, and --json prints what results.json has
    let ended = shell.run(&["run", "tiny.toml", "--json"]);
    assert!(ended.stderr.contains("4 measured already"), "{}", ended.stderr);
    let results: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&results["schema"], &results["trials"][0]["items"]), (&"bantam.results/1".into(), &5.into()));

    assert!(
        results["run"]["finished"].as_f64().is_some_and(|at| at >= results["run"]["started"].as_f64().unwrap_or(0.0))
    );
    assert!(
        advice.contains("bantam-s is inside the bantam binary.") || advice.contains("bantam-s · Q8_0 is at "),
        "{advice}"
    );
    assert!(advice.contains("llama-server -m "), "{advice}");

    // it is decided again with other limits, without any model, and the profile that comes of it is one
    let decided = shell.does(&["decide", "tiny", "--margin", "routing=50", "--save", "wide.toml"]);
    for word in ["Against the profile as it ran:", "bantam-s · Q8_0", "What would change it", "the reference"] {
        assert!(decided.contains(word), "{word}: {decided}");
    }
    let saved = std::fs::read_to_string(shell.at("wide.toml")).expect("written");
    assert!(saved.contains("name = \"wide\"") && saved.contains("routing = 0.5"), "{saved}");
    let nothing = shell.run(&["decide", "tiny", "--limit", "memory<=1KiB", "--json"]);
    let json: Value = serde_json::from_str(&nothing.stdout).expect("JSON");
    assert_eq!((nothing.code, json["advice"]["standings"].as_array().map(Vec::len)), (Some(3), Some(2)));
    shell.refuses(&["decide", "tiny", "--save", "wide.toml"], "it is there already");
    shell.refuses(&["decide", "tiny", "--limit", "memroy<=1KiB"], "(memory?)");
    shell.refuses(&["decide", "tiny", "--prefer", "fastes"], "(fastest?)");

    // the profile in the report's folder asks for the same, from wherever it is read
    let elsewhere = shell.at("elsewhere");
    std::fs::create_dir(&elsewhere).expect("makes");
    let profile = shell.at("first/profile.toml").display().to_string();
    let output =
        bantam(shell.dir.path(), &["run", &profile, "--json"]).current_dir(&elsewhere).output().expect("starts");
    let (stdout, stderr) = said(&output);
    assert!(stderr.contains("4 trials, 4 measured already"), "{stderr}");
    let again: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(again["run"]["id"], results["run"]["id"], "it is the same run");
}

#[test]
fn a_profile_with_files_is_run_again_from_its_report() {
    let shell = Shell::new();
    bundled("bantam-s", shell.dir.path());
    shell.file(
        "mine.toml",
        &TINY.replace("'bantam-s'", "'./bantam-s'").replace("recipes = ['base', 'Q8_0']", "recipes = ['base']"),
    );
    shell.does(&["run", "mine.toml", "--out", "deep/report", "--quiet"]);
    let profile = std::fs::read_to_string(shell.at("deep/report/profile.toml")).expect("it is there");
    let model = shell.at("bantam-s").display().to_string();
    assert!(profile.contains(&model), "{profile} names no {model}");
    let folder = shell.at("deep/report");
    let output = bantam(shell.dir.path(), &["run", "profile.toml"]).current_dir(folder).output().expect("starts");
    let (_, stderr) = said(&output);
    assert!(stderr.contains("2 trials, 2 measured already"), "{stderr}");
}

#[test]
fn a_model_is_scored_measured_and_listed() {
    let shell = Shell::new();
    let scores = shell.does(&["eval", "bantam-s", "--suite", "routing", "--limit", "5"]);
    assert!(scores.lines().any(|line| line.starts_with("bantam-s  routing  acc ")), "{scores}");
    let items = shell.does(&["eval", "bantam-s", "--suite", "routing", "--limit", "5", "--items", "--quiet"]);
    let items: Vec<Value> = items.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(items.iter().map(|line| &line["item"]["index"]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);

    let speed = shell.does(&["bench", "bantam-s", "-p", "8", "-n", "4", "--budget", "0.1 s"]);
    assert!(speed.contains("pp8+tg4") && speed.contains("tok/s"), "{speed}");

    let facts = shell.json(&["inspect", "bantam-s", "--json"]);
    assert_eq!((&facts["parameters"], &facts["layers"]), (&426_624.into(), &2.into()));
    assert!(shell.does(&["inspect", "bantam-s"]).contains("LlamaForCausalLM"));
    assert!(shell.does(&["models"]).contains("bundled:bantam-s"));
}

#[test]
fn what_ollama_keeps_is_listed_and_used_where_it_is() {
    let shell = Shell::new();
    shell.does(&["compress", "bantam-s", "--quant", "Q8_0", "--out", "m.gguf"]);
    let hash = "5".repeat(64);
    let blob = format!("ollama/blobs/sha256-{hash}");
    let tags = "ollama/manifests/registry.ollama.ai/library";
    for folder in ["ollama/blobs".to_owned(), format!("{tags}/tiny"), format!("{tags}/gone")] {
        std::fs::create_dir_all(shell.at(&folder)).expect("makes");
    }
    std::fs::rename(shell.at("m.gguf"), shell.at(&blob)).expect("moves");
    let bytes = std::fs::read(shell.at(&blob)).expect("reads");
    let manifest = |hash: &str| {
        let kind = "application/vnd.ollama.image.model";
        format!(r#"{{"layers":[{{"mediaType":"{kind}","digest":"sha256:{hash}","size":{}}}]}}"#, bytes.len())
    };
    shell.file(&format!("{tags}/tiny/1b"), &manifest(&hash));
    shell.file(&format!("{tags}/gone/latest"), &manifest(&"6".repeat(64)));
    let listed = shell.run(&["models"]);
    assert!(
        listed.stdout.lines().any(|line| line.starts_with("ollama:tiny:1b ") && line.contains("Ollama")),
        "{}",
        listed.stdout
    );
    assert!(
        listed.stderr.contains("ollama:gone:latest: its blob sha256-666666666666 is not there"),
        "{}",
        listed.stderr
    );
    let scores = shell.does(&["eval", "ollama:tiny:1b", "--suite", "routing", "--limit", "5"]);
    assert!(scores.lines().any(|line| line.starts_with("ollama:tiny:1b  routing  acc ")), "{scores}");
    assert!(shell.does(&["inspect", "ollama:tiny:1b"]).contains("LlamaForCausalLM"));
    shell.file("p.toml", "models = ['ollama:tiny:1b']\nsuites = ['routing']\n[measure]\nlimit = 5\nspeed = []\n");
    assert!(shell.does(&["run", "p.toml", "--quiet"]).contains("ollama:tiny:1b"));
    let packed = shell.does(&["ship", "ollama:tiny:1b", "--out", "out"]);
    assert!(packed.contains("lm-studio/bantam/tiny-1b/tiny-1b.gguf"), "a blob gets a name: {packed}");
    shell.refuses(&["eval", "ollama:gone", "--suite", "routing"], "`ollama pull gone:latest` fetches it again");
    shell.refuses(
        &["eval", "ollama:tinny:1b", "--suite", "routing"],
        "Ollama keeps no model 'ollama:tinny:1b' here (ollama:tiny:1b?)",
    );
    shell.refuses(&["models", "remove", "--yes", "ollama:tiny:1b"], "never writes; `ollama rm tiny:1b` removes it");
    assert_eq!(std::fs::read(shell.at(&blob)).expect("is there"), bytes, "nothing of it was written");
}

/// The first words of the map stand in for a text that no model was made with.
const TEXT: &str = include_str!("../CONTRIBUTING.md");

#[test]
fn what_a_variant_lost_is_measured_over_a_text() {
    let shell = Shell::new();
    shell.file("text.txt", TEXT);
    for quant in ["Q8_0", "Q3_K_M"] {
        shell.does(&["compress", "bantam-s", "--quant", quant, "--out", &format!("{quant}.gguf")]);
    }
    let kld = |more: &[&str]| {
        let args =
            [&["compare", "--kld", "text.txt", "bantam-s", "Q8_0.gguf", "Q3_K_M.gguf", "--ctx", "64"], more].concat();
        shell.json(&[&args[..], &["--chunks", "4", "--json"]].concat())
    };
    let found = kld(&["-t", "2"]);
    let of = |found: &Value, variant: usize, figure: &str| {
        found["variants"][variant]["kld"][figure]["value"].as_f64().expect("a figure")
    };
    assert_eq!((found["chunks"].as_u64(), found["variants"][0]["kld"]["tokens"].as_u64()), (Some(4), Some(4 * 31)));
    assert!(of(&found, 0, "mean") > 0.0 && of(&found, 0, "mean") < 0.3 * of(&found, 1, "mean"), "{found}");
    assert!(of(&found, 0, "same_top") > of(&found, 1, "same_top"));
    let exact = kld(&["--arithmetic", "exact"]);
    assert!(of(&exact, 0, "mean") < of(&found, 0, "mean"), "rounded inputs add to what weights lost: {exact} {found}");

    let table =
        shell.does(&["compare", "--kld", "text.txt", "bantam-s", "Q8_0.gguf", "--ctx", "64", "--chunks", "1", "-q"]);
    assert!(table.contains("mean KLD") && table.lines().any(|line| line.starts_with("Q8_0.gguf ")), "{table}");
    shell.refuses(&["compare", "--kld", "none.txt", "bantam-s", "Q8_0.gguf"], "none.txt: cannot read the text");
    shell.refuses(&["compare", "--kld", "text.txt", "bantam-s", "bantam-s"], "compared with itself");
    shell.refuses(&["compare", "--kld", "text.txt", "bantam-s", "Q8_0.gguf", "--ctx", "100000"], "give a shorter one");
    shell.file("short.txt", "one two");
    shell.refuses(&["compare", "--kld", "short.txt", "bantam-s", "Q8_0.gguf"], "give a longer text");
    let other = common::golden("model/llama").display().to_string();
    shell.refuses(&["compare", "--kld", "text.txt", "bantam-s", &other], "have different vocabularies");
    shell.refuses(&["compare", "bantam-s", "a", "b", "-s", "routing"], "suites compare two models");
    shell.misreads(&["compare", "bantam-s", "a", "-s", "routing", "--chunks", "1"], "--chunks");
}

#[test]
fn each_way_to_keep_keys_and_values_is_a_variant_of_its_own() {
    let shell = Shell::new();
    let labels = |found: &Value| -> Vec<String> {
        let standings = found["advice"]["standings"].as_array().expect("standings");
        let label = |one: &Value| {
            let of = |key: &str, default: &str| one["variant"][key].as_str().unwrap_or(default).to_owned();
            format!("{} kv:{}", of("recipe", "base"), of("kv", "f16"))
        };
        let mut labels: Vec<String> = standings.iter().map(label).collect();
        labels.sort();
        labels
    };
    let timed =
        shell.json(&["bench", "bantam-s", "--kv", "f16,q4_0", "-p", "8", "-n", "4", "--budget", "0.1 s", "--json"]);
    assert_eq!(labels(&timed), ["base kv:f16", "base kv:q4_0"]);

    // answers are computed from what is kept: fewer bits, other numbers
    let answers = |kv: &str| {
        let args = ["eval", "bantam-s", "-s", "routing", "--limit", "5", "--kv", kv, "--items", "--quiet"];
        let items: Vec<Value> =
            shell.does(&args).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        items.iter().map(|line| line["item"]["logprobs"].clone()).collect::<Vec<_>>()
    };
    let (whole, half, small) = (answers("f32"), answers("f16"), answers("q4_0"));
    assert!(whole.len() == 5 && whole == half && half != small, "{whole:?} {half:?} {small:?}");
    let compared =
        shell.does(&["compare", "bantam-s", "--kv", "q4_0", "--suite", "routing", "--limit", "5", "--quiet"]);
    assert!(compared.contains("bantam-s · kv:q4_0 against the reference:"), "{compared}");

    shell.file("text.txt", TEXT);
    let lost = ["compare", "--kld", "text.txt", "bantam-s", "--kv", "f32,q8_0,q4_0", "--ctx", "64", "--chunks", "4"];
    let lost = shell.json(&[&lost[..], &["--json"]].concat());
    let mean = |variant: usize| lost["variants"][variant]["kld"]["mean"]["value"].as_f64().expect("a figure");
    assert_eq!(lost["variants"][2]["model"], "bantam-s kv:q4_0");
    assert!(mean(0) < 1e-9 && mean(1) > 1e-9 && mean(2) > 10.0 * mean(1), "{lost}");

    shell.file(
        "kept.toml",
        &TINY.replace("recipes = ['base', 'Q8_0']", "recipes = ['base', 'Q8_0']\nkv = ['f16', 'q8_0']"),
    );
    let run = shell.json(&["run", "kept.toml", "--json"]);
    assert_eq!(labels(&run), ["Q8_0 kv:f16", "Q8_0 kv:q8_0", "base kv:f16", "base kv:q8_0"]);

    let facts = shell.json(&["inspect", "bantam-s", "--json"]);
    let bytes = |ty: &str| facts["kv_bytes_per_token_by_type"][ty].as_u64().expect("bytes");
    assert_eq!((bytes("f32"), bytes("f16")), (2 * bytes("f16"), facts["kv_bytes_per_token"].as_u64().expect("bytes")));
    assert!(bytes("q8_0") < bytes("f16") && bytes("q4_0") < bytes("q8_0"), "{facts}");
    shell.misreads(&["bench", "bantam-s", "--kv", "q5_0"], "there are f32, f16, q8_0 and q4_0");
    shell.misreads(&["compare", "bantam-s", "-s", "routing"], "there is no CANDIDATES");
}

#[test]
fn an_adapter_is_trained_on_examples_and_asked_with_its_model() {
    let shell = Shell::new();
    let line = |(i, fruit): (usize, &str)| format!("{i},{fruit}\n");
    let table: String = ["plums", "pears"].into_iter().cycle().take(12).enumerate().map(line).collect();
    shell.file("fruit.csv", &format!("box,fruit\n{table}"));
    let train = ["train", "bantam-s", "--data", "fruit.csv", "--prompt", "Box {{box}}:", "--completion", " {{fruit}}"];
    let settings = ["--lora", "rank=2,steps=3,batch=64,eval=0.2", "-t", "1"];
    let with = |more: &[&'static str]| [&train[..], &settings[..], more].concat();
    let found = shell.json(&with(&["-o", "fruit", "--json"]));
    assert!(found["parameters"].as_u64() > Some(0) && found["held_out_loss"].as_f64().is_some(), "{found}");
    assert_eq!(found["training"]["steps"], 3, "{found}");
    assert!(found["training"]["held_out_first"].as_f64().is_some() && found["data_sha256"].is_string(), "{found}");
    // its own folder is replaced, another's with --force alone, and what is no adapter never
    let again = shell.json(&with(&["-o", "fruit", "--json"]));
    assert_eq!((&again["training"], &again["tokens_per_second"]), (&found["training"], &serde_json::Value::Null));
    std::fs::remove_file(shell.at("fruit/bantam_training.json")).expect("removed");
    shell.refuses(&with(&["-o", "fruit"]), "fruit: it is there already, and not an adapter that bantam trained");
    shell.does(&with(&["-o", "fruit", "--force"]));
    std::fs::create_dir(shell.at("thesis")).expect("made");
    shell.file("thesis/chapter.txt", "years of work");
    shell.refuses(&with(&["-o", "thesis", "--force"]), "thesis: it is there already and holds no adapter");
    shell.refuses(
        &[&train[..], &["-o", "thesis", "--lora", "targets=elbow"]].concat(),
        "no matrix of a layer is a target 'elbow'",
    );
    // what was trained is found again
    assert!(shell.does(&with(&["-o", "again"])).starts_with("again: LoRA of rank 2"));
    let astray = ["--lora", "rank=2,steps=12,batch=64,rate=1e30,eval=0.2", "-t", "1", "-o", "astray"];
    shell.refuses(&[&train[..], &astray[..]].concat(), "training diverged: after step");
    assert!(!shell.at("astray").exists());
    shell.does(&["eval", "bantam-s", "--adapter", "fruit", "-s", "routing", "-l", "2"]);
    shell.file("wrong.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n");
    shell.refuses(&["train", "bantam-s", "--data", "wrong.jsonl", "-o", "x"], "wrong.jsonl:2: it has no completion");
    shell.refuses(
        &["train", "bantam-s", "--data", "fruit.csv", "-o", "x", "--lora", "rang=2"],
        "lora has no setting 'rang' (rank?); it has data, suite",
    );
    shell.misreads(&["train", "bantam-s", "-o", "x"], "there is no --data FILE, and no --suite SUITE in its place");
}

#[test]
fn errors_are_weighed_by_an_importance_matrix_of_a_text() {
    let shell = Shell::new();
    shell.file("text.txt", TEXT);
    let said = shell.does(&["imatrix", "bantam-s", "--text", "text.txt", "-o", "own.gguf", "--chunks", "3", "-t", "2"]);
    assert!(said.starts_with("own.gguf: ") && said.contains("of 3 windows of"), "{said}");
    assert!(shell.json(&["imatrix", "bantam-s", "-o", "bundled.dat", "--json"])["chunks"].as_u64() > Some(10));
    shell.does(&["imatrix", "bantam-s", "--text", "text.txt", "-o", "own.gguf", "--chunks", "4"]);
    shell.refuses(&["imatrix", "bantam-s", "--text", "text.txt", "-o", "text.txt", "--force"], "text.txt");

    shell.does(&["compress", "bantam-s", "--quant", "Q3_K_M", "--out", "plain.gguf"]);
    shell.does(&["compress", "bantam-s", "--quant", "Q3_K_M", "--imatrix", "own.gguf", "--out", "weighed.gguf"]);
    shell.does(&["compress", "bantam-s", "--quant", "Q3_K_M", "--calibrate", "default", "--out", "calibrated.gguf"]);
    let short = shell.does(&["compress", "bantam-s", "--quant", "quantize:q3_k_m,imatrix=own.gguf"]);
    assert!(short.starts_with("bantam-s-quantize-q3_k_m-imatrix-own.gguf"), "{short}");
    let bytes = |name: &str| std::fs::read(shell.at(name)).expect("reads");
    assert!(bytes("plain.gguf") != bytes("weighed.gguf") && bytes("weighed.gguf") != bytes("calibrated.gguf"));
    let both = ["compress", "bantam-s", "--quant", "Q4_0", "--imatrix", "own.gguf", "--calibrate", "text.txt"];
    shell.misreads(&both, "exclude each other");
    shell.refuses(&["compress", "bantam-s", "--quant", "Q4_0", "--imatrix", "none.dat"], "none.dat: cannot read");
    shell.refuses(&["compress", "bantam-s", "--quant", "F16", "--calibrate", "default"], "has no use for");
    shell.file("short.txt", "one two");
    let short = ["compress", "bantam-s", "--quant", "Q4_0", "--calibrate", "short.txt", "-o", "x.gguf"];
    shell.refuses(&short, "too few to calibrate on");
    assert!(!is_there(&shell.at("x.gguf")), "nothing half-written");

    let again = ["compress", "plain.gguf", "--quant", "Q4_0", "--out", "again.gguf"];
    shell.refuses(&again, "--requantize");
    let ended = shell.run(&[&again[..], &["--requantize"]].concat());
    assert!(ended.code == Some(0) && ended.stderr.contains("the weights were Q"), "{}", ended.stderr);
    let file = bytes("again.gguf");
    let key = b"bantam.requantized_from";
    assert!(file.windows(key.len()).any(|bytes| bytes == key), "the file says so");
    assert!(
        shell.json(&["inspect", "again.gguf", "--json"])["requantized_from"]
            .as_str()
            .is_some_and(|s| s.contains("Q4_K"))
    );
    shell.does(&["imatrix", "bantam-s", "--text", "default", "-o", "own.dat", "--chunks", "2"]);
    shell.refuses(
        &["compress", "bantam-s", "--quant", "Q4_0", "--imatrix", "text.txt"],
        "no importance matrix but a text",
    );
}

#[test]
fn errors_are_passed_on_by_a_text() {
    let shell = Shell::new();
    shell.file("text.txt", &TEXT.repeat(1 + 40_000 / TEXT.len()));
    let quant = ["compress", "bantam-s", "--quant", "Q4_0", "--calibrate", "text.txt"];
    let made = shell.json(&[&quant[..], &["--method", "gptq", "--json", "--out", "gptq.gguf"]].concat());
    let step = &made["steps"][0];
    assert!(step["did"].as_str().is_some_and(|did| did.contains("passed errors on in")), "{made}");
    let layers = step["details"]["layer_errors"].as_array().map_or(0, Vec::len);
    assert!(layers > 0 && made["expected_kld"].is_null() && made["requantized_from"].is_null(), "{made}");
    let seen = shell.json(&["inspect", "gptq.gguf", "--json"]);
    assert_eq!(&seen["steps"][0], step, "the file tells what bantam told");
    shell.does(&[&quant[..], &["--method", "best", "--awq", "--out", "best.gguf"]].concat());
    shell.misreads(&[&quant[..], &["--method", "luck"]].concat(), "allowed are rounding, gptq, best");
    shell.file("short.txt", &TEXT[..TEXT.floor_char_boundary(4000)]);
    let short = ["compress", "bantam-s", "--quant", "Q4_0", "--method", "gptq", "--calibrate", "short.txt"];
    shell.refuses(&short, "too few");
}

#[test]
fn a_size_is_asked_for_in_place_of_a_type() {
    let shell = Shell::new();
    let ended = shell.run(&["compress", "bantam-s", "--budget", "400KB", "--out", "small.gguf"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("expected mean KLD") && ended.stderr.contains("Q4_K_M would have"),
        "{}",
        ended.stderr
    );
    assert!(std::fs::metadata(shell.at("small.gguf")).is_ok_and(|file| file.len() <= 400_000));
    let plan = shell.json(&["compress", "bantam-s", "--bpw", "5.5", "--dry-run", "--json"]);
    assert!(plan["bits_per_weight"].as_f64().is_some_and(|bits| bits <= 5.5 && bits > 5.0), "{plan}");
    shell.refuses(&["compress", "bantam-s", "--budget", "10KB"], "the smallest file that can be made of this model");
    assert!(plan["expected_kld"].as_f64().is_some() && plan["tensors"][0]["type"].is_string(), "{plan}");
    let seen = shell.json(&["inspect", "small.gguf", "--json"]);
    assert!(
        seen["types_chosen"] == true && seen["container"].as_str().is_some_and(|s| s.contains("tensor by tensor")),
        "{seen}"
    );
    let all = shell.run(&["compress", "bantam-s", "--bpw", "99", "--dry-run"]);
    assert!(all.code == Some(0) && all.stderr.contains("leaves room for every tensor in BF16"), "{}", all.stderr);
    shell.misreads(&["compress", "bantam-s", "--budget", "1MB", "--quant", "Q4_0"], "exclude each other");
    shell.refuses(&["imatrix", "bantam-s", "--text", "x.txt", "-o", "x.dat", "-t", "9999"], "9999 is too many for");
}

#[test]
fn a_model_is_compressed_exported_and_compared() {
    let shell = Shell::new();
    bundled("bantam-s", shell.dir.path());
    let plan = shell.json(&["compress", "bantam-s", "--quant", "Q4_0", "--dry-run", "--json"]);
    assert!(plan["tensors"].as_array().is_some_and(|tensors| tensors.len() > 10), "{plan}");
    let made = shell.does(&["compress", "bantam-s", "--quant", "Q8_0", "--out", "small.gguf"]);
    assert!(made.starts_with("small.gguf: ") && is_there(&shell.at("small.gguf")), "{made}");
    shell.does(&["export", "bantam-s", "--format", "gguf", "--dtype", "f32", "--out", "plain.gguf", "--verify"]);
    let ended = shell.run(&["compress", "bantam-s", "--quant", "Q4_0", "--out", "four.gguf", "--verify"]);
    assert!(
        ended.code == Some(0) && ended.stderr.contains("verified: read back as it was written"),
        "{}",
        ended.stderr
    );
    shell.does(&["export", "four.gguf", "--format", "gguf", "--out", "four-Q4_0.gguf"]);
    shell.does(&["compress", "four-Q4_0.gguf", "--quant", "Q8_0"]);
    assert!(is_there(&shell.at("four-Q8_0.gguf")), "without the type that it had");
    shell.does(&["export", "./bantam-s", "--format", "safetensors", "--out", "copy"]);
    assert!(is_there(&shell.at("plain.gguf")) && is_there(&shell.at("copy/model.safetensors")));
    // for vLLM and transformers
    for (format, folder) in [("compressed-tensors", "bantam-s-compressed-tensors-int4"), ("gptq", "bantam-s-gptq-int4")]
    {
        let ended = shell.run(&["export", "./bantam-s", "--format", format, "--method", "gptq", "--verify"]);
        assert!(ended.code == Some(0) && ended.stderr.contains("verified: read back"), "{}", ended.stderr);
        assert!(ended.stderr.contains("14 matrices are packed in 4 bits, groups of 128"), "{}", ended.stderr);
        assert!(shell.does(&["inspect", folder]).contains("4 bits"), "{folder}");
        shell.does(&["eval", folder, "-s", "routing", "-l", "2", "-t", "1"]);
    }
    shell.refuses(
        &["export", "bantam-s", "--format", "gguf", "--bits", "4"],
        "--bits goes with --format compressed-tensors",
    );
    shell.refuses(
        &["compress", "bantam-s", "--quant", "Q4_0", "-o", "/proc/z.gguf"],
        "/proc: no file can be written there",
    );

    let compared = shell.does(&["compare", "./bantam-s", "small.gguf", "--suite", "routing", "--limit", "5", "-q"]);
    assert!(compared.contains("against the reference:") && compared.contains("routing: "), "{compared}");
}

#[test]
fn what_is_in_the_binary_comes_out_of_it() {
    let shell = Shell::new();
    let listed = shell.json(&["bundled", "list", "--json"]);
    assert_eq!((&listed["models"][0]["name"], &listed["profiles"][0]), (&"bantam-s".into(), &"quickstart".into()));
    assert!(shell.does(&["bundled", "list"]).contains("routing"));
    assert_eq!(shell.does(&["bundled", "export", "bantam-s", "--out", "out"]), "out\n");
    assert!(is_there(&shell.at("out/model.safetensors")));
    shell.refuses(&["bundled", "export", "nonsense", "--out", "out"], "there are bantam-s");
    for (shell_name, told) in [
        ("bash", "_bantam()"),
        ("elvish", "edit:completion"),
        ("fish", "complete"),
        ("powershell", "Register-"),
        ("zsh", "#compdef bantam"),
    ] {
        assert!(shell.does(&["completions", shell_name]).contains(told), "{shell_name}");
    }
}

#[test]
fn settings_hold_and_say_where_they_come_from() {
    let shell = Shell::new();
    shell.file("mine.toml", "threads = 1\ntheme = 'night'\n");
    let asked = |args: &[&str]| {
        let mut command = bantam(shell.dir.path(), args);
        command.env("BANTAM_CONFIG", shell.at("mine.toml")).env_remove("NO_COLOR").env_remove("BANTAM_THEME");
        command.output().expect("starts")
    };
    let json: Value = serde_json::from_slice(&asked(&["config", "--json"]).stdout).expect("JSON");
    assert_eq!(json["settings"]["threads"], serde_json::json!({ "value": "1", "from": "line 1" }));
    assert_eq!(json["settings"]["theme"]["value"], "night");
    assert_eq!(json["settings"]["data"]["from"], "BANTAM_HOME");
    shell.file("mine.toml", "thrads = 1\n");
    let refused = asked(&["doctor"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("mine.toml, line 1: there is no key 'thrads' (threads?)"), "{said}");
}

#[test]
fn the_doctor_tells_of_host_meters_and_doubts() {
    let shell = Shell::new();
    let told = shell.does(&["doctor"]);
    assert!(["Host", "Energy meters", "What makes numbers doubtful here"].iter().all(|t| told.contains(t)), "{told}");
    assert!(shell.json(&["doctor", "--json"]).is_object());
}

#[test]
fn a_file_is_made_ready_for_the_programs_that_run_it() {
    let shell = Shell::new();
    shell.does(&["compress", "bantam-s", "--quant", "Q8_0", "--out", "m.gguf"]);
    let told = shell.does(&["ship", "m.gguf", "--ctx", "512", "--out", "out"]);
    let file = shell.at("m.gguf");
    for command in ["bantam serve", "llama-server -m", "llama-cli -m", "ollama create m -f", ".lmstudio/models"] {
        assert!(told.contains(command), "{told}");
    }
    let modelfile = std::fs::read_to_string(shell.at("out/Modelfile")).expect("written");
    assert!(modelfile.starts_with(&format!("FROM {}\nPARAMETER num_ctx 512\n", file.display())), "{modelfile}");
    assert!(modelfile.contains(r#"{{ if eq .Role "user" }}{{ "Q: " }}{{ .Content }}{{ "\n" }}"#), "{modelfile}");
    let link = shell.at("out/lm-studio/bantam/m/m.gguf");
    assert_eq!(std::fs::read_link(&link).expect("a link"), file);
    assert!(is_there(&shell.at("out/run.md")) && !shell.at("out/decision.md").exists(), "no run chose it");
    shell.refuses(&["ship", "m.gguf", "--out", "out"], "it is there already; name another folder with --out");
    let packed = shell.json(&["ship", "m.gguf", "--out", "out", "--force", "--copy", "--json"]);
    assert_eq!(packed["files"].as_array().map(Vec::len), Some(3));
    assert!(std::fs::symlink_metadata(&link).is_ok_and(|file| file.is_file()), "a copy");
    let modelfile = std::fs::read_to_string(shell.at("out/Modelfile")).expect("written");
    assert!(modelfile.starts_with("FROM ./lm-studio/bantam/m/m.gguf\nPARAMETER num_ctx 1024\n"), "{modelfile}");
    shell.refuses(&["ship", "m.gguf", "--ctx", "4096", "--out", "more"], "--ctx is 4096, and m takes 2 to 1024 tokens");
    shell.refuses(&["ship", "bantam-s"], "bantam-s is no GGUF file");
    shell.refuses(&["ship", "nonsense"], "no run is called 'nonsense'");
}

#[test]
fn what_a_run_advises_is_shipped_with_its_reasons() {
    let shell = Shell::new();
    shell.file("one.toml", &TINY.replace("recipes = ['base', 'Q8_0']", "recipes = ['Q8_0']"));
    shell.run(&["run", "one.toml", "-q"]);
    let told = shell.does(&["ship", "one.toml", "--out", "out"]);
    assert!(told.starts_with("bantam-s · Q8_0 is at "), "{told}");
    let decision = std::fs::read_to_string(shell.at("out/decision.md")).expect("written");
    for said in ["# Why bantam-s", "Keep bantam-s", "the only variant that was tried", "llama-server -m"] {
        assert!(decision.contains(said), "{decision}");
    }
    let by_name = shell.json(&["ship", "one", "--out", "again", "--json"]);
    assert_eq!(by_name["name"], "bantam-s · Q8_0");
}
