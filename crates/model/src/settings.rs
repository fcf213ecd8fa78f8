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

/// Settings that decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--load-balancer-class`.
    pub load_balancer_class: String,
    /// `--service-selection`.
    pub service_selection: ServiceSelection,
}

impl Settings {
    /// Is this Service ironlb's? Its class decides where there is one, else the annotation that opts in, else
    /// `--service-selection`.
    #[must_use]
    pub fn selects(&self, service: &Service) -> bool {
        service.is_load_balancer
            && match (&service.load_balancer_class, service.opt_in) {
                (Some(class), _) => *class == self.load_balancer_class,
                (None, OptIn::Ours) => true,
                (None, OptIn::Other) => false,
                (None, OptIn::Absent) => self.service_selection == ServiceSelection::All,
            }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { load_balancer_class: "ironlb.io/ironlb".to_owned(), service_selection: ServiceSelection::default() }
    }
}
