//! From a name to the tasks that it means: groups with what they say of their tasks, groups within groups, tags
//! (`lm_eval/tasks/_factory.py`, 0.4.13).

use super::address::{LmEvalTask, is_file};
use super::config::{Config, Entry};
use super::folders;
use super::registry::{Found, Registry, named};
use super::yaml::{Node, Value};
use crate::error::Error;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep groups may lie in one another.
const DEPTH: usize = 16;
/// What a group says of itself and not of its tasks.
const GROUP_KEYS: [&str; 5] = ["group", "group_alias", "task", "aggregate_metric_list", "metadata"];

/// A task with all its keys.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) config: Config,
    /// By which it is found again.
    pub(super) address: LmEvalTask,
}

/// Tasks whose scores make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it is called in tables; its name where it says nothing.
    pub alias: String,
    /// The names of its tasks, those of its groups among them.
    pub tasks: Vec<String>,
    /// The names of what it holds itself: tasks and groups.
    pub children: Vec<String>,
    /// What of theirs is put together.
    pub metrics: Vec<GroupMetric>,
}

/// A score of a group, made of those of its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMetric {
    /// The metric's name in the task's file.
    pub metric: String,
    /// Of which filters; of all where none is named.
    pub filters: Option<Vec<String>>,
    /// Whether a task counts by its items, or each as much as another.
    pub weight_by_size: bool,
}

/// What a name means.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) leaves: Vec<Leaf>,
    /// The outermost first.
    pub(super) groups: Vec<Group>,
}

impl Tree {
    /// Finds the tasks of a name. Nothing of their data is read.
    pub(super) fn find(task: &LmEvalTask) -> Result<Tree, Error> {
        let builder = Builder { task, registry: OnceCell::new() };
        let mut tree = Tree::default();
        let overrides = Config::of_json(&task.overrides);
        builder.name(&task.name, &overrides, 0, &mut tree)?;
        tree.leaves = tree.leaves.into_iter().fold(Vec::new(), |mut leaves: Vec<Leaf>, leaf| {
            // a task of two groups is one
            match leaves.iter_mut().find(|other| other.name == leaf.name) {
                Some(other) => *other = leaf,
                None => leaves.push(leaf),
            }
            leaves
        });
        if let Some(only) = &task.only {
            tree.leaves.retain(|leaf| leaf.name == *only);
        }
        Ok(tree)
    }
}

struct Builder<'a> {
    task: &'a LmEvalTask,
    registry: OnceCell<Registry>,
}

