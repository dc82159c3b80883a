//! condagate: a reverse-proxy caching gateway for conda channels.
//!
//! Rooms, from the ground up; arrows point down only (`tests/it/tidy.rs` holds the table):
//!
//! | layer | rooms |
//! |---|---|
//! | kernel, no I/O | `clock` `id` `secret` `http` `about` |
//! | domain, pure | `conda` `policy` |
//! | engines, one kind of I/O each | `cache` `upstream` `store` `auth` `telemetry` |
//! | services, use cases | `repodata` `delivery` `snapshot` `people` `identity` `trail` `channel` `backup` `jobs` `notify` `manage` `sight` |
//! | edges, translate protocols | `proxy` `api` `web` `cli` |
//! | wiring | `config` `app` |

pub mod about;
pub mod api;
pub mod app;
pub mod auth;
pub mod backup;
pub mod cache;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod conda;
pub mod config;
pub mod delivery;
pub mod http;
pub mod id;
pub mod identity;
pub mod jobs;
pub mod manage;
pub mod notify;
pub mod people;
pub mod policy;
pub mod proxy;
pub mod repodata;
pub mod secret;
pub mod sight;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod trail;
pub mod upstream;
pub mod web;
