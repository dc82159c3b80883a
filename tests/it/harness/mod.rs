//! What the tests stand on: a scripted upstream, a gate in front of it, a client that sees every byte.
//!
//! Belongs here: everything more than one test file needs. Does not: assertions about one feature.

pub mod archive;
pub mod browser;
pub mod channel;
pub mod client;
pub mod databases;
pub mod digest;
pub mod gate;
pub mod home;
pub mod hosted;
#[path = "../../../src/store/contract/server.rs"]
pub mod mongodb;
pub mod people;
pub mod process;
pub mod publishers;
pub mod rules;
pub mod secrets;
pub mod secure;
pub mod server;
pub mod shards;
pub mod stage;
pub mod tls;
pub mod upstream;
pub mod views;
pub mod wait;
pub mod wire;

pub use browser::Browser;
pub use channel::{Channel, package};
pub use client::{Answer, Connection, End, Request};
pub use databases::Databases;
pub use gate::{Gate, Setup};
pub use home::Home;
pub use hosted::{Stock, Stocked};
pub use people::Society;
pub use process::Process;
pub use publishers::Publishers;
pub use server::Server;
pub use stage::Stage;
pub use tls::Tls;
pub use upstream::{Act, File, Upstream};
pub use views::{Records, View};
pub use wait::{Latch, eventually, eventually_true, skipped};
