//! Windows of one job: what it did and missed in each, charged stretch by stretch.

use crate::elastic::FULL_SPEED;
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// Why a job did less than it would have at full speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setback {
    /// It waited: too few accelerators were free.
    TooFew,
    /// It waited: enough were free, but not in one place.
    Scattered,
    /// It waited behind others, for the policy's next round, or above its tenant's quota.
    Behind,
    /// It was stopped for another job and had not started again.
    Preempted,
    /// It was saved, moved, started or restored, or others had not left its place yet.
    Moving,
    /// An attempt of it failed: work was lost, or it had not got a place again.
    OwnFailure,
    /// The same, by no fault of its own.
    NodeLost,
    /// It ran on fewer accelerators than it asked for.
    Shrunk,
}

impl Setback {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in order.
    pub const ALL: [Setback; Setback::COUNT] = [
        Setback::TooFew,
        Setback::Scattered,
        Setback::Behind,
        Setback::Preempted,
        Setback::Moving,
        Setback::OwnFailure,
        Setback::NodeLost,
        Setback::Shrunk,
    ];

    /// A few words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Setback::TooFew => "too few accelerators free",
            Setback::Scattered => "free accelerators scattered",
            Setback::Behind => "behind others",
            Setback::Preempted => "preempted",
            Setback::Moving => "moving or starting",
            Setback::OwnFailure => "its own failure",
            Setback::NodeLost => "node lost",
            Setback::Shrunk => "on fewer accelerators",
        }
    }
}

/// What every microsecond of a stretch gives and takes, in ten-thousandths of a microsecond's work; the three add up to
/// [`FULL_SPEED`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub useful: u32,
    /// Missed by running on fewer accelerators.
    pub shrunk: u32,
    /// Missed or lost because of `why`.
    pub lost: u32,
    pub why: Setback,
}

impl Rate {
    /// Nothing was done.
    pub fn none(why: Setback) -> Rate {
        Rate { useful: 0, shrunk: 0, lost: FULL_SPEED, why }
    }

    /// Running at `speed`, of which `useful` was kept.
    pub fn run(speed: u32, useful: u32, why: Setback) -> Rate {
        Rate { useful, shrunk: FULL_SPEED - speed, lost: speed - useful, why }
    }
}

/// One or several equal windows that are over, or the end of a job's last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    /// Where the first window begins.
    pub start: Time,
    pub windows: u64,
    /// Of each: how much of it the job was there for.
    pub real: Span,
    /// Of each: work in ten-thousandths of a microsecond.
    pub ideal: u128,
    /// Of each: what was missed, by cause, in the same unit.
    pub lost: [u64; Setback::COUNT],
    pub stops: u32,
}

/// The window that is not over yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Open {
    /// Everything before is charged. A window whose end this is has been closed.
    pub cursor: Time,
    pub ideal: u128,
    pub lost: [u64; Setback::COUNT],
    /// Attempts that were stopped on order in it.
    pub stops: u32,
}

impl Open {
    pub fn new(submit: Time) -> Open {
        Open { cursor: submit, ideal: 0, lost: [0; Setback::COUNT], stops: 0 }
    }

    fn charge(&mut self, span: u64, rate: Rate) {
        self.ideal += u128::from(span) * u128::from(rate.useful);
        self.lost[rate.why as usize] += span * u64::from(rate.lost);
        self.lost[Setback::Shrunk as usize] += span * u64::from(rate.shrunk);
    }

    /// Charges the time up to `to`. However many windows end in between, `close` is called at most twice: for the one that was
    /// open, and for all that lie wholly within the stretch, which are alike.
    pub fn advance(&mut self, to: Time, rate: Rate, submit: Time, window: Span, close: &mut impl FnMut(Closed)) {
        if to <= self.cursor {
            return;
        }
        let end = self.cursor.next_multiple(window);
        if to < end {
            self.charge(to.since(self.cursor).0, rate);
            self.cursor = to;
            return;
        }
        self.charge(end.since(self.cursor).0, rate);
        self.cursor = end;
        self.close(Time(end.0 - window.0), submit, close);
        let windows = to.since(end).0 / window.0;
        if windows > 0 {
            self.charge(window.0, rate);
            let all = Closed { start: end, windows, real: window, ..self.take(end, submit) };
            self.cursor = Time(end.0 + windows * window.0);
            close(all);
        }
        self.charge(to.since(self.cursor).0, rate);
        self.cursor = to;
    }

    /// Closes what is open of the window that begins at `start`.
    fn close(&mut self, start: Time, submit: Time, close: &mut impl FnMut(Closed)) {
        let closed = self.take(start, submit);
        if closed.real > Span::ZERO || closed.ideal > 0 || closed.stops > 0 {
            close(closed);
        }
    }

    fn take(&mut self, start: Time, submit: Time) -> Closed {
        let real = self.cursor.since(start.max(submit));
        let Open { cursor, ideal, lost, stops } = std::mem::replace(self, Open::new(self.cursor));
        debug_assert_eq!(cursor, self.cursor);
        Closed { start, windows: 1, real, ideal, lost, stops }
    }

    /// The job is done.
    pub fn finish(&mut self, submit: Time, window: Span, close: &mut impl FnMut(Closed)) {
        let start = Time(self.cursor.0 / window.0 * window.0);
        self.close(start, submit, close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_over_many_windows_is_charged_at_once() {
        let mut open = Open::new(Time(7));
        let mut said = Vec::new();
        let mut close = |c: Closed| said.push((c.start.0, c.windows, c.real.0, c.ideal, c.lost[Setback::TooFew as usize]));
        let (submit, window) = (Time(7), Span(10));
        open.advance(Time(8), Rate::none(Setback::TooFew), submit, window, &mut close);
        open.advance(Time(45), Rate::run(FULL_SPEED, FULL_SPEED, Setback::TooFew), submit, window, &mut close);
        open.advance(Time(50), Rate::none(Setback::TooFew), submit, window, &mut close);
        open.finish(submit, window, &mut close);
        assert_eq!(
            said,
            [(0, 1, 3, 20_000, 10_000), (10, 3, 10, 100_000, 0), (40, 1, 10, 50_000, 50_000)],
            "a window that ends with the job is closed once"
        );
    }
}
