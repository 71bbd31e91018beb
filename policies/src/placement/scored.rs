//! Placements that give every node a score and take the best one, without scoring every node every time.

use super::Placement;
use super::gang::{self, GroupOrder};
use crate::allocation::{Allocation, Grant};
use crate::capacity::{Capacity, Group};
use crate::fleet::Fleet;
use crate::ids::NodeId;
use crate::idset::IdSet;
use crate::job::{Demand, WHOLE_MILLI};
use crate::journal::JournalToken;
use crate::snapshot::{self, StateError};
use std::collections::BTreeMap;

/// What a score is asked about: `count` of the accelerators of `demand` on `node`, which has room for them.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// What is free.
    pub capacity: &'a Capacity,
    /// Where.
    pub node: NodeId,
    /// Of which demand.
    pub demand: &'a Demand,
    /// How many of its accelerators: all, or the remainder of a gang that is larger than a node.
    pub count: u32,
    /// What [`Score::standing`] said of the node.
    pub standing: f64,
    /// The most of anything that a node of the fleet has.
    pub largest: Largest,
}

/// The most of each resource that any node of the fleet has: what scores are normalised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Largest {
    /// Accelerator-thousandths.
    pub milli: u64,
    /// Processors in thousandths, over the nodes where they are counted.
    pub cpu_milli: u32,
    /// Host memory in MiB, over the nodes where it is counted.
    pub memory_mib: u32,
}

impl Largest {
    fn of(fleet: &Fleet) -> Largest {
        let counted = |amounts: &mut dyn Iterator<Item = u32>| amounts.filter(|&a| a != u32::MAX).max().unwrap_or(0);
        let milli = fleet.nodes.iter().map(|node| u64::from(node.accelerators) * u64::from(WHOLE_MILLI));
        Largest {
            milli: milli.max().unwrap_or(0),
            cpu_milli: counted(&mut fleet.nodes.iter().map(|node| node.cpu_milli)),
            memory_mib: counted(&mut fleet.nodes.iter().map(|node| node.memory_mib)),
        }
    }
}

/// How good a node is for a demand. A placement of this kind is a page: implement this and wrap it in [`Scored`].
pub trait Score: Clone + Send + 'static {
    /// Scores are whole numbers from 0 to this. Coarse scores make many ties, and ties go to the lowest-numbered node;
    /// kube-scheduler's scores end at 100.
    fn steps(&self) -> u16 {
        100
    }

    /// What is worth knowing about a node whatever the demand; computed once when the node changes.
    fn standing(&self, capacity: &Capacity, node: NodeId) -> f64 {
        let _ = (capacity, node);
        0.0
    }

    /// The score of a node that has room; more is better. It may depend on nothing but the candidate: a node that did not change
    /// is not asked about again.
    fn score(&self, candidate: &Candidate<'_>) -> u16;

    /// Which accelerators of the chosen node are taken, as a bit set; `None` leaves it to [`Capacity::grant_on`]. Not asked on
    /// fungible nodes.
    fn devices(&mut self, candidate: &Candidate<'_>) -> Option<u64> {
        let _ = candidate;
        None
    }

    /// Which of the nodes with the best score, out of `nodes` in all, is taken.
    fn choose(&mut self, best: &IdSet, nodes: u32) -> Option<u32> {
        let _ = nodes;
        best.first()
    }

    /// See [`Placement::wants_prior`].
    fn wants_prior(&self) -> bool {
        false
    }

    /// See [`Placement::expect`].
    fn expect(&mut self, workload: &[(Demand, u32)]) {
        let _ = workload;
    }

    /// See [`Placement::observe`]. Returns whether scores are different from now on.
    fn observe(&mut self, demand: &Demand) -> bool {
        let _ = demand;
        false
    }

    /// See [`Placement::save`].
    ///
    /// # Errors
    /// It does not say how.
    fn save(&self) -> Result<Vec<u8>, StateError> {
        snapshot::save_stateless(self)
    }

    /// See [`Placement::load`].
    ///
    /// # Errors
    /// It does not say how, or the bytes are no state of it.
    fn load(&mut self, state: &[u8]) -> Result<(), StateError> {
        snapshot::load_stateless(self, state)
    }
}

