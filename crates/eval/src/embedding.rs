//! From a task on embeddings as typed to the task as meant: pairs with their scores, queries with the documents that
//! answer them, texts with their classes. Every line is read and checked here; nothing is embedded.

use super::dataset::{Dataset, Doc};
use super::error::{Error, Key, either};
use super::material::{Classifier, Corpus, Material, Train, Vectors};
use super::prompt::{Said, Source};
use super::raw::{RawClassifier, RawSource, RawTask};
use super::task::{OutputType, Request};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many neighbours vote where a task does not say.
const NEIGHBORS: usize = 5;

/// Reads a data file beside the suite's.
type Read<'a> = &'a dyn Fn(&str, &Key) -> Result<Dataset, Error>;

/// What is beside the items, and the request of each line of `data`; None for a query that nothing answers.
pub fn requests(
    raw: &RawTask,
    output: OutputType,
    data: &Dataset,
    read: Read,
    key: &Key,
) -> Result<(Material, Vec<Option<Request>>), Error> {
    let vectors = Vectors { similarity: raw.similarity.unwrap_or_default(), pooling: raw.pooling.unwrap_or_default() };
    match output {
        OutputType::Retrieval => retrieval(raw, data, read, key, vectors),
        OutputType::EmbeddingClassification => classification(raw, data, read, key, vectors),
        _ => similarity(raw, data, key, vectors),
    }
}

type Requests = Result<(Material, Vec<Option<Request>>), Error>;

fn similarity(raw: &RawTask, data: &Dataset, key: &Key, vectors: Vectors) -> Requests {
    let [one, other, target] = [
        needed(&raw.doc_to_text, "doc_to_text", data, key)?,
        needed(&raw.doc_to_pair, "doc_to_pair", data, key)?,
        needed(&raw.doc_to_target, "doc_to_target", data, key)?,
    ];
    let request = |doc: &Doc| {
        let said = target.of(doc)?;
        let number = said.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let target = number.ok_or_else(|| target.wrong(format!("'{said}' at {} is no number", doc.place())))?;
        Ok(Some(Request::Compare { texts: [one.of(doc)?, other.of(doc)?], target }))
    };
    Ok((Material::Vectors(vectors), data.docs.iter().map(request).collect::<Result<_, Error>>()?))
}

fn retrieval(raw: &RawTask, data: &Dataset, read: Read, key: &Key, vectors: Vectors) -> Requests {
    let file = |name: &str, given: &Option<String>| {
        let given =
            given.as_deref().ok_or_else(|| key.wrong(format!("has no {name}; write {name} = \"FILE.jsonl\"")))?;
        read(given, &key.at(name))
    };
    let corpus = corpus(raw, &file("corpus_data", &raw.corpus_data)?, key)?;
    let places: HashMap<&str, usize> = corpus.ids.iter().map(String::as_str).zip(0..).collect();
    let judged = judgements(&file("qrels_data", &raw.qrels_data)?, &places, &key.at("qrels_data"))?;

    let id = defaulted(&raw.doc_to_id, "doc_to_id", "_id", data, key)?;
    let text = defaulted(&raw.doc_to_text, "doc_to_text", "text", data, key)?;
    let mut seen = BTreeSet::new();
    let request = |doc: &Doc| {
        let (name, query) = (id.of(doc)?, text.of(doc)?);
        if !seen.insert(name.clone()) {
            return Err(id.wrong(format!("'{name}' is there twice, again at {}", doc.place())));
        }
        let relevant = judged.get(&name).filter(|judged| judged.values().any(|gain| *gain > 0.0));
        let itself = places.get(name.as_str()).copied().filter(|_| raw.ignore_identical_ids == Some(true));
        Ok(relevant.map(|relevant| Request::Find { query, relevant: relevant.clone(), itself }))
    };
    let requests = data.docs.iter().map(request).collect::<Result<Vec<_>, Error>>()?;
    if requests.iter().all(Option::is_none) {
        return Err(key.at("qrels_data").wrong("names no document that answers one of the queries"));
    }
    Ok((Material::Corpus(vectors, corpus), requests))
}

