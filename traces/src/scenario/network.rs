//! Links between and inside regions.

use super::ScenarioError;
use super::error::Place;
use policies::Fleet;
use serde::{Deserialize, Serialize};

/// Bandwidths, in gigabits per second and direction. Every region has a blob store, in which the checkpoints of the jobs that run
/// there are kept. What is not given has no limit; so a few lines do for any fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// Each region's blob store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_gbps: Option<f64>,
    /// Each cluster's link to the rest of its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_gbps: Option<f64>,
    /// Each region's own network, both directions together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_gbps: Option<f64>,
    /// Each region's link to all other regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between_regions_gbps: Option<f64>,
    /// Regions with figures of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub region: Vec<RegionLinks>,
    /// A job that goes on where it was stopped fetches its state from the store all the same. Default: it does not, as the state
    /// still lies in its nodes' host memory.
    pub always_fetch: bool,
}

/// One region's figures; what is not given is as for all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionLinks {
    /// Its name.
    pub name: String,
    /// Its blob store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_gbps: Option<f64>,
    /// Its clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_gbps: Option<f64>,
    /// Its own network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_gbps: Option<f64>,
    /// Its link to other regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between_regions_gbps: Option<f64>,
}

/// A region's bandwidths in bytes per second; `u64::MAX` where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidths {
    /// Into its store, and out of it.
    pub store: u64,
    /// Into each of its clusters, and out of each.
    pub cluster: u64,
    /// Inside.
    pub region: u64,
    /// To other regions, and from them.
    pub between_regions: u64,
}

fn bytes_per_s(gbps: Option<f64>) -> u64 {
    gbps.map_or(u64::MAX, |gbps| (gbps * 1e9 / 8.0).round() as u64)
}

impl NetworkSpec {
    /// A region's bandwidths.
    pub fn of(&self, region: &str) -> Bandwidths {
        let own = self.region.iter().find(|own| own.name == region);
        let pick = |own: Option<Option<f64>>, all: Option<f64>| bytes_per_s(own.flatten().or(all));
        Bandwidths {
            store: pick(own.map(|own| own.store_gbps), self.store_gbps),
            cluster: pick(own.map(|own| own.cluster_gbps), self.cluster_gbps),
            region: pick(own.map(|own| own.region_gbps), self.region_gbps),
            between_regions: pick(own.map(|own| own.between_regions_gbps), self.between_regions_gbps),
        }
    }

    pub(super) fn check(&self, place: &Place<'_>, fleet: &Fleet) -> Result<(), ScenarioError> {
        let sound = |field: String, gbps: Option<f64>| match gbps {
            Some(gbps) if !(gbps.is_finite() && (1e-6..=1e9).contains(&gbps)) => {
                Err(place.invalid(&field, gbps, "gigabits per second, 0.000001 to 1e9"))
            }
            _ => Ok(()),
        };
        sound("network.store_gbps".into(), self.store_gbps)?;
        sound("network.cluster_gbps".into(), self.cluster_gbps)?;
        sound("network.region_gbps".into(), self.region_gbps)?;
        sound("network.between_regions_gbps".into(), self.between_regions_gbps)?;
        for (index, region) in self.region.iter().enumerate() {
            let field = |name: &str| format!("network.region[{index}].{name}");
            if !fleet.regions.contains(&region.name) {
                let expected = format!("one of {}", fleet.regions.join(", "));
                return Err(place.invalid(&field("name"), format!("no region {:?}", region.name), &expected));
            }
            sound(field("store_gbps"), region.store_gbps)?;
            sound(field("cluster_gbps"), region.cluster_gbps)?;
            sound(field("region_gbps"), region.region_gbps)?;
            sound(field("between_regions_gbps"), region.between_regions_gbps)?;
        }
        Ok(())
    }
}
