//! The work of an attempt: how it begins, goes on, stands still for checkpoints and stops.

use super::super::carried::After;
use super::super::{ENDLESS, Happening, State, World};
use super::{Switching, bank};
use crate::mechanism::Image;
use crate::recovery::Recovery;
use policies::elastic::time_for;
use policies::{Event, JobId, Span, Time};

impl Switching {
    /// The attempt's first step.
    pub(super) fn begin_work(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        let attempt = truth.attempt;
        if truth.state == State::Starting {
            truth.state = State::Running;
        }
        carried.copy.clear();
        carried.crashes = world.crashes.map_or(Time::MAX, |crashes| now + crashes.draw(job, attempt));
        self.go_on(world, now, job);
        self.tell(Event::Started { job, attempt }, events);
    }

    /// The attempt works from now on.
    pub fn go_on(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        let (attempt, state) = (truth.attempt, truth.state);
        (truth.running_since, carried.paused) = (now, false);
        self.foresee(world, now, job);
        let (Some(mechanism), Some(carried)) = (&self.mechanism, self.jobs.get(job)) else { return };
        let Some(seat) = &carried.seat else { return };
        let barrier = || mechanism.barrier(&self.state(carried), seat.place);
        if state == State::Stopping {
            world.queue.push(now + barrier(), (job, attempt, Happening::Barrier));
        } else if let Some(period) = self.period(world.recovery) {
            world.queue.push(now + period + barrier(), (job, attempt, Happening::Checkpoint));
        }
    }

    /// How often jobs are saved.
    pub(super) fn period(&self, recovery: Recovery) -> Option<Span> {
        let own = self.mechanism.as_ref().and_then(|mechanism| mechanism.checkpoint.period_s).map(|seconds| seconds.0);
        let asked = if let Recovery::Periodic(every) = recovery { Some(every) } else { None };
        own.or(asked).filter(|period| *period > Span::ZERO)
    }

    /// Schedules how the attempt ends by itself, from how it works now.
    pub fn foresee(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get(job), self.jobs.get_mut(job)) else { return };
        let left = time_for(truth.work.saturating_sub(truth.done), truth.speed.into());
        let over = now + left;
        let end = over + world.costs.teardown;
        carried.ends = if world.costs.seen_late { end.next_multiple(Span::from_secs(1)) } else { end };
        if carried.crashes < over {
            carried.crashes = carried.crashes.max(now);
            world.queue.push(carried.crashes, (job, truth.attempt, Happening::Crash));
        } else if left.0 <= ENDLESS.0 / 2 {
            world.queue.push(carried.ends, (job, truth.attempt, Happening::Finish));
        }
    }

    /// The job stands still before it is read.
    pub(super) fn dump(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        bank(truth, now);
        (truth.state, carried.ends) = (State::Saving, Time::MAX);
        let attempt = truth.attempt;
        let read = self.read_time(job);
        world.queue.push(now + read, (job, attempt, Happening::Dumped));
    }

    /// How long reading devices and processes takes.
    pub(super) fn read_time(&self, job: JobId) -> Span {
        let (Some(carried), Some(mechanism)) = (self.jobs.get(job), &self.mechanism) else { return Span::ZERO };
        let Some(seat) = &carried.seat else { return Span::ZERO };
        let save = mechanism.save(&self.state(carried), seat.place, Image::First);
        save.device_dump + save.host_dump
    }

    pub(super) fn in_background(&self) -> bool {
        self.mechanism.as_ref().is_some_and(|mechanism| mechanism.checkpoint.upload_in_background)
    }

    /// The job was read on its way to a stop.
    pub(super) fn dumped(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let Some(seat) = self.jobs.get(job).and_then(|carried| carried.seat.as_deref().cloned()) else { return };
        self.switched.stops += 1;
        if let Some(carried) = self.jobs.get_mut(job) {
            (carried.copy, carried.copied) = (seat.nodes.clone(), now);
        }
        let background = self.in_background();
        self.upload(world, now, job, seat, false, if background { After::Nothing } else { After::Stop });
        if background {
            self.stopped(world, now, job, events);
        }
    }

    /// The accelerators are free.
    pub(super) fn stopped(&mut self, world: &mut World, now: Time, job: JobId, events: &mut Vec<Event>) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        bank(truth, now);
        truth.state = State::Waiting;
        (carried.ends, carried.seat, carried.paused) = (Time::MAX, None, false);
        let stopped = Event::Stopped { job, attempt: truth.attempt, progress: truth.progress() };
        self.tell(stopped, events);
    }

    /// A periodic checkpoint, unless the last one is still on its way.
    pub(super) fn pause(&mut self, world: &mut World, now: Time, job: JobId) {
        let (Some(truth), Some(carried)) = (world.jobs.get_mut(job), self.jobs.get_mut(job)) else { return };
        let attempt = truth.attempt;
        if carried.upload.is_some() {
            let period = self.period(world.recovery).unwrap_or(Span::MAX);
            world.queue.push(now + period, (job, attempt, Happening::Checkpoint));
            return;
        }
        bank(truth, now);
        (carried.ends, carried.paused) = (Time::MAX, true);
        let (read, held) = (self.read_time(job), truth.accelerators);
        self.switched.checkpoints += 1;
        self.switched.paused_us += u128::from(read.0) * u128::from(held);
        world.queue.push(now + read, (job, attempt, Happening::Resume));
    }

    /// The job was read while it stood still.
    pub(super) fn paused(&mut self, world: &mut World, now: Time, job: JobId) {
        let Some(seat) = self.jobs.get(job).and_then(|carried| carried.seat.as_deref().cloned()) else { return };
        let background = self.in_background();
        self.upload(world, now, job, seat, true, if background { After::Nothing } else { After::Resume });
        if background {
            self.go_on(world, now, job);
        }
    }
}
