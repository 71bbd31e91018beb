//! Tells a job's story: `cargo run -p orrery-reports --example explain -- LOG JOB`

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, job] = arguments.as_slice() else { return Err("expected LOG JOB".into()) };
    print!("{}", reports::explain(Path::new(log), job)?);
    Ok(())
}
