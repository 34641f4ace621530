//! A table of a JSON config, read key by key: what is absent or null is `None`, what has another type is refused with
//! its key and value.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A JSON object and where it stands, for the sentences.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    file: &'a str,
    /// Its own key, as `quantization_config`; empty where the table is the whole file.
    name: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Table<'a> {
    pub fn new(value: &'a Value, file: &'a str, name: &'a str) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { file, name, map }),
            _ if name.is_empty() => Err(Error::broken(file, "it does not hold a table")),
            _ => Err(Error::broken(file, format!("{name} is not a table"))),
        }
    }

    pub fn file(&self) -> &'a str {
        self.file
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.map.keys().map(String::as_str)
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.typed(key, "a text", Value::as_str)
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.typed(key, "a whole number", Value::as_i64)
    }

    pub fn array(&self, key: &str) -> Result<Option<&'a [Value]>> {
        self.typed(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    pub fn table(&self, key: &'a str) -> Result<Option<Table<'a>>> {
        self.get(key).map(|value| Self::new(value, self.file, key)).transpose()
    }

    /// A list of texts; an absent one is empty.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>> {
        let items = self.array(key)?.unwrap_or_default().iter();
        let text = |item: &'a Value| {
            item.as_str().ok_or_else(|| self.broken(format!("{key} has {item}, allowed is a list of texts")))
        };
        items.map(text).collect()
    }

    /// One of the numbers of bits that `allowed` lists.
    pub fn bits(&self, keys: [&str; 2], allowed: &[u8]) -> Result<u8> {
        let [key, old] = keys;
        let given = self.integer(key)?.map_or_else(|| self.integer(old), |bits| Ok(Some(bits)))?;
        let given = given.ok_or_else(|| self.broken(format!("{key} is missing")))?;
        let list = || allowed.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let bits = u8::try_from(given).ok().filter(|bits| allowed.contains(bits));
        bits.ok_or_else(|| self.unsupported(format!("{key} {given}"), list()))
    }

    /// `-1` for one group over the whole row, or a positive size.
    pub fn group_size(&self, keys: [&str; 2]) -> Result<Option<usize>> {
        let [key, old] = keys;
        match self.integer(key)?.map_or_else(|| self.integer(old), |size| Ok(Some(size)))? {
            None => Err(self.broken(format!("{key} is missing"))),
            Some(-1) => Ok(None),
            Some(size) => match usize::try_from(size) {
                Ok(size) if size > 0 => Ok(Some(size)),
                _ => Err(self.broken(format!("{key} is {size}, allowed are a positive size and -1 for whole rows"))),
            },
        }
    }

    pub fn broken(&self, what: String) -> Error {
        Error::broken(self.file, self.within(what))
    }

    pub fn unsupported(&self, what: impl std::fmt::Display, supported: impl Into<String>) -> Error {
        Error::unsupported(self.file, self.within(what), supported)
    }

    fn within(&self, what: impl std::fmt::Display) -> String {
        if self.name.is_empty() { what.to_string() } else { format!("{}: {what}", self.name) }
    }

    fn typed<T>(&self, key: &str, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.broken(format!("{key} is {value}, allowed is {kind}"))),
        }
    }
}
