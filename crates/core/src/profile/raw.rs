//! A profile as typed: every key optional, unknown keys refused, a child laid over its parent key by key.

use super::Error;
use crate::record::Shape;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

macro_rules! layered {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $(pub $key: Option<$kind>,)* }

        impl $name {
            /// Every key that is not set here comes from `parent`.
            fn over(self, parent: Self) -> Self {
                Self { $($key: self.$key.or(parent.$key),)* }
            }
        }
    };
}

layered!(
    /// The whole file.
    Raw {
        name: String,
        title: String,
        extends: String,
        models: Vec<String>,
        recipes: Vec<String>,
        suites: Vec<String>,
        measure: RawMeasure,
        constraints: RawConstraints,
        objective: RawObjective,
    }
);

layered!(
    /// `[measure]`
    RawMeasure {
        speed: Vec<Shape>,
        threads: usize,
        seed: u64,
        limit: usize,
        max_length: usize,
        half_width: f64,
        budget: String,
        min_repeats: usize,
        timeout: String,
        memory_limit: String,
        tdp_watts: f64,
        idle: String,
    }
);

layered!(
    /// `[constraints]`
    RawConstraints {
        max_memory: String,
        max_disk: String,
        min_decode_tps: f64,
        max_ttft: String,
        max_joules_per_token: f64,
        score: BTreeMap<String, f64>,
        relative: BTreeMap<String, f64>,
    }
);

layered!(
    /// `[objective]`
    RawObjective {
        prefer: super::Prefer,
        margin: f64,
        confidence: f64,
        reference: String,
        tasks: Vec<String>,
    }
);

impl Raw {
    /// Reads the text of one file; `file` is only for the message.
    pub fn parse(text: &str, file: &Path) -> Result<Raw, Error> {
        toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1;
            let message = e.message().lines().collect::<Vec<_>>().join("; ");
            Error::Broken { file: file.into(), line, message }
        })
    }

    /// Paths are relative to the file that names them: makes those that exist below `folder` independent of it.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for list in [&mut self.models, &mut self.recipes, &mut self.suites].into_iter().flatten() {
            for name in list {
                let path = folder.join(&*name);
                let is_file = name.ends_with(".toml") || name.ends_with(".gguf") || name.starts_with('.');
                if is_file || (name.contains('/') && path.exists()) {
                    *name = path.to_string_lossy().into_owned();
                }
            }
        }
    }

    /// This profile laid over the one it extends: a key of the child replaces the parent's, tables key by key.
    pub fn extend(self, parent: Raw) -> Raw {
        let measure = layer(self.measure.clone(), parent.measure.clone(), RawMeasure::over);
        let constraints = layer(self.constraints.clone(), parent.constraints.clone(), RawConstraints::over);
        let objective = layer(self.objective.clone(), parent.objective.clone(), RawObjective::over);
        Raw { measure, constraints, objective, extends: None, ..self.over(parent) }
    }
}

fn layer<T>(child: Option<T>, parent: Option<T>, over: fn(T, T) -> T) -> Option<T> {
    match (child, parent) {
        (Some(child), Some(parent)) => Some(over(child, parent)),
        (child, parent) => child.or(parent),
    }
}
