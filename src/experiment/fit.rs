//! Jobs that the fleet could never run.

use super::{Experiment, ExperimentError};
use policies::spec::SpecError;
use policies::{Capacity, Demand, placement};
use traces::TraceJob;

impl Experiment {
    /// Jobs that no placement on the empty fleet can hold, in order.
    ///
    /// # Errors
    /// An unknown placement.
    pub fn misfits(&self) -> Result<Vec<&TraceJob>, SpecError> {
        let capacity = Capacity::new(self.fleet.clone());
        let mut place = placement::by_name(&self.placement, self.seed)?;
        let mut known = std::collections::BTreeMap::new();
        let mut fits = |demand: &Demand| *known.entry(*demand).or_insert_with(|| place.place(&capacity, demand).is_some());
        Ok(self.trace.jobs.iter().filter(|job| !fits(&job.demand)).collect())
    }

    /// Refuses jobs that can never run.
    ///
    /// # Errors
    /// [`ExperimentError::Misfits`].
    pub fn require_fit(&self) -> Result<(), ExperimentError> {
        let misfits = self.misfits()?;
        let Some(first) = misfits.first() else { return Ok(()) };
        Err(ExperimentError::Misfits {
            count: misfits.len(),
            jobs: self.trace.jobs.len(),
            id: first.id.to_string(),
            what: self.in_words(&first.demand),
            remedy: "take a larger fleet, or leave such jobs out with --misfits drop",
        })
    }

    /// Leaves out the jobs that can never run, and says how many those were.
    ///
    /// # Errors
    /// An unknown placement.
    pub fn drop_misfits(&mut self) -> Result<usize, SpecError> {
        let misfits: std::collections::BTreeSet<Box<str>> = self.misfits()?.iter().map(|job| job.id.clone()).collect();
        self.trace.jobs.retain(|job| !misfits.contains(&job.id));
        Ok(misfits.len())
    }

    fn in_words(&self, demand: &Demand) -> String {
        let mut text = format!("{} accelerators", demand.accelerators);
        if demand.milli != policies::WHOLE_MILLI {
            text += &format!(" at {} thousandths", demand.milli);
        }
        if demand.types != policies::TypeSet::ANY {
            let named = self.fleet.types.iter().enumerate().filter(|(i, _)| demand.types.0 >> i & 1 == 1);
            let names: Vec<_> = named.map(|(_, name)| name.as_str()).collect();
            text += &format!(" of type {}", if names.is_empty() { "that the fleet lacks".into() } else { names.join(" or ") });
        }
        text += &match demand.within {
            policies::Level::Node => " on one node".to_owned(),
            policies::Level::Domain(number) => {
                let domain = self.fleet.domains.get(usize::from(number));
                format!(" in one {}", domain.map_or("domain", |domain| &domain.name))
            }
            policies::Level::Cluster => " in one cluster".into(),
            policies::Level::Region => " in one region".into(),
            policies::Level::Fleet => String::new(),
        };
        if demand.cpu_milli > 0 || demand.memory_mib > 0 {
            text += &format!(", {} processor-thousandths and {} MiB", demand.cpu_milli, demand.memory_mib);
        }
        text
    }
}
