//! `bantam family build`: the whole family from nothing, or from where it was stopped. The tokenizer is learned once, then
//! one size after the other is trained and written. What is finished is not made again.

use super::export;
use super::reader::Reader;
use super::size::Size;
use super::tokenizer;
use crate::job::Cancel;
use crate::model::{Config, Decoder};
use crate::train::{AdamW, Plan, Progress, Trainer, Vars, next_token};
use anyhow::{Context, Result, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokenizers::Tokenizer;

/// The seed of everything: corpus, tokenizer, first weights.
pub const SEED: u64 = 1;

/// Tokens a step reads. On the corpus 2048 beats 4096 at the same number of tokens.
const BATCH: usize = 2048;

/// What to build, and where.
#[derive(Clone, Debug)]
pub struct Build {
    /// Where the finished folders go, one a size.
    pub out: PathBuf,
    /// Where checkpoints are kept meanwhile.
    pub work: PathBuf,
    pub sizes: Vec<&'static Size>,
    /// Threads that compute; the last bits of the weights depend on it.
    pub threads: usize,
    /// Tokens to train each size on, if not those of the table.
    pub tokens: Option<u64>,
    /// How often a checkpoint is written.
    pub checkpoint_every: Duration,
}

/// Builds it. Returns whether all is finished; when cancelled it is not, and the next call goes on.
pub fn build(build: &Build, cancel: &Cancel, say: &mut dyn FnMut(&Size, &Progress)) -> Result<bool> {
    fs::create_dir_all(&build.work).with_context(|| format!("{}: cannot be made", build.work.display()))?;
    let tokenizer = learned_tokenizer(&build.work.join("tokenizer.json"))?;
    for size in &build.sizes {
        if !build_size(build, size, &tokenizer, cancel, &mut |progress| say(size, progress))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The tokenizer of this build, learned if it is not there yet.
fn learned_tokenizer(path: &Path) -> Result<Tokenizer> {
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        let tokenizer = tokenizer::learn(SEED, tokenizer::DOCUMENTS)?;
        tokenizer.save(&unfinished, true).map_err(|error| anyhow!("{}: {error}", unfinished.display()))?;
        fs::rename(&unfinished, path).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    Tokenizer::from_file(path).map_err(|error| anyhow!("{}: {error}; delete it to learn it again", path.display()))
}

fn build_size(
    build: &Build,
    size: &Size,
    tokenizer: &Tokenizer,
    cancel: &Cancel,
    say: &mut dyn FnMut(&Progress),
) -> Result<bool> {
    let config = Config::from_json(size.config().to_string().as_bytes(), size.name)?;
    let vars = Vars::new(SEED, size.layers);
    let decoder = Decoder::new(&config, &vars)?;
    let reader = Reader { tokenizer: tokenizer.clone(), seed: SEED };
    let plan = Plan {
        schedule: size.schedule(build.tokens),
        optimizer: AdamW::default(),
        batch: BATCH,
        shards: build.threads,
    };
    let checkpoint = build.work.join(format!("{}.safetensors", size.name));
    let mut trainer = Trainer::new(plan, &vars, &decoder, &next_token, &reader)?;
    trainer.resume(&checkpoint)?;
    let finished = trainer.run(&checkpoint, build.checkpoint_every, cancel, say)?;
    if finished {
        export::write(&build.out.join(size.name), size, tokenizer, &vars)?;
    }
    Ok(finished)
}
