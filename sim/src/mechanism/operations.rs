//! The operations, composed of parts.

use super::job::{JobState, Parallelism, Placement};
use super::model::{BarrierRange, Mechanism};
use super::units::{at_rate, over, times};
use policies::Span;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// What the host images of a checkpoint are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// The first of the job: everything is stored.
    First,
    /// A later one: only what changed is stored, and a restore needs the first and the increment.
    Incremental,
}

/// Direction of a transfer: which link of the blob store it loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreLink {
    /// Into the store.
    Into,
    /// Out of the store.
    OutOf,
}

/// Bytes that go over a link that others use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Which way.
    pub link: StoreLink,
    /// How much.
    pub bytes: u64,
    /// The most that the job's own nodes can do together; `u64::MAX` where they set no limit.
    pub cap_bytes_per_s: u64,
}

impl Transfer {
    /// Duration at the nodes' own rate.
    pub fn alone(&self) -> Span {
        match self.cap_bytes_per_s {
            u64::MAX => Span::ZERO,
            cap => over(u128::from(self.bytes), cap),
        }
    }
}

/// An upload or a download: work on the job's own nodes, and two transfers, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Work that loads no shared link. Before the transfers of an upload, after those of a download.
    pub local: Span,
    /// Device state.
    pub device: Transfer,
    /// Host images.
    pub host: Transfer,
}

impl Leg {
    fn none(link: StoreLink) -> Leg {
        let nothing = Transfer { link, bytes: 0, cap_bytes_per_s: u64::MAX };
        Leg { local: Span::ZERO, device: nothing, host: nothing }
    }

    /// Duration when no one else uses the link.
    pub fn alone(&self) -> Span {
        self.local + self.device.alone() + self.host.alone()
    }

    /// All bytes over the link.
    pub fn bytes(&self) -> u64 {
        self.device.bytes.saturating_add(self.host.bytes)
    }
}

/// A cause of lost time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Starting without a checkpoint.
    Start,
    /// Waiting for a consistent point.
    Barrier,
    /// Reading devices.
    DeviceDump,
    /// Reading processes.
    HostDump,
    /// Storing.
    Upload,
    /// Fetching.
    Download,
    /// Bringing processes and devices back.
    Restore,
}

/// The times of a switch by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// See [`Part::Start`].
    pub start: Span,
    /// See [`Part::Barrier`].
    pub barrier: Span,
    /// See [`Part::DeviceDump`].
    pub device_dump: Span,
    /// See [`Part::HostDump`].
    pub host_dump: Span,
    /// See [`Part::Upload`].
    pub upload: Span,
    /// See [`Part::Download`].
    pub download: Span,
    /// See [`Part::Restore`].
    pub restore: Span,
}

impl Parts {
    /// In the order in which they happen; start and restore exclude each other.
    pub fn iter(&self) -> impl Iterator<Item = (Part, Span)> {
        [
            (Part::Start, self.start),
            (Part::Barrier, self.barrier),
            (Part::DeviceDump, self.device_dump),
            (Part::HostDump, self.host_dump),
            (Part::Upload, self.upload),
            (Part::Download, self.download),
            (Part::Restore, self.restore),
        ]
        .into_iter()
    }

    /// Their sum: nothing overlaps.
    pub fn total(&self) -> Span {
        self.iter().fold(Span::ZERO, |sum, (_, span)| sum + span)
    }

    /// Upload and download.
    pub fn transfer(&self) -> Span {
        self.upload + self.download
    }
}

/// What an operation does, in the order of the fields; what it does not do is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Starting without a checkpoint.
    pub start: Span,
    /// Waiting for a consistent point, expected value.
    pub barrier: Span,
    /// Reading devices.
    pub device_dump: Span,
    /// Reading processes.
    pub host_dump: Span,
    /// Storing.
    pub upload: Leg,
    /// Fetching.
    pub download: Leg,
    /// Bringing processes and devices back.
    pub restore: Span,
}

