//! What is chosen, made ready for where it is to run: the file's place, the commands of llama.cpp, a Modelfile for Ollama, LM
//! Studio's folder, and the decision with its reasons.

mod ollama;

use crate::library::fit::CONTEXT;
use crate::library::models::{self, ModelFacts};
use crate::run::{Done, quoted};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cache_type::CacheType;
use bantam_core::record::Place;
use bantam_core::{disk, output};
use bantam_format::gguf;
use bantam_hub::Found;
use bantam_model::chat::ChatTemplate;
use bantam_model::tokenizer::Special;
use bantam_model::{Config, Tokenizer, read_tokenizer};
use bantam_verdict::report::page::{Block, Section};
use bantam_verdict::report::{self, Page};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The file of a model that is to run elsewhere.
pub struct Chosen {
    /// What it is called.
    pub name: String,
    pub file: PathBuf,
    kv: CacheType,
    /// Who made it, where its name says.
    publisher: Option<String>,
    /// The report of the run that chose it; None where it was named by hand.
    decision: Option<Page>,
}

/// How it is packed.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Tokens of a conversation; 4096, or what the model takes, where nobody says.
    pub context: Option<usize>,
    /// The model's file is copied, and not linked to.
    pub copy: bool,
    /// What stands there already is replaced.
    pub force: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    pub files: Vec<PathBuf>,
    /// What can be done with it, each with its command.
    pub commands: Vec<(String, String)>,
    /// What the receiver should know.
    pub notes: Vec<String>,
}

impl Chosen {
    /// The variant that a run advises.
    ///
    /// # Errors
    /// Where nothing is advised, or what is advised is no GGUF file that is there.
    pub fn advised(done: &Done) -> Result<Chosen> {
        let words = done.words();
        let (Some(file), Some(summary), true) = (&done.file, done.advice.advised(), words.found) else {
            bail!("the run of {} advises nothing to ship: {}", done.run.profile_name, words.title)
        };
        let is_gguf = |path: &&PathBuf| bantam_hub::is_gguf(path);
        let path = file.path.as_ref().filter(|_| file.exists).filter(is_gguf);
        let Some(path) = path.filter(|_| summary.variant.model.adapter.is_none()) else {
            let how = file.commands.first().map_or("bantam compress", |(_, command)| command);
            bail!(
                "{} is no GGUF file that is there: `{how}` writes one, and `bantam ship FILE.gguf` packs it",
                file.variant
            )
        };
        Ok(Chosen {
            name: file.variant.clone(),
            file: path.clone(),
            kv: summary.variant.kv,
            publisher: publisher(&summary.variant.model.name),
            decision: Some(done.page()),
        })
    }

    /// A model that somebody names.
    ///
    /// # Errors
    /// Where it is no GGUF file.
    pub fn named(found: &Found) -> Result<Chosen> {
        let path = match &found.place {
            Place::Gguf(path) => path.clone(),
            Place::Folder(_) | Place::Bundled(_) | Place::Endpoint(_) | Place::System(_) => {
                let typed = match &found.place {
                    Place::Folder(path) => quoted(&path.display().to_string()),
                    _ => found.name.clone(),
                };
                bail!(
                    "{} is no GGUF file, which llama.cpp, Ollama and LM Studio read: `bantam export {typed} --format gguf` or \
                     `bantam compress {typed} --quant Q8_0` writes one",
                    found.name
                )
            }
        };
        let file = std::path::absolute(&path).unwrap_or(path);
        let stem = file.file_stem().filter(|_| file.extension().is_some());
        let name = stem.map_or_else(|| bare(&found.name).replace('/', "-"), |stem| stem.to_string_lossy().into_owned());
        Ok(Chosen { name, file, kv: CacheType::default(), publisher: publisher(&found.name), decision: None })
    }

