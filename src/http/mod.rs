//! HTTP semantics as pure functions (RFC 9110, 9111, 9457).