impl Switch {
    fn nothing() -> Switch {
        Switch {
            start: Span::ZERO,
            barrier: Span::ZERO,
            device_dump: Span::ZERO,
            host_dump: Span::ZERO,
            upload: Leg::none(StoreLink::Into),
            download: Leg::none(StoreLink::OutOf),
            restore: Span::ZERO,
        }
    }

    /// The times, with the links to itself.
    pub fn parts(&self) -> Parts {
        Parts {
            start: self.start,
            barrier: self.barrier,
            device_dump: self.device_dump,
            host_dump: self.host_dump,
            upload: self.upload.alone(),
            download: self.download.alone(),
            restore: self.restore,
        }
    }

    /// This, then the other.
    fn then(self, next: Switch) -> Switch {
        Switch { download: next.download, restore: next.restore, ..self }
    }
}

impl Mechanism {
    /// A mini-batch of every worker when `degree` workers share each accelerator: `degree` mini-batches, the overhead of
    /// splicing, and a swap for each worker.
    pub fn mini_batch(&self, job: &JobState, degree: u32) -> Span {
        let bare = times(job.mini_batch_s.0, u64::from(degree));
        if degree <= 1 {
            return bare;
        }
        let ppm = i128::from(self.splice_overhead_ppm(job, degree));
        let shared = i128::from(bare.0) * (1_000_000 + ppm) / 1_000_000;
        let swapped = at_rate(job.swap_bytes.saturating_mul(2), self.splicing.swap_bytes_per_s);
        let swaps = times(self.splicing.swap_s.0 + swapped, u64::from(degree));
        Span(u64::try_from(shared.max(0)).unwrap_or(u64::MAX)) + swaps
    }

    /// Measured overhead at a degree in parts per million of the work, without swaps: linear between the points of the table and
    /// from none at degree 1, constant beyond the last. May be negative.
    pub fn splice_overhead_ppm(&self, job: &JobState, degree: u32) -> i64 {
        let table = if job.splice.is_empty() { &self.splicing.overhead } else { &job.splice };
        let (mut below, mut below_ppm) = (1, 0);
        for point in table {
            let (at, ppm) = (i64::from(point.degree), point.overhead.ppm);
            if i64::from(degree) <= at {
                let width = (at - below).max(1);
                return below_ppm + (ppm - below_ppm) * (i64::from(degree) - below).max(0) / width;
            }
            (below, below_ppm) = (at, ppm);
        }
        below_ppm
    }

    fn barrier_range(&self, job: &JobState) -> BarrierRange {
        match job.parallelism {
            Parallelism::DataParallel => self.barrier.data_parallel,
            Parallelism::ThreeD => self.barrier.three_d,
        }
    }

    /// Expected time from the request until all workers stand still.
    pub fn barrier(&self, job: &JobState, at: Placement) -> Span {
        self.barrier_range(job).expected_mini_batches().of(self.mini_batch(job, at.degree()))
    }

    /// The longest that it can take.
    pub fn barrier_worst(&self, job: &JobState, at: Placement) -> Span {
        self.barrier_range(job).most_mini_batches.of(self.mini_batch(job, at.degree()))
    }

    /// A start from nothing.
    pub fn launch(&self, at: Placement) -> Switch {
        Switch { start: self.start.at(at.accelerators()), ..Switch::nothing() }
    }