    /// Writes all that is needed into a folder.
    ///
    /// # Errors
    /// Where the model cannot be read, or something stands in the way and may not be replaced.
    pub fn pack(&self, out: &Path, wishes: &Wishes) -> Result<Packed> {
        let ModelFacts::Decoder(facts) = models::inspect(&Place::Gguf(self.file.clone()))? else {
            bail!("{} is an encoder, and these programs are for models that generate", self.name)
        };
        let longest = facts.config.max_positions;
        let context = wishes.context.unwrap_or(longest.min(CONTEXT as usize));
        ensure!(context <= longest, "--ctx is {context}, and {} takes 2 to {longest} tokens", self.name);
        let tokenizer = read_tokenizer(self.file.as_path())?;
        let template = ChatTemplate::of(&tokenizer, false).ok().flatten();

        fs::create_dir_all(out).with_context(|| format!("{}: the folder cannot be made", out.display()))?;
        let out = std::path::absolute(out)?;
        let placed = out.join(self.studio_folder()).join(self.name_of(&self.file));
        let (from, file) = match wishes.copy {
            true => (format!("./{}", placed.strip_prefix(&out)?.display()), placed.clone()),
            false => (self.file.display().to_string(), self.file.clone()),
        };
        let commands = self.commands(&file, &out, context);
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos()).map(|token| token.text.as_str());
        let go = template.as_ref().and_then(|template| ollama::template(template, bos));
        let modelfile = ollama::modelfile(&from, context, &stops(&tokenizer, &facts.config, &template), go.as_deref());
        let mut texts = vec![(out.join("Modelfile"), modelfile), (out.join("run.md"), self.run_md(&commands)?)];
        if let Some(page) = &self.decision {
            texts.push((out.join("decision.md"), self.decision_md(page, &commands)?));
        }

        let parts = gguf::parts(&self.file);
        let folder = placed.parent().unwrap_or(&out);
        let models: Vec<(PathBuf, &PathBuf)> =
            parts.iter().map(|part| (folder.join(self.name_of(part)), part)).collect();
        fs::create_dir_all(folder).with_context(|| format!("{}: the folder cannot be made", folder.display()))?;
        let places = texts.iter().map(|(place, _)| place).chain(models.iter().map(|(place, _)| place));
        places.clone().try_for_each(|place| self.may_write(place, wishes.force))?;
        let files = places.cloned().collect();
        for (place, part) in &models {
            put(part, place, wishes.copy).with_context(|| format!("{}: cannot be written", place.display()))?;
        }
        for (place, text) in &texts {
            disk::write(place, text.as_bytes()).with_context(|| format!("{}: cannot be written", place.display()))?;
        }
        Ok(Packed { files, commands, notes: notes(&template, go.is_some(), parts.len()) })
    }

    /// Whether a place is free, or may be made free.
    fn may_write(&self, place: &Path, force: bool) -> Result<()> {
        let is_same_link = fs::read_link(place).is_ok_and(|to| gguf::parts(&self.file).contains(&to));
        if is_same_link {
            return Ok(());
        }
        ensure!(
            force || fs::symlink_metadata(place).is_err(),
            "{}: it is there already; name another folder with --out, or replace it with --force",
            place.display()
        );
        let is_link = place.is_symlink();
        if !is_link {
            output::check(place, force, &gguf::parts(&self.file), &|_| false)?;
        }
        Ok(())
    }

    /// `lm-studio/PUBLISHER/MODEL`, as LM Studio keeps models.
    /// What a file is called in LM Studio's folder; one of Ollama's blobs has its hash for a name.
    fn name_of(&self, part: &Path) -> PathBuf {
        let named = part.file_name().filter(|_| part.extension().is_some());
        named.map_or_else(|| format!("{}.gguf", safe(&self.name)).into(), PathBuf::from)
    }

    fn studio_folder(&self) -> PathBuf {
        let publisher = self.publisher.as_deref().map_or("bantam".into(), safe);
        Path::new(STUDIO).join(publisher).join(safe(&self.name))
    }

    fn commands(&self, file: &Path, out: &Path, context: usize) -> Vec<(String, String)> {
        let file = quoted(&file.display().to_string());
        let (cache, own_cache) = match self.kv.is_default() {
            true => (String::new(), String::new()),
            false => (format!(" -ctk {0} -ctv {0}", self.kv), format!(" --kv {}", self.kv)),
        };
        let (modelfile, studio) = (out.join("Modelfile"), out.join(STUDIO));
        let (modelfile, studio) =
            (quoted(&modelfile.display().to_string()), quoted(&format!("{}/.", studio.display())));
        let line = |what: &str, command: String| (what.to_owned(), command);
        vec![
            line("Serve it with bantam:", format!("bantam serve {file} --ctx {context}{own_cache}")),
            line("Serve it with llama.cpp:", format!("llama-server -m {file} -c {context}{cache} --jinja")),
            line("Talk to it with llama.cpp:", format!("llama-cli -m {file} -c {context}{cache} --jinja")),
            line("Give it to Ollama:", format!("ollama create {} -f {modelfile}", safe(&self.name).to_lowercase())),
            line(
                "Give it to LM Studio:",
                format!("mkdir -p ~/.lmstudio/models && cp -RP {studio} ~/.lmstudio/models/"),
            ),
        ]
    }

    fn run_md(&self, commands: &[(String, String)]) -> Result<String> {
        markdown(format!("How to run {}", self.name), String::new(), vec![self.commands_section(commands)])
    }

    /// The report's own words on why this one.
    fn decision_md(&self, page: &Page, commands: &[(String, String)]) -> Result<String> {
        let mut advice: Vec<Section> =
            page.sections.iter().filter(|section| matches!(section.id.as_str(), "advice" | "why")).cloned().collect();
        // the charts are the report's, which may lie anywhere
        advice.iter_mut().for_each(|section| section.blocks.retain(|block| !matches!(block, Block::Chart(_))));
        let sections = advice.into_iter().chain([self.commands_section(commands)]).collect();
        markdown(format!("Why {}", self.name), format!("{} · {}", page.title, page.subtitle), sections)
    }

    fn commands_section(&self, commands: &[(String, String)]) -> Section {
        let place = Block::Text(format!("{} is at {}.", self.name, self.file.display()));
        let blocks = vec![place, Block::Commands(commands.to_vec())];
        Section { id: "file".into(), title: "Where it is and how to run it".into(), blocks }
    }
}

