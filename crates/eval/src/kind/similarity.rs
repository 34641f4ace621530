//! `similarity`: do the embeddings of two texts go together as people say the texts do?

use super::{Kind, Requests, Scored};
use crate::ask::Preparation;
use crate::data::Doc;
use crate::error::Error;
use crate::front::Section;
use crate::metric::{self, Correlated, Scorer};
use crate::model::{Embedded, LanguageModel, TextRole};
use crate::prompt::TextKey;
use crate::settings::TaskSettings;
use crate::vectors::Vectors;
use anyhow::{Result, bail};
use bantam_core::metric::Metric;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Similarity {
    vectors: Vectors,
}

#[derive(Debug, Serialize)]
pub(crate) struct PairRequest {
    texts: [String; 2],
    /// How near people say they are.
    target: f64,
}

impl Kind for Similarity {
    const NAME: &'static str = "similarity";
    const REQUEST: &'static str = "compare";
    const KEYS: &'static [&'static str] = &["doc_to_target", "doc_to_pair", "similarity", "pooling"];
    const METRICS: &'static [Metric] = &[Metric::Spearman, Metric::Pearson];

    type Request = PairRequest;
    type Prepared = ();
    /// Of each of the two texts.
    type Answer = Vec<Embedded>;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_correlated.is_some()
    }

    fn parse(section: &Section) -> Result<(Similarity, Requests<Similarity>), Error> {
        let Section { raw, data, key, .. } = *section;
        let [one, other, target] = [
            TextKey::needed(&raw.doc_to_text, "doc_to_text", data, key)?,
            TextKey::needed(&raw.doc_to_pair, "doc_to_pair", data, key)?,
            TextKey::needed(&raw.doc_to_target, "doc_to_target", data, key)?,
        ];
        let request = |doc: &Doc| {
            let said = target.of(doc)?;
            let number = said.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            let target = number.ok_or_else(|| target.wrong(format!("'{said}' at {} is no number", doc.place())))?;
            Ok(Some(PairRequest { texts: [one.of(doc)?, other.of(doc)?], target }))
        };
        let requests = data.docs.iter().map(request).collect::<Result<_, Error>>()?;
        Ok((Similarity { vectors: Vectors::parse(raw) }, requests))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn size(&self, request: &PairRequest, _: &TaskSettings) -> usize {
        request.texts.iter().map(String::len).sum()
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&PairRequest],
        _: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Vec<Embedded>>> {
        let texts: Vec<&str> = requests.iter().flat_map(|request| &request.texts).map(String::as_str).collect();
        let mut answers = self.vectors.embed(&texts, TextRole::Plain, model)?.into_iter();
        Ok(requests.iter().map(|request| answers.by_ref().take(request.texts.len()).collect()).collect())
    }

    fn score(&self, _: &(), request: &PairRequest, given: Vec<Embedded>, settings: &TaskSettings) -> Result<Scored> {
        let [one, other] = given.as_slice() else { bail!("two texts need a vector each") };
        let value = self.vectors.similarity.between(&one.vector, &other.vector);
        let item = Correlated { value, target: request.target };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_correlated?(&item))),
            target: Some(request.target.to_string()),
            answer: Some(format!("{value:.4}")),
            tokens: one.tokens + other.tokens,
            ..Scored::default()
        })
    }
}
