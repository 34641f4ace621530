//! The arguments, as typed: clap reads them, the help is made from the words here.

use super::chat::ChatArgs;
use super::check::CheckArgs;
use super::cluster::{MergeArgs, PlanArgs, TrialArgs};
use super::completions;
use super::diff::DiffArgs;
use super::init::Init;
use super::lock::LockArgs;
use super::made::VerifyArgs;
use super::talk::Converse;
use crate::tui::ThemeName;
use bantam_core::cache_type::CacheType;
use bantam_core::endpoint::ChoicesBy;
use bantam_hub::Sort;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

const AFTER: &str = "\
Exit codes: 0 done (an advice was found), 2 bad input, 3 nothing is shown good enough or can be decided, 4 some trials failed, \
5 regressed and 6 inconclusive (`check`), 130 stopped. What is finished is kept in ~/.local/share/bantam (BANTAM_HOME puts it elsewhere); the same command goes \
on where it was.";

/// Finds the smallest model that does your job: compress, measure, decide.
///
/// Without a command it opens the workbench on the quick-start profile; without a terminal it does the same run headless.
#[derive(Debug, Parser)]
#[command(name = "bantam", version, about, after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(flatten)]
    pub(crate) workbench: Workbench,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Workbench {
    /// Profile to open the workbench on [default: the bundled quickstart]
    #[arg(add = ArgValueCompleter::new(completions::profile))]
    pub profile: Option<PathBuf>,
    /// Colours of the workbench [default: BANTAM_THEME, else auto; plain under NO_COLOR]
    #[arg(long, value_name = "THEME")]
    pub theme: Option<ThemeName>,
    /// Leave the mouse to the terminal, to mark and copy with (also: m, BANTAM_MOUSE=0)
    #[arg(long)]
    pub no_mouse: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a profile headless: compress, measure, advise, and write the report
    Run(Run),
    /// Begin with your own model and data: write a suite and a profile that `bantam run` takes
    Init(Init),
    /// Search the Hugging Face hub, or show what one model of it would need here
    Search(Search),
    /// Fetch a model from the Hugging Face hub, verified; goes on where it was cut off
    Pull(Pull),
    /// The models that are on this machine: list them, or remove some
    Models(Models),
    /// Measure speed, memory and energy of a model
    Bench(Bench),
    /// Score a model on suites
    Eval(Eval),
    /// Write a compressed model as a GGUF file
    Compress(Compress),
    /// Train a LoRA adapter on your own examples, as a folder that PEFT loads
    Train(Train),
    /// Make a file that bantam made again of its base, and compare tensor by tensor
    Verify(VerifyArgs),
    /// Write a model's importance matrix, by which quantization weighs its errors
    Imatrix(Imatrix),
    /// Write a model into another kind of file: plain numbers, or packed integers for vLLM
    Export(Export),
    /// Show what a model is, from its header alone
    Inspect(Inspect),
    /// Compare models: item by item on suites, or prediction by prediction over a text (--kld)
    Compare(Compare),
    /// Decide again over what a run measured, with other limits, margins and preference; no model is asked
    Decide(Decide),
    /// See what the variants of a run come to together: small first and large where it is unsure, or one for each task
    Systems(super::systems::SystemsArgs),
    /// List the machines whose speed is known, and predict what a model would do there
    Devices(super::devices::DevicesArgs),
    /// Talk with a model on the terminal
    Chat(Converse),
    /// Pin what a profile measures in profile.lock: each model's files and weights, each suite's lines, the engine
    Lock(LockArgs),
    /// Hold a profile's scores and costs against those of a run of before: the gate of CI
    Check(CheckArgs),
    /// What is other about two runs: models, suites, engine, scores, costs, advice
    Diff(DiffArgs),
    /// Write a profile's trials as files for Slurm, GNU parallel or HyperQueue
    Plan(PlanArgs),
    /// Do one trial of a plan, on whatever machine
    Trial(TrialArgs),
    /// Put the results of many machines into one store, and decide
    Merge(MergeArgs),
    /// Answer requests over HTTP in the OpenAI API's form, many at once
    Serve(Serve),
    /// Make what a run advises, or a GGUF file, ready for llama.cpp, Ollama and LM Studio, with the decision
    Ship(Ship),
    /// Write the report of a finished run again
    Report(Report),
    /// Show this host, its meters, and what makes numbers doubtful here
    Doctor(Doctor),
    /// What is inside this binary: list it, or copy a model out
    Bundled(Bundled),
    /// Show what holds of your settings, and where each of it comes from
    Config(ConfigArgs),
    /// Print shell completions
    Completions(Completions),
    /// Loads a suite where it can do no harm and says whether it could
    #[command(hide = true)]
    TrySuite {
        /// The suite's file
        suite: String,
    },
    /// Measures one trial for a parent bantam; speaks JSON lines
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Profile file, or the name of a bundled one
    #[arg(add = ArgValueCompleter::new(completions::profile))]
    pub profile: PathBuf,
    /// Folder for report.html, report.md, results.json, results.csv and charts
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Measure though something is not what the lock beside the profile pins
    #[arg(long)]
    pub ignore_lock: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// Words of the name; with --card ORG/NAME[@REVISION]
    pub words: Vec<String>,
    /// A task or a tag: text-generation, gguf, license:mit
    #[arg(long, value_name = "TAG")]
    pub filter: Option<String>,
    /// Leave out what has more parameters (2B, 360M) or does not tell how many
    #[arg(long, value_name = "COUNT")]
    pub max_params: Option<String>,
    /// The most of what comes first: downloads, likes, trending, modified, created
    #[arg(long, default_value = "downloads", value_name = "ORDER")]
    pub sort: Order,
    /// Lines, at most
    #[arg(long, short = 'n', default_value_t = 20)]
    pub limit: usize,
    /// Show one repository in full: what it is and whether it fits here, before any download
    #[arg(long, requires = "words")]
    pub card: bool,
    /// Tokens of the cache that the card counts in [default: 4096, or what the model takes]
    #[arg(long, value_name = "TOKENS", requires = "card")]
    pub context: Option<u64>,
    /// Make no request
    #[arg(long)]
    pub offline: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// The hub's orders by the names they have here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order(pub Sort);

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Order, String> {
        let found = Sort::ALL.into_iter().find(|sort| sort.name() == text);
        let names = Sort::ALL.map(Sort::name).join(", ");
        found.map(Order).ok_or_else(|| format!("there are {names}"))
    }
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
    /// Folders to look into, too
    pub folders: Vec<PathBuf>,
    /// Read all files of the hub's cache, and say which are not what was fetched
    #[arg(long)]
    pub verify: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Remove repositories of the cache with all their revisions, or files that bantam made
    Remove {
        /// As the list names them
        #[arg(required = true)]
        names: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Pull {
    /// ORG/NAME, ORG/NAME@REVISION, ORG/NAME:Q4_K_M for one GGUF of several, or the address of its page
    pub model: String,
    /// Only files that match, as in "*.json"; may be given again [default: what a model is read from]
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Which GGUF file of several
    #[arg(long, value_name = "TYPE", conflicts_with = "include")]
    pub quant: Option<String>,
    /// Read what is here again, and fetch anew what has rotted
    #[arg(long)]
    pub verify: bool,
    /// Make no request: say what is here
    #[arg(long)]
    pub offline: bool,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Bundled model, folder, .gguf file, ORG/NAME[@REVISION] of the hub, or an endpoint as URL[#MODEL]
    #[arg(required_unless_present = "device_card", add = ArgValueCompleter::new(completions::model))]
    pub models: Vec<String>,
    /// Write a card of this machine, by which speeds on other devices are predicted: bandwidth, the products of every type, and
    /// the speeds of these models (the bundled ones where none is named), at each number of threads
    #[arg(long, value_name = "FILE", conflicts_with_all = ["adapter", "engine", "threads"])]
    pub device_card: Option<PathBuf>,
    /// With this LoRA adapter, a folder in PEFT's form; elsewhere a model and its adapter are "MODEL + DIR"
    #[arg(long, value_name = "DIR", conflicts_with = "quant")]
    pub adapter: Option<PathBuf>,
    /// Also after quantization to these types, with commas, or after a recipe in short; may be repeated
    #[arg(long, value_name = "TYPE", add = ArgValueCompleter::new(completions::mixture))]
    pub quant: Vec<String>,
    /// Keep keys and values in these types, each a variant of its own: f32, f16, q8_0, q4_0, with commas; elsewhere a
    /// model and its type are "MODEL kv:TYPE"
    #[arg(long, value_name = "TYPE", value_delimiter = ',', default_value = "f16", add = ArgValueCompleter::new(completions::cache_type))]
    pub kv: Vec<CacheType>,
    /// Prompt tokens
    #[arg(long, short, default_value_t = 512, value_parser = at_least_one)]
    pub prompt: usize,
    /// Generated tokens
    #[arg(long, short = 'n', default_value_t = 128, value_parser = at_least_one)]
    pub output: usize,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Time to spend on each, at most [default: 10 s]
    #[arg(long)]
    pub budget: Option<String>,
    /// Measure GGUF files in another engine: llama-server, or the path of a program in its form
    #[arg(long, value_name = "PROGRAM")]
    pub engine: Option<String>,
    /// Put a load on an endpoint: so many requests a second, one rate after the other with commas, or sweep, which rises until
    /// it falls behind; requests come whether those before are answered or not
    #[arg(long, value_name = "RATES", value_delimiter = ',', conflicts_with_all = ["device_card", "engine", "quant", "adapter"])]
    pub load: Option<Vec<String>>,
    /// Of a load: how long each rate is offered [default: 30 s]
    #[arg(long, value_name = "TIME", requires = "load")]
    pub load_for: Option<String>,
    /// Of a load: requests come evenly, and not each for itself
    #[arg(long, requires = "load")]
    pub constant: bool,
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    #[command(flatten)]
    pub common: Common,
}

/// How a model behind an address is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct EndpointArgs {
    /// Of an endpoint: the environment variable that holds its key
    #[arg(long, value_name = "NAME")]
    pub key_env: Option<String>,
    /// Of an endpoint: requests that are underway at the same time [default: 4]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub concurrency: Option<usize>,
    /// Of an endpoint: how questions with choices are put, by logprobs or by the letter it gives as its answer [default: auto,
    /// by logprobs where it tells them]
    #[arg(long, value_name = "HOW", value_parser = choices_by)]
    pub choices: Option<ChoicesBy>,
}

fn choices_by(typed: &str) -> Result<ChoicesBy, String> {
    let all = [ChoicesBy::Auto, ChoicesBy::Logprobs, ChoicesBy::Answer];
    let named = all.into_iter().find(|by| by.label() == typed);
    named.ok_or_else(|| "allowed are auto, logprobs and answer".into())
}

#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    /// Bundled model, folder, .gguf file, ORG/NAME[@REVISION] of the hub, or an endpoint as URL[#MODEL]
    #[arg(required = true, add = ArgValueCompleter::new(completions::model))]
    pub models: Vec<String>,
    /// Bundled suite or a suite's TOML file; several with commas
    #[arg(long, short, required_unless_present_any = ["tasks", "loss"], value_delimiter = ',', add = ArgValueCompleter::new(completions::suite))]
    pub suite: Vec<String>,
    /// Ask what compression takes, too: made arithmetic by steps and digits, a fact by context length and position, open requests
    #[arg(long)]
    pub loss: bool,
    #[command(flatten)]
    pub loss_of: LossArgs,
    /// Tasks, groups and tags of lm-evaluation-harness, by name or by the path of a YAML file; several with commas
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// With --tasks: examples in the prompt [default: what the task says; one that says 0 keeps it]
    #[arg(long, alias = "num_fewshot", value_name = "COUNT", requires = "tasks")]
    pub num_fewshot: Option<usize>,
    /// With --tasks: a folder of task files beside lm_eval's own; may be repeated
    #[arg(long, alias = "include_path", value_name = "DIR", requires = "tasks")]
    pub include_path: Vec<PathBuf>,
    /// With --tasks: write results_DATE.json in lm-evaluation-harness's form below this folder, in one for each variant
    #[arg(long, alias = "output_path", value_name = "DIR", requires = "tasks")]
    pub output_path: Option<PathBuf>,
    /// With --output-path: write samples_TASK_DATE.jsonl, too, with what each item was asked and scored
    #[arg(long, alias = "log_samples", requires = "output_path")]
    pub log_samples: bool,
    /// With --output-path: write .eval_results/bantam.yaml, too, as a model's repository on the hub reports scores
    #[arg(long, requires = "output_path")]
    pub eval_results: bool,
    /// With --tasks: show what these files tell of the same tasks: results_DATE.json of lm-evaluation-harness with the samples beside it,
    /// .eval_results/*.yaml of the hub, or a folder with some; may be repeated
    #[arg(long, value_name = "PATH", requires = "tasks")]
    pub beside: Vec<PathBuf>,
    /// With --tasks: run the programs that the model writes, where a task's score is whether they pass their tests
    #[arg(long, alias = "confirm_run_unsafe_code", requires = "tasks")]
    pub allow_code: bool,
    /// With this LoRA adapter, a folder in PEFT's form; elsewhere a model and its adapter are "MODEL + DIR"
    #[arg(long, value_name = "DIR", conflicts_with = "quant")]
    pub adapter: Option<PathBuf>,
    /// Also after quantization to these types, with commas, or after a recipe in short; may be repeated
    #[arg(long, value_name = "TYPE", add = ArgValueCompleter::new(completions::mixture))]
    pub quant: Vec<String>,
    /// Keep keys and values in these types, each a variant of its own: f32, f16, q8_0, q4_0, with commas; elsewhere a
    /// model and its type are "MODEL kv:TYPE"
    #[arg(long, value_name = "TYPE", value_delimiter = ',', default_value = "f16", add = ArgValueCompleter::new(completions::cache_type))]
    pub kv: Vec<CacheType>,
    /// Items per task, at most
    #[arg(long, short, value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// Longest sequence the model is given [default: its own maximum]
    #[arg(long, value_name = "TOKENS", value_parser = at_least_two)]
    pub max_length: Option<usize>,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Print every item as a JSON line instead of the scores
    #[arg(long)]
    pub items: bool,
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    #[command(flatten)]
    pub chat: ChatArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The model held against, the reference
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub reference: String,
    /// The model that may be good enough; with --kld any number of them [with --kv: the reference itself]
    #[arg(required_unless_present = "kv", add = ArgValueCompleter::new(completions::model))]
    pub candidates: Vec<String>,
    /// Keep keys and values of the candidates in these types: f32, f16, q8_0, q4_0, with commas; the reference's stay f16
    /// unless it is named as "MODEL kv:TYPE"
    #[arg(long, value_name = "TYPE", value_delimiter = ',', add = ArgValueCompleter::new(completions::cache_type))]
    pub kv: Vec<CacheType>,
    /// Bundled suite or a suite's TOML file; several with commas
    #[arg(long, short, required_unless_present_any = ["kld", "loss"], value_delimiter = ',', add = ArgValueCompleter::new(completions::suite))]
    pub suite: Vec<String>,
    /// Ask what was lost, too: made arithmetic by steps and digits, a fact by context length and position, open requests
    #[arg(long, conflicts_with = "kld")]
    pub loss: bool,
    #[command(flatten)]
    pub loss_of: LossArgs,
    /// Instead of suites: how far the predictions over this text moved, in llama-perplexity's words
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["suite", "limit", "margin", "fresh"])]
    pub kld: Option<PathBuf>,
    /// With --kld: tokens of a window, of which the second half is scored
    #[arg(long, short, value_name = "TOKENS", default_value_t = 512, value_parser = at_least_four, conflicts_with = "suite")]
    pub ctx: usize,
    /// With --kld: windows to read, at most [default: the whole text]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one, conflicts_with = "suite")]
    pub chunks: Option<usize>,
    /// With --kld: how matrices are multiplied
    #[arg(long, value_name = "HOW", default_value = "ggml", conflicts_with = "suite")]
    pub arithmetic: KldArithmetic,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Items per task, at most
    #[arg(long, short, value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// How much worse is still good enough, as a share of the score
    #[arg(long, default_value_t = 0.02, allow_negative_numbers = true)]
    pub margin: f64,
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    #[command(flatten)]
    pub chat: ChatArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Decide {
    /// A profile's name, for its latest run, or a run's id
    #[arg(add = ArgValueCompleter::new(completions::run_name))]
    pub run: String,
    /// A limit in place of the profile's: memory<=64MiB, disk<=1GiB, decode>=20, ttft<=50ms, energy<=0.5, TASK>=90%, or
    /// memory=any for none; may be repeated
    #[arg(long, value_name = "LIMIT")]
    pub limit: Vec<String>,
    /// How much worse is still good enough: 3 is three points, 0.03 the same as a share; of one task as routing=5, and
    /// routing=all takes its own away; may be repeated
    #[arg(long, value_name = "MARGIN", allow_negative_numbers = true)]
    pub margin: Vec<String>,
    /// What is best among those that are good enough: smallest, fastest, leanest, weighed, seconds_per_correct, …
    #[arg(long, value_name = "WORD", add = ArgValueCompleter::new(completions::prefer))]
    pub prefer: Option<String>,
    /// How much a cost counts where the weighed cost is preferred, which this does: decode=2; may be repeated
    #[arg(long, value_name = "WEIGHT")]
    pub weight: Vec<String>,
    /// Write a profile with all this, for `bantam run`
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum KldArithmetic {
    /// As llama.cpp's programs do on CPUs, so that figures can be laid beside theirs
    Ggml,
    /// In f32: what the weights alone lost
    Exact,
    /// As bantam does when it answers
    Fast,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Measure again, also what the store has
    #[arg(long)]
    pub fresh: bool,
    /// Fetch nothing: models and data of the hub have to be here
    #[arg(long)]
    pub offline: bool,
    /// No progress lines
    #[arg(long, short)]
    pub quiet: bool,
}

/// What the loss battery is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct LossArgs {
    /// With --loss: items of each kind and step
    #[arg(long, value_name = "COUNT", value_parser = at_least_one, requires = "loss")]
    pub loss_items: Option<usize>,
    /// With --loss: context lengths in tokens, with commas [default: 256,512,1024,2048,4096, as far as all models take them]
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', requires = "loss")]
    pub lengths: Vec<usize>,
    /// With --loss: a text over which predictions are compared
    #[arg(long, value_name = "FILE", requires = "loss")]
    pub text: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compress {
    /// Bundled model, folder, F16/BF16/F32 .gguf file or ORG/NAME in the cache
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub model: String,
    /// Quantization type, like Q4_K_M, or a recipe in short, like 'prune:layers=2 > quantize:q4_k_m,calibrate'
    #[arg(long, value_name = "TYPE", conflicts_with = "recipe", add = ArgValueCompleter::new(completions::mixture))]
    pub quant: Option<String>,
    /// Weigh errors by this importance matrix, one of llama.cpp's (.gguf or .dat) or of `bantam imatrix`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recipe", "calibrate"])]
    pub imatrix: Option<PathBuf>,
    /// Weigh errors by an importance matrix made of this text first; "default" is the bundled one, suite:NAME a suite's prompts
    #[arg(long, value_name = "TEXT", conflicts_with = "recipe")]
    pub calibrate: Option<PathBuf>,
    /// How weights are rounded: each for itself, with errors passed on (gptq), or the better of both; these two calibrate
    #[arg(long, value_name = "METHOD", conflicts_with = "recipe", value_enum, default_value_t)]
    pub method: RoundingMethod,
    /// Scale what rounding would lose most of before (AWQ), where the family allows it; calibrates
    #[arg(long, conflicts_with = "recipe")]
    pub awq: bool,
    /// Instead of a type: the types that lose the least in a file of this size, like 400MB
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["quant", "recipe"])]
    pub budget: Option<String>,
    /// Instead of a type: the types that lose the least at so many bits a weight
    #[arg(long, value_name = "BITS", allow_negative_numbers = true, conflicts_with_all = ["quant", "recipe", "budget"])]
    pub bpw: Option<f64>,
    /// Instead of a type: the smallest file that is expected to lose no more, in mean KL divergence
    #[arg(long, value_name = "KLD", allow_negative_numbers = true, conflicts_with_all = ["quant", "recipe", "budget", "bpw"])]
    pub max_kld: Option<f64>,
    /// Instead of a type: the smallest file whose score on a suite is still this good, like routing=0.9 or suite.toml#task=0.9
    #[arg(long, value_name = "SUITE=SCORE", conflicts_with_all = ["quant", "recipe", "budget", "bpw", "max_kld", "requantize", "imatrix", "calibrate", "awq", "dry_run"])]
    pub at_least: Vec<super::at_least::Floor>,
    /// With --at-least: ask only the first items of each task
    #[arg(long, value_name = "N", requires = "at_least")]
    pub limit: Option<usize>,
    /// Start from weights that are quantized already, as if they were plain numbers; the file says so
    #[arg(long)]
    pub requantize: bool,
    /// Instead of a type: a recipe in short, or a FILE.toml with [[step]] tables of what is done one after the other
    #[arg(long, value_name = "RECIPE")]
    pub recipe: Option<PathBuf>,
    /// The GGUF file to write [default: MODEL-TYPE.gguf here]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace a file that bantam did not write
    #[arg(long)]
    pub force: bool,
    /// Read what was written back, and compare the logits of a text with the model's own; loads both, one after the other
    #[arg(long)]
    pub verify: bool,
    /// Say what each tensor would become, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// How `compress` rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum RoundingMethod {
    /// Each weight for itself
    #[default]
    Rounding,
    /// Errors are passed on to weights that are rounded later
    Gptq,
    /// Of each matrix the better of both on text that was held out
    Best,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// Bundled model, folder, .gguf file or ORG/NAME in the cache; a quantized one stays in its blocks (QLoRA)
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub model: String,
    /// Examples: JSON lines of {prompt, completion} or {messages}, or a table with --prompt and --completion
    #[arg(long, value_name = "FILE", conflicts_with = "suite", required_unless_present = "suite")]
    pub data: Option<PathBuf>,
    /// Learn the right answers of a suite, or of one of its tasks as FILE#TASK
    #[arg(long, value_name = "SUITE", conflicts_with_all = ["prompt", "completion"], add = ArgValueCompleter::new(completions::suite))]
    pub suite: Option<String>,
    /// What the model reads of each line, as a template: "Message: {{ text }}\nTopic:"
    #[arg(long, value_name = "TEMPLATE")]
    pub prompt: Option<String>,
    /// What it should say, as a template: " {{ category }}"; only this is learnt
    #[arg(long, value_name = "TEMPLATE")]
    pub completion: Option<String>,
    /// The folder to write, adapter_config.json and adapter_model.safetensors
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Settings of the lora step beside these, as in a recipe: rank=8,steps=200,rate=2e-4,kind=dora
    #[arg(long, value_name = "SETTINGS")]
    pub lora: Option<String>,
    /// Replace the folder where it holds an adapter that bantam did not train
    #[arg(long)]
    pub force: bool,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Imatrix {
    /// Bundled model, folder, .gguf file or ORG/NAME in the cache; quantized ones too
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub model: String,
    /// Text to calibrate on [default: the bundled one]
    #[arg(long, value_name = "TEXT")]
    pub text: Option<PathBuf>,
    /// The file to write, in llama.cpp's format: GGUF, or the one before for FILE.dat
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Windows to read, at most [default: the whole text]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub chunks: Option<usize>,
    /// Tokens of a window [default: 512, or what the model reads]
    #[arg(long, short, value_name = "TOKENS", value_parser = at_least_four)]
    pub ctx: Option<usize>,
    /// Read the text as it is, where a model that chats would read it as conversations in its template
    #[arg(long)]
    pub raw: bool,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Replace a file that is no importance matrix
    #[arg(long)]
    pub force: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Bundled model, folder, .gguf file or ORG/NAME in the cache; quantized ones too
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub model: String,
    /// Kind of file
    #[arg(long, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// Merge this LoRA adapter into the weights, a folder in PEFT's form
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// What weights are written as [default: f16 for gguf, as stored elsewhere]; in packed formats those that are not packed [of a GGUF file: bf16]
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<ExportDtype>,
    /// With compressed-tensors and gptq: bits of a weight, 4 or 8 [default: 4]
    #[arg(long, value_name = "BITS")]
    pub bits: Option<u32>,
    /// With these: neighbours that share a scale, 32, 64 or 128 [default: the most of these that divide all rows]
    #[arg(long, value_name = "COUNT")]
    pub group: Option<usize>,
    /// With these: how weights are rounded, each for itself or with errors passed on, which reads a text
    #[arg(long, value_name = "METHOD")]
    pub method: Option<PackedMethod>,
    /// With these: the text that the model reads to know what matters; "default" is the bundled one
    #[arg(long, value_name = "TEXT")]
    pub calibrate: Option<PathBuf>,
    /// The GGUF file or the folder to write [default: Name-Size-Version-TYPE.gguf or MODEL-FORMAT here]
    #[arg(long, short, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Replace a file that bantam did not write
    #[arg(long)]
    pub force: bool,
    /// Read what was written back, and compare the logits of a text with the model's own; loads both, one after the other
    #[arg(long)]
    pub verify: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One file for llama.cpp and its like, plain numbers
    Gguf,
    /// A folder that transformers loads, plain numbers
    Safetensors,
    /// A folder that vLLM and transformers load: packed integers as llm-compressor writes them
    CompressedTensors,
    /// The same in GPTQ's form
    Gptq,
}

