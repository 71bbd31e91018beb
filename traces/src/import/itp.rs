//! Microsoft ITP 2021 (published with ElasticFlow, ASPLOS '23): raw and ElasticFlow CSVs, one file a cluster.
//!
//! The `tar.gz` is read directly: `raw-traces.tar.gz#cluster03.csv` takes one cluster; without a selector all clusters
//! are merged by submit time (ties in cluster order, then row order), the tenant is the cluster, and ids become
//! `cluster03/ID`. A member whose jobs are all in others (`195job.csv`) is left out of the merge and counted.
//!
//! | column | unit | use | if missing |
//! |---|---|---|---|
//! | `job_id` | text | id | bad row |
//! | `submission_time` | seconds from the start of collection (2021-03-04) | submit; not rebased | bad row |
//! | `num_gpu` | number | accelerators | bad row |
//! | `duration` | seconds | duration | bad row |
//! | `model_name` | text, *generated* | label | none |
//! | `num_iteration`, `deadline`, `batch_size` | *generated* | not used | |

use super::builder::Builder;
use super::error::ImportError;
use super::format::Format;
use super::layout::{Layout, read};
use super::lines::Table;

const ITP: Layout = Layout {
    id: &["job_id"],
    submit: &["submission_time"],
    submit_is_offset: true,
    duration: &["duration"],
    accelerators: &["num_gpu"],
    label: &["model_name"],
    ..Layout::NONE
};

pub(crate) fn import(table: Table<'_>, to: &mut Builder) -> Result<(), ImportError> {
    read(table, &ITP, Format::Itp, to)
}
