//! Axes with ticks that people can read: calendar days, hours, seconds to weeks on a log scale, counts.

use jiff::{Timestamp, civil, tz::TimeZone};
use std::ops::Range;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
const WEEK: f64 = 7.0 * DAY;
/// Round lengths of time, for ticks on a log scale; the marked ones suffice for a wide one.
const ROUND_TIMES: [(f64, &str, bool); 33] = [
    (0.001, "1 ms", true),
    (0.01, "10 ms", true),
    (0.1, "0.1 s", true),
    (1.0, "1 s", true),
    (2.0, "2 s", false),
    (5.0, "5 s", false),
    (10.0, "10 s", true),
    (20.0, "20 s", false),
    (30.0, "30 s", false),
    (MINUTE, "1 min", true),
    (2.0 * MINUTE, "2 min", false),
    (5.0 * MINUTE, "5 min", false),
    (10.0 * MINUTE, "10 min", true),
    (20.0 * MINUTE, "20 min", false),
    (30.0 * MINUTE, "30 min", false),
    (HOUR, "1 h", true),
    (2.0 * HOUR, "2 h", false),
    (3.0 * HOUR, "3 h", false),
    (6.0 * HOUR, "6 h", true),
    (12.0 * HOUR, "12 h", false),
    (DAY, "1 d", true),
    (2.0 * DAY, "2 d", false),
    (4.0 * DAY, "4 d", false),
    (WEEK, "1 w", true),
    (2.0 * WEEK, "2 w", false),
    (4.0 * WEEK, "4 w", true),
    (8.0 * WEEK, "8 w", false),
    (13.0 * WEEK, "13 w", false),
    (26.0 * WEEK, "26 w", true),
    (52.0 * WEEK, "1 y", false),
    (104.0 * WEEK, "2 y", true),
    (260.0 * WEEK, "5 y", false),
    (1040.0 * WEEK, "20 y", true),
];
/// Fewer ticks than this are too few.
const TICKS_MIN: usize = 4;

/// One axis: what part of the numbers it shows, which of them it names, and what it says of itself.
pub(super) struct Axis {
    /// In drawing units; on a log scale these are logarithms.
    pub range: Range<f64>,
    /// Positions and labels.
    pub ticks: Vec<(f64, String)>,
    pub title: String,
}

impl Axis {
    /// The label of the tick nearest to `at`.
    pub fn label(&self, at: f64) -> String {
        let nearest = self.ticks.iter().min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
        nearest.map(|(_, label)| label.clone()).unwrap_or_default()
    }

    pub fn positions(&self) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    /// From zero to a little above `max`.
    pub fn count(title: &str, max: f64) -> Axis {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = round_step(max / 5.0);
        let ticks = (0..).map(|i| i as f64 * step).take_while(|at| *at <= max * 1.05);
        Axis { range: 0.0..max * 1.05, ticks: ticks.map(|at| (at, grouped(at))).collect(), title: title.into() }
    }

    /// From 0 to 100 per cent.
    pub fn share(title: &str) -> Axis {
        let ticks = [0, 20, 40, 60, 80, 100].map(|percent| (f64::from(percent) / 100.0, format!("{percent} %")));
        Axis { range: 0.0..1.0, ticks: ticks.into(), title: title.into() }
    }

    /// Lengths of time in seconds on a log scale. Positions are natural logarithms; see [`Axis::log`].
    pub fn log_time(title: &str, range: Range<f64>) -> Axis {
        let range = range.start.max(1e-4)..range.end.max(range.start.max(1e-4) * 10.0);
        let inside = |at: &f64| *at >= range.start * 0.999 && *at <= range.end * 1.001;
        let ticks = |wide: bool| -> Vec<(f64, String)> {
            let shown = ROUND_TIMES.iter().filter(|(at, _, marked)| inside(at) && (*marked || !wide));
            shown.map(|(at, label, _)| (at.ln(), (*label).to_owned())).collect()
        };
        let few = ticks(true).len() < TICKS_MIN;
        Axis { ticks: ticks(!few), title: title.into(), range: range.start.ln()..range.end.ln() }
    }

