//! What the command line sets for the whole cluster.

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

impl Default for Settings {
    fn default() -> Self {
        Self { load_balancer_class: "ironlb.io/ironlb".to_owned(), service_selection: ServiceSelection::default() }
    }
}
