//! What the closed lists of the decision mean, in words.

use ironlb_api::names::annotation;
use ironlb_ipam::{EipReport, Finding, NotOffered, NotOurs, Offer, Search, Sought, Standing};
use ironlb_model::{FamilyPolicy, IpFamily, SelectionRule, Service, ServiceSelection, Settings, WishSource};

use crate::explain::Page;

/// Whose the Service is and by which rule.
pub(crate) fn whose(page: &Page<'_>) -> String {
    let (service, settings) = (&page.explanation.service, &page.running.settings);
    let because = match page.explanation.verdict.standing {
        Standing::Ours => return format!("ironlb's: {}", ours(page.explanation.rule, service)),
        Standing::NotOurs(why) => not_ours(why, service, settings),
    };
    format!("not ironlb's: {because}")
}

fn ours(rule: SelectionRule, service: &Service) -> String {
    match rule {
        SelectionRule::Class => {
            format!("its spec.loadBalancerClass is {}", service.load_balancer_class.as_deref().unwrap_or_default())
        }
        SelectionRule::Annotation => format!("annotation {} is {}", annotation::OPT_IN, annotation::OPT_IN_VALUE),
        SelectionRule::Selection | SelectionRule::Type => {
            "it names no class and no other load balancer, and --service-selection is all".to_owned()
        }
    }
}

fn not_ours(why: NotOurs, service: &Service, settings: &Settings) -> String {
    let class = service.load_balancer_class.as_deref().unwrap_or_default();
    match why {
        NotOurs::Deleting => "it is being deleted".to_owned(),
        NotOurs::NotLoadBalancer => "its spec.type is not LoadBalancer".to_owned(),
        NotOurs::OtherClass => {
            format!("its spec.loadBalancerClass is {class}, and ironlb serves {}", settings.load_balancer_class)
        }
        NotOurs::OtherAnnotation => {
            format!("annotation {} is there and not {}", annotation::OPT_IN, annotation::OPT_IN_VALUE)
        }
        NotOurs::NotAnnotated => format!(
            "it names no class, has no annotation {}, and --service-selection is {}",
            annotation::OPT_IN,
            selection(settings.service_selection)
        ),
    }
}

/// The value of `--service-selection`.
pub(crate) fn selection(selection: ServiceSelection) -> &'static str {
    match selection {
        ServiceSelection::Annotated => "annotated",
        ServiceSelection::All => "all",
    }
}

/// What the Service asks for, a line each, with the field that says so.
pub(crate) fn wishes(service: &Service) -> Vec<String> {
    let source = service.wish_source.map(wish_source).unwrap_or_default();
    let mut lines = Vec::new();
    lines.push(match (&service.wish_unreadable, service.wish.as_slice()) {
        (Some(text), _) => format!("{text:?}, which cannot be read ({source})"),
        (None, []) if service.wish_source.is_some() => format!("any address ({source} is there and empty)"),
        (None, []) => {
            format!("any address (neither annotation {} nor spec.loadBalancerIP)", annotation::WANTED_ADDRESS)
        }
        (None, wish) => format!("{} ({source})", list(wish)),
    });
    if let Some(eip) = &service.wanted_eip {
        lines.push(format!("out of Eip {eip} (annotation {})", annotation::WANTED_EIP));
    }
    if let Some(protocol) = service.wanted_protocol {
        lines.push(format!("with protocol {protocol} (annotation {})", annotation::PROTOCOL));
    }
    let families = if service.families.is_empty() { "IPv4".to_owned() } else { list(&service.families) };
    lines.push(format!("families {families} ({})", family_policy(service.family_policy)));
    if !service.remembered.is_empty() {
        lines.push(format!("had before {} (annotation {})", list(&service.remembered), annotation::ADDRESSES));
    }
    lines
}

/// The field a wish is written in.
pub(crate) fn wish_source(source: WishSource) -> String {
    match source {
        WishSource::Annotation => format!("annotation {}", annotation::WANTED_ADDRESS),
        WishSource::LoadBalancerIp => "spec.loadBalancerIP".to_owned(),
    }
}

/// The value of `spec.ipFamilyPolicy`.
pub(crate) fn family_policy(policy: FamilyPolicy) -> &'static str {
    match policy {
        FamilyPolicy::SingleStack => "SingleStack",
        FamilyPolicy::PreferDualStack => "PreferDualStack",
        FamilyPolicy::RequireDualStack => "RequireDualStack",
    }
}

