//! Homes: which clusters a job may run in, by rule. Static partitions are homes for everybody.

use super::ScenarioError;
use super::error::Place;
use crate::model::{Trace, TraceJob};
use policies::{Fleet, TypeId, TypeSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Where the jobs that it applies to may run; the first rule that applies counts, and a job without one may run anywhere.
///
/// In `tenant`, `label`, `job` and `clusters` a `*` stands for any text; in `clusters`, `{tenant}` and `{label}` stand for the
/// job's own: `clusters = ["{tenant}"]` binds every job to the cluster that bears its tenant's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HomeRule {
    /// Applies to jobs of these tenants. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Applies to jobs with these labels. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Applies to jobs with these ids. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Applies to jobs of this kind. Default: both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The clusters that such jobs may run in.
    pub clusters: Vec<String>,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It has an end, and works towards it.
    Training,
    /// A replica of a service: it answers requests until it is not needed any more.
    Inference,
}

/// Why jobs cannot be given their homes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// A rule leads nowhere.
    #[error("home[{rule}]: job `{job}` would live in `{cluster}`, and the fleet has no such cluster; its clusters are {known}")]
    Nowhere {
        /// Position of the rule, from 0.
        rule: usize,
        /// The first such job.
        job: String,
        /// What its cluster would be called.
        cluster: String,
        /// The names that there are.
        known: String,
    },
    /// Kinds of nodes are told apart by accelerator type, and there are 64 of these.
    #[error("homes: {0} partitions times accelerator types are told apart: expected at most 64; let rules share clusters")]
    TooMany(usize),
}

/// Sets of clusters, by position in the fleet.
type Clusters = Vec<bool>;

impl HomeRule {
    pub(super) fn check(&self, index: usize, place: &Place<'_>, fleet: &Fleet) -> Result<(), ScenarioError> {
        let field = format!("home[{index}].clusters");
        if self.clusters.is_empty() {
            return Err(place.invalid(&field, "empty", "at least one name of a cluster, e.g. [\"training-*\"]"));
        }
        let unknown = |pattern: &&String| !pattern.contains('{') && !fleet.clusters.iter().any(|c| matches(pattern, &c.name));
        match self.clusters.iter().find(unknown) {
            Some(pattern) => Err(place.invalid(&field, pattern, &format!("one of the fleet's clusters: {}", names(fleet)))),
            None => Ok(()),
        }
    }

    fn applies(&self, trace: &Trace, job: &TraceJob, kind: Kind) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| matches(pattern, text));
        fits(&self.tenant, name(&trace.tenants, job.tenant))
            && fits(&self.label, name(&trace.labels, job.label))
            && fits(&self.job, &job.id)
            && self.kind.is_none_or(|wanted| wanted == kind)
    }

    /// The clusters of such a job.
    fn resolve(&self, rule: usize, fleet: &Fleet, trace: &Trace, job: &TraceJob) -> Result<Clusters, HomeError> {
        let mut clusters = vec![false; fleet.clusters.len()];
        for pattern in &self.clusters {
            let (tenant, label) = (name(&trace.tenants, job.tenant), name(&trace.labels, job.label));
            let cluster = pattern.replace("{tenant}", tenant).replace("{label}", label);
            let mut found = false;
            for (position, known) in fleet.clusters.iter().enumerate().filter(|(_, known)| matches(&cluster, &known.name)) {
                (clusters[position], found) = (true, found || !known.name.is_empty());
            }
            if !found {
                return Err(HomeError::Nowhere { rule, job: job.id.to_string(), cluster, known: names(fleet) });
            }
        }
        Ok(clusters)
    }
}

