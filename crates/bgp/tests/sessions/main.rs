//! The driver on loopback addresses: with itself at the other end, and with an end that reads bytes with the codec.
//!
//! Each test has addresses of its own, so that all of them run side by side; none of them sleeps, each waits for what it wants to see.

mod far_end;
mod ground;
mod leaving;
mod listening;
mod reconfigured;
mod transport;
mod up;
