//! The type bytes of messages, as `src/include/libpq/protocol.h` names them.

/// What a client sends.
pub mod client {
    /// Simple query.
    pub const QUERY: u8 = b'Q';
    /// Prepare a statement.
    pub const PARSE: u8 = b'P';
    /// Make a portal of a statement.
    pub const BIND: u8 = b'B';
    /// Run a portal.
    pub const EXECUTE: u8 = b'E';
    /// Ask for the shape of a statement or portal.
    pub const DESCRIBE: u8 = b'D';
    /// Close a statement or portal.
    pub const CLOSE: u8 = b'C';
    /// End of an extended batch.
    pub const SYNC: u8 = b'S';
    /// Send what is ready.
    pub const FLUSH: u8 = b'H';
    /// Call a function by oid.
    pub const FUNCTION_CALL: u8 = b'F';
    /// End of COPY data.
    pub const COPY_DONE: u8 = b'c';
    /// COPY is given up.
    pub const COPY_FAIL: u8 = b'f';
    /// The client says goodbye.
    pub const TERMINATE: u8 = b'X';
}

/// What a server sends.
pub mod server {
    /// `ReadyForQuery`
    pub const READY: u8 = b'Z';
    /// `CommandComplete`
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// `EmptyQueryResponse`
    pub const EMPTY_QUERY: u8 = b'I';
    /// `PortalSuspended`
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// `ParseComplete`
    pub const PARSE_COMPLETE: u8 = b'1';
    /// `BindComplete`
    pub const BIND_COMPLETE: u8 = b'2';
    /// `CloseComplete`
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// `NoData`
    pub const NO_DATA: u8 = b'n';
    /// `RowDescription`
    pub const ROW_DESCRIPTION: u8 = b'T';
    /// `ParameterDescription`
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// `DataRow`
    pub const DATA_ROW: u8 = b'D';
    /// `CopyData`
    pub const COPY_DATA: u8 = b'd';
    /// `CopyInResponse`
    pub const COPY_IN: u8 = b'G';
    /// `ErrorResponse`
    pub const ERROR: u8 = b'E';
    /// `NoticeResponse`
    pub const NOTICE: u8 = b'N';
    /// `NotificationResponse`
    pub const NOTIFICATION: u8 = b'A';
    /// `ParameterStatus`
    pub const PARAMETER_STATUS: u8 = b'S';
}
