//! A preparation: the recipe's steps done to the model, below the folder of artifacts.

use crate::bench::protocol::Reply;
use crate::record::{Failure, Variant};

/// No recipe can be done so far, and the plan makes no variant that has one.
pub fn prepare(variant: &Variant) -> Reply {
    Reply::Failed(Failure::Compress { message: format!("{}: no recipe can be done so far", variant.label()) })
}
