//! `--verify` of `compress` and `export`: what was written is read back from the disk, and the model that it is must do
//! as the one that it was made of.

use crate::library::models;
use crate::show::out::note;
use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::digest;
use bantam_core::record::Place;
use bantam_model::tokenizer::Special;
use bantam_model::{LoadOptions, Model, Precision, Span, argmax};
use std::path::Path;

/// A text that most vocabularies have many different tokens for.
const TEXT: &str =
    "In 1869, café owners in Bergen sold 3,141 cups a day — \"naïve\", they said; 日本語 🚀\n\n\tif x != 7:";
/// Tokens that are read, at most.
const MOST_TOKENS: usize = 64;

/// What numbers may differ by, as a share of the largest logit.
pub(super) enum Allowed {
    /// Nothing but rounding to a type of plain numbers.
    Rounding,
    /// Whatever a recipe makes of the weights and the tokenizer: how far its answers moved is said and not judged.
    Recipe,
}

/// Reads a file again and refuses it where it is not what was written.
pub(super) fn bytes(file: &Path, sha256: &str) -> Result<()> {
    let read = digest::here()
        .sha256_anew(file, &Cancel::new())
        .with_context(|| format!("{}: cannot be read back", file.display()))?;
    ensure!(
        read == sha256,
        "{}: what is read back is not what was written (SHA-256 {read} and not {sha256}): its disk or this machine's memory \
         loses bits; remove the file",
        file.display()
    );
    Ok(())
}

/// Loads both models in full precision, the first with its adapter, and compares the tokens of a text and the logits after each of them.
///
/// # Errors
/// Where one does not load, the tokens are others, a number is none, or more than what is `allowed` lies between the two.
pub(super) fn models(first: &Place, adapter: Option<&Path>, second: &Place, allowed: Allowed) -> Result<()> {
    // one after the other, so that both are not held at once
    let of = |place: &Place, adapter: Option<&Path>| -> Result<(Vec<u32>, Vec<Vec<f32>>)> {
        let adapter = adapter.map(Path::to_path_buf);
        answers(&models::load(place, &LoadOptions { precision: Precision::F32, adapter, ..LoadOptions::default() })?)
    };
    let (tokens, before) = of(first, adapter).context("--verify: the model that it was made of")?;
    let (again, after) = of(second, None).context("--verify: what was written")?;
    note!("{}", verdict((&tokens, &before), (&again, &after), &allowed)?);
    Ok(())
}

type Answers<'a> = (&'a [u32], &'a [Vec<f32>]);

/// What was verified, and what was only seen.
fn verdict((tokens, before): Answers, (again, after): Answers, allowed: &Allowed) -> Result<String> {
    ensure!(after.iter().flatten().all(|x| x.is_finite()), "--verify: there are logits that are no numbers");
    let same_words = before.first().map(Vec::len) == after.first().map(Vec::len);
    match allowed {
        Allowed::Rounding => {
            ensure!(
                tokens == again,
                "--verify: what was written makes other tokens of a text than the model that it was made of"
            );
            let found = Difference::of(before, after)?;
            ensure!(
                found.share <= ROUNDING,
                "--verify: what was written answers otherwise than the model that it was made of: {}",
                found.words()
            );
            Ok(format!("verified: read back whole, the same tokens, and the same answers but for rounding: {}", found.words()))
        }
        Allowed::Recipe if tokens == again && same_words => Ok(format!(
            "verified: read back as it was written, it loads, makes the same tokens and answers in numbers; how far the recipe \
             moved its answers is not judged here (`bantam compare --kld` measures it): {}",
            Difference::of(before, after)?.words()
        )),
        Allowed::Recipe => Ok(
            "verified: read back as it was written, it loads and answers in numbers; it has other tokens than the model that it was \
             made of, so that the two were not compared"
                .into(),
        ),
    }
}

/// What F16 and BF16 do to logits at most, as a share of the largest; what goes wrong is of its size.
const ROUNDING: f64 = 0.1;

fn answers(model: &Model) -> Result<(Vec<u32>, Vec<Vec<f32>>)> {
    let mut tokens = model.tokenizer.encode(TEXT, Special::With)?;
    tokens.truncate(MOST_TOKENS.min(model.max_length()));
    let span = Span { len: tokens.len(), parent: None, past: None };
    let hidden = model.decoder.forward(&tokens, &[span], &mut [])?;
    let flat: Vec<f32> = model.decoder.logits(&hidden)?.flatten_all()?.to_vec1()?;
    ensure!(!tokens.is_empty() && !flat.is_empty(), "its tokenizer makes no token of a text");
    let width = flat.len() / tokens.len();
    Ok((tokens, flat.chunks_exact(width).map(<[f32]>::to_vec).collect()))
}

