//! The first process of a capsule: prepares the mounts, starts the site's process, reaps whatever is left to it.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, sethostname};

use super::{INSIDE, KEPT, ROLE, SITE_FOLDER, detach_mounts, mount_on};
use crate::cgroups::Cgroups;

/// Runs as pid 1 of the capsule until the site's process ends; its standard input leads to the supervisor.
pub(super) fn first_process() -> Result<()> {
    die_with_parent()?;
    // The supervisor's signal mask was inherited, and everything inside would go on to inherit it.
    SigSet::all().thread_unblock()?;
    // Asked for now: in other mounts, and maybe another root, the kernel would describe the old path.
    let this_command = std::env::current_exe()?;
    let id = std::env::var(INSIDE).context(INSIDE)?;
    let cgroups = Cgroups::detect()?;
    cgroups.become_root(&id)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)
        .context("new mount, network, ipc and uts namespaces")?;
    sethostname("lab")?;
    detach_mounts()?;
    mount_on(Path::new("/proc"), "proc", None)?;
    // A fresh /sys shows this network namespace's interfaces; it hides the cgroup mounts, which therefore come after it.
    mount_on(Path::new("/sys"), "sysfs", None)?;
    cgroups.mount()?;
    mount_on(Path::new("/run"), "tmpfs", Some("mode=755"))?;
    for folder in ["/run/netns", "/run/lock", SITE_FOLDER] {
        fs::create_dir_all(folder)?;
    }
    let site = Command::new(this_command)
        .args(std::env::args_os().skip(1))
        .env_remove(ROLE)
        .stdin(Stdio::null())
        .spawn()
        .context("starting the command inside the capsule")?;
    let code = reap_until(i32::try_from(site.id())?)?;
    if code == 0 && Path::new(KEPT).exists() {
        // From here on nobody waits for our output; a pipe that reads it must see its end.
        std::io::stdin().as_fd().try_clone_to_owned().map(fs::File::from)?.write_all(b"k")?;
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        dup2_stdin(&null)?;
        return reap_for_ever();
    }
    std::process::exit(code);
}

/// Asks the kernel to kill this process when the one that started it dies.
///
/// That is checked once more afterwards: standard input is the writing end of a pipe whose reading end only the parent
/// holds, so it shows an error if the parent died before the question was put.
pub(super) fn die_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("parent-death signal")?;
    let input = std::io::stdin();
    let mut ends = [PollFd::new(input.as_fd(), PollFlags::empty())];
    poll(&mut ends, PollTimeout::ZERO)?;
    if ends[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
        bail!("the process that started this one is gone");
    }
    Ok(())
}

/// Reaps children until `awaited` ends, and gives its exit code.
fn reap_until(awaited: i32) -> Result<i32> {
    loop {
        match waitpid(Pid::from_raw(-1), None) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == awaited => return Ok(code),
            // As a shell tells it.
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == awaited => return Ok(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error).context("waiting for the site's process"),
        }
    }
}

/// What the first process of a pid namespace is for: it becomes the parent of every orphan in there, and buries it.
///
/// Never returns well; starts nothing, so nothing inherits the blocked signal.
pub(crate) fn reap_for_ever() -> Result<()> {
    let children = SigSet::from_iter([Signal::SIGCHLD]);
    children.thread_block()?;
    loop {
        // One signal may stand for many children, so all that have ended are taken.
        while waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG))
            .is_ok_and(|status| status != WaitStatus::StillAlive)
        {}
        children.wait().context("waiting for children")?;
    }
}
