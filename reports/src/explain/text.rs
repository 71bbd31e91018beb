//! A job's story as people read it.

use super::{Doing, Ending, Explanation, Freed, JobRef, Moment, Period, Spot};
use crate::figures::{grouped, human};
use crate::output::Accelerators;
use jiff::{Timestamp, tz::TimeZone};
use policies::Reason;
use std::fmt;

/// Reasons that are listed in one wait; JSON has all.
const REASONS_MAX: usize = 12;

/// A reason with the numbers that it came with.
pub(super) fn reason(reason: &Reason) -> String {
    let words = crate::reasons::Waiting::of(reason).words();
    match *reason {
        Reason::NoCapacity { needed_milli, free_milli } | Reason::Fragmented { needed_milli, free_milli } => {
            format!("{words} (needs {}, {} free)", Accelerators(needed_milli), Accelerators(free_milli))
        }
        Reason::OverQuota { quota_milli, used_milli } => {
            format!("{words} (holds {} of {})", Accelerators(used_milli), Accelerators(quota_milli))
        }
        _ => words.into(),
    }
}

/// Times as dates where the calendar is known, else as days and clock time since the beginning.
struct Clock(Option<i64>);

impl Clock {
    fn at(&self, seconds: f64) -> String {
        let calendar = |epoch: i64| {
            let moment = Timestamp::from_second(epoch.checked_add(seconds as i64)?).ok()?.to_zoned(TimeZone::UTC);
            Some(moment.strftime("%Y-%m-%d %H:%M:%S").to_string())
        };
        self.0.and_then(calendar).unwrap_or_else(|| elapsed(seconds))
    }
}

fn elapsed(seconds: f64) -> String {
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    let rest = seconds - (whole / 60 * 60) as f64;
    let rest = if rest.fract() == 0.0 { format!("{rest:02.0}") } else { format!("{rest:06.3}") };
    if days > 0 { format!("{days}d {hours:02}:{minutes:02}:{rest}") } else { format!("{hours:02}:{minutes:02}:{rest}") }
}

fn job(job: &JobRef) -> String {
    let tenant = if job.tenant.is_empty() { String::new() } else { format!(" of {}", job.tenant) };
    format!("{} (#{}{tenant}, {})", job.name, job.id, accelerators(job.accelerators))
}

fn accelerators(count: f64) -> String {
    many(count, "accelerator")
}

fn many(count: f64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1.0 { "" } else { "s" })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = Clock(self.epoch_unix_s);
        writeln!(f, "{}, under {}", job(&self.job), self.policy)?;
        write!(f, "submitted {}, asked for {}", clock.at(self.job.at_s), accelerators(self.gang.into()))?;
        if self.milli < 1000 {
            write!(f, ", {} % of each", f64::from(self.milli) / 10.0)?;
        }
        if self.gang > 1 {
            write!(f, " within one {}", self.within)?;
        }
        if !self.types.is_empty() {
            write!(f, " of type {}", self.types.join(" or "))?;
        }
        if self.priority != 0 || self.tier != 0 {
            write!(f, ", priority {}, tier {}", self.priority, self.tier)?;
        }
        match self.estimate_s {
            Some(estimate) => writeln!(f, "; the policy expected it to run {}", human(estimate))?,
            None => writeln!(f, "; the policy knew nothing of its run time")?,
        }
        let state = match (self.done, self.failed) {
            (true, true) => "it failed for good",
            (true, false) if self.withdrawn => "its owner withdrew it",
            (true, false) => "it finished",
            (false, _) => "it was not done when the log ended",
        };
        writeln!(f, "waited {} in all, ran {}; {state}\n", human(self.waited_s), human(self.ran_s))?;
        self.periods.iter().try_for_each(|period| write_period(f, &clock, period))?;
        self.moments.iter().try_for_each(|moment| write_moment(f, &clock, moment))?;
        match self.moments_left_out {
            0 => Ok(()),
            more => writeln!(f, "\n({more} more such moments are left out)"),
        }
    }
}

