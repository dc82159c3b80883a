//! Fetching from upstream channels: mirror sets, health, retries, credentials.
