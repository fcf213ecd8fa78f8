//! Outside the capsule: start it, wait for it, remove what it cannot remove itself.

use std::fs;
use std::io::{PipeReader, Read, pipe};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, geteuid, setsid};

use super::{Capsule, INSIDE, ROLE, State, init, state_folder, sweep};
use crate::cgroups::Cgroups;
use crate::owner::SiteId;
use crate::watches::{self, Claim};

/// Starts the capsule's first process and stays until it is gone. `detached`: a command waits in front of us.
pub(super) fn supervisor(detached: bool) -> Result<Capsule> {
    if !geteuid().is_root() {
        bail!("the lab makes namespaces, bridges and control groups and must be run as root");
    }
    if detached {
        setsid().context("a session of its own")?;
        init::die_with_parent()?;
    }
    let _ = sweep().context("sweeping what earlier sites left")?;
    load_modules();
    let id = SiteId::of_this_process()?;
    let claim = Claim::of(&state_folder()?, &id)?;
    let cgroups = Cgroups::detect()?;
    cgroups.create(&id.to_string())?;
    let signals = block_signals()?;

    // Concerns children only; this process stays where it is, and can make no more threads after the first child.
    let (reader, writer) = pipe()?;
    let started = signals.start(Signal::SIGKILL, || {
        unshare(CloneFlags::CLONE_NEWPID).context("a new pid namespace")?;
        let mut command = this_command("first")?;
        command.env(INSIDE, id.to_string()).stdin(writer).spawn().context("starting the capsule")
    });
    let outcome = started.and_then(|mut first| {
        let mut state =
            State { id: id.to_string(), first_process: first.id(), command: std::env::args().collect(), kept: false };
        state.write()?;
        let kept = || {
            state.kept = true;
            state.write()?;
            if detached { leave_the_terminal() } else { Ok(()) }
        };
        // The first process's end waits for that of all inside, and what is frozen does not die.
        let ended = wait(&mut first, reader, kept, || cgroups.thaw_below(&id.to_string()));
        let _ = first.kill();
        let _ = first.wait();
        ended
    });
    for file in [format!("{id}.json"), watches::file_name(&id)] {
        let _ = fs::remove_file(state_folder()?.join(file));
    }
    drop(claim);
    cgroups.remove(&id.to_string())?;
    std::process::exit(outcome?);
}

/// Starts a supervisor in a session of its own, and waits until the site is to stay or has ended.
pub(super) fn in_front() -> Result<Capsule> {
    let signals = block_signals()?;
    let (reader, writer) = pipe()?;
    let mut supervisor = signals.start(Signal::SIGTERM, || {
        this_command("supervisor")?.stdin(writer).spawn().context("starting the supervisor")
    })?;
    let mut kept = false;
    let when_kept = || {
        kept = true;
        Ok(())
    };
    let code = wait(&mut supervisor, reader, when_kept, || ());
    std::process::exit(if kept { 0 } else { code? });
}

/// Asks for the kernel modules that are not loaded on first use; where they are built in or absent this does nothing.
fn load_modules() {
    let _ = Command::new("modprobe").args(["-qa", "br_netfilter", "overlay"]).stderr(Stdio::null()).status();
}

fn this_command(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(ROLE, role);
    Ok(command)
}

/// Waits until the child's end of the pipe is closed, which is its death, and gives its exit code. A byte on the pipe says
/// that the site is to stay; `when_kept` is called once, and a command in front returns then. `at_end` is called when the pipe is
/// closed and the child not yet gone.
fn wait(
    child: &mut Child,
    mut pipe: PipeReader,
    when_kept: impl FnOnce() -> Result<()>,
    at_end: impl FnOnce(),
) -> Result<i32> {
    let mut byte = [0];
    if pipe.read(&mut byte)? > 0 {
        when_kept()?;
        if std::env::var(ROLE).is_err() {
            return Ok(0);
        }
    }
    at_end();
    let status = child.wait()?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// The site stays and the command in front ends: tell it, let go of its terminal, and survive its death.
fn leave_the_terminal() -> Result<()> {
    set_pdeathsig(None)?;
    use std::io::Write;
    use std::os::fd::AsFd;
    std::io::stdin().as_fd().try_clone_to_owned().map(fs::File::from)?.write_all(b"k")?;
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// The signals that end a command, held back until there is a child to end.
struct Signals(SigSet);

fn block_signals() -> Result<Signals> {
    let set = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    set.thread_block()?;
    Ok(Signals(set))
}

impl Signals {
    /// Starts a child; a signal to us ends it by `signal`, and our own end follows from its.
    fn start(self, signal: Signal, spawn: impl FnOnce() -> Result<Child>) -> Result<Child> {
        // The thread is made before the child, because after a new pid namespace no thread can be made.
        let (tell, told) = std::sync::mpsc::channel::<i32>();
        thread::spawn(move || {
            let Ok(child) = told.recv() else { return };
            while self.0.wait().is_ok() {
                let _ = kill(Pid::from_raw(child), signal);
            }
        });
        let child = spawn()?;
        tell.send(i32::try_from(child.id())?).context("the thread that waits for signals")?;
        Ok(child)
    }
}
