//! Waiting jobs by tenant and class, ordered by what the tenants hold.

use super::fair_share::Rules;
use crate::ids::{ClassId, JobId, TenantId};
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// A number for each tenant, in thousandths: `0:2|1:0.5|*:1`, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerTenant {
    given: BTreeMap<TenantId, u64>,
    others: Option<u64>,
}

impl PerTenant {
    /// The number for `tenant`, in thousandths, if it or `*` is listed.
    pub fn get(&self, tenant: TenantId) -> Option<u64> {
        self.given.get(&tenant).copied().or(self.others)
    }

    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty() && self.others.is_none()
    }

    /// Whether every number is above zero.
    pub fn all_positive(&self) -> bool {
        self.others != Some(0) && self.given.values().all(|&v| v > 0)
    }
}

impl FromStr for PerTenant {
    type Err = ();

    fn from_str(text: &str) -> Result<PerTenant, ()> {
        let mut table = PerTenant::default();
        for part in text.split('|').filter(|_| text != "none") {
            let (tenant, value) = part.split_once(':').ok_or(())?;
            let value: f64 = value.trim().parse().map_err(|_| ())?;
            if !(0.0..=1e12).contains(&value) {
                return Err(());
            }
            let milli = (value * 1000.0).round() as u64;
            match tenant.trim() {
                "*" => table.others = Some(milli),
                number => {
                    table.given.insert(TenantId(number.parse().map_err(|_| ())?), milli);
                }
            }
        }
        Ok(table)
    }
}

/// Who goes first: those within their quota, then the smallest share, then arrival.
type Rank = (bool, u64);

/// An entry of the order: the head of one tenant's jobs of one class.
type Head = (Rank, JobId, TenantId, ClassId);

#[derive(Default, Serialize, Deserialize)]
struct Tenant {
    used_milli: u64,
    /// Its waiting jobs by class, and where their head stands; `None` if the quota forbids it to run.
    lanes: BTreeMap<ClassId, (BTreeSet<JobId>, Option<Head>)>,
}

#[derive(Default, Serialize, Deserialize)]
struct Class {
    heads: BTreeSet<Head>,
    /// What of it is in [`Lanes::open`].
    open: Option<Head>,
    blocked: Blocked,
}

/// Whose jobs of a class are known not to fit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Blocked {
    #[default]
    Nobody,
    /// Of those that would exceed their quota. The others may reclaim.
    Borrowers,
    Everybody,
}

/// Waiting jobs in order of their tenants' shares. As jobs of one class fit or do not fit together, whoever's they are, only
/// the first of each class is a candidate.
#[derive(Serialize, Deserialize)]
pub(super) struct Lanes {
    rules: Rules,
    tenants: BTreeMap<TenantId, Tenant>,
    classes: Vec<Class>,
    /// The first of each class that may fit.
    open: BTreeSet<Head>,
    blocked: Vec<ClassId>,
    generation: u64,
    /// Jobs that their tenant's quota came to forbid, for the caller to tell.
    pub forbidden: Vec<JobId>,
}

impl Lanes {
    pub fn new(rules: Rules) -> Lanes {
        Lanes {
            rules,
            tenants: BTreeMap::new(),
            classes: Vec::new(),
            open: BTreeSet::new(),
            blocked: Vec::new(),
            generation: 0,
            forbidden: Vec::new(),
        }
    }

    /// A job waits.
    pub fn push(&mut self, view: &View, job: JobId) {
        let (tenant, class) = (view.job(job).spec.tenant, view.job(job).class);
        self.tenants.entry(tenant).or_default().lanes.entry(class).or_default().0.insert(job);
        self.update(view, tenant, class);
    }

    /// A job waits no more.
    pub fn remove(&mut self, view: &View, job: JobId) {
        let (tenant, class) = (view.job(job).spec.tenant, view.job(job).class);
        let lane = self.tenants.get_mut(&tenant).and_then(|t| t.lanes.get_mut(&class)).expect("it waits in its lane");
        lane.0.remove(&job);
        self.update(view, tenant, class);
    }

    /// A job was withdrawn, and waits no more if it did.
    pub fn discard(&mut self, view: &View, job: JobId) {
        let (tenant, class) = (view.job(job).spec.tenant, view.job(job).class);
        let lane = self.tenants.get(&tenant).and_then(|t| t.lanes.get(&class));
        if lane.is_some_and(|(jobs, _)| jobs.contains(&job)) {
            self.remove(view, job);
        }
    }

    /// A tenant holds that much more.
    pub fn change_use(&mut self, view: &View, tenant: TenantId, milli: i64) {
        let entry = self.tenants.entry(tenant).or_default();
        entry.used_milli = entry.used_milli.checked_add_signed(milli).expect("a tenant returns what it holds");
        let classes: Vec<ClassId> = entry.lanes.keys().copied().collect();
        for class in classes {
            self.update(view, tenant, class);
        }
    }

