//! Which Services are ours.

use ironlb_model::{SelectionRule, Service, Settings};

/// Why a Service is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotOurs {
    /// It is being deleted.
    Deleting,
    /// Its type is not LoadBalancer.
    NotLoadBalancer,
    /// It has another load balancer class.
    OtherClass,
    /// The annotation that opts in names somebody else.
    OtherAnnotation,
    /// It did not opt in, and `--service-selection` is `annotated`.
    NotAnnotated,
}

impl NotOurs {
    /// The reason's name in metric labels and in `explain`.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::Deleting => "Deleting",
            Self::NotLoadBalancer => "NotLoadBalancer",
            Self::OtherClass => "OtherClass",
            Self::OtherAnnotation => "OtherAnnotation",
            Self::NotAnnotated => "NotAnnotated",
        }
    }
}

/// Whose a Service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is ironlb's to serve.
    Ours,
    /// It is not.
    NotOurs(NotOurs),
}

/// Whose is this Service?
pub(crate) fn standing(service: &Service, settings: &Settings) -> Standing {
    if service.deleting {
        return Standing::NotOurs(NotOurs::Deleting);
    }
    Standing::NotOurs(match settings.judge(service) {
        (_, true) => return Standing::Ours,
        (SelectionRule::Type, false) => NotOurs::NotLoadBalancer,
        (SelectionRule::Class, false) => NotOurs::OtherClass,
        (SelectionRule::Annotation, false) => NotOurs::OtherAnnotation,
        (SelectionRule::Selection, false) => NotOurs::NotAnnotated,
    })
}

/// Did ironlb or OpenELB ever write on this Service? Without a trace of that nothing on it is touched.
///
/// The label alone is no trace: manifests in Git carry it, and taking it off again and again would be a fight.
pub(crate) fn has_trace(service: &Service) -> bool {
    service.has_openelb_finalizer || !service.conditions.is_empty() || !service.remembered.is_empty()
}
