//! The judge against a small catalogue.

mod catalogue;
mod curbs;
mod pages;
mod properties;
mod rules;
mod sequence;
mod show;
