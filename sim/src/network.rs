//! The links of a fleet, and what is under way on them.
//!
//! Every region has a blob store and a network of its own; clusters hang on that network, and regions are joined with each other.
//! A transfer's path follows from where it begins and ends:
//!
//! | transfer | path |
//! |---|---|
//! | a cluster saves | cluster, region, the region's store |
//! | a cluster fetches from its region's store | store, region, cluster |
//! | ... from another region's store | store, out of that region, into this one, region, cluster |
//!
//! Bandwidth is shared on the narrowest link of the path, the other links and the job's own nodes limit its rate (see
//! [`Links`]). Both directions of a link have its bandwidth each, but for a region's own network.

use crate::mechanism::{LinkId, Links, StoreLink, TransferId};
use policies::{ClusterId, Fleet, JobId, RegionId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use traces::faults::Cut;
use traces::scenario::NetworkSpec;

/// Something of a job on its way from or to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub job: JobId,
    pub way: StoreLink,
    pub cluster: ClusterId,
    pub store: RegionId,
    /// What the job's own nodes can do, bytes a second.
    pub cap: u64,
}

/// Link numbers by direction: into the place (a store, a region), out of it; of clusters, towards the store and from it.
type Pair = [LinkId; 2];

#[derive(Serialize, Deserialize)]
pub(crate) struct Network {
    links: Links,
    /// Bandwidth of a link while it is whole.
    whole: Vec<u64>,
    /// How many outages hold a link.
    cuts: Vec<u32>,
    stores: Vec<Pair>,
    regions: Vec<LinkId>,
    outward: Vec<Pair>,
    clusters: Vec<Pair>,
    region_of: Vec<RegionId>,
    flows: BTreeMap<TransferId, Flow>,
}

impl Network {
    pub fn new(fleet: &Fleet, spec: &NetworkSpec) -> Network {
        let (mut links, mut whole) = (Links::new(), Vec::new());
        let mut add = |bandwidth| {
            whole.push(bandwidth);
            links.add(bandwidth)
        };
        let region = |name: &String| spec.of(name);
        let (mut stores, mut regions, mut outward, mut clusters) = (vec![], vec![], vec![], vec![]);
        for widths in fleet.regions.iter().map(region) {
            stores.push([add(widths.store), add(widths.store)]);
            regions.push(add(widths.region));
            outward.push([add(widths.between_regions), add(widths.between_regions)]);
        }
        for cluster in &fleet.clusters {
            let width = spec.of(&fleet.regions[cluster.region.index()]).cluster;
            clusters.push([add(width), add(width)]);
        }
        let cuts = vec![0; whole.len()];
        let region_of = fleet.clusters.iter().map(|cluster| cluster.region).collect();
        Network { links, whole, cuts, stores, regions, outward, clusters, region_of, flows: BTreeMap::new() }
    }

    /// How many clusters there are.
    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }

    /// The region of a cluster.
    pub fn region_of(&self, cluster: ClusterId) -> RegionId {
        self.region_of[cluster.index()]
    }

    /// Links from one end to the other, the one that most share first.
    fn path(&self, flow: &Flow) -> impl Iterator<Item = LinkId> + use<> {
        let way = usize::from(flow.way == StoreLink::OutOf);
        let (here, store) = (self.region_of(flow.cluster), flow.store);
        let far = (here != store).then(|| [self.outward[store.index()][way], self.outward[here.index()][1 - way]]);
        let near = [self.regions[here.index()], self.clusters[flow.cluster.index()][way]];
        std::iter::once(self.stores[store.index()][way]).chain(far.into_iter().flatten()).chain(near)
    }

    fn bandwidth(&self, link: LinkId) -> u64 {
        let index = link.0 as usize;
        if self.cuts[index] > 0 { 0 } else { self.whole[index] }
    }

    /// The narrowest link of the path, and the least of all other limits.
    fn route(&self, flow: &Flow) -> (LinkId, u64) {
        let (mut narrowest, mut cap) = (None, flow.cap);
        for link in self.path(flow) {
            let width = self.bandwidth(link);
            match narrowest {
                Some((_, least)) if width >= least => cap = cap.min(width),
                Some((_, least)) => (narrowest, cap) = (Some((link, width)), cap.min(least)),
                None => narrowest = Some((link, width)),
            }
        }
        (narrowest.map_or(LinkId(0), |(link, _)| link), cap)
    }

    pub fn begin(&mut self, now: Time, flow: Flow, bytes: u64) -> TransferId {
        let (link, cap) = self.route(&flow);
        let id = self.links.begin(now, link, bytes, cap);
        self.flows.insert(id, flow);
        id
    }

    /// When the next transfer is over.
    pub fn next_time(&self) -> Option<Time> {
        self.links.next_completion().map(|(time, _)| time)
    }

    /// Ends the next transfer, if it is over by `now`.
    pub fn complete(&mut self, now: Time) -> Option<(Time, Flow)> {
        let (time, id) = self.links.next_completion().filter(|&(time, _)| time <= now)?;
        self.links.complete(id);
        self.flows.remove(&id).map(|flow| (time, flow))
    }

    /// Breaks a transfer off.
    pub fn cancel(&mut self, now: Time, id: TransferId) {
        self.links.cancel(now, id);
        self.flows.remove(&id);
    }

    /// Cuts something off, or joins it again. Transfers over it stand still meanwhile, and go on where they were. Those that find
    /// another bottleneck get another number: they are returned. O(transfers under way).
    pub fn cut(&mut self, now: Time, what: Cut, off: bool) -> Vec<(Flow, TransferId)> {
        let links: Vec<LinkId> = match what {
            Cut::Store(region) => self.stores[region.index()].into(),
            Cut::Region(region) => self.outward[region.index()].into(),
            Cut::Cluster(cluster) => self.clusters[cluster.index()].into(),
        };
        for link in &links {
            let cuts = &mut self.cuts[link.0 as usize];
            *cuts = if off { *cuts + 1 } else { cuts.saturating_sub(1) };
            self.links.set_bandwidth(now, *link, self.bandwidth(*link));
        }
        let touched = |(&id, &flow): (&TransferId, &Flow)| self.path(&flow).any(|l| links.contains(&l)).then_some((id, flow));
        let touched: Vec<(TransferId, Flow)> = self.flows.iter().filter_map(touched).collect();
        let again = |(id, flow): (TransferId, Flow)| {
            let missing = self.links.cancel(now, id)?;
            self.flows.remove(&id);
            Some((flow, self.begin(now, flow, missing)))
        };
        touched.into_iter().filter_map(again).collect()
    }
}