/// Gives every job the home that `rules` say; `kind` tells what it is for. The trace's types must be the fleet's.
///
/// Clusters that some job may run in and another may not are told apart by accelerator type: a type becomes several,
/// `v100@east` and `v100@west`, and a job accepts those of its home. A gang within a cluster notices nothing; one that may span
/// clusters or regions stays within one partition, as gangs never mix types.
///
/// # Errors
/// See [`HomeError`].
pub fn settle(
    rules: &[HomeRule],
    fleet: &mut Fleet,
    trace: &mut Trace,
    kind: impl Fn(&TraceJob) -> Kind,
) -> Result<(), HomeError> {
    if rules.is_empty() {
        return Ok(());
    }
    let (homes, of_job) = homes(rules, fleet, trace, kind)?;
    let partition = partitions(fleet, &homes);
    let split = split_types(fleet, &partition)?;
    for (job, home) in trace.jobs.iter_mut().zip(of_job) {
        let wanted = job.demand.types;
        let Some(home) = home else {
            let whole = wanted == TypeSet::ANY;
            job.demand.types = if whole { wanted } else { among(&split, |kind, _| wanted.contains(kind)) };
            continue;
        };
        let lives = |part: usize| partition.iter().zip(&homes[home]).any(|(&p, &inside)| p == part && inside);
        let open: Vec<bool> = (0..fleet.clusters.len()).map(lives).collect();
        job.demand.types = among(&split, |kind, part| wanted.contains(kind) && open[part]);
    }
    trace.types.clone_from(&fleet.types);
    Ok(())
}

/// The distinct homes, and each job's.
fn homes(
    rules: &[HomeRule],
    fleet: &Fleet,
    trace: &Trace,
    kind: impl Fn(&TraceJob) -> Kind,
) -> Result<(Vec<Clusters>, Vec<Option<usize>>), HomeError> {
    let (mut homes, mut known) = (Vec::new(), BTreeMap::new());
    let mut of_job = Vec::with_capacity(trace.jobs.len());
    for job in &trace.jobs {
        let rule = rules.iter().position(|rule| rule.applies(trace, job, kind(job)));
        let Some(rule) = rule else {
            of_job.push(None);
            continue;
        };
        let home = match known.entry((rule, job.tenant, job.label)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let clusters = rules[rule].resolve(rule, fleet, trace, job)?;
                let home = homes.iter().position(|other| *other == clusters).unwrap_or_else(|| {
                    homes.push(clusters);
                    homes.len() - 1
                });
                *new.insert(home)
            }
        };
        of_job.push(Some(home));
    }
    Ok((homes, of_job))
}

/// The partition of each cluster: clusters that belong to the same homes are of one.
fn partitions(fleet: &Fleet, homes: &[Clusters]) -> Vec<usize> {
    let signature = |cluster: usize| homes.iter().map(|home| home[cluster]).collect::<Vec<_>>();
    let mut seen = Vec::new();
    (0..fleet.clusters.len())
        .map(|cluster| {
            let own = signature(cluster);
            seen.iter().position(|other| *other == own).unwrap_or_else(|| {
                seen.push(own);
                seen.len() - 1
            })
        })
        .collect()
}

/// Makes a type of each type in each partition: which those were, by new type.
fn split_types(fleet: &mut Fleet, partition: &[usize]) -> Result<Vec<(TypeId, usize)>, HomeError> {
    let mut split: Vec<(TypeId, usize)> = fleet.nodes.iter().map(|node| (node.kind, partition[node.cluster.index()])).collect();
    split.sort_unstable();
    split.dedup();
    if split.len() > 64 {
        return Err(HomeError::TooMany(split.len()));
    }
    let members = |part: usize| fleet.clusters.iter().zip(partition).filter(move |(_, p)| **p == part).map(|(c, _)| &c.name);
    let named = |&(kind, part): &(TypeId, usize)| {
        let first = members(part).next().map_or("", |name| name);
        let others = members(part).count() - 1;
        let more = if others > 0 { format!("+{others}") } else { String::new() };
        format!("{}@{first}{more}", fleet.types[kind.index()])
    };
    let types = split.iter().map(named).collect();
    for node in &mut fleet.nodes {
        let old = (node.kind, partition[node.cluster.index()]);
        let new = split.binary_search(&old).expect("made from these nodes");
        node.kind = TypeId(new as u8);
    }
    fleet.types = types;
    Ok(split)
}

fn among(split: &[(TypeId, usize)], accepted: impl Fn(TypeId, usize) -> bool) -> TypeSet {
    let bits = split.iter().enumerate().filter(|(_, (kind, part))| accepted(*kind, *part)).map(|(i, _)| 1 << i);
    TypeSet(bits.fold(0, |set, bit: u64| set | bit))
}

