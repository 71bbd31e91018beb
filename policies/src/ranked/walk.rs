//! The walk.

use super::{Class, Rank, Ranked, Slot, Standing};
use crate::ids::{ClassId, JobId};
use crate::time::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What selected jobs share.
pub(crate) trait Room {
    /// Thousandths that nobody holds.
    fn free_milli(&self) -> u64;

    /// Finds a place for the job and takes it, if there is one.
    fn take(&mut self, job: JobId, milli: u64) -> bool;

    /// Frees what a selected job holds, for the time being.
    fn lift(&mut self, job: JobId, milli: u64);

    /// Gives a lifted job back what it held, if that can still be had.
    fn put_back(&mut self, job: JobId, milli: u64) -> bool;
}

/// What a walk changed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Jobs that waited and have a place now, by rank: in the order in which they took it.
    pub chosen: Vec<Chosen>,
    /// Jobs that were selected and are not any more, by rank, each with the job for which room was made.
    pub displaced: Vec<(JobId, Option<JobId>)>,
    /// Jobs that were looked at and found no room.
    pub refused: Vec<JobId>,
}

/// A job that waited and has a place now. The caller must [`select`](Ranked::select) it.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub job: JobId,
    pub milli: u64,
    /// Where it stood.
    pub rank: Rank,
}

/// A selected job whose place was freed, until the walk comes by it.
#[derive(Clone, Copy, Debug)]
struct Lifted {
    rank: Rank,
    lane: u32,
    slot: Slot,
}

/// Kept between walks to save allocations; empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    heads: BinaryHeap<Reverse<(Rank, ClassId)>>,
    /// By rank, best last.
    lifted: Vec<Lifted>,
}

impl Ranked {
    /// Makes the selected jobs those that a walk over all live jobs, in order of rank at `now`, would take.
    ///
    /// The walk visits only the first of each class that may fit, and lifts selected jobs from the tail of the order as far as
    /// one ahead of them needs their room. A lifted job is visited in its turn: it gets its place back if that is still free.
    pub fn walk<R: Room>(&mut self, now: Time, room: &mut R) -> Outcome {
        let mut out = Outcome::default();
        let mut buffers = std::mem::take(&mut self.buffers);
        self.wake();
        for class in std::mem::take(&mut self.due) {
            self.classes[class.index()].due = false;
            buffers.heads.extend(self.first_rank(class, now).map(|rank| Reverse((rank, class))));
        }
        loop {
            let head = buffers.heads.peek().map(|&Reverse((rank, _))| rank);
            match (head, buffers.lifted.last()) {
                (Some(head), lifted) if lifted.is_none_or(|l| head < l.rank) => self.visit(now, room, &mut buffers, &mut out),
                (_, Some(_)) => self.revisit(now, room, &mut buffers, &mut out),
                _ => break,
            }
        }
        self.buffers = buffers;
        out
    }

    /// Visits the first of a class.
    fn visit<R: Room>(&mut self, now: Time, room: &mut R, buffers: &mut Buffers, out: &mut Outcome) {
        let Reverse((rank, class)) = buffers.heads.pop().expect("visited because it is there");
        let milli = self.classes[class.index()].milli;
        match self.find_place(now, room, rank, milli, &mut buffers.lifted) {
            Ok(()) => {
                let job = rank.job;
                self.classes[class.index()].jobs.pop_first();
                self.waiting -= 1;
                self.set(job, Standing::Out);
                out.chosen.push(Chosen { job, milli, rank });
                buffers.heads.extend(self.first_rank(class, now).map(|rank| Reverse((rank, class))));
            }
            Err(missing) => {
                let at = self.departed + missing;
                self.classes[class.index()].retry_at = Some(at);
                self.blocked.insert((at, class));
                out.refused.push(rank.job);
            }
        }
    }

    /// Takes a place for the job of that rank, lifting others behind it as far as needed; or says how much, at least, must leave
    /// before there can be one.
    fn find_place<R: Room>(
        &mut self,
        now: Time,
        room: &mut R,
        rank: Rank,
        milli: u64,
        lifted: &mut Vec<Lifted>,
    ) -> Result<(), u64> {
        if room.take(rank.job, milli) {
            return Ok(());
        }
        let missing = milli.saturating_sub(room.free_milli());
        let behind = self.milli_behind(now, rank, missing.max(1));
        if behind < missing || behind == 0 {
            return Err((missing - behind).max(1));
        }
        // Enough in sum, but where nodes matter it may take more to free a place of the right shape.
        let mut step = missing.max(1);
        loop {
            let freed = self.lift_behind(now, room, rank, step, lifted);
            if room.take(rank.job, milli) {
                return Ok(());
            }
            if freed < step {
                return Err(1);
            }
            step = freed * 2;
        }
    }

    /// Thousandths of selected jobs behind `rank`, counted until they are `enough`.
    fn milli_behind(&self, now: Time, rank: Rank, enough: u64) -> u64 {
        let mut sum = 0;
        for lane in &self.lanes {
            for slot in lane.slots.iter().rev().take_while(|slot| lane.rank(slot, now) > rank) {
                sum += slot.milli;
                if sum >= enough {
                    return sum;
                }
            }
        }
        sum
    }

    /// Lifts selected jobs behind `rank`, last first, until `enough` thousandths are freed; returns how many were.
    fn lift_behind<R: Room>(&mut self, now: Time, room: &mut R, rank: Rank, enough: u64, lifted: &mut Vec<Lifted>) -> u64 {
        let mut freed = 0;
        while freed < enough {
            let last = |(l, lane): (usize, &super::Lane)| lane.slots.last().map(|slot| (lane.rank(slot, now), l));
            let Some((last, lane)) = self.lanes.iter().enumerate().filter_map(last).max().filter(|(last, _)| *last > rank)
            else {
                break;
            };
            let slot = self.lanes[lane].slots.pop_last().expect("it is the last");
            room.lift(slot.job, slot.milli);
            lifted.push(Lifted { rank: last, lane: lane as u32, slot });
            freed += slot.milli;
        }
        freed
    }

    /// Visits the best of the lifted jobs.
    fn revisit<R: Room>(&mut self, now: Time, room: &mut R, buffers: &mut Buffers, out: &mut Outcome) {
        let Lifted { rank, lane, slot } = buffers.lifted.pop().expect("revisited because it is there");
        if room.put_back(slot.job, slot.milli) {
            self.lanes[lane as usize].slots.insert(slot);
            return;
        }
        self.set(slot.job, Standing::Out);
        self.depart(slot.milli);
        out.displaced.push((slot.job, out.chosen.last().map(|c| c.job)));
        // What it leaves over may do for somebody behind it. Nobody ahead of it gains anything: the next walk may look.
        let before = self.due.len();
        self.wake();
        let mut kept = before;
        for i in before..self.due.len() {
            let class = self.due[i];
            match self.first_rank(class, now).filter(|first| *first > rank) {
                Some(first) => {
                    self.classes[class.index()].due = false;
                    buffers.heads.push(Reverse((first, class)));
                }
                None => {
                    self.due[kept] = class;
                    kept += 1;
                }
            }
        }
        self.due.truncate(kept);
    }

    /// Marks the classes that are due for a look because enough has left.
    fn wake(&mut self) {
        while let Some(&(at, class)) = self.blocked.first().filter(|(at, _)| *at <= self.departed) {
            self.blocked.remove(&(at, class));
            let Class { retry_at, due, .. } = &mut self.classes[class.index()];
            *retry_at = None;
            if !std::mem::replace(due, true) {
                self.due.push(class);
            }
        }
    }
}
