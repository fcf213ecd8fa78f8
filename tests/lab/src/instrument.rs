//! What the instruments have in common: each is a thread in a namespace, and its failure must not be lost.

use std::io;
use std::thread::JoinHandle;

/// The outcome of an instrument's thread, whether it ended, failed, never got into its namespace, or panicked.
pub(crate) fn ended<T>(thread: JoinHandle<io::Result<io::Result<T>>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the instrument's thread panicked")))?
}
