//! A router that keeps every connection on the way that it took first.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::Router;
use crate::netns::NIC;

/// Its table in nftables.
const TABLE: &str = "connections";
/// Marks, priorities of rules and numbers of routing tables begin here, one for each way.
const FIRST: usize = 1000;

impl Router {
    /// From now on a connection stays on the one of these ways on which its first packet went, whatever becomes of the route: what
    /// routers with a table of connections do, and those that hash resiliently come close to. The kernel's own hash leads some
    /// elsewhere whenever the number of next hops changes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn keep_connections(&self, ways: &[Ipv4Addr]) -> Result<()> {
        self.forget_connections().await?;
        let hook = |hook: &str, priority: &str| format!("{{ type filter hook {hook} priority {priority} ; }}");
        let mut rules = format!(
            "add table ip {TABLE} ; add chain ip {TABLE} note {} ; add chain ip {TABLE} steer {} ; \
             add rule ip {TABLE} steer ct direction original ct state established ct mark != 0 meta mark set ct mark",
            hook("postrouting", "0"),
            hook("prerouting", "mangle"),
        );
        let netns = self.netns();
        for (mark, way) in (FIRST..).zip(ways) {
            _ = write!(
                rules,
                " ; add rule ip {TABLE} note oifname {NIC} ct state new rt nexthop {way} ct mark set {mark}"
            );
            let (mark, way) = (mark.to_string(), way.to_string());
            netns.exec(&["ip", "route", "add", "default", "via", &way, "table", &mark]).await?;
            netns.exec(&["ip", "rule", "add", "priority", &mark, "fwmark", &mark, "lookup", &mark]).await?;
        }
        netns.exec(&["nft", &rules]).await.map(drop)
    }

    /// Leaves every packet to the route again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn forget_connections(&self) -> Result<()> {
        let netns = self.netns();
        // Declared before it is deleted, so that it need not be there.
        netns.exec(&["nft", &format!("add table ip {TABLE} ; delete table ip {TABLE}")]).await?;
        let told = netns.exec(&["ip", "-j", "rule", "show"]).await?;
        let rules: Vec<serde_json::Value> = serde_json::from_str(&told)?;
        let numbers = rules.iter().filter_map(|rule| usize::try_from(rule.get("priority")?.as_u64()?).ok());
        for number in numbers.filter(|number| (FIRST..FIRST + 100).contains(number)) {
            let number = number.to_string();
            netns.exec(&["ip", "rule", "del", "priority", &number]).await?;
            netns.exec(&["ip", "route", "flush", "table", &number]).await?;
        }
        Ok(())
    }
}
