//! The pause container: does nothing, for as long as the pod lives.

use std::io;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::signals::Signals;

/// Sleeps until SIGTERM or SIGINT. As process 1 of a pod's PID namespace it is handed orphans, which it reaps.
///
/// # Errors
/// A failed system call.
pub(crate) fn run() -> io::Result<()> {
    let signals = Signals::block(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD])?;
    // A child may have ended before its signal was blocked.
    reap();
    while signals.wait()? == Signal::SIGCHLD {
        reap();
    }
    Ok(())
}

/// Takes every child that has ended: several may stand behind one pending signal.
fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}
