//! `embedding_classification`: are texts of one class near each other? A classifier learns from the embeddings of one
//! file and is asked on another.

use super::{Kind, Requests, Scored};
use crate::ask::Preparation;
use crate::data::{Dataset, Doc};
use crate::error::{Error, Key, either};
use crate::front::{RawClassifier, RawTask, Section};
use crate::metric::{self, Class, Scorer};
use crate::model::{Embedded, LanguageModel, TextRole};
use crate::probe::{Classifier, Probe};
use crate::prompt::TextKey;
use crate::settings::TaskSettings;
use crate::vectors::Vectors;
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::Serialize;
use std::collections::BTreeSet;

/// How many neighbours vote where a task does not say.
const NEIGHBORS: usize = 5;

#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingClassification {
    train: (Vectors, Train),
}

/// The texts that a classifier learns from.
#[derive(Debug, Serialize)]
struct Train {
    texts: Vec<String>,
    /// The class of each.
    classes: Vec<usize>,
    /// The classes' names, sorted.
    labels: Vec<String>,
    classifier: Classifier,
}

#[derive(Debug, Serialize)]
pub(crate) struct LabelRequest {
    text: String,
    /// One of the training set's classes.
    class: usize,
}

impl Kind for EmbeddingClassification {
    const NAME: &'static str = "embedding_classification";
    const REQUEST: &'static str = "sort";
    const KEYS: &'static [&'static str] =
        &["doc_to_target", "similarity", "pooling", "train_data", "classifier", "neighbors"];
    const METRICS: &'static [Metric] = &[Metric::Acc, Metric::MacroF1, Metric::Mcc];
    const PREPARES: bool = true;

    type Request = LabelRequest;
    type Prepared = Probe;
    type Answer = Embedded;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_class.is_some()
    }

    fn parse(section: &Section) -> Result<(EmbeddingClassification, Requests<EmbeddingClassification>), Error> {
        let Section { raw, data, key, .. } = *section;
        let train = section.data_of("train_data", &raw.train_data)?;
        let classifier = classifier(raw, train.docs.len(), key)?;

        let lines = |data: &Dataset| -> Result<Vec<(String, String)>, Error> {
            let text = TextKey::needed(&raw.doc_to_text, "doc_to_text", data, key)?;
            let label = TextKey::needed(&raw.doc_to_target, "doc_to_target", data, key)?;
            data.docs.iter().map(|doc| Ok((text.of(doc)?, label.of(doc)?))).collect()
        };
        let learnt = lines(&train)?;
        let labels: BTreeSet<String> = learnt.iter().map(|(_, label)| label.clone()).collect();
        let labels: Vec<String> = labels.into_iter().collect();
        if labels.len() < 2 {
            let only = either(&labels);
            return Err(key
                .at("train_data")
                .wrong(format!("has one class, {only}; at least two are needed to tell apart")));
        }
        let class = |label: &String| labels.binary_search(label).ok();
        let request = |((text, label), doc): ((String, String), &Doc)| match class(&label) {
            Some(class) => Ok(Some(LabelRequest { text, class })),
            None => {
                let (known, place) = (either(&labels), doc.place());
                Err(key
                    .at("doc_to_target")
                    .wrong(format!("'{label}' at {place} is no class of train_data; there are {known}")))
            }
        };
        let requests = lines(data)?.into_iter().zip(&data.docs).map(request).collect::<Result<_, Error>>()?;
        let classes = learnt.iter().filter_map(|(_, label)| class(label)).collect();
        let texts = learnt.into_iter().map(|(text, _)| text).collect();
        let train = Train { texts, classes, labels, classifier };
        Ok((EmbeddingClassification { train: (Vectors::parse(raw), train) }, requests))
    }

    fn chance(&self, _: &LabelRequest) -> Option<f64> {
        Some(1.0 / self.train.1.labels.len() as f64)
    }

    fn prepare(&self, preparation: &mut Preparation) -> Result<Option<Probe>> {
        let (vectors, train) = &self.train;
        let known = preparation.embed(*vectors, &train.texts, TextRole::Plain)?;
        Ok(known.map(|known| Probe::learn(train.classifier, known, &train.classes, train.labels.len())))
    }

    fn size(&self, request: &LabelRequest, _: &TaskSettings) -> usize {
        request.text.len()
    }

    fn ask(
        &self,
        _: &Probe,
        requests: &[&LabelRequest],
        _: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Embedded>> {
        let texts: Vec<&str> = requests.iter().map(|request| request.text.as_str()).collect();
        self.train.0.embed(&texts, TextRole::Plain, model)
    }

    fn score(&self, probe: &Probe, request: &LabelRequest, text: Embedded, settings: &TaskSettings) -> Result<Scored> {
        let class = Class { found: probe.class(&text.vector), right: request.class };
        let [target, answer] = [class.right, class.found].map(|class| Some(self.train.1.labels[class].clone()));
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_class?(&class))),
            choice: Some(class.found),
            target,
            answer,
            tokens: text.tokens,
            ..Scored::default()
        })
    }
}

fn classifier(raw: &RawTask, texts: usize, key: &Key) -> Result<Classifier, Error> {
    match (raw.classifier.unwrap_or(RawClassifier::Logistic), raw.neighbors) {
        (RawClassifier::Logistic, None) => Ok(Classifier::Logistic),
        (RawClassifier::Logistic, Some(_)) => {
            Err(key.at("neighbors").wrong("means nothing without classifier = \"knn\"; remove it or add that"))
        }
        (RawClassifier::Knn, neighbors) => {
            let neighbors = neighbors.unwrap_or(NEIGHBORS);
            match (1..=texts).contains(&neighbors) {
                true => Ok(Classifier::Nearest(neighbors)),
                false => Err(key.at("neighbors").wrong(format!("is {neighbors}; allowed is 1 to {texts}"))),
            }
        }
    }
}
