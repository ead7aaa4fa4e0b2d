//! `ALTER TABLE`, `CREATE TABLE`, `CREATE INDEX`.

use std::ops::Range;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType as Kind, BoolExprType, ColumnDef, ColumnRef, ConstrType,
    Constraint as ConstraintNode, CreateStmt, DropBehavior, IndexElem, IndexStmt, Node, NullTestType,
    ObjectType, OnCommitAction, PartitionCmd, RangeVar, SortByDir, SortByNulls,
};

use super::{Places, relation, relation_of, type_name};
use crate::base::LockMode;
use crate::sql::form::{
    Action, AlterConstraint, AlterTable, Altered, Bound, Column, Constraint, ConstraintKind, CreateTable,
    Expression, Generated, Identity, Index, IndexColumn, Part, References, Using,
};
use crate::sql::parse::names::string;

/// `ALTER TABLE`
pub(super) fn alter(statement: &AlterTableStmt, places: &Places<'_>) -> Option<AlterTable> {
    let target = statement.relation.as_ref()?;
    let spans = places.parts_after(target.location);
    let commands: Vec<&AlterTableCmd> = statement.cmds.iter().filter_map(command).collect();
    let told = spans.len() == commands.len();
    let parts = commands
        .iter()
        .enumerate()
        .map(|(at, command)| {
            let span = spans.get(at).filter(|_| told).cloned();
            Part { action: action(command, span.as_ref(), places), span }
        })
        .collect();
    let object = match statement.objtype() {
        ObjectType::ObjectTable | ObjectType::ObjectForeignTable => Altered::Table,
        ObjectType::ObjectMatview => Altered::MaterializedView,
        ObjectType::ObjectIndex => Altered::Index,
        ObjectType::ObjectType => Altered::Type,
        _ => Altered::Other,
    };
    Some(AlterTable {
        target: relation(target),
        object,
        only: !target.inh,
        if_exists: statement.missing_ok,
        parts,
    })
}

fn command(node: &Node) -> Option<&AlterTableCmd> {
    match &node.node {
        Some(NodeEnum::AlterTableCmd(command)) => Some(command),
        _ => None,
    }
}

fn action(command: &AlterTableCmd, span: Option<&Range<usize>>, places: &Places<'_>) -> Action {
    let name = || command.name.clone();
    let cascade = command.behavior() == DropBehavior::DropCascade;
    let definition = command.def.as_ref().and_then(|node| node.node.as_ref());
    match (command.subtype(), definition) {
        (Kind::AtAddColumn, Some(NodeEnum::ColumnDef(it))) => Action::AddColumn {
            column: Box::new(column(it, span, places)),
            if_not_exists: command.missing_ok,
        },
        (Kind::AtDropColumn, _) => {
            Action::DropColumn { column: name(), cascade, if_exists: command.missing_ok }
        }
        (Kind::AtAlterColumnType, Some(NodeEnum::ColumnDef(it))) => set_type(name(), it),
        (Kind::AtSetNotNull, _) => Action::SetNotNull(name()),
        (Kind::AtDropNotNull, _) => Action::DropNotNull(name()),
        (Kind::AtColumnDefault, None) => Action::DropDefault(name()),
        (Kind::AtColumnDefault, Some(_)) => Action::SetDefault(name()),
        (Kind::AtAddConstraint, Some(NodeEnum::Constraint(it))) => {
            constraint(it, None, span, places).map_or(Action::Brief, |it| Action::AddConstraint(Box::new(it)))
        }
        (Kind::AtValidateConstraint, _) => Action::ValidateConstraint(name()),
        (Kind::AtDropConstraint, _) => {
            Action::DropConstraint { name: name(), cascade, if_exists: command.missing_ok }
        }
        (Kind::AtAlterConstraint, Some(NodeEnum::AtalterConstraint(it))) => {
            Action::AlterConstraint(AlterConstraint {
                name: it.conname.clone(),
                enforced: it.alter_enforceability.then_some(it.is_enforced),
            })
        }
        (Kind::AtSetExpression, _) => Action::SetExpression(name()),
        (Kind::AtDropExpression, _) => Action::DropExpression(name()),
        (Kind::AtAttachPartition | Kind::AtDetachPartition | Kind::AtDetachPartitionFinalize, Some(it)) => {
            partition(command.subtype(), it)
        }
        (Kind::AtSetTableSpace, _) => Action::SetTablespace(name()),
        (Kind::AtSetLogged, _) => Action::SetLogged(true),
        (Kind::AtSetUnLogged, _) => Action::SetLogged(false),
        (Kind::AtSetAccessMethod, _) => Action::SetAccessMethod(Some(name()).filter(|name| !name.is_empty())),
        (kind, _) => below(kind).map_or(Action::Brief, Action::BriefBelow),
    }
}