/// How far two sets of logits lie apart.
struct Difference {
    most: f64,
    share: f64,
    /// After how many tokens the likeliest next one is the same, and of how many.
    same: usize,
    of: usize,
}

impl Difference {
    fn of(before: &[Vec<f32>], after: &[Vec<f32>]) -> Result<Difference> {
        let numbers = |of: &[Vec<f32>]| of.iter().flatten().all(|x| x.is_finite());
        ensure!(numbers(before) && numbers(after), "--verify: there are logits that are no numbers");
        ensure!(
            before.len() == after.len(),
            "--verify: one model answers after {} tokens, the other after {}",
            before.len(),
            after.len()
        );
        let pairs = || before.iter().zip(after);
        let far =
            |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        let most = pairs().map(far).fold(0.0, f64::max);
        let largest = before.iter().flatten().map(|x| f64::from(x.abs())).fold(f64::MIN_POSITIVE, f64::max);
        let same = pairs().filter(|(a, b)| argmax(a) == argmax(b)).count();
        Ok(Difference { most, share: most / largest, same, of: before.len() })
    }

    fn words(&self) -> String {
        format!(
            "logits at most {:.3} apart ({:.2}% of the largest); the likeliest next token is the same {} of {} times",
            self.most,
            self.share * 100.0,
            self.same,
            self.of
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_its_size_and_by_what_it_changes() {
        let before = [vec![1.0, 2.0, -4.0], vec![3.0, 0.0, 0.0]];
        let after = [vec![1.0, 2.0, -4.0], vec![3.0, 3.5, 0.0]];
        let found = Difference::of(&before, &after).expect("numbers");
        assert_eq!((found.most, found.share, found.same, found.of), (3.5, 0.875, 1, 2));
        assert!(Difference::of(&before, &before).expect("numbers").share < ROUNDING);
        assert!(Difference::of(&before, &[vec![1.0, 2.0, f32::NAN], vec![0.0; 3]]).is_err());
        assert!(Difference::of(&before, &after[..1]).is_err());
    }

    #[test]
    fn it_is_said_what_was_verified_and_what_was_not() {
        let (tokens, other) = (vec![1, 2], vec![1, 0, 1]);
        let (before, moved) = (vec![vec![1.0, 2.0], vec![3.0, 0.0]], vec![vec![9.0, 2.0], vec![3.0, 7.0]]);
        let of = |again: &[u32], after: &[Vec<f32>], allowed| verdict((&tokens, &before), (again, after), &allowed);
        let same = of(&tokens, &before, Allowed::Rounding).expect("the same");
        assert!(same.contains("the same answers but for rounding"), "{same}");
        assert!(of(&tokens, &moved, Allowed::Rounding).is_err() && of(&other, &before, Allowed::Rounding).is_err());
        let pruned = of(&tokens, &moved, Allowed::Recipe).expect("a recipe may");
        assert!(pruned.contains("is not judged here") && pruned.contains("8.000 apart"), "{pruned}");
        // a trimmed tokenizer
        let trimmed = of(&other, &[vec![1.0], vec![2.0], vec![0.5]], Allowed::Recipe).expect("a recipe may");
        assert!(trimmed.contains("it has other tokens") && !trimmed.contains("apart"), "{trimmed}");
        assert!(of(&tokens, &[vec![f32::NAN, 0.0], vec![0.0; 2]], Allowed::Recipe).is_err());
    }

    #[test]
    fn a_file_that_changed_is_not_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x");
        std::fs::write(&file, "abc").expect("written");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(bytes(&file, sha256).is_ok());
        std::fs::write(&file, "abd").expect("written");
        let said = bytes(&file, sha256).expect_err("another file").to_string();
        assert!(said.contains("is not what was written"), "{said}");
    }

    #[test]
    fn a_model_is_verified_against_itself_and_not_against_another() {
        let place = |name: &str| Place::Bundled(name.into());
        assert!(models(&place("bantam-s"), None, &place("bantam-s"), Allowed::Rounding).is_ok());
        assert!(models(&place("bantam-s"), None, &place("bantam-m"), Allowed::Rounding).is_err());
    }
}
