//! The eight table-level lock modes and who stands in whose way.

use std::fmt;

/// A table-level lock mode, weakest first.
///
/// Source: the manual's "Table-Level Locks" and `src/include/storage/lockdefs.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// `SELECT`
    AccessShare = 1,
    /// `SELECT FOR UPDATE` and its like
    RowShare,
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE`
    RowExclusive,
    /// `VACUUM`, `ANALYZE`, `CREATE INDEX CONCURRENTLY`, `VALIDATE CONSTRAINT`
    ShareUpdateExclusive,
    /// `CREATE INDEX`
    Share,
    /// `CREATE TRIGGER`, `ADD FOREIGN KEY`
    ShareRowExclusive,
    /// `REFRESH MATERIALIZED VIEW CONCURRENTLY`
    Exclusive,
    /// most of `ALTER TABLE`, `DROP TABLE`, `TRUNCATE`
    AccessExclusive,
}

impl LockMode {
    /// Every mode, weakest first.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// The modes that conflict with this one, as a bit per mode (`LockConflicts` in `lock.c`).
    const fn conflict_bits(self) -> u16 {
        match self {
            Self::AccessShare => 0b1_0000_0000,
            Self::RowShare => 0b1_1000_0000,
            Self::RowExclusive => 0b1_1110_0000,
            Self::ShareUpdateExclusive => 0b1_1111_0000,
            Self::Share => 0b1_1101_1000,
            Self::ShareRowExclusive => 0b1_1111_1000,
            Self::Exclusive => 0b1_1111_1100,
            Self::AccessExclusive => 0b1_1111_1110,
        }
    }

    /// Whether two sessions cannot hold these two modes on one relation at the same time.
    pub const fn conflicts_with(self, other: Self) -> bool {
        self.conflict_bits() & (1 << other as u16) != 0
    }

    /// Whether the mode makes ordinary reads or writes wait: SHARE and everything above it.
    pub const fn is_strong(self) -> bool {
        self.conflicts_with(Self::RowExclusive)
    }

    /// The name as `pg_locks.mode` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// The name with its article, `an AccessExclusiveLock`.
    pub fn with_article(self) -> String {
        let article = if matches!(self, Self::AccessShare | Self::Exclusive | Self::AccessExclusive) {
            "an"
        } else {
            "a"
        };
        format!("{article} {self}")
    }

    /// The mode that `pg_locks.mode` names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode::{self, *};

    #[test]
    fn conflicts_are_those_of_the_manual() {
        let table: String = LockMode::ALL
            .iter()
            .map(|a| {
                let row: String =
                    LockMode::ALL.iter().map(|b| if a.conflicts_with(*b) { 'X' } else { '.' }).collect();
                row + "\n"
            })
            .collect();
        // "Conflicting Lock Modes", table 13.2 of the manual.
        assert_eq!(table, ".......X\n......XX\n....XXXX\n...XXXXX\n..XX.XXX\n..XXXXXX\n.XXXXXXX\nXXXXXXXX\n");
    }

    #[test]
    fn strong_modes_stop_writers() {
        assert!(!ShareUpdateExclusive.is_strong());
        assert!(Share.is_strong() && ShareRowExclusive.is_strong() && AccessExclusive.is_strong());
    }

    #[test]
    fn names_round_trip() {
        for mode in LockMode::ALL {
            assert_eq!(LockMode::from_name(mode.name()), Some(mode));
        }
        assert_eq!(LockMode::from_name("SIReadLock"), None);
    }
}
