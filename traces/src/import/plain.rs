//! A plain CSV whose columns are found by name; also what [`crate::export::write_csv`] writes and the Philly month samples.
//!
//! Names are compared in lower case with every other character as `_`, so `Job ID` is `job_id`. Delimiter: comma,
//! semicolon, tab or `|`, whichever the header has most of. Lines that begin with `#` are comments.
//!
//! | quantity | names (first found wins) | unit | if missing |
//! |---|---|---|---|
//! | job | `job_id`, `jobid`, `id`, `job`, `job_name`, `jobname`, `name` | text | the row's number among the jobs, from 0 |
//! | submit | `submit_time`, `submission_time`, `submitted_time`, `arrival_time`, `submit`, `arrival`, `submitted`, `submitted_at`, `creation_time`, `time`, `timestamp` | seconds from the beginning, Unix seconds (from 10^9 on), or `YYYY-MM-DD HH:MM:SS` (UTC unless a zone follows) | refused |
//! | duration | `duration`, `run_time`, `runtime`, `service_time`, `service`, `job_duration`, `execution_time`, `elapsed` | seconds, `[D-]HH:MM:SS`, or `never` for a job without end | end less start |
//! | start | `start_time`, `start`, `started` | as submit | not recorded |
//! | end | `end_time`, `end`, `finish_time`, `completion_time` | as submit | used only without a duration |
//! | accelerators | `num_gpu`, `num_gpus`, `gpu_num`, `gpus`, `gpu`, `gpu_count`, `ngpus`, `n_gpus`, `accelerators`, `num_accelerators`, `num_chips`, `requested_gpus`, `gpu_request` | number; `0.5` is half of one, `1.5` two at 0.75 | refused |
//! | share | `gpu_milli`, `milli` | thousandths of each accelerator | 1000 |
//! | processors | `num_cpu`, `num_cpus`, `cpu_num`, `cpus`, `ncpus`, `cpu`, `cores` | number (`cpu_milli`: thousandths) | 0; a job with 0 accelerators needs some |
//! | memory | `memory`, `mem` | MiB (`_gb`, `_gib`: GiB) | 0 |
//! | locality | `within` | `node`, `cluster`, `region`, `fleet` | `cluster` |
//! | type | `gpu_type`, `accelerator_type`, `gpu_model`, `chip_type`, `gpu_spec` | names joined by `\|` | any |
//! | tenant | `tenant`, `vc`, `virtual_cluster`, `account`, `group`, `project`, `user`, `user_id`, `uid` | text | nobody |
//! | priority | `priority`, `prio` | whole number, larger is more important | 0 |
//! | tier | `tier`, `service_tier` | 0 to 255, 0 the best | 0 |
//! | estimate | `estimate`, `estimated_duration`, `walltime`, `walltime_limit`, `time_limit`, `timelimit`, `requested_time` | as duration | none |
//! | outcome | `status`, `state`, `outcome`, `final_status`, `job_status` | word | unknown |
//! | label | `label`, `model`, `model_name`, `application`, `class`, `job_type` | text | none |
//!
//! Time columns may say their unit at the end: `_s`, `_ms`, `_us`, `_min`, `_h` (`submit_time_ms`).

use super::builder::Builder;
use super::error::ImportError;
use super::format::Format;
use super::layout::{Layout, read, suffices};
use super::lines::Table;

pub(crate) const PLAIN: Layout = Layout {
    id: &["job_id", "jobid", "id", "job", "job_name", "jobname", "name"],
    submit: &[
        "submit_time",
        "submission_time",
        "submitted_time",
        "arrival_time",
        "submit",
        "arrival",
        "submitted",
        "submitted_at",
        "creation_time",
        "time",
        "timestamp",
    ],
    duration: &["duration", "run_time", "runtime", "service_time", "service", "job_duration", "execution_time", "elapsed"],
    start: &["start_time", "start", "started"],
    end: &["end_time", "end", "finish_time", "completion_time"],
    accelerators: &[
        "num_gpu",
        "num_gpus",
        "gpu_num",
        "gpus",
        "gpu",
        "gpu_count",
        "ngpus",
        "n_gpus",
        "accelerators",
        "num_accelerators",
        "num_chips",
        "requested_gpus",
        "gpu_request",
    ],
    milli: &["gpu_milli", "milli"],
    cpus: &["num_cpu", "num_cpus", "cpu_num", "cpus", "ncpus", "cpu", "cores"],
    memory: &["memory", "mem"],
    within: &["within"],
    kind: &["gpu_type", "accelerator_type", "gpu_model", "chip_type", "gpu_spec"],
    tenant: &["tenant", "vc", "virtual_cluster", "account", "group", "project", "user", "user_id", "uid"],
    priority: &["priority", "prio"],
    tier: &["tier", "service_tier"],
    estimate: &["estimate", "estimated_duration", "walltime", "walltime_limit", "time_limit", "timelimit", "requested_time"],
    outcome: &["status", "state", "outcome", "final_status", "job_status"],
    label: &["label", "model", "model_name", "application", "class", "job_type"],
    ..Layout::NONE
};

/// Whether these column keys are enough to read a table as plain CSV.
pub(crate) fn is_plain(keys: &[String]) -> bool {
    suffices(keys, &PLAIN)
}

pub(crate) fn import(table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    read(table, &PLAIN, Format::Csv, to)
}
