//! What starting and stopping costs.

use crate::mechanism::{Mechanism, PresetError, preset_names};
use policies::Span;
use serde::Serialize;
use std::path::Path;
use thiserror::Error;

/// Times that a world adds to the bare work. Presets of peers reproduce their published results; see [`COSTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Preset name.
    pub name: &'static str,
    /// From the order to the start of the work.
    pub start: Span,
    /// Added to `start` when the job is the only one that its step starts.
    pub start_alone: Span,
    /// Added to `start` when the step starts several jobs.
    pub start_together: Span,
    /// From the order to stop until the accelerators are free. The job works on until then, and may finish meanwhile.
    pub stop: Span,
    /// From the end of the work until the accelerators are free.
    pub teardown: Span,
    /// Work that a stop makes necessary again, for gangs of at most so many accelerators; the last entry is for all larger.
    pub redo: [(u32, Span); 3],
    /// Whether a job's end is seen only at the next whole second after it.
    pub seen_late: bool,
}

const fn all(span: Span) -> [(u32, Span); 3] {
    [(u32::MAX, span); 3]
}

const ZERO: Costs = Costs {
    name: "zero",
    start: Span::ZERO,
    start_alone: Span::ZERO,
    start_together: Span::ZERO,
    stop: Span::ZERO,
    teardown: Span::ZERO,
    redo: all(Span::ZERO),
    seen_late: false,
};

impl Default for Costs {
    fn default() -> Costs {
        ZERO
    }
}

/// All presets.
pub const COSTS: &[(Costs, &str)] = &[
    (ZERO, "nothing costs anything"),
    (
        Costs {
            name: "restart",
            start: Span::from_secs(20),
            stop: Span::from_secs(10),
            redo: all(Span::from_secs(30)),
            ..ZERO
        },
        "a container start of 20 s, 10 s to save and stop, 30 s of work lost at each stop",
    ),
    (
        Costs {
            name: "lucid",
            redo: [(8, Span::from_secs(40)), (u32::MAX, Span::from_secs(60)), (u32::MAX, Span::from_secs(60))],
            seen_late: true,
            ..ZERO
        },
        "as Lucid's Tiresias: each preemption adds 40 s of work, 60 s above 8 accelerators; ends are seen a second late",
    ),
    (
        Costs {
            name: "helios",
            redo: [(1, Span::from_secs(7)), (8, Span::from_secs(30)), (u32::MAX, Span::from_secs(60))],
            seen_late: true,
            ..ZERO
        },
        "as the Helios simulator: each preemption adds 7, 30 or 60 s of work for 1, up to 8, more accelerators; ends are seen a second late",
    ),
    (
        Costs {
            name: "safa",
            start: Span(500_000),
            start_alone: Span(1_500_000),
            start_together: Span(3_500_000),
            teardown: Span(2_500_000),
            ..ZERO
        },
        "as the published Helios Venus runs on a pool: 2 s to start a job alone, 4 s together with others, 2.5 s to release",
    ),
];

/// There are no such costs.
#[derive(Debug, Error)]
pub enum CostsError {
    /// No preset has that name.
    #[error("unknown costs `{name}`; valid names: {valid}; or give the path of a mechanism's .toml file")]
    Unknown {
        /// The name.
        name: String,
        /// Those that exist.
        valid: String,
    },
    /// A mechanism cannot be had.
    #[error(transparent)]
    Mechanism(#[from] PresetError),
}

/// What starting, stopping, saving and moving costs: fixed times, or a mechanism whose transfers contend for links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostModel {
    /// The same whatever else goes on.
    Fixed(Costs),
    /// As states, sizes and places have it.
    Mechanism(Box<Mechanism>),
}

impl Default for CostModel {
    fn default() -> CostModel {
        CostModel::Fixed(ZERO)
    }
}

impl From<Costs> for CostModel {
    fn from(costs: Costs) -> CostModel {
        CostModel::Fixed(costs)
    }
}

impl CostModel {
    /// A preset's name, or the path of a mechanism's `.toml` file, relative to `folder`. Names of both kinds mean fixed times.
    ///
    /// # Errors
    /// An unknown name, with the valid ones; a file that is no mechanism, with line and field.
    pub fn by_name(name: &str, folder: &Path) -> Result<CostModel, CostsError> {
        if name.ends_with(".toml") {
            return Ok(CostModel::Mechanism(Box::new(Mechanism::load(&folder.join(name))?)));
        }
        if preset_names().any(|known| known == name) && COSTS.iter().all(|(costs, _)| costs.name != name) {
            return Ok(CostModel::Mechanism(Box::new(Mechanism::by_name(name)?)));
        }
        Costs::by_name(name).map(CostModel::Fixed)
    }

    /// Its name, as it stands in results.
    pub fn name(&self) -> &str {
        match self {
            CostModel::Fixed(costs) => costs.name,
            CostModel::Mechanism(mechanism) => &mechanism.name,
        }
    }

    /// Name and description of every preset.
    pub fn presets() -> Vec<(String, String)> {
        let fixed = COSTS.iter().map(|(costs, about)| (costs.name.to_owned(), (*about).to_owned()));
        let mechanisms = preset_names().filter(|name| COSTS.iter().all(|(costs, _)| costs.name != *name));
        fixed.chain(mechanisms.filter_map(|name| Mechanism::by_name(name).ok()).map(|m| (m.name, m.about))).collect()
    }
}

impl Costs {
    /// The preset of that name.
    ///
    /// # Errors
    /// An unknown name, with the valid ones.
    pub fn by_name(name: &str) -> Result<Costs, CostsError> {
        let found = COSTS.iter().map(|&(costs, _)| costs).find(|costs| costs.name == name);
        found.ok_or_else(|| CostsError::Unknown {
            name: name.into(),
            valid: CostModel::presets().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Work that a stop of a gang of that size makes necessary again.
    pub fn redo_for(&self, accelerators: u32) -> Span {
        self.redo.iter().find(|(up_to, _)| accelerators <= *up_to).map_or(Span::ZERO, |&(_, span)| span)
    }
}
