//! Lengths of time as people write them in scenarios and on the command line: `30s`, `1.5h`, `7d`.

use policies::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// Units in ascending order, with their length in seconds.
const UNITS: [(&str, f64); 7] =
    [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0)];

/// What is expected where a length of time is, for messages.
pub const EXPECTED: &str =
    "a length of time such as 90, \"30s\", \"4h\", \"1h 30m\" or \"7d\" (us, ms, s, m, h, d, w; no unit: seconds)";

/// A length of time in a configuration file: a string with units, or a bare number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Length(pub Span);

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time; expected {EXPECTED}")]
pub struct BadLength(pub String);

/// Parses `30s`, `1h 30m`, `1.5d` or a bare number of seconds.
pub fn parse_span(text: &str) -> Result<Span, BadLength> {
    let bad = || BadLength(text.to_owned());
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        seconds += number * unit_seconds(&rest[..letters]).ok_or_else(bad)?;
        rest = rest[letters..].trim_start();
    }
    Span::from_secs_f64(seconds).ok_or_else(bad)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    if unit.is_empty() {
        return Some(1.0);
    }
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds)
}

impl FromStr for Length {
    type Err = BadLength;
    fn from_str(text: &str) -> Result<Self, BadLength> {
        parse_span(text).map(Length)
    }
}

impl fmt::Display for Length {
    /// The largest unit that divides it, so that what is printed parses to the same length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.0;
        for (name, seconds) in UNITS.iter().rev() {
            let unit = (seconds * 1e6).round() as u64;
            if micros.is_multiple_of(unit) && micros > 0 {
                return write!(f, "{}{name}", micros / unit);
            }
        }
        write!(f, "0s")
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LengthVisitor)
    }
}

struct LengthVisitor;

impl de::Visitor<'_> for LengthVisitor {
    type Value = Length;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Length, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Length, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Length, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Length, E> {
        let span = Span::from_secs_f64(seconds);
        span.map(Length).ok_or_else(|| E::custom(BadLength(seconds.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("30s", 30.0),
            ("4h", 14_400.0),
            ("7d", 604_800.0),
            ("1h 30m", 5400.0),
            ("1.5h", 5400.0),
            ("90", 90.0),
            ("250ms", 0.25),
        ] {
            assert_eq!(parse_span(text), Ok(Span::from_secs_f64(seconds).unwrap()), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", " ", "h", "-3s", "4 hours", "3x", "1..2s", "nan", "inf", "1e9", "999999999999999999w"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_it_would_read() {
        for micros in [0, 1, 999, 1000, 60_000_000, 90_000_000, 86_400_000_000, 604_800_000_000] {
            assert_eq!(parse_span(&Length(Span(micros)).to_string()), Ok(Span(micros)));
        }
        assert_eq!(Length(Span::from_secs(7200)).to_string(), "2h");
    }
}
