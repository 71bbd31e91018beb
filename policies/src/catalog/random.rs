//! Random order.

use super::{Entry, Policy};
use crate::event::Event;
use crate::ids::JobId;
use crate::plan::Plan;
use crate::queue::made_pending;
use crate::view::View;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

pub(super) const ENTRY: Entry = Entry {
    name: "random",
    about: "every waiting job is equally likely to be next; what does not fit is skipped (a baseline)",
    parameters: &[],
};

/// Draws the waiting jobs in a uniformly random order, anew at each decision, and starts what fits.
///
/// Whether a job fits depends on its class alone. So it is enough to draw among the classes that may fit, in proportion to
/// their jobs, then a job of the class: the same distribution as shuffling the whole queue, at O(classes) a draw. The
/// generator is xoshiro256++; nothing is drawn for classes that are known not to fit, so spare decisions move nothing.
#[derive(Serialize, Deserialize)]
pub struct Random {
    rng: Xoshiro256PlusPlus,
    classes: Vec<Class>,
    generation: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Class {
    jobs: Vec<JobId>,
    /// One of them did not fit, and nothing was freed since.
    blocked: bool,
}

impl Random {
    /// A policy that draws from the stream of `seed`.
    pub fn new(seed: u64) -> Random {
        Random { rng: Xoshiro256PlusPlus::seed_from_u64(seed), classes: Vec::new(), generation: 0 }
    }

    /// A job of a class that may fit: its class and its position there.
    fn draw(&mut self) -> Option<(usize, usize)> {
        let open = |class: &Class| if class.blocked { 0 } else { class.jobs.len() as u64 };
        let total: u64 = self.classes.iter().map(open).sum();
        if total == 0 {
            return None;
        }
        let mut position = self.rng.random_range(0..total);
        for (c, class) in self.classes.iter().enumerate() {
            if position < open(class) {
                return Some((c, position as usize));
            }
            position -= open(class);
        }
        unreachable!("a position below the total lies in some class")
    }
}

impl Policy for Random {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        if let Event::Withdrawn { job } = *event
            && let Some(class) = self.classes.get_mut(view.job(job).class.index())
        {
            class.jobs.retain(|other| *other != job);
        }
        let Some(job) = made_pending(view, event) else { return };
        let class = view.job(job).class.index();
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Class::default);
        }
        self.classes[class].jobs.push(job);
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        if self.generation != plan.capacity().generation() {
            self.generation = plan.capacity().generation();
            self.classes.iter_mut().for_each(|class| class.blocked = false);
        }
        while let Some((c, position)) = self.draw() {
            let class = &mut self.classes[c];
            if plan.launch(class.jobs[position]) {
                class.jobs.swap_remove(position);
            } else {
                class.blocked = true;
            }
        }
    }
}
