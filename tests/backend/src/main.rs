//! The back end.
fn main() {}
