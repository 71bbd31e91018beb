//! The command that people type: arguments in, exit code out. 0 done, 1 a check failed, 2 could not run.

mod cli;
mod commands;
mod progress;
mod setup;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

/// How a command ended when nothing kept it from running.
pub enum Verdict {
    /// All is well.
    Done,
    /// It ran, and found something wrong.
    CheckFailed,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => commands::run::run(&args),
        Command::Launch(args) => commands::launch::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Timeline(args) => commands::timeline::run(&args),
        Command::Replay(args) => commands::replay::run(&args),
        Command::Trace(command) => commands::trace::run(&command),
        Command::Policies(args) => commands::policies::list(&args),
        Command::Exec(args) => commands::exec::run(&args),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Proxy(args) => commands::proxy::run(&args),
        Command::Checkpoint(args) => commands::checkpoint::save(&args),
        Command::Restore(args) => commands::checkpoint::load(&args),
        Command::Pause(args) => commands::checkpoint::pause(&args),
        Command::Resume(args) => commands::checkpoint::resume(&args),
        Command::Keep(args) => commands::keep::run(&args),
        Command::Migrate(args) => commands::checkpoint::move_on(&args),
    };
    match result {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::CheckFailed) => ExitCode::from(1),
        // A reader that has seen enough (`orrery ... | head`) is no error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sentence(&error));
            ExitCode::from(2)
        }
    }
}

/// An error and its causes, each said once: many an error has its cause in its own words.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        said if said.contains(&cause) => said.into(),
        said => format!("{said}: {cause}"),
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(io)
}
