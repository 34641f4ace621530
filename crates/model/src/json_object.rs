//! A table of a JSON config, read key by key: what is absent or null is `None`, what has another type is refused with
//! its key and value.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A JSON object, with the file and key it stands under for error messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonObject<'a> {
    file: &'a str,
    /// Its own key, as `quantization_config`; empty where the table is the whole file.
    name: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> JsonObject<'a> {
    /// Takes a value that must be an object; `name` is its key, empty for a whole file.
    pub(crate) fn new(value: &'a Value, file: &'a str, name: &'a str) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { file, name, map }),
            _ if name.is_empty() => Err(Error::broken(file, "it does not hold a table")),
            _ => Err(Error::broken(file, format!("{name} is not a table"))),
        }
    }

    /// The file's name in error messages.
    pub(crate) fn file(&self) -> &'a str {
        self.file
    }

    /// Gives a key's value; `None` where it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Lists the keys, those with null among them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.map.keys().map(String::as_str)
    }

    /// Reads a string.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.typed(key, "a text", Value::as_str)
    }

    /// Reads a bool.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// Reads a whole number.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.typed(key, "a whole number", Value::as_i64)
    }

    /// Reads a list.
    pub(crate) fn array(&self, key: &str) -> Result<Option<&'a [Value]>> {
        self.typed(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// Reads a table within this one.
    pub(crate) fn table(&self, key: &'a str) -> Result<Option<JsonObject<'a>>> {
        self.get(key).map(|value| Self::new(value, self.file, key)).transpose()
    }

    /// Reads a list of strings; an absent one is empty.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<&'a str>> {
        let items = self.array(key)?.unwrap_or_default().iter();
        let text = |item: &'a Value| {
            item.as_str().ok_or_else(|| self.broken(format!("{key} has {item}, allowed is a list of texts")))
        };
        items.map(text).collect()
    }

    /// Reads a number of bits, one of those allowed, from the first of two keys that is there.
    pub(crate) fn bits(&self, keys: [&str; 2], allowed: &[u8]) -> Result<u8> {
        let [key, old] = keys;
        let given = self.integer(key)?.map_or_else(|| self.integer(old), |bits| Ok(Some(bits)))?;
        let given = given.ok_or_else(|| self.broken(format!("{key} is missing")))?;
        let list = || allowed.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let bits = u8::try_from(given).ok().filter(|bits| allowed.contains(bits));
        bits.ok_or_else(|| self.unsupported(format!("{key} {given}"), list()))
    }

    /// Reads a group size from the first of two keys that is there: `None` (-1 in the file) for one group over the
    /// whole row.
    pub(crate) fn group_size(&self, keys: [&str; 2]) -> Result<Option<usize>> {
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

    /// Makes the error of a damaged file, with the table's key in it.
    pub(crate) fn broken(&self, what: String) -> Error {
        Error::broken(self.file, self.within(what))
    }

    /// Makes the error of something bantam does not do, with the table's key and what is supported.
    pub(crate) fn unsupported(&self, what: impl std::fmt::Display, supported: impl Into<String>) -> Error {
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
