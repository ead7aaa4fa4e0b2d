//! The batch of the extended protocol that a client has open.

/// Whether statements of ours would be part of an extended batch of the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// No batch is open, or a transaction block is, which a Sync does not end.
    None,
    /// The client's batch is open and is an implicit transaction.
    Clients,
}
