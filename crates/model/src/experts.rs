//! A mixture of experts in place of a layer's MLP: a router gives each token to a few of many MLPs, whose outputs are
//! added up by weight. Tokens that go to one expert go through it together; an expert that no token goes to costs
//! nothing.
//!
//! The choice is discrete, and its weights are read out of the graph: gradients reach the experts and the stream, not
//! the router.

use candle_core::Tensor;

use super::architecture::{Routing, SharedExpert};
use super::builder::{Builder, Named};
use super::config;
use super::error::Result;
use super::linear::Linear;
use super::mlp::{Mlp, Parts};
use super::names::Part;
use super::ops::softmax;
use super::recurrent::sigmoid;

/// A layer's router, its experts, and the one shared by all tokens where there is one.
pub(crate) struct Experts {
    router: Linear,
    /// What is added to each expert's share while experts are chosen.
    bias: Option<Vec<f32>>,
    /// What each expert's answer is multiplied by besides.
    scales: Option<Vec<f32>>,
    all: Vec<Mlp>,
    shared: Option<Shared>,
    routing: Routing,
    facts: config::Experts,
}

/// The expert that every token goes to, weighted by sigmoid(router x) where it has a router.
struct Shared {
    mlp: Mlp,
    router: Option<Linear>,
}

/// A token's expert and what its answer is multiplied by.
type Choice = (usize, f32);

impl Experts {
    /// Builds the experts of the builder's layer.
    ///
    /// # Errors
    /// Where a matrix is missing or has another shape.
    pub(crate) fn new(builder: &Builder, facts: config::Experts) -> Result<Self> {
        let (dim, architecture) = (builder.config.dim, builder.config.architecture);
        let biased = architecture.routing == Routing::SoftmaxOfBest;
        let shared = |width| {
            let routed = architecture.shared == SharedExpert::OfWidth { routed: true };
            let router = routed.then(|| builder.linear(Part::SharedRouter, 1, dim, false)).transpose()?;
            let mlp = Mlp::one_of(builder, Parts::SHARED, width, builder.config.biases.mlp)?;
            Ok::<_, super::Error>(Shared { mlp, router })
        };
        Ok(Self {
            router: builder.linear(Part::Router, facts.count, dim, biased)?,
            bias: match facts.biased {
                true => Some(builder.bare(Part::RouterBias, facts.count)?.to_vec1()?),
                false => None,
            },
            scales: match architecture.parallel_experts {
                true => Some(builder.bare(Part::ExpertScale, facts.count)?.to_vec1()?),
                false => None,
            },
            all: (0..facts.count)
                .map(|expert| Mlp::one_of(builder, Parts::expert(expert), facts.ffn, biased))
                .collect::<Result<_>>()?,
            shared: facts.shared.map(shared).transpose()?,
            routing: architecture.routing,
            facts,
        })
    }

