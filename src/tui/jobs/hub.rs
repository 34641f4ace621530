//! Work with the hub, each piece on a thread of its own: searches, what models are and need, pulls. A letter typed waits
//! a moment for the next one, and a newer question cuts an older one off.

use super::caught;
use crate::library::{fit, shelf};
use crate::run::fetch::{self, Fetching};
use crate::tui::Say;
use crate::tui::action::{Asked, Message, Wanted};
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_core::profile::Profile;
use bantam_core::sync::lock;
use bantam_hub::{Error, Hits, Hub, Name, Next, Settings, Want};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long after a letter, or a step of the cursor, the hub is asked.
const MOMENT: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct HubJobs {
    searches: Newest,
    infos: Newest,
    readmes: Newest,
    queue: Arc<Mutex<Queue>>,
    pulls: Option<JoinHandle<()>>,
    /// What the profile asked for.
    fetch: Option<(Cancel, JoinHandle<()>)>,
}

/// Pulls that wait, and the one that goes on.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Wanted>,
    going: Option<(String, Cancel)>,
    /// A thread takes them one after the other.
    works: bool,
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

    /// The card of a model: of one that is here from its folder, else from the hub.
    pub(super) fn readme(&mut self, name: String, say: Say) {
        self.readmes.ask(MOMENT, move |cancel| {
            let here = shelf::readme(&name);
            let read = match Name::parse(&name) {
                Ok(of_hub) if here.is_err() && of_hub.repo.has_owner() => {
                    hub(cancel).and_then(|hub| Ok(hub.readme(&of_hub)?))
                }
                _ => here,
            };
            if !cancel.is_cancelled() {
                say.say(Message::Readme(name, read.map_err(|e| crate::show::sentence(&e))));
            }
        });
    }

    /// Puts pulls behind those that wait; one goes on at a time.
    pub(super) fn pull(&mut self, wanted: Vec<Wanted>, say: &Say) {
        let mut queue = lock(&self.queue);
        queue.waiting.extend(wanted);
        if queue.works {
            return;
        }
        queue.works = true;
        let (shared, say) = (self.queue.clone(), say.clone());
        // the one before has nothing to do any more
        self.pulls = Some(thread::spawn(move || {
            while let Some((wanted, cancel)) = shared_next(&shared) {
                let pulled = caught(|| pulled(&wanted, &cancel, &say)).map_err(|e| crate::show::sentence(&e));
                lock(&shared).going = None;
                say.say(Message::Pulled(wanted.name, pulled));
                shelve_now(false, &say);
            }
        }));
    }

    /// Pulls what a profile names of the hub and is not here, as `bantam run` does before it plans.
    pub(super) fn fetch(&mut self, profile: impl FnOnce() -> Result<Profile> + Send + 'static, say: Say) {
        let is_busy = self.fetch.as_ref().is_some_and(|(_, work)| !work.is_finished());
        if is_busy || lock(&self.queue).works {
            return say.say(Message::Refused("a pull is going on; 6, then x stops it, what is fetched is kept".into()));
        }
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let work = thread::spawn(move || {
            let at = Mutex::new(String::new());
            let fetched = caught(|| {
                let missing = fetch::missing(&profile()?)?;
                fetch::fetch(&missing, Settings::from_env()?, &cancel, &|fetching| match fetching {
                    Fetching::Begun(missing) => {
                        *lock(&at) = missing.to_string();
                        say.say(Message::Fetching(missing.to_string()));
                    }
                    Fetching::Progress(progress) => say.say(Message::Pulling(lock(&at).clone(), progress)),
                    Fetching::Done(_) => {}
                })
            });
            say.say(Message::Fetched(fetched.map(drop).map_err(|e| crate::show::sentence(&e))));
        });
        self.fetch = Some((stop, work));
    }

    /// Stops the pull of a name where it goes on; one that waits is taken out of the queue.
    pub(super) fn stop(&mut self, name: &str, say: &Say) {
        let mut queue = lock(&self.queue);
        let before = queue.waiting.len();
        queue.waiting.retain(|wanted| wanted.name != name);
        if queue.waiting.len() < before {
            say.say(Message::Pulled(name.into(), Err(format!("{name} waits no more; nothing of it was fetched"))));
        }
        match &queue.going {
            Some((going, cancel)) if going == name => cancel.cancel(),
            _ => self.fetch.iter().for_each(|(cancel, _)| cancel.cancel()),
        }
    }

    /// Stops everything and waits for the pulls, whose bytes are kept.
    pub(super) fn finish(&mut self) {
        self.searches.cancel.cancel();
        self.infos.cancel.cancel();
        self.readmes.cancel.cancel();
        let mut queue = lock(&self.queue);
        queue.waiting.clear();
        queue.going.iter().for_each(|(_, cancel)| cancel.cancel());
        drop(queue);
        self.fetch.iter().for_each(|(cancel, _)| cancel.cancel());
        let fetch = self.fetch.take().map(|(_, work)| work);
        for work in [fetch, self.pulls.take()].into_iter().flatten() {
            // a panic has been told on the screen already
            let _ = work.join();
        }
    }
}

/// The next pull; where none waits the thread ends, and the next wish begins another.
fn shared_next(queue: &Mutex<Queue>) -> Option<(Wanted, Cancel)> {
    let mut queue = lock(queue);
    let next = queue.waiting.pop_front();
    queue.works = next.is_some();
    let wanted = next?;
    let cancel = Cancel::new();
    queue.going = Some((wanted.name.clone(), cancel.clone()));
    Some((wanted, cancel))
}

fn pulled(wanted: &Wanted, cancel: &Cancel, say: &Say) -> Result<PathBuf> {
    let hub = hub(cancel)?;
    let tell = |progress| say.say(Message::Pulling(wanted.name.clone(), progress));
    let want = Want { include: wanted.files.clone(), ..Want::default() };
    Ok(hub.pull(&Name::parse(&wanted.name)?, &want, &tell)?.folder)
}

/// Looks what this machine has of models.
pub(super) fn shelve(with_bandwidth: bool, say: Say) {
    thread::spawn(move || shelve_now(with_bandwidth, &say));
}

fn shelve_now(with_bandwidth: bool, say: &Say) {
    match caught(|| shelf::look(Path::new("."), with_bandwidth)) {
        Ok(shelf) => say.say(Message::Shelf(Box::new(shelf))),
        Err(error) => say.say(Message::Refused(crate::show::sentence(&error))),
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
