//! The disk cache: verified blobs, fills with followers, eviction, recovery.
