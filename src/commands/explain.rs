//! `orrery explain`.

use crate::Verdict;
use crate::cli::{ExplainArgs, Output};
use anyhow::{Result, bail};
use std::io::Write;

/// Says why a job waited.
pub fn run(args: &ExplainArgs) -> Result<Verdict> {
    let explanation = reports::explain(&args.log, &args.job)?;
    let text = match args.output {
        Output::Table => explanation.to_string(),
        Output::Json => explanation.to_json(),
        Output::Csv => bail!("--output csv: expected table or json, for this is no list of rows"),
    };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(Verdict::Done)
}
