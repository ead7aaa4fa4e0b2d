//! The SQLSTATE codes that lockkeeper itself sends or looks for.
//!
//! Source: `src/backend/utils/errcodes.txt`.

use std::fmt;

/// Five characters that tell a program what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// `successful_completion`
    pub const SUCCESS: Self = Self(*b"00000");
    /// `warning`
    pub const WARNING: Self = Self(*b"01000");
    /// `connection_failure`
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    /// `sqlclient_unable_to_establish_sqlconnection`
    pub const CANNOT_CONNECT: Self = Self(*b"08001");
    /// `protocol_violation`
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    /// `feature_not_supported`
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    /// `invalid_parameter_value`
    pub const INVALID_PARAMETER_VALUE: Self = Self(*b"22023");
    /// `not_null_violation`
    pub const NOT_NULL_VIOLATION: Self = Self(*b"23502");
    /// `check_violation`
    pub const CHECK_VIOLATION: Self = Self(*b"23514");
    /// `serialization_failure`
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    /// `active_sql_transaction`
    pub const ACTIVE_TRANSACTION: Self = Self(*b"25001");
    /// `read_only_sql_transaction`
    pub const READ_ONLY_TRANSACTION: Self = Self(*b"25006");
    /// `in_failed_sql_transaction`
    pub const IN_FAILED_TRANSACTION: Self = Self(*b"25P02");
    /// `invalid_sql_statement_name`
    pub const INVALID_STATEMENT_NAME: Self = Self(*b"26000");
    /// `invalid_authorization_specification`
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    /// `invalid_password`
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    /// `deadlock_detected`
    pub const DEADLOCK_DETECTED: Self = Self(*b"40P01");
    /// `duplicate_table`, which indexes are called too
    pub const DUPLICATE_TABLE: Self = Self(*b"42P07");
    /// `insufficient_privilege`
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    /// `syntax_error`
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    /// `undefined_object`
    pub const UNDEFINED_OBJECT: Self = Self(*b"42704");
    /// `too_many_connections`
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    /// `program_limit_exceeded`
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    /// `object_not_in_prerequisite_state`
    pub const NOT_IN_PREREQUISITE_STATE: Self = Self(*b"55000");
    /// `object_in_use`
    pub const OBJECT_IN_USE: Self = Self(*b"55006");
    /// `lock_not_available`
    pub const LOCK_NOT_AVAILABLE: Self = Self(*b"55P03");
    /// `query_canceled`
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// `system_error`
    pub const SYSTEM_ERROR: Self = Self(*b"58000");
    /// `admin_shutdown`
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// `cannot_connect_now`
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    /// `idle_session_timeout`
    pub const IDLE_SESSION_TIMEOUT: Self = Self(*b"57P05");
    /// `internal_error`
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// The code as text; codes are ASCII by construction or shown as `?????`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
