//! `retrieval`: are the documents that answer a query nearest to it? BEIR's queries, corpus and judgements.

use super::{Kind, Requests, Scored};
use crate::ask::Preparation;
use crate::data::{Dataset, Doc};
use crate::error::{Error, Key};
use crate::front::{RawTask, Section};
use crate::metric::{self, Ranking, Scorer};
use crate::model::{Embedded, LanguageModel, TextRole};
use crate::prompt::TextKey;
use crate::settings::TaskSettings;
use crate::vectors::{Vectors, dot};
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug, Serialize)]
pub(crate) struct Retrieval {
    corpus: (Vectors, Corpus),
}

/// The documents that are searched.
#[derive(Debug, Serialize)]
struct Corpus {
    ids: Vec<String>,
    texts: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct QueryRequest {
    query: String,
    /// Documents of the corpus by their place in it, and how relevant they are; at least one is.
    relevant: BTreeMap<usize, f64>,
    /// A document that is the query itself and is not to be found.
    itself: Option<usize>,
}

impl Kind for Retrieval {
    const NAME: &'static str = "retrieval";
    const REQUEST: &'static str = "find";
    const KEYS: &'static [&'static str] = &[
        "similarity",
        "pooling",
        "doc_to_id",
        "corpus_data",
        "corpus_to_id",
        "corpus_to_text",
        "qrels_data",
        "ignore_identical_ids",
    ];
    const METRICS: &'static [Metric] = &[Metric::NdcgAt10, Metric::RecallAt10];
    const PREPARES: bool = true;

    type Request = QueryRequest;
    /// The documents' vectors, in the order of the corpus.
    type Prepared = Vec<Vec<f32>>;
    type Answer = Embedded;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_ranking.is_some()
    }

    fn parse(section: &Section) -> Result<(Retrieval, Requests<Retrieval>), Error> {
        let Section { raw, data, key, .. } = *section;
        let corpus = corpus(raw, &section.data_of("corpus_data", &raw.corpus_data)?, key)?;
        let places: HashMap<&str, usize> = corpus.ids.iter().map(String::as_str).zip(0..).collect();
        let judged = judgements(&section.data_of("qrels_data", &raw.qrels_data)?, &places, &key.at("qrels_data"))?;

        let id = TextKey::or_field(&raw.doc_to_id, "doc_to_id", "_id", data, key)?;
        let text = TextKey::or_field(&raw.doc_to_text, "doc_to_text", "text", data, key)?;
        let mut seen = BTreeSet::new();
        let request = |doc: &Doc| {
            let (name, query) = (id.of(doc)?, text.of(doc)?);
            if !seen.insert(name.clone()) {
                return Err(id.wrong(format!("'{name}' is there twice, again at {}", doc.place())));
            }
            let relevant = judged.get(&name).filter(|judged| judged.values().any(|gain| *gain > 0.0));
            let itself = places.get(name.as_str()).copied().filter(|_| raw.ignore_identical_ids == Some(true));
            Ok(relevant.map(|relevant| QueryRequest { query, relevant: relevant.clone(), itself }))
        };
        let requests = data.docs.iter().map(request).collect::<Result<Vec<_>, Error>>()?;
        if requests.iter().all(Option::is_none) {
            return Err(key.at("qrels_data").wrong("names no document that answers one of the queries"));
        }
        Ok((Retrieval { corpus: (Vectors::parse(raw), corpus) }, requests))
    }

    fn prepare(&self, preparation: &mut Preparation) -> Result<Option<Vec<Vec<f32>>>> {
        let (vectors, corpus) = &self.corpus;
        preparation.embed(*vectors, &corpus.texts, TextRole::Document)
    }

    fn size(&self, request: &QueryRequest, _: &TaskSettings) -> usize {
        request.query.len()
    }

    fn ask(
        &self,
        _: &Vec<Vec<f32>>,
        requests: &[&QueryRequest],
        _: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Embedded>> {
        let queries: Vec<&str> = requests.iter().map(|request| request.query.as_str()).collect();
        self.corpus.0.embed(&queries, TextRole::Query, model)
    }

    /// The answer is the nearest document, the target the most relevant.
    fn score(
        &self,
        documents: &Vec<Vec<f32>>,
        request: &QueryRequest,
        query: Embedded,
        settings: &TaskSettings,
    ) -> Result<Scored> {
        let ids = &self.corpus.1.ids;
        let nearness: Vec<f64> = documents.iter().map(|document| dot(&query.vector, document)).collect();
        let found = best(&nearness, request.itself);
        let most = request.relevant.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)));
        let ranking = Ranking { found: &found, relevant: &request.relevant };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_ranking?(&ranking))),
            target: most.map(|(place, _)| ids[*place].clone()),
            answer: found.first().map(|place| ids[*place].clone()),
            tokens: query.tokens,
            ..Scored::default()
        })
    }
}

