//! What a task has beside its items: how the classes of a head are called, the documents that are searched, the texts that
//! are learnt from. It is part of the task's identity, and the same for every item.

use super::model::Pooling;
use serde::{Deserialize, Serialize};

/// What stands beside the items, by the kind of task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Material {
    None,
    /// For each choice the head's classes that mean it; None finds them by name.
    Head(Option<Vec<Vec<ClassName>>>),
    Vectors(Vectors),
    Corpus(Vectors, Corpus),
    Train(Vectors, Train),
}

/// How texts become vectors and vectors are held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Vectors {
    pub similarity: Similarity,
    pub pooling: Pooling,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Similarity {
    #[default]
    Cosine,
    Dot,
}

/// A class of a head, as a suite's file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassName {
    Number(usize),
    Name(String),
}

impl std::fmt::Display for ClassName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClassName::Number(number) => write!(f, "{number}"),
            ClassName::Name(name) => f.write_str(name),
        }
    }
}

/// The documents that are searched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Corpus {
    pub ids: Vec<String>,
    pub texts: Vec<String>,
}

/// The texts that a classifier learns from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Train {
    pub texts: Vec<String>,
    /// The class of each.
    pub classes: Vec<usize>,
    /// The classes' names, sorted.
    pub labels: Vec<String>,
    pub classifier: Classifier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Classifier {
    Logistic,
    /// The most frequent class among so many of the nearest texts.
    Nearest(usize),
}

impl Material {
    /// How many classes there are to learn.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Material::Train(_, train) => Some(train.labels.len()),
            _ => None,
        }
    }
}

impl Similarity {
    /// A vector as it is compared: of length 1 for the cosine. Zeros stay.
    pub fn prepare(self, mut vector: Vec<f32>) -> Vec<f32> {
        if self == Similarity::Cosine {
            let length = dot(&vector, &vector).sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            }
        }
        vector
    }

    /// How near two vectors are. Equal ones have a cosine of exactly 1, so that equal texts tie in a ranking: the root of
    /// a rounded square is the number itself.
    pub fn between(self, a: &[f32], b: &[f32]) -> f64 {
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
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0f64; LANES];
    let (a8, b8) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    for (a, b) in a8.zip(b8) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    sums.iter().sum::<f64>() + tail
}
