//! Commands that wait for something only the program can do.
//!
//! A command whose wait list leads to a user event that the program has not set yet cannot be given to the device: nothing
//! could finish the queue then, and a checkpoint must. So it stays here, as the message that it came as, and everything that
//! OpenCL orders after it stays, too. Held messages are part of a checkpoint as they are.

use rustc_hash::{FxHashMap, FxHashSet};
use wire::{Call, Id, Info, Op, Request};

/// OpenCL's numbers that matter here.
const QUEUE_PROPERTIES: u64 = 0x1093;
const OUT_OF_ORDER: u64 = 1;
const EVENT_STATUS: u32 = 0x11D3;

/// The messages held back, and what they hold back in turn.
#[derive(Default)]
pub(crate) struct Held {
    /// In the order in which they came.
    messages: Vec<(Call, Vec<u8>)>,
    /// Events that are not going to happen before the program acts.
    open: FxHashSet<Id>,
    /// Held commands of each queue: how many, and how many of them are barriers.
    queues: FxHashMap<Id, (usize, usize)>,
    /// Queues that keep their order.
    in_order: FxHashSet<Id>,
}

impl Held {
    /// Notes what a request means for later ones.
    pub(crate) fn observe(&mut self, request: &Request) {
        match request {
            Request::UserEvent { id, .. } => drop(self.open.insert(*id)),
            Request::SetUserEvent { id, .. } => drop(self.open.remove(id)),
            Request::Queue { id, properties, .. } => {
                let bits = properties.iter().flat_map(|list| list.chunks_exact(2)).find(|pair| pair[0] == QUEUE_PROPERTIES);
                if bits.is_none_or(|pair| pair[1] & OUT_OF_ORDER == 0) {
                    self.in_order.insert(*id);
                }
            }
            Request::Release { id } => drop(self.in_order.remove(id)),
            _ => {}
        }
    }

    /// Whether the request must wait for the program.
    pub(crate) fn must_wait(&self, request: &Request) -> bool {
        if self.open.is_empty() && self.messages.is_empty() {
            return false;
        }
        match request {
            Request::Enqueue { queue, wait, op, .. } => {
                let (commands, barriers) = self.queues.get(queue).copied().unwrap_or_default();
                let all_before = matches!(op, Op::Barrier | Op::Marker) && wait.is_empty();
                let ordered = self.in_order.contains(queue) || barriers > 0 || all_before;
                (ordered && commands > 0) || wait.iter().any(|event| self.open.contains(event))
            }
            Request::Finish { queue } => self.queues.contains_key(queue),
            Request::Wait { events } => events.iter().any(|event| self.open.contains(event)),
            Request::Reached { event, .. } => self.open.contains(event),
            // What a held command uses must stay. That frees some things late, and nothing too early.
            Request::Release { .. } => !self.messages.is_empty(),
            _ => false,
        }
    }

    /// The answer to a question about an event that only a held command will make: queued, not done.
    pub(crate) fn answer(&self, request: &Request) -> Option<(i32, Vec<u8>)> {
        let made_later = |id: &Id| self.messages.iter().any(|(call, _)| event(&call.request) == Some(*id));
        match request {
            Request::Info { info: Info::Event, id, param: EVENT_STATUS, .. } if made_later(id) => {
                Some((0, wire::cl::QUEUED.to_ne_bytes().to_vec()))
            }
            Request::Info { info: Info::Profiling, id, .. } if made_later(id) => {
                Some((wire::cl::PROFILING_INFO_NOT_AVAILABLE, Vec::new()))
            }
            _ => None,
        }
    }

    /// Keeps a message back.
    pub(crate) fn hold(&mut self, call: Call, body: Vec<u8>) {
        if let Request::Enqueue { queue, event, op, .. } = &call.request {
            let (commands, barriers) = self.queues.entry(*queue).or_default();
            *commands += 1;
            *barriers += usize::from(matches!(op, Op::Barrier));
            if *event != 0 {
                self.open.insert(*event);
            }
        }
        self.messages.push((call, body));
    }

    /// All messages, to be tried again in their order; nothing is held any more.
    pub(crate) fn take(&mut self) -> Vec<(Call, Vec<u8>)> {
        for (call, _) in &self.messages {
            if let Some(event) = event(&call.request) {
                self.open.remove(&event);
            }
        }
        self.queues.clear();
        std::mem::take(&mut self.messages)
    }

    /// The messages, for a checkpoint.
    pub(crate) fn messages(&self) -> &[(Call, Vec<u8>)] {
        &self.messages
    }
}

fn event(request: &Request) -> Option<Id> {
    match request {
        Request::Enqueue { event, .. } if *event != 0 => Some(*event),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::When;

    fn marker(queue: Id, wait: &[Id], event: Id) -> Call {
        let request = Request::Enqueue { queue, wait: wait.to_vec(), event, when: When::Queued, op: Op::Marker };
        Call { number: 0, request }
    }

    #[test]
    fn what_depends_on_a_user_event_waits_and_nothing_else() {
        let mut held = Held::default();
        for id in [16, 17] {
            held.observe(&Request::Queue { id, context: 1, device: 1, properties: None });
        }
        held.observe(&Request::UserEvent { id: 20, context: 1 });
        assert!(!held.must_wait(&marker(16, &[], 21).request));
        let blocked = marker(16, &[20], 22);
        assert!(held.must_wait(&blocked.request));
        held.hold(blocked, Vec::new());
        assert!(held.must_wait(&marker(16, &[], 23).request), "the queue keeps its order");
        assert!(held.must_wait(&marker(17, &[22], 24).request), "through an event, in another queue");
        assert!(!held.must_wait(&marker(17, &[], 25).request));
        assert!(held.must_wait(&Request::Finish { queue: 16 }));
        assert!(!held.must_wait(&Request::Finish { queue: 17 }));
        held.observe(&Request::SetUserEvent { id: 20, status: 0 });
        let again = held.take();
        assert_eq!(again.len(), 1);
        assert!(!held.must_wait(&again[0].0.request));
    }
}
