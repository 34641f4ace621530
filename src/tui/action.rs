//! What goes in and what comes out of the app: messages from the world, actions of the user, commands to the world.
//! They carry data, never closures, so that a test can say them.

use super::results::{Decision, Results, Told};
use super::setup::Setup;
use crate::library::catalog::Catalog;
use crate::library::fit::HostFit;
use crate::library::own::{Around, Draft, Wish};
use crate::library::shelf::Shelf;
use crate::run::decide::Turned;
use crate::run::examine::{Contrast, Examined};
use bantam_core::event::Event;
use bantam_core::profile::{Knob, Profile, RecipeRef};
use bantam_core::record::{Id, ItemResult, Trial, Variant};
use bantam_eval::own::{Columns, Picked};
use bantam_hub::{Hits, Next, Progress, Query};
use bantam_verdict::recommend::whatif::Turn;
use ratatui::layout::Position;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the world tells the app.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// The profile is read and planned, or why not.
    Planned(Box<Result<Setup, String>>),
    /// The run speaks.
    Run(Box<Event>),
    /// Results so far, figures and intervals already worked out.
    Results(Box<Results>),
    Advised(Box<Told>),
    /// The run is over; an error that stopped it, if one did.
    Over(Option<String>),
    Reported(Result<PathBuf, String>),
    /// A page of what the hub has, for the question of this number.
    Found {
        number: u64,
        found: Box<Result<Hits, String>>,
        is_first: bool,
    },
    /// What ORG/NAME is and would need here.
    ModelInfo(String, Box<Result<HostFit, String>>),
    /// A model's README, by the model's name.
    Readme(String, Result<String, String>),
    /// What this machine has of models, and what it can do.
    Shelf(Box<Shelf>),
    /// A pull of a name begins that the profile asked for.
    Fetching(String),
    /// What the profile names of the hub is here, or why not.
    Fetched(Result<(), String>),
    /// Something cannot be done now.
    Refused(String),
    /// How far the pull of a name is.
    Pulling(String, Progress),
    /// The pull of a name is over; where its files are.
    Pulled(String, Result<PathBuf, String>),
    /// What was measured is decided over again.
    Decided(Box<Decision>),
    /// What would change the decision of this number.
    Turns(u64, Vec<Turn>),
    /// Everything of this variant; nothing where nothing is measured of it.
    Examined(Id, Option<Box<Examined>>),
    /// The second variant held against the first; nothing where one of them is not measured.
    Contrasted(Id, Id, Option<Box<Contrast>>),
    /// A piece of an answer to the prompt of this number, of the first variant or the second.
    Said(u64, usize, String),
    /// An answer is whole, or why there is none.
    Answered(u64, usize, Result<Answered, String>),
    /// What is kept of a trial.
    Recorded(Id, Box<Recorded>),
    /// A profile is written, or why not.
    Saved(Result<PathBuf, String>),
    /// What there is to choose from on this machine.
    Catalog(Box<Catalog>),
    /// What lies about in a folder.
    Around(PathBuf, Box<Around>),
    /// The columns of a file of data, or why it cannot be read.
    Looked(PathBuf, Result<Arc<Columns>, String>),
    /// The files for the question of this number, or why there are none.
    Drafted(u64, Result<Box<Draft>, String>),
    /// The files of a draft are written; their profile, or why not.
    Written(Result<PathBuf, String>),
    /// How many processes want a processor, over the last minute.
    Load(f64),
    /// Seconds since the app began.
    Clock(f64),
}

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// To the screen of this title.
    Go(&'static str),
    NextScreen,
    PreviousScreen,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    /// To a line of one of the screen's lists.
    Choose {
        list: usize,
        line: usize,
    },
    Toggle,
    Start,
    Stop,
    Prefer,
    Report,
    /// What the cursor is on, in full.
    Open,
    /// This one against the one that was held before.
    Compare,
    /// With a model and data of one's own.
    Begin,
    /// A command by its name.
    Palette,
    /// A command of the screen's own, as typed.
    Tell(String),
    /// What the cursor is on, to the terminal's clipboard.
    Copy,
    /// Those alone whose name has what is typed.
    Filter,
    Help,
    Back,
    Quit,
    /// The next theme.
    Theme,
    /// The mouse to the workbench, or to the terminal.
    Mouse,
    /// To the shell for a while.
    Suspend,
    Yes,
    No,
    /// Text, where letters are no commands.
    Write(String),
    Erase {
        all: bool,
    },
    Click(Position),
    /// What one screen alone knows; it names it.
    Own(&'static str),
}

/// What the app wants of the world.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Plan again with this selection.
    Plan(Selection),
    /// Run what the last plan says.
    Start,
    /// Stop the run: finished work is kept.
    Stop,
    Report,
    /// Decide over what is measured, with this turned.
    Decide(Turned),
    /// Write a profile beside what is there.
    Save(Box<Profile>),
    /// Open a page over the screen; the app does that itself.
    Open(Page),
    /// Close what was opened last; the app does that itself.
    Close,
    /// Look what lies about in a folder.
    LookAround(PathBuf),
    /// Read the columns of a file of data.
    LookAt(PathBuf),
    /// Make the files of what is picked, and tell them under this number.
    Draft(u64, Box<Question>),
    /// Write the files of a draft.
    Write(Box<Draft>),
    /// Go on with this profile.
    OpenProfile(PathBuf),
    /// Tell everything of a variant.
    Examine(Id),
    /// Hold the second variant against the first.
    Contrast(Id, Id),
    /// Ask two variants the prompt of this number.
    Ask(u64, Box<Both>, String),
    StopAnswers,
    /// Tell what is kept of a trial.
    LookAtTrial(Box<Trial>),
    /// Leave a variant out of this run, or take it in again.
    Skip(Id, bool),
    /// Ask a variant's tasks next, or nobody's before the others'.
    First(Option<Id>),
    Search(Asked),
    /// The next page for a question.
    More(Asked, Next),
    /// Read what ORG/NAME is.
    ModelInfo(String),
    /// Read a model's README.
    Readme(String),
    /// Look what this machine has of models; its bandwidth too, unless something runs that would suffer.
    Shelve {
        with_bandwidth: bool,
    },
    /// Pull these, behind those that wait.
    Pull(Vec<Wanted>),
    /// Pull what the profile names of the hub and is not here, for this selection.
    Fetch(Selection),
    /// Stop the pull of a name, or let it wait no more.
    StopPull(String),
    /// Hand the terminal to the shell until it gives it back.
    Suspend,
    /// Listen to the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Hand a text to the terminal's clipboard.
    Copy(String),
    Quit,
}

