//! From a model and somebody's own data to files that `bantam run` takes: a suite that asks what the data says, and a profile
//! that tries the model as it is and compressed. The command line and the workbench begin by this; nothing is written before
//! all of it has been read again and works.

use super::home::Home;
use super::inventory::{self, Entry, Origin};
use super::models::{self, ModelFacts};
use super::suites;
use crate::show::sentence;
use anyhow::{Context, Result, anyhow, bail};
use bantam_core::cache_type::CacheType;
use bantam_core::chat::{ApplyChatTemplate, Chat};
use bantam_core::output;
use bantam_core::profile::{Constraints, Measure, Objective, Profile, Race, RecipeRef, default_kv};
use bantam_core::record::Place;
use bantam_core::stats::Level;
use bantam_core::stats::power::{self, CHANGED};
use bantam_core::text;
use bantam_core::unit::{Bytes, Seconds};
use bantam_eval::own::{Asked, Columns, Options, SuiteFile};
use bantam_hub as hub;
use bantam_lab::Recipe;
use bantam_model::chat::ChatTemplate;
use std::path::{Path, PathBuf};

/// What a model is tried as where nobody says, in the order of a profile; those that cannot be made of it are left out.
pub const RECIPES: [&str; 6] = ["base", "Q8_0", "Q6_K", "Q4_K_M", "Q3_K_M", "Q2_K"];
/// How much worse is good enough where nobody says.
pub const MARGIN: f64 = 0.03;
/// Time that a variant's speed may take: six of them take half a minute.
const BUDGET: Seconds = Seconds(3.0);

/// What somebody begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Models as they are typed.
    pub models: Vec<String>,
    /// What the files are called; after the data where it is left open.
    pub name: Option<String>,
    /// The folder of the files.
    pub folder: PathBuf,
    /// Examples before each question, taken out of the data.
    pub shots: usize,
    /// How much worse is good enough.
    pub margin: f64,
    /// The most peak memory.
    pub max_memory: Option<Bytes>,
    /// Recipes as a profile names them; those of [`RECIPES`] that can be made, where there are none.
    pub recipes: Vec<String>,
    /// Whether the model's chat template is applied; where it is left open, whether all models have one.
    pub chat: Option<bool>,
}

impl Wish {
    /// These models, and all else as it is taken where nobody says.
    pub fn of(models: Vec<String>) -> Wish {
        let (name, max_memory, chat) = (None, None, None);
        Wish { models, name, folder: ".".into(), shots: 0, margin: MARGIN, max_memory, recipes: Vec::new(), chat }
    }
}

/// The files before they are written, and what is to be known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Files with their texts: the profile last.
    files: Vec<(PathBuf, String)>,
    pub asked: Asked,
    pub items: usize,
    /// The first question as a model reads it, without a chat template.
    pub prompt: String,
    /// The right answer to it.
    pub answer: String,
    /// Recipes that will be tried.
    pub recipes: Vec<String>,
    pub margin: f64,
    /// Whether the model's chat template is applied.
    pub chat: bool,
    /// What is doubtful or left out, a sentence each.
    pub notes: Vec<String>,
}

impl Draft {
    /// The profile's file.
    pub fn profile(&self) -> &Path {
        &self.files.last().expect("a profile at least").0
    }

    /// All files, in the order in which they are written.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(file, _)| file.as_path())
    }

    /// What the items can show, and whether that is enough for the margin: a sentence.
    pub fn shows(&self) -> String {
        shows(self.items, self.margin)
    }

    /// Writes the files. Files that are there are replaced by `force` only.
    ///
    /// # Errors
    /// Where a file is there already, or cannot be written.
    pub fn write(&self, force: bool) -> Result<()> {
        for file in self.files() {
            if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
            }
            output::check(file, force, &[], &|_| false)?;
        }
        for (file, text) in &self.files {
            std::fs::write(file, text).with_context(|| format!("{}: cannot be written", file.display()))?;
        }
        Ok(())
    }
}

/// The one-sided tail by which a variant is shown not worse at the usual confidence.
fn tail() -> f64 {
    2.0 * Level::P95.tail()
}

