//! `cargo xtask models`: the whole family from nothing, or from where it was stopped. The tokenizer is learned once, then
//! one size after the other is trained and written. What is finished is not made again.

use super::export;
use super::reader::Reader;
use super::size::Size;
use super::tokenizer;
use anyhow::{Context, Result, anyhow};
use bantam_core::cancel::Cancel;
use bantam_lab::train::{AdamW, Taped, Trainer, TrainingPlan, TrainingProgress, Vars, next_token};
use bantam_model::{Config, Decoder};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokenizers::Tokenizer;

/// The seed of everything: corpus, tokenizer, first weights.
pub(crate) const SEED: u64 = 1;

/// Tokens a step reads. On the corpus 2048 beats 4096 at the same number of tokens.
const BATCH: usize = 2048;

/// What to build, and where.
#[derive(Clone, Debug)]
pub(crate) struct Build {
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
pub(crate) fn build(build: &Build, cancel: &Cancel, say: &mut dyn FnMut(&Size, &TrainingProgress)) -> Result<bool> {
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
    say: &mut dyn FnMut(&TrainingProgress),
) -> Result<bool> {
    let config = Config::from_json(size.config().to_string().as_bytes(), size.name)?;
    let vars = Vars::new(SEED, size.layers);
    let decoder = Decoder::new(&config, &vars)?;
    let reader = Reader { tokenizer: tokenizer.clone(), seed: SEED };
    let plan = TrainingPlan {
        schedule: size.schedule(build.tokens),
        optimizer: AdamW::default(),
        batch: BATCH,
        pass: BATCH,
        shards: build.threads,
    };
    let checkpoint = build.work.join(format!("{}.safetensors", size.name));
    let objective = Taped::new(&decoder, &next_token);
    let mut trainer = Trainer::new(plan, vars.all(), &objective, &reader)?;
    trainer.resume(&checkpoint)?;
    let finished = trainer.run(&checkpoint, build.checkpoint_every, cancel, say)?;
    if finished {
        export::write(&build.out.join(size.name), size, tokenizer, &vars)?;
    }
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::SIZES;
    use bantam_model::Precision;
    use bantam_model::checkpoint::safetensors::Safetensors;
    use candle_core::Device;

    /// A build of the smallest size for three steps, with a tokenizer learned from little.
    fn tiny(dir: &Path) -> Build {
        let work = dir.join("work");
        fs::create_dir_all(&work).unwrap();
        tokenizer::learn(SEED, 200).unwrap().save(work.join("tokenizer.json"), false).unwrap();
        let (out, sizes) = (dir.join("models"), vec![&SIZES[0]]);
        Build { out, work, sizes, threads: 1, tokens: Some(5_000), checkpoint_every: Duration::ZERO }
    }

    #[test]
    fn a_build_stopped_and_called_again_writes_the_same_model_as_an_undisturbed_one() {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(build(&tiny(whole.path()), &Cancel::new(), &mut |_, _| {}).unwrap());

        let (stopped, cancel) = (tiny(parts.path()), Cancel::new());
        assert!(!build(&stopped, &cancel, &mut |_, _| cancel.cancel()).unwrap());
        assert!(!stopped.out.exists());
        let mut steps = Vec::new();
        assert!(build(&stopped, &Cancel::new(), &mut |_, progress| steps.push(progress.steps)).unwrap());
        assert_eq!(steps, [2, 3]);

        let file = |dir: &Path, name: &str| fs::read(dir.join("models/bantam-s").join(name)).unwrap();
        for name in
            ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
        {
            assert_eq!(file(whole.path(), name), file(parts.path(), name), "{name}");
        }
    }

    #[test]
    fn what_is_written_loads_as_the_model_that_was_trained() {
        let dir = tempfile::tempdir().unwrap();
        let tiny = tiny(dir.path());
        build(&tiny, &Cancel::new(), &mut |_, _| {}).unwrap();
        let folder = tiny.out.join("bantam-s");
        let config = Config::from_json(&fs::read(folder.join("config.json")).unwrap(), "config.json").unwrap();
        let weights = Safetensors::open(&folder, &Device::Cpu, Precision::AsStored).unwrap();
        let vars = Vars::new(SEED, config.layers.len());
        Decoder::new(&config, &vars).unwrap();
        let mut names: Vec<String> = weights.names().into_iter().map(str::to_owned).collect();
        names.sort();
        assert_eq!(names, vars.all().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        let decoder = Decoder::new(&config, &weights).unwrap();
        let span = bantam_model::Span { len: 3, parent: None, past: None };
        let logits = decoder.logits(&decoder.forward(&[5, 6, 7], &[span], &mut []).unwrap()).unwrap();
        assert!(logits.to_vec2::<f32>().unwrap().iter().flatten().all(|x| x.is_finite()));
    }
}
