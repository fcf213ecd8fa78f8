//! Which interface of a node a vip is answered on.
//!
//! The Eip's `layer2.interfaces` come first, then its `interface`. Among several the first that is on the vip's subnet is taken,
//! else the first that is up. Where the Eip names none: the interface with the narrowest subnet that contains the vip, else
//! the one with the node's own address.

use std::net::IpAddr;

use ironlb_model::{
    Eip, Interface, InterfaceChoice, InterfaceName, Interfaces, IpFamily, Node, Prefix, ReportedInterface,
    SpeakerReport,
};

use crate::{LocalView, Reason};

/// An interface that a node could answer on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nic<'a> {
    pub(crate) name: &'a InterfaceName,
    pub(crate) up: bool,
    pub(crate) prefixes: &'a [Prefix],
}

impl Nic<'_> {
    /// The length of the narrowest of its subnets that contains `address`.
    fn narrowest(&self, address: IpAddr) -> Option<u8> {
        self.prefixes
            .iter()
            .filter(|prefix| is_subnet(prefix) && prefix.contains(&address))
            .map(Prefix::prefix_len)
            .max()
    }

    fn has(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.addr() == address)
    }
}

/// Is this prefix a subnet? One as long as the address is an address alone: kube-proxy's IPVS mode binds every vip like that, on
/// every node.
pub(crate) fn is_subnet(prefix: &Prefix) -> bool {
    prefix.prefix_len() < prefix.max_prefix_len()
}

/// Can frames for the node arrive on it, so that its speaker could answer there?
fn is_suitable(interface: &Interface) -> bool {
    !interface.loopback && interface.controller.is_none()
}

/// This node's interfaces, from the kernel.
pub(crate) fn own_nics(interfaces: &Interfaces) -> Vec<Nic<'_>> {
    let suitable = interfaces.by_name.values().filter(|interface| is_suitable(interface));
    suitable.map(|i| Nic { name: &i.name, up: i.up, prefixes: &i.prefixes }).collect()
}

/// Another node's, from its speaker's report.
pub(crate) fn reported_nics(report: Option<&SpeakerReport>) -> Vec<Nic<'_>> {
    let reported = report.into_iter().flat_map(|report| &report.interfaces);
    reported.map(|i| Nic { name: &i.name, up: i.up, prefixes: &i.prefixes }).collect()
}

/// What an Eip says about interfaces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// Nothing: the vip's subnet decides.
    Any,
    /// One of these, in order.
    Named(Vec<&'a InterfaceName>),
    /// That of the route to this address.
    CanReach(IpAddr),
}

impl<'a> Choice<'a> {
    pub(crate) fn of(eip: &'a Eip) -> Self {
        match &eip.interface {
            _ if !eip.interfaces.is_empty() => Self::Named(eip.interfaces.iter().collect()),
            InterfaceChoice::BySubnet => Self::Any,
            InterfaceChoice::Named(name) => Self::Named(vec![name]),
            InterfaceChoice::CanReach(target) => Self::CanReach(*target),
        }
    }

