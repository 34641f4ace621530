//! What was lost: variants of a model held against it over a text that none of them was made with.

use anyhow::{Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::stats::{Divergence, TokenLoss};
use bantam_model::Model;
use bantam_model::divergence::{Scored, Windows};

/// A model, and what it is called.
#[derive(Clone, Copy)]
pub struct Named<'m> {
    /// In sentences.
    pub name: &'m str,
    /// The model.
    pub model: &'m Model,
}

/// What is read: a text, and how.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'t> {
    /// The text.
    pub text: &'t str,
    /// Tokens of a window.
    pub ctx: usize,
    /// Windows to read, at most; all without.
    pub chunks: Option<usize>,
}

/// What a text told of several variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// Of each variant, in their order.
    pub variants: Vec<Divergence>,
    /// Windows that were read.
    pub chunks: usize,
    /// Windows that would have been, had nobody stopped it.
    pub of: usize,
}

/// Reads the text window by window with all models side by side. `progress` hears of each window that is done, of how
/// many, and each variant's mean divergence so far. Where it is cancelled, what was read until then counts.
///
/// # Errors
/// One sentence where a variant has another vocabulary than the base, the text is too short for one window or the
/// window too long for a model, or a model's numbers are damaged; and where it is cancelled before the first window is
/// done.
pub fn measure(
    base: Named,
    variants: &[Named],
    reading: Reading,
    cancel: &Cancel,
    progress: &mut dyn FnMut(usize, usize, &[f64]),
) -> Result<Lost> {
    let windows = windows(base, reading)?;
    variants.iter().try_for_each(|variant| same_vocabulary(base, *variant, reading, &windows))?;
    let models: Vec<&Model> = variants.iter().map(|variant| variant.model).collect();
    let mut found: Vec<Vec<TokenLoss>> = vec![Vec::new(); variants.len()];
    let mut done = 0;
    while done < windows.count() && !cancel.is_cancelled() {
        for (all, some) in found.iter_mut().zip(windows.compare(done, base.model, &models)?) {
            all.extend(some.into_iter().map(loss));
        }
        done += 1;
        let mean = |all: &Vec<TokenLoss>| all.iter().map(|token| token.divergence).sum::<f64>() / all.len() as f64;
        progress(done, windows.count(), &found.iter().map(mean).collect::<Vec<f64>>());
    }
    let variants: Option<Vec<Divergence>> = found.iter().map(|tokens| Divergence::of(tokens)).collect();
    match variants {
        Some(variants) => Ok(Lost { variants, chunks: done, of: windows.count() }),
        None => bail!("cancelled"),
    }
}

fn loss(scored: Scored) -> TokenLoss {
    let Scored { divergence, base_nll, nll, same_top } = scored;
    TokenLoss { divergence, base_nll, nll, same_top }
}

fn windows(of: Named, reading: Reading) -> Result<Windows> {
    let longest = of.model.max_length();
    ensure!(
        reading.ctx <= longest,
        "{} reads at most {longest} tokens, and a window has {}: give a shorter one",
        of.name,
        reading.ctx
    );
    Ok(Windows::new(&of.model.tokenizer, reading.text, reading.ctx, reading.chunks)?)
}

/// Predictions are compared token by token, so that both must mean the same tokens.
fn same_vocabulary(base: Named, variant: Named, reading: Reading, read: &Windows) -> Result<()> {
    let (has, other) = (base.model.config.vocab, variant.model.config.vocab);
    let differ = |how: String| {
        format!(
            "{} and {} have different vocabularies ({how}), and a KL divergence is one between predictions of the same tokens",
            base.name, variant.name
        )
    };
    ensure!(has == other, "{}", differ(format!("{has} and {other} tokens")));
    let own = windows(variant, reading)?;
    let at = own.tokens().iter().zip(read.tokens()).position(|(a, b)| a != b);
    match at {
        Some(at) => {
            bail!("{}", differ(format!("token {at} of the text is {} and {}", read.tokens()[at], own.tokens()[at])))
        }
        None if own.count() != read.count() || own.read(0) != read.read(0) => {
            bail!("{}", differ("the text becomes other tokens".into()))
        }
        None => Ok(()),
    }
}