/// How packed exports round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackedMethod {
    /// Each weight for itself
    Rounding,
    /// Errors are passed on to weights that are rounded later
    Gptq,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportDtype {
    F32,
    F16,
    Bf16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// Bundled model, folder, .gguf file or ORG/NAME[@REVISION] of the hub
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub model: String,
    /// With this LoRA adapter, a folder in PEFT's form
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Bundled model, folder, .gguf file, ORG/NAME[@REVISION] in the cache, or a router.toml that `bantam systems` wrote
    #[arg(add = ArgValueCompleter::new(completions::model))]
    pub model: String,
    /// Name or address to listen at; another than this machine's own lets others ask
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen at; 0 takes a free one, which is printed
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Tokens of a conversation, question and answer together [default: 4096, or what the model takes]
    #[arg(long, short, value_name = "TOKENS", value_parser = at_least_two)]
    pub ctx: Option<usize>,
    /// Answers that are made at once; further ones wait [default: as many as fit into 1 GiB of keys and values, 4 to 32]
    #[arg(long, value_name = "COUNT", value_parser = at_most_256)]
    pub slots: Option<usize>,
    /// Keep keys and values in this type: f32, f16, q8_0, q4_0 [default: f16]
    #[arg(long, value_name = "TYPE", add = ArgValueCompleter::new(completions::cache_type))]
    pub kv: Option<CacheType>,
    /// Threads [default: all cores]
    #[arg(long, short, value_parser = at_least_one)]
    pub threads: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ship {
    /// Name of a profile (its latest run) or its file, the id of a run, or a .gguf file
    #[arg(value_name = "RUN|MODEL", add = ArgValueCompleter::new(completions::run_name))]
    pub what: String,
    /// Folder for Modelfile, run.md, decision.md and LM Studio's folder
    #[arg(long, short, value_name = "DIR", default_value = "ship")]
    pub out: PathBuf,
    /// Tokens of a conversation, question and answer together [default: 4096, or what the model takes]
    #[arg(long, short, value_name = "TOKENS", value_parser = at_least_two)]
    pub ctx: Option<usize>,
    /// Copy the model's file into the folder instead of linking to it
    #[arg(long)]
    pub copy: bool,
    /// Replace what stands in the folder already
    #[arg(long)]
    pub force: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Name of a profile (its latest run), or the id of a run
    #[arg(add = ArgValueCompleter::new(completions::run_name))]
    pub run: String,
    /// Folder for the report
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bundled {
    #[command(subcommand)]
    pub command: BundledCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundledCommand {
    /// The bundled models, suites and profiles
    List {
        /// Print JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Copy a bundled model out as a folder that transformers loads
    Export {
        model: String,
        /// Folder to write
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    pub shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// A count of things that there must be.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

/// Answers at once.
fn at_most_256(text: &str) -> Result<usize, String> {
    at_least(1, text).and_then(|count| match count <= 256 {
        true => Ok(count),
        false => Err("allowed is a whole number from 1 to 256".into()),
    })
}

/// Tokens of a sequence of which one is predicted.
pub(super) fn at_least_two(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

/// Tokens of a window of which the second half is scored.
fn at_least_four(text: &str) -> Result<usize, String> {
    at_least(4, text)
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count >= least => Ok(count),
        Ok(_) => Err(format!("allowed is a whole number from {least} on")),
        Err(_) => Err(format!("{text:?} is no whole number")),
    }
}
