//! The LAN: a bridge in a namespace of its own, and a cable to every host.
//!
//! A cable is a veth pair: the end in the switch has the host's name, the end at the host is `eth0`. Pulling a cable takes
//! the switch's end down, so that the host sees its carrier go, as with a real one.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::netns::{CONTROL_PLANE, NIC, Netns, SWITCH};
use crate::spec::{Address, Behind};

/// Makes the switch and attaches the hosts.
pub(crate) fn build(hosts: &[Address]) -> Result<()> {
    run("ip", &["netns", "add", SWITCH], "")?;
    // Frames between ports are the bridge's business alone, not the packet filter's of this namespace.
    set_kernel(
        SWITCH,
        &[
            ("bridge/bridge-nf-call-iptables", "0"),
            ("bridge/bridge-nf-call-ip6tables", "0"),
            ("bridge/bridge-nf-call-arptables", "0"),
        ],
    )?;
    run(
        "ip",
        &["-n", SWITCH, "-batch", "-"],
        "link add br0 type bridge forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
    )?;
    hosts.iter().try_for_each(|host| attach(host, hosts))
}

/// Makes the host's namespace, its cable, its addresses and its routes. `all` are the hosts of the site.
pub(crate) fn attach(host: &Address, all: &[Address]) -> Result<()> {
    let is_capsule = host.name == CONTROL_PLANE;
    if !is_capsule {
        run("ip", &["netns", "add", &host.name], "")?;
    }
    // The capsule's namespace has no name among the others; its first process stands for it.
    let namespace = if is_capsule { "1" } else { &host.name };
    let (name, mac) = (&host.name, &host.mac);
    let cable = format!(
        "link add {name} type veth peer name {NIC} address {mac} netns {namespace}\nlink set {name} master br0 up\n"
    );
    // Inside the switch `1` would be looked up in this process's view all the same: it is a process id.
    run("ip", &["-n", SWITCH, "-batch", "-"], &cable)?;
    let forwards = if host.node.is_some() || host.router || is_capsule { "1" } else { "0" };
    set_kernel(
        name,
        &[
            ("ipv4/ip_forward", forwards),
            ("ipv6/conf/all/forwarding", forwards),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            // The gateway is one hop too many between two hosts of the LAN; nobody shall learn shortcuts from it.
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
            ("ipv4/conf/eth0/send_redirects", "0"),
            // Addresses are the lab's own, so nothing waits a second for duplicates.
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/eth0/accept_dad", "0"),
            ("ipv6/conf/eth0/accept_ra", "0"),
        ],
    )?;
    let mut lines = format!(
        "link set lo up\nlink set {NIC} up\naddress add {}/24 dev {NIC}\naddress add {}/64 dev {NIC} nodad\n",
        host.v4, host.v6
    );
    if !is_capsule {
        let gateway = Address::control_plane();
        writeln!(lines, "route add default via {}\nroute add default via {}", gateway.v4, gateway.v6)?;
    }
    // A router knows of pods what it is told by its daemon: nothing.
    for other in all.iter().filter(|other| *other != host && forwards == "1" && !host.router) {
        if let Some((v4, v6)) = other.networks() {
            writeln!(lines, "route add {v4} via {}\nroute add {v6} via {}", other.v4, other.v6)?;
        }
    }
    if is_capsule {
        run("ip", &["-batch", "-"], &lines)?
    } else {
        run("ip", &["-n", name, "-batch", "-"], &lines)?
    }
    if host.router {
        set_kernel(name, &SPREAD)?;
    }
    host.behind.as_ref().map_or(Ok(()), |behind| attach_behind(name, behind))
}

/// How a router chooses among several next hops: by the five-tuple, and by the same seed each time. Policy 1, which says that too,
/// takes a hash that a veth hands over from the sender's socket, so that the packets of one connection part ways (measured: 60 %
/// of repeats); policy 3 computes its own from the named fields.
const SPREAD: [(&str, &str); 5] = [
    ("ipv4/fib_multipath_hash_fields", "55"),
    ("ipv6/fib_multipath_hash_fields", "55"),
    ("ipv4/fib_multipath_hash_policy", "3"),
    ("ipv6/fib_multipath_hash_policy", "3"),
    ("ipv4/fib_multipath_hash_seed", "12345"),
];

