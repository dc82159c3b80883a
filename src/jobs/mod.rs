//! Jobs: work that is done later, again if it fails, by whichever gate comes first.
//!
//! A job is a row of the store's queue. Whoever claims it has it for the length of a lease and says again and again that it is alive; a gate
//! that dies says nothing, and when its lease is over another gate runs the job. So a job runs at least once, and what it does must bear to
//! be done twice. What fails is tried again, each time later, with a little chance in it so that a crowd does not come back at
//! once; after the last time it is dead, and waits for a person (`condagate jobs`).
//!
//! ```text
//! queue      orders: what, when at the earliest, one at a time or not
//! schedule   orders that come by themselves; one of all gates places each
//! runner     claims, keeps the lease, bounds and catches; lets go at a stop
//! desk       what a person does: look, retry, cancel
//! ```
//!
//! Belongs here: all of that. Does not: what a job does (each [`Kind`] is of the room whose work it is), rows (`store`).

mod desk;
mod kind;
pub mod kinds;
mod queue;
mod runner;
mod schedule;
#[cfg(test)]
mod tests;
pub mod view;

pub use desk::{Desk, DeskError};
pub use kind::{Events, Failure, Kind, Outcome};
pub use queue::{Order, Queue, Queued};
pub use runner::{Runner, RunnerParts, RunnerSettings};
pub use schedule::Schedule;
