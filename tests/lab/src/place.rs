//! Where a process of the site runs: in the capsule, in a host's network namespace, or inside a node.
//!
//! A node is a set of namespaces of its own (pid, mount, network, ipc, uts, cgroup) held by a first process. Killing that
//! process ends everything in the node at once, which is what a power cut is.
//!
//! Processes enter a node by way of this executable: a thread whose children belong to the node's pid namespace starts it
//! in the role `join`; that moves itself into the node's other namespaces and control group and then becomes the program.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::SigSet;
use nix::unistd::{chroot, fchdir, sethostname};

use crate::capsule::init::reap_for_ever;
use crate::capsule::{ROLE, SITE_FOLDER, bind, detach_mounts, mount_on, propagate};
use crate::cgroups::Cgroups;
use crate::netns::Netns;

/// Names the node a child in the role `node` or `join` is for.
const NODE: &str = "IRONLB_LAB_NODE";
/// What a node's first process prints when everything is in place.
const READY: &str = "ready";

/// A place where processes can be started.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The capsule itself, which is the control plane's host.
    Capsule,
    /// The inside of the node of this name.
    Node(String),
    /// The capsule, but with the network of the host of this name.
    Host(String),
}

impl Place {
    /// A command that will run here: give it its streams and environment, then hand it to [`Place::spawn`] or
    /// [`Place::output`] of the same place.
    pub(crate) fn command(&self, argv: &[String]) -> Result<Command> {
        let (program, arguments) = argv.split_first().context("an empty command")?;
        Ok(match self {
            Self::Capsule | Self::Host(_) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            Self::Node(node) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(argv).env(ROLE, "join").env(NODE, node);
                command
            }
        })
    }

    /// Starts the command, in a process group of its own: signals from a terminal are the supervisor's business.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command.process_group(0);
        self.inside(|| command.spawn())
    }

    /// Runs the command to its end, with its output captured.
    pub(crate) fn output(&self, command: &mut Command) -> io::Result<Output> {
        self.inside(|| command.output())
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match self {
            Self::Capsule => work(),
            Self::Host(host) => Netns::named(host).run(work)?,
            Self::Node(node) => in_pid_namespace(node, work),
        }
    }
}

/// The folder of a node below [`SITE_FOLDER`].
pub(crate) fn node_folder(node: &str) -> PathBuf {
    Path::new(SITE_FOLDER).join(node)
}

/// The node's first process as seen in the capsule; None while the node has no power.
pub(crate) fn first_process_of(node: &str) -> Option<u32> {
    fs::read_to_string(node_folder(node).join("first")).ok()?.trim().parse().ok()
}

/// Starts the node's first process, inside the network namespace of the node's name, and waits until it is ready.
pub(crate) fn boot(node: &str) -> Result<Child> {
    let mut child = Netns::named(node)
        .run(|| {
            unshare(CloneFlags::CLONE_NEWPID)?;
            let mut command = Command::new(std::env::current_exe()?);
            command
                .env(ROLE, "node")
                .env(NODE, node)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .process_group(0)
                .spawn()
        })?
        .with_context(|| format!("starting the first process of {node}"))?;
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut said)?;
    }
    if said.trim() != READY {
        let _ = child.kill();
        let _ = child.wait();
        bail!("the first process of {node} failed (see above)");
    }
    fs::write(node_folder(node).join("first"), child.id().to_string())?;
    Ok(child)
}

