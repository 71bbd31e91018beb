//! Weighted fair share by tenant, with quota, borrowing and reclaim.

use super::room::{Holders, make_room};
use super::tenants::{Lanes, PerTenant};
use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::event::{Event, Reason};
use crate::ids::{JobId, TenantId};
use crate::job::Phase;
use crate::plan::Plan;
use crate::queue::made_pending;
use crate::view::View;
use serde::{Deserialize, Serialize};

pub(super) const ENTRY: Entry = Entry {
    name: "fair-share",
    about: "next is the tenant that holds least for its weight (weighted max-min: DRF with one resource, Ghodsi et al., NSDI '11, \
            section 4); quotas can be borrowed and reclaimed",
    parameters: &[
        Parameter { key: "weights", default: "*:1", about: "weight of each tenant, as 0:2|1:0.5|*:1; * is every other" },
        Parameter {
            key: "quotas",
            default: "none",
            about: "accelerators guaranteed to each tenant, as 0:16|*:8; unlisted ones have none",
        },
        Parameter { key: "borrow", default: "true", about: "let tenants exceed their quota while accelerators are free" },
        Parameter { key: "reclaim", default: "false", about: "stop borrowers for jobs within their tenant's quota" },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let weights: PerTenant =
        spec.get_where("weights", "TENANT:WEIGHT|..., weights above 0", |w: &PerTenant| w.all_positive())?;
    let quotas = spec.get("quotas", "none, or TENANT:ACCELERATORS|...")?;
    let rules =
        Rules { weights, quotas, borrow: spec.get("borrow", "true or false")?, reclaim: spec.get("reclaim", "true or false")? };
    Ok(Box::new(FairShare::new(rules)))
}

/// Who may hold how much.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// Shares are relative to these.
    pub weights: PerTenant,
    /// What each tenant is sure of, in accelerators.
    pub quotas: PerTenant,
    /// Whether a tenant may exceed its quota while others leave theirs free.
    pub borrow: bool,
    /// Whether what was borrowed is taken back by preemption.
    pub reclaim: bool,
}

/// The next job is that of the tenant which holds the fewest accelerators for its weight; equal shares, and the jobs of one
/// tenant, go by arrival. What does not fit is skipped.
///
/// Shares are instantaneous: what counts is what a tenant holds now, not what it held before. A tenant gains nothing by waiting
/// and pays for nothing later, so a share can be checked by looking at one instant.
///
/// With quotas, jobs that stay within their tenant's quota go before all that exceed it. Exceeding is borrowing: it is
/// allowed while accelerators are free (`borrow`), and may end by preemption when a job within its own tenant's quota finds no
/// room (`reclaim`): then the tenants that exceed their quota lose what they launched last, those with the largest share first,
/// each only as long as it exceeds its quota, and nobody if that would not make room.
///
/// A decision costs O(classes) when something was freed, whatever the number of tenants and jobs.
#[derive(Serialize, Deserialize)]
pub struct FairShare {
    rules: Rules,
    lanes: Lanes,
    holders: Holders<TenantId>,
}

impl FairShare {
    /// An empty queue under `rules`.
    pub fn new(rules: Rules) -> FairShare {
        let lanes = Lanes::new(rules.clone());
        FairShare { rules, lanes, holders: Holders::new() }
    }

    fn launched(&mut self, view: &View, job: JobId) {
        let spec = &view.job(job).spec;
        self.lanes.remove(view, job);
        self.holders.insert(spec.tenant, job);
        self.lanes.change_use(view, spec.tenant, spec.demand.milli_total() as i64);
    }

    fn left(&mut self, view: &View, job: JobId) {
        if let Some(tenant) = self.holders.remove(job) {
            self.lanes.change_use(view, tenant, -(view.job(job).spec.demand.milli_total() as i64));
        }
    }

    /// What may be taken from tenants that exceed their quota, those with the largest share first.
    fn borrowed(&self, view: &View) -> Vec<JobId> {
        let mut jobs = Vec::new();
        for (tenant, mut used, quota) in self.lanes.borrowers() {
            for job in self.holders.of(tenant) {
                if used <= quota {
                    break;
                }
                jobs.push(job);
                used -= view.job(job).spec.demand.milli_total();
            }
        }
        jobs
    }

    /// Launches a job that found no room, on what others have borrowed. Returns whether it did.
    fn reclaim(&mut self, plan: &mut Plan<'_>, job: JobId) -> bool {
        let victims = self.borrowed(plan);
        let Some(victims) = make_room(plan, job, victims.into_iter()) else { return false };
        for victim in victims {
            self.left(plan, victim);
            // It had a place but had not started: no event will say that it waits.
            if plan.job(victim).phase == Phase::Pending {
                self.lanes.push(plan, victim);
            }
        }
        true
    }
}

impl Policy for FairShare {
    crate::saved_by_serde!();

    fn observe(&mut self, view: &View, event: &Event) {
        let Some(job) = event.job() else { return };
        if !matches!(event, Event::Started { .. }) {
            self.left(view, job);
        }
        if let Some(job) = made_pending(view, event) {
            self.lanes.push(view, job);
        } else if let Event::Withdrawn { job } = *event {
            self.lanes.discard(view, job);
        }
    }

    fn decide(&mut self, plan: &mut Plan<'_>) {
        loop {
            let generation = plan.capacity().generation();
            self.lanes.reopen(generation);
            while let Some((job, borrows)) = self.lanes.next() {
                if plan.launch(job) || (self.rules.reclaim && !borrows && self.reclaim(plan, job)) {
                    self.launched(plan, job);
                } else {
                    self.lanes.block(plan.job(job).class, borrows);
                }
            }
            // Victims may have left room for more than the job that they made way for.
            if generation == plan.capacity().generation() {
                break;
            }
        }
        for job in std::mem::take(&mut self.lanes.forbidden) {
            // Things may have changed since.
            if plan.get(job).is_some_and(|j| j.phase == Phase::Pending) {
                let (used_milli, quota_milli) = self.lanes.account(plan.job(job).spec.tenant);
                plan.hold(job, Reason::OverQuota { quota_milli, used_milli });
            }
        }
    }
}