/// The smallest loss that so many items of right or wrong can show before anything is measured.
pub fn smallest(items: usize) -> f64 {
    power::smallest_shown(items, CHANGED, tail())
}

/// "360 items: 4 points".
pub fn smallest_words(items: usize) -> String {
    format!("{}: {}", crate::show::counted(items, "item"), points(smallest(items)))
}

/// "4 points", "1 point", "2.5 points".
pub fn points(share: f64) -> String {
    let points = share * 100.0;
    let text = if points >= 3.0 { format!("{points:.0}") } else { format!("{points:.1}") };
    let text = text.strip_suffix(".0").unwrap_or(&text).to_owned();
    let unit = if text == "1" { "point" } else { "points" };
    format!("{text} {unit}")
}

/// What so many items can show, and how many it takes for a margin.
pub fn shows(items: usize, margin: f64) -> String {
    let least = smallest(items);
    let said = format!(
        "{} can show a loss of {} or more (four times in five, where one answer in ten changes)",
        crate::show::counted(items, "item"),
        points(least)
    );
    if margin <= 0.0 {
        return format!(
            "{said}; with no margin every loss counts, so that hardly anything smaller can be shown good enough"
        );
    }
    match least <= margin {
        true => format!("{said}, which is enough for a margin of {}", points(margin)),
        false => format!(
            "{said}; for the margin of {} it takes about {} items: with fewer, what is not shown good enough is not advised",
            points(margin),
            power::items_to_show(margin, CHANGED, tail())
        ),
    }
}

/// Makes the files of what is asked of the columns, and reads them again. Nothing is written where the user is.
///
/// # Errors
/// Where the data, the models or the recipes cannot be used, in a sentence.
pub fn draft(wish: &Wish, columns: &Columns, asked: Asked) -> Result<Draft> {
    let name = name(wish, columns)?;
    let folder = absolute(&wish.folder)?;
    let data = absolute(&columns.file)?;
    let place =
        |name: String| -> PathBuf { if wish.folder == Path::new(".") { name.into() } else { wish.folder.join(name) } };
    let mut files = Vec::new();
    let mut suite = SuiteFile { name: name.clone(), data: from(&folder, &data), shots: None, asked: asked.clone() };
    if wish.shots > 0 {
        let [items, shots] = apart(columns, &asked.answer, wish.shots)?;
        let (items_file, shots_file) = (format!("{name}.items.jsonl"), format!("{name}.shots.jsonl"));
        (suite.data, suite.shots) = (items_file.clone(), Some((wish.shots, shots_file.clone())));
        files.push((place(items_file), items));
        files.push((place(shots_file), shots));
    }
    let text = suite.to_toml(columns).map_err(|why| anyhow!("{}: {why}", columns.file.display()))?;
    let head = format!("# Made by `bantam init` of {}: {}.\n", suite.data, asked.told());
    files.push((place(format!("{name}.suite.toml")), head + &text));
    let read = read_again(&suite, columns, &files)?;
    let made = of_models(wish)?;
    let mut notes = made.notes;
    notes.extend(read.notes);
    notes.extend(few_of(&asked, columns));
    notes.extend(spelt(&asked, columns));
    notes.extend(unseen(&read.prompt));
    let chat = wish.chat.unwrap_or(made.chats);
    if chat && wish.chat.is_none() {
        notes.push("the model's own chat template is applied; --chat=false leaves it out".into());
    }
    let profile = profile(wish, &name, &made.recipes, chat, &folder)?;
    let head = format!(
        "# Made by `bantam init`: {} on {name}.suite.toml. `bantam run {name}.toml` measures, `bantam {name}.toml` is the workbench.\n# {}.\n",
        wish.models.join(", "),
        shows(read.items, wish.margin)
    );
    let text = head + &profile.to_toml();
    Profile::parse(&text, Path::new(&format!("{name}.toml")))?;
    files.push((place(format!("{name}.toml")), text));
    Ok(Draft {
        files,
        asked,
        items: read.items,
        prompt: read.prompt,
        answer: read.answer,
        recipes: made.recipes,
        margin: wish.margin,
        chat,
        notes,
    })
}

