//! A real etcd and kube-apiserver on the loopback interface, for tests and benchmarks that need no node.
//!
//! What it does: starts both with certificates of their own, makes kubeconfigs, and lets the API server be stopped, killed or cut off
//! from its past. What it does not do: nodes, controllers and networks are the lab's. It needs no root.
//!
//! Invariant: nothing outlives the process that started it. Start reading at [`ApiServer::start`].

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use serde_json::json;

/// The longest an API server may take to start. It takes 4 s on an idle machine of two cores; tests run on busy ones.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// A running etcd and API server. Both end, and their folder goes, when this process ends in whatever way: a shell between waits for
/// the end of its standard input.
#[derive(Debug)]
pub struct ApiServer {
    folder: PathBuf,
    port: u16,
    etcd_port: u16,
    _shell: Child,
}

impl ApiServer {
    /// Starts both, the API server with these flags besides its own, and waits until it is ready.
    ///
    /// # Errors
    /// The lab's Kubernetes is not built, or does not start.
    pub async fn start(flags: &[&str]) -> Result<Self> {
        let program = controlplane()?;
        let folder = env::temp_dir().join(format!("ironlb-apiserver-{}-{}", std::process::id(), free_port()?));
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
             --service-account-signing-key-file {0}/token.key --shutdown-delay-duration 0s {1}",
            folder.display(),
            flags.join(" ")
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
        let server = Self { folder, port: api, etcd_port: client, _shell: shell };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The kubeconfig of somebody with every right.
    #[must_use]
    pub fn admin(&self) -> PathBuf {
        self.folder.join("admin.conf")
    }

    /// The kubeconfig of somebody without any right.
    #[must_use]
    pub fn nobody(&self) -> PathBuf {
        self.folder.join("nobody.conf")
    }

    /// A kubeconfig of somebody with every right that leads to another port of this machine.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn admin_by_way_of(&self, port: u16) -> Result<PathBuf> {
        let path = self.folder.join(format!("admin-{port}.conf"));
        fs::write(&path, kubeconfig(&self.folder, port, "test-admin").to_string())?;
        Ok(path)
    }

    /// A client with every right.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.admin())?;
        Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
    }

    /// Runs kubectl with every right, and gives its standard output.
    ///
    /// # Errors
    /// kubectl fails; its standard error is in the message.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(controlplane()?);
        command
            .arg("kubectl")
            .arg("--kubeconfig")
            .arg(self.admin())
            .arg("--cache-dir")
            .arg(self.folder.join("kubectl"));
        let output = command.args(arguments).stdin(Stdio::null()).output().context("kubectl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}: {}", arguments.join(" "), output.status, said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The port the API server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder that goes with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sends the API server a signal, by its name. One that has been killed is started again after a second.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = fs::read_to_string(self.folder.join("apiserver.pid"))?;
        ensure!(
            Command::new("kill").arg(format!("-{name}")).arg(pid.trim()).status()?.success(),
            "kill -{name} failed"
        );
        Ok(())
    }

    /// Makes etcd forget everything before `revision`, which is a resource version.
    ///
    /// # Errors
    /// etcd refuses.
    pub fn compact(&self, revision: u64) -> Result<()> {
        let body = json!({"revision": revision.to_string(), "physical": true}).to_string();
        let mut etcd = TcpStream::connect(("127.0.0.1", self.etcd_port)).context("etcd")?;
        write!(
            etcd,
            "POST /v3/kv/compaction HTTP/1.1\r\nHost: etcd\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        etcd.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "etcd does not compact: {answer}");
        Ok(())
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// It does not; the end of its log is told.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let asked = async {
                let namespaces: Api<Namespace> = Api::all(self.client().await?);
                anyhow::Ok(namespaces.get("default").await?)
            };
            let ready = tokio::time::timeout(Duration::from_secs(5), asked).await;
            match ready.context("no answer").and_then(|answer| answer) {
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

/// A port of TCP that nothing listens on, below those the kernel gives to clients. Nobody else who asks here is given it for as long as
/// this process lives, which has the same port of UDP.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 900 * 10)?;
    for _ in 0..1000 {
        let port = 21_000 + (start + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) % 10_000;
        let Ok(reserved) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            std::mem::forget(reserved);
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
