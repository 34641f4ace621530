//! How much of a right JSON value an answer has, field by field.
//!
//! A field is a path to a value that is no object or list, as `buyer.name` or `lines[].price`, or an empty one. Items of a list
//! are held against those in the same place.

use super::equal;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// An answer's value held against the right one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// Fields of the right value whose value the answer has.
    same: usize,
    right: usize,
    said: usize,
    /// Whether all of it is right, by field of the right value; the items of a list are one field.
    pub(crate) by_field: BTreeMap<String, bool>,
}

impl Comparison {
    /// F1 of the answer's fields and the right ones: what is missing counts, and what was made up, too.
    pub(crate) fn f1(&self) -> f64 {
        2.0 * self.same as f64 / (self.right + self.said) as f64
    }
}

/// Compares what an answer says (nothing where it holds no JSON) with what is right; `same` tells whether two texts are.
pub(crate) fn compare(said: Option<&Json>, right: &Json, same: &dyn Fn(&str, &str) -> bool) -> Comparison {
    let (mut of_right, mut of_said) = (Vec::new(), Vec::new());
    leaves(right, &mut String::new(), &mut String::new(), &mut of_right);
    said.into_iter().for_each(|said| leaves(said, &mut String::new(), &mut String::new(), &mut of_said));
    let by_path: BTreeMap<&str, &Json> = of_said.iter().map(|leaf| (leaf.path.as_str(), leaf.value)).collect();
    let mut comparison = Comparison { same: 0, right: of_right.len(), said: of_said.len(), by_field: BTreeMap::new() };
    for leaf in &of_right {
        let has = by_path.get(leaf.path.as_str()).is_some_and(|said| equal(said, leaf.value, same));
        comparison.same += usize::from(has);
        let field = if leaf.field.is_empty() { "(value)" } else { &leaf.field };
        *comparison.by_field.entry(field.to_owned()).or_insert(true) &= has;
    }
    comparison
}

struct Leaf<'a> {
    /// Where it stands, with the places in lists.
    path: String,
    /// The same without these places.
    field: String,
    value: &'a Json,
}

fn leaves<'a>(value: &'a Json, path: &mut String, field: &mut String, out: &mut Vec<Leaf<'a>>) {
    let lengths = (path.len(), field.len());
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                path.extend([dot, name]);
                field.extend([dot, name]);
                leaves(value, path, field, out);
                path.truncate(lengths.0);
                field.truncate(lengths.1);
            }
        }
        Json::Array(list) if !list.is_empty() => {
            for (at, value) in list.iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                field.push_str("[]");
                leaves(value, path, field, out);
                path.truncate(lengths.0);
                field.truncate(lengths.1);
            }
        }
        value => out.push(Leaf { path: path.clone(), field: field.clone(), value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compared(said: Option<Json>, right: Json) -> Comparison {
        compare(said.as_ref(), &right, &|a, b| a == b)
    }

    #[test]
    fn what_is_missing_and_what_is_made_up_count() {
        let right = json!({ "name": "Ann", "sum": 12.5, "lines": [{ "id": 1 }, { "id": 2 }] });
        let all = compared(Some(right.clone()), right.clone());
        assert_eq!((all.f1(), all.by_field.len()), (1.0, 3));
        let partly = json!({ "name": "Ann", "sum": "12.5", "lines": [{ "id": 1 }, { "id": 3 }], "note": null });
        let partly = compared(Some(partly), right.clone());
        assert_eq!((partly.same, partly.right, partly.said), (2, 4, 5));
        let wrong: Vec<&str> =
            partly.by_field.iter().filter(|(_, right)| !**right).map(|(field, _)| field.as_str()).collect();
        assert_eq!(wrong, ["lines[].id", "sum"]);
        assert_eq!(compared(None, right).f1(), 0.0);
    }

    #[test]
    fn numbers_are_their_values_and_empty_things_are_fields() {
        assert_eq!(compared(Some(json!({ "a": 1.0, "b": [] })), json!({ "a": 1, "b": [] })).f1(), 1.0);
        assert_eq!(compared(Some(json!({ "b": {} })), json!({ "b": [] })).f1(), 0.0);
        assert_eq!(compared(Some(json!([])), json!([])).by_field, BTreeMap::from([("(value)".to_owned(), true)]));
    }

    proptest::proptest! {
        #[test]
        fn a_share_is_a_share(a in proptest::collection::btree_map("[ab]", 0..3i64, 0..3), b in proptest::collection::btree_map("[ab]", 0..3i64, 0..3)) {
            let f1 = compared(Some(json!(a)), json!(b)).f1();
            proptest::prop_assert!((0.0..=1.0).contains(&f1));
            proptest::prop_assert_eq!(f1 == 1.0, a == b);
        }
    }
}