/// The name of the files: as wished, or the data's.
fn name(wish: &Wish, columns: &Columns) -> Result<String> {
    let stem = || columns.file.file_stem().map_or_else(|| "own".into(), |stem| stem.to_string_lossy().into_owned());
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    match &wish.name {
        None => Ok(stem().chars().map(plain).collect()),
        Some(name) if !name.is_empty() && name.chars().all(|c| plain(c) == c) && !name.starts_with('.') => {
            Ok(name.clone())
        }
        Some(name) => bail!("'{name}' is no name for files: letters, digits, - and _ are allowed"),
    }
}

/// A name under which none of the files is there: the name itself, or with a number behind it.
pub fn free_name(folder: &Path, name: &str) -> String {
    let is_free = |name: &str| {
        let endings = [".toml", ".suite.toml", ".items.jsonl", ".shots.jsonl"];
        endings.iter().all(|ending| !folder.join(format!("{name}{ending}")).exists())
    };
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| is_free(name))
        .expect("there are more numbers than files")
}

/// The items and the examples as JSON lines.
fn apart(columns: &Columns, answer: &str, shots: usize) -> Result<[String; 2]> {
    if shots >= columns.rows() {
        bail!(
            "{}: it has {} lines, and {shots} examples would leave none to ask",
            columns.file.display(),
            columns.rows()
        );
    }
    let examples = columns.examples(answer, shots);
    let mut texts = [String::new(), String::new()];
    for (place, fields) in columns.fields().enumerate() {
        let text = &mut texts[usize::from(examples.contains(&place))];
        text.push_str(&serde_json::to_string(fields).context("writing the examples")?);
        text.push('\n');
    }
    Ok(texts)
}

/// What a suite says of itself when it is read.
struct Read {
    items: usize,
    prompt: String,
    answer: String,
    notes: Vec<String>,
}

/// Reads the suite as every suite is read, from a folder of its own.
fn read_again(suite: &SuiteFile, columns: &Columns, files: &[(PathBuf, String)]) -> Result<Read> {
    let folder = tempfile::tempdir().context("a folder for a moment")?;
    for (file, text) in files {
        std::fs::write(folder.path().join(file.file_name().unwrap_or_default()), text)
            .context("a file for a moment")?;
    }
    let path = folder.path().join("suite.toml");
    let data = match suite.shots {
        Some(_) => suite.data.clone(),
        None => absolute(&columns.file)?.to_string_lossy().into_owned(),
    };
    let here = SuiteFile { data, ..suite.clone() };
    std::fs::write(&path, here.to_toml(columns)?).context("a file for a moment")?;
    let here = path.to_string_lossy().into_owned();
    // what is wrong is wrong with the data, and the folder is gone when it is read
    let of_suite =
        [format!("{here}: "), format!("task '{}': ", suite.name), "doc_to_target: ".into(), "doc_to_text: ".into()];
    let bare = |error: String| of_suite.iter().fold(error, |error, part| error.replacen(part.as_str(), "", 1));
    let loaded = suites::load(&here).map_err(|error| anyhow!("{}", bare(error.to_string())))?;
    let task = loaded.tasks.first().context("a suite has a task")?;
    let lessons = task.lessons().unwrap_or_default();
    Ok(Read {
        items: task.items().len(),
        prompt: task.prompts().into_values().next().unwrap_or_default(),
        answer: lessons.first().map(|(_, lesson)| lesson.answer.trim().to_owned()).unwrap_or_default(),
        notes: task.notes.clone(),
    })
}

/// Labels of which there is next to nothing.
fn few_of(asked: &Asked, columns: &Columns) -> Option<String> {
    let Options::Labels(labels) = &asked.options else { return None };
    let mean = columns.rows() / labels.len().max(1);
    (mean < 5).then(|| {
        format!("{} labels have {mean} lines each in the mean, which is few to tell them apart by", labels.len())
    })
}

/// Labels that the data writes in several ways.
fn spelt(asked: &Asked, columns: &Columns) -> Option<String> {
    let Options::Labels(_) = &asked.options else { return None };
    let spellings = &columns.get(&asked.answer)?.spellings;
    let (other, kept) = spellings.first()?;
    let more = match spellings.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    Some(format!(
        "'{other}' is taken for '{kept}'{more}: labels that differ in white space around them, or in large and small letters, are one"
    ))
}

