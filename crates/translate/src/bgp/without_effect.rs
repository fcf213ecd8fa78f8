//! Fields that OpenELB has and that nothing here could obey. They are accepted, and told where they ask for something.

use ironlb_api as api;
use ironlb_api::bgp_peer::{PeerConf, Transport};
use ironlb_model::IssueReason;

use super::fields::Faults;

/// Why what concerns routes of the router's has no effect.
const NOTHING_IS_IMPORTED: &str = "routes of the router's are counted and not used";

/// What of a BgpConf's spec has none.
pub(super) fn of_conf(spec: &api::BgpConfSpec, faults: &mut Faults) {
    let asks = spec.use_multiple_paths == Some(true);
    faults.without_effect("spec.useMultiplePaths", asks, NOTHING_IS_IMPORTED);
}

/// What of a BgpPeer's spec has none.
pub(super) fn of_peer(spec: &api::BgpPeerSpec, faults: &mut Faults) {
    let asks = spec.using_port_forward == Some(true);
    faults.without_effect(
        "spec.usingPortForward",
        asks,
        "set spec.listenPort of the BgpConf to the port that routers know",
    );
    if let Some(conf) = &spec.conf {
        of_peer_conf(conf, faults);
    }
    if let Some(transport) = &spec.transport {
        of_transport(transport, faults);
    }
    let timers = spec.timers.as_ref().and_then(|timers| timers.config.as_ref());
    let interval = timers.and_then(|timers| timers.minimum_advertisement_interval.as_deref()).map(str::trim);
    faults.without_effect(
        "spec.timers.config.minimumAdvertisementInterval",
        interval.is_some_and(|text| !matches!(text, "" | "0")),
        "routers hear of a change at once, which is mostly a node that cannot take traffic any more",
    );
    for (index, entry) in spec.afi_safis.iter().flatten().enumerate() {
        let path = format!("spec.afiSafis[{index}]");
        let is_off = entry.config.as_ref().is_some_and(|config| config.enabled == Some(false));
        let why = "a family that is listed is enabled: take it out of the list";
        faults.without_effect(&format!("{path}.config.enabled"), is_off, why);
        let receives = entry.add_paths.as_ref().and_then(|paths| paths.config.as_ref()).and_then(|c| c.receive);
        let field = format!("{path}.addPaths.config.receive");
        faults.without_effect(&field, receives == Some(true), NOTHING_IS_IMPORTED);
    }
}

fn of_peer_conf(conf: &PeerConf, faults: &mut Faults) {
    let is_text = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    let is_number = |number: Option<i64>| number.is_some_and(|number| number != 0);
    for (field, asks, why) in [
        ("peerGroup", is_text(conf.peer_group.as_deref()), "there are no peer groups: write what it says here"),
        ("vrf", is_text(conf.vrf.as_deref()), "there are no VRFs: the session is in the node's own network"),
        ("peerType", is_number(conf.peer_type), "equal AS numbers make an internal peer, others an external one"),
        ("routeFlapDamping", conf.route_flap_damping == Some(true), NOTHING_IS_IMPORTED),
        ("sendCommunity", is_number(conf.send_community), "communities are always sent"),
        ("allowOwnAs", is_number(conf.allow_own_as), NOTHING_IS_IMPORTED),
    ] {
        faults.without_effect(&format!("spec.conf.{field}"), asks, why);
    }
}

fn of_transport(transport: &Transport, faults: &mut Faults) {
    let given = transport.remote_address.as_deref().is_some_and(|text| !text.trim().is_empty());
    for (field, asks, why) in [
        ("mtuDiscovery", transport.mtu_discovery == Some(true), "the kernel does as net.ipv4.ip_no_pmtu_disc says"),
        ("remoteAddress", given, "spec.conf.neighborAddress counts"),
        ("tcpMss", transport.tcp_mss.is_some_and(|mss| mss != 0), "the kernel finds it by the path"),
    ] {
        faults.without_effect(&format!("spec.transport.{field}"), asks, why);
    }
}

/// What of a graceful restart that is enabled has none.
pub(super) fn of_graceful_restart(field: &str, given: &api::GracefulRestart, faults: &mut Faults) {
    const A_STATE: &str = "it is a state and not a setting";
    let is_number = |number: Option<i64>| number.is_some_and(|number| number != 0);
    let has_mode = given.mode.as_deref().is_some_and(|mode| !mode.trim().is_empty());
    for (name, asks, why) in [
        ("deferralTime", is_number(given.deferral_time), "no routes are chosen, so nothing waits for the router's"),
        (
            "staleRoutesTime",
            is_number(given.stale_routes_time),
            "no routes of the router's are kept; how long it keeps ours, restartTime says",
        ),
        ("peerRestartTime", is_number(given.peer_restart_time), "it is what the router says"),
        ("longlivedEnabled", given.longlived_enabled == Some(true), "plain graceful restart is negotiated"),
        ("peerRestarting", given.peer_restarting == Some(true), A_STATE),
        ("localRestarting", given.local_restarting == Some(true), A_STATE),
        ("mode", has_mode, "helperOnly and notificationEnabled say how"),
    ] {
        faults.without_effect(&format!("{field}.{name}"), asks, why);
    }
}

impl Faults {
    /// Tells of a field that asks for something in vain.
    fn without_effect(&mut self, field: &str, asks: bool, why: &str) {
        if asks {
            self.add(field, IssueReason::Ignored, format!("it has no effect: {why}"));
        }
    }
}
