//! The front door: listening, reading requests, planning and writing answers with pingora.

pub mod head;