/// Signs in the prompt that no screen shows.
fn unseen(prompt: &str) -> Option<String> {
    let shown = text::lines(prompt);
    let count = |text: &str| text.matches(text::PLACEHOLDER).count();
    (count(&shown) > count(prompt)).then(|| {
        format!("the question has signs that are not seen (a zero-width space or its like): {} stands for each, and the model reads them", text::PLACEHOLDER)
    })
}

/// What is known of the models.
struct OfModels {
    recipes: Vec<String>,
    /// All of them have a chat template.
    chats: bool,
    notes: Vec<String>,
}

/// Looks what can be made of the models, by their headers. A model of the hub that is not here is left to the run.
fn of_models(wish: &Wish) -> Result<OfModels> {
    let mut notes = Vec::new();
    let (mut makable, mut chats) = (vec![false; RECIPES.len()], !wish.models.is_empty());
    for typed in &wish.models {
        if let Some(name) = models::to_fetch(typed) {
            notes.push(format!("{name} is not here yet; `bantam run` and the workbench fetch it"));
            (chats, makable) = (false, vec![true; RECIPES.len()]);
            continue;
        }
        let found = models::find(typed)?;
        let facts = models::inspect(&found.place)?;
        let ModelFacts::Decoder(decoder) = &facts else {
            notes.push(format!("{} is an encoder, which is measured as it is: recipes make none", found.name));
            (chats, makable[0]) = (false, true);
            continue;
        };
        let has_template = decoder.tokenizer.as_ref().is_ok_and(|summary| !summary.chat_templates.is_empty());
        chats &= has_template && was_taught_to_talk(&found.place);
        let source = models::source(&found.name, &found.place);
        let mut why = None;
        for (recipe, can) in RECIPES.iter().zip(&mut makable) {
            let bytes = match (*recipe, &source) {
                ("base", _) => Ok(Bytes(0)),
                (_, Err(error)) => Err(anyhow!("{}", sentence(error))),
                (name, Ok(source)) => Recipe::named(name).and_then(|recipe| models::bytes_after(source, &recipe)),
            };
            match bytes {
                Ok(_) => *can = true,
                Err(error) => drop(why.get_or_insert(sentence(&error))),
            }
        }
        if let Some(why) = why.filter(|_| wish.recipes.is_empty()) {
            notes.push(format!("not every recipe can be made of {}: {why}", found.name));
        }
    }
    // a file of steps is read where the profile is
    for typed in wish.recipes.iter().filter(|typed| *typed != "base" && !typed.ends_with(".toml")) {
        bantam_lab::Recipe::all_named(typed).with_context(|| format!("recipe {typed}"))?;
    }
    let recipes = match wish.recipes.is_empty() {
        false => wish.recipes.clone(),
        true => RECIPES.iter().zip(makable).filter(|(_, can)| *can).map(|(recipe, _)| (*recipe).to_owned()).collect(),
    };
    Ok(OfModels { recipes, chats, notes })
}

/// Whether the model's turns end with a token of their own: many a base model has a chat template that it never saw.
fn was_taught_to_talk(place: &Place) -> bool {
    let tokenizer = models::with_files(place, |files| Ok(bantam_model::read_tokenizer(files)?));
    let ends = |tokenizer: &bantam_model::Tokenizer| ChatTemplate::of(tokenizer, false).ok()??.turn_end(tokenizer);
    tokenizer.is_ok_and(|tokenizer| ends(&tokenizer).is_some())
}