    /// The interfaces of another node that it may take, best first; `None` when only that node knows: its routes are its own, and
    /// from here only a target on one of its subnets is seen.
    pub(crate) fn allows_other<'n>(&self, nics: &[Nic<'n>]) -> Option<Vec<Nic<'n>>> {
        match self {
            Self::CanReach(target) => {
                let on_subnet = nics.iter().filter(|nic| nic.up && nic.narrowest(*target).is_some());
                on_subnet.max_by_key(|nic| nic.narrowest(*target)).map(|nic| vec![*nic])
            }
            Self::Any | Self::Named(_) => Some(self.allows_own(nics, None)),
        }
    }

    /// The interfaces of this node that it may take, best first; `route` is that of the route to the `can_reach` target.
    pub(crate) fn allows_own<'n>(&self, nics: &[Nic<'n>], route: Option<&InterfaceName>) -> Vec<Nic<'n>> {
        let named = |name: &InterfaceName| nics.iter().find(|nic| nic.name == name && nic.up).copied();
        match self {
            Self::Any => up(nics),
            Self::Named(names) => names.iter().filter_map(|name| named(name)).collect(),
            Self::CanReach(_) => route.and_then(named).into_iter().collect(),
        }
    }

    /// The interface taken among those allowed when the vip is on none of their subnets.
    pub(crate) fn off_subnet<'n>(&self, allowed: &[Nic<'n>], node: &Node, family: Option<IpFamily>) -> Option<Nic<'n>> {
        match self {
            Self::Any => {
                let mut own = node.addresses.iter().filter(|a| family.is_none_or(|family| IpFamily::of(**a) == family));
                let of_family = own.find_map(|address| allowed.iter().find(|nic| nic.has(*address)));
                of_family.or_else(|| allowed.iter().find(|nic| node.addresses.iter().any(|a| nic.has(*a)))).copied()
            }
            Self::Named(_) | Self::CanReach(_) => allowed.first().copied(),
        }
    }

    /// The interface taken among those allowed when the vip is on the subnet of one of them.
    pub(crate) fn on_subnet<'n>(&self, allowed: &[Nic<'n>], vip: IpAddr) -> Option<Nic<'n>> {
        let mut with_vip = allowed.iter().filter(|nic| nic.narrowest(vip).is_some());
        match self {
            Self::Named(_) => with_vip.next().copied(),
            // The first by name of equally narrow ones: `max_by_key` takes the last, so they are walked backwards.
            Self::Any | Self::CanReach(_) => {
                with_vip.collect::<Vec<_>>().into_iter().rev().max_by_key(|nic| nic.narrowest(vip)).copied()
            }
        }
    }

    /// Why none of this node's interfaces can be taken.
    pub(crate) fn reason(&self, view: &LocalView) -> Reason {
        let known = |name: &InterfaceName| view.interfaces.by_name.get(name);
        let unusable = |interface: &Interface| {
            let interface_name = interface.name.clone();
            if is_suitable(interface) {
                Reason::InterfaceDown { interface: interface_name }
            } else {
                Reason::InterfaceUnsuitable { interface: interface_name }
            }
        };
        match self {
            Self::Any => Reason::NoSubnet,
            Self::Named(names) => match names.iter().find_map(|name| known(name)) {
                Some(interface) => unusable(interface),
                None => Reason::InterfaceMissing { wanted: names.iter().copied().cloned().collect() },
            },
            Self::CanReach(target) => match view.can_reach.get(target).and_then(known) {
                Some(interface) => unusable(interface),
                None => Reason::CannotReach { target: *target },
            },
        }
    }
}

fn up<'n>(nics: &[Nic<'n>]) -> Vec<Nic<'n>> {
    nics.iter().filter(|nic| nic.up).copied().collect()
}

/// The interfaces that a speaker tells the others about: those it could answer on that have an address others can see, or that an
/// Eip names. A node has hundreds of others, one for each pod.
pub(crate) fn to_report<'a>(
    interfaces: &'a Interfaces,
    is_named: impl Fn(&InterfaceName) -> bool + 'a,
) -> impl Iterator<Item = &'a Interface> + 'a {
    interfaces.by_name.values().filter(move |interface| {
        let has_address = interface.prefixes.iter().any(|prefix| !is_link_local(prefix));
        is_suitable(interface) && (has_address || is_named(&interface.name))
    })
}

/// As it is reported.
pub(crate) fn reported(interface: &Interface) -> ReportedInterface {
    let mut prefixes: Vec<Prefix> =
        interface.prefixes.iter().filter(|prefix| !is_link_local(prefix)).copied().collect();
    prefixes.sort_unstable();
    ReportedInterface { name: interface.name.clone(), up: interface.up, prefixes }
}

fn is_link_local(prefix: &Prefix) -> bool {
    match prefix.addr() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