    /// Ratios on a log scale around 1.
    pub fn log_ratio(title: &str, most: f64) -> Axis {
        if most <= 1.25 {
            let ticks = [0.8, 0.9, 1.0, 1.1, 1.25].map(|ratio: f64| (ratio.ln(), ratio.to_string()));
            return Axis { range: -0.25..0.25, ticks: ticks.into(), title: title.into() };
        }
        let doublings = most.clamp(2.0, 64.0).log2().ceil() as i32;
        let label = |power: i32| if power < 0 { format!("1/{}", 1 << -power) } else { (1 << power).to_string() };
        let ticks = (-doublings..=doublings).map(|power| (f64::from(power) * std::f64::consts::LN_2, label(power)));
        let edge = (f64::from(doublings) + 0.2) * std::f64::consts::LN_2;
        Axis { range: -edge..edge, ticks: ticks.collect(), title: title.into() }
    }

    /// Time of a run, in seconds from its beginning; calendar days where `epoch_unix_s`, the calendar time of second 0, is known.
    pub fn time(range: Range<f64>, epoch_unix_s: Option<i64>) -> Axis {
        let range = range.start..range.end.max(range.start + 0.001);
        epoch_unix_s
            .filter(|_| range.end - range.start > 2.0 * HOUR)
            .and_then(|epoch| calendar(range.clone(), epoch))
            .unwrap_or_else(|| elapsed(range))
    }

    /// Where `value` lies on a log axis; what is too small lies on its edge.
    pub fn log(&self, value: f64) -> f64 {
        value.ln().max(self.range.start).min(self.range.end)
    }
}

/// Time since the run began, in the unit that suits its length.
fn elapsed(range: Range<f64>) -> Axis {
    let span = range.end - range.start;
    let (unit, name) = match span {
        s if s >= 3.0 * DAY => (DAY, "days"),
        s if s >= 3.0 * HOUR => (HOUR, "hours"),
        s if s >= 3.0 * MINUTE => (MINUTE, "minutes"),
        _ => (1.0, "seconds"),
    };
    let step = match (name, span / unit / 8.0) {
        ("days", s) if s > 0.8 => {
            [1.0, 2.0, 4.0, 7.0, 14.0].into_iter().find(|step| *step >= s * 0.8).unwrap_or((s / 28.0).ceil() * 28.0)
        }
        ("hours", s) if s > 1.0 => [2.0, 3.0, 6.0, 12.0].into_iter().find(|step| *step >= s).unwrap_or(24.0),
        (_, s) => round_step(s),
    };
    let first = (range.start / unit / step).ceil() as i64;
    let ticks = (first..).map(|i| i as f64 * step).take_while(|at| at * unit <= range.end);
    let ticks = ticks.map(|at| (at * unit, grouped(at))).collect();
    Axis { range, ticks, title: format!("{name} since the run began") }
}

/// Calendar days, hours on the first days, or months, in UTC.
fn calendar(range: Range<f64>, epoch: i64) -> Option<Axis> {
    let at = |seconds: f64| Some(Timestamp::from_second(epoch.checked_add(seconds as i64)?).ok()?.to_zoned(TimeZone::UTC));
    let (first, last) = (at(range.start)?, at(range.end)?);
    let days = (range.end - range.start) / DAY;
    let title = if first.year() == last.year() {
        format!("date in {} (UTC)", first.year())
    } else {
        format!("date from {} to {} (UTC)", first.year(), last.year())
    };
    let position = |date: civil::DateTime| -> Option<f64> {
        let zoned = date.to_zoned(TimeZone::UTC).ok()?;
        Some((zoned.timestamp().as_second() - epoch) as f64)
    };
    let midnight = civil::date(first.year(), first.month(), first.day());
    let mut ticks = Vec::new();
    if days > 100.0 {
        let step = (days / 30.5 / 9.0).ceil() as i64;
        let month = civil::date(first.year(), first.month(), 1);
        for i in 0..=(days / 30.0) as i64 + 1 {
            let date = month.checked_add(jiff::Span::new().months(i * step)).ok()?;
            let with_year = i == 0 || date.month() as i64 <= step;
            let format = if with_year && first.year() != last.year() { "%b %Y" } else { "%b" };
            ticks.push((position(date.at(0, 0, 0, 0))?, date.strftime(format).to_string()));
        }
    } else {
        let hours = [1, 3, 6, 12, 24, 48, 96, 168, 336].into_iter().find(|h| f64::from(*h) >= days * 24.0 / 9.0).unwrap_or(336);
        // Weeks begin on Mondays.
        let back = if hours >= 168 { i64::from(midnight.weekday().to_monday_zero_offset()) } else { 0 };
        let start = midnight.checked_sub(jiff::Span::new().days(back)).ok()?.at(0, 0, 0, 0);
        for i in 0..=(days * 24.0 / f64::from(hours)) as i64 + 8 {
            let moment = start.checked_add(jiff::Span::new().hours(i * i64::from(hours))).ok()?;
            let format = if hours >= 24 || moment.hour() == 0 { "%-d %b" } else { "%H:%M" };
            ticks.push((position(moment)?, moment.strftime(format).to_string()));
        }
    }
    ticks.retain(|(at, _)| *at >= range.start && *at <= range.end);
    Some(Axis { range, ticks, title })
}