fn profile(wish: &Wish, name: &str, recipes: &[String], chat: bool, folder: &Path) -> Result<Profile> {
    let recipe = |name: &String| match name.as_str() {
        "base" => RecipeRef::Base,
        file if file.ends_with(".toml") => RecipeRef::File(file.into()),
        name => RecipeRef::Quantize(name.to_owned()),
    };
    let with_template = || Chat { apply_chat_template: Some(ApplyChatTemplate::Whether(true)), ..Chat::default() };
    Ok(Profile {
        name: name.to_owned(),
        title: format!("The smallest that answers {name} as well"),
        models: wish.models.iter().map(|typed| model(typed, folder)).collect::<Result<_>>()?,
        endpoints: Vec::new(),
        engine: None,
        recipes: recipes.iter().map(recipe).collect(),
        kv: default_kv(),
        suites: vec![format!("{name}.suite.toml")],
        chat: chat.then(with_template).into_iter().collect(),
        measure: Measure { budget: BUDGET, half_width: 0.1, ..Measure::default() },
        constraints: Constraints { max_memory: wish.max_memory, ..Constraints::default() },
        tolerance: Vec::new(),
        objective: Objective { margin: wish.margin, ..Objective::default() },
        race: Race::Off,
        price: None,
        loss: None,
        systems: None,
    })
}

/// A model as the profile is to name it: files by their way from the profile's folder.
fn model(typed: &str, folder: &Path) -> Result<String> {
    let (bare, kv) = CacheType::split(typed);
    let behind = |name: &str| kv.map_or_else(|| name.to_owned(), |kv| kv.behind(name));
    if Path::new(bare).exists() {
        let way = from(folder, &absolute(Path::new(bare))?);
        let is_clear = way.contains('/') || way.ends_with(".gguf");
        return Ok(behind(&if is_clear { way } else { format!("./{way}") }));
    }
    match models::find(bare) {
        Ok(hub::Found { place: Place::Bundled(name), .. }) => Ok(behind(&format!("bundled:{name}"))),
        _ => Ok(typed.to_owned()),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let path = path.canonicalize().or_else(|_| std::path::absolute(path));
    path.context("where that is")
}

/// A file by its way from a folder, where it is below it, and else from the root.
fn from(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned()
}

/// Models and data that lie about: in a folder and those in it, by their names, the newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    /// GGUF files, and folders with a config.json, with their sizes.
    pub models: Vec<(PathBuf, Bytes)>,
    /// JSON lines, CSV, TSV, Parquet.
    pub data: Vec<(PathBuf, Bytes)>,
    /// TOML files: suites, profiles and recipes among them.
    pub written: Vec<PathBuf>,
    /// The folders in it.
    pub folders: Vec<PathBuf>,
    /// Models of this machine that lie elsewhere, by their names, with where they are.
    pub named: Vec<(String, String)>,
}

/// Folders below that are looked into.
const DEPTH: usize = 2;
/// Entries that are looked at, at most: a home folder has no end.
const ENTRIES: usize = 20_000;

/// Looks what lies about in a folder; what cannot be read is left out.
pub fn around(folder: &Path) -> Around {
    let mut around = Around::default();
    let mut left = ENTRIES;
    look(folder, DEPTH, &mut left, &mut around);
    around.models.sort();
    around.data.sort();
    around.folders.sort();
    around.written.sort();
    around
}

/// The same, with the models of this machine that lie elsewhere.
pub fn around_and_here(folder: &Path) -> Around {
    let mut around = around(folder);
    let here = |home: Home| inventory::take(&hub::Cache::here(), &hub::Stores::here(), &home, &[]);
    let kept = Home::find().map_err(Into::into).and_then(here);
    let is_model = |entry: &&Entry| entry.is_usable() && entry.origin != Origin::Artifact;
    let named = |entry: &Entry| (entry.name.clone(), format!("{}, {}", entry.bytes, entry.origin.name()));
    around.named = kept.unwrap_or_default().iter().filter(is_model).map(named).collect();
    around
}

