//! What jobs have to carry when they move, by rule.

use super::ScenarioError;
use super::error::Place;
use crate::generate::Keyed;
use serde::{Deserialize, Serialize};

/// Some jobs are like a model whose state is known: one of the profiles that the costs bring.
///
/// A job draws, by a hash of its id that depends on neither seed nor policy, among the rules in whose range its size is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRule {
    /// Name of the profile, e.g. `"bert-109m"`.
    pub profile: String,
    /// How often, against the other rules that apply. Default: 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// The smallest gang. Default: any.
    #[serde(default)]
    pub accelerators_min: u32,
    /// The largest gang. Default: any.
    #[serde(default = "any")]
    pub accelerators_max: u32,
}

fn one() -> u32 {
    1
}

fn any() -> u32 {
    u32::MAX
}

impl StateRule {
    /// The rule for a job, as a position in `rules`; `None` where none applies.
    pub fn choose(rules: &[StateRule], id: &str, accelerators: u32) -> Option<usize> {
        let applies = |rule: &StateRule| (rule.accelerators_min..=rule.accelerators_max).contains(&accelerators);
        let weight = |rule: &StateRule| if applies(rule) { u64::from(rule.weight) } else { 0 };
        let total: u64 = rules.iter().map(weight).sum();
        let mut left = (Keyed::new(0, "states").uniform(id) * total as f64) as u64;
        rules.iter().position(|rule| match left.checked_sub(weight(rule)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
    }

    pub(super) fn check(rules: &[StateRule], place: &Place<'_>) -> Result<(), ScenarioError> {
        for (index, rule) in rules.iter().enumerate() {
            let field = |name| format!("jobs.state[{index}].{name}");
            if rule.weight == 0 {
                return Err(place.invalid(&field("weight"), 0, "at least 1"));
            }
            if rule.accelerators_min > rule.accelerators_max {
                let expected = format!("at least accelerators_min, which is {}", rule.accelerators_min);
                return Err(place.invalid(&field("accelerators_max"), rule.accelerators_max, &expected));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_draw_among_the_rules_for_their_size() {
        let rule = |profile: &str, weight, accelerators_min, accelerators_max| StateRule {
            profile: profile.into(),
            weight,
            accelerators_min,
            accelerators_max,
        };
        let rules = [rule("a", 1, 0, 8), rule("b", 3, 0, 8), rule("c", 1, 9, u32::MAX)];
        let mut counts = [0_u32; 3];
        for id in 0..4000 {
            counts[StateRule::choose(&rules, &id.to_string(), 8).unwrap()] += 1;
        }
        assert!(counts[0].abs_diff(1000) < 120 && counts[1].abs_diff(3000) < 120 && counts[2] == 0, "{counts:?}");
        assert_eq!(StateRule::choose(&rules, "x", 9), Some(2));
        assert_eq!(StateRule::choose(&rules[..2], "x", 9), None);
    }
}
