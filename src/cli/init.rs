//! `bantam init MODEL --data FILE`: from a model and somebody's own data to a suite and a profile.

use super::Exit;
use crate::library::own::{self, Draft, Wish};
use crate::show::counted;
use crate::show::out::{self, note, say};
use anyhow::{Result, anyhow};
use bantam_core::profile::knob;
use bantam_core::unit::Bytes;
use bantam_eval::own::{Columns, How, Picked, Unclear};
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Bundled model, folder, .gguf file or ORG/NAME[@REVISION] of the hub; several to choose among
    #[arg(required = true)]
    pub models: Vec<String>,
    /// Your data: CSV or TSV with a head line, JSON lines, a JSON list, or Parquet
    #[arg(long, short, value_name = "FILE")]
    pub data: PathBuf,
    /// The column that is asked, or several with commas [default: the one that is unmistakable]
    #[arg(long, short, value_name = "COLUMN", value_delimiter = ',')]
    pub question: Vec<String>,
    /// The column of the right answer [default: the one that is unmistakable]
    #[arg(long, short, value_name = "COLUMN")]
    pub answer: Option<String>,
    /// The columns of the options to choose among, with commas, or one that holds lists of them [default: A, B, C … or choices]
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub options: Vec<String>,
    /// How the answer is given: one of a few labels, written freely, or one of the options
    #[arg(long = "as", value_name = "HOW")]
    pub how: Option<AnswerHow>,
    /// Examples before each question, taken out of the data, of every answer as many
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub shots: usize,
    /// How much worse is good enough: 3, 3% and 0.03 are three points
    #[arg(long, value_name = "POINTS", default_value = "3")]
    pub margin: String,
    /// The most peak memory: "1 GiB"
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<String>,
    /// What to do with each model, with commas: base, Q8_0, Q4_K_M … [default: base, Q8_0, Q6_K, Q4_K_M, Q3_K_M, Q2_K]
    #[arg(long, value_name = "RECIPE", value_delimiter = ',')]
    pub recipes: Vec<String>,
    /// Ask by the model's chat template [default: where every model has one]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub chat: Option<bool>,
    /// What the files are called [default: as the data]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Folder of the files
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// How answers are given, by the words of the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AnswerHow {
    /// One of a few labels, the same for every question
    Labels,
    /// Written freely; right where it is the same but for case and punctuation
    Written,
    /// One of several options that stand beside the question
    Options,
}

pub(super) fn run(args: Init) -> Result<Exit> {
    let (_, margin) = knob::margin_of(&args.margin, &[]).map_err(|why| anyhow!("--margin: {why}"))?;
    let size = |text: &String| text.parse::<Bytes>().map_err(|why| anyhow!("--max-memory: {why}"));
    let wish = Wish {
        models: args.models.clone(),
        name: args.name.clone(),
        folder: args.out.clone(),
        shots: args.shots,
        margin: margin.unwrap_or(own::MARGIN),
        max_memory: args.max_memory.as_ref().map(size).transpose()?,
        recipes: args.recipes.clone(),
        chat: args.chat,
    };
    let columns = Columns::read(&args.data)?;
    let how = args.how.map(|how| match how {
        AnswerHow::Labels => How::Labels,
        AnswerHow::Written => How::Written,
        AnswerHow::Options => How::Options,
    });
    let picked = Picked { how, question: args.question, answer: args.answer, options: args.options };
    let asked = columns.ask(&picked).map_err(|why| anyhow!(unclear(&why, &columns)))?;
    let draft = own::draft(&wish, &columns, asked)?;
    draft.write(args.force)?;
    match args.json {
        true => print_json(&draft)?,
        false => print(&draft, &wish)?,
    }
    Ok(Exit::Done)
}

/// What is not clear, which columns there are, and what to say.
fn unclear(why: &Unclear, columns: &Columns) -> String {
    let say = match why {
        Unclear::NoColumn { .. } => "",
        Unclear::Question(_) => "; say --question COLUMN",
        Unclear::Answer(_) => "; say --answer COLUMN",
        Unclear::NoOptions => "; say --options COLUMN,COLUMN",
        Unclear::NoAnswer(_) => {
            "; --answer COLUMN takes another column, and --as labels, written or options another way of asking"
        }
    };
    let parted = match &columns.columns[..] {
        [one] if one.name.contains([';', '\t', '|']) => {
            "; columns are parted by commas, and this file seems to part them otherwise: save it with commas"
        }
        _ => "",
    };
    format!("{}: {why}{say}; its columns are {}{parted}", columns.file.display(), columns.told())
}

fn print(draft: &Draft, wish: &Wish) -> Result<()> {
    say!("{}.", draft.asked.told())?;
    say!()?;
    for line in draft.prompt.lines().map(shortened) {
        say!("  | {line}")?;
    }
    say!("  right: {}", shortened(&draft.answer))?;
    say!()?;
    say!("{}.", draft.shows())?;
    let variants = format!("{} × {}", counted(wish.models.len(), "model"), counted(draft.recipes.len(), "recipe"));
    say!("{variants}: {}", draft.recipes.join(", "))?;
    for file in draft.files() {
        out::path(file)?;
    }
    for said in &draft.notes {
        note!("note: {said}");
    }
    let profile = draft.profile().display();
    note!("`bantam run {profile}` measures and decides; `bantam {profile}` opens the workbench on it");
    Ok(())
}

/// A line of a prompt as far as it is worth showing.
fn shortened(line: &str) -> String {
    // a tab is room, and no sign that a terminal must not have
    crate::show::beginning(&line.replace('\t', "    "), 110)
}

fn print_json(draft: &Draft) -> Result<()> {
    let files: Vec<_> = draft.files().collect();
    out::json(&json!({
        "profile": draft.profile(),
        "files": files,
        "items": draft.items,
        "question": draft.asked.question,
        "answer": draft.asked.answer,
        "how": draft.asked.how().word(),
        "prompt": draft.prompt,
        "right": draft.answer,
        "recipes": draft.recipes,
        "chat": draft.chat,
        "margin": draft.margin,
        "smallest_difference": own::smallest(draft.items),
        "notes": draft.notes,
    }))?;
    Ok(())
}