fn look(folder: &Path, depth: usize, left: &mut usize, around: &mut Around) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(facts) = path.metadata() else { continue };
        let shown = path.strip_prefix(".").map_or_else(|_| path.clone(), Path::to_path_buf);
        if facts.is_dir() {
            if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()) {
                continue;
            }
            if path.join("config.json").is_file() && hub::files(&path).is_ok() {
                let sizes = hub::files(&path).into_iter().flatten().filter_map(|file| file.metadata().ok());
                around.models.push((shown, Bytes(sizes.map(|facts| facts.len()).sum())));
            } else if depth > 0 {
                if depth == DEPTH {
                    around.folders.push(shown);
                }
                look(&path, depth - 1, left, around);
            }
            continue;
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "gguf" => around.models.push((shown, Bytes(facts.len()))),
            "toml" => around.written.push(shown),
            "csv" | "tsv" | "jsonl" | "parquet" | "ndjson" => around.data.push((shown, Bytes(facts.len()))),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_eval::own::Picked;

    fn tickets(folder: &Path) -> Columns {
        let rows: String =
            (0..80).map(|n| format!("{n},Where is order {n}?,{}\n", ["delivery", "billing"][n % 2])).collect();
        let file = folder.join("our tickets.csv");
        std::fs::write(&file, format!("id,body,topic\n{rows}")).expect("written");
        Columns::read(&file).expect("data")
    }

    fn drafted(wish: Wish, folder: &Path) -> Result<Draft> {
        let columns = tickets(folder);
        let asked = columns.ask(&Picked::default()).expect("clear");
        draft(&Wish { folder: folder.to_owned(), ..wish }, &columns, asked)
    }

    #[test]
    fn what_is_written_is_a_profile_that_can_be_planned() {
        let folder = tempfile::tempdir().expect("a folder");
        let draft = drafted(Wish::of(vec!["bantam-s".into()]), folder.path()).expect("drafted");
        assert_eq!((draft.items, draft.answer.as_str(), draft.chat), (80, "delivery", false));
        assert_eq!(draft.recipes, RECIPES);
        assert!(draft.prompt.ends_with("Body: Where is order 0?\nTopic:"), "{}", draft.prompt);
        assert!(draft.shows().contains("80 items can show a loss of 9 points"), "{}", draft.shows());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is written yet");
        draft.write(false).expect("written");
        let profile = Profile::load(draft.profile()).expect("a profile");
        assert_eq!(profile.models, ["bundled:bantam-s"]);
        assert_eq!(suites::load(&profile.suites[0]).expect("a suite").tasks[0].items().len(), 80);
        assert!(draft.write(false).expect_err("there already").to_string().contains("there already"));
        draft.write(true).expect("replaced");
        assert_eq!(free_name(folder.path(), "our-tickets"), "our-tickets-2");
    }

    #[test]
    fn examples_leave_the_data_as_it_is_and_go_into_files_of_their_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let wish = Wish { shots: 4, name: Some("t".into()), ..Wish::of(vec!["bantam-s".into()]) };
        let draft = drafted(wish, folder.path()).expect("drafted");
        assert_eq!(draft.items, 76);
        assert!(draft.prompt.matches("Topic: ").count() == 4, "{}", draft.prompt);
        draft.write(false).expect("written");
        let profile = Profile::load(draft.profile()).expect("a profile");
        assert_eq!(suites::load(&profile.suites[0]).expect("a suite").tasks[0].items().len(), 76);
        let too_many = Wish { shots: 80, ..Wish::of(vec!["bantam-s".into()]) };
        assert!(drafted(too_many, folder.path()).expect_err("none left").to_string().contains("would leave none"));
    }

    #[test]
    fn what_lies_about_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("a/b/c")).expect("folders");
        for file in ["m.gguf", "a/d.csv", "a/b/e.jsonl", "a/b/c/deep.csv", "x.txt"] {
            std::fs::write(folder.path().join(file), "x").expect("written");
        }
        let around = around(folder.path());
        let names = |files: &[(PathBuf, Bytes)]| {
            files
                .iter()
                .map(|(file, _)| file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (names(&around.models), names(&around.data)),
            (vec!["m.gguf".into()], vec!["e.jsonl".into(), "d.csv".into()])
        );
    }

    #[test]
    fn points_are_told_as_people_say_them() {
        assert_eq!(
            [0.0413, 0.03, 0.025, 0.01, 0.0].map(points),
            ["4 points", "3 points", "2.5 points", "1 point", "0 points"]
        );
        assert!(shows(1000, 0.03).contains("enough for a margin of 3 points"), "{}", shows(1000, 0.03));
        assert!(shows(60, 0.03).contains("it takes about 685 items"), "{}", shows(60, 0.03));
    }
}
