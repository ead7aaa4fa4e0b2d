<<<<<<< HEAD
//! Decisions: the hazard pages' cases, and the policy's own.
=======
//! The judge against a small catalogue.
>>>>>>> main

mod catalogue;
mod pages;
mod rules;
