//! Saving a scheduler's state and going on from it.
//!
//! What is saved is what cannot be made again: jobs, demands in the order in which they were seen, books, and what policy and
//! placement remember. Indexes ([`Capacity`](crate::Capacity), the sets of the [`View`](crate::View)) are made from that, as
//! [`Scheduler::check`](crate::Scheduler::check) makes them to compare: a scheduler that goes on decides as one that never stopped.
//!
//! A policy or placement says how it is saved by one line in its `impl`, if serde can: [`saved_by_serde!`](crate::saved_by_serde). One
//! without any state of its own (of size zero) needs none. The form is postcard's: of one build, for the same build.

use crate::event::NodeState;
use crate::ids::NodeId;
use crate::idtable::IdTable;
use crate::job::{Demand, Job};
use crate::ledger::Ledger;
use crate::scheduler::Scheduler;
use crate::time::Time;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Why a state cannot be saved or loaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// It does not say how.
    #[error(
        "it does not say how its state is saved: derive serde's traits for it and put `policies::saved_by_serde!();` into its impl"
    )]
    Unsupported,
    /// serde cannot.
    #[error("its state cannot be saved: {0}")]
    Unsaved(String),
    /// Bytes that are no state of it, or of another version of it.
    #[error("its saved state cannot be read: {0}")]
    Damaged(String),
}

/// Why a scheduler cannot be saved or loaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchedulerStateError {
    /// Because of its policy.
    #[error("the policy: {0}")]
    Policy(StateError),
    /// Because of its placement.
    #[error("the placement: {0}")]
    Placement(StateError),
    /// Because of the rest.
    #[error("the scheduler: {0}")]
    Scheduler(StateError),
}

/// The methods `save` and `load` of a [`Policy`](crate::Policy), a [`Placement`](crate::Placement) or a
/// [`Score`](crate::placement::Score) whose type has serde's traits: put it into the `impl`.
#[macro_export]
macro_rules! saved_by_serde {
    () => {
        fn save(&self) -> Result<Vec<u8>, $crate::snapshot::StateError> {
            $crate::snapshot::to_bytes(self)
        }

        fn load(&mut self, state: &[u8]) -> Result<(), $crate::snapshot::StateError> {
            *self = $crate::snapshot::from_bytes(state)?;
            Ok(())
        }
    };
}

/// The state as bytes.
///
/// # Errors
/// [`StateError::Unsaved`] where serde cannot, for instance a sequence of unknown length.
pub fn to_bytes(state: &impl Serialize) -> Result<Vec<u8>, StateError> {
    postcard::to_stdvec(state).map_err(|error| StateError::Unsaved(error.to_string()))
}

/// The state that [`to_bytes`] made bytes of.
///
/// # Errors
/// [`StateError::Damaged`], also when bytes are left over.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    let damaged = |what: String| StateError::Damaged(what);
    let (state, rest) = postcard::take_from_bytes(bytes).map_err(|error| damaged(error.to_string()))?;
    if rest.is_empty() { Ok(state) } else { Err(damaged(format!("{} bytes too many", rest.len()))) }
}

/// What is saved of something that does not say how: nothing, if it has nothing.
pub(crate) fn save_stateless(of: &impl ?Sized) -> Result<Vec<u8>, StateError> {
    if size_of_val(of) == 0 { Ok(Vec::new()) } else { Err(StateError::Unsupported) }
}

/// The other way.
pub(crate) fn load_stateless(of: &impl ?Sized, state: &[u8]) -> Result<(), StateError> {
    match (size_of_val(of), state) {
        (0, []) => Ok(()),
        (0, _) => Err(StateError::Damaged(format!("{} bytes too many", state.len()))),
        _ => Err(StateError::Unsupported),
    }
}

/// All of a scheduler that cannot be made again.
#[derive(Serialize)]
struct StateRef<'a> {
    now: Time,
    jobs: &'a IdTable<Job>,
    classes: &'a [Demand],
    nodes: Vec<(NodeId, NodeState)>,
    counts: [u64; 2],
    ledger: Option<&'a Ledger>,
    flags: [bool; 3],
    wakeup: Option<Time>,
    policy: &'a [u8],
    placement: &'a [u8],
}

