//! Locks taken up front: all that a statement needs, in one order, before it.
//!
//! A statement that locks several tables one after the other holds the first while it waits for the next; an application
//! that holds the next and wants the first then waits too, and one of both dies of the deadlock.

use super::Target;
use super::by_hand::spelled;
use crate::base::LockMode;

/// The statements that take the locks in this order, each without what inherits from it; none where a name could not be
/// resolved, or where one lock is all.
pub fn locks(targets: &[Target]) -> Vec<String> {
    if targets.len() < 2 || targets.iter().any(|target| target.oid.is_none()) {
        return Vec::new();
    }
    let alike = targets.chunk_by(|one, next| one.mode == next.mode);
    alike.filter_map(|alike| Some(lock(alike, alike.first()?.mode))).collect()
}

/// The statement that locks one table, and what is below it if that is asked for.
pub fn tree(table: &Target, whole: bool) -> String {
    if !whole {
        return lock(std::slice::from_ref(table), table.mode);
    }
    format!("LOCK TABLE {} IN {} MODE", spelled(&table.name), in_words(table.mode))
}

fn lock(tables: &[Target], mode: LockMode) -> String {
    let names: Vec<String> = tables.iter().map(|table| format!("ONLY {}", spelled(&table.name))).collect();
    format!("LOCK TABLE {} IN {} MODE", names.join(", "), in_words(mode))
}

/// A mode as `LOCK TABLE` names it.
const fn in_words(mode: LockMode) -> &'static str {
    match mode {
        LockMode::AccessShare => "ACCESS SHARE",
        LockMode::RowShare => "ROW SHARE",
        LockMode::RowExclusive => "ROW EXCLUSIVE",
        LockMode::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
        LockMode::Share => "SHARE",
        LockMode::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
        LockMode::Exclusive => "EXCLUSIVE",
        LockMode::AccessExclusive => "ACCESS EXCLUSIVE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RelationName;

    #[test]
    fn one_statement_for_each_mode_in_the_order_given() {
        let target = |name: &str, mode| Target { name: RelationName::bare(name), oid: Some(1), mode };
        let (weak, strong) = (LockMode::ShareRowExclusive, LockMode::AccessExclusive);
        let all = [target("r", strong), target("The t", weak), target("t2", weak)];
        assert_eq!(
            locks(&all),
            [
                "LOCK TABLE ONLY r IN ACCESS EXCLUSIVE MODE",
                "LOCK TABLE ONLY \"The t\", ONLY t2 IN SHARE ROW EXCLUSIVE MODE"
            ]
        );
        assert_eq!(locks(&all[..1]), [""; 0]);
        assert_eq!(locks(&[all[0].clone(), Target { oid: None, ..all[1].clone() }]), [""; 0]);
    }
}
