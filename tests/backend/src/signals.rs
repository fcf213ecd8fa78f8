//! Signals as values: blocked in every thread, taken one by one by the thread that waits.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// The signals this program takes, blocked for the calling thread and all it starts afterwards.
///
/// Blocking matters beyond order: the kernel drops a default-handled signal sent to process 1 of a PID namespace,
/// which is what this program is in a container, unless it is blocked.
#[derive(Debug)]
pub(crate) struct Signals(SigSet);

impl Signals {
    /// Blocks `wanted`; call before the first thread is started.
    ///
    /// # Errors
    /// Never for real signals; the system call's error otherwise.
    pub(crate) fn block(wanted: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in wanted {
            set.add(*signal);
        }
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Waits for the next signal of the set.
    ///
    /// # Errors
    /// The system call's error.
    pub(crate) fn wait(&self) -> io::Result<Signal> {
        loop {
            match self.0.wait() {
                Ok(signal) => return Ok(signal),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