/// Takes a gang that fits on a node to the node with the best [`Score`]; of a larger one (see [`gang`]) the remainder.
///
/// For every kind of demand seen the scores of all nodes are kept, by score. Before they are used the nodes that changed since
/// are scored again, so a placement costs O(nodes changed since the same demand was last placed) and never more than one walk.
pub struct Scored<S> {
    score: S,
    /// For the capacity in use and for one copy of it that somebody plans with; the last used comes first.
    memories: Vec<Memory>,
}

/// Capacities whose scores are remembered at once.
const MEMORIES: usize = 2;
/// Scores remembered at most, over all kinds of demand: 128 MiB.
const SCORES: usize = 1 << 26;
/// The level of a node without room.
const NO_ROOM: u16 = u16::MAX;

impl<S: Score> Scored<S> {
    /// A placement by `score`.
    pub fn new(score: S) -> Scored<S> {
        Scored { score, memories: Vec::new() }
    }

    /// The best grant of `count` accelerators on a node for which `allowed` holds, if anything limits the choice.
    fn on_one_node(
        &mut self,
        capacity: &Capacity,
        demand: &Demand,
        count: u32,
        allowed: Option<&dyn Fn(NodeId) -> bool>,
    ) -> Option<Grant> {
        let memory = recall(&mut self.memories, capacity);
        memory.catch_up(&self.score, capacity);
        let (standing, largest) = (&memory.standing, memory.largest);
        let class = memory.classes.of(demand, count, standing.len());
        class.catch_up(&self.score, capacity, standing, largest, &mut memory.marks);
        let node = match allowed {
            None => self.score.choose(&class.by_level[class.levels.first()? as usize], standing.len() as u32)?,
            Some(allowed) => {
                let best_first = class.levels.iter().flat_map(|level| class.by_level[level as usize].iter());
                best_first.into_iter().find(|&node| allowed(NodeId(node)))?
            }
        };
        let node = NodeId(node);
        let candidate = Candidate { capacity, node, demand, count, standing: standing[node.index()], largest };
        let fungible = capacity.fleet().node(node).is_fungible();
        let devices = if fungible || count == 0 { None } else { self.score.devices(&candidate) };
        match devices {
            Some(devices) => capacity.grant_devices(node, demand, devices),
            None => capacity.grant_on(node, demand, count),
        }
    }
}

impl<S: Score> Placement for Scored<S> {
    fn place(&mut self, capacity: &Capacity, demand: &Demand) -> Option<Allocation> {
        if let Some(grant) = self.on_one_node(capacity, demand, demand.accelerators, None) {
            return Some(Allocation::from_elem(grant, 1));
        }
        gang::spread(capacity, demand, GroupOrder::FewestFree, |group, count, taken| {
            let allowed = |node: NodeId| in_group(capacity, group, node) && taken.binary_search(&node).is_err();
            self.on_one_node(capacity, demand, count, Some(&allowed))
        })
    }

    fn wants_prior(&self) -> bool {
        self.score.wants_prior()
    }

    fn expect(&mut self, workload: &[(Demand, u32)]) {
        self.memories.clear();
        self.score.expect(workload);
    }

    fn observe(&mut self, demand: &Demand) {
        if self.score.observe(demand) {
            self.memories.clear();
        }
    }

    fn fork(&self) -> Box<dyn Placement> {
        Box::new(Scored::new(self.score.clone()))
    }

    /// Remembered scores follow from the capacity.
    fn save(&self) -> Result<Vec<u8>, StateError> {
        self.score.save()
    }

    fn load(&mut self, state: &[u8]) -> Result<(), StateError> {
        self.memories.clear();
        self.score.load(state)
    }
}

fn in_group(capacity: &Capacity, group: &Group, node: NodeId) -> bool {
    std::ptr::eq(&capacity.groups()[capacity.group_of(node) as usize], group)
}

/// Everything remembered about one capacity.
struct Memory {
    token: JournalToken,
    /// Changes read into `standing`.
    read: u64,
    standing: Vec<f64>,
    largest: Largest,
    classes: Classes,
    marks: Marks,
}

/// The memory of `capacity`, moved to the front; a fresh one if there is none.
fn recall<'a>(memories: &'a mut Vec<Memory>, capacity: &Capacity) -> &'a mut Memory {
    match memories.iter().position(|memory| capacity.journal().same(&memory.token)) {
        Some(0) => {}
        Some(at) => memories[..=at].rotate_right(1),
        None => {
            memories.truncate(MEMORIES - 1);
            memories.insert(0, Memory::new(capacity));
        }
    }
    &mut memories[0]
}

