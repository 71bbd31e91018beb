//! `orrery replay`.

use crate::Verdict;
use crate::cli::{Output, ReplayArgs};
use anyhow::Result;
use std::io::Write;
use traces::runlog::{
    LogReader,
    replay::{ReplayError, replay},
};

/// Feeds a log's events into a fresh scheduler and compares the orders.
pub fn run(args: &ReplayArgs) -> Result<Verdict> {
    let reader = LogReader::open(&args.log)?;
    let policy = reader.header.policy.clone();
    let mut out = std::io::stdout().lock();
    let replayed = match replay(reader, |_, _| {}) {
        Ok(replayed) => replayed,
        Err(error @ (ReplayError::Differs(_) | ReplayError::Digest { .. })) => {
            if args.output == Output::Json {
                let json = serde_json::json!({ "agrees": false, "policy": policy, "difference": error.to_string() });
                writeln!(out, "{json:#}")?;
            } else {
                writeln!(out, "differs: {policy}: {error}")?;
            }
            return Ok(Verdict::CheckFailed);
        }
        Err(error) => return Err(error.into()),
    };
    let (steps, orders, digest) = (replayed.steps, replayed.orders, &replayed.digest);
    match args.output {
        Output::Json => {
            let json = serde_json::json!({
                "agrees": true, "policy": policy, "steps": steps, "orders": orders, "log_digest": digest,
            });
            writeln!(out, "{json:#}")?;
        }
        Output::Csv => writeln!(out, "agrees,policy,steps,orders,log_digest\ntrue,\"{policy}\",{steps},{orders},{digest}")?,
        Output::Table => writeln!(out, "agrees: {policy}: {steps} steps, {orders} orders, log digest {digest}")?,
    }
    Ok(Verdict::Done)
}
