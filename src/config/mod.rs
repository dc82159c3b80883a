//! Configuration: raw (as written) to validated settings, and the loading of rules.
