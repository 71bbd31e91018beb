//! What a job runs, and what it is told about its place.

use policies::{Allocation, Attempt, Fleet, Grant, JobId, JobSpec, Time};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A job on its way into the real world.
///
/// Its program leads a process group of its own, reads nothing, and finds in its environment, beside what the executor was
/// started with and [`env`](Task::env):
///
/// | Variable | Value |
/// |---|---|
/// | `ORRERY_JOB`, `ORRERY_ATTEMPT` | numbers; attempts count from 1 |
/// | `ORRERY_NODE` | the node; nodes of a gang separated by commas |
/// | `ORRERY_ACCELERATORS` | accelerators on it, numbered on each node from 0, separated by commas; nodes separated by semicolons |
/// | `CUDA_VISIBLE_DEVICES` | the same accelerators, numbered over all nodes of the fleet: they are all on this machine |
///
/// They are those of its first start: one that was suspended and goes on elsewhere is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// For people.
    pub name: String,
    /// When it is submitted, from the start of the run.
    pub submit: Time,
    /// What the scheduler is told.
    pub spec: JobSpec,
    /// Looked up in `PATH` if it has no slash.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs; by default where the executor does.
    pub dir: Option<PathBuf>,
    /// The device that a device proxy drives for it, or [`GRANTED`]: that of the accelerator which it gets.
    pub device: Option<String>,
    /// How it is taken off its place.
    pub preemption: Preemption,
}

/// As a task's device: the one that stands for its first accelerator.
pub const GRANTED: &str = "granted";

/// How a job is taken off its place, and put on one again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preemption {
    /// Its processes are suspended, and stay.
    #[default]
    Suspend,
    /// Commands write it to files and make it again, perhaps elsewhere: of the job nothing else is left meanwhile.
    Save(Saver),
}

/// Commands that start, save and continue a job. The words `{device}` and `{job}` in them stand for the device that the job gets,
/// and its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saver {
    /// Runs the program that follows to its end, and ends as it does; also when the job was saved meanwhile, with code 0.
    pub start: Vec<String>,
    /// Writes the job to files and ends its processes, or fails and leaves them as they are.
    pub save: Vec<String>,
    /// Continues it from the files, runs it to its end, and ends as it does.
    pub restore: Vec<String>,
    /// Names of the fleet's accelerators, counted through all nodes.
    pub devices: Vec<String>,
}

impl Task {
    /// A task that is submitted at once and runs `program` with `args`.
    pub fn new<S: Into<OsString>>(name: &str, spec: JobSpec, program: S, args: impl IntoIterator<Item = S>) -> Task {
        let args = args.into_iter().map(Into::into).collect();
        Task {
            name: name.into(),
            submit: Time::ZERO,
            spec,
            program: program.into(),
            args,
            env: Vec::new(),
            dir: None,
            device: None,
            preemption: Preemption::Suspend,
        }
    }

    /// The command that runs it at that place; one that was saved is continued.
    ///
    /// # Errors
    /// If its output files cannot be opened, or there is no device for it.
    pub(crate) fn command(&self, place: &Place<'_>, output: &Output, saved: bool) -> io::Result<Command> {
        let own = [&self.program].into_iter().chain(&self.args).cloned();
        let words: Vec<OsString> = match &self.preemption {
            Preemption::Suspend => own.collect(),
            Preemption::Save(saver) => {
                let device = self.device_at(place, saver)?;
                match saved {
                    true => fill(&saver.restore, place.job, device).collect(),
                    false => fill(&saver.start, place.job, device).chain(own).collect(),
                }
            }
        };
        let (program, args) = words.split_first().ok_or_else(|| io::Error::other("no program"))?;
        let mut command = Command::new(program);
        command.args(args).envs(self.env.iter().map(|(key, value)| (key, value))).envs(place.variables());
        if let Preemption::Save(_) = self.preemption {
            // What a program sees is its proxy's one device; and the proxy, which it may start, must see all.
            command.env_remove(VISIBLE);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null());
        command.stdout(output.open(place.job, "out")?).stderr(output.open(place.job, "err")?);
        Ok(command)
    }

    /// The command that writes it to files; none for one that is suspended.
    pub(crate) fn save_command(&self, job: JobId) -> Option<Command> {
        let Preemption::Save(saver) = &self.preemption else { return None };
        let words: Vec<OsString> = fill(&saver.save, job, "").collect();
        let (program, args) = words.split_first()?;
        let mut command = Command::new(program);
        command.args(args);
        Some(command)
    }

    fn device_at<'a>(&'a self, place: &Place<'_>, saver: &'a Saver) -> io::Result<&'a str> {
        match self.device.as_deref() {
            Some(GRANTED) => {}
            named => return Ok(named.unwrap_or_default()),
        }
        let first = place.allocation.iter().find(|grant| grant.devices != 0);
        let number = first.map(|grant| place.first_device[grant.node.index()] + grant.devices.trailing_zeros());
        let device = number.and_then(|number| saver.devices.get(number as usize));
        device.map(String::as_str).ok_or_else(|| io::Error::other("no device is named for the accelerator that it got"))
    }
}

