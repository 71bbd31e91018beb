//! Alibaba PAI 2020 (NSDI '22): the simulator's `pai_job_*.csv`, and the original task and job tables.
//!
//! Simulator (`pai`):
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `job_id` | text | id | row number |
//! | `user` | text | tenant | nobody |
//! | `num_inst` | number | gang members, each with the demand below | 1 |
//! | `num_gpu` | accelerators of each member; `0.5` is half of one, `1.5` two at 0.75 | demand; 0 makes a job that needs processors only | bad row |
//! | `num_cpu` | processors of each member | host demand | 0 |
//! | `gpu_type` | the type it *got*, not what it asked for | label; any type is acceptable | none |
//! | `submit_time` | seconds, shifted by an unknown constant | submit; not rebased | bad row |
//! | `duration` | seconds | duration | bad row |
//! | `wait_time`, `group`, `user_dur`, `group_dur`, `group_gpu_dur` | | not used (their makers' predictions) | |
//!
//! Original `pai_task_table.csv` (`pai-tasks`), which has no header line (one is accepted); each task is a job, since its
//! instances start together but tasks of a job need not:
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `job_name`, `task_name` | text | id `job/task` | bad row |
//! | `inst_num` | number | gang members | left out |
//! | `status` | `Terminated` (well), `Failed`, `Running`, `Waiting` | outcome; the last two are left out | unknown |
//! | `start_time`, `end_time` | seconds, shifted by an unknown constant | duration; recorded start; submit where the job table is not given; not rebased | left out |
//! | `plan_cpu`, `plan_gpu` | hundredths of a processor or accelerator, each member | demand | 0; left out if both are missing |
//! | `plan_mem` | GB, each member | host demand | 0 |
//! | `gpu_type` | the type it got | label | none |
//!
//! `pai_job_table.csv` (`--with`, or beside the task table; `job_name`, `inst_id`, `user`, `status`, `start_time`,
//! `end_time`, no header): `user` becomes the tenant and `start_time`, when the job was submitted, the submit time.

use super::builder::{Builder, Draft, outcome};
use super::cell::{Cell, SECOND};
use super::error::{Bad, ImportError};
use super::format::{Format, first_line};
use super::layout::{Layout, between, each_row, read};
use super::lines::{Column, Lines, Row, Table};
use policies::{Demand, WHOLE_MILLI};
use rustc_hash::FxHashMap;

const SIMULATOR: Layout = Layout {
    id: &["job_id"],
    submit: &["submit_time"],
    submit_is_offset: true,
    duration: &["duration"],
    accelerators: &["num_gpu"],
    instances: &["num_inst"],
    cpus: &["num_cpu"],
    tenant: &["user"],
    label: &["gpu_type"],
    ..Layout::NONE
};

pub(crate) fn import(table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    read(table, &SIMULATOR, Format::Pai, to)
}

const TASK: [&str; 10] =
    ["job_name", "task_name", "inst_num", "status", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu", "gpu_type"];

/// Whether a line is a row of the task table, which has no header.
pub(crate) fn is_task_row(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.split(|b| *b == b',').map(|f| f.trim_ascii()).collect();
    let known = [&b"Terminated"[..], b"Failed", b"Running", b"Waiting"];
    fields.len() == TASK.len() && known.contains(&fields[3])
}

/// What the job table adds to a task.
struct JobRow {
    user: Box<[u8]>,
    submit: u64,
}

type Jobs = FxHashMap<Box<[u8]>, JobRow>;

pub(crate) fn import_tasks(lines: Lines<'_>, head: &[u8], to: &mut Builder) -> Result<(), ImportError> {
    let has_header = first_line(head).is_some_and(|line| line.starts_with(b"job_name"));
    let names = TASK.map(String::from).to_vec();
    let mut table = if has_header { Table::with_header(lines, b',')? } else { Table::bare(lines, b',', names) };
    if table.names != TASK {
        return Err(super::layout::missing_column(&table, Format::PaiTasks, "each field of a task", &TASK));
    }
    let jobs = job_table(to)?;
    let mut id = Vec::new();
    each_row(&mut table, to, |row, to| task(row, jobs.as_ref(), &mut id, to))
}

fn task(row: &Row<'_>, jobs: Option<&Jobs>, id: &mut Vec<u8>, to: &mut Builder) -> Result<(), Bad> {
    let cell = |index| row.cell(Column { index, unit: SECOND });
    let [inst, cpu, memory, gpu] = [2, 6, 7, 8].map(cell);
    if matches!(row.get(3), b"Running" | b"Waiting") || cell(4).is_missing() || cell(5).is_missing() {
        to.leave_out("tasks that had not run to an end");
        return Ok(());
    }
    if inst.is_missing() || (cpu.is_missing() && gpu.is_missing()) {
        to.leave_out("tasks without a recorded demand");
        return Ok(());
    }
    let (start, end) = (cell(4).offset(SECOND)?, cell(5).offset(SECOND)?);
    let duration = between(start, end).ok_or_else(|| cell(5).bad("an end that is not before the start"))?;
    let members = u64::from(inst.count()?.max(1));
    let percent = u64::from(gpu.scaled(1)?);
    let each = percent.div_ceil(100);
    let milli = if each == 0 { WHOLE_MILLI } else { (percent * 10).div_ceil(each) as u16 };
    let total = |each: u64, cell: Cell<'_>| {
        let total = each.checked_mul(members).and_then(|total| u32::try_from(total).ok());
        total.ok_or_else(|| cell.bad("a total that fits 32 bits"))
    };
    let mut demand = Demand { milli, ..Demand::whole(total(each, gpu)?) };
    demand.cpu_milli = total(u64::from(cpu.scaled(10)?), cpu)?;
    demand.memory_mib = total(u64::from(memory.scaled(1024)?), memory)?;
    if demand.accelerators == 0 && demand.cpu_milli == 0 {
        return Err(gpu.bad("accelerators or processors"));
    }
    let job = jobs.and_then(|jobs| jobs.get(row.get(0)));
    let mut submit = start;
    submit.micros = job.map_or(start.micros, |job| job.submit.min(start.micros));
    id.clear();
    for part in [row.get(0), b"/", row.get(1)] {
        id.extend_from_slice(part);
    }
    let id = Cell { column: "job_name/task_name", bytes: if id.len() > 1 { id } else { b"" } };
    to.push(Draft {
        tenant: job.map_or(&b""[..], |job| &job.user),
        label: row.get(9),
        outcome: outcome(row.get(3)),
        start: Some(start),
        ..Draft::new(id, submit, duration, demand)
    })
}

/// Reads the job table where there is one.
fn job_table(to: &mut Builder) -> Result<Option<Jobs>, ImportError> {
    let names = ["pai_job_table.csv", "pai_job_table.csv.gz", "pai_job_table.tar.gz"];
    let Some(side) = to.side(&names)? else { return Ok(None) };
    let names = ["job_name", "inst_id", "user", "status", "start_time", "end_time"].map(String::from);
    let mut table = Table::bare(Lines::new(&side.file, Box::new(&side.content[..])), b',', names.to_vec());
    let mut jobs = Jobs::default();
    while let Some(row) = table.next_row()? {
        let start = row.cell(Column { index: 4, unit: SECOND });
        // A job without a submit time (and the header, if there is one) adds nothing.
        if let (Ok(()), Ok(submit)) = (row.check(), start.offset(SECOND)) {
            jobs.insert(row.get(0).into(), JobRow { user: row.get(2).into(), submit: submit.micros });
        }
    }
    to.notes.push(format!("users and submit times are from {}", side.file));
    Ok(Some(jobs))
}
