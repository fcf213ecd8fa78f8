//! The control plane's host: the authority, etcd, the API server, the controllers and the scheduler.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::binaries::Binaries;
use crate::capsule::SITE_FOLDER;
use crate::daemon::Daemon;
use crate::pki::Authority;
use crate::place::Place;
use crate::spec::{Address, Component, SERVICE_NETWORKS, SiteSpec};

/// Where the kubeconfigs, keys and certificates lie.
pub(crate) fn pki_folder() -> PathBuf {
    Path::new(SITE_FOLDER).join("pki")
}

/// Where every program's output goes.
pub(crate) fn log_folder() -> PathBuf {
    Path::new(SITE_FOLDER).join("logs")
}

/// The kubeconfig of the person who runs the lab: the only member of `system:masters`.
pub(crate) const ADMIN: &str = "admin";
/// The user the API server is when it calls a kubelet (for `kubectl logs` and `exec`).
pub(crate) const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// The four programs of the control plane.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    pub(crate) etcd: Daemon,
    pub(crate) api_server: Daemon,
    pub(crate) controller_manager: Daemon,
    pub(crate) scheduler: Daemon,
}

impl ControlPlane {
    /// Writes keys, certificates and kubeconfigs for all of the site, and describes the programs.
    pub(crate) fn prepare(spec: &SiteSpec, binaries: &Binaries) -> Result<Self> {
        fs::create_dir_all(log_folder())?;
        let authority = Authority::create(&pki_folder())?;
        certify(spec, &authority)?;
        let program = |component: Component, arguments: String| {
            let mut argv = vec![binaries.path("controlplane"), component.name().to_owned()];
            argv.extend(arguments.split_whitespace().map(str::to_owned));
            argv.extend(spec.flags_of(component));
            let log = log_folder().join(format!("{}.log", component.name()));
            Daemon::new(component.name(), Place::Capsule, argv, &binaries.search_path(), log)
        };
        let pki = pki_folder().display().to_string();
        let host = Address::control_plane();
        let grace = spec.node_monitor_grace.map(|grace| format!("--node-monitor-grace-period={}s", grace.as_secs()));
        Ok(Self {
            etcd: program(
                Component::Etcd,
                format!(
                    "--data-dir {SITE_FOLDER}/etcd --unsafe-no-fsync --log-level warn
                     --listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://127.0.0.1:2379
                     --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380
                     --initial-cluster default=http://127.0.0.1:2380
                     --cert-file {pki}/etcd.crt --key-file {pki}/etcd.key --client-cert-auth --trusted-ca-file {pki}/ca.crt"
                ),
            ),
            api_server: program(
                Component::ApiServer,
                format!(
                    "--etcd-servers https://127.0.0.1:2379 --etcd-cafile {pki}/ca.crt
                     --etcd-certfile {pki}/etcd-client.crt --etcd-keyfile {pki}/etcd-client.key
                     --bind-address :: --secure-port 6443 --advertise-address {} --service-cluster-ip-range {SERVICE_NETWORKS}
                     --tls-cert-file {pki}/apiserver.crt --tls-private-key-file {pki}/apiserver.key
                     --client-ca-file {pki}/ca.crt --kubelet-certificate-authority {pki}/ca.crt
                     --kubelet-client-certificate {pki}/kubelet-client.crt --kubelet-client-key {pki}/kubelet-client.key
                     --kubelet-preferred-address-types InternalIP
                     --service-account-issuer https://kubernetes.default.svc
                     --service-account-key-file {pki}/tokens.pub --service-account-signing-key-file {pki}/tokens.key
                     --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged
                     --profiling=false",
                    host.v4
                ),
            ),
            // Its default of 20 requests a second spends the site's first 4 s on the controllers' own tokens.
            controller_manager: program(
                Component::ControllerManager,
                format!(
                    "--kubeconfig {pki}/controller-manager.conf --root-ca-file {pki}/ca.crt
                     --service-account-private-key-file {pki}/tokens.key --use-service-account-credentials
                     --leader-elect=false --secure-port 0 --profiling=false
                     --flex-volume-plugin-dir {SITE_FOLDER}/volume-plugins --kube-api-qps 500 --kube-api-burst 1000 {}",
                    grace.unwrap_or_default()
                ),
            ),
            scheduler: program(
                Component::Scheduler,
                format!("--kubeconfig {pki}/scheduler.conf --leader-elect=false --secure-port 0 --profiling=false"),
            ),
        })
    }
}

fn certify(spec: &SiteSpec, authority: &Authority) -> Result<()> {
    let host = Address::control_plane();
    let (v4, v6) = (host.v4.to_string(), host.v6.to_string());
    // The first addresses of the Services' networks are the API server's own Service.
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
    let addresses = ["10.96.0.1", "fd00:96::1", "127.0.0.1", v4.as_str(), v6.as_str()];
    authority.certify("apiserver", "kube-apiserver", None, &[names.as_slice(), addresses.as_slice()].concat())?;
    authority.certify("kubelet-client", KUBELET_CLIENT, None, &[])?;
    authority.certify("etcd", "etcd", None, &["127.0.0.1"])?;
    authority.certify("etcd-client", "kube-apiserver-etcd-client", None, &[])?;
    authority.token_key("tokens")?;
    let server = format!("https://{v4}:6443");
    authority.kubeconfig(ADMIN, "lab-admin", Some("system:masters"), &server)?;
    authority.kubeconfig("controller-manager", "system:kube-controller-manager", None, &server)?;
    authority.kubeconfig("scheduler", "system:kube-scheduler", None, &server)?;
    authority.kubeconfig("proxy", "system:kube-proxy", None, &server)?;
    for node in spec.hosts().iter().filter(|host| host.node.is_some()) {
        let (name, user) = (&node.name, format!("system:node:{}", node.name));
        authority.kubeconfig(name, &user, Some("system:nodes"), &server)?;
        let reached_at = [name.as_str(), &node.v4.to_string(), &node.v6.to_string()];
        authority.certify(&format!("{name}-serving"), &user, Some("system:nodes"), &reached_at)?;
    }
    Ok(())
}

/// A client of the site's API server, as the person who runs the lab.
pub(crate) async fn admin_client() -> Result<kube::Client> {
    let path = pki_folder().join(format!("{ADMIN}.conf"));
    let kubeconfig = Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