fn fill<'a>(words: &'a [String], job: JobId, device: &'a str) -> impl Iterator<Item = OsString> + 'a {
    words.iter().map(move |word| word.replace("{device}", device).replace("{job}", &job.0.to_string()).into())
}

/// Tells CUDA's programs which devices there are.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// Where the output of jobs goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    #[default]
    Null,
    /// Where the executor's own goes.
    Inherit,
    /// To `job-ID.out` and `job-ID.err` in this folder, appended to at each attempt.
    Folder(PathBuf),
}

impl Output {
    /// The file that takes a job's standard output (`out`) or standard error (`err`), if it goes to files.
    pub fn file(&self, job: JobId, stream: &str) -> Option<PathBuf> {
        match self {
            Output::Folder(folder) => Some(folder.join(format!("job-{}.{stream}", job.0))),
            Output::Null | Output::Inherit => None,
        }
    }

    fn open(&self, job: JobId, stream: &str) -> io::Result<Stdio> {
        let append = |path: &Path| File::options().create(true).append(true).open(path);
        match (self, self.file(job, stream)) {
            (_, Some(path)) => match append(&path) {
                Ok(file) => Ok(file.into()),
                Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
            },
            (Output::Inherit, None) => Ok(Stdio::inherit()),
            (_, None) => Ok(Stdio::null()),
        }
    }
}

/// What an attempt got.
pub(crate) struct Place<'a> {
    pub(crate) job: JobId,
    pub(crate) attempt: Attempt,
    pub(crate) allocation: &'a Allocation,
    /// Number of each node's first accelerator.
    pub(crate) first_device: &'a [u32],
}

impl Place<'_> {
    fn variables(&self) -> [(&'static str, String); 5] {
        let each = |separator: &str, show: &dyn Fn(&Grant) -> String| {
            self.allocation.iter().map(show).collect::<Vec<_>>().join(separator)
        };
        let devices = |grant: &Grant, first: u32| {
            let numbers = (0..64).filter(|d| grant.devices >> d & 1 == 1).map(|d| (first + d).to_string());
            numbers.collect::<Vec<_>>().join(",")
        };
        // A node that gives processors alone has no accelerators to name.
        let named: Vec<_> = self.allocation.iter().filter(|grant| grant.devices != 0).collect();
        let visible = named.iter().map(|grant| devices(grant, self.first_device[grant.node.index()]));
        [
            ("ORRERY_JOB", self.job.0.to_string()),
            ("ORRERY_ATTEMPT", self.attempt.0.to_string()),
            ("ORRERY_NODE", each(",", &|grant| grant.node.0.to_string())),
            ("ORRERY_ACCELERATORS", each(";", &|grant| devices(grant, 0))),
            (VISIBLE, visible.collect::<Vec<_>>().join(",")),
        ]
    }
}

/// Number of each node's first accelerator, when all are counted through.
pub(crate) fn first_devices(fleet: &Fleet) -> Vec<u32> {
    let before = |sum: &mut u32, node: &policies::Node| {
        *sum += node.accelerators;
        Some(*sum - node.accelerators)
    };
    fleet.nodes.iter().scan(0, before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::NodeId;

    #[test]
    fn a_saved_job_is_told_the_device_of_its_accelerator() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        let devices = words("a b c d e");
        let saver =
            Saver { start: words("run {device} --"), save: words("save {job}"), restore: words("load {device}"), devices };
        let mut task = Task::new("t", JobSpec::whole(1), "x", ["y"]);
        (task.device, task.preemption) = (Some(GRANTED.into()), Preemption::Save(saver));
        let grant = Grant { node: NodeId(1), count: 1, devices: 0b100, cpu_milli: 0, memory_mib: 0 };
        let allocation: Allocation = [grant].into_iter().collect();
        let place = Place { job: JobId(7), attempt: Attempt(2), allocation: &allocation, first_device: &[0, 2] };
        let line = |command: &Command| {
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line(&task.command(&place, &Output::Null, false).unwrap()), "run e -- x y");
        assert_eq!(line(&task.command(&place, &Output::Null, true).unwrap()), "load e");
        assert_eq!(line(&task.save_command(JobId(7)).unwrap()), "save 7");
        task.device = Some("z".into());
        assert_eq!(line(&task.command(&place, &Output::Null, true).unwrap()), "load z");
    }

    #[test]
    fn a_gang_on_two_nodes_is_told_both_and_sees_the_machines_devices() {
        let grant = |node, devices: u64| Grant {
            node: NodeId(node),
            count: devices.count_ones(),
            devices,
            cpu_milli: 0,
            memory_mib: 0,
        };
        let allocation: Allocation = [grant(0, 0b1010), grant(2, 0b1)].into_iter().collect();
        let first_device = first_devices(&Fleet::uniform(3, 4));
        let place = Place { job: JobId(7), attempt: Attempt(2), allocation: &allocation, first_device: &first_device };
        assert_eq!(place.variables().map(|(_, value)| value), ["7", "2", "0,2", "1,3;0", "1,3,8"]);
    }
}
