//! A plan as files for many machines: a spec for each trial, and the job that has a scheduler do them: an array job of Slurm, a
//! command of GNU parallel over ssh, or a job of HyperQueue. Trials may be done twice, anywhere and in any order.

use crate::run::advised::quoted;
use crate::run::plan::Plan;
use crate::run::spec::Spec;
use anyhow::{Context, Result, bail, ensure};
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, Place, Run, Trial};
use bantam_core::unit::counted;
use bantam_core::{disk, input};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Raised where a key changes its meaning.
const SCHEMA: &str = "bantam.plan/1";
/// The most bytes of a plan.
const MOST: u64 = 1 << 28;
/// The plan itself, in its folder.
const PLAN: &str = "plan.json";
/// The folder of the results, in the plan's.
pub const RESULTS: &str = "results";

/// Who has the trials done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// An array job: sbatch
    Slurm,
    /// GNU parallel, over ssh
    Parallel,
    /// HyperQueue: hq job submit-file
    Hq,
}

impl std::str::FromStr for Scheduler {
    type Err = String;

    fn from_str(word: &str) -> Result<Scheduler, String> {
        match word {
            "slurm" => Ok(Scheduler::Slurm),
            "parallel" => Ok(Scheduler::Parallel),
            "hq" => Ok(Scheduler::Hq),
            _ => Err("there are slurm, parallel and hq".into()),
        }
    }
}

/// A plan as it lies in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Emitted {
    schema: String,
    /// The run with its trials as they were planned here.
    pub run: Run,
}

impl Emitted {
    /// Reads the plan of a folder; None where it holds none.
    ///
    /// # Errors
    /// One sentence where it cannot be read, or is of another version.
    pub fn read(folder: &Path) -> Result<Option<Emitted>> {
        let file = folder.join(PLAN);
        if !file.is_file() {
            return Ok(None);
        }
        let bytes = input::read(&file, MOST).with_context(|| format!("{}: cannot be read", file.display()))?;
        let plan: Emitted = serde_json::from_slice(&bytes)
            .with_context(|| format!("{}: is no plan of `bantam plan --emit`", file.display()))?;
        ensure!(plan.schema == SCHEMA, "{}: is of {}, and {SCHEMA} is read here", file.display(), plan.schema);
        Ok(Some(plan))
    }
}

/// What was written.
pub struct Written {
    pub files: Vec<PathBuf>,
    /// What to do next, a line each.
    pub next: Vec<(String, String)>,
}

/// Writes a plan for a scheduler. A folder that holds the same plan already gets what is missing.
///
/// # Errors
/// One sentence where the folder holds another plan, or cannot be written.
pub fn emit(plan: &Plan, profile: &Profile, scheduler: Scheduler, folder: &Path) -> Result<Written> {
    if let Some(there) = Emitted::read(folder)? {
        ensure!(
            there.run.id == plan.run.id,
            "{}: holds the plan of another run ({}); name another folder",
            folder.display(),
            there.run.profile_name
        );
    }
    if let Some(program) = &plan.program {
        bail!("engine: speeds through {} are measured on one machine, by `bantam run`", program.path.display());
    }
    let at_an_address = plan.variants.iter().find(|planned| matches!(planned.variant.model.place, Place::Endpoint(_)));
    if let Some(planned) = at_an_address {
        bail!(
            "{} answers at an address, whose key and budget are one machine's: leave it to `bantam run`",
            planned.variant.label()
        );
    }
    let mut out = Out { folder, files: Vec::new() };
    let mut trials: Vec<&Trial> = plan.run.trials.iter().collect();
    // what is timed comes last, and alone on its machine
    trials.sort_by_key(|trial| matches!(trial.ask, Ask::Speed(_)));
    let tasks = trials.iter().filter(|trial| matches!(trial.ask, Ask::Task(_))).count();
    for trial in &trials {
        let spec = Spec::new((*trial).clone(), profile.measure.threads);
        out.write(&format!("specs/{}.json", trial.id), &serde_json::to_vec(&spec)?)?;
    }
    std::fs::create_dir_all(folder.join(RESULTS)).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let emitted = Emitted { schema: SCHEMA.into(), run: plan.run.clone() };
    out.write(PLAN, &serde_json::to_vec(&emitted)?)?;
    let list: String = trials.iter().map(|trial| format!("{}\n", trial.id)).collect();
    out.write("trials.txt", list.as_bytes())?;
    let job = Job { name: file_name(&profile.name), all: trials.len(), tasks, threads: profile.measure.threads };
    let folder_word = quoted(&folder.display().to_string());
    let merge =
        ("Then put all results into one store and see the advice:".to_owned(), format!("bantam merge {folder_word}"));
    let next = match scheduler {
        Scheduler::Slurm => {
            let mut submit = Vec::new();
            if tasks > 0 {
                out.write("tasks.sbatch", job.slurm(1, tasks, false).as_bytes())?;
                submit.push("sbatch tasks.sbatch");
            }
            if tasks < trials.len() {
                out.write("speeds.sbatch", job.slurm(tasks + 1, trials.len(), true).as_bytes())?;
                submit.push("sbatch speeds.sbatch");
            }
            std::fs::create_dir_all(folder.join("logs")).with_context(|| format!("{}", folder.display()))?;
            (
                format!("Submit {}:", counted(trials.len(), "trial")),
                format!("cd {folder_word} && {}", submit.join(" && ")),
            )
        }
        Scheduler::Parallel => {
            out.write("run.sh", job.parallel().as_bytes())?;
            (
                "Name the machines in a file, a line each (`:` is this one), and start it:".to_owned(),
                format!("sh {folder_word}/run.sh MACHINES.txt"),
            )
        }
        Scheduler::Hq => {
            out.write("job.toml", job.hq(&trials).as_bytes())?;
            ("Submit it:".to_owned(), format!("cd {folder_word} && hq job submit-file job.toml"))
        }
    };
    Ok(Written { files: out.files, next: vec![next, merge] })
}

