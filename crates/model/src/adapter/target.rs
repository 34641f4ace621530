//! Which modules an adapter is for, by PEFT's rules (`check_target_module_exists`): a list of names or one regular
//! expression, less what is excluded, in all layers or some.

use serde_json::Value;

use crate::error::Result;
use crate::json_object::JsonObject;
use crate::pattern::Pattern;

/// The modules that have a low-rank update.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    included: Names,
    excluded: Names,
    layers: Option<Layers>,
}

#[derive(Debug, Clone, PartialEq)]
enum Names {
    /// A module of one of these names, or whose name ends so from a dot on.
    Ends(Vec<String>),
    Whole(Pattern),
    /// "all-linear": every matrix but the head.
    AllLinear,
}

/// Only these layers; a module that names none is in none of them.
#[derive(Debug, Clone, PartialEq)]
struct Layers {
    wanted: Vec<u64>,
    /// Each finds the number of a layer as `idx`.
    number: Vec<Pattern>,
}

impl Targets {
    pub(super) fn new(table: &JsonObject) -> Result<Self> {
        let included = match table.get("target_modules") {
            None => return Err(table.broken("target_modules is missing".into())),
            Some(_) => Names::new(table, "target_modules")?,
        };
        let excluded = match (table.get("exclude_modules"), Names::new(table, "exclude_modules")?) {
            (Some(_), Names::AllLinear) => return Err(table.unsupported("exclude_modules \"all-linear\"", "names")),
            (_, names) => names,
        };
        let layers = Layers::new(table)?;
        if layers.is_some() && !matches!(included, Names::Ends(_)) {
            let what = "layers_to_transform goes with a list of target_modules, and it is a text";
            return Err(table.broken(what.into()));
        }
        Ok(Self { included, excluded, layers })
    }

    /// Tells whether a module has an update. `is_head` says that it is the one that makes logits.
    pub fn names(&self, module: &str, is_head: bool) -> bool {
        if self.excluded.names(module, false) {
            return false;
        }
        match (&self.included, &self.layers) {
            // a whole name is meant, whatever the layers
            (Names::Ends(names), _) if names.iter().any(|name| name == module) => true,
            (included, layers) => {
                included.names(module, is_head) && layers.as_ref().is_none_or(|layers| layers.have(module))
            }
        }
    }
}

impl Names {
    /// A list of names, one regular expression, or nothing.
    fn new(table: &JsonObject, key: &str) -> Result<Self> {
        match table.get(key) {
            Some(Value::String(text)) if text.eq_ignore_ascii_case("all-linear") => Ok(Self::AllLinear),
            Some(Value::String(text)) => Ok(Self::Whole(Pattern::full(text, table.file(), key)?)),
            _ => Ok(Self::Ends(table.texts(key)?.into_iter().map(str::to_owned).collect())),
        }
    }

    fn names(&self, module: &str, is_head: bool) -> bool {
        match self {
            Self::Ends(names) => names.iter().any(|name| {
                module.strip_suffix(name.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
            Self::Whole(pattern) => pattern.matches(module),
            Self::AllLinear => !is_head,
        }
    }
}

impl Layers {
    fn new(table: &JsonObject) -> Result<Option<Self>> {
        let number = |value: &Value| {
            let problem = || table.broken(format!("layers_to_transform has {value}, allowed are numbers of layers"));
            value.as_u64().ok_or_else(problem)
        };
        let wanted = match table.get("layers_to_transform") {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(number).collect::<Result<_>>()?,
            Some(one) => vec![number(one)?],
        };
        let patterns = match table.get("layers_pattern") {
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(Value::String(text)) => vec![text.as_str()],
            _ => table.texts("layers_pattern")?,
        };
        if wanted.is_empty() {
            return match patterns.is_empty() {
                true => Ok(None),
                false => Err(table.broken("layers_pattern is given without layers_to_transform".into())),
            };
        }
        let expressions: Vec<String> = match patterns.is_empty() {
            true => vec![r".*?\.[^.]*\.(?P<idx>\d+)\.".to_owned()],
            false => patterns.iter().map(|pattern| format!(r"(?:^|.*?\.){pattern}\.(?P<idx>\d+)\.")).collect(),
        };
        let number = expressions.iter().map(|text| Pattern::start(text, table.file(), "layers_pattern"));
        Ok(Some(Self { wanted, number: number.collect::<Result<_>>()? }))
    }

    fn have(&self, module: &str) -> bool {
        let number = self.number.iter().find_map(|pattern| pattern.group(module, "idx"));
        number.and_then(|number| number.parse().ok()).is_some_and(|number: u64| self.wanted.contains(&number))
    }
}
