//! A real etcd and kube-apiserver on the loopback interface, for the tests of one program.

use std::env;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ironlb_k8s::{Clients, Source};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use serde_json::json;

/// The longest an API server may take to start. It takes 4 s on an idle machine of two cores; tests run on busy ones.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// A running etcd and API server. Both end, and their folder goes, when this process ends in whatever way: a shell between waits for
/// the end of its standard input.
pub(crate) struct Server {
    folder: PathBuf,
    _shell: Child,
}

impl Server {
    /// Starts both and waits until the API server is ready.
    pub(crate) async fn start() -> Result<Self> {
        let program = controlplane()?;
        let folder = env::temp_dir().join(format!("ironlb-k8s-test-{}-{}", std::process::id(), free_port()?));
        fs::create_dir_all(&folder)?;
        let (client, peer, api) = (free_port()?, free_port()?, free_port()?);
        certificates(&folder)?;
        fs::write(folder.join("tokens.csv"), "test-admin,admin,1,\"system:masters\"\ntest-nobody,nobody,2\n")?;
        for (file, token) in [("admin.conf", "test-admin"), ("nobody.conf", "test-nobody")] {
            fs::write(folder.join(file), kubeconfig(&folder, api, token).to_string())?;
        }
        let etcd = format!(
            "--data-dir {0}/etcd --unsafe-no-fsync --log-level error --listen-client-urls http://127.0.0.1:{client} \
             --advertise-client-urls http://127.0.0.1:{client} --listen-peer-urls http://127.0.0.1:{peer} \
             --initial-advertise-peer-urls http://127.0.0.1:{peer} --initial-cluster default=http://127.0.0.1:{peer}",
            folder.display()
        );
        let apiserver = format!(
            "--etcd-servers http://127.0.0.1:{client} --bind-address 127.0.0.1 --secure-port {api} \
             --endpoint-reconciler-type none --service-cluster-ip-range 10.123.0.0/16 --authorization-mode RBAC \
             --tls-cert-file {0}/server.crt --tls-private-key-file {0}/server.key --token-auth-file {0}/tokens.csv \
             --service-account-issuer https://test --service-account-key-file {0}/token.pub \
             --service-account-signing-key-file {0}/token.key --shutdown-delay-duration 0s",
            folder.display()
        );
        // The API server runs in a loop, so that a test may kill it and have it back.
        let script = format!(
            "set -m
             {program} etcd {etcd} >{folder}/etcd.log 2>&1 & etcd=$!
             (while :; do {program} apiserver {apiserver} >>{folder}/apiserver.log 2>&1 & echo $! >{folder}/apiserver.pid; wait $!; sleep 1; done) & loop=$!
             cat >/dev/null
             kill -9 -$loop -$etcd $(cat {folder}/apiserver.pid) 2>/dev/null
             rm -rf {folder}",
            program = program.display(),
            folder = folder.display()
        );
        let shell = Command::new("bash")
            .arg("-c")
            .arg(script)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("bash")?;
        let server = Self { folder, _shell: shell };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Clients with every right.
    pub(crate) async fn clients(&self) -> Result<Clients> {
        Ok(Clients::connect(&self.source("admin.conf")).await?)
    }

    /// Clients without any right.
    pub(crate) async fn powerless(&self) -> Result<Clients> {
        Ok(Clients::connect(&self.source("nobody.conf")).await?)
    }

    /// Sends the API server a signal, by its name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let pid = fs::read_to_string(self.folder.join("apiserver.pid"))?;
        ensure!(
            Command::new("kill").arg(format!("-{name}")).arg(pid.trim()).status()?.success(),
            "kill -{name} failed"
        );
        Ok(())
    }

    fn source(&self, file: &str) -> Source {
        Source { kubeconfig: Some(self.folder.join(file)), context: None }
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ready = async {
                let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(self.clients().await?.lease);
                anyhow::Ok(namespaces.get("default").await?)
            };
            match ready.await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > STARTS_WITHIN => {
                    let log = fs::read_to_string(self.folder.join("apiserver.log")).unwrap_or_default();
                    let end: Vec<&str> = log.lines().rev().take(20).collect();
                    bail!("the API server is not ready after {STARTS_WITHIN:?}: {error:#}\n{}", end.join("\n"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// The binary that holds etcd and the API server.
fn controlplane() -> Result<PathBuf> {
    let missing = "no Kubernetes to test against: `make test` builds it, or set IRONLB_LAB_BIN to the folder that holds `controlplane`";
    if let Some(folder) = env::var_os("IRONLB_LAB_BIN") {
        let path = Path::new(&folder).join("controlplane");
        ensure!(path.is_file(), "{missing} ({} is not there)", path.display());
        return Ok(path);
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let folder = cache.context(missing)?.join("ironlb/bin");
    let mut built: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("{missing} ({} cannot be read)", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("controlplane")))
        .filter(|path| path.is_file())
        .collect();
    // The newest: an older one is what an older commit built.
    built.sort_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
    built.pop().with_context(|| format!("{missing} (none in {})", folder.display()))
}

/// A port that nothing listens on, below those the kernel gives to clients.
fn free_port() -> Result<u16> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 900 * 10)?;
    for _ in 0..1000 {
        let port = 21_000 + (start + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 21000 and 31000")
}

fn certificates(folder: &Path) -> Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ironlb test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse()?)];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    let token = KeyPair::generate()?;
    for (file, text) in [
        ("ca.crt", authority.pem()),
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("token.key", token.serialize_pem()),
        ("token.pub", token.public_key_pem()),
    ] {
        fs::File::create(folder.join(file))?.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn kubeconfig(folder: &Path, port: u16, token: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority": folder.join("ca.crt")}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })
}
