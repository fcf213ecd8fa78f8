//! Every name that has a meaning on an object: OpenELB's, Kubernetes' and ours.
//!
//! OpenELB uses some texts twice, once as an annotation and once as a label; the modules keep them apart.

/// The class of Services that are ours without an annotation (`--load-balancer-class` changes it).
pub const LOAD_BALANCER_CLASS: &str = "ironlb.io/ironlb";

/// The only name under which a BgpConf is used.
pub const BGP_CONF_NAME: &str = "default";

/// Annotations.
pub mod annotation {
    /// On a Service: [`OPT_IN_VALUE`] makes it ours, any other value not ours.
    pub const OPT_IN: &str = "lb.kubesphere.io/v1alpha1";
    /// The value of [`OPT_IN`] that counts.
    pub const OPT_IN_VALUE: &str = "openelb";
    /// On a Service: the wanted address, or one of each family separated by a comma.
    pub const WANTED_ADDRESS: &str = "eip.openelb.kubesphere.io/v1alpha1";
    /// On a Service: the name of the Eip to take an address from. The same text is a label, see [`super::label::EIP`].
    pub const WANTED_EIP: &str = "eip.openelb.kubesphere.io/v1alpha2";
    /// On a Service: the protocol (`bgp`, `layer2`, `vip`) its Eip must have, by the rule of OpenELB 0.5 and before.
    pub const PROTOCOL: &str = "protocol.openelb.kubesphere.io/v1alpha1";
    /// On a Node: its address, or a CIDR its address lies in, that says which interface Layer 2 uses there. On a
    /// Service OpenELB 0.5 wrote the chosen node here; that is not read.
    pub const LAYER2: &str = "layer2.openelb.kubesphere.io/v1alpha1";
    /// On an Eip: exactly `true` makes it the Eip of Services that name none.
    pub const DEFAULT_EIP: &str = "eip.openelb.kubesphere.io/is-default-eip";
    /// On a Service: `deployment` or `daemonset`, OpenELB's NodeProxy mode.
    pub const NODE_PROXY_TYPE: &str = "node-proxy.openelb.kubesphere.io/type";
    /// On a Service: NodeProxy's external node addresses.
    pub const NODE_PROXY_EXTERNAL_IP: &str = "node-proxy.openelb.kubesphere.io/external-ip";
    /// On a Service: NodeProxy's internal node addresses.
    pub const NODE_PROXY_INTERNAL_IP: &str = "node-proxy.openelb.kubesphere.io/internal-ip";

    /// On a Service: the addresses it holds, separated by commas; read only as a wish.
    pub const ADDRESSES: &str = "ironlb.io/addresses";
    /// On a Node: present, its speaker hands its vips over and takes none.
    pub const DRAIN: &str = "ironlb.io/drain";
    /// On an Eip: `true` allows it to be deleted while addresses are in use.
    pub const ALLOW_DELETE: &str = "ironlb.io/allow-delete";
    /// On a CRD: the number of its contents, see [`crate::crd::CRD_VERSION`].
    pub const CRD_VERSION: &str = "ironlb.io/crd-version";
}

/// Labels.
pub mod label {
    /// On a Service: the Eip its address is from, written when it is given. The same text is an annotation, see
    /// [`super::annotation::WANTED_EIP`].
    pub const EIP: &str = "eip.openelb.kubesphere.io/v1alpha2";
    /// On a Node: its rack, for `asPerRack` of the BgpConf.
    pub const RACK: &str = "openelb.kubesphere.io/rack";
    /// On a BgpConf or BgpPeer, with any value: the object belongs to the CNI and is ignored. Only OpenELB 0.5 and
    /// before looked at it on an Eip.
    pub const CNI: &str = "openelb.kubesphere.io/cni";
    /// On a Node: NodeProxy pods do not run here.
    pub const NODE_PROXY_EXCLUDE: &str = "node-proxy.openelb.kubesphere.io/exclude-node";
    /// On a Node: NodeProxy prefers it (the spelling is OpenELB's).
    pub const NODE_PROXY_PREFERRED: &str = "node-proxy.openelb.kubesphere.io/external-ip-preffered";

    /// On a Node: load balancers leave it out (Kubernetes'; `--exclude-label` says how far ironlb follows).
    pub const EXCLUDE_FROM_LOAD_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
    /// On an EndpointSlice: the Service it is of (Kubernetes').
    pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
    /// On a Service: another proxy than kube-proxy serves it (Kubernetes').
    pub const SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
}

/// Taints of nodes (Kubernetes').
pub mod taint {
    /// The node was declared out of service by a person: its speaker drains.
    pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
    /// The cluster autoscaler is about to delete the node: its speaker drains.
    pub const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
}

