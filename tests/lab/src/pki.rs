//! The site's own certificate authority: a key and certificate for every component, and the kubeconfig that carries it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;

/// A certificate authority whose files lie in one folder.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority and writes its certificate as `ca.crt`; its key is never written.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ironlb lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority = Self { folder: folder.to_owned(), issuer };
        fs::write(authority.path("ca.crt"), authority.issuer.pem())?;
        Ok(authority)
    }

    /// The path of a file of this authority.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Writes `NAME.crt` and `NAME.key`: who it is (`user`, a member of `group`), and at which names and addresses it
    /// can be reached if it serves.
    pub(crate) fn certify(&self, name: &str, user: &str, group: Option<&str>, reached_at: &[&str]) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        for place in reached_at {
            params.subject_alt_names.push(match place.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*place).try_into()?),
            });
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer).with_context(|| format!("a certificate for {name}"))?;
        fs::write(self.path(&format!("{name}.crt")), certificate.pem())?;
        self.write_key(&format!("{name}.key"), &key)
    }

    /// Writes a key that signs tokens, `NAME.key`, and its public half, `NAME.pub`.
    pub(crate) fn token_key(&self, name: &str) -> Result<()> {
        let key = KeyPair::generate()?;
        fs::write(self.path(&format!("{name}.pub")), key.public_key_pem())?;
        self.write_key(&format!("{name}.key"), &key)
    }

    /// [`Authority::certify`], and a kubeconfig `NAME.conf` that uses it.
    pub(crate) fn kubeconfig(&self, name: &str, user: &str, group: Option<&str>, server: &str) -> Result<PathBuf> {
        self.certify(name, user, group, &[])?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": self.path("ca.crt")}}],
            "users": [{"name": user, "user": {
                "client-certificate": self.path(&format!("{name}.crt")),
                "client-key": self.path(&format!("{name}.key")),
            }}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "current-context": "lab",
        });
        let path = self.path(&format!("{name}.conf"));
        // Every JSON text is YAML.
        fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        Ok(path)
    }

    fn write_key(&self, file: &str, key: &KeyPair) -> Result<()> {
        let path = self.path(file);
        fs::write(&path, key.serialize_pem())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}
