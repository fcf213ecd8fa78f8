//! Fields of BGP objects, each with its range, and the faults found on the way.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ironlb_api as api;
use ironlb_model::{Asn, GracefulRestart, Issue, IssueReason, ObjectRef, Selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::without_effect;
use crate::quote::quoted;
use crate::{address, selector};

/// The faults found in one object.
pub(crate) struct Faults {
    object: ObjectRef,
    pub(crate) issues: Vec<Issue>,
}

impl Faults {
    pub(crate) fn of(object: ObjectRef) -> Self {
        Self { object, issues: Vec::new() }
    }

    pub(crate) fn add(&mut self, field: &str, reason: IssueReason, message: String) {
        self.issues.push(Issue { object: self.object.clone(), field: field.to_owned(), reason, message });
    }

    pub(crate) fn invalid(&mut self, field: &str, message: String) {
        self.add(field, IssueReason::InvalidField, message);
    }

    /// Tells when a field is set in both its spellings and they disagree.
    pub(crate) fn compare<T: PartialEq + fmt::Display>(
        &mut self,
        field: &str,
        new: Option<&T>,
        old_field: &str,
        old: Option<&T>,
    ) {
        if let (Some(new), Some(old)) = (new, old)
            && new != old
        {
            let message = format!(
                "it is {} and {old_field} (its older spelling) is {}: the first one counts, remove the other",
                quoted(&new.to_string()),
                quoted(&old.to_string())
            );
            self.add(field, IssueReason::SpellingsDisagree, message);
        }
    }

    /// A number within bounds; `instead` says what counts until it is mended.
    pub(crate) fn number<T>(
        &mut self,
        field: &str,
        given: Option<i64>,
        bounds: RangeInclusive<T>,
        instead: &str,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + fmt::Display,
    {
        let given = given?;
        let read = T::try_from(given).ok().filter(|number| bounds.contains(number));
        if read.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            self.invalid(field, format!("{given} is not in {least} to {most}; until this is mended, {instead}"));
        }
        read
    }

    /// An address; an empty text is none.
    pub(crate) fn address(&mut self, field: &str, given: Option<&str>, instead: &str) -> Option<IpAddr> {
        let text = given.map(str::trim).filter(|text| !text.is_empty())?;
        address::parse_address(text)
            .inspect_err(|fault| self.invalid(field, format!("{fault}; until this is mended, {instead}")))
            .ok()
    }

    /// A selector; one that cannot be read holds for nothing.
    pub(crate) fn selector(&mut self, field: &str, given: Option<&LabelSelector>) -> Option<Selector> {
        given.map(|given| {
            selector::read(given).unwrap_or_else(|said| {
                self.invalid(field, format!("{said}; until this is mended the selector holds for nothing"));
                Selector::never()
            })
        })
    }

    /// Seconds as OpenELB has them: a text that holds a whole number.
    pub(crate) fn seconds(
        &mut self,
        field: &str,
        given: Option<&str>,
        bounds: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        let Some(text) = given.map(str::trim).filter(|text| !text.is_empty()) else { return default };
        let read = text.parse().ok().filter(|seconds| bounds.contains(seconds));
        read.map_or_else(
            || {
                let (least, most) = (bounds.start(), bounds.end());
                let default = default.as_secs();
                self.invalid(
                    field,
                    format!(
                        "{} is not a whole number of seconds from {least} to {most}; until this is mended, {default} counts",
                        quoted(text)
                    ),
                );
                Duration::from_secs(default)
            },
            Duration::from_secs,
        )
    }

    /// `gracefulRestart`, where it is enabled.
    pub(crate) fn graceful_restart(
        &mut self,
        field: &str,
        given: Option<&api::GracefulRestart>,
    ) -> Option<GracefulRestart> {
        // RFC 4724 section 3: the restart time is a field of 12 bits.
        const MOST: u16 = 4095;
        let given = given.filter(|given| given.enabled == Some(true))?;
        without_effect::of_graceful_restart(field, given, self);
        let path = format!("{field}.restartTime");
        let time = given.restart_time.filter(|time| *time != 0);
        let time = self.number(&path, time, 1..=MOST, &format!("{DEFAULT_RESTART_TIME} s counts"));
        Some(GracefulRestart {
            restart_time: Duration::from_secs(time.unwrap_or(DEFAULT_RESTART_TIME).into()),
            helper_only: given.helper_only.unwrap_or(false),
            notification: given.notification_enabled.unwrap_or(false),
        })
    }
}

/// How long a peer keeps our routes, in seconds. Chosen: a kubelet starts a speaker again within a few seconds, and with its image to be
/// fetched within 30 s.
const DEFAULT_RESTART_TIME: u16 = 30;

/// 0 and absent are none, as OpenELB has it.
pub(crate) fn asn(given: Option<api::Asn>) -> Option<Asn> {
    given.and_then(|given| Asn::new(given.0))
}