impl Builder<'_> {
    fn registry(&self) -> &Registry {
        self.registry.get_or_init(|| Registry::open(&folders::all(&self.task.include_path)))
    }

    fn name(&self, name: &str, overrides: &Config, depth: usize, tree: &mut Tree) -> Result<(), Error> {
        match self.meaning(name)? {
            Some(found) => self.found(name, found, overrides, depth, tree),
            None => Err(self.unknown(name)),
        }
    }

    fn meaning(&self, name: &str) -> Result<Option<Found>, Error> {
        if !is_file(name) {
            return Ok(self.registry().find(name));
        }
        let path = Path::new(name);
        let config = Config::read(path)?;
        let found = named(&config, path).map(|(_, found)| found);
        found.map(Some).ok_or_else(|| Error::Malformed {
            file: name.into(),
            line: 1,
            message: "is neither a task nor a group: it has no key task, with a name, and no key group".into(),
        })
    }

    fn unknown(&self, name: &str) -> Error {
        let folders = self.registry().folders();
        let like = self.registry().like(name);
        let message = match (folders.is_empty(), like.is_empty()) {
            (true, _) => {
                "is a task of lm-evaluation-harness, and none of its tasks are known here; `pip install lm_eval`, or \
                          name a folder of tasks with --include-path or LM_EVAL_TASKS"
                    .to_owned()
            }
            (_, true) => format!("is no task, group or tag in {}", folders.join(" or ")),
            // a file of that name is there, and names no task
            (_, false) if like.iter().any(|like| like == name) => {
                format!(
                    "is no task, group or tag in {}: its file names none (task: or group:), or is no YAML",
                    folders.join(" or ")
                )
            }
            (_, false) => format!("is no task, group or tag in {}; there is {}", folders.join(" or "), like.join(", ")),
        };
        Error::Invalid { file: "lm_eval".into(), key: format!("'{name}'"), message }
    }

    fn found(&self, name: &str, found: Found, overrides: &Config, depth: usize, tree: &mut Tree) -> Result<(), Error> {
        match found {
            Found::Task(path) => self.task(&path, overrides, tree),
            Found::Group(path) => {
                let config = Config::read(&path)?;
                let name = config.text("group").unwrap_or(name).to_owned();
                self.group(&name, &config, overrides, &path, depth, tree)
            }
            Found::Class(path) => Err(Error::Invalid {
                file: path.display().to_string(),
                key: "class".into(),
                message: "is a class of Python's, which bantam does not run; ask another task".into(),
            }),
            Found::Tag(tasks) => tasks.iter().try_for_each(|(name, path)| {
                let overrides = overrides.clone();
                let overrides = match overrides.get("task") {
                    // what a group says of a tag it says of each of its tasks
                    Some(entry) => overrides.clone().with("task", name, &entry.clone()),
                    None => overrides,
                };
                self.task(path, &overrides, tree)
            }),
        }
    }

    fn task(&self, path: &Path, overrides: &Config, tree: &mut Tree) -> Result<(), Error> {
        let mut config = Config::read(path)?;
        let name = config.text("task").map(str::to_owned);
        config.update(overrides);
        let name = name.filter(|name| !name.trim().is_empty()).ok_or_else(|| Error::Malformed {
            file: path.display().to_string(),
            line: 1,
            message: "has no key task; write task: NAME".into(),
        })?;
        let address = LmEvalTask {
            name: absolute(path).to_string_lossy().into_owned(),
            num_fewshot: self.task.num_fewshot,
            allow_code: self.task.allow_code,
            overrides: overrides.json(),
            ..LmEvalTask::default()
        };
        // a file without the ending is known by its name only
        let address =
            if is_file(&address.name) { address } else { LmEvalTask { only: Some(name.clone()), ..self.task.clone() } };
        tree.leaves.push(Leaf { name, config: config.without(&["tag", "group", "task_list"]), address });
        Ok(())
    }

    fn group(
        &self,
        name: &str,
        config: &Config,
        overrides: &Config,
        path: &Path,
        depth: usize,
        tree: &mut Tree,
    ) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(wrong(path, config.get("group"), "group", "holds itself, or too many groups in one another"));
        }
        let place = tree.groups.len();
        tree.groups.push(Group {
            name: name.to_owned(),
            alias: config.text("group_alias").unwrap_or(name).to_owned(),
            tasks: Vec::new(),
            children: Vec::new(),
            metrics: metrics(config, path)?,
        });
        let before = tree.leaves.len();
        let mut said = config.clone().without(&GROUP_KEYS).without(&["tag", "task_list"]);
        said.update(overrides);
        if let Some(entry) = config.get("task") {
            let one = std::slice::from_ref(&entry.node);
            let members = match &entry.node.value {
                Value::List(list) => list.as_slice(),
                _ => one,
            };
            for member in members {
                let (leaves, groups) = (tree.leaves.len(), tree.groups.len());
                self.member(name, member, &entry.file, &said, depth + 1, tree)?;
                let made = match tree.groups.get(groups) {
                    Some(group) => vec![group.name.clone()],
                    None => tree.leaves[leaves..].iter().map(|leaf| leaf.name.clone()).collect(),
                };
                tree.groups[place].children.extend(made);
            }
        }
        tree.groups[place].tasks = tree.leaves[before..].iter().map(|leaf| leaf.name.clone()).collect();
        Ok(())
    }

    /// A task, group or tag by name; one with keys of its own; or one that is defined here.
    fn member(
        &self,
        group: &str,
        member: &Node,
        file: &Arc<Path>,
        said: &Config,
        depth: usize,
        tree: &mut Tree,
    ) -> Result<(), Error> {
        let entry = Entry { node: member.clone(), file: file.clone() };
        let own = match &member.value {
            Value::Text(name) => return self.name(name, said, depth, tree),
            Value::Map(_) => Config::of(member, file),
            _ => return Err(wrong(file, Some(&entry), "task", "is neither a name nor a map with a key task or group")),
        };
        let mut all = said.clone();
        all.update(&own);
        if let Some(name) = own.text("group") {
            return match self.registry().find(name) {
                Some(found) => self.found(name, found, &all.without(&["group"]), depth, tree),
                None => self.group(&format!("{group}::{name}"), &own, said, file, depth, tree),
            };
        }
        let name = own
            .text("task")
            .ok_or_else(|| wrong(file, Some(&entry), "task", "has neither a key task nor a key group"))?;
        match self.registry().find(name) {
            Some(found) => self.found(name, found, &all, depth, tree),
            None => {
                let name = format!("{group}::{name}");
                let address = LmEvalTask { only: Some(name.clone()), ..self.task.clone() };
                let config = all.with("task", &name, &entry).without(&["tag", "group", "task_list"]);
                tree.leaves.push(Leaf { name, config, address });
                Ok(())
            }
        }
    }
}

/// `aggregate_metric_list`: a map or a list of them.
fn metrics(config: &Config, path: &Path) -> Result<Vec<GroupMetric>, Error> {
    let key = "aggregate_metric_list";
    let Some(entry) = config.get(key) else { return Ok(Vec::new()) };
    let one = std::slice::from_ref(&entry.node);
    let nodes = match &entry.node.value {
        Value::List(list) => list.as_slice(),
        _ => one,
    };
    let metric = |node: &Node| {
        let place = Entry { node: node.clone(), file: entry.file.clone() };
        let refused = |why: &str| wrong(path, Some(&place), key, why);
        let Value::Map(map) = &node.value else { return Err(refused("is no map; write metric: NAME")) };
        let known = ["metric", "filter_list", "aggregation", "weight_by_size"];
        if let Some((other, _)) = map.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(refused(&format!(
                "'{other}' is no key of it; allowed is metric, filter_list, aggregation or weight_by_size"
            )));
        }
        if node.get("aggregation").is_some_and(|how| how.text() != Some("mean") && !how.is_null()) {
            return Err(refused("aggregation must be mean, which is the only one that lm-evaluation-harness knows"));
        }
        let filters = match node.get("filter_list").map(|node| &node.value) {
            None | Some(Value::Null) => None,
            Some(Value::Text(one)) => Some(vec![one.clone()]),
            Some(Value::List(list)) => Some(list.iter().filter_map(|node| node.text().map(str::to_owned)).collect()),
            Some(_) => return Err(refused("filter_list is neither a name nor a list of names")),
        };
        let metric = node.get("metric").and_then(Node::text).ok_or_else(|| refused("has no key metric"))?;
        let weight_by_size = !matches!(node.get("weight_by_size").map(|node| &node.value), Some(Value::Bool(false)));
        Ok(GroupMetric { metric: metric.to_owned(), filters, weight_by_size })
    };
    nodes.iter().map(metric).collect()
}

fn wrong(path: &Path, entry: Option<&Entry>, key: &str, why: &str) -> Error {
    let file = entry.map_or_else(|| path.display().to_string(), Entry::place);
    Error::Invalid { file, key: key.into(), message: why.into() }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