fn name(names: &[String], index: u32) -> &str {
    names.get(index as usize).map_or("", |name| name)
}

/// The first names of the fleet's clusters, for messages.
fn names(fleet: &Fleet) -> String {
    const SHOWN: usize = 12;
    let more = if fleet.clusters.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<_> = fleet.clusters.iter().take(SHOWN).map(|c| format!("`{}`", c.name)).collect();
    shown.join(", ") + more
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("ab*bc", "abc", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// Two clusters of two types each, and one of one.
    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        let (v, a) = (fleet.add_type("v100"), fleet.add_type("a100"));
        let region = fleet.add_region("r");
        for name in ["east", "west", "south"] {
            let cluster = fleet.add_cluster(name, region);
            fleet.add_nodes(cluster, v, 1, 8);
            fleet.add_nodes(cluster, a, u32::from(name != "south"), 8);
        }
        fleet
    }

    fn job(id: &str, tenant: u32, types: TypeSet) -> TraceJob {
        let demand = policies::Demand { types, ..policies::Demand::whole(1) };
        TraceJob {
            id: id.into(),
            submit: policies::Time::ZERO,
            duration: policies::Span::ZERO,
            demand,
            tenant,
            priority: 0,
            tier: 0,
            estimate: None,
            outcome: crate::model::Outcome::Unknown,
            recorded_start: None,
            label: 0,
        }
    }

    fn trace() -> Trace {
        let only = |kind| TypeSet::only(TypeId(kind));
        Trace {
            jobs: vec![job("1", 1, TypeSet::ANY), job("2", 2, only(1)), job("3", 3, TypeSet::ANY), job("4", 0, only(0))],
            tenants: vec![String::new(), "east".into(), "west".into(), "roams".into()],
            ..Trace::default()
        }
    }

    /// The types that each job accepts, by name.
    fn settled(rules: &[HomeRule], kind: Kind) -> Result<Vec<Vec<String>>, HomeError> {
        let (mut fleet, mut trace) = (fleet(), trace());
        settle(rules, &mut fleet, &mut trace, |_| kind)?;
        let accepts = |job: &TraceJob| {
            let kinds = fleet.types.iter().enumerate().filter(|(i, _)| job.demand.types.contains(TypeId(*i as u8)));
            kinds.map(|(_, name)| name.clone()).collect()
        };
        Ok(trace.jobs.iter().map(accepts).collect())
    }

    #[test]
    fn each_job_lives_in_the_cluster_of_its_tenant_and_others_anywhere() {
        let rule =
            |tenant: &str| HomeRule { tenant: Some(tenant.into()), clusters: vec!["{tenant}".into()], ..HomeRule::default() };
        let expected = [
            vec!["v100@east", "a100@east"],
            vec!["a100@west"],
            vec!["v100@east", "v100@west", "v100@south", "a100@east", "a100@west"],
            vec!["v100@east", "v100@west", "v100@south"],
        ];
        assert_eq!(settled(&[rule("east"), rule("w*")], Kind::Training).unwrap(), expected);
    }

    #[test]
    fn the_first_rule_that_applies_counts_and_clusters_alike_stay_one() {
        let rule = |kind, clusters: &[&str]| HomeRule {
            kind: Some(kind),
            clusters: clusters.iter().map(ToString::to_string).collect(),
            ..HomeRule::default()
        };
        let rules = [rule(Kind::Inference, &["east"]), rule(Kind::Training, &["*th", "west"])];
        let found = settled(&rules, Kind::Training).unwrap();
        assert_eq!(found[0], ["v100@west+1", "a100@west+1"]);
        assert_eq!(settled(&rules, Kind::Inference).unwrap()[1], ["a100@east"]);
    }

    #[test]
    fn a_home_that_is_not_there_is_an_error_with_its_job() {
        let rule = HomeRule { clusters: vec!["{tenant}".into()], ..HomeRule::default() };
        let message = settled(&[rule], Kind::Training).unwrap_err().to_string();
        assert!(
            message.contains("home[0]: job `3`") && message.contains("`roams`") && message.contains("`south`"),
            "{message}"
        );
    }
}