    /// Takes x (T, dim) to (T, dim).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_by(x, x)
    }

    /// Takes x (T, dim) to (T, dim) by the experts that the router chooses for what it reads, (T, dim).
    pub(crate) fn forward_by(&self, x: &Tensor, read: &Tensor) -> Result<Tensor> {
        let scores = self.router.forward(read)?.to_vec2::<f32>()?;
        let mut by_expert: Vec<Vec<(u32, f32)>> = vec![Vec::new(); self.all.len()];
        for (token, scores) in (0..).zip(&scores) {
            for (expert, weight) in self.choose(scores) {
                let scale = self.scales.as_ref().map_or(1.0, |scales| scales[expert]);
                by_expert[expert].push((token, weight * scale));
            }
        }
        let mut sum = x.zeros_like()?;
        for (expert, tokens) in self.all.iter().zip(&by_expert).filter(|(_, tokens)| !tokens.is_empty()) {
            let (rows, weights): (Vec<u32>, Vec<f32>) = tokens.iter().copied().unzip();
            let rows = Tensor::new(rows, x.device())?;
            let weights = Tensor::new(weights, x.device())?.unsqueeze(1)?;
            let y = expert.forward(&x.index_select(&rows, 0)?)?.broadcast_mul(&weights)?;
            sum = sum.index_add(&rows, &y, 0)?;
        }
        match &self.shared {
            None => Ok(sum),
            Some(Shared { mlp, router: None }) => Ok((sum + mlp.forward(x)?)?),
            Some(Shared { mlp, router: Some(router) }) => {
                Ok((sum + mlp.forward(x)?.broadcast_mul(&sigmoid(&router.forward(x)?)?)?)?)
            }
        }
    }

    fn choose(&self, scores: &[f32]) -> Vec<Choice> {
        match self.routing {
            Routing::SparseMixer => sparse_mixer(scores, self.facts.jitter),
            Routing::Sigmoid | Routing::GroupedSigmoid => {
                let shares: Vec<f32> = scores.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect();
                self.best_of(&shares)
            }
            Routing::BiasedSoftmax | Routing::GroupedSoftmax => self.best_of(&softmax(scores)),
            Routing::SoftmaxOfBest => {
                let order = in_order(scores, self.facts.used);
                let shares = softmax(&order.iter().map(|&expert| scores[expert]).collect::<Vec<f32>>());
                order.into_iter().zip(shares).collect()
            }
            Routing::None | Routing::Softmax | Routing::Normalized => {
                best(scores, self.facts.used, self.facts.normalized)
            }
        }
    }

    /// The experts of the highest shares, each with its bias on it, in the best groups; weighted by the shares alone.
    fn best_of(&self, shares: &[f32]) -> Vec<Choice> {
        let config::Experts { used, groups, groups_used, normalized, scale, .. } = self.facts;
        let bias = |expert: usize| self.bias.as_ref().map_or(0.0, |bias| bias[expert]);
        let mut biased: Vec<f32> = shares.iter().enumerate().map(|(expert, share)| share + bias(expert)).collect();
        let width = shares.len() / groups;
        if groups_used < groups {
            let counted = if self.routing == Routing::GroupedSoftmax { 1 } else { 2 };
            let best = |group: &[f32]| in_order(group, counted).into_iter().map(|expert| group[expert]).sum();
            let worth: Vec<f32> = biased.chunks_exact(width).map(best).collect();
            let chosen = in_order(&worth, groups_used);
            let out = (0..groups).filter(|group| !chosen.contains(group));
            out.for_each(|group| biased[group * width..(group + 1) * width].fill(f32::NEG_INFINITY));
        }
        let order = in_order(&biased, used);
        let total: f32 = if normalized { order.iter().map(|&e| shares[e]).sum::<f32>() + self.least() } else { 1.0 };
        order.into_iter().map(|expert| (expert, shares[expert] / total * scale)).collect()
    }

    /// What is added to the sum of shares before it is divided by.
    fn least(&self) -> f32 {
        if self.routing == Routing::Sigmoid { 1e-6 } else { 1e-20 }
    }

    /// Its matrices.
    pub(crate) fn linears(&self) -> Vec<Named<'_>> {
        let mut all = vec![(Part::Router, 0, &self.router)];
        all.extend(self.all.iter().flat_map(Mlp::linears));
        if let Some(Shared { mlp, router }) = &self.shared {
            all.extend(router.iter().map(|router| (Part::SharedRouter, 0, router)));
            all.extend(mlp.linears());
        }
        all
    }
}

/// The `used` experts of the highest scores, the first of equal ones, with their shares of the softmax over all.
fn best(scores: &[f32], used: usize, normalized: bool) -> Vec<Choice> {
    let shares = softmax(scores);
    let order = in_order(&shares, used);
    let total: f32 = if normalized { order.iter().map(|&e| shares[e]).sum() } else { 1.0 };
    order.into_iter().map(|expert| (expert, shares[expert] / total)).collect()
}

/// The places of the `used` highest, the first of equal ones first.
fn in_order(scores: &[f32], used: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(used);
    order
}

/// The best expert and the best of the others, each with its share among those whose scores come near its own: within
/// 2 `jitter` of it, relative to the larger size of the two.
fn sparse_mixer(scores: &[f32], jitter: f32) -> Vec<Choice> {
    let round = |scores: &[f32], original: &[f32]| {
        let top = super::sample::argmax(scores) as usize;
        let most = scores[top];
        let near = |(&score, &own): (&f32, &f32)| match (most - score) / own.abs().max(most) > 2.0 * jitter {
            true => f32::NEG_INFINITY,
            false => score,
        };
        let kept: Vec<f32> = scores.iter().zip(original).map(near).collect();
        (top, softmax(&kept)[top])
    };
    let first = round(scores, scores);
    let mut others = scores.to_vec();
    others[first.0] = f32::NEG_INFINITY;
    vec![first, round(&others, scores)]
}
