//! The glue between asking and answering: a task's questions on text, answered by a model in this process. The token rules
//! are the suite's, the arithmetic is the model's; one file per kind of model.

mod decoder;
mod encoder;

pub use decoder::Answerer;
pub use encoder::EncoderAnswerer;

use crate::model::encoder::{Mode, Role};
use crate::suite;

fn role(role: suite::Role) -> Role {
    match role {
        suite::Role::Plain => Role::Plain,
        suite::Role::Query => Role::Query,
        suite::Role::Document => Role::Document,
    }
}

fn mode(pooling: suite::Pooling) -> Mode {
    match pooling {
        suite::Pooling::Mean => Mode::Mean,
        suite::Pooling::Last => Mode::Last,
    }
}
