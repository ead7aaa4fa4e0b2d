//! Expressions and types as a statement writes them.

use std::fmt;
use std::ops::Range;

use crate::base::relation::quote_identifier;

/// An expression: where it stands, and what bears on its volatility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// Its place in the message's text.
    pub span: Range<usize>,
    /// The functions that it calls, `current_timestamp` and its like included; each once.
    pub functions: Vec<FunctionName>,
    /// The words that may be its columns, with what stands before their dot: neither functions, types nor fields.
    pub columns: Vec<(Option<String>, String)>,
}

impl Expression {
    /// An expression whose text cannot be told: it calls a function that nobody knows.
    pub fn unseen() -> Self {
        Self {
            span: 0..0,
            functions: vec![FunctionName { schema: None, name: String::new() }],
            columns: Vec::new(),
        }
    }
}

/// A function as a statement names it, folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName {
    /// The schema, when the statement names one.
    pub schema: Option<String>,
    /// Its own name.
    pub name: String,
}

/// A type as a statement names it, folded, built-in ones by the name that the catalogue gives them (`int4`, `bpchar`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeName {
    /// The schema, when the statement names one; `pg_catalog` for the grammar's own types.
    pub schema: Option<String>,
    /// Its own name.
    pub name: String,
    /// What stands in parentheses, when that is numbers.
    pub modifiers: Vec<i32>,
    /// `int[]`
    pub array: bool,
}

impl TypeName {
    /// Whether it is the built-in type of that catalogue name, however the statement spells it.
    pub fn is_built_in(&self, name: &str) -> bool {
        !self.array && self.name == name && self.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
    }

    /// Whether it stands for an integer column with a sequence of its own (`transformColumnDefinition` in `parse_utilcmd.c`).
    pub fn is_serial(&self) -> bool {
        const SERIAL: [&str; 6] = ["smallserial", "serial2", "serial", "serial4", "bigserial", "serial8"];
        self.schema.is_none() && !self.array && SERIAL.contains(&self.name.as_str())
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_deref() {
            Some("pg_catalog") => f.write_str(spoken(&self.name))?,
            Some(schema) => write!(f, "{}.{}", quote_identifier(schema), quote_identifier(&self.name))?,
            None => f.write_str(&self.name)?,
        }
        if !self.modifiers.is_empty() {
            let numbers: Vec<String> = self.modifiers.iter().map(i32::to_string).collect();
            write!(f, "({})", numbers.join(","))?;
        }
        f.write_str(if self.array { "[]" } else { "" })
    }
}

/// The name by which people call a built-in type.
fn spoken(name: &str) -> &str {
    match name {
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bool" => "boolean",
        "bpchar" => "char",
        other => other,
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote_identifier(schema))?;
        }
        f.write_str(&quote_identifier(&self.name))
    }
}
