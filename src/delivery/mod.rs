//! Delivering files: joins the cache and upstreams for packages, shards, documents and plain files.
