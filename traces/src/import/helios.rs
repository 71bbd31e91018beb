//! SenseTime Helios 2020 (SC '21): the original `cluster_log.csv`, the four-column reduction, and the Fleetsim slice.
//!
//! Original (`helios`):
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `job_id` | text | id | bad row |
//! | `user` | text | not used (the VC is the tenant, since quotas are by VC) | |
//! | `vc` | text | tenant | nobody |
//! | `gpu_num` | number | accelerators; 0 makes a job that needs processors only | bad row |
//! | `cpu_num` | processors | host demand | 0 |
//! | `node_num` | number | not used | |
//! | `state` | word | outcome | unknown |
//! | `submit_time` | `YYYY-MM-DD HH:MM:SS`, zone not told, taken as UTC | submit, rebased to the first | bad row |
//! | `start_time` | same | recorded start | not recorded |
//! | `end_time`, `queue` | | not used: `duration` = end - start | |
//! | `duration` | seconds | duration | bad row |
//!
//! Reduced (`helios-reduced`): `job_id`, `arrival_s` (seconds, 0 = 2020-03-18 04:01:39, which is recorded as the epoch
//! and not rebased), `service_sec` (seconds, clamped at 172,800 by its makers), `gpu_count`.
//!
//! Fleetsim slice (`fleetsim`): `job_id`, `tenant` (the VC; `user` else), `class` (label), `submit_time`
//! (**microseconds** from the window's beginning), `num_chips`, `chip_type`, `duration_s`, `walltime_limit_s`
//! (estimate; equal to the duration in the published slice), `final_status`. `num_nodes` is not used.

use super::builder::Builder;
use super::error::ImportError;
use super::format::Format;
use super::layout::{Layout, read};
use super::lines::Table;

const ORIGINAL: Layout = Layout {
    id: &["job_id"],
    submit: &["submit_time"],
    duration: &["duration"],
    start: &["start_time"],
    accelerators: &["gpu_num"],
    cpus: &["cpu_num"],
    tenant: &["vc"],
    outcome: &["state"],
    ..Layout::NONE
};

const REDUCED: Layout = Layout {
    id: &["job_id"],
    submit: &["arrival"],
    submit_is_offset: true,
    duration: &["service"],
    accelerators: &["gpu_count"],
    ..Layout::NONE
};

const FLEETSIM: Layout = Layout {
    id: &["job_id"],
    submit: &["submit_time"],
    submit_is_offset: true,
    submit_unit: 1,
    duration: &["duration"],
    accelerators: &["num_chips"],
    kind: &["chip_type"],
    tenant: &["tenant", "user"],
    estimate: &["walltime_limit"],
    outcome: &["final_status"],
    label: &["class"],
    ..Layout::NONE
};

/// 2020-03-18 04:01:39, what the reduction counts from.
const REDUCED_EPOCH_UNIX_S: i64 = 1_584_504_099;

pub(crate) fn import(table: Table<'_>, format: Format, to: &mut Builder) -> Result<(), ImportError> {
    match format {
        Format::HeliosReduced => {
            to.epoch_unix_s = Some(REDUCED_EPOCH_UNIX_S);
            read(table, &REDUCED, format, to)
        }
        Format::Fleetsim => read(table, &FLEETSIM, format, to),
        _ => read(table, &ORIGINAL, format, to),
    }
}
