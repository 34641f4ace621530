//! The items of a task of any kind, behind one face: [`AnyItems`] is what a task holds, [`Items`] what it is for one
//! kind.

use crate::ask::{Asking, Report, ask_items, item_batches};
use crate::data::{Doc, Source};
use crate::error::Error;
use crate::kind::{Kind, Requests, Scored};
use crate::lines::Lesson;
use crate::model::LanguageModel;
use crate::settings::TaskSettings;
use anyhow::Result;
use bantam_core::record::{Id, ItemResult};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// The items of a task, whatever its kind.
pub(crate) trait AnyItems: Debug + Send + Sync {
    /// The word for the kind in a suite's file.
    fn output_type(&self) -> &'static str;

    fn len(&self) -> usize;

    /// The first `limit` items only.
    fn first(&self, limit: usize) -> Arc<dyn AnyItems>;

    /// The mean score of guessing; None where there is no guessing.
    fn chance(&self) -> Option<f64>;

    /// What there is to be learnt from each item, with its line; None of a kind that has no right answers to say.
    fn lessons(&self) -> Option<Vec<(String, Lesson)>>;

    /// The right answer of each item, as `lessons` has it.
    fn answers(&self) -> Option<Vec<String>>;

    /// What each item puts to the model, by its position in the data; none of a kind that puts no text to it.
    fn prompts(&self) -> BTreeMap<usize, String>;

    /// The hash of the items as they are asked, with their right answers, of what stands beside them, and of the
    /// scorer.
    fn digest(&self, suite: &str, task: &str, settings: &TaskSettings) -> Id;

    /// Of each item the place of its line and a hash of it as it is asked; and a hash of what stands beside the items, and
    /// of the scorer.
    fn prints(&self, settings: &TaskSettings) -> (Id, Vec<(String, Id)>);

    /// The items that are asked together, by their indices; None where the model first reads what all items need.
    fn batches(&self, settings: &TaskSettings, skip: &BTreeSet<usize>) -> Option<Vec<Vec<usize>>>;

    /// Puts the items to a model.
    fn ask(
        &self,
        asking: &Asking,
        model: &mut dyn LanguageModel,
        on_item: &mut dyn FnMut(ItemResult),
    ) -> Result<Report>;

    /// The items as the digest takes them.
    #[cfg(test)]
    fn json(&self) -> serde_json::Value;
}

/// The items of a task of one kind.
#[derive(Debug)]
pub(crate) struct Items<K: Kind> {
    /// What the task has beside its items.
    pub(crate) kind: Arc<K>,
    pub(crate) items: Vec<Arc<Item<K>>>,
}

/// One item, ready to be asked.
#[derive(Debug)]
pub(crate) struct Item<K: Kind> {
    /// Its position in the data.
    pub(crate) index: usize,
    pub(crate) request: K::Request,
    groups: Groups,
    /// Its line, for a message.
    source: Arc<Source>,
    line: usize,
}

/// What stands beside an item's request.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Its value of each of the task's slices.
    pub(crate) slices: BTreeMap<String, String>,
    /// Which items differ in nothing but a group.
    pub(crate) pair: Option<String>,
    /// Which items are right or wrong together.
    pub(crate) cluster: Option<String>,
}

impl<K: Kind> Items<K> {
    /// The lines that are asked, by their place in the data.
    pub(crate) fn new(
        kind: K,
        requests: Requests<K>,
        docs: &[Doc],
        groups: &dyn Fn(&Doc) -> Result<Groups, Error>,
    ) -> Result<Items<K>, Error> {
        let lines = requests.into_iter().zip(docs).enumerate();
        let asked = lines.filter_map(|(index, (request, doc))| Some((index, request?, doc)));
        let item = |(index, request, doc): (usize, K::Request, &Doc)| {
            Ok(Arc::new(Item::new(index, request, groups(doc)?, doc)))
        };
        Ok(Items { kind: Arc::new(kind), items: asked.map(item).collect::<Result<_, Error>>()? })
    }
}

impl<K: Kind> AnyItems for Items<K> {
    fn output_type(&self) -> &'static str {
        K::NAME
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn first(&self, limit: usize) -> Arc<dyn AnyItems> {
        Arc::new(Items { kind: self.kind.clone(), items: self.items.iter().take(limit).cloned().collect() })
    }

