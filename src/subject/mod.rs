//! The models of this process, and those behind an address, as a task asks them: each a [`LanguageModel`](bantam_eval::LanguageModel), a file per
//! kind of model. The token rules are bantam-eval's, the arithmetic is bantam-model's.

mod answers;
mod conversations;
mod encoder;
mod endpoint;
mod local;
mod vocabulary;

pub use conversations::missing as missing_template;
pub use encoder::LocalEncoder;
pub use endpoint::{EndpointModel, Tally, Ways};
pub use local::LocalDecoder;
pub use vocabulary::vocabulary;

use bantam_eval as eval;
use bantam_model::encoder::{Mode, Role};

fn role(role: eval::TextRole) -> Role {
    match role {
        eval::TextRole::Plain => Role::Plain,
        eval::TextRole::Query => Role::Query,
        eval::TextRole::Document => Role::Document,
    }
}

fn mode(pooling: eval::Pooling) -> Mode {
    match pooling {
        eval::Pooling::Mean => Mode::Mean,
        eval::Pooling::Last => Mode::Last,
    }
}
