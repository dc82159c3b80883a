//! Packages as they are made, as they break, and as they are made to deceive.

pub(in crate::channel) mod build;
mod honest;
mod hostile_tar;
mod hostile_zip;
mod index;
mod mutated;
mod packed;