/// The lock of what is brief and goes down to partitions and heirs (`ATSimpleRecursion` in `tablecmds.c`).
const fn below(kind: Kind) -> Option<LockMode> {
    match kind {
        Kind::AtSetStatistics => Some(LockMode::ShareUpdateExclusive),
        Kind::AtSetStorage => Some(LockMode::AccessExclusive),
        _ => None,
    }
}

fn set_type(column: String, definition: &ColumnDef) -> Action {
    let Some(to) = definition.type_name.as_ref().map(type_name) else { return Action::Brief };
    let using = match definition.raw_default.as_ref().and_then(|node| node.node.as_ref()) {
        None => Using::Cast,
        Some(NodeEnum::ColumnRef(it)) if is_column(it, &column) => Using::SameColumn,
        // The same cast that would be made without it.
        Some(NodeEnum::TypeCast(cast)) => match cast.arg.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::ColumnRef(it))
                if is_column(it, &column) && cast.type_name.as_ref().map(type_name).as_ref() == Some(&to) =>
            {
                Using::SameColumn
            }
            _ => Using::Expression,
        },
        Some(_) => Using::Expression,
    };
    Action::SetType { column, to, collate: definition.coll_clause.is_some(), using }
}

fn is_column(node: &ColumnRef, column: &str) -> bool {
    node.fields.last().and_then(string).as_deref() == Some(column)
}

fn partition(kind: Kind, node: &NodeEnum) -> Action {
    let NodeEnum::PartitionCmd(PartitionCmd { name: Some(child), bound, concurrent }) = node else {
        return Action::Brief;
    };
    let child = relation(child);
    match kind {
        Kind::AtAttachPartition => {
            let default = bound.as_ref().is_some_and(|bound| bound.is_default);
            Action::Attach { child, bound: bound.as_ref().map_or(Bound::Other, super::bound::bound), default }
        }
        _ => Action::Detach {
            child,
            concurrently: *concurrent,
            finalize: kind == Kind::AtDetachPartitionFinalize,
        },
    }
}

/// A column's definition that stands within `span`.
fn column(definition: &ColumnDef, span: Option<&Range<usize>>, places: &Places<'_>) -> Column {
    let ty = definition.type_name.as_ref().map(type_name).unwrap_or_default();
    let span = places.at(definition.location).and_then(|start| places.element(start, span));
    let nodes: Vec<&ConstraintNode> = definition.constraints.iter().filter_map(constraint_node).collect();
    let mut column = Column {
        name: definition.colname.clone(),
        ty,
        default: None,
        generated: None,
        identity: None,
        identity_span: None,
        constraints: Vec::new(),
    };
    for (at, node) in nodes.iter().enumerate() {
        let own = span.as_ref().and_then(|span| {
            let next = nodes.iter().skip(at + 1).find(|next| !is_attribute(next));
            let next = next.and_then(|next| places.at(next.location));
            Some(places.at(node.location)?..next.unwrap_or(span.end))
        });
        match node.contype() {
            ConstrType::ConstrDefault => {
                // Where the text cannot be told, nobody knows what the default calls: an unknown function stands for it.
                column.default = own
                    .as_ref()
                    .and_then(|own| places.default(own.start, own.end))
                    .or_else(|| Some(Expression::unseen()));
            }
            ConstrType::ConstrIdentity => {
                let by_default = node.generated_when == "d";
                column.identity_span = own;
                column.identity = Some(if by_default { Identity::ByDefault } else { Identity::Always });
            }
            ConstrType::ConstrGenerated => {
                let virtual_kind = node.generated_kind == "v";
                column.generated = Some(if virtual_kind { Generated::Virtual } else { Generated::Stored });
            }
            _ if is_attribute(node) => note_attribute(node, column.constraints.last_mut()),
            _ => column.constraints.extend(constraint(node, Some(&definition.colname), own.as_ref(), places)),
        }
    }
    column
}

