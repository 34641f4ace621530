//! What a task of lm-evaluation-harness is called in a profile, a suite and the store: `lm_eval:NAME` with what is said beside
//! it, as in `lm_eval:gsm8k?num_fewshot=5&include_path=/my/tasks`; or the path of a task's YAML file alone.

use crate::error::Error;
use serde_json::Value as Json;
use std::fmt;
use std::path::PathBuf;

/// What such a name begins with.
const SCHEME: &str = "lm_eval:";

/// A task, group or tag, and what is said beside it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LmEvalTask {
    /// The name of a task, a group or a tag; or the path of a YAML file.
    pub name: String,
    /// Examples in the prompt. A task that says 0 itself keeps its 0, as in lm-evaluation-harness.
    pub num_fewshot: Option<usize>,
    /// Folders with tasks beside those of lm_eval; what they have goes before.
    pub include_path: Vec<PathBuf>,
    /// What the model writes may be run, where a task's score is whether it passes its tests.
    pub allow_code: bool,
    /// Of a group the one task that is meant.
    pub only: Option<String>,
    /// Keys that go before the file's own, as a group says them of its tasks.
    pub overrides: Vec<(String, Json)>,
}

impl LmEvalTask {
    /// Tells whether a suite's name is that of such a task.
    pub fn is_named(name: &str) -> bool {
        name.starts_with(SCHEME) || is_file(name)
    }

    /// Reads a name.
    ///
    /// # Errors
    /// Where what stands behind the name is not understood.
    pub fn parse(text: &str) -> Result<LmEvalTask, Error> {
        let wrong = |message: String| Error::Invalid { file: text.to_owned(), key: "name".into(), message };
        let bare = text.strip_prefix(SCHEME).unwrap_or(text);
        let (name, query) = match text.starts_with(SCHEME) {
            true => bare.split_once('?').unwrap_or((bare, "")),
            false => (bare, ""),
        };
        let mut task = LmEvalTask { name: plain(name), ..LmEvalTask::default() };
        if task.name.trim().is_empty() {
            return Err(wrong("names no task; write lm_eval:NAME".into()));
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = plain(value);
            match key {
                "num_fewshot" => {
                    let count = value
                        .parse()
                        .map_err(|_| wrong(format!("num_fewshot is '{value}'; a whole number is needed")))?;
                    task.num_fewshot = Some(count);
                }
                "include_path" => task.include_path.push(value.into()),
                "only" => task.only = Some(value),
                "allow_code" => {
                    let wrong = |_| wrong(format!("allow_code is '{value}'; true or false is needed"));
                    task.allow_code = value.parse().map_err(wrong)?;
                }
                key => {
                    let value = serde_json::from_str(&value).unwrap_or(Json::String(value));
                    task.overrides.push((plain(key), value));
                }
            }
        }
        Ok(task)
    }
}

impl fmt::Display for LmEvalTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", kept(&self.name))?;
        let parts = self
            .num_fewshot
            .map(|count| format!("num_fewshot={count}"))
            .into_iter()
            .chain(self.include_path.iter().map(|path| format!("include_path={}", kept(&path.to_string_lossy()))))
            .chain(self.allow_code.then(|| "allow_code=true".to_owned()))
            .chain(self.only.iter().map(|only| format!("only={}", kept(only))))
            .chain(self.overrides.iter().map(|(key, value)| format!("{}={}", kept(key), kept(&value.to_string()))));
        for (i, part) in parts.enumerate() {
            write!(f, "{}{part}", if i == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// A path to YAML. Names of tasks have no such end.
pub(super) fn is_file(name: &str) -> bool {
    [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending))
}

/// With the characters written as `%26` that part the name from what stands behind it.
fn kept(text: &str) -> String {
    ["%", "?", "&", "=", "\n"]
        .iter()
        .fold(text.to_owned(), |text, part| text.replace(part, &format!("%{:02X}", part.as_bytes()[0])))
}

fn plain(text: &str) -> String {
    ["\n", "=", "&", "?", "%"]
        .iter()
        .fold(text.to_owned(), |text, part| text.replace(&format!("%{:02X}", part.as_bytes()[0]), part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let task = LmEvalTask {
            name: "/a b/x?.yaml".into(),
            num_fewshot: Some(5),
            include_path: vec!["/my&tasks".into(), "more".into()],
            allow_code: true,
            only: Some("g::t".into()),
            overrides: vec![("repeats".into(), 3.into()), ("description".into(), "a=b & 100%\n".into())],
        };
        assert_eq!(LmEvalTask::parse(&task.to_string()).expect("a name"), task);
        let plain = LmEvalTask::parse("lm_eval:gsm8k").expect("a name");
        assert_eq!((plain.name.as_str(), plain.to_string()), ("gsm8k", "lm_eval:gsm8k".into()));
        assert_eq!(LmEvalTask::parse("my/x.yaml").expect("a path").name, "my/x.yaml");
        assert!(LmEvalTask::is_named("a.yml") && LmEvalTask::is_named("lm_eval:x") && !LmEvalTask::is_named("a.toml"));
        assert!(LmEvalTask::parse("lm_eval:x?num_fewshot=many").is_err());
        assert!(LmEvalTask::parse("lm_eval:x?allow_code=perhaps").is_err());
        assert!(LmEvalTask::parse("lm_eval:?num_fewshot=1").is_err());
    }
}
