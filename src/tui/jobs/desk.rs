//! Decides over what is measured again and again, on a thread of its own that keeps what it has worked out: a wish is
//! answered in milliseconds, the newest one only, and what would change the decision follows when nobody turns on.

use super::caught;
use crate::run::Workplace;
use crate::run::decide::{self, Decided, Turned};
use crate::run::examine;
use crate::tui::Say;
use crate::tui::action::Message;
use crate::tui::results::Decision;
use anyhow::Result;
use bantam_core::profile::Profile;
use bantam_core::record::{Id, Row, Run};
use bantam_verdict::recommend::advice::unfinished;
use bantam_verdict::recommend::{Desk, whatif};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What the desk is told.
enum Wish {
    /// Another run is to be decided over.
    Lay(Box<(Run, Profile)>),
    /// The run has more results than were laid out.
    More,
    Decide(Turned),
    Examine(Id),
    Contrast(Id, Id),
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct DeskJob {
    wishes: Sender<Wish>,
    newest: Arc<AtomicU64>,
}

impl DeskJob {
    pub(super) fn start(say: Say) -> DeskJob {
        let (wishes, told) = channel();
        let newest = Arc::new(AtomicU64::new(0));
        let desk = DeskJob { wishes, newest: newest.clone() };
        thread::spawn(move || {
            if let Err(error) = caught(|| work(&told, &newest, &say)) {
                say.say(Message::Refused(crate::show::sentence(&error)));
            }
        });
        desk
    }

    pub(super) fn lay(&self, run: Run, profile: Profile) {
        self.tell(Wish::Lay(Box::new((run, profile))));
    }

    pub(super) fn more(&self) {
        self.tell(Wish::More);
    }

    pub(super) fn decide(&self, turned: Turned) {
        self.tell(Wish::Decide(turned));
    }

    pub(super) fn examine(&self, id: Id) {
        self.tell(Wish::Examine(id));
    }

    pub(super) fn contrast(&self, one: Id, other: Id) {
        self.tell(Wish::Contrast(one, other));
    }

    fn tell(&self, wish: Wish) {
        self.newest.fetch_add(1, Ordering::SeqCst);
        // a desk that had a fault has said so
        let _ = self.wishes.send(wish);
    }
}

/// What is known of the wishes so far.
#[derive(Default)]
struct Wanted {
    laid: Option<(Run, Profile)>,
    turned: Turned,
    /// Somebody looks at the decision.
    is_asked: bool,
    /// What lies on the desk is not what is there.
    is_old: bool,
    /// It is to be decided again.
    is_turned: bool,
    examined: Option<Id>,
    contrasted: Option<(Id, Id)>,
}

impl Wanted {
    /// Waits for a wish that has to be answered, and takes all that are there. More results alone wait for the next one:
    /// while a run measures, nothing is worked out that nobody asks for. None where nobody can wish any more.
    fn wait(&mut self, wishes: &Receiver<Wish>) -> Option<()> {
        let mut is_urgent = false;
        let mut next = Some(wishes.recv().ok()?);
        while let Some(wish) = next {
            is_urgent |= !matches!(wish, Wish::More);
            match wish {
                Wish::Lay(laid) => (self.laid, self.is_old) = (Some(*laid), true),
                Wish::More => self.is_old = true,
                Wish::Decide(turned) => (self.turned, self.is_asked, self.is_turned) = (turned, true, true),
                Wish::Examine(id) => (self.examined, self.is_asked) = (Some(id), true),
                Wish::Contrast(one, other) => (self.contrasted, self.is_asked) = (Some((one, other)), true),
            }
            next = if is_urgent { wishes.try_recv().ok() } else { Some(wishes.recv().ok()?) };
        }
        Some(())
    }
}

fn work(wishes: &Receiver<Wish>, newest: &AtomicU64, say: &Say) -> Result<()> {
    let mut wanted = Wanted::default();
    let workplace = Workplace::open()?;
    while wanted.wait(wishes).is_some() {
        while wanted.is_asked
            && let Some((run, profile)) = wanted.laid.clone()
        {
            wanted.is_old = false;
            let rows = rows(&run, &workplace)?;
            if rows.is_empty()
                || over(&rows, (&run, &profile), &workplace, (&mut wanted, wishes, newest), say).is_none()
            {
                break;
            }
        }
    }
    Ok(())
}

/// The finished rows of a run, without their items.
fn rows(run: &Run, workplace: &Workplace) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for trial in &run.trials {
        rows.extend(workplace.store.light_row(trial.clone())?);
    }
    Ok(rows)
}

/// Decides over these rows until others are there; None where nobody can wish any more.
fn over(
    rows: &[Row],
    (run, profile): (&Run, &Profile),
    workplace: &Workplace,
    (wanted, wishes, newest): (&mut Wanted, &Receiver<Wish>, &AtomicU64),
    say: &Say,
) -> Option<()> {
    // a device that is not known was told when the run was planned
    let (rows, profile) = match crate::run::decidable(rows.to_vec(), profile, workplace) {
        Ok((rows, profile, _)) => (rows, profile),
        Err(_) => (rows.to_vec(), profile.clone()),
    };
    let profile = &profile;
    let desk = Desk::new(&rows, &workplace.store);
    let mut before = desk.advise(profile);
    loop {
        let number = newest.load(Ordering::SeqCst);
        let decided = decide::decided(&desk, wanted.turned.of(profile), &before);
        before = decided.advice.clone();
        wanted.is_turned = false;
        say.say(Message::Decided(Box::new(Decision {
            number,
            base: profile.clone(),
            decided: decided.clone(),
            tasks: whatif::task_names(&decided.advice),
            unfinished: unfinished(run, &rows),
        })));
        tell_pages(&desk, &decided, workplace, wanted, say);
        let is_over = || newest.load(Ordering::SeqCst) != number;
        let turns = decide::turns(&desk, &decided, &is_over);
        if !is_over() {
            say.say(Message::Turns(number, turns));
        }
        loop {
            wanted.wait(wishes)?;
            if wanted.is_old {
                return Some(());
            }
            tell_pages(&desk, &decided, workplace, wanted, say);
            if wanted.is_turned {
                break;
            }
        }
    }
}

/// Answers what is asked of one variant or of two.
fn tell_pages(desk: &Desk, decided: &Decided, workplace: &Workplace, wanted: &mut Wanted, say: &Say) {
    if let Some(id) = wanted.examined.take() {
        let found = examine::variant(desk, &decided.advice, &id, workplace);
        say.say(Message::Examined(id, found.map(Box::new)));
    }
    if let Some((one, other)) = wanted.contrasted.take() {
        let found = examine::contrast(desk, &decided.profile, &one, &other);
        say.say(Message::Contrasted(one, other, found.map(Box::new)));
    }
}
