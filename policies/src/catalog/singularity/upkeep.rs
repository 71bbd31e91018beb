//! What is done for those who sit already, and for those who never do.

use super::Singularity;
use super::floor::{TIERS, WORST};
use crate::ids::{JobId, NodeId};
use crate::job::Phase;
use crate::plan::Plan;
use crate::time::Time;

/// Jobs that one decision moves for gain at most: what remains is for the next one.
const MOVES: usize = 16;

impl Singularity {
    /// Ranks jobs that have waited too long before others of the worst tier, until they have run for a while.
    pub(super) fn feed(&mut self, plan: &Plan<'_>) {
        while let Some(&(due, job)) = self.fed.first() {
            if due > plan.now() {
                self.wake_at(due);
                break;
            }
            self.fed.pop_first();
            let since = self.row(job).since;
            self.rise(job);
            self.row_mut(job).tier = WORST as u8;
            self.sit_again(plan, job, since);
        }
        while let Some(&(since, job)) = self.hungry.first() {
            let due = since + self.style.starve;
            if due > plan.now() {
                self.wake_at(due);
                return;
            }
            self.hungry.pop_first();
            let (class, submit) = (plan.job(job).class, plan.job(job).submit);
            if plan.job(job).phase == Phase::Pending {
                self.waiting[WORST].remove(class, submit, job);
                self.row_mut(job).tier = WORST as u8 - 1;
                self.waiting[WORST - 1].push(class, submit, job);
            }
        }
    }

    pub(super) fn wake_at(&mut self, time: Time) {
        self.wakeup = Some(self.wakeup.map_or(time, |other| other.min(time)));
    }

    /// Gives the uprooted of a tier other places, as large as can be had.
    pub(super) fn replant(&mut self, plan: &mut Plan<'_>, tier: usize) {
        let of_tier = (tier as u8, Time::ZERO, JobId(0))..=(tier as u8, Time::MAX, JobId(u32::MAX));
        let uprooted: Vec<_> = self.uprooted.range(of_tier).copied().collect();
        for key in uprooted {
            let job = key.2;
            let held = plan.job(job).size();
            let resize = self.style.resize;
            let sizes = plan.job(job).spec.sizes().filter(|&size| size <= held && (resize || size == held));
            let found = sizes.collect::<Vec<_>>().into_iter().any(|size| plan.redirect(job, size));
            if found {
                self.uprooted.remove(&key);
                self.sit(plan, job);
            }
        }
    }

    /// Moves jobs off the nodes that are to be emptied: elsewhere, onto fewer accelerators, or into the queue.
    pub(super) fn empty_nodes(&mut self, plan: &mut Plan<'_>) {
        let nodes: Vec<NodeId> = self.draining.iter().copied().collect();
        for node in nodes {
            let floor = self.floor.as_ref().expect("made at the first decision");
            let jobs: Vec<JobId> = floor.jobs_on(node).to_vec();
            for job in jobs {
                let phase = plan.job(job).phase;
                if !matches!(phase, Phase::Assigned | Phase::Starting | Phase::Running) {
                    continue;
                }
                self.rise(job);
                let size = plan.job(job).size();
                if phase != Phase::Assigned && plan.relocate(job, size) {
                    self.sit(plan, job);
                    continue;
                }
                plan.preempt(job, None);
                self.uproot(plan, job);
            }
        }
    }

    /// Grows jobs that run too slowly for what they were promised, at the cost of worse tiers. Returns whether it did.
    pub(super) fn catch_up(&mut self, plan: &mut Plan<'_>) -> bool {
        let Some(ranks) = &self.ranks else { return false };
        let mut grown = false;
        let slow = |&&(tier, _, job): &&(u8, Time, JobId)| {
            let entry = plan.job(job);
            let settled = matches!(entry.phase, Phase::Running) && ranks.is_too_slow(tier.into(), entry.speed);
            settled && entry.remaining_at(plan.now()).is_none_or(|left| left >= self.style.quiet)
        };
        let slow: Vec<_> = self.shrunk.iter().take(8 * MOVES).filter(slow).take(MOVES).copied().collect();
        for (tier, since, job) in slow {
            let entry = plan.job(job);
            // It may have made way for one before it.
            if entry.phase != Phase::Running {
                continue;
            }
            let size = entry.size();
            let larger: Vec<u32> = entry.spec.sizes().take_while(|&larger| larger > size).collect();
            self.rise(job);
            if larger.into_iter().any(|larger| self.claim(plan, job, tier.into(), larger)) {
                self.sit(plan, job);
                grown = true;
            } else {
                self.sit_again(plan, job, since);
            }
        }
        grown
    }

    /// Gives what nobody who waits can use to jobs that run on fewer accelerators than they asked for.
    pub(super) fn grow(&mut self, plan: &mut Plan<'_>) {
        if plan.capacity().free_milli() < 1000 || self.shrunk.is_empty() {
            return;
        }
        // Growth must not take what a better tier waits for.
        let best = (0..TIERS).find(|&tier| !self.waiting[tier].is_empty()).unwrap_or(TIERS);
        let mut moves = 0;
        let shrunk = self.shrunk.iter().copied().take_while(|key| usize::from(key.0) <= best).take(8 * MOVES);
        let mut shrunk: Vec<_> = shrunk.collect();
        if let Some(ranks) = &self.ranks {
            shrunk.sort_by_key(|(_, _, job)| ranks.give_back(plan.job(*job).spec.tier));
        }
        for (_, since, job) in shrunk {
            let free = plan.capacity().free_milli_for(&plan.job(job).spec.demand) / 1000;
            if moves == MOVES || plan.capacity().free_milli() < 1000 {
                break;
            }
            if plan.job(job).phase != Phase::Running {
                continue;
            }
            if since + self.style.quiet > plan.now() {
                self.wake_at(since + self.style.quiet);
                continue;
            }
            let entry = plan.job(job);
            let size = entry.size();
            let ends_soon = entry.remaining_at(plan.now()).is_some_and(|left| left < self.style.quiet);
            let larger: Vec<u32> = entry
                .spec
                .sizes()
                .take_while(|&larger| larger > size)
                .filter(|larger| u64::from(larger - size) <= free)
                .collect();
            if ends_soon || larger.is_empty() {
                continue;
            }
            self.rise(job);
            let grown = larger.into_iter().any(|larger| plan.relocate(job, larger));
            moves += usize::from(grown);
            if grown {
                self.sit(plan, job);
            } else {
                self.sit_again(plan, job, since);
            }
        }
    }

    /// The job stays where it was.
    pub(super) fn sit_again(&mut self, plan: &Plan<'_>, job: JobId, since: Time) {
        self.sit(plan, job);
        let row = self.rows.get_mut(job).expect("live jobs have rows");
        if self.shrunk.remove(&(row.tier, row.since, job)) {
            self.shrunk.insert((row.tier, since, job));
        }
        row.since = since;
        if usize::from(row.tier) == WORST - 1 {
            self.fed.insert((since + self.style.quiet, job));
        }
    }
}
