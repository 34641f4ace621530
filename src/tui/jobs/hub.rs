//! Work with the hub, each piece on a thread of its own: searches, what models are and need, pulls. A letter typed waits
//! a moment for the next one, and a newer question cuts an older one off.

use super::caught;
use crate::library::fit;
use crate::run::fetch::{self, Fetching};
use crate::tui::Say;
use crate::tui::action::{Asked, Message};
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_core::profile::Profile;
use bantam_hub::{Error, Hits, Hub, Name, Next, Settings, Want};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long after a letter, or a step of the cursor, the hub is asked.
const MOMENT: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct HubJobs {
    searches: Newest,
    infos: Newest,
    pull: Option<(Cancel, JoinHandle<()>)>,
}

/// Of many questions the one that was asked last.
#[derive(Default)]
struct Newest {
    number: Arc<AtomicU64>,
    cancel: Cancel,
}

impl Newest {
    /// Cuts off what was asked before, waits a moment, and does the work if nothing newer was asked meanwhile.
    fn ask(&mut self, wait: Duration, work: impl FnOnce(&Cancel) + Send + 'static) {
        self.cancel.cancel();
        self.cancel = Cancel::new();
        let mine = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        let (number, cancel) = (self.number.clone(), self.cancel.clone());
        thread::spawn(move || {
            thread::sleep(wait);
            if number.load(Ordering::SeqCst) == mine {
                work(&cancel);
            }
        });
    }
}

impl HubJobs {
    /// The first page for a question; a question about nothing only ends the ones before it.
    pub(super) fn search(&mut self, asked: Asked, say: Say) {
        self.searches.ask(MOMENT, move |cancel| {
            let Some(query) = asked.query else { return };
            let found = hub(cancel).and_then(|hub| Ok(hub.search(&query)?));
            tell(&say, asked.number, found, true);
        });
    }

    pub(super) fn more(&mut self, asked: Asked, next: Next, say: Say) {
        self.searches.ask(Duration::ZERO, move |cancel| {
            let Some(query) = asked.query else { return };
            let found = hub(cancel).and_then(|hub| Ok(hub.more(&query, &next)?));
            tell(&say, asked.number, found, false);
        });
    }

    pub(super) fn model_info(&mut self, id: String, say: Say) {
        self.infos.ask(MOMENT, move |cancel| {
            let read = hub(cancel).and_then(|hub| Ok(hub.model_info(&Name::parse(&id)?)?));
            let read = read.map(|model_info| fit::estimate(model_info, None));
            if !cancel.is_cancelled() {
                say.say(Message::ModelInfo(id, Box::new(read.map_err(|e| crate::show::sentence(&e)))));
            }
        });
    }

    pub(super) fn pull(&mut self, name: String, say: Say) {
        self.wait();
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let work = thread::spawn(move || {
            let pulled = caught(|| {
                let hub = hub(&cancel)?;
                let tell = |progress| say.say(Message::Pulling(progress));
                Ok(hub.pull(&Name::parse(&name)?, &Want::default(), &tell)?)
            });
            let pulled = pulled.map(|pulled| pulled.folder).map_err(|e| crate::show::sentence(&e));
            say.say(Message::Pulled(name, pulled));
        });
        self.pull = Some((stop, work));
    }

    /// Pulls what a profile names of the hub and is not here, as `bantam run` does before it plans.
    pub(super) fn fetch(&mut self, profile: impl FnOnce() -> Result<Profile> + Send + 'static, say: Say) {
        if self.pull.as_ref().is_some_and(|(_, work)| !work.is_finished()) {
            return say.say(Message::Refused("a pull is going on; 6, then x stops it, what is fetched is kept".into()));
        }
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let work = thread::spawn(move || {
            let fetched = caught(|| {
                let missing = fetch::missing(&profile()?)?;
                fetch::fetch(&missing, Settings::from_env()?, &cancel, &|fetching| match fetching {
                    Fetching::Begun(missing) => say.say(Message::Fetching(missing.to_string())),
                    Fetching::Progress(progress) => say.say(Message::Pulling(progress)),
                    Fetching::Done(_) => {}
                })
            });
            say.say(Message::Fetched(fetched.map(drop).map_err(|e| crate::show::sentence(&e))));
        });
        self.pull = Some((stop, work));
    }

    pub(super) fn stop(&mut self) {
        if let Some((cancel, _)) = &self.pull {
            cancel.cancel();
        }
    }

    /// Stops everything and waits for the pull, whose bytes are kept.
    pub(super) fn finish(&mut self) {
        self.searches.cancel.cancel();
        self.infos.cancel.cancel();
        self.stop();
        self.wait();
    }

    fn wait(&mut self) {
        if let Some((_, work)) = self.pull.take() {
            // a panic has been told on the screen already
            let _ = work.join();
        }
    }
}

fn hub(cancel: &Cancel) -> Result<Hub> {
    Ok(Hub::new(Settings::from_env()?, cancel))
}

/// What was cut off is not told: something newer is on its way.
fn tell(say: &Say, number: u64, found: Result<Hits>, is_first: bool) {
    if let Err(error) = &found
        && matches!(error.downcast_ref(), Some(Error::Cancelled))
    {
        return;
    }
    say.say(Message::Found { number, found: Box::new(found.map_err(|e| crate::show::sentence(&e))), is_first });
}
