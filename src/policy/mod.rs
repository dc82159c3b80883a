//! Rules as written, compiled and matched: upstreams, channels, files.
