//! Finds a job by name or number, and names like it.

use super::ExplainError;
use policies::{Demand, Event, JobId};
use traces::runlog::LogReader;

const NEAR_MAX: usize = 3;

/// The job that `wanted` means, a name or else `#` and a number, and what it asked for.
pub(super) fn find(mut reader: LogReader, wanted: &str) -> Result<(JobId, Demand), ExplainError> {
    let number: Option<u64> = wanted.strip_prefix('#').and_then(|digits| digits.parse().ok());
    let mut numbered = None;
    let mut near: Vec<(usize, String)> = Vec::new();
    let mut jobs = 0;
    while let Some(step) = reader.next_step()? {
        let submitted = step.events.iter().filter_map(|event| match event {
            Event::Submit { job, spec } => Some((*job, spec.demand)),
            _ => None,
        });
        for (found, meta) in submitted.zip(&step.metas) {
            if meta.name == wanted {
                return Ok(found);
            }
            if number == Some(jobs) {
                numbered = Some(found);
            }
            jobs += 1;
            if number.is_none() {
                remember(&mut near, wanted, &meta.name);
            }
        }
    }
    let near = near.into_iter().map(|(_, name)| name).collect();
    numbered.ok_or_else(|| ExplainError::NoSuchJob { wanted: wanted.into(), near, jobs })
}

/// Keeps the nearest names, the earlier of two that are equally near.
fn remember(near: &mut Vec<(usize, String)>, wanted: &str, name: &str) {
    // Half of it must be right; beyond the worst that is kept nothing needs to be known exactly.
    let mut limit = (wanted.chars().count() / 2).max(1);
    if near.len() == NEAR_MAX {
        limit = limit.min(near[NEAR_MAX - 1].0.saturating_sub(1));
    }
    let Some(distance) = distance(wanted, name, limit) else { return };
    let at = near.partition_point(|(kept, _)| *kept <= distance);
    near.insert(at, (distance, name.to_owned()));
    near.truncate(NEAR_MAX);
}

/// Levenshtein's distance, if it is at most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
        if row.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("job-17", "job-17", 3), Some(0));
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("", "abc", 3), Some(3));
    }

    #[test]
    fn the_nearest_names_are_kept_in_order() {
        let mut near = Vec::new();
        ["job-99", "jib-18", "job-18", "nothing", "job-1", "job-27"].iter().for_each(|n| remember(&mut near, "job-17", n));
        let names: Vec<&str> = near.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["job-18", "job-1", "job-27"]);
    }
}
