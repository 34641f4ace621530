//! Carries out the app's commands on threads of their own. The only file of the workbench that knows the rooms below.

use super::Say;
use super::action::Command;

/// The work behind the screens.
pub struct Jobs {}

impl Jobs {
    pub(super) fn carry_out(&mut self, _command: Command, _say: &Say) {}

    /// Stops what is running and waits until its workers are gone.
    pub fn finish(&mut self) {}
}
