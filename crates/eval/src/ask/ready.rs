//! What a task's items are asked with, made before the first of them: which classes of a head mean which choice, the
//! vectors of the documents that are searched, a classifier that has learnt.

use super::Asked;
use crate::material::{Material, Vectors};
use crate::model::{Embedded, How, LanguageModel, Role};
use crate::score::{self, Probe};
use crate::task::{Request, Task};
use anyhow::{Result, ensure};
use bantam_core::cancel::Cancel;

/// Texts beside the items are read so many at a time: they are not stored one by one.
const TEXTS: usize = 64;

/// What a task's items are asked with.
pub enum Ready {
    Nothing,
    /// For each choice the classes of the model's head that mean it.
    Head(Vec<Vec<usize>>),
    Pairs(Vectors),
    /// The documents' vectors, in the order of the corpus.
    Documents(Vectors, Vec<Vec<f32>>),
    Learnt(Vectors, Probe),
}

impl Ready {
    /// Reads what stands beside the items; None where `cancel` asked for an end meanwhile.
    pub fn make(
        task: &Task,
        model: &mut dyn LanguageModel,
        cancel: &Cancel,
        asked: &mut Asked,
    ) -> Result<Option<Ready>> {
        let mut read =
            |vectors: &Vectors, texts: &[String], role| embed_all(vectors, texts, role, model, cancel, asked);
        Ok(match &task.material {
            Material::None => Some(Ready::Nothing),
            Material::Vectors(vectors) => Some(Ready::Pairs(*vectors)),
            Material::Corpus(vectors, corpus) => {
                read(vectors, &corpus.texts, Role::Document)?.map(|documents| Ready::Documents(*vectors, documents))
            }
            Material::Train(vectors, train) => read(vectors, &train.texts, Role::Plain)?.map(|known| {
                let probe = Probe::learn(train.classifier, known, &train.classes, train.labels.len());
                Ready::Learnt(*vectors, probe)
            }),
            Material::Head(named) => Some(match model.classes() {
                None => Ready::Nothing,
                Some(classes) => Ready::Head(score::mapped(choices(task), named.as_deref(), &classes)?),
            }),
        })
    }

    /// How the items' own texts become vectors.
    pub fn vectors(&self) -> Option<(&Vectors, Role)> {
        match self {
            Ready::Nothing | Ready::Head(_) => None,
            Ready::Documents(vectors, _) => Some((vectors, Role::Query)),
            Ready::Pairs(vectors) | Ready::Learnt(vectors, _) => Some((vectors, Role::Plain)),
        }
    }
}

/// The classes of a classification, which are the same for all its items.
fn choices(task: &Task) -> &[String] {
    match task.items.first().map(|item| &item.request) {
        Some(Request::Classify { choices, .. }) => choices,
        _ => &[],
    }
}

/// A vector for each of many texts, as it is compared; None after a cancel.
fn embed_all(
    vectors: &Vectors,
    texts: &[String],
    role: Role,
    model: &mut dyn LanguageModel,
    cancel: &Cancel,
    asked: &mut Asked,
) -> Result<Option<Vec<Vec<f32>>>> {
    let mut all = Vec::with_capacity(texts.len());
    for some in texts.chunks(TEXTS) {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        let embedded = embed(vectors, &some, role, model)?;
        asked.texts += embedded.len();
        asked.truncated_texts += embedded.iter().filter(|one| one.truncated).count();
        all.extend(embedded.into_iter().map(|one| one.vector));
    }
    Ok(Some(all))
}

/// A vector for each of a few texts, as it is compared.
pub fn embed(vectors: &Vectors, texts: &[&str], role: Role, model: &mut dyn LanguageModel) -> Result<Vec<Embedded>> {
    let embedded = model.embed(texts, How { role, pooling: vectors.pooling })?;
    ensure!(embedded.len() == texts.len(), "the model gave {} vectors for {} texts", embedded.len(), texts.len());
    let prepared = |one: Embedded| Embedded { vector: vectors.similarity.prepare(one.vector), ..one };
    Ok(embedded.into_iter().map(prepared).collect())
}
