//! The `ironlb` binary.
fn main() {}
