//! A preparation: the recipe's steps done to the model, below the folder of artifacts.

use super::{Replies, sentence};
use crate::library::models;
use crate::run::protocol::{Prepared, Reply};
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_core::record::{Failure, Place, Variant};
use bantam_core::unit::Bytes;
use bantam_lab::{self as lab, Recipe, Stage};
use std::path::Path;

/// Progress is said in steps of this share.
const STEP: f64 = 0.01;

pub(super) fn prepare(variant: &Variant, artifacts: &Path, cancel: &Cancel, replies: &Replies) -> Reply {
    match make(variant, artifacts, cancel, replies) {
        Ok(prepared) => Reply::Prepared(prepared),
        Err(error) => Reply::Failed(Failure::Compress { message: sentence(&error) }),
    }
}

fn make(variant: &Variant, artifacts: &Path, cancel: &Cancel, replies: &Replies) -> Result<Prepared> {
    let name = variant.recipe.as_deref().unwrap_or("base");
    let recipe = Recipe::parse(name, &variant.steps)?;
    let source = models::source(&variant.model.name, &variant.model.place)?.watched(cancel, Box::new(|_, _, _| ()));
    let source = source.of_commit(variant.model.commit.clone());
    let mut said = -STEP;
    let artifact = lab::apply(&source, &recipe, artifacts, cancel, &mut |progress| {
        if let Stage::Wait { holder } = progress.stage {
            return replies.say(&Reply::Waits { holder });
        }
        let fraction = progress.done as f64 / progress.total.max(1) as f64;
        if (fraction - said).abs() >= STEP {
            said = fraction;
            replies.say(&Reply::Preparing { fraction });
        }
    })?;
    Ok(Prepared { place: Place::Gguf(artifact.path), bytes: Bytes(artifact.bytes) })
}
