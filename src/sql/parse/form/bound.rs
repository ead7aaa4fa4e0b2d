//! What a partition is to hold.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, PartitionBoundSpec, a_const};

use crate::sql::form::Bound;
use crate::sql::parse::names::string;

/// What stands there is no constant.
struct Unsure;

/// `FOR VALUES ..`, as far as constants say it.
pub(super) fn bound(spec: &PartitionBoundSpec) -> Bound {
    let read = match spec.strategy.as_str() {
        _ if spec.is_default => Err(Unsure),
        "l" => spec.listdatums.iter().map(constant).collect::<Result<_, _>>().map(Bound::Values),
        "r" => edges(&spec.lowerdatums, "minvalue")
            .and_then(|from| Ok(Bound::Range(from, edges(&spec.upperdatums, "maxvalue")?))),
        _ => Err(Unsure),
    };
    read.unwrap_or(Bound::Other)
}

/// Constants; the word for no bound on that side stands there as a column does. On the other side it makes an empty range,
/// which the server refuses.
fn edges(nodes: &[Node], open: &str) -> Result<Vec<Option<String>>, Unsure> {
    let edge = |node: &Node| match &node.node {
        Some(NodeEnum::ColumnRef(word)) => match word.fields.as_slice() {
            [field] if string(field).as_deref() == Some(open) => Ok(None),
            _ => Err(Unsure),
        },
        _ => constant(node)?.map(Some).ok_or(Unsure),
    };
    nodes.iter().map(edge).collect()
}

/// A constant as it is written; `None` for NULL.
fn constant(node: &Node) -> Result<Option<String>, Unsure> {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return Err(Unsure) };
    match constant.val.as_ref() {
        Some(a_const::Val::Ival(number)) => Ok(Some(number.ival.to_string())),
        Some(a_const::Val::Fval(number)) => Ok(Some(number.fval.clone())),
        Some(a_const::Val::Sval(text)) => Ok(Some(text.sval.clone())),
        None if constant.isnull => Ok(None),
        Some(a_const::Val::Boolval(_) | a_const::Val::Bsval(_)) | None => Err(Unsure),
    }
}