/// `DEFERRABLE` and its like are nodes of their own behind the constraint of a column that they are about.
fn is_attribute(node: &ConstraintNode) -> bool {
    matches!(
        node.contype(),
        ConstrType::ConstrAttrDeferrable
            | ConstrType::ConstrAttrNotDeferrable
            | ConstrType::ConstrAttrDeferred
            | ConstrType::ConstrAttrImmediate
            | ConstrType::ConstrAttrEnforced
            | ConstrType::ConstrAttrNotEnforced
    )
}

fn note_attribute(node: &ConstraintNode, constraint: Option<&mut Constraint>) {
    let Some(constraint) = constraint else { return };
    match node.contype() {
        ConstrType::ConstrAttrDeferrable => constraint.deferrable = true,
        ConstrType::ConstrAttrDeferred => {
            (constraint.deferrable, constraint.initially_deferred) = (true, true);
        }
        ConstrType::ConstrAttrNotEnforced => constraint.not_enforced = true,
        _ => {}
    }
}

fn constraint_node(node: &Node) -> Option<&ConstraintNode> {
    match &node.node {
        Some(NodeEnum::Constraint(it)) => Some(it),
        _ => None,
    }
}

/// A constraint within `span`; `None` for what only looks like one in the tree.
fn constraint(
    node: &ConstraintNode,
    column: Option<&String>,
    span: Option<&Range<usize>>,
    places: &Places<'_>,
) -> Option<Constraint> {
    let kind = match node.contype() {
        ConstrType::ConstrNotnull => ConstraintKind::NotNull,
        ConstrType::ConstrCheck => ConstraintKind::Check,
        ConstrType::ConstrPrimary => ConstraintKind::PrimaryKey,
        ConstrType::ConstrUnique => ConstraintKind::Unique,
        ConstrType::ConstrExclusion => ConstraintKind::Exclusion,
        ConstrType::ConstrForeign => ConstraintKind::Foreign,
        _ => return None,
    };
    let named = |nodes: &[Node]| nodes.iter().filter_map(string).collect::<Vec<_>>();
    let own = if kind == ConstraintKind::Foreign { &node.fk_attrs } else { &node.keys };
    let mut columns = named(own);
    columns.extend(column.filter(|_| own.is_empty()).cloned());
    columns.extend(node.exclusions.iter().filter_map(excluded));
    let span = places.at(node.location).and_then(|start| places.element(start, span));
    let expression = span.as_ref().filter(|_| kind == ConstraintKind::Check);
    let proves = match kind {
        ConstraintKind::NotNull => columns.clone(),
        ConstraintKind::Check => node.raw_expr.as_deref().map(not_null).unwrap_or_default(),
        _ => Vec::new(),
    };
    let storage = span.as_ref().filter(|_| !node.options.is_empty());
    Some(Constraint {
        proves,
        without_overlaps: node.without_overlaps,
        storage: storage.and_then(|span| places.text_behind("with", span)),
        tablespace: Some(node.indexspace.clone()).filter(|name| !name.is_empty()),
        name: Some(node.conname.clone()).filter(|name| !name.is_empty()),
        kind,
        columns,
        references: node.pktable.as_ref().map(|table| References {
            table: relation(table),
            columns: named(&node.pk_attrs),
            rules: [&*node.fk_matchtype, &*node.fk_upd_action, &*node.fk_del_action].concat(),
        }),
        using_index: Some(node.indexname.clone()).filter(|name| !name.is_empty()),
        include: named(&node.including),
        not_valid: node.skip_validation,
        not_enforced: !node.is_enforced && matches!(kind, ConstraintKind::Check | ConstraintKind::Foreign),
        deferrable: node.deferrable,
        initially_deferred: node.initdeferred,
        nulls_not_distinct: node.nulls_not_distinct,
        expression: expression.and_then(|span| places.in_parentheses(span)),
        span,
    })
}

/// What an element of an EXCLUDE is called in the name that Postgres picks.
fn excluded(element: &Node) -> Option<String> {
    match &element.node {
        Some(NodeEnum::List(it)) => Some(index_column(it.items.first()?)?.label),
        _ => None,
    }
}

