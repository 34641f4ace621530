//! The screens of the workbench, one file each (a folder where one grows): its keys, its state, how actions change it,
//! how it is drawn and what a click on it hits.

pub(super) mod advice;
pub(super) mod ask;
pub(super) mod begin;
pub(super) mod contrast;
pub(super) mod decide;
#[cfg(test)]
mod example;
pub(super) mod find;
pub(super) mod help;
pub(super) mod models;
pub(super) mod plan;
pub(super) mod profiles;
pub(super) mod results;
pub(super) mod run;
pub(super) mod trial;
pub(super) mod variant;

use super::action::{Action, Command, Message, Page};
use super::keys::Binding;
use super::shared::Shared;
use super::words::Word;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use std::any::Any;

/// A screen of the workbench. Only [`Screen::update`] and [`Screen::hear`] change anything; [`Screen::draw`] places what
/// is known.
pub(super) trait Screen: Any {
    /// What its tab says; others go to it by this name.
    fn title(&self) -> &'static str;

    /// The keys it has beside those of every screen.
    fn keys(&self) -> &'static [Binding] {
        &[]
    }

    /// Words that stand on it, and what they mean.
    fn words(&self) -> &'static [Word] {
        &[]
    }

    /// Commands of its own that take more than their name, and what they do; typed in the palette.
    fn typed_commands(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// What is copied of it: what the cursor is on.
    fn copied(&self, _shared: &Shared) -> Option<String> {
        None
    }

    /// While letters are text and no commands: the keys beside them.
    fn typing(&self) -> Option<&'static [Binding]> {
        None
    }

    /// Whether one of its own keys does something now; only such are shown at the foot.
    fn acts(&self, _action: &Action, _shared: &Shared) -> bool {
        true
    }

    /// The user comes here.
    fn enter(&mut self, _shared: &mut Shared) -> Option<Command> {
        None
    }

    /// Something happened in the world; what all screens share knows of it already.
    fn hear(&mut self, _message: &Message, _shared: &mut Shared) -> Option<Command> {
        None
    }

    /// The user wants something here. Changes numbers, and may ask for one thing of the world.
    fn update(&mut self, action: Action, shared: &mut Shared) -> Option<Command>;

    /// What a click on a place of the body means.
    fn hit(&self, _body: Rect, _at: Position, _shared: &Shared) -> Option<Action> {
        None
    }

    fn draw(&self, frame: &mut Frame, body: Rect, shared: &Shared);
}

/// What lies over a screen when it is opened.
pub(super) fn page(page: Page) -> Box<dyn Screen> {
    match page {
        Page::Begin => Box::new(begin::BeginPage::default()),
        Page::Profiles => Box::new(profiles::ProfilesPage::default()),
        Page::Variant(id) => Box::new(variant::VariantPage::of(id)),
        Page::Contrast(one, other) => Box::new(contrast::ContrastPage::of(one, other)),
        Page::Trial(trial) => Box::new(trial::TrialPage::of(*trial)),
        Page::Ask(both) => Box::new(ask::AskPage::of(*both)),
    }
}

/// Every screen in the order of its tab; a new one is a new file and one line here.
pub(super) fn all() -> Vec<Box<dyn Screen>> {
    vec![
        Box::new(models::ModelsScreen::default()),
        Box::new(plan::PlanScreen::default()),
        Box::new(run::RunScreen::default()),
        Box::new(results::ResultsScreen::default()),
        Box::new(advice::AdviceScreen::default()),
        Box::new(find::FindScreen::default()),
        Box::new(decide::DecideScreen::default()),
    ]
}
