//! Waiting jobs in order, grouped by demand.

use crate::event::Event;
use crate::ids::{ClassId, JobId};
use crate::job::{Job, Phase};
use crate::plan::Plan;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Pending jobs ordered by a key that does not change while they wait, then by arrival.
///
/// Jobs of one [class](ClassId) ask for the same. During a pass capacity only shrinks, so when the first of a class does not
/// fit, none of it does; and until something is freed it need not be tried again. A pass therefore looks at the heads of the
/// classes, not at the queue: O(classes) when something was freed, O(1) at an arrival into a class that is known not to fit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>"))]
pub struct ClassQueue<K> {
    classes: Vec<Class<K>>,
    /// The first of each class that may fit.
    heads: BTreeSet<(K, JobId, ClassId)>,
    /// Classes that did not fit since `generation`.
    blocked: Vec<ClassId>,
    generation: u64,
    len: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>"))]
struct Class<K> {
    jobs: BTreeSet<(K, JobId)>,
    blocked: bool,
}

impl<K> Default for ClassQueue<K> {
    fn default() -> ClassQueue<K> {
        ClassQueue { classes: Vec::new(), heads: BTreeSet::new(), blocked: Vec::new(), generation: 0, len: 0 }
    }
}

impl<K: Ord + Copy> ClassQueue<K> {
    /// Jobs in the queue.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no job is in the queue.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Enqueues a job that an event made pending; `key` says where. One that was withdrawn is taken out. Other events are ignored.
    pub fn observe(&mut self, view: &View, event: &Event, key: impl Fn(&Job) -> K) {
        if let Some(job) = made_pending(view, event) {
            let entry = view.job(job);
            self.push(entry.class, key(entry), job);
        } else if let Event::Withdrawn { job } = *event {
            let entry = view.job(job);
            self.remove(entry.class, key(entry), job);
        }
    }

    /// Enqueues a job.
    pub fn push(&mut self, class: ClassId, key: K, job: JobId) {
        if self.classes.len() <= class.index() {
            self.classes.resize_with(class.index() + 1, || Class { jobs: BTreeSet::new(), blocked: false });
        }
        let entry = &mut self.classes[class.index()];
        let old_head = entry.jobs.first().copied();
        self.len += usize::from(entry.jobs.insert((key, job)));
        if !entry.blocked && old_head.is_none_or(|head| (key, job) < head) {
            if let Some((key, job)) = old_head {
                self.heads.remove(&(key, job, class));
            }
            self.heads.insert((key, job, class));
        }
    }

    /// A job that is now the first of its class is to be tried although others of the class did not fit: for callers whose
    /// attempts depend on more than the class.
    pub fn retry(&mut self, class: ClassId, job: JobId) {
        let entry = &mut self.classes[class.index()];
        if let Some(&(key, first)) = entry.jobs.first().filter(|(_, first)| entry.blocked && *first == job) {
            entry.blocked = false;
            self.heads.insert((key, first, class));
        }
    }

    /// Takes a job out, if it is in.
    pub fn remove(&mut self, class: ClassId, key: K, job: JobId) {
        let Some(entry) = self.classes.get_mut(class.index()) else { return };
        self.len -= usize::from(entry.jobs.remove(&(key, job)));
        if self.heads.remove(&(key, job, class)) {
            self.heads.extend(entry.jobs.first().map(|&(key, job)| (key, job, class)));
        }
    }

    /// The first job of all, whether it may fit or not: O(classes).
    pub fn first(&self) -> Option<(K, JobId)> {
        self.classes.iter().filter_map(|class| class.jobs.first().copied()).min()
    }

    /// The first of each class that has any, in order: O(classes log classes).
    pub fn class_heads(&self) -> Vec<(K, JobId, ClassId)> {
        let head = |(c, class): (usize, &Class<K>)| class.jobs.first().map(|&(key, job)| (key, job, ClassId(c as u32)));
        let mut heads: Vec<_> = self.classes.iter().enumerate().filter_map(head).collect();
        heads.sort_unstable();
        heads
    }

    /// The jobs of one class from `from` on, in order.
    pub fn in_class(&self, class: ClassId) -> impl Iterator<Item = (K, JobId)> + '_ {
        self.classes.get(class.index()).into_iter().flat_map(|c| c.jobs.iter().copied())
    }

    /// Launches every job that fits, in order, skipping those that do not.
    pub fn launch_fitting(&mut self, plan: &mut Plan<'_>) {
        self.launch_where(plan, |plan, job| plan.launch(job));
    }

    /// Like [`launch_fitting`](ClassQueue::launch_fitting) with the caller's own attempt: `launch` returns false if no job of
    /// that class can be launched until something is freed.
    pub fn launch_where(&mut self, plan: &mut Plan<'_>, mut launch: impl FnMut(&mut Plan<'_>, JobId) -> bool) {
        if self.generation != plan.capacity().generation() {
            self.generation = plan.capacity().generation();
            self.unblock();
        }
        while let Some(&(key, job, class)) = self.heads.first() {
            if launch(plan, job) {
                self.remove(class, key, job);
            } else {
                self.heads.pop_first();
                self.classes[class.index()].blocked = true;
                self.blocked.push(class);
            }
        }
    }

    /// Forgets what did not fit: room may be had that nobody freed.
    pub fn unblock(&mut self) {
        for class in self.blocked.drain(..) {
            let entry = &mut self.classes[class.index()];
            entry.blocked = false;
            self.heads.extend(entry.jobs.first().map(|&(key, job)| (key, job, class)));
        }
    }
}

/// The job that `event` made pending, if it did.
pub fn made_pending(view: &View, event: &Event) -> Option<JobId> {
    match *event {
        Event::Submit { job, .. } => Some(job),
        Event::Stopped { job, .. } | Event::Failed { job, .. } if view.job(job).phase == Phase::Pending => Some(job),
        _ => None,
    }
}