/// Files below a folder.
struct Out<'a> {
    folder: &'a Path,
    files: Vec<PathBuf>,
}

impl Out<'_> {
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let file = self.folder.join(name);
        let write = || {
            file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            disk::write(&file, bytes)
        };
        write().with_context(|| format!("{}: cannot be written", file.display()))?;
        self.files.push(file);
        Ok(())
    }
}

/// What the jobs say of the trials.
struct Job {
    name: String,
    all: usize,
    tasks: usize,
    /// Threads that the profile asks for; none for all CPUs of a machine.
    threads: Option<usize>,
}

impl Job {
    /// One task of the array for each line of trials.txt from `first` to `last`. A node that dies puts its task back into the
    /// queue; one that is done already is over at once.
    fn slurm(&self, first: usize, last: usize, timed: bool) -> String {
        let name = &self.name;
        let cpus = match self.threads {
            Some(threads) => format!("#SBATCH --cpus-per-task={threads}\n"),
            // a trial takes all CPUs that it may use
            None => "#SBATCH --exclusive\n".into(),
        };
        let alone = match (timed, self.threads) {
            (false, _) => "",
            (true, Some(_)) => {
                "#SBATCH --exclusive\n# speeds are compared within one class of machine only: name one, as with --constraint=CLASS\n"
            }
            (true, None) => {
                "# speeds are compared within one class of machine only: name one, as with --constraint=CLASS\n"
            }
        };
        let what = if timed { "speeds" } else { "tasks" };
        format!(
            "#!/bin/sh\n\
             # Made by bantam. From this folder, which all nodes share: sbatch {what}.sbatch\n\
             #SBATCH --job-name=bantam-{name}-{what}\n\
             #SBATCH --array={first}-{last}\n\
             #SBATCH --ntasks=1\n\
             {cpus}\
             #SBATCH --requeue\n\
             #SBATCH --open-mode=append\n\
             #SBATCH --output=logs/%A_%a.log\n\
             {alone}\
             set -eu\n\
             cd \"$SLURM_SUBMIT_DIR\"\n\
             trial=$(sed -n \"${{SLURM_ARRAY_TASK_ID}}p\" trials.txt)\n\
             # each node makes its variants on its own disk\n\
             export BANTAM_HOME=\"${{BANTAM_HOME:-${{TMPDIR:-/tmp}}/bantam-$(id -u)}}\"\n\
             exec \"${{BANTAM:-bantam}}\" trial run \"specs/$trial.json\" --out {RESULTS} --quiet\n"
        )
    }

    /// One trial at a time on each machine, since a trial takes all its CPUs; what fails is tried on another one. The spec
    /// goes there and the result comes back, so that no folder is shared.
    fn parallel(&self) -> String {
        let (all, tasks) = (self.all, self.tasks);
        format!(
            "#!/bin/sh\n\
             # Made by bantam: {all} trials, the last {} of them timed. sh run.sh MACHINES.txt, with a machine a line as\n\
             # GNU parallel's --sshloginfile takes it: `me@node1`, or `:` for this one. Each needs bantam on its PATH (or BANTAM=/path\n\
             # here, the same on all) and rsync. Started again, it does what is missing.\n\
             set -eu\n\
             machines=$(realpath \"${{1:?name a file of machines, a line each}}\")\n\
             cd \"$(dirname \"$0\")\"\n\
             for trial in $(cat trials.txt); do test -s \"{RESULTS}/$trial.json\" || echo \"$trial\"; done > missing.txt\n\
             exec parallel --will-cite --sshloginfile \"$machines\" --jobs 1 --retries 4 --joblog joblog.tsv \\\n\
             \x20 --workdir ... --transferfile specs/{{}}.json --return {RESULTS}/{{}}.json --cleanup \\\n\
             \x20 \"${{BANTAM:-bantam}} trial run specs/{{}}.json --out {RESULTS} --quiet\" :::: missing.txt\n",
            all - tasks
        )
    }

    fn hq(&self, trials: &[&Trial]) -> String {
        let mut text = format!(
            "# Made by bantam. From this folder, which all workers share: hq job submit-file job.toml\n\
             name = \"bantam-{}\"\n",
            self.name
        );
        for (number, trial) in trials.iter().enumerate() {
            let timed = matches!(trial.ask, Ask::Speed(_));
            let cpus = match self.threads.filter(|_| !timed) {
                Some(threads) => threads.to_string(),
                None => "\"all\"".to_owned(),
            };
            text += &format!(
                "\n[[task]]\nid = {number}\ncommand = [\"bantam\", \"trial\", \"run\", \"specs/{id}.json\", \"--out\", \"{RESULTS}\", \"--quiet\"]\n\
                 crash_limit = 5\n[[task.request]]\nresources = {{ \"cpus\" = {cpus} }}\n",
                id = trial.id
            );
        }
        text
    }
}

/// A name without what shells and schedulers read as more than letters.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}