/// The interface of a router that leads to the client behind it.
const CLIENT_SIDE: &str = "clients";

/// Makes the client behind a router, on a link of its own.
fn attach_behind(router: &str, behind: &Behind) -> Result<()> {
    let client = &behind.host;
    run("ip", &["netns", "add", client], "")?;
    let cable = format!("link add {CLIENT_SIDE} type veth peer name {NIC} netns {client}\n");
    run("ip", &["-n", router, "-batch", "-"], &cable)?;
    let no_duplicates: [(&str, &str); 2] = [("ipv6/conf/default/accept_dad", "0"), ("ipv4/conf/all/rp_filter", "0")];
    set_kernel(client, &no_duplicates)?;
    let (gateway, own) = (behind.addresses(1), behind.addresses(2));
    let router_side = format!(
        "link set {CLIENT_SIDE} up\naddress add {}/24 dev {CLIENT_SIDE}\naddress add {}/64 dev {CLIENT_SIDE} nodad\n",
        gateway.0, gateway.1
    );
    let client_side = format!(
        "link set lo up\nlink set {NIC} up\naddress add {}/24 dev {NIC}\naddress add {}/64 dev {NIC} nodad
route add default via {}\nroute add default via {}\n",
        own.0, own.1, gateway.0, gateway.1
    );
    run("ip", &["-n", router, "-batch", "-"], &router_side)?;
    run("ip", &["-n", client, "-batch", "-"], &client_side)
}

/// Takes the client behind a router away.
pub(crate) fn detach_behind(behind: &Behind) -> Result<()> {
    run("ip", &["netns", "delete", &behind.host], "")
}

/// Takes the host's cable and namespace away for good.
pub(crate) fn detach(host: &str) -> Result<()> {
    // Deleting one end deletes the other at once; the namespace's own end would linger until the kernel cleans up.
    run("ip", &["-n", SWITCH, "link", "delete", host], "")?;
    if host == CONTROL_PLANE { Ok(()) } else { run("ip", &["netns", "delete", host], "") }
}

/// Takes the switch itself away.
pub(crate) fn remove() -> Result<()> {
    run("ip", &["netns", "delete", SWITCH], "")
}

/// Plugs a host's cable in or pulls it.
pub(crate) fn set_cable(host: &str, plugged: bool) -> Result<()> {
    run("ip", &["-n", SWITCH, "link", "set", host, if plugged { "up" } else { "down" }], "")
}

/// Drops every frame between a host of `left` and one of `right`, in both directions, until [`heal`].
pub(crate) fn partition(left: &[&str], right: &[&str]) -> Result<()> {
    let ports = |hosts: &[&str]| hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", ");
    let (left, right) = (ports(left), ports(right));
    if left.is_empty() || right.is_empty() {
        bail!("a partition has two sides");
    }
    let rules = format!(
        "add table bridge partition
add chain bridge partition forward {{ type filter hook forward priority 0; policy accept; }}
add rule bridge partition forward iifname {{ {left} }} oifname {{ {right} }} counter drop
add rule bridge partition forward iifname {{ {right} }} oifname {{ {left} }} counter drop
"
    );
    Netns::named(SWITCH).run(|| run("nft", &["-f", "-"], &rules))?
}

/// Undoes every [`partition`].
pub(crate) fn heal() -> Result<()> {
    // Adding first makes the deletion right also where there is none.
    let rules = "add table bridge partition\ndelete table bridge partition\n";
    Netns::named(SWITCH).run(|| run("nft", &["-f", "-"], rules))?
}

/// Writes settings below `/proc/sys/net` of a host's namespace. One that this kernel does not have is passed over.
fn set_kernel(host: &str, settings: &[(&str, &str)]) -> Result<()> {
    Netns::named(host).run(|| {
        for (name, value) in settings {
            let file = format!("/proc/sys/net/{name}");
            if fs::exists(&file)? {
                fs::write(&file, value).with_context(|| file)?;
            }
        }
        Ok(())
    })?
}

/// Runs a command with `input`; its standard error is the message of a failure.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{program} (is it installed?)"))?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{program} {}: {}\n{input}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
