//! Out of which Eip a Service gets its address.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{Eip, EipName, IpFamily, NamespaceName, OptIn, Service, Snapshot};

use crate::reason::Reason;
use crate::taken::{Taken, is_buggy};
use crate::territory::{EipIndex, Territory};

/// How an Eip offers itself to a Service, in the order in which they are tried: the first kind of which one can serve the Service
/// at all is the only one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offer {
    /// The Service names it.
    Named,
    /// It is bound to the Service's namespace, or to the Service by its labels.
    Bound,
    /// It is the default.
    Default,
    /// It has the protocol that the Service asks for (OpenELB 0.5 and before).
    Protocol,
}

/// Why an Eip does not offer itself to a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotOffered {
    /// The Service names others.
    OthersNamed,
    /// `autoAssign` is false: only who names it, or wishes for one of its addresses, is served from it.
    OnRequestOnly,
    /// It is bound to other namespaces.
    OtherNamespaces,
    /// It is bound to Services with other labels.
    OtherServices,
    /// It has another protocol than the Service asks for.
    OtherProtocol,
    /// It is neither bound nor the default.
    NotDefault,
}

impl NotOffered {
    /// The reason's name in `explain -o json` and in the docs.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::OthersNamed => "OthersNamed",
            Self::OnRequestOnly => "OnRequestOnly",
            Self::OtherNamespaces => "OtherNamespaces",
            Self::OtherServices => "OtherServices",
            Self::OtherProtocol => "OtherProtocol",
            Self::NotDefault => "NotDefault",
        }
    }
}

/// The Eips that offer themselves to a Service, those of each kind in the order in which they are tried.
pub(crate) type Offers = [(Offer, Vec<EipIndex>); 4];

/// The Eips that offer themselves, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Precedence<'a> {
    snapshot: &'a Snapshot,
    territory: &'a Territory<'a>,
    /// Bound to namespaces or to Services, by priority and name; so are the others.
    bound: Vec<EipIndex>,
    defaults: Vec<EipIndex>,
    unbound: Vec<EipIndex>,
    /// Those of `bound` that a namespace's Services may use, as far as namespaces go.
    by_namespace: BTreeMap<&'a NamespaceName, Vec<EipIndex>>,
}