impl Memory {
    fn new(capacity: &Capacity) -> Memory {
        let nodes = capacity.fleet().nodes.len();
        Memory {
            token: capacity.journal().token(),
            read: u64::MAX,
            standing: vec![0.0; nodes],
            largest: Largest::of(capacity.fleet()),
            classes: Classes::default(),
            marks: Marks { marks: vec![0; nodes], round: 0 },
        }
    }

    fn catch_up(&mut self, score: &impl Score, capacity: &Capacity) {
        let standing = &mut self.standing;
        self.marks.changed(capacity, &mut self.read, |node| standing[node.index()] = score.standing(capacity, node));
    }
}

/// Visits each changed node once.
struct Marks {
    marks: Vec<u32>,
    round: u32,
}

impl Marks {
    /// Calls `visit` for every node that changed after the first `read` changes, or for all if nobody knows, and sets `read`.
    fn changed(&mut self, capacity: &Capacity, read: &mut u64, mut visit: impl FnMut(NodeId)) {
        let journal = capacity.journal();
        let changes = journal.changes();
        if *read == changes {
            return;
        }
        match journal.since(*read) {
            None => (0..self.marks.len()).for_each(|node| visit(NodeId(node as u32))),
            Some(nodes) => {
                if self.round == u32::MAX {
                    self.marks.fill(0);
                    self.round = 0;
                }
                self.round += 1;
                for &node in nodes {
                    if self.marks[node.index()] != self.round {
                        self.marks[node.index()] = self.round;
                        visit(node);
                    }
                }
            }
        }
        *read = changes;
    }
}

#[derive(Default)]
struct Classes {
    index: BTreeMap<(Demand, u32), usize>,
    classes: Vec<Class>,
    uses: u64,
}

impl Classes {
    /// The scores for `count` accelerators of `demand`; fresh ones take the room of those that were used longest ago if memory
    /// is short.
    fn of(&mut self, demand: &Demand, count: u32, nodes: usize) -> &mut Class {
        self.uses += 1;
        let key = (*demand, count);
        let at = match self.index.get(&key) {
            Some(&at) => at,
            None if (self.classes.len() + 1) * nodes <= SCORES || self.classes.is_empty() => {
                self.classes.push(Class::new(key, nodes));
                self.classes.len() - 1
            }
            None => {
                let at = (0..self.classes.len()).min_by_key(|&at| self.classes[at].used).expect("there are some");
                self.index.remove(&self.classes[at].key);
                self.classes[at] = Class::new(key, nodes);
                at
            }
        };
        self.index.insert(key, at);
        self.classes[at].used = self.uses;
        &mut self.classes[at]
    }
}

/// The scores of all nodes for one kind of demand. A level is the number of steps below the best possible score.
struct Class {
    key: (Demand, u32),
    used: u64,
    /// Changes read into the levels.
    read: u64,
    level_of: Vec<u16>,
    by_level: Vec<IdSet>,
    /// Levels with nodes.
    levels: IdSet,
}

impl Class {
    fn new(key: (Demand, u32), nodes: usize) -> Class {
        Class { key, used: 0, read: u64::MAX, level_of: vec![NO_ROOM; nodes], by_level: Vec::new(), levels: IdSet::new() }
    }

    fn catch_up(&mut self, score: &impl Score, capacity: &Capacity, standing: &[f64], largest: Largest, marks: &mut Marks) {
        let (demand, count) = self.key;
        let steps = score.steps();
        let mut read = self.read;
        marks.changed(capacity, &mut read, |node| {
            let level = if capacity.fits(node, &demand, count) {
                let standing = standing[node.index()];
                let candidate = Candidate { capacity, node, demand: &demand, count, standing, largest };
                steps - score.score(&candidate).min(steps)
            } else {
                NO_ROOM
            };
            self.set_level(node, level);
        });
        self.read = read;
    }

    fn set_level(&mut self, node: NodeId, level: u16) {
        let was = std::mem::replace(&mut self.level_of[node.index()], level);
        if was == level {
            return;
        }
        if was != NO_ROOM {
            let set = &mut self.by_level[was as usize];
            set.remove(node.0);
            if set.is_empty() {
                self.levels.remove(u32::from(was));
            }
        }
        if level != NO_ROOM {
            if self.by_level.len() <= level as usize {
                self.by_level.resize_with(level as usize + 1, IdSet::new);
            }
            self.by_level[level as usize].insert(node.0);
            self.levels.insert(u32::from(level));
        }
    }
}
