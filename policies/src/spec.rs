//! `name(key=value, ...)`: how policies and placements are named on the command line, in scenarios and in results.

use std::fmt::Display;
use std::str::FromStr;
use thiserror::Error;

/// One entry of a list of names.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// One line, with the paper and section where there is one.
    pub about: &'static str,
    /// Parameters.
    pub parameters: &'static [Parameter],
}

/// One parameter of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its key.
    pub key: &'static str,
    /// Its default, as typed.
    pub default: &'static str,
    /// What it does, with its unit.
    pub about: &'static str,
}

/// What can be wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The name is not in the list.
    #[error("unknown {kind} `{name}`; valid names: {valid}")]
    UnknownName {
        /// `policy`, `placement`, ...
        kind: &'static str,
        /// As typed.
        name: String,
        /// The list.
        valid: String,
    },
    /// The entry has no such parameter.
    #[error("{kind} `{name}` has no parameter `{key}`; valid parameters: {valid}")]
    UnknownKey {
        /// `policy`, `placement`, ...
        kind: &'static str,
        /// The entry.
        name: &'static str,
        /// As typed.
        key: String,
        /// The list.
        valid: String,
    },
    /// A value cannot be read.
    #[error("{kind} `{name}`: {key}={value}: expected {expected}")]
    BadValue {
        /// `policy`, `placement`, ...
        kind: &'static str,
        /// The entry.
        name: &'static str,
        /// The parameter.
        key: &'static str,
        /// As typed.
        value: String,
        /// What would do.
        expected: String,
    },
    /// The text does not have the form.
    #[error("cannot read {kind} `{text}`: expected NAME or NAME(key=value, ...)")]
    Malformed {
        /// `policy`, `placement`, ...
        kind: &'static str,
        /// As typed.
        text: String,
    },
}

/// A name of a list with all its parameters, given or default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    kind: &'static str,
    name: &'static str,
    values: Vec<(&'static str, String)>,
    parameters: &'static [Parameter],
}

impl Spec {
    /// Reads `text` against the list of its `kind`.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn parse(text: &str, kind: &'static str, entries: &'static [Entry]) -> Result<Spec, SpecError> {
        let malformed = || SpecError::Malformed { kind, text: text.into() };
        let text = text.trim();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(malformed)?),
            None => (text, ""),
        };
        let entry = entries.iter().find(|e| e.name == name).ok_or_else(|| SpecError::UnknownName {
            kind,
            name: name.into(),
            valid: entries.iter().map(|e| e.name).collect::<Vec<_>>().join(", "),
        })?;
        let mut values: Vec<_> = entry.parameters.iter().map(|p| (p.key, p.default.to_owned())).collect();
        for argument in split_arguments(arguments).filter(|a| !a.trim().is_empty()) {
            let (key, value) = argument.split_once('=').ok_or_else(malformed)?;
            let known = values.iter().position(|(k, _)| *k == key.trim());
            let position = known.ok_or_else(|| SpecError::UnknownKey {
                kind,
                name: entry.name,
                key: key.trim().into(),
                valid: match entry.parameters {
                    [] => "none".into(),
                    some => some.iter().map(|p| p.key).collect::<Vec<_>>().join(", "),
                },
            })?;
            values[position].1 = value.trim().into();
        }
        Ok(Spec { kind, name: entry.name, values, parameters: entry.parameters })
    }

    /// The entry's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name with those parameters that differ from their defaults: for people, who know the rest or can look it up.
    pub fn short(&self) -> String {
        let set = self.values.iter().zip(self.parameters).filter(|((_, value), parameter)| value != parameter.default);
        let set: Vec<String> = set.map(|((key, value), _)| format!("{key}={value}")).collect();
        if set.is_empty() { self.name.into() } else { format!("{}({})", self.name, set.join(", ")) }
    }

    /// The value of parameter `key`.
    ///
    /// # Errors
    /// [`SpecError::BadValue`], saying that `expected` was.
    ///
    /// # Panics
    /// If the entry declares no such parameter.
    pub fn get<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, SpecError> {
        let (key, value) = self.values.iter().find(|(k, _)| *k == key).expect("parameter is declared");
        value.parse().map_err(|_| self.bad(key, value, expected))
    }

    /// Like [`get`](Spec::get), and the value must pass `check`.
    ///
    /// # Errors
    /// [`SpecError::BadValue`].
    pub fn get_where<T: FromStr>(&self, key: &str, expected: &str, check: impl Fn(&T) -> bool) -> Result<T, SpecError> {
        let value: T = self.get(key, expected)?;
        if check(&value) {
            return Ok(value);
        }
        let (key, text) = self.values.iter().find(|(k, _)| *k == key).expect("parameter is declared");
        Err(self.bad(key, text, expected))
    }

    fn bad(&self, key: &'static str, value: &str, expected: &str) -> SpecError {
        SpecError::BadValue { kind: self.kind, name: self.name, key, value: value.into(), expected: expected.into() }
    }
}

/// The parts between commas that are not within parentheses: a value may be a name with arguments of its own.
fn split_arguments(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
}

impl Display for Spec {
    /// The name with every parameter, so that a result says exactly what ran.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        for (i, (key, value)) in self.values.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { "(" } else { ", " })?;
        }
        if self.values.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[Entry] = &[
        Entry { name: "plain", about: "", parameters: &[] },
        Entry {
            name: "rich",
            about: "",
            parameters: &[
                Parameter { key: "n", default: "3", about: "" },
                Parameter { key: "on", default: "false", about: "" },
            ],
        },
    ];

    #[test]
    fn reads_names_and_fills_in_defaults() {
        let spec = Spec::parse(" rich( on = true ) ", "policy", LIST).unwrap();
        assert_eq!(spec.to_string(), "rich(n=3, on=true)");
        assert_eq!(spec.short(), "rich(on=true)");
        assert_eq!(Spec::parse("rich(n=3)", "policy", LIST).unwrap().short(), "rich");
        assert_eq!(spec.get::<u32>("n", "a number"), Ok(3));
        assert_eq!(Spec::parse("plain", "policy", LIST).unwrap().to_string(), "plain");
        let nested = Spec::parse("rich(n=other(a=1, b=two(c=3)), on=true)", "policy", LIST).unwrap();
        assert_eq!(nested.get::<String>("n", "a name"), Ok("other(a=1, b=two(c=3))".into()));
    }

    #[test]
    fn errors_list_what_is_valid() {
        let message = |text| Spec::parse(text, "policy", LIST).unwrap_err().to_string();
        assert_eq!(message("pain"), "unknown policy `pain`; valid names: plain, rich");
        assert_eq!(message("rich(m=1)"), "policy `rich` has no parameter `m`; valid parameters: n, on");
        assert_eq!(message("rich(n=1"), "cannot read policy `rich(n=1`: expected NAME or NAME(key=value, ...)");
        let spec = Spec::parse("rich(n=x)", "policy", LIST).unwrap();
        assert_eq!(
            spec.get::<u32>("n", "a whole number").unwrap_err().to_string(),
            "policy `rich`: n=x: expected a whole number"
        );
    }
}
