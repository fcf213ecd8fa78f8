//! The Kubernetes API of ironlb: its custom resources as Rust types, the CRDs made from them, and every name we share
//! with OpenELB or give ourselves.
//!
//! - [`Eip`], [`BgpConf`] and [`BgpPeer`] of group `network.kubesphere.io` are OpenELB's kinds with every field of its
//!   versions `v1alpha1` and `v1alpha2` in one schema, and our optional additions.
//! - [`Speaker`] of group `ironlb.io` is what each node's speaker reports.
//! - [`crds()`] gives the four CRDs; the files under `crds/` are its output (`cargo run -p ironlb-api --example crds -- crds/`).
//! - [`names`] holds annotations, labels, finalizers, condition types and Event reasons.
//!
//! What it does not do: it gives no field a meaning. An address, a selector or a pair of spellings is read by
//! `translate`; here a field is text or a number, as it travels.
//!
//! Invariants:
//! - Both served versions of a kind have the same schema, so that neither loses what the other wrote. They differ only
//!   in the rule that an interface must be named, which stands in `v1alpha2` alone.
//! - The CRDs refuse what OpenELB's admission refused and nothing more ([`rules`]). Everything else that can be wrong is
//!   for `translate` to report as an issue.
//! - Every field is optional in Rust, save `spec.address` of an Eip: an object that was stored by an older version of a
//!   CRD can be read.
//!
//! Start reading at [`eip`], then [`rules`] and [`crd`].

pub mod asn;
pub mod bgp_conf;
pub mod bgp_peer;
mod columns;
pub mod crd;
pub mod eip;
pub mod names;
pub mod rules;
pub mod speaker;

pub use asn::Asn;
pub use bgp_conf::{BgpConf, BgpConfSpec, BgpConfStatus, GracefulRestart, NodeConfStatus};
pub use bgp_peer::{BgpPeer, BgpPeerSpec, BgpPeerStatus, NodePeerStatus};
pub use crd::crds;
pub use eip::{Eip, EipBgp, EipLayer2, EipSpec, EipStatus, Protocol, Quota, Reservation};
pub use speaker::{
    OwnedVip, Speaker, SpeakerBfd, SpeakerBgp, SpeakerInterface, SpeakerLayer2, SpeakerListener, SpeakerSession,
    SpeakerSessionFamily, SpeakerSpec, SpeakerStatus, VipConflict, WithheldVip,
};
