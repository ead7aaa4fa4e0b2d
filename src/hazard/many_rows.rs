//! What helps against DML over many rows, once the planner has said how many there are.

use super::{Finding, HazardSetting, Subject};
use crate::effects::facts::{Estimate, RelationKind};
use crate::plan::bulk::Extent;
use crate::plan::{Bulk, bulk};
use crate::sql::Pieces;
use crate::sql::form::{Write, WriteVerb};
use crate::sql::parse::pieces;

/// What becomes of both hazards where nothing else is configured.
pub(super) const DEFAULT: HazardSetting = HazardSetting::Plan;

impl Subject<'_> {
    /// A finding about rows that are written, as far as their number bears it out: with batches in place of the statement, or refused
    /// with the reason why it cannot be cut.
    pub(super) fn of_many_rows(&self, write: &Write, finding: Finding) -> Option<Finding> {
        let at = self.statement.span.start;
        let Some(estimate) = self.facts.estimates.iter().find(|it| it.at == at) else { return Some(finding) };
        if !estimate.many && !estimate.goes_on {
            return None;
        }
        let (verb, table) = (write.verb.name(), &write.table);
        let rows = estimate.rows;
        let said = if write.verb == WriteVerb::InsertSelect {
            format!(
                "About {rows} rows are put into {table} in one transaction, as the planner sees it: until it ends nothing that others delete can \
                 be cleaned away, and replicas fall back while it is replayed."
            )
        } else {
            format!(
                "About {rows} rows of {table} would be locked until all are written, as the planner sees it; each leaves a dead row behind, and \
                 replicas fall back while the transaction is replayed."
            )
        };
        let way = finding.by_hand;
        let finding = Finding::warning(finding.hazard, message(verb, estimate), said).by_hand(way);
        // What was begun in batches goes on in them, however small its table is by now; and a view's size says nothing.
        let has_rows = self.facts.relation(table).is_some_and(|relation| {
            matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable)
        });
        let finding = if has_rows && !estimate.goes_on { finding.about(table) } else { finding };
        Some(match self.cut(write, *estimate) {
            // Nothing takes its place: who copies rows gets what was asked for, and is told.
            _ if write.verb == WriteVerb::InsertSelect => finding,
            Ok(bulk) => online(finding, bulk, verb),
            Err(Uncut { few: Some(bulk), .. }) => online(finding, *bulk, verb),
            Err(Uncut { why, few: None }) => {
                finding.refused_since(&format!("It cannot be carried out in batches: {why}"))
            }
        })
    }

    /// The statement in batches; otherwise the reason, and the statement at once where it comes from a queue and writes few rows.
    fn cut(&self, write: &Write, estimate: Estimate) -> Result<Bulk, Uncut> {
        let pieces = self.pieces_of(write).map_err(|why| Uncut { why, few: None })?;
        let text = || String::from_utf8_lossy(self.script.text.as_bytes()).into_owned();
        let few =
            || bulk::whole(pieces.clone(), text(), self.facts, estimate.rows).filter(|_| !estimate.many);
        bulk::cut(pieces.clone(), text(), self.facts, estimate.rows)
            .map_err(|why| Uncut { why, few: few().map(Box::new) })
    }

    fn pieces_of(&self, write: &Write) -> Result<Pieces, String> {
        let own = self.statement.writes.first() == Some(write);
        match self.statement.tag {
            "UPDATE" | "DELETE" if own => {}
            "EXPLAIN" => return Err("it is explained while it runs as a whole.".to_owned()),
            "MERGE" => return Err("MERGE has no batches that together do the same.".to_owned()),
            _ => return Err("it writes in its WITH, and would do so with each batch.".to_owned()),
        }
        if self.script.statements.len() > 1 {
            return Err("it stands among other statements.".to_owned());
        }
        if !self.is_readable_alone() {
            return Err(UNREADABLE.to_owned());
        }
        pieces(self.script).ok_or_else(|| UNREADABLE.to_owned())
    }
}

/// What cannot be carried out in batches.
struct Uncut {
    why: String,
    /// The statement at once, where that may be.
    few: Option<Box<Bulk>>,
}

/// What batches are that a statement is not, the manual's "Read Committed Isolation Level" for each of them.
const APART: &str = " In batches each is committed by itself: others see a part of it meanwhile, and what fails leaves those before it.";

fn online(mut finding: Finding, bulk: Bulk, verb: &str) -> Finding {
    let hazard = finding.hazard;
    if bulk.extent != Extent::Whole {
        finding.why.push_str(APART);
    }
    finding.online(Some(bulk.plan(hazard)), form(verb))
}

const UNREADABLE: &str =
    "its text cannot be read beyond doubt in this client_encoding; SET client_encoding = 'UTF8' may help.";

fn message(verb: &str, estimate: &Estimate) -> String {
    let done = match verb {
        "DELETE" => "deletes",
        "INSERT" => "inserts",
        "UPDATE" => "updates",
        _ => "writes",
    };
    format!("{verb} {done} about {} rows at once", estimate.rows)
}

fn form(verb: &str) -> &'static str {
    if verb == "DELETE" { "DELETE in batches" } else { "UPDATE in batches" }
}