#[derive(Deserialize)]
struct State<'a> {
    now: Time,
    jobs: IdTable<Job>,
    classes: Vec<Demand>,
    nodes: Vec<(NodeId, NodeState)>,
    counts: [u64; 2],
    ledger: Option<Ledger>,
    flags: [bool; 3],
    wakeup: Option<Time>,
    policy: &'a [u8],
    placement: &'a [u8],
}

impl Scheduler {
    /// The state between two steps, for [`load`](Scheduler::load).
    ///
    /// # Errors
    /// If the policy or the placement does not say how it is saved.
    pub fn save(&self) -> Result<Vec<u8>, SchedulerStateError> {
        let policy = self.policy.save().map_err(SchedulerStateError::Policy)?;
        let placement = self.placement.save().map_err(SchedulerStateError::Placement)?;
        let (view, capacity) = (&self.view, &self.view.capacity);
        let state = StateRef {
            now: view.now,
            jobs: &view.jobs,
            classes: view.classes(),
            nodes: capacity.closed().collect(),
            counts: [capacity.generation(), capacity.journal().changes()],
            ledger: view.ledger(),
            flags: [self.dirty, self.stirred, self.vacated],
            wakeup: self.wakeup,
            policy: &policy,
            placement: &placement,
        };
        to_bytes(&state).map_err(SchedulerStateError::Scheduler)
    }

    /// Goes on from a state that [`save`](Scheduler::save) gave, of a scheduler with the same fleet, policy, placement and tiers in
    /// the same build of this crate: who keeps states must keep that beside them. This scheduler must not have seen anything yet.
    ///
    /// # Errors
    /// If the bytes cannot be read.
    ///
    /// # Panics
    /// If they can, but are of another fleet.
    pub fn load(&mut self, state: &[u8]) -> Result<(), SchedulerStateError> {
        debug_assert!(self.view.jobs.is_empty(), "loaded into a scheduler that has seen jobs");
        let damaged = |error: postcard::Error| SchedulerStateError::Scheduler(StateError::Damaged(error.to_string()));
        let state: State<'_> = postcard::from_bytes(state).map_err(damaged)?;
        self.policy.load(state.policy).map_err(SchedulerStateError::Policy)?;
        self.placement.load(state.placement).map_err(SchedulerStateError::Placement)?;
        self.view.restore(state.now, state.jobs, &state.classes);
        self.view.capacity.resume(&state.nodes, state.counts, &self.view.jobs);
        self.view.ledger = state.ledger.map(|ledger| Box::new(ledger.of_fleet(self.view.capacity.fleet())));
        [self.dirty, self.stirred, self.vacated] = state.flags;
        self.wakeup = state.wakeup;
        self.policy.resume(&self.view, &*self.placement).map_err(SchedulerStateError::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, Policy};

    #[derive(Default, Serialize, Deserialize)]
    struct Counter(u32);

    impl Policy for Counter {
        fn decide(&mut self, _: &mut Plan<'_>) {}
        crate::saved_by_serde!();
    }

    struct Silent;

    impl Policy for Silent {
        fn decide(&mut self, _: &mut Plan<'_>) {}
    }

    struct Secretive(#[allow(dead_code, reason = "that it is there is the point")] u32);

    impl Policy for Secretive {
        fn decide(&mut self, _: &mut Plan<'_>) {}
    }

    #[test]
    fn one_line_saves_a_policy_and_one_without_state_needs_none() {
        let saved = (&Counter(7) as &dyn Policy).save().unwrap();
        let mut other = Counter::default();
        (&mut other as &mut dyn Policy).load(&saved).unwrap();
        assert_eq!(other.0, 7);
        assert!(matches!(other.load(&[]), Err(StateError::Damaged(_))));
        assert!(matches!(other.load(&[1, 2]), Err(StateError::Damaged(_))), "a byte too many");
        let mut silent: Box<dyn Policy> = Box::new(Silent);
        assert_eq!(silent.save().and_then(|state| silent.load(&state)), Ok(()));
        assert_eq!((Box::new(Secretive(1)) as Box<dyn Policy>).save(), Err(StateError::Unsupported));
    }
}
