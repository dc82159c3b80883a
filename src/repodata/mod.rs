//! Index documents: streaming scan, package tables, generations, shards, refresh.
