//! Mechanisms by name and from files.

use super::job::JobState;
use super::model::Mechanism;
use std::path::{Path, PathBuf};
use thiserror::Error;
use traces::scenario::StateRule;

/// Name and text of every preset. They are files like any other, and say where their figures are from.
const PRESETS: [(&str, &str); 6] = [
    ("zero", include_str!("presets/zero.toml")),
    ("singularity-v100", include_str!("presets/singularity-v100.toml")),
    ("helios", include_str!("presets/helios.toml")),
    ("lucid", include_str!("presets/lucid.toml")),
    ("sia", include_str!("presets/sia.toml")),
    ("elasticflow", include_str!("presets/elasticflow.toml")),
];

/// A mechanism or a profile could not be had.
#[derive(Debug, Error)]
pub enum PresetError {
    /// No preset has that name.
    #[error("unknown mechanism `{name}`; valid names: {valid}; or give the path of a .toml file")]
    Unknown {
        /// The name.
        name: String,
        /// Those that exist.
        valid: String,
    },
    /// The mechanism has no such profile.
    #[error("mechanism `{mechanism}` has no profile `{name}`; it has: {valid}")]
    Profile {
        /// The mechanism's name.
        mechanism: String,
        /// The profile's name.
        name: String,
        /// Those that exist.
        valid: String,
    },
    /// The file cannot be read.
    #[error("cannot read the mechanism {}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no mechanism.
    #[error("{place}: {source}")]
    Parse {
        /// The file.
        place: String,
        /// Line, column, field, and what was expected there.
        source: Box<toml::de::Error>,
    },
    /// A rule names a profile that there is not.
    #[error("{place}: state[{rule}].profile: {source}")]
    Rule {
        /// The file.
        place: String,
        /// The rule's number, from 0.
        rule: usize,
        /// What is wrong.
        source: Box<PresetError>,
    },
    /// A profile contradicts itself.
    #[error("{place}: profile `{profile}`: {source}")]
    Shape {
        /// The file.
        place: String,
        /// The profile.
        profile: String,
        /// What is wrong.
        source: super::PlacementError,
    },
}

/// The names of the presets.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|&(name, _)| name)
}

impl Mechanism {
    /// The preset of that name.
    ///
    /// # Errors
    /// An unknown name, with the valid ones.
    pub fn by_name(name: &str) -> Result<Mechanism, PresetError> {
        let found = PRESETS.iter().find(|&&(known, _)| known == name);
        let (name, text) = found
            .ok_or_else(|| PresetError::Unknown { name: name.into(), valid: preset_names().collect::<Vec<_>>().join(", ") })?;
        Mechanism::from_toml(text, name)
    }

    /// A mechanism in a TOML file, as measured on real hardware.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no mechanism: with line and field.
    pub fn load(path: &Path) -> Result<Mechanism, PresetError> {
        let text = std::fs::read_to_string(path).map_err(|source| PresetError::Read { path: path.into(), source })?;
        Mechanism::from_toml(&text, &path.display().to_string())
    }

    /// A preset's name, or the path of a `.toml` file.
    ///
    /// # Errors
    /// As [`Mechanism::by_name`] and [`Mechanism::load`].
    pub fn by_name_or_path(name: &str) -> Result<Mechanism, PresetError> {
        if name.ends_with(".toml") { Mechanism::load(Path::new(name)) } else { Mechanism::by_name(name) }
    }

    /// A mechanism in TOML; `place` is named in errors.
    ///
    /// # Errors
    /// Anything that is no mechanism, with line and field; profiles that no placement can hold.
    pub fn from_toml(text: &str, place: &str) -> Result<Mechanism, PresetError> {
        let parsed = toml::from_str::<Mechanism>(text);
        let mechanism = parsed.map_err(|source| PresetError::Parse { place: place.into(), source: Box::new(source) })?;
        for (profile, job) in &mechanism.profiles {
            job.placed(job.workers).map_err(|source| PresetError::Shape {
                place: place.into(),
                profile: profile.clone(),
                source,
            })?;
        }
        mechanism.check_states(&mechanism.states, place)?;
        Ok(mechanism)
    }

    /// Rules must name profiles that there are.
    fn check_states(&self, states: &[StateRule], place: &str) -> Result<(), PresetError> {
        let unknown = states.iter().position(|rule| !self.profiles.contains_key(&rule.profile));
        unknown.map_or(Ok(()), |rule| {
            Err(PresetError::Rule { place: place.into(), rule, source: Box::new(self.no_profile(&states[rule].profile)) })
        })
    }

    /// The same with the scenario's rules (where it has any) in place of its own.
    ///
    /// # Errors
    /// A rule with an unknown profile; `place` is named.
    pub fn with_states(mut self, states: &[StateRule], place: &str) -> Result<Mechanism, PresetError> {
        self.check_states(states, place)?;
        if !states.is_empty() {
            self.states = states.to_vec();
        }
        Ok(self)
    }

    /// The profile of a known model. Set `workers` and the nodes' size to use it at another scale.
    ///
    /// # Errors
    /// An unknown name, with the valid ones.
    pub fn profile(&self, name: &str) -> Result<&JobState, PresetError> {
        self.profiles.get(name).ok_or_else(|| self.no_profile(name))
    }

    fn no_profile(&self, name: &str) -> PresetError {
        PresetError::Profile {
            mechanism: self.name.clone(),
            name: name.into(),
            valid: self.profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}
