//! Logging, the access log, metrics and health.
