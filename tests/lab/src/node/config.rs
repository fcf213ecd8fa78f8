//! What a node's programs are told: the runtime's, the pod network's and the kubelet's files, kube-proxy's flags.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;

use crate::control_plane::pki_folder;
use crate::place::node_folder;
use crate::spec::{Address, POD_NETWORKS, ProxyMode, SANDBOX_IMAGE, SiteSpec};

/// Where Debian's containernetworking-plugins are.
const PLUGINS: &str = "/usr/lib/cni";

/// Writes the files below the node's folder.
pub(super) fn write(address: &Address) -> Result<()> {
    let folder = node_folder(&address.name);
    fs::create_dir_all(folder.join("cni"))?;
    fs::write(folder.join("cni/10-pods.conflist"), pod_network(address)?)?;
    fs::write(folder.join("containerd.toml"), containerd(&folder.join("cni").display().to_string()))?;
    fs::write(folder.join("kubelet.json"), kubelet(address)?)?;
    Ok(())
}

fn pod_network(address: &Address) -> Result<String> {
    let (v4, v6) = address.pods().context("only a node has pods")?;
    Ok(serde_json::to_string_pretty(&json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": v4}], [{"subnet": v6}]],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    }))?)
}

fn containerd(pod_networks: &str) -> String {
    // NRI has one socket for the whole machine, "opt" makes a folder in the machine's own /opt, and the others only cost a
    // start: snapshotters probe for file systems that are not there. Oom scores may not be lowered in a container.
    format!(
        r#"version = 3
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{SANDBOX_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{PLUGINS}"]
  conf_dir = "{pod_networks}"
"#
    )
}

fn kubelet(address: &Address) -> Result<String> {
    let pki = pki_folder();
    Ok(serde_json::to_string_pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.join(format!("{}-serving.crt", address.name)),
        "tlsPrivateKeyFile": pki.join(format!("{}-serving.key", address.name)),
        // Nothing answers there. Without an address the kubelet writes a warning Event for every pod.
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        // Limits of this environment: no systemd, maybe control groups version 1, maybe swap.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        // The disk is the machine's, shared with everything else on it, and images come from the lab alone.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        // kube-proxy's business.
        "makeIPTablesUtilChains": false,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }))?)
}

/// kube-proxy's command line. It may not change the machine's connection tracking limits from inside a namespace.
pub(super) fn proxy_command(spec: &SiteSpec, address: &Address, controlplane: &str, pki: &str) -> String {
    let mode = match spec.proxy_mode {
        ProxyMode::Nftables => "nftables",
        ProxyMode::Iptables => "iptables",
    };
    format!(
        "{controlplane} proxy --kubeconfig {pki}/proxy.conf --hostname-override {} --proxy-mode {mode}
         --cluster-cidr {POD_NETWORKS} --conntrack-max-per-core 0
         --conntrack-tcp-timeout-established 0s --conntrack-tcp-timeout-close-wait 0s",
        address.name
    )
}
