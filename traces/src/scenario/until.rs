//! When a run stops.

use crate::duration::{Length, parse_span};
use policies::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const ARRIVALS: &str = "arrivals";

/// When a run stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// At this time.
    At(Length),
    /// With the last submission, written `"arrivals"`: as long as a fleet is asked for work at the rate that was wanted.
    Arrivals,
}

impl Until {
    /// The time, where the last job is submitted at `last`.
    pub fn time(self, last: Time) -> Time {
        match self {
            Until::At(length) => Time(length.0.0),
            Until::Arrivals => last,
        }
    }
}

impl Serialize for Until {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Until::At(length) => length.serialize(serializer),
            Until::Arrivals => serializer.serialize_str(ARRIVALS),
        }
    }
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Until;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "\"{ARRIVALS}\" or {}", crate::duration::EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Until, E> {
                if text == ARRIVALS {
                    return Ok(Until::Arrivals);
                }
                parse_span(text)
                    .map(|span| Until::At(Length(span)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Until, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Until, E> {
                self.visit_str(&seconds.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::Span;

    #[test]
    fn a_time_or_the_last_submission() {
        #[derive(Debug, Deserialize)]
        struct Only {
            until: Until,
        }
        let read = |text: &str| toml::from_str::<Only>(text).map(|only| only.until.time(Time::from_secs(7)));
        assert_eq!(read("until = \"arrivals\"").unwrap(), Time::from_secs(7));
        assert_eq!(read("until = \"2h\"").unwrap(), Time::ZERO + Span::from_secs(7200));
        assert_eq!(read("until = 90").unwrap(), Time::from_secs(90));
        assert!(read("until = \"never\"").unwrap_err().to_string().contains("\"arrivals\""));
    }
}