/// Runs `work` on a thread whose children are members of the node's pid namespace.
fn in_pid_namespace<T: Send>(node: &str, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name(format!("into-{node}")).spawn_scoped(scope, || {
            enter_pid_namespace(node)?;
            work()
        })?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes the children of the calling thread, from now on, members of the node's pid namespace.
pub(crate) fn enter_pid_namespace(node: &str) -> io::Result<()> {
    let first = first_process_of(node).ok_or_else(|| io::Error::other(format!("{node} has no power")))?;
    Ok(setns(File::open(format!("/proc/{first}/ns/pid"))?, CloneFlags::CLONE_NEWPID)?)
}

/// Moves the calling process, which has one thread, into namespaces of another one, and to its root.
pub(crate) fn enter_namespaces(process: u32, names: &[&str]) -> Result<()> {
    let root = File::open(format!("/proc/{process}/root"))?;
    // All are opened before the mount namespace changes, and with it the meaning of /proc.
    let files: Vec<File> =
        names.iter().map(|name| File::open(format!("/proc/{process}/ns/{name}"))).collect::<io::Result<_>>()?;
    for file in files {
        setns(file, CloneFlags::empty())?;
    }
    // A new mount namespace's root is the machine's, also where the site lives in a chroot.
    fchdir(root)?;
    chroot(".")?;
    Ok(())
}

/// The role `join`: moves this process into the node and becomes the program that the arguments name.
pub(crate) fn join_node() -> Result<()> {
    let node = std::env::var(NODE).context(NODE)?;
    let mut argv = std::env::args_os().skip(1);
    let program = argv.next().context("an empty command")?;
    Cgroups::detect()?.join(&node)?;
    let first = first_process_of(&node).with_context(|| format!("{node} has no power"))?;
    enter_namespaces(first, &["cgroup", "ipc", "uts", "net", "mnt"]).with_context(|| format!("entering {node}"))?;
    // A command that waits for this one may have held signals back.
    SigSet::all().thread_unblock()?;
    let error = Command::new(&program).args(argv).env_remove(ROLE).env_remove(NODE).exec();
    Err(error).with_context(|| format!("{} on {node}", program.to_string_lossy()))
}

/// The role `node`: pid 1 of a node, already in its network namespace. Mounts what is the node's own, then reaps.
pub(crate) fn node_process() -> Result<()> {
    let node = std::env::var(NODE).context(NODE)?;
    let cgroups = Cgroups::detect()?;
    cgroups.become_root(&node)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)
        .context("new mount, ipc and uts namespaces")?;
    sethostname(&node)?;
    detach_mounts()?;
    mount_on(Path::new("/proc"), "proc", None)?;
    mount_on(Path::new("/sys"), "sysfs", None)?;
    cgroups.mount()?;
    let folder = node_folder(&node);
    own_folders(&folder)?;
    settled_kernel(&folder.join("kernel"))?;
    println!("{READY}");
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    // A site that is kept must not hold on to the terminal or the pipe of the command that made it.
    nix::unistd::dup2_stderr(&null)?;
    reap_for_ever()
}

/// Gives the node folders of its own where every node has the same path, so that all programs run with their defaults:
/// /run (lost at a power cut), /var/log, and what lies below /var/lib (kept, as on a disk).
fn own_folders(folder: &Path) -> Result<()> {
    let (run, disk) = (folder.join("run"), folder.join("disk"));
    // The site's folder stays visible at its own path below the new /run.
    let site = run.join("lab");
    for folder in [&site, &disk.join("upper"), &disk.join("work"), &disk.join("log")] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    mount(Some(SITE_FOLDER), &site, None::<&str>, MsFlags::MS_BIND, None::<&str>).context("the site's folder")?;
    bind(&disk.join("log"), Path::new("/var/log"))?;
    let options = format!("lowerdir=/var/lib,upperdir={0}/upper,workdir={0}/work", disk.display());
    mount_on(Path::new("/var/lib"), "overlay", Some(&options))?;
    for name in ["containerd", "kubelet", "cni"] {
        // Not through the overlay: containerd makes overlays of its own on top, and those cannot be stacked.
        let (own, seen) = (disk.join(name), Path::new("/var/lib").join(name));
        fs::create_dir_all(&own)?;
        fs::create_dir_all(&seen)?;
        bind(&own, &seen)?;
    }
    bind(&run, Path::new("/run"))?;
    // As on a machine with systemd: what the kubelet mounts for a pod reaches the runtime's mount namespaces.
    propagate("/", MsFlags::MS_SHARED).context("shared mounts")
}

/// The kernel settings that a kubelet changes when they are not as it wants them. They belong to the whole machine, so
/// the node is shown files that already say what it wants, and the machine is left alone.
fn settled_kernel(folder: &Path) -> Result<()> {
    let settings = [
        ("vm/overcommit_memory", "1"),
        ("vm/panic_on_oom", "0"),
        ("kernel/panic", "10"),
        ("kernel/panic_on_oops", "1"),
        ("kernel/keys/root_maxkeys", "1000000"),
        ("kernel/keys/root_maxbytes", "25000000"),
    ];
    fs::create_dir_all(folder)?;
    for (name, value) in settings {
        let (own, seen) = (folder.join(name.replace('/', ".")), Path::new("/proc/sys").join(name));
        fs::write(&own, format!("{value}\n"))?;
        if seen.exists() {
            bind(&own, &seen)?;
        }
    }
    Ok(())
}
