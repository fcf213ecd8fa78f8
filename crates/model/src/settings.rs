//! What the command line sets for the whole cluster.

use crate::{OptIn, Service};

/// Which Services without class and without annotation are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ServiceSelection {
    /// None of them (OpenELB's rule).
    #[default]
    Annotated,
    /// Every one of type LoadBalancer.
    All,
}

/// What settles whether a Service is ours, the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectionRule {
    /// `spec.type` is not `LoadBalancer`.
    Type,
    /// `spec.loadBalancerClass`.
    Class,
    /// The annotation that opts in.
    Annotation,
    /// `--service-selection`.
    Selection,
}

/// Settings that decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--load-balancer-class`.
    pub load_balancer_class: String,
    /// `--service-selection`.
    pub service_selection: ServiceSelection,
}

impl Settings {
    /// Is this Service ironlb's?
    #[must_use]
    pub fn selects(&self, service: &Service) -> bool {
        self.judge(service).1
    }

    /// Is this Service ironlb's, and by what? Its class decides where there is one, else the annotation that opts in, else
    /// `--service-selection`.
    #[must_use]
    pub fn judge(&self, service: &Service) -> (SelectionRule, bool) {
        if !service.is_load_balancer {
            return (SelectionRule::Type, false);
        }
        match (&service.load_balancer_class, service.opt_in) {
            (Some(class), _) => (SelectionRule::Class, *class == self.load_balancer_class),
            (None, OptIn::Ours) => (SelectionRule::Annotation, true),
            (None, OptIn::Other) => (SelectionRule::Annotation, false),
            (None, OptIn::Absent) => (SelectionRule::Selection, self.service_selection == ServiceSelection::All),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { load_balancer_class: "ironlb.io/ironlb".to_owned(), service_selection: ServiceSelection::default() }
    }
}
