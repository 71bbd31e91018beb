//! Job lists: what to run, in a TOML file.

use crate::task::{Preemption, Task};
use policies::{Demand, Elastic, JobId, JobSpec, Span, TenantId, Time};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use thiserror::Error;
use toml::Spanned;
use traces::Outcome;
use traces::runlog::JobMeta;

/// The jobs of a file, in submit order (ties in file order), and the tenants that they name.
///
/// ```toml
/// [[job]]
/// name = "train"                 # unique
/// command = ["sleep", "1.5"]     # a program and its arguments; no shell is involved
/// accelerators = 2               # default 1; 0 for a job that needs none
/// submit = "500ms"               # after the start of the run: a number with us, ms, s, m, h or d; default "0s"
/// estimate = "2s"                # expected run time; default: nobody knows
/// tenant = "vision"              # default: nobody in particular
/// priority = 3                   # larger is more important; default 0
/// tier = 1                       # into the tier table, 0 the best; default 0
/// deadline = "10m"               # after its submission, in whole seconds; default: no hurry
/// attempts = 2                   # how many may fail before the job does; default 1
/// dir = "/tmp"                   # where it runs; default: where the executor does
/// env = { OMP_NUM_THREADS = "1" }
/// device = "opencl:0.0"          # a device proxy drives it for the program; "granted": that of the accelerator which it gets
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobList {
    /// The jobs.
    pub tasks: Vec<Task>,
    /// Tenant names by [`TenantId`]; the first is `""`, nobody in particular.
    pub tenants: Vec<String>,
}

/// Why a job list cannot be used.
#[derive(Debug, Error)]
pub enum JobsError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{path}:{line}: {field}: {what}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// Where in the file's structure, e.g. `job[0].submit`; jobs count from 0.
        field: String,
        /// What is wrong, and what would do.
        what: String,
    },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    job: Vec<Row>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: Spanned<String>,
    command: Line,
    #[serde(default = "one")]
    accelerators: u32,
    #[serde(default)]
    submit: Length,
    estimate: Option<Length>,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    tier: u8,
    deadline: Option<Length>,
    #[serde(default = "one_attempt")]
    attempts: NonZeroU16,
    dir: Option<PathBuf>,
    device: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

fn one_attempt() -> NonZeroU16 {
    NonZeroU16::MIN
}

/// A program and its arguments.
#[derive(serde::Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Line(OsString, Vec<OsString>);

impl TryFrom<Vec<String>> for Line {
    type Error = &'static str;

    fn try_from(words: Vec<String>) -> Result<Line, &'static str> {
        let mut words = words.into_iter().map(OsString::from);
        match words.next().filter(|program| !program.is_empty()) {
            Some(program) => Ok(Line(program, words.collect())),
            None => Err("no program; expected [\"program\", \"argument\", ...]"),
        }
    }
}

/// A length of time as it is written.
#[derive(Clone, Copy, Default)]
struct Length(Span);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Length, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"1.5s\": a number with us, ms, s, m, h or d")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Length, E> {
                length(text).map(Length).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// `text` as a number and a unit; `None` if it is anything else, or negative.
fn length(text: &str) -> Option<Span> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Negative zero is a number that `from_secs_f64` takes, and nobody means.
    let number: f64 = number.trim().parse().ok().filter(|n: &f64| n.is_sign_positive())?;
    Span::from_secs_f64(number * seconds)
}

impl JobList {
    /// Reads the list at `path`.
    ///
    /// # Errors
    /// If it cannot be read or anything in it is wrong; see [`JobsError`].
    pub fn read(path: &Path) -> Result<JobList, JobsError> {
        let text = std::fs::read_to_string(path).map_err(|source| JobsError::Io { path: path.into(), source })?;
        JobList::parse(&text, path)
    }

    /// Reads the list in `text`; `path` is for messages.
    ///
    /// # Errors
    /// [`JobsError::Bad`].
    pub fn parse(text: &str, path: &Path) -> Result<JobList, JobsError> {
        let bad = |at: usize, field: &str, what: String| {
            let line = text.bytes().take(at).filter(|&b| b == b'\n').count() + 1;
            JobsError::Bad { path: path.into(), line, field: field.into(), what }
        };
        let syntax =
            |error: toml::de::Error, field: &str| bad(error.span().map_or(0, |span| span.start), field, error.message().into());
        let document = toml::Deserializer::parse(text).map_err(|error| syntax(error, "TOML"))?;
        let file: File = serde_path_to_error::deserialize(document).map_err(|error| {
            let field = error.path().to_string();
            syntax(error.into_inner(), &field)
        })?;
        if file.job.is_empty() {
            return Err(bad(0, "job", "no job; expected at least one [[job]] with a name and a command".into()));
        }
        let mut names = BTreeSet::new();
        for (i, row) in file.job.iter().enumerate() {
            if !names.insert(row.name.get_ref()) {
                let what = format!("`{}` is taken by an earlier job; names must differ", row.name.get_ref());
                return Err(bad(row.name.span().start, &format!("job[{i}].name"), what));
            }
        }
        Ok(JobList::of(file.job))
    }