    /// Taking a checkpoint on demand or by the clock. The job goes on afterwards; see [`Mechanism::pause`].
    pub fn save(&self, job: &JobState, at: Placement, image: Image) -> Switch {
        let workers = u128::from(job.workers);
        let host = match image {
            Image::First => job.host_first_bytes_per_worker,
            Image::Incremental => job.host_incremental_bytes_per_worker,
        };
        let scanned = workers * u128::from(job.host_first_bytes_per_worker);
        let upload = Leg {
            local: at_nodes(scanned, self.upload.scan_bytes_per_s_per_node, at),
            device: transfer(StoreLink::Into, u128::from(job.device_state_bytes), self.upload.device_bytes_per_s_per_node, at),
            host: transfer(StoreLink::Into, workers * u128::from(host), self.upload.host_bytes_per_s_per_node, at),
        };
        let image_time = at_rate(job.host_first_bytes_per_worker, self.dump.host_bytes_per_s_per_worker);
        Switch {
            barrier: self.barrier(job, at),
            device_dump: at_rate(job.device_bytes_per_worker(), self.dump.device_bytes_per_s_per_accelerator),
            host_dump: self.dump.fixed_s.0 + image_time,
            upload,
            ..Switch::nothing()
        }
    }

    /// How long a checkpoint taken while the job goes on holds it up, when the links are free.
    pub fn pause(&self, save: &Switch) -> Span {
        let dumped = save.barrier + save.device_dump + save.host_dump;
        if self.checkpoint.upload_in_background { dumped } else { dumped + save.upload.alone() }
    }

    /// Stopping: barrier, dumps, upload. The accelerators are free after the upload.
    pub fn preempt(&self, job: &JobState, at: Placement, image: Image) -> Switch {
        self.save(job, at, image)
    }

    /// Going on from a checkpoint, on any legal size: download, restore. `image` says what the last checkpoint was.
    pub fn resume(&self, job: &JobState, at: Placement, image: Image) -> Switch {
        let workers = u128::from(job.workers);
        let first = u128::from(job.host_first_bytes_per_worker);
        let increment = match image {
            Image::First => 0,
            Image::Incremental => u128::from(job.host_incremental_bytes_per_worker),
        };
        let rates = &self.download;
        let shard = job.device_bytes_per_worker();
        let prepared = times(rates.per_worker_on_node_s.0, u64::from(job.workers)).0 / u64::from(at.nodes());
        let local = at_nodes(workers * u128::from(shard), rates.copy_bytes_per_s_per_node, at)
            + at_rate(job.host_first_bytes_per_worker, rates.unpack_bytes_per_s_per_worker)
            + Span(prepared);
        let device = u128::from(job.device_state_bytes);
        let download = Leg {
            local,
            device: transfer(StoreLink::OutOf, device, rates.device_bytes_per_s_per_node, at),
            host: transfer(StoreLink::OutOf, workers * (first + increment), rates.host_bytes_per_s_per_node, at),
        };
        let onto_device = shard.saturating_mul(u64::from(at.degree()));
        let fixed = job.restore_fixed_s.map_or_else(|| self.restore.fixed.at(at.accelerators()), |own| own.0);
        let restore = fixed + at_rate(onto_device, self.restore.device_bytes_per_s_per_accelerator);
        Switch { download, restore, ..Switch::nothing() }
    }

    /// Moving, with or without another size: a preemption, then a resumption. `image` says what the checkpoint on the way is.
    ///
    /// To shrink or to grow is to migrate to fewer or more accelerators.
    pub fn migrate(&self, job: &JobState, from: Placement, to: Placement, image: Image) -> Switch {
        self.preempt(job, from, image).then(self.resume(job, to, image))
    }
}

/// Bytes handled by all nodes of a placement, each its even part.
fn at_nodes(bytes: u128, per_node: Option<NonZeroU64>, at: Placement) -> Span {
    per_node.map_or(Span::ZERO, |rate| over(bytes, rate.get().saturating_mul(u64::from(at.nodes()))))
}

fn transfer(link: StoreLink, bytes: u128, per_node: Option<NonZeroU64>, at: Placement) -> Transfer {
    let cap_bytes_per_s = per_node.map_or(u64::MAX, |rate| rate.get().saturating_mul(u64::from(at.nodes())));
    Transfer { link, bytes: u64::try_from(bytes).unwrap_or(u64::MAX), cap_bytes_per_s }
}
