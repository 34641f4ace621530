//! How texts become vectors and vectors are held against each other: what the kinds of task that ask for embeddings
//! share.

use crate::front::RawTask;
use crate::model::{EmbedSettings, Embedded, LanguageModel, Pooling, TextRole};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// How texts become vectors and vectors are held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Vectors {
    pub(crate) similarity: Similarity,
    pub(crate) pooling: Pooling,
}

/// How near two vectors are: by their angle, or by their product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Similarity {
    #[default]
    Cosine,
    Dot,
}

impl Vectors {
    /// What a task says of its embeddings; cosine and mean where it says nothing.
    pub(crate) fn parse(raw: &RawTask) -> Vectors {
        Vectors { similarity: raw.similarity.unwrap_or_default(), pooling: raw.pooling.unwrap_or_default() }
    }

    /// A vector for each of a few texts, as it is compared.
    pub(crate) fn embed(self, texts: &[&str], role: TextRole, model: &mut dyn LanguageModel) -> Result<Vec<Embedded>> {
        let embedded = model.embed(texts, EmbedSettings { role, pooling: self.pooling })?;
        ensure!(embedded.len() == texts.len(), "the model gave {} vectors for {} texts", embedded.len(), texts.len());
        let prepared = |one: Embedded| Embedded { vector: self.similarity.prepare(one.vector), ..one };
        Ok(embedded.into_iter().map(prepared).collect())
    }
}

impl Similarity {
    /// A vector as it is compared: of length 1 for the cosine. Zeros stay.
    fn prepare(self, mut vector: Vec<f32>) -> Vec<f32> {
        if self == Similarity::Cosine {
            let length = dot(&vector, &vector).sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            }
        }
        vector
    }

    /// How near two vectors are. Equal ones have a cosine of exactly 1, so that equal texts tie in a ranking: the root
    /// of a rounded square is the number itself.
    pub(crate) fn between(self, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Similarity::Dot => dot(a, b),
            Similarity::Cosine => {
                let lengths = (dot(a, a) * dot(b, b)).sqrt();
                if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
            }
        }
    }
}

/// Σ a b, in double precision: scores that differ in the seventh digit are ranked.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const WIDE: usize = 8;
    let mut sums = [0f64; WIDE];
    let (a8, b8) = (a.chunks_exact(WIDE), b.chunks_exact(WIDE));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    for (a, b) in a8.zip(b8) {
        for place in 0..WIDE {
            sums[place] += f64::from(a[place]) * f64::from(b[place]);
        }
    }
    sums.iter().sum::<f64>() + tail
}