/// What was sought of one family, and what came of it.
pub(crate) fn search(search: &Search, page: &Page<'_>) -> String {
    let family = search.family;
    let refused = match &search.outcome {
        Some(Err(reason)) => reason.category(),
        _ => "",
    };
    let is_refused = !refused.is_empty();
    match search.sought {
        Sought::Nothing => {
            let held = page.explanation.verdict.addresses().filter(|address| IpFamily::of(*address) == family);
            let held: Vec<_> = held.collect();
            match (held.as_slice(), page.explanation.verdict.unmet.first()) {
                ([], Some(reason)) => format!("{family}: no Eip is asked: {}", reason.category()),
                ([], None) => format!("{family}: no Eip is asked"),
                (held, _) => format!("{family}: it has {}, so no Eip is asked", list(held)),
            }
        }
        Sought::Wish(address) if is_refused => {
            format!("{family}: it wishes for {address} and does not get it: {refused}")
        }
        Sought::Wish(address) => format!("{family}: it wishes for {address} and gets it"),
        Sought::Remembered(address) => {
            format!("{family}: it gets back {address}, which it held before its status was lost")
        }
        Sought::Reserved(address) => format!("{family}: it gets {address}, which is reserved for it"),
        Sought::Again(address) => {
            format!("{family}: it gets {address}, which a Service of its name gave back a short while ago")
        }
        Sought::Any => match &search.outcome {
            Some(Ok(address)) => format!("{family}: it gets {address}"),
            _ => format!("{family}: it gets none: {refused}"),
        },
    }
}

/// How an Eip offers itself.
pub(crate) fn offer(offer: Option<Offer>) -> &'static str {
    match offer {
        Some(Offer::Named) => "named",
        Some(Offer::Bound) => "bound",
        Some(Offer::Default) => "default",
        Some(Offer::Protocol) => "protocol",
        None => "",
    }
}

/// How much of an Eip is in use.
pub(crate) fn usage(report: &EipReport) -> String {
    let mut text = format!("{}/{}", report.used, report.total);
    if report.reserved > 0 {
        text.push_str(&format!(" and {} reserved", report.reserved));
    }
    text
}

/// What came of an Eip.
pub(crate) fn finding(report: &EipReport, search: &Search) -> String {
    match &report.finding {
        Finding::Holds(addresses) => format!("the Service holds {} out of it", list(addresses)),
        Finding::Gives(address) if search.sought == Sought::Any => format!("gives {address}, its lowest free address"),
        Finding::Gives(address) => format!("gives {address}"),
        Finding::Refused(reason) => format!("{}: {reason}", reason.category()),
        Finding::AfterGiver => "not asked: one before it gives an address".to_owned(),
        Finding::AfterOffer(offer) => {
            let those = match offer {
                Offer::Named => "the Eips that the Service names",
                Offer::Bound => "Eips bound to this namespace or Service",
                Offer::Default => "default Eips",
                Offer::Protocol => "Eips of the protocol that is asked for",
            };
            format!("not asked: {those} can serve it, and then only those are tried")
        }
        Finding::WithoutWish => "not asked: the wished address is not in it".to_owned(),
        Finding::WishIsIn(other) => {
            format!("not asked: the wished address is in it too, and Eip {} is asked", other.name)
        }
        Finding::NotOffered(why) => format!("not asked: {}", not_offered(*why, report)),
        Finding::NotAsked => "not asked".to_owned(),
    }
}

fn not_offered(why: NotOffered, report: &EipReport) -> String {
    match why {
        NotOffered::OthersNamed => "the Service names others".to_owned(),
        NotOffered::OnRequestOnly => "its spec.autoAssign is false, so it serves only who asks for it".to_owned(),
        NotOffered::OtherNamespaces => "it is bound to other namespaces".to_owned(),
        NotOffered::OtherServices => "its spec.serviceSelector does not match the Service's labels".to_owned(),
        NotOffered::OtherProtocol => {
            format!("its protocol is {}, and the Service asks for another", report.eip.announcement)
        }
        NotOffered::NotDefault => "it is neither bound to this namespace or Service nor the default".to_owned(),
    }
}

/// Things with commas between.
pub(crate) fn list<T: ToString>(things: &[T]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
