//! Scenarios that are run several times: variants, and one field swept over values.

use super::error::Place;
use super::{Scenario, ScenarioError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// `[sweep]`: the scenario is run once for each value of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepSpec {
    /// The field, e.g. `"trace.load"`.
    pub key: String,
    /// What it becomes, e.g. `[0.7, 1.0, 1.3]`.
    pub values: Vec<Value>,
}

/// `[[variant]]`: the scenario with some fields changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantSpec {
    /// For people.
    pub name: String,
    /// Fields and what they become: `{ "run.costs" = "zero" }`.
    #[serde(default)]
    pub set: Table,
    /// Policies, instead of the scenario's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// One of the scenarios that a file stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Name of the variant; empty where there are none.
    pub variant: String,
    /// The field that is swept and its value here.
    pub swept: Option<(String, String)>,
    /// What is run.
    pub scenario: Scenario,
}

/// A field and what it becomes, as `--set` has it: `trace.load=1.3`, `run.costs=restart`. What is no TOML value is text.
pub fn parse_setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}`: expected KEY=VALUE, e.g. trace.load=1.3"))?;
    let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    Ok((key.trim().to_owned(), parsed.unwrap_or_else(|| Value::String(value.trim().to_owned()))))
}

impl Scenario {
    /// Reads a scenario file and everything that it stands for, with `settings` instead of what it says; of its variants only
    /// that named `only`, if given. A setting of the field that is swept takes the place of the sweep.
    ///
    /// # Errors
    /// As [`Scenario::load`]. Lines are those of the file, or, where settings are at work, of the file as it would be with them.
    pub fn points(path: &Path, settings: &[(String, Value)], only: Option<&str>) -> Result<Vec<Point>, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        let base = Scenario::parse(&text, path)?;
        let place = Place { path, text: &text };
        let names = || base.variant.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(name) = only.filter(|name| base.variant.iter().all(|variant| variant.name != *name)) {
            return Err(place.invalid("variant", name, &format!("one of its variants: {}", names())));
        }
        let unnamed = [VariantSpec { name: String::new(), set: Table::new(), policies: Vec::new() }];
        let variants = if base.variant.is_empty() { &unnamed[..] } else { &base.variant };
        let sweep = base.sweep.as_ref().filter(|sweep| settings.iter().all(|(key, _)| *key != sweep.key));
        let values: Vec<Option<&Value>> = sweep.map_or_else(|| vec![None], |sweep| sweep.values.iter().map(Some).collect());
        if base.variant.is_empty() && sweep.is_none() && settings.is_empty() {
            return Ok(vec![Point { variant: String::new(), swept: None, scenario: base }]);
        }
        let mut table: Table = place.read()?;
        table.remove("sweep");
        table.remove("variant");
        table.insert("name".into(), base.name.clone().into());
        let mut points = Vec::new();
        for variant in variants.iter().filter(|variant| only.is_none_or(|name| name == variant.name)) {
            for value in &values {
                let swept = sweep.zip(*value).map(|(sweep, value)| (sweep.key.clone(), value.clone()));
                let own = variant.set.iter().map(|(key, value)| (key.clone(), value.clone()));
                let policies = Value::from(variant.policies.clone());
                let policies = (!variant.policies.is_empty()).then(|| ("run.policies".to_owned(), policies));
                let all: Vec<(String, Value)> =
                    own.chain(policies).chain(swept.clone()).chain(settings.iter().cloned()).collect();
                let mut scenario = with(&table, &all, path)?;
                scenario.question.clone_from(&base.question);
                let swept = swept.map(|(key, value)| (key, plain(&value)));
                points.push(Point { variant: variant.name.clone(), swept, scenario });
            }
        }
        Ok(points)
    }
}

/// The scenario with these settings.
fn with(table: &Table, settings: &[(String, Value)], path: &Path) -> Result<Scenario, ScenarioError> {
    let mut table = table.clone();
    for (key, value) in settings {
        set(&mut table, key, value);
    }
    let said: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
    let named = PathBuf::from(format!("{} with {}", path.display(), said.join(", ").replace('/', "|")));
    let path = if settings.is_empty() { path } else { &named };
    Scenario::parse(&table.to_string(), path)
}

/// Sets a field by its path; what lies in between and is no table is replaced by one.
fn set(table: &mut Table, key: &str, value: &Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value.clone());
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// A value without the quotes of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Refuses what makes no sense.
pub(super) fn check(scenario: &Scenario, place: &Place<'_>) -> Result<(), ScenarioError> {
    if scenario.sweep.as_ref().is_some_and(|sweep| sweep.values.is_empty()) {
        return Err(place.invalid("sweep.values", "empty", "at least one value"));
    }
    for (i, variant) in scenario.variant.iter().enumerate() {
        if variant.name.is_empty() || scenario.variant[..i].iter().any(|other| other.name == variant.name) {
            return Err(place.invalid(&format!("variant[{i}].name"), &variant.name, "a name for each variant"));
        }
    }
    Ok(())
}
