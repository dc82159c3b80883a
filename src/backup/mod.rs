//! Backups: everything that nobody else could give again, as one directory that grows by what is new.
//!
//! ```text
//! DIR/manifests/<n>-<when>.backup   one backup: every file it is made of, by digest; written last (see `manifest`)
//! DIR/blobs/sha256/ab/<hex>         the bytes, named by digest: packages, the dump of the store, rules, settings, sightings
//! DIR/incoming/                     being written; emptied by whoever writes next
//! DIR/damaged/                      what a check set aside, so that the next backup copies it anew
//! DIR/lock                          one writer at a time
//! ```
//!
//! A backup is made while the gate runs, and asks it nothing. The order is what makes it whole. A package's file is on the disk
//! before its row is in the store, so the store is dumped first and the files that the dump names are copied after: each was there
//! when its row was. One may have been deleted since, with its row; then the store is dumped again, and the new dump no longer
//! names it. What two dumps in a row name and is not there is missing on this gate, and said to be. A manifest is written when all it
//! names is on the disk, so that a backup which breaks off leaves the older ones as they were.
//!
//! | file | what it knows |
//! |---|---|
//! | `shelf` | the directory: locked, files put in and read |
//! | `manifest` | the list of one backup, as lines of JSON with a digest at the end |
//! | `make` `prune` | making one, letting old ones go |
//! | `verify` | reading everything again |
//! | `restore` | putting one back where nothing is |
//!
//! Belongs here: which files make a gate, how they are kept and put back. Does not: the format of a dump (`store`), where settings come
//! from (`config`), what is printed (`cli`).

mod error;
mod files;
mod make;
mod manifest;
mod prune;
mod restore;
mod shelf;
mod verify;

pub use error::BackupError;
pub use make::{Made, Sources, make};
pub use manifest::{Entry, Id, Manifest, Part};
pub use prune::{Pruned, prune};
pub use restore::{Restore, Targets, unfinished};
pub use shelf::Shelf;
pub use verify::{Verified, verify};
