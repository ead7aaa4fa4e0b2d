//! The integration tests: one program, so that it is linked once, with a module per subject.
//!
//! They start clusters and proxies of their own (`support`), need no network beyond 127.0.0.1, no fixed port and no order.

#![cfg(test)]

mod alembic;
mod auth;
mod by_hand;
mod check;
mod check_formats;
mod check_live;
mod config;
mod corpus;
mod demo;
mod docker;
mod docs;
mod explain;
mod drivers;
mod drivers_psql;
mod drivers_rust;
mod faults;
mod faults_stage;
mod guards;
mod guards_hazards;
mod guards_modes;
mod guards_unseen;
mod guards_waiting;
mod hold;
mod hold_console;
mod hold_freeze;
mod ladder;
mod ladder_scripts;
mod ladder_settings;
mod left_overs;
mod lifecycle;
mod oracle;
mod oracle_forms;
mod plans;
mod plans_attach;
mod plans_column;
mod plans_faults;
mod plans_kin;
mod plans_names;
mod plans_views;
mod plans_not_null;
mod plans_partitions;
mod plans_undo;
mod operate;
mod ops_standby;
mod ops_upstream;
mod security;
mod security_bypass;
mod security_cancel;
mod security_login;
mod security_scram;
mod security_server;
mod startup;
mod support;
mod tidy;
mod tls;
mod transparent;
mod transparent_copy;
mod transparent_stream;
mod transparent_tools;
mod wire;
mod wire_guarded;
mod wire_held;
