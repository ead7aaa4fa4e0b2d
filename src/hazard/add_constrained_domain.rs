#![doc = include_str!("add_constrained_domain.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-constrained-domain";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a new column whose domain has constraints.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    if subject.facts.offline {
        return unknown(subject);
    }
    let work = subject.work(&[Cause::ConstrainedDomain])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { .. } = &part.action else { return None };
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    let way = HandStep::words(
        "add the column with the type under the domain, and the domain's constraint as a CHECK that is NOT VALID, \
               then validate it",
    );
    Some(
        Finding::refusal(ID, "a column of a domain with constraints rewrites the table", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![way]),
    )
}

/// A column of a type that only a catalogue knows.
fn unknown(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let part = subject.parts().first()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let ty = &column.ty;
    let builtin = ty.schema.as_deref() == Some("pg_catalog")
        || (ty.schema.is_none() && BUILT_IN.contains(&ty.name.as_str()));
    if builtin || ty.array || ty.is_serial() || subject.past.made_type(ty) {
        return None;
    }
    let why = format!(
        "If it is a domain with constraints, every row of {target} is written again under an AccessExclusiveLock; with --url a \
         server says what it is."
    );
    Some(
        Finding::warning(ID, format!("nobody knows whether {} is a domain with constraints", ty.name), why)
            .about(target)
            .at(part.span.clone()),
    )
}

/// Types that the grammar has no words for, and that every server has.
const BUILT_IN: [&str; 71] = [
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "uuid",
    "varbit",
    "varchar",
    "xid",
    "xid8",
    "xml",
];