/// The folder that LM Studio's models lie in.
const STUDIO: &str = "lm-studio";

fn markdown(title: String, subtitle: String, sections: Vec<Section>) -> Result<String> {
    let (records, profile, data, faces) = (Vec::new(), String::new(), serde_json::Value::Null, Vec::new());
    let mut text = Vec::new();
    report::print_markdown(&Page { title, subtitle, sections, records, profile, data, faces }, &mut text)?;
    Ok(String::from_utf8(text)?)
}

/// The part of a hub's name before the slash.
fn publisher(name: &str) -> Option<String> {
    bare(name).split_once('/').map(|(owner, _)| owner.to_owned()).filter(|owner| !owner.is_empty())
}

/// A name without the prefix of the program that keeps it.
fn bare(name: &str) -> &str {
    [bantam_hub::Keeper::Ollama, bantam_hub::Keeper::LmStudio]
        .into_iter()
        .find_map(|keeper| name.strip_prefix(keeper.prefix()))
        .unwrap_or(name)
}

/// A name for folders and for Ollama: letters, digits, and what stands between them.
fn safe(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.replace(" · ", "-").chars().map(safe).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { "model".into() } else { name.to_owned() }
}

/// What ends the model's turns, as it is written.
fn stops(tokenizer: &Tokenizer, config: &Config, template: &Option<ChatTemplate>) -> Vec<String> {
    let turn = template.as_ref().and_then(|template| template.turn_end(tokenizer));
    let mut stops = Vec::new();
    for token in turn.into_iter().chain(config.eos.iter().copied()) {
        let text = tokenizer.decode(&[token], Special::With).unwrap_or_default();
        if !text.trim().is_empty() && !stops.contains(&text) {
            stops.push(text);
        }
    }
    stops
}

fn put(file: &Path, place: &Path, copy: bool) -> Result<()> {
    if fs::symlink_metadata(place).is_ok() {
        fs::remove_file(place)?;
    }
    match copy {
        true => drop(fs::copy(file, place)?),
        false => symlink(file, place)?,
    }
    Ok(())
}

fn notes(template: &Option<ChatTemplate>, translated: bool, parts: usize) -> Vec<String> {
    let mut notes = Vec::new();
    match (template, translated) {
        (None, _) => notes.push("the model has no chat template; it completes texts".to_owned()),
        (Some(_), true) => notes.push(
            "the Modelfile's TEMPLATE writes plain conversations as the model's own template does; tools and thinking it \
             does not know"
                .into(),
        ),
        (Some(_), false) => notes.push(
            "the model's chat template does more than put marks around messages, so the Modelfile has none and Ollama takes \
             the file's own, where it knows it"
                .into(),
        ),
    }
    if parts > 1 {
        notes.push(format!(
            "it is split into {parts} files, which llama.cpp reads and Ollama does not: `llama-gguf-split --merge` makes one"
        ));
    }
    notes
}
