//! The tier table of a scenario.

use super::ScenarioError;
use super::error::Place;
use crate::duration::Length;
use policies::{Span, Tier, Tiers};
use serde::{Deserialize, Serialize};

/// Longer windows would say nothing of a run.
const WINDOW_MAX: Span = Span::from_secs(366 * 86_400);

/// One `[[tier]]`; the best one comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierSpec {
    /// For people.
    pub name: String,
    /// The GPU fraction that is guaranteed in every window, 0 to 1. Default: 0, best effort.
    #[serde(default)]
    pub guarantee: f64,
    /// Length of a window. Default: one hour.
    #[serde(default = "hour")]
    pub window: Length,
    /// Capacity is taken from the tier with the smallest number first. Default: from the last tier first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempt: Option<u8>,
    /// Capacity that becomes free goes to the tier with the smallest number first. Default: to the first tier first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_back: Option<u8>,
    /// Price of an accelerator-hour, in any currency. Default: 0.
    #[serde(default)]
    pub price: f64,
}

fn hour() -> Length {
    Length(Span::from_secs(3600))
}

/// Refuses what makes no sense.
pub(super) fn check(tiers: &[TierSpec], place: &Place<'_>) -> Result<(), ScenarioError> {
    if tiers.len() > usize::from(u8::MAX) {
        return Err(place.invalid("tier", tiers.len(), "at most 255 tiers"));
    }
    for (i, tier) in tiers.iter().enumerate() {
        if tiers[..i].iter().any(|other| other.name == tier.name) {
            return Err(place.invalid("tier.name", &tier.name, "a name for each tier"));
        }
        if !(0.0..=1.0).contains(&tier.guarantee) {
            return Err(place.invalid("tier.guarantee", tier.guarantee, "a part from 0 to 1"));
        }
        if tier.window.0 == Span::ZERO || tier.window.0 > WINDOW_MAX {
            return Err(place.invalid("tier.window", tier.window, "more than nothing and at most 366d"));
        }
        if !(0.0..=4e6).contains(&tier.price) {
            return Err(place.invalid("tier.price", tier.price, "0 to 4,000,000"));
        }
    }
    Ok(())
}

/// The table; the default one if none is given.
pub(super) fn table(tiers: &[TierSpec]) -> Tiers {
    if tiers.is_empty() {
        return Tiers::default();
    }
    let last = tiers.len() - 1;
    let tier = |(i, spec): (usize, &TierSpec)| Tier {
        name: spec.name.clone(),
        guarantee: libm::round(spec.guarantee * 10_000.0) as u16,
        window: spec.window.0,
        preempt: spec.preempt.unwrap_or((last - i) as u8),
        give_back: spec.give_back.unwrap_or(i as u8),
        price_milli: libm::round(spec.price * 1000.0) as u32,
    };
    Tiers::new(tiers.iter().enumerate().map(tier).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[derive(Deserialize)]
    struct Only {
        tier: Vec<TierSpec>,
    }

    fn read(text: &str) -> Result<Tiers, ScenarioError> {
        let place = Place { path: Path::new("s.toml"), text };
        let only: Only = place.read()?;
        check(&only.tier, &place).map(|()| table(&only.tier))
    }

    #[test]
    fn the_published_table_can_be_written_down() {
        let text = "[[tier]]\nname = \"Premium\"\nguarantee = 0.95\nprice = 1.0\n\
                    [[tier]]\nname = \"Standard\"\nguarantee = 0.7\nprice = 0.6\n[[tier]]\nname = \"Basic\"\nprice = 0.25";
        assert_eq!(read(text).unwrap(), Tiers::default());
        assert_eq!(table(&[]), Tiers::default());
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (line, field) in [
            ("guarantee = 1.2", "tier.guarantee"),
            ("window = \"0s\"", "tier.window"),
            ("window = \"500d\"", "tier.window"),
            ("price = -1", "tier.price"),
            ("colour = 1", "colour"),
        ] {
            let message = read(&format!("[[tier]]\nname = \"a\"\n{line}")).unwrap_err().to_string();
            assert!(message.starts_with("s.toml:") && message.contains(field), "{message}");
        }
        let twice = read("[[tier]]\nname = \"a\"\n[[tier]]\nname = \"a\"").unwrap_err().to_string();
        assert!(twice.contains("tier.name"), "{twice}");
    }
}
