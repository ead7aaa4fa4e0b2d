//! What the configuration and the size of a relation make of a finding.

use super::explain;
use super::policy::Policy;
use crate::effects::Past;
use crate::effects::facts::Facts;
use crate::hazard::{Finding, HazardSetting, Remedy};

/// The finding as the policy wants it treated: excused where its relation is small, milder or graver where the
/// configuration says so.
pub(super) fn under(policy: &Policy, facts: &Facts, past: &Past, tag: &str, finding: Finding) -> Finding {
    if is_excused(policy, facts, past, &finding) {
        return passed(finding);
    }
    match policy.setting_of(finding.hazard) {
        None | Some(HazardSetting::Plan | HazardSetting::Hold) => finding,
        Some(HazardSetting::Pass) => passed(finding),
        Some(HazardSetting::Warn) => {
            let warning = explain::warned(tag, &finding);
            Finding { remedy: Remedy::Ladder { warning: Some(warning) }, ..finding }
        }
        Some(HazardSetting::Refuse) => {
            Finding { remedy: Remedy::Refuse(explain::refused(tag, &finding)), elsewhere: None, ..finding }
        }
    }
}

/// What is left of a finding that is let pass: the ladder, if it takes strong locks.
fn passed(finding: Finding) -> Finding {
    let remedy = match (finding.remedy, &finding.once_passed) {
        (Remedy::Record, _) => Remedy::Record,
        (_, Some((plan, form))) => Remedy::Plan { plan: plan.clone(), form },
        _ => Remedy::Ladder { warning: None },
    };
    Finding { remedy, elsewhere: None, ..finding }
}

fn is_excused(policy: &Policy, facts: &Facts, past: &Past, finding: &Finding) -> bool {
    let Some(about) = &finding.about else { return false };
    let bytes = match facts.relation(about) {
        Some(relation) => relation.bytes_of_all(),
        None => facts.partition(about).map_or_else(|| past.is_young(about).then_some(0), |it| it.bytes),
    };
    policy.is_small(about, bytes)
}

/// How grave a finding is, after the policy.
pub const fn gravity(finding: &Finding) -> HazardSetting {
    match &finding.remedy {
        Remedy::Plan { .. } => HazardSetting::Plan,
        Remedy::Refuse(_) => HazardSetting::Refuse,
        Remedy::Ladder { warning: Some(_) } => HazardSetting::Warn,
        Remedy::Ladder { warning: None } | Remedy::Record => HazardSetting::Pass,
    }
}
