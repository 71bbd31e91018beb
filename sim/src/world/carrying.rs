//! Where a world has a mechanism, these of its steps go through it.

use super::{Happening, State, World};
use policies::{Allocation, Attempt, Event, JobId, JobSpec, NodeId, Order, Span, Time};

impl World {
    #[cold]
    pub(super) fn submit_carried(&mut self, job: JobId, mut spec: JobSpec) -> Event {
        if let Some(switching) = &mut self.switching {
            switching.submit(&mut spec);
        }
        if let Some(truth) = self.jobs.get_mut(job) {
            truth.elastic = spec.elastic;
        }
        Event::Submit { job, spec }
    }

    #[cold]
    pub(super) fn start_carried(&mut self, now: Time, which: (JobId, Attempt), allocation: &Allocation, delay: Span) {
        let Some(mut switching) = self.switching.take() else { return };
        switching.start(self, now, which, allocation, delay);
        self.switching = Some(switching);
    }

    #[cold]
    pub(super) fn happen_carried(&mut self, now: Time, happening: (JobId, Attempt, Happening), events: &mut Vec<Event>) {
        let Some(mut switching) = self.switching.take() else { return };
        switching.happen(self, now, happening, events);
        self.switching = Some(switching);
    }

    /// Transfers end; what is in the way begins and ends.
    #[cold]
    pub(super) fn change_links(&mut self, now: Time, events: &mut Vec<Event>) {
        let Some(mut switching) = self.switching.take() else { return };
        switching.complete(self, now, events);
        let mut orders = switching.disturb(self, now, events);
        self.switching = Some(switching);
        // Withdrawn meanwhile, a job needs nothing any more.
        orders.retain(|order| {
            let (Order::Start { job, .. } | Order::Preempt { job, .. }) = order;
            self.jobs.get(*job).is_some_and(|truth| truth.state != State::Done)
        });
        self.apply(now, &orders);
    }

    #[cold]
    pub(super) fn hold_back(&mut self, order: &Order) -> bool {
        self.switching.as_mut().is_some_and(|switching| switching.hold_back(order))
    }

    pub(super) fn tell(&mut self, event: Event, events: &mut Vec<Event>) {
        match &mut self.switching {
            Some(switching) => switching.tell(event, events),
            None => events.push(event),
        }
    }

    pub(super) fn lose_uploads(&mut self, now: Time, node: NodeId) {
        let Some(mut switching) = self.switching.take() else { return };
        switching.lose_uploads(self, now, node);
        self.switching = Some(switching);
    }
}
