//! The engine against scripted upstreams.
