//! Jobs that commands write to files and make again, with scripts in the place of checkpoints.

mod common;

use common::{Make, Rotate, execute, shell};
use executor::{Ending, Outcome, Output, Preemption, Saver, Task};
use policies::{Fleet, Policy};
use std::path::Path;

/// Counts to `n`, from where it was saved. When it is told to, it notes where it is and ends.
fn counter(i: usize, n: u32, folder: &Path) -> Task {
    let own = folder.join(i.to_string());
    std::fs::create_dir(&own).unwrap();
    let count = format!(
        "i=$(cat at 2>/dev/null || echo 0); while [ $i -lt {n} ]; do i=$((i+1)); echo $i; sleep 0.01; \
         if [ -e stop ]; then echo $i >at; mv stop stopped; exit 0; fi; done; touch done; exit {}",
        if i == 0 { 3 } else { 0 }
    );
    let mut task = shell(&format!("counter {i}"), 1, &count);
    task.dir = Some(own);
    let at = |script: &str| ["sh".into(), "-c".into(), script.replace("{own}", &folder.join("{job}").display().to_string())];
    let save = "cd '{own}' && touch stop && while [ ! -e stopped ]; do [ -e done ] && exit 1; sleep 0.002; done; rm stopped";
    task.preemption = Preemption::Save(Saver {
        // A word that a script is called, before the program.
        start: ["env".into()].to_vec(),
        save: at(save).to_vec(),
        restore: ["sh".into(), "-c".into(), count].to_vec(),
        devices: Vec::new(),
    });
    task
}

#[test]
fn saved_jobs_go_on_where_they_were_and_end_as_they_do() {
    const NUMBERS: u32 = 60;
    let folder = tempfile::tempdir().unwrap();
    let output = Output::Folder(folder.path().join("output"));
    let tasks: Vec<Task> = (0..4).map(|i| counter(i, NUMBERS, folder.path())).collect();
    let make = || -> Box<dyn Policy> { Box::new(Rotate::every(100)) };
    let ran = execute(Make::Custom(&make), &Fleet::uniform(1, 2), tasks, output.clone());
    assert!(ran.counts.stopped >= 8, "{:?}", ran.counts);
    let whole: String = (1..=NUMBERS).map(|i| format!("{i}\n")).collect();
    for (i, report) in ran.reports.iter().enumerate() {
        let (outcome, code) = if i == 0 { (Outcome::Failed, 3) } else { (Outcome::Finished, 0) };
        assert_eq!((report.outcome, &report.endings[..]), (outcome, &[Ending::Code(code)][..]), "{report:?}");
        assert_eq!((report.starts, report.stops), (1, report.resumes), "{report:?}");
        let counted = std::fs::read_to_string(output.file(policies::JobId(i as u32), "out").unwrap()).unwrap();
        assert_eq!(counted, whole, "{}", report.name);
    }
}
