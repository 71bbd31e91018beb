//! The real world: it carries the scheduler's orders out with child processes on this machine, under a real clock.
//!
//! [`run`] is the whole loop. Compare it with the simulator's: the scheduler cannot tell them apart.
//!
//! ```text
//! sim::run                                              executor::run
//! while let Some((now, ..)) = next_instant(..) {        while let Some(until) = next_instant(..) {
//!                                                           let now = agents.wait(until);
//!     world.advance(now, &mut events);                      agents.advance(now, &mut events);
//!     arrivals.submit(now, world, &mut events);             while let Some(task) = tasks.next_if(..) {
//!                                                               events.push(agents.submit(task));
//!                                                           }
//!     for event in &events {                                for event in &events {
//!         scheduler.handle(now, event);                         scheduler.handle(now, event);
//!     }                                                     }
//!     let decision = scheduler.decide(now);                 let decision = scheduler.decide(now);
//!     world.apply(now, decision.orders);                    agents.apply(decision.orders);
//!     observer.step(StepView { .. });                       observer.step(StepView { .. });
//! }                                                     }
//! ```
//!
//! The simulator jumps to the next instant; this loop waits for it, or for the first fact that comes before it, whichever is
//! earlier, and stamps everything that it finds with one reading of the clock. Both write the same run log, and a log of
//! either replays to the same orders.
//!
//! # What is real
//! * A job is a process group of its own ([`Task`]). Each has a thread that starts it and waits for what becomes of it; facts
//!   reach the loop over one channel, in the order in which they happened to the process, and the loop never blocks on a job.
//! * **Start** runs the program, with its place in environment variables, or lets a suspended process group go on (`SIGCONT`).
//! * **Preempt** is "save and stop". What works for any program is to suspend its process group (`SIGSTOP`): no work is lost,
//!   and its accelerators are idle. [`Event::Stopped`](policies::Event::Stopped) goes out when the kernel says that the process
//!   stopped, not when the signal was sent. A job that ends first is reported to have ended.
//! * **Finished** is exit code 0. **Failed** is any other exit code, a death by signal (also while suspended: it is reported
//!   when the job is next started, for until then no attempt is under way), and a program that cannot be started. A failed job
//!   starts from nothing at its next attempt.
//! * What a job leaves in its process group when its leader ends is killed with it. When a run ends, for whatever reason, no
//!   process of it is left; a guard process sees to it should this process itself be killed.
//!
//! # What later parts bring
//! * A suspended process keeps its host memory, its device memory and the environment of its first start, so it may be told to
//!   go on elsewhere than where it began, and does not learn of it. Device proxies will save, free and move what it holds on
//!   accelerators; until then accelerators are shared out by name, but only jobs that hold little device memory can really
//!   share them.
//! * All nodes are this machine. Agents on other nodes will stand behind the same two calls,
//!   [`Agents::advance`] and [`Agents::apply`].
//! * A process that leaves its process group (`setsid`, job control of interactive shells) escapes. Control groups will hold it.

mod agents;
mod driver;
mod guard;
mod happen;
mod jobs;

mod process;
mod report;
mod saving;
mod slot;
mod task;

pub use agents::{Agents, Canceller, ExecError, Options};
pub use driver::{End, Limits, run};
pub use jobs::{JobList, JobsError};

pub use process::Ending;
pub use report::{JobReport, Outcome};
pub use task::{GRANTED, Output, Preemption, Saver, Task};
