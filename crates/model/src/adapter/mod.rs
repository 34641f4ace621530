//! LoRA adapters in PEFT's form (adapter_config.json and adapter_model.safetensors) on a model: applied, so that each
//! matrix adds its low-rank part when it multiplies, or merged into the weights. Training adapters is not done here.
//!
//! `config` and `target` read what the adapter says of itself, `tensors` what is in its file, and `adapted` is the
//! source of weights that a graph is built from.

mod adapted;
mod config;
mod target;
mod tensors;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::architecture::Architecture;
use super::checkpoint::safetensors::Safetensors;
use super::config::Config;
use super::error::{Error, Result};
use super::names::Part;
use super::weights::Precision;
use tensors::{Role, Tensors};

pub use adapted::Adapted;
pub use config::Lora;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// How an adapter is put on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adaptation {
    /// Matrices stay as they are stored, and add the adapter's part to each product.
    #[default]
    Applied,
    /// Matrices become the f32 sums.
    Merged,
}

/// An adapter whose config is read and whose tensors are known by name.
#[derive(Debug)]
pub struct Adapter {
    folder: PathBuf,
    /// Its settings.
    pub lora: Lora,
    tensors: Tensors,
}

/// The modules at the two ends of a model, as its checkpoints name them.
#[derive(Clone)]
struct Ends {
    embedding: String,
    head: String,
    /// The head is the embedding.
    tied: bool,
    architecture: &'static Architecture,
}

impl Ends {
    fn of(config: &Config) -> Self {
        let name = |part| config.architecture.stem(part, 0, 0).expect("every family embeds and has a head");
        Self {
            embedding: name(Part::Embedding),
            head: name(Part::Head),
            tied: config.tied,
            architecture: config.architecture,
        }
    }
}

impl Adapter {
    /// Opens the adapter in a folder; its tensors are read when they are asked for.
    ///
    /// # Errors
    /// Where a file is missing or damaged, or the adapter is of a kind that bantam does not do.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = folder.join(CONFIG);
        let tensors = folder.join(TENSORS);
        let bytes = std::fs::read(&config).map_err(Error::read(&config))?;
        let lora = Lora::from_json(&bytes, &config.display().to_string())?;
        if !tensors.is_file() && folder.join("adapter_model.bin").is_file() {
            let file = folder.display().to_string();
            return Err(Error::unsupported(file, "adapter_model.bin (a pickle, which runs code)", TENSORS));
        }
        let files = Safetensors::file(&tensors, &Device::Cpu, Precision::F32)?;
        Ok(Self { folder: folder.to_owned(), lora, tensors: Tensors::new(files, &tensors.display().to_string())? })
    }

    /// Makes its tensors on another device than the CPU.
    pub fn on(self, device: &Device) -> Self {
        Self { tensors: self.tensors.on(device), ..self }
    }

    /// Gives the config of the model with this adapter: a head tied to the embedding becomes one by itself where the
    /// adapter changes one of the two.
    pub fn config(&self, base: Config) -> Config {
        let ends = Ends::of(&base);
        let of_head = self.module(&ends.head, &ends).is_some();
        let of_embedding = self
            .module(&ends.embedding, &ends)
            .is_some_and(|module| !self.lora.keeps_tie && (self.is_saved(&module) || self.is_updated(&module)));
        Config { tied: base.tied && !of_head && !of_embedding, ..base }
    }

    /// Checks that every tensor of it belongs to one of these modules of a graph.
    ///
    /// # Errors
    /// Where a tensor belongs to none of them; the error names one.
    pub fn check<'n>(&self, base: &Config, modules: impl Iterator<Item = &'n str>) -> Result<()> {
        let ends = Ends::of(base);
        let head = ends.tied.then(|| ends.head.clone());
        let modules = modules.map(str::to_owned).chain(head);
        self.check_used(&modules.filter_map(|module| self.module(&module, &ends)).collect())
    }

    /// The folder it was opened by.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files it consists of: its config and its tensors.
    pub fn files(&self) -> [PathBuf; 2] {
        [CONFIG, TENSORS].map(|name| self.folder.join(name))
    }

    /// How many modules it changes.
    pub fn module_count(&self) -> usize {
        self.tensors.modules().count()
    }

    /// How many numbers its tensors hold.
    pub fn parameters(&self) -> u64 {
        self.tensors.parameters()
    }

    /// The size of its tensors' file, in bytes.
    pub fn bytes(&self) -> u64 {
        self.tensors.bytes()
    }

    fn check_used(&self, used: &BTreeSet<String>) -> Result<()> {
        for (module, tensors) in self.tensors.modules() {
            let key = self.tensors.first_key(module);
            if !used.contains(module) {
                return Err(self.tensors.broken(key, "belongs to no module of the model"));
            }
            let is_head = module.rsplit('.').next().is_some_and(|last| matches!(last, "lm_head" | "embed_out"));
            let is_update = tensors.keys().any(|role| role.is_update());
            if is_update && !self.lora.targets.names(module, is_head) && !self.lora.keeps_tie {
                return Err(self.tensors.broken(key, "belongs to a module that target_modules does not name"));
            }
        }
        Ok(())
    }

    /// What the adapter calls a module of the graph, where it has tensors of it. One that was trained on the bare
    /// decoder, or on a larger model around it, has other beginnings of names.
    fn module(&self, of_graph: &str, ends: &Ends) -> Option<String> {
        let prefix = ends.embedding.split_once('.').map_or("", |(prefix, _)| prefix);
        let bare = of_graph.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        let candidates = [
            Some(of_graph.to_owned()),
            bare.map(str::to_owned),
            Some(format!("language_model.{of_graph}")),
            bare.map(|bare| format!("model.language_model.{bare}")),
        ];
        candidates.into_iter().flatten().find(|name| self.tensors.has(name))
    }

    /// It is trained and saved whole, by itself.
    fn is_saved(&self, module: &str) -> bool {
        self.lora.saved.iter().any(|pattern| pattern.matches(module))
    }

    fn is_updated(&self, module: &str) -> bool {
        [Role::A, Role::B, Role::EmbeddingA, Role::EmbeddingB].iter().any(|&role| self.tensors.has_role(module, role))
    }
}

/// "LoRA of rank 8 on 14 modules".
impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let method = match (self.lora.dora, self.lora.root_scale) {
            (false, false) => "LoRA",
            (false, true) => "rsLoRA",
            (true, false) => "DoRA",
            (true, true) => "rank-stabilised DoRA",
        };
        write!(f, "{method} of rank {} on {} modules", self.lora.rank, self.module_count())
    }
}