/// The columns that a condition proves to hold no null.
fn not_null(condition: &Node) -> Vec<String> {
    match &condition.node {
        Some(NodeEnum::NullTest(it)) if it.nulltesttype() == NullTestType::IsNotNull => {
            let column = it.arg.as_ref().and_then(|arg| match &arg.node {
                Some(NodeEnum::ColumnRef(it)) => it.fields.last().and_then(string),
                _ => None,
            });
            column.into_iter().collect()
        }
        // The decoder bounds the depth of trees, and so of this recursion.
        Some(NodeEnum::BoolExpr(it)) if it.boolop() == BoolExprType::AndExpr => {
            it.args.iter().flat_map(not_null).collect()
        }
        _ => Vec::new(),
    }
}

/// `CREATE TABLE`
pub(super) fn create(statement: &CreateStmt, places: &Places<'_>) -> Option<CreateTable> {
    let made = statement.relation.as_ref()?;
    let (mut columns, mut constraints) = (Vec::new(), Vec::new());
    for node in statement.table_elts.iter().chain(&statement.constraints).chain(&statement.nnconstraints) {
        match &node.node {
            Some(NodeEnum::ColumnDef(it)) => columns.push(column(it, None, places)),
            Some(NodeEnum::Constraint(it)) => constraints.extend(constraint(it, None, None, places)),
            _ => {}
        }
    }
    let parent = statement.partbound.as_ref().and(statement.inh_relations.first());
    Some(CreateTable {
        name: relation(made),
        temporary: is_temporary(made),
        until_commit: statement.oncommit() == OnCommitAction::OncommitDrop,
        if_not_exists: statement.if_not_exists,
        partition_of: parent.and_then(relation_of),
        default_partition: statement.partbound.as_ref().is_some_and(|bound| bound.is_default),
        bound: statement.partbound.as_ref().map_or(Bound::Other, super::bound::bound),
        partitioned: statement.partspec.is_some(),
        columns,
        constraints,
    })
}

/// `TEMPORARY`
pub(super) fn is_temporary(made: &RangeVar) -> bool {
    made.relpersistence == "t"
}

/// `CREATE INDEX`
pub(super) fn create_index(statement: &IndexStmt) -> Option<Index> {
    let table = statement.relation.as_ref()?;
    let elements = |nodes: &[Node]| nodes.iter().filter_map(index_column).collect::<Vec<_>>();
    Some(Index {
        name: Some(statement.idxname.clone()).filter(|name| !name.is_empty()),
        table: relation(table),
        unique: statement.unique,
        concurrently: statement.concurrent,
        if_not_exists: statement.if_not_exists,
        only: !table.inh,
        method: statement.access_method.clone(),
        columns: elements(&statement.index_params),
        include: elements(&statement.index_including_params).into_iter().filter_map(|it| it.name).collect(),
        partial: statement.where_clause.is_some(),
    })
}

fn index_column(node: &Node) -> Option<IndexColumn> {
    let Some(NodeEnum::IndexElem(element)) = &node.node else { return None };
    let IndexElem { name, collation, opclass, opclassopts, .. } = element.as_ref();
    let ordered = !matches!(element.ordering(), SortByDir::SortbyDefault | SortByDir::Undefined)
        || !matches!(element.nulls_ordering(), SortByNulls::SortbyNullsDefault | SortByNulls::Undefined);
    Some(IndexColumn {
        name: Some(name.clone()).filter(|name| !name.is_empty()),
        label: if name.is_empty() { label(element.expr.as_deref()) } else { name.clone() },
        plain: collation.is_empty() && opclass.is_empty() && opclassopts.is_empty() && !ordered,
    })
}

/// What Postgres calls an expression in the names that it picks (`FigureColnameInternal` in `parse_target.c`).
fn label(expression: Option<&Node>) -> String {
    named_like(expression).unwrap_or_else(|| "expr".to_owned())
}

fn named_like(expression: Option<&Node>) -> Option<String> {
    // The decoder bounds the depth of trees, and so of this recursion.
    match expression?.node.as_ref()? {
        NodeEnum::ColumnRef(it) => it.fields.iter().rev().find_map(string),
        NodeEnum::FuncCall(it) => it.funcname.last().and_then(string),
        NodeEnum::CollateClause(it) => named_like(it.arg.as_deref()),
        NodeEnum::TypeCast(it) => {
            named_like(it.arg.as_deref()).or_else(|| it.type_name.as_ref()?.names.last().and_then(string))
        }
        NodeEnum::CoalesceExpr(_) => Some("coalesce".to_owned()),
        NodeEnum::CaseExpr(it) => {
            Some(named_like(it.defresult.as_deref()).unwrap_or_else(|| "case".to_owned()))
        }
        _ => None,
    }
}