/// Finalizers. All are OpenELB's and are removed from adopted objects; ironlb sets none.
pub mod finalizer {
    /// On an Eip.
    pub const EIP: &str = "finalizer.ipam.kubesphere.io/v1alpha1";
    /// On a Service that holds an address.
    pub const SERVICE: &str = "finalizer.lb.kubesphere.io/v1alpha1";
    /// On a BgpConf or BgpPeer; the same text as [`SERVICE`].
    pub const BGP: &str = "finalizer.lb.kubesphere.io/v1alpha1";
    /// On a Service in NodeProxy mode.
    pub const NODE_PROXY: &str = "node-proxy.openelb.kubesphere.io/finalizer";
    /// All that OpenELB leaves on Services.
    pub const OF_SERVICES: [&str; 2] = [SERVICE, NODE_PROXY];
}

/// Names in `managedFields`.
pub mod manager {
    /// The controller's writes.
    pub const CONTROLLER: &str = "ironlb-controller";
}

/// Condition types.
pub mod condition {
    /// Of a Service: it has an address.
    pub const ADDRESS_ASSIGNED: &str = "ironlb.io/AddressAssigned";
    /// Of a Service: its addresses are announced.
    pub const ANNOUNCED: &str = "ironlb.io/Announced";
    /// Of an Eip, BgpConf or BgpPeer: it is understood and in use.
    pub const READY: &str = "Ready";
    /// Of an Eip: some of its addresses are in an Eip that came first.
    pub const OVERLAPPING: &str = "Overlapping";
    /// Of an Eip: it has no free address.
    pub const EXHAUSTED: &str = "Exhausted";
    /// Of an Eip: Services hold addresses that are reserved for others.
    pub const RESERVATION_HELD: &str = "ReservationHeld";
    /// Of an Eip: another host uses one of its addresses.
    pub const CONFLICT: &str = "Conflict";
    /// Of an Eip: nodes that advertise an aggregate of it would send packets for its unused addresses back to a router.
    pub const DISCARD_ROUTE_MISSING: &str = "DiscardRouteMissing";
    /// Of an object: a field is set in both spellings, which disagree; the one of v1alpha2 counts.
    pub const SPELLINGS_DISAGREE: &str = "SpellingsDisagree";
    /// Of a BgpConf or BgpPeer: its fields are understood.
    pub const ACCEPTED: &str = "Accepted";
    /// Of a BgpPeer: every node that is to have a session with it has one.
    pub const ESTABLISHED: &str = "Established";
    /// Of a BgpConf: it is not named `default` and not used.
    pub const IGNORED: &str = "Ignored";
    /// Of an Eip: `status.used` was cut; the counters are exact.
    pub const USED_TRUNCATED: &str = "UsedTruncated";
}

/// Reasons of Events, as OpenELB names them.
pub mod event {
    /// Normal, on a Service: it got an address.
    pub const ASSIGN_IP: &str = "AssignIP";
    /// Warning, on a Service: it got no address.
    pub const ASSIGN_IP_FAILED: &str = "AssignIPFailed";
    /// Normal, on a Service: its address was taken back.
    pub const RELEASE_IP: &str = "ReleaseIP";
    /// Warning, on a Service: its address could not be taken back.
    pub const RELEASE_IP_FAILED: &str = "ReleaseIPFailed";
    /// Warning, on a Service: no Eip fits.
    pub const CONSTRUCT_REQUEST: &str = "ConstructRequest";
    /// Warning, on a Service: its status could not be written.
    pub const UPDATE_SERVICE_STATUS: &str = "UpdateServiceStatus";
    /// On a Service: its address is announced, or (Warning) is not.
    pub const SET_BALANCER: &str = "SetBalancer";
    /// On a Service: its address is announced no more.
    pub const DEL_BALANCER: &str = "DelBalancer";
    /// Normal, on an Eip: it is taken up or given up by the speakers.
    pub const CONFIG_SPEAKER: &str = "ConfigSpeaker";
    /// Warning, on an Eip: the speakers could not take it up.
    pub const CONFIG_SPEAKER_FAILED: &str = "ConfigSpeakerFailed";
}

/// Names of OpenELB's own workloads and objects: while they exist, ironlb only observes. Its chart puts the name of the release into
/// those of the workloads, but the webhook configuration has the same name in every installation.
pub mod openelb {
    /// The namespace it is installed in by default.
    pub const NAMESPACE: &str = "openelb-system";
    /// Its controller's Deployment.
    pub const CONTROLLER: &str = "openelb-controller";
    /// Its speakers' DaemonSet.
    pub const SPEAKER: &str = "openelb-speaker";
    /// The Deployment of version 0.5 and before.
    pub const MANAGER: &str = "openelb-manager";
    /// The DaemonSet that the manager of version 0.5 makes for keepalived, and that outlives it.
    pub const KEEPALIVE_VIP: &str = "openelb-keepalive-vip";
    /// Its webhook configurations.
    pub const ADMISSION: &str = "openelb-admission";
}
