//! Which nodes changed, for whoever keeps something per node.

use crate::ids::NodeId;
use std::sync::Arc;

/// The nodes whose free capacity changed, in order, as far back as memory allows.
///
/// A reader remembers the number of [changes](Journal::changes) up to which it has read and catches up with
/// [`since`](Journal::since); work then follows what changed and not the size of the fleet. A copy of a journal is another
/// history: the two part from there on, so a reader of one must not go on with the other ([`same`](Journal::same)).
#[derive(Debug)]
pub struct Journal {
    /// Compared by address only.
    identity: Arc<()>,
    nodes: Vec<NodeId>,
    /// Changes that are forgotten.
    forgotten: u64,
    keep: usize,
}

impl Journal {
    /// An empty journal of a fleet of `nodes` nodes. A reader that lags by more than that may as well look at all of them.
    pub(crate) fn new(nodes: usize) -> Journal {
        Journal { identity: Arc::new(()), nodes: Vec::new(), forgotten: 0, keep: nodes.max(64) }
    }

    /// One that has forgotten all of the first `changes` changes.
    pub(crate) fn after(nodes: usize, changes: u64) -> Journal {
        Journal { forgotten: changes, ..Journal::new(nodes) }
    }

    /// How many changes there were.
    pub fn changes(&self) -> u64 {
        self.forgotten + self.nodes.len() as u64
    }

    /// The nodes that changed after the first `read` changes, in order and with repetitions; `None` if that is too long ago.
    pub fn since(&self, read: u64) -> Option<&[NodeId]> {
        let from = read.checked_sub(self.forgotten)?;
        self.nodes.get(from as usize..)
    }

    /// Whether both are the same history, and not a copy that went its own way.
    pub fn same(&self, token: &JournalToken) -> bool {
        Arc::ptr_eq(&self.identity, &token.0)
    }

    /// Names this history.
    pub fn token(&self) -> JournalToken {
        JournalToken(self.identity.clone())
    }

    #[inline]
    pub(crate) fn push(&mut self, node: NodeId) {
        // Only then is there anything to be done beside.
        if self.nodes.len() == self.nodes.capacity() {
            self.make_room();
        }
        self.nodes.push(node);
    }

    #[cold]
    fn make_room(&mut self) {
        if self.nodes.len() >= 2 * self.keep {
            self.forgotten += self.keep as u64;
            self.nodes.drain(..self.keep);
        } else {
            self.nodes.reserve(1);
        }
    }
}

impl Clone for Journal {
    fn clone(&self) -> Journal {
        Journal { identity: Arc::new(()), nodes: self.nodes.clone(), forgotten: self.forgotten, keep: self.keep }
    }
}

/// The name of one history; see [`Journal::same`].
#[derive(Clone, Debug)]
pub struct JournalToken(Arc<()>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_changed_since_and_when_it_no_longer_knows() {
        let mut journal = Journal::new(3);
        for i in 0..1000 {
            journal.push(NodeId(i % 3));
            let now = journal.changes();
            assert_eq!(now, u64::from(i) + 1);
            assert_eq!(journal.since(now), Some(&[][..]));
            assert_eq!(journal.since(now - 1), Some(&[NodeId(i % 3)][..]));
        }
        assert_eq!(journal.since(1000 - 64).map(<[_]>::len), Some(64));
        assert_eq!(journal.since(0), None);
    }

    #[test]
    fn a_copy_is_another_history() {
        let journal = Journal::new(3);
        let token = journal.token();
        assert!(journal.same(&token));
        assert!(!journal.clone().same(&token));
    }
}
