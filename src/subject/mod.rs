//! The glue between asking and answering: a task's questions on text, answered by a model in this process. The token rules
//! are the suite's, the arithmetic is the model's; one file per kind of model.

mod encoder;
mod local;

pub use encoder::EncoderAnswerer;
pub use local::Answerer;

use bantam_eval as eval;
use bantam_model::encoder::{Mode, Role};

fn role(role: eval::Role) -> Role {
    match role {
        eval::Role::Plain => Role::Plain,
        eval::Role::Query => Role::Query,
        eval::Role::Document => Role::Document,
    }
}

fn mode(pooling: eval::Pooling) -> Mode {
    match pooling {
        eval::Pooling::Mean => Mode::Mean,
        eval::Pooling::Last => Mode::Last,
    }
}