/// The documents; their text is BEIR's title and text unless the task says otherwise.
fn corpus(raw: &RawTask, data: &Dataset, key: &Key) -> Result<Corpus, Error> {
    let id = TextKey::or_field(&raw.corpus_to_id, "corpus_to_id", "_id", data, key)?;
    let own = raw.corpus_to_text.as_ref().map(|given| TextKey::new(given, "corpus_to_text", data, key)).transpose()?;
    let body = match own {
        None => Some(TextKey::or_field(&None, "corpus_to_text", "text", data, key)?),
        Some(_) => None,
    };
    let mut corpus = Corpus { ids: Vec::new(), texts: Vec::new() };
    let mut seen = BTreeSet::new();
    for doc in &data.docs {
        let name = id.of(doc)?;
        if !seen.insert(name.clone()) {
            return Err(id.wrong(format!("'{name}' is there twice, again at {}", doc.place())));
        }
        let title = doc.fields.get("title").and_then(|title| title.as_str()).unwrap_or_default();
        corpus.texts.push(match (&own, &body) {
            (Some(own), _) => own.of(doc)?,
            (None, Some(body)) => format!("{title} {}", body.of(doc)?).trim().to_string(),
            (None, None) => String::new(),
        });
        corpus.ids.push(name);
    }
    Ok(corpus)
}

/// By query, how relevant which documents are. Judgements on queries that are not asked are left aside: a suite may ask
/// a part of a collection.
fn judgements(
    data: &Dataset,
    places: &HashMap<&str, usize>,
    key: &Key,
) -> Result<HashMap<String, BTreeMap<usize, f64>>, Error> {
    let mut judged: HashMap<String, BTreeMap<usize, f64>> = HashMap::new();
    for doc in &data.docs {
        let text = |names: [&str; 2]| {
            let found = names.into_iter().find_map(|name| doc.label(name).ok());
            found.ok_or_else(|| key.wrong(doc.lacks(names[0])))
        };
        let (query, document) = (text(["query-id", "query_id"])?, text(["corpus-id", "corpus_id"])?);
        let gain = match doc.fields.get("score") {
            None => 1.0,
            Some(score) => score
                .as_f64()
                .ok_or_else(|| key.wrong(format!("field 'score' of {} is {score}; a number is needed", doc.place())))?,
        };
        let place = places
            .get(document.as_str())
            .ok_or_else(|| key.wrong(format!("'{document}' at {} is no document of corpus_data", doc.place())))?;
        judged.entry(query).or_default().insert(*place, gain);
    }
    Ok(judged)
}

/// How deep any metric looks into a ranking.
const DEEPEST: usize = 100;

/// The places of the `DEEPEST` best scores, best first; of equals the one that comes first in the corpus. `left_out` is
/// not found.
fn best(scores: &[f64], left_out: Option<usize>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|place| Some(*place) != left_out).collect();
    let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if order.len() > DEEPEST {
        order.select_nth_unstable_by(DEEPEST, better);
        order.truncate(DEEPEST);
    }
    order.sort_unstable_by(better);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ndcg_and_recall_are_scikit_learns_and_by_hand() {
        let gains = [3.0, 2.0, 0.0, 1.0, 2.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0];
        let scores = [0.1, 0.9, 0.8, 0.4, 0.35, 0.7, 0.65, 0.6, 0.3, 0.2, 0.55, 0.05];
        let relevant: BTreeMap<usize, f64> = gains.into_iter().enumerate().filter(|(_, gain)| *gain != 0.0).collect();
        let found = best(&scores, None);
        assert_eq!(found[..4], [1, 2, 5, 6]);
        let all = [Metric::NdcgAt10, Metric::RecallAt1, Metric::RecallAt5, Metric::RecallAt10, Metric::RecallAt100];
        let ranking = Ranking { found: &found, relevant: &relevant };
        let scores = metric::scores(&all, |scorer| Some(scorer.of_ranking?(&ranking)));
        let got: Vec<f64> = scores.iter().map(|score| score.value).collect();
        // ndcg_score([gains with -1 as 0], [scores], k=10)
        assert!((got[0] - 0.435_534_872_996_166_6).abs() < 1e-12, "{}", got[0]);
        assert_eq!(got[1..], [1.0 / 6.0, 1.0 / 6.0, 4.0 / 6.0, 1.0]);
    }

    #[test]
    fn equals_come_in_the_order_of_the_corpus_and_a_query_need_not_find_itself() {
        assert_eq!(best(&[0.5, 0.7, 0.5, 0.7], None), [1, 3, 0, 2]);
        assert_eq!(best(&[0.5, 0.7, 0.5, 0.7], Some(1)), [3, 0, 2]);
        let many: Vec<f64> = (0..500).map(|i| f64::from(i * 37 % 500)).collect();
        let found = best(&many, None);
        assert_eq!((found.len(), many[found[0]], many[found[99]]), (100, 499.0, 400.0));
    }
}