fn write_period(f: &mut fmt::Formatter<'_>, clock: &Clock, period: &Period) -> fmt::Result {
    let doing = match period.doing {
        Doing::Waiting => "waited",
        Doing::Starting => "starting",
        Doing::Running => "ran",
    };
    let ending = match (period.ending, period.doing) {
        (Ending::Ordered, _) => format!("until it was ordered to start (attempt {})", period.attempt),
        (Ending::Started, _) => "until it ran".into(),
        (Ending::Preempted, _) => "until it was stopped for others".into(),
        (Ending::Failed, _) => format!("until attempt {} failed", period.attempt),
        (Ending::Lost, _) => "until its node broke".into(),
        (Ending::Withdrawn, _) => "until its owner withdrew it".into(),
        (Ending::Finished, _) => "until it finished".into(),
        (Ending::LogEnds, _) => "until the log ends".into(),
    };
    writeln!(f, "{}  {doing} {} {ending}", clock.at(period.from_s), human(period.to_s - period.from_s))?;
    if period.doing == Doing::Waiting && period.reasons.is_empty() && period.to_s > period.from_s {
        writeln!(f, "    no reason of its own was recorded: {}", crate::reasons::Waiting::InLine.words())?;
    }
    for noted in period.reasons.iter().take(REASONS_MAX) {
        write!(f, "    {}  {}", clock.at(noted.at_s), noted.text)?;
        match &noted.behind {
            Some(other) => writeln!(f, ": {}, submitted {}", job(other), clock.at(other.at_s))?,
            None => writeln!(f)?,
        }
    }
    if period.reasons.len() > REASONS_MAX {
        writeln!(f, "    ... and {} more changes of reason", period.reasons.len() - REASONS_MAX)?;
    }
    let overtaken = &period.overtaken;
    if overtaken.starts > 0 {
        let what = if overtaken.starts == 1 {
            "start of a later job".into()
        } else {
            format!("{} starts of later jobs", overtaken.starts)
        };
        writeln!(f, "    overtaken by {what} with {}, first:", accelerators(overtaken.accelerators))?;
        overtaken.first.iter().try_for_each(|other| writeln!(f, "      {}  {}", clock.at(other.at_s), job(other)))?;
    }
    period.place.iter().try_for_each(|spot| write_spot(f, clock, spot))
}

fn write_spot(f: &mut fmt::Formatter<'_>, clock: &Clock, spot: &Spot) -> fmt::Result {
    let Spot { node, cluster, kind, accelerators: count, freed_by } = spot;
    writeln!(
        f,
        "    on node {node} of {cluster}: {count} x {kind}{}",
        if freed_by.is_empty() { ", never used before" } else { ", left by" }
    )?;
    for Freed { job: other, ending } in freed_by {
        let how = match ending {
            Ending::Preempted => "was stopped",
            Ending::Failed => "failed",
            Ending::Lost => "was lost with its node",
            Ending::Withdrawn => "was withdrawn",
            _ => "finished",
        };
        writeln!(f, "      {}  {}, which {how}", clock.at(other.at_s), job(other))?;
    }
    Ok(())
}

fn write_moment(f: &mut fmt::Formatter<'_>, clock: &Clock, moment: &Moment) -> fmt::Result {
    writeln!(f, "\nWhen {}, {}:", moment.what, clock.at(moment.at_s))?;
    writeln!(
        f,
        "  {} of {} free that it could use, on {}, at most {} on one",
        grouped(moment.free),
        accelerators(moment.acceptable),
        many(moment.free_nodes as f64, "node"),
        grouped(moment.free_on_one_node)
    )?;
    if moment.room {
        writeln!(f, "  there was room for it on one node: it waited for its turn, not for accelerators")?;
    }
    if !moment.largest_holders.is_empty() {
        writeln!(f, "  {} held accelerators, the largest:", many(moment.holders as f64, "job"))?;
        for holder in &moment.largest_holders {
            writeln!(f, "    {}, since {}", job(holder), clock.at(holder.at_s))?;
        }
        let tenant =
            |(name, count): &(String, f64)| format!("{} {}", if name.is_empty() { "(none)" } else { name }, grouped(*count));
        writeln!(f, "    by tenant: {}", moment.largest_tenants.iter().map(tenant).collect::<Vec<_>>().join(", "))?;
    }
    writeln!(
        f,
        "  {} waited, {} of them since before it, asking for {}",
        many(moment.pending as f64, "other job"),
        grouped(moment.ahead as f64),
        accelerators(moment.ahead_accelerators)
    )?;
    for (other, waiting) in &moment.first_ahead {
        writeln!(f, "    {}, submitted {}: {}", job(other), clock.at(other.at_s), waiting.words())?;
    }
    if let Some((other, waiting)) = &moment.same_demand {
        writeln!(f, "  {} asked for exactly the same and waited too: {}", job(other), waiting.words())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(Clock(Some(1_502_668_800)).at(61.0), "2017-08-14 00:01:01");
        assert_eq!([5.0, 3661.5, 90_061.0].map(|s| Clock(None).at(s)), ["00:00:05", "01:01:01.500", "1d 01:01:01"]);
    }
}
