//! Placeholder for the crate's own text.