/// 1, 2 or 5 times a power of ten, not less than `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= least * 0.999).unwrap_or(10.0 * power)
}

/// A number with thousands set apart by a thin space, and no more decimals than it has.
pub(crate) fn grouped(value: f64) -> String {
    if value.fract().abs() > 1e-9 && value.abs() < 1000.0 {
        let text = format!("{value:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// A length of time in seconds, in words: `850 ms`, `42 s`, `3.5 h`, `12 d`.
pub(crate) fn human(seconds: f64) -> String {
    let (value, unit) = match seconds.abs() {
        0.0 => return "0 s".into(),
        s if s < 1.0 => (seconds * 1000.0, "ms"),
        s if s < 2.0 * MINUTE => (seconds, "s"),
        s if s < 2.0 * HOUR => (seconds / MINUTE, "min"),
        s if s < 2.0 * DAY => (seconds / HOUR, "h"),
        _ => (seconds / DAY, "d"),
    };
    let decimals = if value.abs() < 100.0 { 1 } else { 0 };
    let text = format!("{value:.decimals$}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([1.0, 1234.0, 12345.0, 0.25].map(grouped), ["1", "1234", "12\u{2009}345", "0.25"]);
        assert_eq!([0.0, 0.85, 42.0, 12_600.0, 1_036_800.0].map(human), ["0 s", "850 ms", "42 s", "3.5 h", "12 d"]);
        assert_eq!([0.3, 1.0, 4.2, 60.0].map(round_step), [0.5, 1.0, 5.0, 100.0]);
    }

    #[test]
    fn axes_have_a_handful_of_ticks() {
        assert_eq!(labels(&Axis::count("jobs", 512.0)), ["0", "200", "400"]);
        assert_eq!(labels(&Axis::time(0.0..14.0 * DAY, None)), ["0", "2", "4", "6", "8", "10", "12", "14"]);
        assert_eq!(labels(&Axis::time(0.0..40.0 * DAY, None)), ["0", "4", "8", "12", "16", "20", "24", "28", "32", "36", "40"]);
        assert_eq!(labels(&Axis::time(0.0..60.0 * DAY, None))[..3], ["0", "7", "14"]);
        assert_eq!(labels(&Axis::time(0.0..30.0 * HOUR, None)), ["0", "6", "12", "18", "24", "30"]);
        assert_eq!(labels(&Axis::log_time("JCT", 1.0..HOUR)), ["1 s", "10 s", "1 min", "10 min", "1 h"]);
        assert_eq!(labels(&Axis::log_time("JCT", DAY..20.0 * DAY)), ["1 d", "2 d", "4 d", "1 w", "2 w"]);
        for span in [0.0, 0.5, 30.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e9] {
            for epoch in [None, Some(1_502_668_800)] {
                let axis = Axis::time(5.0..5.0 + span, epoch);
                assert!(axis.ticks.len() <= 14 && (span < 1.0 || axis.ticks.len() >= 2), "{span} {epoch:?}: {:?}", axis.ticks);
                assert!(axis.ticks.iter().all(|(at, _)| axis.range.start <= *at && *at <= axis.range.end));
            }
        }
    }

    #[test]
    fn known_dates_are_named() {
        // 2017-08-14 was a Monday.
        let axis = Axis::time(0.0..40.0 * DAY, Some(1_502_668_800));
        assert_eq!(labels(&axis), ["14 Aug", "21 Aug", "28 Aug", "4 Sep", "11 Sep", "18 Sep"]);
        assert_eq!(axis.title, "date in 2017 (UTC)");
    }
}
