//! Decisions: the hazard pages' cases, and the policy's own.

mod catalogue;
mod pages;
mod rules;