    fn chance(&self) -> Option<f64> {
        let shares = self.items.iter().map(|item| self.kind.chance(&item.request));
        shares.sum::<Option<f64>>().map(|sum| sum / self.items.len() as f64)
    }

    fn lessons(&self) -> Option<Vec<(String, Lesson)>> {
        self.items.iter().map(|item| Some((item.source.place(item.line), self.kind.lesson(&item.request)?))).collect()
    }

    fn prompts(&self) -> BTreeMap<usize, String> {
        let of = |item: &Arc<Item<K>>| Some((item.index, self.kind.contexts(&item.request).first()?.told()));
        self.items.iter().filter_map(of).collect()
    }

    fn answers(&self) -> Option<Vec<String>> {
        self.items.iter().map(|item| Some(self.kind.lesson(&item.request)?.answer)).collect()
    }

    fn digest(&self, suite: &str, task: &str, settings: &TaskSettings) -> Id {
        let TaskSettings { metrics, exact_match, filters, generation, chat, repeats, .. } = settings;
        let scorer = (metrics, exact_match, filters, generation);
        let asked = ("task 1", suite, task, K::NAME, scorer, &self.items);
        if *repeats > 1 {
            return Id::of(&(asked, &self.kind, repeats));
        }
        // a kind without fields has nothing beside its items
        match (size_of::<K>(), chat) {
            (0, None) => Id::of(&asked),
            (_, None) => Id::of(&(asked, &self.kind)),
            (_, Some(style)) => Id::of(&(asked, &self.kind, style)),
        }
    }

    fn prints(&self, settings: &TaskSettings) -> (Id, Vec<(String, Id)>) {
        let TaskSettings { metrics, exact_match, filters, generation, chat, repeats, .. } = settings;
        let beside =
            Id::of(&("beside 1", K::NAME, (metrics, exact_match, filters, generation), &self.kind, chat, repeats));
        (beside, self.items.iter().map(|item| (item.place(), Id::of(item))).collect())
    }

    fn batches(&self, settings: &TaskSettings, skip: &BTreeSet<usize>) -> Option<Vec<Vec<usize>>> {
        (!K::PREPARES).then(|| item_batches(self, settings, skip))
    }

    fn ask(
        &self,
        asking: &Asking,
        model: &mut dyn LanguageModel,
        on_item: &mut dyn FnMut(ItemResult),
    ) -> Result<Report> {
        ask_items(self, asking, model, on_item)
    }

    #[cfg(test)]
    fn json(&self) -> serde_json::Value {
        serde_json::to_value(&self.items).expect("items have string keys")
    }
}

impl<K: Kind> Item<K> {
    fn new(index: usize, request: K::Request, groups: Groups, doc: &Doc) -> Item<K> {
        Item { index, request, groups, source: doc.source.clone(), line: doc.line }
    }

    /// `data.jsonl:17`
    pub(crate) fn place(&self) -> String {
        self.source.place(self.line)
    }

    /// The item's result, by what its answer is worth.
    pub(crate) fn result(&self, scored: Scored) -> ItemResult {
        let Scored { scores, choice, target, answer, logprobs, tokens, thinking, cut, gold, parts, likelihood } =
            scored;
        ItemResult {
            index: self.index,
            scores,
            choice,
            target,
            answer,
            logprobs,
            slices: self.groups.slices.clone(),
            pair: self.groups.pair.clone(),
            cluster: self.groups.cluster.clone(),
            tokens,
            spent: None,
            gold,
            thinking,
            cut,
            parts,
            likelihood,
        }
    }
}

/// As it is hashed: names and order must not change.
impl<K: Kind> Serialize for Item<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let clustered = self.groups.cluster.is_some();
        let mut item = serializer.serialize_struct("Item", 4 + usize::from(clustered))?;
        item.serialize_field("index", &self.index)?;
        item.serialize_field("request", &Named::<K>(&self.request))?;
        item.serialize_field("slices", &self.groups.slices)?;
        item.serialize_field("pair", &self.groups.pair)?;
        if clustered {
            item.serialize_field("cluster", &self.groups.cluster)?; // only where it is: results without keep their names
        }
        item.end()
    }
}

/// A request under the word of its kind: `{"choose": {…}}`.
struct Named<'a, K: Kind>(&'a K::Request);

impl<K: Kind> Serialize for Named<'_, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_variant(K::NAME, 0, K::REQUEST, self.0)
    }
}