/// The documents; their text is BEIR's title and text unless the task says otherwise.
fn corpus(raw: &RawTask, data: &Dataset, key: &Key) -> Result<Corpus, Error> {
    let id = defaulted(&raw.corpus_to_id, "corpus_to_id", "_id", data, key)?;
    let own = raw.corpus_to_text.as_ref().map(|given| Field::new(given, "corpus_to_text", data, key)).transpose()?;
    let body = match own {
        None => Some(defaulted(&None, "corpus_to_text", "text", data, key)?),
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

/// By query, how relevant which documents are. Judgements on queries that are not asked are left aside: a suite may ask a
/// part of a collection.
fn judgements(
    data: &Dataset,
    places: &HashMap<&str, usize>,
    key: &Key,
) -> Result<HashMap<String, BTreeMap<usize, f64>>, Error> {
    let mut judged: HashMap<String, BTreeMap<usize, f64>> = HashMap::new();
    for doc in &data.docs {
        let text = |names: [&str; 2]| {
            let found = names.into_iter().find_map(|name| super::request::label(doc, name).ok());
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

fn classification(raw: &RawTask, data: &Dataset, read: Read, key: &Key, vectors: Vectors) -> Requests {
    let given = raw.train_data.as_deref();
    let given = given.ok_or_else(|| key.wrong("has no train_data; write train_data = \"FILE.jsonl\""))?;
    let train = read(given, &key.at("train_data"))?;
    let classifier = classifier(raw, train.docs.len(), key)?;

    let lines = |data: &Dataset| -> Result<Vec<(String, String)>, Error> {
        let text = needed(&raw.doc_to_text, "doc_to_text", data, key)?;
        let label = needed(&raw.doc_to_target, "doc_to_target", data, key)?;
        data.docs.iter().map(|doc| Ok((text.of(doc)?, label.of(doc)?))).collect()
    };
    let learnt = lines(&train)?;
    let labels: Vec<String> =
        learnt.iter().map(|(_, label)| label.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    if labels.len() < 2 {
        let only = either(&labels);
        return Err(key
            .at("train_data")
            .wrong(format!("has one class, {only}; at least two are needed to tell apart")));
    }
    let class = |label: &String| labels.binary_search(label).ok();
    let request = |((text, label), doc): ((String, String), &Doc)| match class(&label) {
        Some(class) => Ok(Some(Request::Sort { text, class })),
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
    Ok((Material::Train(vectors, Train { texts, classes, labels, classifier }), requests))
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

/// What a model reads of a line: a text, or two together.
pub struct Reads {
    text: Field,
    pair: Option<Field>,
}

impl Reads {
    pub fn new(raw: &RawTask, data: &Dataset, key: &Key) -> Result<Reads, Error> {
        let pair = raw.doc_to_pair.as_ref().map(|given| Field::new(given, "doc_to_pair", data, key)).transpose()?;
        Ok(Reads { text: needed(&raw.doc_to_text, "doc_to_text", data, key)?, pair })
    }

    pub fn of(&self, doc: &Doc) -> Result<(String, Option<String>), Error> {
        Ok((self.text.of(doc)?, self.pair.as_ref().map(|pair| pair.of(doc)).transpose()?))
    }
}

/// A key that gives one text per line.
struct Field {
    source: Source,
    key: Key,
}

impl Field {
    fn new(given: &RawSource, name: &str, data: &Dataset, key: &Key) -> Result<Field, Error> {
        let key = key.at(name);
        match given {
            RawSource::Text(text) => Ok(Field { source: Source::new(text, key.clone(), data.first())?, key }),
            RawSource::Index(_) => {
                Err(key.wrong("is an index; without choices a template or a field's name is needed"))
            }
        }
    }

    fn of(&self, doc: &Doc) -> Result<String, Error> {
        match self.source.say(doc, false)? {
            Said::Text(text) => Ok(text),
            Said::Index(_) | Said::Any(_) => {
                Err(self.wrong(format!("gives a list at {}; one text is needed", doc.place())))
            }
        }
    }

    fn wrong(&self, message: String) -> Error {
        self.key.wrong(message)
    }
}

fn needed(given: &Option<RawSource>, name: &str, data: &Dataset, key: &Key) -> Result<Field, Error> {
    let given = given.as_ref().ok_or_else(|| key.wrong(super::mean::no_source(name, data.first())))?;
    Field::new(given, name, data, key)
}

fn defaulted(given: &Option<RawSource>, name: &str, field: &str, data: &Dataset, key: &Key) -> Result<Field, Error> {
    Field::new(given.as_ref().unwrap_or(&RawSource::Text(field.into())), name, data, key)
}
