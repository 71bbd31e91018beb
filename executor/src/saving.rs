//! Preemption by a command that writes a job to files, while its processes know nothing of it.

use crate::process::{Ending, Fact};
use policies::{JobId, Time};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How long the command is tried: a job that was only just started may not be known to it yet.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait until it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A job on its way into files.
pub(crate) struct Saving {
    since: Time,
    /// Tells the thread that tries that there is nothing left to save.
    over: Arc<AtomicBool>,
    /// What the command came to.
    pub(crate) success: Option<bool>,
    ended: Option<Ending>,
}

impl Saving {
    /// Runs the command from a thread of its own until it works, or the job has ended.
    pub(crate) fn start(job: JobId, mut command: Command, since: Time, facts: Sender<(JobId, Fact)>) -> Saving {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        std::thread::spawn(move || {
            let began = Instant::now();
            command.stdin(Stdio::null());
            loop {
                let output = command.output();
                let success = output.as_ref().is_ok_and(|output| output.status.success());
                let late = began.elapsed() > PATIENCE;
                if !success && late {
                    let said = output.map_or_else(|error| error.to_string(), |output| last_line(&output.stderr));
                    eprintln!("orrery: job {} cannot be saved, and is killed: {said}", job.0);
                }
                if success || late || ended.load(Ordering::SeqCst) {
                    // A loop that is gone needs no news.
                    let _ = facts.send((job, Fact::Saved(success)));
                    return;
                }
                std::thread::sleep(PAUSE);
            }
        });
        Saving { since, over, success: None, ended: None }
    }

    /// The job's process is gone.
    pub(crate) fn exited(&mut self, ending: Ending) {
        self.over.store(true, Ordering::SeqCst);
        self.ended = Some(ending);
    }

    /// Since when the job has not worked, whether it is in files, and how its process ended; once all of that is known.
    pub(crate) fn outcome(&mut self) -> Option<(Time, bool, Ending)> {
        let success = self.success?;
        Some((self.since, success, self.ended.take()?))
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn last_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next_back().unwrap_or_default().to_owned()
}
