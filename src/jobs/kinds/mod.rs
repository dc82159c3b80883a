//! Kinds of jobs that are the gate's own housekeeping. Others come from the rooms whose work they are.

mod forget;

pub use forget::ForgetOld;