impl<'a> Precedence<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, territory: &'a Territory<'a>) -> Self {
        let mut offered: Vec<(EipIndex, &Eip)> =
            territory.all().map(|(i, eip)| (i, eip.as_ref())).filter(|(_, eip)| eip.auto_assign).collect();
        offered.sort_by(|(_, a), (_, b)| by_priority(a, b));
        let those = |wanted: &dyn Fn(&Eip) -> bool| -> Vec<EipIndex> {
            offered.iter().filter(|(_, eip)| wanted(eip)).map(|(i, _)| *i).collect()
        };
        Self {
            snapshot,
            territory,
            bound: those(&is_bound),
            defaults: those(&|eip| eip.is_default),
            unbound: those(&|eip| !is_bound(eip)),
            by_namespace: BTreeMap::new(),
        }
    }

    /// The Eips to try for an address of this family, in order; never empty.
    pub(crate) fn candidates(&mut self, service: &'a Service, family: IpFamily) -> Result<Vec<EipIndex>, Reason> {
        let mut refused = None;
        for (_, offered) in self.offers(service)? {
            if offered.is_empty() {
                continue;
            }
            match self.usable(offered, service, family) {
                Ok(usable) => return Ok(usable),
                // What stands in the way of the Eip that comes nearest is what people want to know.
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or(match (service.opt_in, service.wanted_protocol) {
            (OptIn::Ours, Some(protocol)) => Reason::NoEipForProtocol { protocol, family },
            _ => Reason::NoEip { family },
        }))
    }

    /// The Eips that offer themselves to this Service. Who names Eips gets from no other.
    pub(crate) fn offers(&mut self, service: &'a Service) -> Result<Offers, Reason> {
        let named = self.named(service)?;
        let (bound, defaults, of_protocol) = if named.is_empty() {
            (self.bound_to(service), self.defaults.clone(), self.of_wanted_protocol(service))
        } else {
            (Vec::new(), Vec::new(), Vec::new())
        };
        Ok([(Offer::Named, named), (Offer::Bound, bound), (Offer::Default, defaults), (Offer::Protocol, of_protocol)])
    }

    /// Why does this Eip, which is in none of the [`offers`](Self::offers), not offer itself?
    pub(crate) fn why_not_offered(&self, index: EipIndex, service: &Service) -> NotOffered {
        let eip = self.territory.eip(index);
        if names(service).next().is_some() {
            NotOffered::OthersNamed
        } else if !eip.auto_assign {
            NotOffered::OnRequestOnly
        } else if !matches_namespace(eip, &service.id.namespace, self.snapshot) {
            NotOffered::OtherNamespaces
        } else if !matches_service(eip, service) {
            NotOffered::OtherServices
        } else if service.opt_in == OptIn::Ours && service.wanted_protocol.is_some() {
            NotOffered::OtherProtocol
        } else {
            NotOffered::NotDefault
        }
    }

    /// The Eip out of which a wish for this address would be granted.
    pub(crate) fn asked_by_wish(&self, service: &Service, address: IpAddr) -> Result<EipIndex, Reason> {
        let named = self.named(service)?;
        if let Some(one) = named.first() {
            let outside = || Reason::WishOutsideEip { address, eip: self.name(*one) };
            named.iter().copied().find(|i| self.territory.eip(*i).spans(address)).ok_or_else(outside)
        } else {
            self.territory.spanning(address).ok_or(Reason::WishOutsideEveryEip { address })
        }
    }

    /// May this Service have this address, as far as Eips go, and out of which?
    pub(crate) fn for_wish(&self, service: &Service, address: IpAddr) -> Result<EipIndex, Reason> {
        let first = self.territory.spanning(address);
        let eip = self.asked_by_wish(service, address)?;
        self.check(eip, service)?;
        let pool = self.territory.eip(eip);
        if !pool.pool.contains(address) || pool.avoid_buggy_ips && is_buggy(address) {
            return Err(Reason::WishExcluded { address, eip: self.name(eip) });
        }
        match first.filter(|first| *first != eip) {
            Some(first) => Err(Reason::WishInOverlap { address, eip: self.name(eip), first: self.name(first) }),
            None => Ok(eip),
        }
    }

    /// May this Service have back this address, which it held before, and out of which Eip?
    pub(crate) fn for_remembered(&self, service: &Service, address: IpAddr, taken: &Taken<'_>) -> Option<EipIndex> {
        self.for_wish(service, address).ok().filter(|_| taken.is_free(address))
    }

    /// The name of an Eip.
    pub(crate) fn name(&self, eip: EipIndex) -> EipName {
        self.territory.eip(eip).name.clone()
    }

    /// The Eips the annotation names: one, or several separated by commas, so that a dual-stack Service can name one of each family.
    fn named(&self, service: &Service) -> Result<Vec<EipIndex>, Reason> {
        names(service)
            .map(|name| self.territory.named(name).ok_or_else(|| Reason::EipNotFound { eip: name.into() }))
            .collect::<Result<_, _>>()
    }

    /// The Eips bound to this Service, by its namespace or by its labels.
    fn bound_to(&mut self, service: &'a Service) -> Vec<EipIndex> {
        let territory = self.territory;
        let of_namespace = self.by_namespace.entry(&service.id.namespace).or_insert_with(|| {
            let in_namespace =
                |i: &EipIndex| matches_namespace(territory.eip(*i), &service.id.namespace, self.snapshot);
            self.bound.iter().copied().filter(in_namespace).collect()
        });
        of_namespace.iter().copied().filter(|i| matches_service(territory.eip(*i), service)).collect()
    }

    /// The rule of OpenELB 0.5: whoever opts in and names a protocol gets an address from any Eip that has it. An Eip bound to some
    /// is not for all.
    fn of_wanted_protocol(&self, service: &Service) -> Vec<EipIndex> {
        match (service.opt_in, service.wanted_protocol) {
            (OptIn::Ours, Some(protocol)) => {
                let has = |i: &EipIndex| self.territory.eip(*i).announcement == protocol;
                self.unbound.iter().copied().filter(has).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Those of the given Eips that can serve this Service; the first one's obstacle if none can.
    fn usable(&self, eips: Vec<EipIndex>, service: &Service, family: IpFamily) -> Result<Vec<EipIndex>, Reason> {
        let mut refused = None;
        let mut usable = Vec::with_capacity(eips.len());
        for eip in eips {
            match self.may_serve(eip, service, family) {
                Ok(()) => usable.push(eip),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        match (usable.is_empty(), refused) {
            (true, Some(reason)) => Err(reason),
            _ => Ok(usable),
        }
    }

    /// Does this Eip give this Service an address of this family that it reserves for it? The Service may name others, but need not
    /// name this one.
    pub(crate) fn serves_reservation(&self, index: EipIndex, service: &Service, family: IpFamily) -> bool {
        let name = self.territory.eip(index).name.as_str();
        let is_named = names(service).next().is_none() || names(service).any(|named| named == name);
        is_named && self.may_serve(index, service, family).is_ok()
    }

    /// Can this Eip serve this Service with an address of this family, as long as it has room?
    pub(crate) fn may_serve(&self, index: EipIndex, service: &Service, family: IpFamily) -> Result<(), Reason> {
        self.check(index, service)?;
        self.check_family(index, family)
    }

    /// Does this Eip give out anything new, and to this Service?
    fn check(&self, index: EipIndex, service: &Service) -> Result<(), Reason> {
        let eip = self.territory.eip(index);
        let name = || eip.name.clone();
        if eip.deleting {
            return Err(Reason::EipDeleting { eip: name() });
        }
        if eip.disabled {
            return Err(Reason::EipDisabled { eip: name() });
        }
        if eip.span.is_empty() || eip.withholds {
            return Err(Reason::EipUnreadable { eip: name() });
        }
        let matches = || matches_namespace(eip, &service.id.namespace, self.snapshot) && matches_service(eip, service);
        if eip.enforce_selectors && !matches() {
            return Err(Reason::EipNotForService { eip: name() });
        }
        Ok(())
    }

    fn check_family(&self, index: EipIndex, family: IpFamily) -> Result<(), Reason> {
        if self.territory.pool(index).size_of(family) > 0 {
            return Ok(());
        }
        let eip = self.name(index);
        let lost = self.territory.lost(index).iter().find(|lost| lost.range.family() == family);
        Err(match lost {
            Some(lost) => Reason::EipInOverlap { eip, first: self.name(lost.to) },
            None => Reason::WrongFamily { eip, family },
        })
    }
}

/// The Eips the annotation names.
pub(crate) fn names(service: &Service) -> impl Iterator<Item = &str> {
    let text = service.wanted_eip.as_ref().map_or("", |name| name.as_str());
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Among several Eips: the smaller priority, then the name.
pub(crate) fn by_priority(a: &Eip, b: &Eip) -> Ordering {
    (a.priority, &a.name).cmp(&(b.priority, &b.name))
}

/// Is it meant for certain namespaces or Services?
fn is_bound(eip: &Eip) -> bool {
    has_namespaces(eip) || eip.service_selector.is_some()
}

fn has_namespaces(eip: &Eip) -> bool {
    !eip.namespaces.is_empty() || !eip.namespace_selector.is_empty()
}

/// Is it for Services of this namespace: listed, or with the labels, or not limited to namespaces at all?
fn matches_namespace(eip: &Eip, namespace: &NamespaceName, snapshot: &Snapshot) -> bool {
    let has_labels = || {
        let labels = snapshot.namespaces.get(namespace).map(|n| &n.labels);
        !eip.namespace_selector.is_empty()
            && eip
                .namespace_selector
                .iter()
                .all(|(key, value)| labels.is_some_and(|l| l.get(key) == Some(value.as_str())))
    };
    !has_namespaces(eip) || eip.namespaces.contains(namespace) || has_labels()
}

/// Is it for this Service, by its labels?
fn matches_service(eip: &Eip, service: &Service) -> bool {
    eip.service_selector.as_ref().is_none_or(|selector| selector.matches(&service.labels))
}

#[cfg(test)]
mod tests;