    fn of(rows: Vec<Row>) -> JobList {
        let mut tenants = vec![String::new()];
        let mut tenant = |name: String| {
            let known = tenants.iter().position(|t| *t == name);
            TenantId(known.unwrap_or_else(|| {
                tenants.push(name);
                tenants.len() - 1
            }) as u32)
        };
        let task = |row: Row| Task {
            name: row.name.into_inner(),
            submit: Time(row.submit.0.0),
            spec: JobSpec {
                demand: Demand::whole(row.accelerators),
                tenant: tenant(row.tenant),
                priority: row.priority,
                tier: row.tier,
                attempts_max: row.attempts.get(),
                estimate: row.estimate.map(|length| length.0),
                elastic: Elastic::RIGID,
                deadline_s: row.deadline.map_or(0, |length| (length.0.0 / 1_000_000).clamp(1, u32::MAX.into()) as u32),
            },
            program: row.command.0,
            args: row.command.1,
            env: row.env.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            dir: row.dir,
            device: row.device,
            preemption: Preemption::Suspend,
        };
        let mut tasks: Vec<Task> = rows.into_iter().map(task).collect();
        tasks.sort_by_key(|task| task.submit);
        JobList { tasks, tenants }
    }

    /// What the run log says of a job that the scheduler is not told.
    pub fn meta(&self, job: JobId) -> JobMeta {
        let name = self.tasks.get(job.index()).map_or_else(String::new, |task| task.name.clone());
        JobMeta { name, duration: Span::ZERO, outcome: Outcome::Unknown, label: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JobList, String> {
        JobList::parse(text, Path::new("jobs.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_is_given_and_fills_in_the_rest() {
        let text = "[[job]]\nname='b'\ncommand=['x','y']\nsubmit='1.5s'\naccelerators=2\ntenant='t'\nattempts=3\n\
                    estimate='2m'\npriority=-1\nenv={K='v'}\ndevice='granted'\n[[job]]\nname='a'\ncommand=['x']\n";
        let list = parse(text).unwrap();
        assert_eq!(list.tenants, ["", "t"]);
        assert_eq!(list.tasks[0], Task::new("a", JobSpec::whole(1), "x", []));
        let b = &list.tasks[1];
        assert_eq!((b.submit, b.spec.estimate, b.spec.attempts_max), (Time(1_500_000), Some(Span::from_secs(120)), 3));
        assert_eq!((b.spec.tenant, b.spec.priority, b.args.len(), b.env.len()), (TenantId(1), -1, 1, 1));
        assert_eq!(b.device.as_deref(), Some(crate::task::GRANTED));
        assert_eq!(list.meta(JobId(1)).name, "b");
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let job = "[[job]]\nname = 'a'\ncommand = ['x']\n";
        for (text, expected) in [
            ("", "jobs.toml:1: job: no job"),
            ("[[job]", "jobs.toml:1: TOML: "),
            (&format!("{job}{job}"), "jobs.toml:5: job[1].name: `a` is taken"),
            (&format!("{job}color = 3"), "jobs.toml:4: job[0].color: unknown field `color`, expected one of `name`"),
            (&format!("{job}accelerators = -1"), "jobs.toml:4: job[0].accelerators: invalid value: integer `-1`"),
            (&format!("{job}attempts = 0"), "jobs.toml:4: job[0].attempts: invalid value: integer `0`"),
            (&format!("{job}submit = '-1s'"), "jobs.toml:4: job[0].submit: invalid value: string \"-1s\", expected a length"),
            (&format!("{job}submit = 'nan s'"), "jobs.toml:4: job[0].submit: invalid value: "),
            (&format!("{job}submit = 3"), "jobs.toml:4: job[0].submit: invalid type: integer `3`, expected a length"),
            ("[[job]]\nname = 'a'\ncommand = []", "jobs.toml:3: job[0].command: no program; expected"),
            ("[[job]]\nname = 'a'", "jobs.toml:1: job[0]: missing field `command`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}\nexpected {expected}");
        }
    }
}
