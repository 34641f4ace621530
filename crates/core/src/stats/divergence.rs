//! How far one model's predictions lie from another's over a text, in llama-perplexity's words and definitions
//! (`kl_divergence` in tools/perplexity/perplexity.cpp of llama.cpp), so that its numbers and these can be laid side by
//! side. An error behind ± is a standard error of tokens taken as independent, as it is there.

use super::percentile::of_sorted;
use serde::Serialize;

/// What two models say of one token that really came next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLoss {
    /// Σ p·ln(p/q) over the vocabulary, p the base's probabilities and q the variant's.
    pub divergence: f64,
    /// −ln of the base's probability of the token.
    pub base_nll: f64,
    /// −ln of the variant's.
    pub nll: f64,
    /// Whether both find the same token the likeliest.
    pub same_top: bool,
}

/// A number and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The number itself.
    pub value: f64,
    /// Its standard error; None of one token alone, which tells nothing of others.
    pub error: Option<f64>,
}

/// What a text tells of a variant against its base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// Tokens that were scored.
    pub tokens: usize,
    /// Mean KL divergence, in nats.
    pub mean: Figure,
    /// The middle one.
    pub median: f64,
    /// 90% of the tokens diverge by less.
    pub p90: f64,
    /// 95% do.
    pub p95: f64,
    /// 99% do.
    pub p99: f64,
    /// 99.9% do.
    pub p999: f64,
    /// The largest.
    pub max: f64,
    /// Mean change of the right token's probability, variant less base.
    pub mean_delta_p: Figure,
    /// Root of the mean square of that change.
    pub rms_delta_p: Figure,
    /// Share of tokens of which both find the same one the likeliest.
    pub same_top: Figure,
    /// The base's perplexity.
    pub base_perplexity: Figure,
    /// The variant's.
    pub perplexity: Figure,
    /// ln of the variant's perplexity over the base's, with the error of pairs.
    pub ln_ratio: Figure,
    /// The variant's perplexity over the base's, with the error of pairs.
    pub ratio: Figure,
}

impl Divergence {
    /// Sums up what was found of each token; None where there was none.
    pub fn of(tokens: &[TokenLoss]) -> Option<Divergence> {
        let mut divergences: Vec<f64> = tokens.iter().map(|token| token.divergence).collect();
        divergences.sort_by(f64::total_cmp);
        let max = *divergences.last()?;
        let at = |percent| of_sorted(&divergences, percent);
        let change = |token: &TokenLoss| (-token.nll).exp() - (-token.base_nll).exp();
        let square = mean(tokens, |token| change(token).powi(2));
        let rms = square.value.sqrt();
        let top = mean(tokens, |token| f64::from(u8::from(token.same_top)));
        let ln_ratio = mean(tokens, |token| token.nll - token.base_nll);
        Some(Divergence {
            tokens: tokens.len(),
            mean: mean(tokens, |token| token.divergence),
            median: at(50.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            p999: at(99.9),
            max,
            mean_delta_p: mean(tokens, change),
            rms_delta_p: Figure {
                value: rms,
                error: square.error.map(|error| if rms > 0.0 { 0.5 / rms * error } else { 0.0 }),
            },
            same_top: top,
            base_perplexity: exp(mean(tokens, |token| token.base_nll)),
            perplexity: exp(mean(tokens, |token| token.nll)),
            ln_ratio,
            ratio: exp(ln_ratio),
        })
    }
}

/// The mean and its standard error.
fn mean(tokens: &[TokenLoss], of: impl Fn(&TokenLoss) -> f64) -> Figure {
    let n = tokens.len() as f64;
    let value = tokens.iter().map(&of).sum::<f64>() / n;
    let variance = tokens.iter().map(|token| (of(token) - value).powi(2)).sum::<f64>() / n;
    Figure { value, error: (n > 1.0).then(|| (variance / (n - 1.0)).sqrt()) }
}

/// e to the power of it; the error is carried along by the slope.
fn exp(power: Figure) -> Figure {
    let value = power.value.exp();
    Figure { value, error: power.error.map(|error| value * error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(divergence: f64, base: f64, p: f64, same_top: bool) -> TokenLoss {
        TokenLoss { divergence, base_nll: -base.ln(), nll: -p.ln(), same_top }
    }

    fn error(figure: Figure) -> f64 {
        figure.error.expect("several tokens")
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn nothing_is_lost_between_a_model_and_itself() {
        let tokens = [0.5, 0.1, 0.9].map(|p| token(0.0, p, p, true));
        let found = Divergence::of(&tokens).expect("tokens");
        assert_eq!((found.mean, found.max), (Figure { value: 0.0, error: Some(0.0) }, 0.0));
        assert_eq!((found.rms_delta_p.value, found.rms_delta_p.error), (0.0, Some(0.0)));
        assert_eq!((found.ratio.value, found.same_top.value), (1.0, 1.0));
        assert!(Divergence::of(&[]).is_none());
    }

    /// Worked by hand: changes of −0.1 and −0.3 are a root mean square of √0.05, and the ratio is √(0.5/0.4 · 0.5/0.2).
    #[test]
    fn figures_are_those_of_their_definitions() {
        let found = Divergence::of(&[token(0.2, 0.5, 0.4, true), token(0.6, 0.5, 0.2, false)]).expect("tokens");
        assert!(near(found.mean.value, 0.4) && near(error(found.mean), 0.2) && near(found.median, 0.4));
        assert!(near(found.p90, 0.56) && near(found.max, 0.6));
        assert!(near(found.mean_delta_p.value, -0.2) && near(found.rms_delta_p.value, 0.05f64.sqrt()));
        assert!(near(found.same_top.value, 0.5) && near(error(found.same_top), 0.5));
        assert!(near(found.base_perplexity.value, 2.0) && near(found.perplexity.value, 12.5f64.sqrt()));
        assert!(near(found.ratio.value, 3.125f64.sqrt()) && near(found.ln_ratio.value, 0.5 * 3.125f64.ln()));
    }

    #[test]
    fn one_token_has_no_error() {
        let found = Divergence::of(&[token(0.2, 0.5, 0.4, true)]).expect("a token");
        let figures = [found.mean, found.rms_delta_p, found.same_top, found.perplexity, found.ratio];
        assert_eq!(figures.map(|figure| figure.error), [None; 5]);
    }

    /// The error of the ratio is that of pairs, and so none where every token loses alike, however unlike the tokens.
    #[test]
    fn a_ratio_has_the_error_of_pairs() {
        let tokens: Vec<TokenLoss> =
            (1..30).map(|i| token(0.1, 1.0 / f64::from(i), 0.9 / f64::from(i), true)).collect();
        let found = Divergence::of(&tokens).expect("tokens");
        assert!(near(found.ratio.value, 1.0 / 0.9) && error(found.ratio) < 1e-9);
        assert!(error(found.perplexity) > 1.0 && error(found.base_perplexity) > 1.0);
    }
}
