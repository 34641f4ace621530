//! Models behind an address: what is sent to them and read from them (`client`), in the forms of OpenAI's and Anthropic's
//! APIs (`api`), over HTTP with patience for servers that fail (`wire`), at the pace that the server allows (`gate`), within
//! what may be spent (`budget`), with a key that is shown nowhere (`key`); and at rates that nobody waits for (`load`).
//!
//! Plain threads and blocking calls: a client is shared by as many threads as requests may be underway. What was answered
//! goes to a [`Ledger`] before anybody hears of it, since it is paid for; the same request is answered from there. It knows
//! no task, no store and no screen.

#![warn(missing_docs)]

mod api;
mod budget;
mod client;
mod error;
mod gate;
mod key;
mod ledger;
mod load;
mod prompts;
mod stream;
#[cfg(test)]
mod tests;
mod time;
mod wire;

pub use api::{Likely, Message, Said, Stopped, Talk, Token};
pub use client::{Client, Streamed, Told, answers};
pub use error::Error;
pub use key::Key;
pub use ledger::{Forgetful, Ledger};
pub use load::{Arrivals, Offered, Sent, Sweep, offer};
pub use prompts::Prompts;
pub use time::{Machine, Time};
pub use wire::Patience;
