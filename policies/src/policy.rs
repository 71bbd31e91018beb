//! The one trait that a scheduling policy implements.

use crate::event::Event;
use crate::placement::Placement;
use crate::plan::Plan;
use crate::snapshot::{self, StateError};
use crate::time::Time;
use crate::view::View;

/// Decides which jobs run. The same object drives the simulator and real nodes.
///
/// # Contract
/// For each step the scheduler calls [`observe`](Policy::observe) once for every event that took effect, in order, then
/// [`decide`](Policy::decide) once, at the same instant. A policy has no other input: no clock, no randomness but what it was
/// seeded with, no I/O. It must never hang: a decision that launches nothing is a decision.
pub trait Policy: Send {
    /// Bookkeeping: an event took effect. `view` shows the state after it. A job that the event ended can be looked up for the
    /// last time here; one that was [withdrawn](Event::Withdrawn) may have been waiting. What nodes do shows in [`View::capacity`]: a policy that plans with that need not follow their events.
    fn observe(&mut self, view: &View, event: &Event) {
        let _ = (view, event);
    }

    /// The one question: what should happen now?
    fn decide(&mut self, plan: &mut Plan<'_>);

    /// When to ask again if nothing else happens. Must be later than `view.now()`.
    fn next_wakeup(&self, view: &View) -> Option<Time> {
        let _ = view;
        None
    }

    /// Everything that decisions to come depend on, for [`load`](Policy::load): what long runs are snapshotted with. One line does it
    /// where serde can: [`saved_by_serde!`](crate::saved_by_serde). A policy of size zero has nothing to save.
    ///
    /// # Errors
    /// [`StateError::Unsupported`]: the policy does not say how.
    fn save(&self) -> Result<Vec<u8>, StateError> {
        snapshot::save_stateless(self)
    }

    /// Becomes what [`save`](Policy::save) was called on, with the same parameters.
    ///
    /// # Errors
    /// The policy does not say how, or the bytes are no state of it.
    fn load(&mut self, state: &[u8]) -> Result<(), StateError> {
        snapshot::load_stateless(self, state)
    }

    /// Called once after [`load`](Policy::load), when `view` and `placement` are what they were at [`save`](Policy::save): for policies
    /// that keep something made from them.
    ///
    /// # Errors
    /// What it loaded does not go with them.
    fn resume(&mut self, view: &View, placement: &dyn Placement) -> Result<(), StateError> {
        let _ = (view, placement);
        Ok(())
    }
}
