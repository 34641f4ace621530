//! Where tasks of lm-evaluation-harness lie on this machine: what the user names, `LM_EVAL_TASKS`, and the lm_eval package of
//! the Python on the path, which is found without being run.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders, the last one first asked: lm_eval's own, then those of the user.
pub(super) fn all(include_path: &[PathBuf]) -> Vec<PathBuf> {
    let named = env::var_os("LM_EVAL_TASKS")
        .map(|paths| env::split_paths(&paths).map(|path| tasks_of(&path)).collect::<Vec<_>>());
    let own = match named {
        Some(named) => named,
        None => installed(&|name| env::var_os(name).map(PathBuf::from)).into_iter().collect(),
    };
    own.into_iter().chain(include_path.iter().map(|path| tasks_of(path))).collect()
}

/// The tasks of a checkout, of a package, or the folder itself.
fn tasks_of(folder: &Path) -> PathBuf {
    let within = ["lm_eval/tasks", "tasks"].map(|inner| folder.join(inner));
    let package = |tasks: &PathBuf| tasks.parent().is_some_and(|package| package.join("__init__.py").is_file());
    within.into_iter().find(|tasks| tasks.is_dir() && package(tasks)).unwrap_or_else(|| folder.to_owned())
}

/// The tasks of the lm_eval package that the Python on the path would import.
fn installed(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable);
    let path = variable("PATH").unwrap_or_default();
    let folders = env::split_paths(path.as_os_str()).collect::<Vec<_>>();
    let pythons =
        folders.iter().flat_map(|bin| ["python3", "python"].map(|name| bin.join(name))).filter(|file| file.is_file());
    // a virtual environment's python is a link to another one's, and both have packages
    let prefixes = pythons.flat_map(|python| {
        let real = python.canonicalize().ok();
        [Some(python), real].into_iter().flatten().filter_map(|python| Some(python.parent()?.parent()?.to_owned()))
    });
    let home = variable("HOME").map(|home| home.join(".local"));
    let shims = variable("PYENV_ROOT").or_else(|| Some(variable("HOME")?.join(".pyenv")));
    let shims = shims.into_iter().flat_map(|root| entries(&root.join("versions")));
    let all = active.chain(prefixes).chain(home).chain(shims);
    all.flat_map(|prefix| packages(&prefix)).find_map(|packages| in_packages(&packages))
}

/// The folders of packages below a prefix.
fn packages(prefix: &Path) -> Vec<PathBuf> {
    let versions = ["lib", "lib64", "local/lib"].into_iter().flat_map(|lib| entries(&prefix.join(lib)));
    let pythons =
        versions.filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python")));
    pythons
        .flat_map(|folder| ["site-packages", "dist-packages"].map(|name| folder.join(name)))
        .filter(|folder| folder.is_dir())
        .collect()
}

fn in_packages(packages: &Path) -> Option<PathBuf> {
    let tasks = packages.join("lm_eval/tasks");
    if tasks.is_dir() {
        return Some(tasks);
    }
    // `pip install -e` leaves the checkout's path in a file
    let files = entries(packages).into_iter().filter(|file| {
        let name = file.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        name.contains("lm_eval")
            && (name.ends_with(".pth") || name.starts_with("__editable__") && name.ends_with(".py"))
    });
    files.filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| {
        let paths = text.split(['\'', '"', '\n']).filter(|part| part.starts_with('/')).map(PathBuf::from);
        paths.flat_map(|path| [path.join("lm_eval/tasks"), path.join("tasks")]).find(|tasks| tasks.is_dir())
    })
}

/// The entries of a folder, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folder: &Path, file: &str) -> PathBuf {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().expect("in a folder")).expect("made");
        fs::write(&file, "").expect("written");
        file
    }

    #[test]
    fn the_package_of_the_python_on_the_path_is_found_without_running_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let venv = dir.path().join("venv");
        let python = made(&venv, "bin/python3");
        let tasks = made(&venv, "lib/python3.13/site-packages/lm_eval/tasks/x.yaml");
        let variable = |name: &str| (name == "PATH").then(|| python.parent().expect("bin").to_owned());
        assert_eq!(installed(&variable).as_deref(), tasks.parent());
        // one that is linked from a checkout
        let checkout = dir.path().join("checkout");
        let tasks = made(&checkout, "lm_eval/tasks/x.yaml");
        let other = dir.path().join("other");
        made(&other, "bin/python3");
        let link = made(&other, "lib/python3.12/site-packages/__editable__.lm_eval-0.4.13.pth");
        fs::write(link, format!("{}\n", checkout.display())).expect("written");
        let variable = |name: &str| (name == "PATH").then(|| other.join("bin"));
        assert_eq!(installed(&variable).as_deref(), tasks.parent());
        assert_eq!(installed(&|_| None), None);
    }

    #[test]
    fn a_checkout_and_its_package_have_their_tasks_below() {
        let dir = tempfile::tempdir().expect("temp dir");
        let tasks = made(dir.path(), "lm_eval/tasks/x.yaml");
        made(dir.path(), "lm_eval/__init__.py");
        assert_eq!(tasks_of(dir.path()), tasks.parent().expect("tasks"));
        assert_eq!(tasks_of(&dir.path().join("lm_eval")), tasks.parent().expect("tasks"));
        assert_eq!(tasks_of(tasks.parent().expect("tasks")), tasks.parent().expect("tasks"));
    }
}