    /// The first candidate, and whether it would exceed its tenant's quota.
    pub fn next(&self) -> Option<(JobId, bool)> {
        self.open.first().map(|&((borrows, _), job, ..)| (job, borrows))
    }

    /// No job of `class` fits until something is freed; if the one that was tried `borrows`, no other that does.
    pub fn block(&mut self, class: ClassId, borrows: bool) {
        self.classes[class.index()].blocked = if borrows { Blocked::Borrowers } else { Blocked::Everybody };
        self.blocked.push(class);
        self.show(class);
    }

    /// Blocked classes are candidates again if the generation has changed.
    pub fn reopen(&mut self, generation: u64) {
        if generation != std::mem::replace(&mut self.generation, generation) {
            for class in std::mem::take(&mut self.blocked) {
                self.classes[class.index()].blocked = Blocked::Nobody;
                self.show(class);
            }
        }
    }

    /// What a tenant holds and what it is sure of, in thousandths.
    pub fn account(&self, tenant: TenantId) -> (u64, u64) {
        let used = self.tenants.get(&tenant).map_or(0, |t| t.used_milli);
        let unlisted = if self.rules.quotas.is_empty() { u64::MAX } else { 0 };
        (used, self.rules.quotas.get(tenant).unwrap_or(unlisted))
    }

    /// Tenants that exceed their quota, with use and quota, the largest share first.
    pub fn borrowers(&self) -> Vec<(TenantId, u64, u64)> {
        let accounts = self.tenants.keys().map(|&tenant| (tenant, self.account(tenant)));
        let mut over: Vec<_> = accounts.filter(|(_, (used, quota))| used > quota).collect();
        over.sort_by_key(|&(tenant, (used, _))| (std::cmp::Reverse(self.share(tenant, used)), tenant));
        over.into_iter().map(|(tenant, (used, quota))| (tenant, used, quota)).collect()
    }

    /// Use over weight, in millionths.
    fn share(&self, tenant: TenantId, used_milli: u64) -> u64 {
        let weight = self.rules.weights.get(tenant).unwrap_or(1000).max(1);
        u64::try_from(u128::from(used_milli) * 1_000_000 / u128::from(weight)).unwrap_or(u64::MAX)
    }

    /// Puts a lane's head where it belongs.
    fn update(&mut self, view: &View, tenant: TenantId, class: ClassId) {
        let (used, quota) = self.account(tenant);
        let borrows = used + view.classes()[class.index()].milli_total() > quota;
        let rank = (borrows, self.share(tenant, used));
        let lanes = &mut self.tenants.get_mut(&tenant).expect("the lane's tenant").lanes;
        let (jobs, place) = lanes.get_mut(&class).expect("the lane");
        let allowed = self.rules.borrow || !borrows;
        let head = jobs.first().map(|&job| (rank, job, tenant, class)).filter(|_| allowed);
        let old = std::mem::replace(place, head);
        if !allowed && (old.is_some() || jobs.len() == 1) {
            self.forbidden.extend(jobs.first());
        }
        if jobs.is_empty() {
            lanes.remove(&class);
        }
        if old == head {
            return;
        }
        if self.classes.len() <= class.index() {
            self.classes.resize_with(class.index() + 1, Class::default);
        }
        let heads = &mut self.classes[class.index()].heads;
        if let Some(old) = old {
            heads.remove(&old);
        }
        heads.extend(head);
        self.show(class);
    }

    /// Shows the first head of a class among the candidates, unless it is blocked.
    fn show(&mut self, class: ClassId) {
        let entry = &mut self.classes[class.index()];
        let first = entry.heads.first().copied().filter(|&((borrows, _), ..)| match entry.blocked {
            Blocked::Nobody => true,
            Blocked::Borrowers => !borrows,
            Blocked::Everybody => false,
        });
        let old = std::mem::replace(&mut entry.open, first);
        if old != first {
            if let Some(old) = old {
                self.open.remove(&old);
            }
            self.open.extend(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_for_each_tenant() {
        let table: PerTenant = "0:2|3:0.5|*:1".parse().unwrap();
        assert_eq!([0, 1, 3].map(|t| table.get(TenantId(t))), [Some(2000), Some(1000), Some(500)]);
        assert!(table.all_positive() && !table.is_empty());
        assert!("none".parse::<PerTenant>().unwrap().is_empty());
        assert_eq!("0:2".parse::<PerTenant>().unwrap().get(TenantId(1)), None);
        assert!(!"0:2|1:0".parse::<PerTenant>().unwrap().all_positive());
        for bad in ["", "0", "0:x", "a:1", "0:-1", "0:NaN", "0:1|"] {
            assert!(bad.parse::<PerTenant>().is_err(), "{bad}");
        }
    }
}
