//! (types to be written by the owner of sql/)
