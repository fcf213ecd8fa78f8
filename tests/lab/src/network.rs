//! The LAN of a site without its cluster: hosts and routers, up in well under a second, for what needs no Kubernetes.

use anyhow::{Result, ensure};

use crate::netns::{Netns, off_runtime};
use crate::router::Router;
use crate::spec::{Address, RouterSpec};
use crate::{Capsule, lan};

/// A LAN with hosts `n1`, `n2`, ... and routers `r1`, `r2`, ..., with the addresses that nodes and routers of a site have.
#[derive(Debug)]
pub struct Network {
    hosts: usize,
    routers: Vec<Router>,
}

impl Network {
    /// Makes it inside the capsule, which holds no site. It ends with the capsule.
    ///
    /// # Errors
    /// A namespace or a cable cannot be made.
    pub async fn up(_capsule: &Capsule, hosts: u8, routers: &[RouterSpec]) -> Result<Self> {
        ensure!((1..=90).contains(&hosts), "1 to 90 hosts, not {hosts}");
        ensure!(routers.len() <= 9, "at most 9 routers, not {}", routers.len());
        let all: Vec<(Address, RouterSpec)> =
            (1..).zip(routers).map(|(number, router)| (Address::router(number, router.client), *router)).collect();
        let mut addresses: Vec<Address> = (1..=hosts).map(Address::node).collect();
        addresses.extend(all.iter().map(|(address, _)| address.clone()));
        off_runtime(move || lan::build(&addresses)).await??;
        let routers = all.iter().map(|(address, router)| Router::new(address, router.software)).collect();
        Ok(Self { hosts: hosts.into(), routers })
    }

    /// The network namespace of host `number`, counted from 1 as in its name.
    ///
    /// # Panics
    /// There is no such host, which is a fault of the test.
    pub fn host(&self, number: usize) -> Netns {
        assert!((1..=self.hosts).contains(&number), "the network has hosts 1 to {}", self.hosts);
        Netns::named(&format!("n{number}"))
    }

    /// Router `number`, counted from 1 as in its name.
    ///
    /// # Panics
    /// There is no such router, which is a fault of the test.
    pub fn router(&self, number: usize) -> &Router {
        assert!((1..=self.routers.len()).contains(&number), "the network has routers 1 to {}", self.routers.len());
        &self.routers[number - 1]
    }

    /// All routers.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// Prints which of the routers' programs have ended, and where each one's log ends.
    pub fn dump_logs(&self) {
        for router in &self.routers {
            router.ends().iter().for_each(|told| eprintln!("--- {told}"));
            router.log_ends().iter().for_each(|(name, end)| eprintln!("--- {name}:\n{end}"));
        }
    }
}
