//! What texts say: statements, kinds, spans.
