//! The live view that the data plane reads.