/// What can be opened from a screen, over it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Page {
    /// A model and data of one's own.
    Begin,
    /// The profiles that can be opened.
    Profiles,
    /// Everything of a variant.
    Variant(Id),
    /// A trial of the run.
    Trial(Box<Trial>),
    /// The second variant held against the first.
    Contrast(Id, Id),
    /// One prompt for two variants.
    Ask(Box<Both>),
}

/// What the store and the log have of a trial.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    /// The item that was answered last.
    pub last: Option<ItemResult>,
    /// What the task puts to the models, by the items' places; or why that is not known.
    pub prompts: Result<BTreeMap<usize, String>, String>,
    /// The share of right answers after each item; none of scores that are no shares.
    pub shares: Vec<f64>,
    /// Tokens a second of each repeat.
    pub repeats: Vec<f64>,
    /// The end of what its worker wrote.
    pub log: String,
}

/// Two variants that are asked together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Both {
    pub one: Variant,
    pub other: Variant,
}

/// What an answer took, by the time that its own variant computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    pub tokens: usize,
    /// Seconds until the first token.
    pub first: f64,
    /// Tokens a second from there; none of an answer of one token.
    pub tps: Option<f64>,
    /// The model ended it itself.
    pub is_whole: bool,
}

/// What is picked of a model and data, for the files that come of it.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub columns: Arc<Columns>,
    pub picked: Picked,
    pub wish: Wish,
}

impl PartialEq for Question {
    fn eq(&self, other: &Question) -> bool {
        Arc::ptr_eq(&self.columns, &other.columns) && (&self.picked, &self.wish) == (&other.picked, &other.wish)
    }
}

/// What is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// ORG/NAME, with :QUANT for one of several GGUF files.
    pub name: String,
    /// The files that are wanted; none for what a model needs.
    pub files: Vec<String>,
}

/// A question to the hub, numbered; None for no question any more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub number: u64,
    pub query: Option<Query>,
}

/// What of the profile is to be tried, and what is preferred.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Selection {
    pub models: Vec<bool>,
    pub recipes: Vec<bool>,
    pub suites: Vec<bool>,
    /// Models that are tried beside the profile's, such as those of the hub that were pulled.
    pub pulled: Vec<String>,
    /// Recipes beside the profile's.
    pub recipes_added: Vec<String>,
    /// Suites beside the profile's.
    pub suites_added: Vec<String>,
    /// Items of each task instead of the profile's; None in it for all.
    pub limit: Option<Option<usize>>,
    pub prefer: Option<bantam_core::profile::Prefer>,
    /// Limits instead of the profile's; None in it for none.
    pub limits: Vec<(Knob, Option<f64>)>,
}

impl Selection {
    /// The profile with what is taken in beside its own, and with as many items as are wished.
    pub(super) fn whole(&self, profile: &Profile) -> Profile {
        fn with<T: PartialEq>(list: &mut Vec<T>, more: impl Iterator<Item = T>) {
            more.for_each(|one| {
                if !list.contains(&one) {
                    list.push(one);
                }
            });
        }
        let mut whole = profile.clone();
        let recipe = |name: &String| match name.as_str() {
            "base" => RecipeRef::Base,
            file if file.ends_with(".toml") => RecipeRef::File(file.into()),
            name => RecipeRef::Quantize(name.to_owned()),
        };
        with(&mut whole.models, self.pulled.iter().cloned());
        with(&mut whole.recipes, self.recipes_added.iter().map(recipe));
        with(&mut whole.suites, self.suites_added.iter().cloned());
        whole.measure.limit = self.limit.unwrap_or(whole.measure.limit);
        whole
    }

    /// Turns a limit.
    pub(super) fn limit(&mut self, knob: &Knob, to: Option<f64>) {
        self.limits.retain(|(turned, _)| turned != knob);
        self.limits.push((knob.clone(), to));
    }

    /// The profile with only what is taken in.
    pub(super) fn taken(&self, whole: &Profile) -> Profile {
        fn taken<T: Clone>(all: &[T], taken: &[bool]) -> Vec<T> {
            let is_taken = |i: usize| taken.get(i).copied().unwrap_or(true);
            all.iter().enumerate().filter(|(i, _)| is_taken(*i)).map(|(_, t)| t.clone()).collect()
        }
        let mut profile = whole.clone();
        profile.models = taken(&whole.models, &self.models);
        profile.recipes = taken(&whole.recipes, &self.recipes);
        profile.suites = taken(&whole.suites, &self.suites);
        if let Some(prefer) = self.prefer {
            profile.objective.prefer = prefer;
        }
        self.limits.iter().for_each(|(knob, to)| knob.turn(&mut profile, *to));
        // a reference that is left out cannot be held against
        if profile.objective.reference.as_ref().is_some_and(|r| !profile.models.contains(r)) {
            profile.objective.reference = None;
        }
        profile
    }
}
