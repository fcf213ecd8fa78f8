//! What became of a write.

use std::time::Duration;

use ironlb_model::ResourceVersion;
use ironlb_translate::parse_version;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use crate::watch::with_causes;

/// What became of one write: everything that whoever remembers it has to tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out and made this version.
    Written {
        /// The object's version since.
        version: ResourceVersion,
    },
    /// It was carried out and changed nothing: no watch will tell of it.
    Unchanged {
        /// The object's version, as before.
        version: ResourceVersion,
    },
    /// Somebody changed the object since it was seen (or, for a creation, it is there already); nothing was written.
    Conflict,
    /// The object is not there; nothing was written.
    Gone,
    /// The API server refuses (a policy, a validation, a right that is missing, or 429: too many requests); nothing was written.
    Refused {
        /// The HTTP status.
        code: u16,
        /// What it says.
        message: String,
    },
    /// There was no connection; nothing was sent.
    Unreachable {
        /// Why.
        message: String,
    },
    /// It was sent, and no answer came or one that does not say: it may have been carried out, or be carried out later.
    Unknown {
        /// Why.
        message: String,
    },
}

impl Outcome {
    /// The form in which it becomes a metric label.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Written { .. } => "Written",
            Self::Unchanged { .. } => "Unchanged",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Refused { .. } => "Refused",
            Self::Unreachable { .. } => "Unreachable",
            Self::Unknown { .. } => "Unknown",
        }
    }

    /// From the object the API server returned, compared with the version that was sent (none for a creation).
    pub(crate) fn of_version(returned: &ObjectMeta, sent: Option<ResourceVersion>) -> Self {
        let version = parse_version(returned.resource_version.as_deref().unwrap_or_default());
        if sent == Some(version) { Self::Unchanged { version } } else { Self::Written { version } }
    }

    /// From an error of the client.
    pub(crate) fn of_error(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::Gone,
                409 => Self::Conflict,
                400..500 => Self::Refused { code: status.code, message: status.message.clone() },
                // A 5xx may come from etcd's time-out or from a proxy on the way, after the write was passed on.
                _ => Self::Unknown { message: format!("{} ({})", status.message, status.code) },
            },
            other if was_never_sent(other) => Self::Unreachable { message: with_causes(other) },
            other => Self::Unknown { message: with_causes(other) },
        }
    }
}

/// Was the connection refused, so that nothing can have been sent?
fn was_never_sent(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Waits for a write no longer than `limit` and says what became of it.
pub(crate) async fn outcome_of<K: Resource>(
    limit: Duration,
    sent: Option<ResourceVersion>,
    request: impl Future<Output = kube::Result<K>>,
) -> Outcome {
    match tokio::time::timeout(limit, request).await {
        Ok(Ok(returned)) => Outcome::of_version(returned.meta(), sent),
        Ok(Err(error)) => Outcome::of_error(&error),
        Err(_) => Outcome::Unknown { message: format!("no answer within {limit:?}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(Status { code, message: "m".to_owned(), ..Status::failure("m", "r") }))
    }

    #[test]
    fn only_what_cannot_have_been_carried_out_is_called_so() {
        let refused = |code| Outcome::Refused { code, message: "m".to_owned() };
        for (code, want) in [
            (404, Outcome::Gone),
            (409, Outcome::Conflict),
            (401, refused(401)),
            (403, refused(403)),
            (422, refused(422)),
            (429, refused(429)),
            (500, Outcome::Unknown { message: "m (500)".to_owned() }),
            (503, Outcome::Unknown { message: "m (503)".to_owned() }),
            (504, Outcome::Unknown { message: "m (504)".to_owned() }),
        ] {
            assert_eq!(Outcome::of_error(&api(code)), want, "{code}");
        }
        let io = |kind| kube::Error::Service(Box::new(std::io::Error::from(kind)));
        assert_eq!(Outcome::of_error(&io(std::io::ErrorKind::ConnectionRefused)).category(), "Unreachable");
        assert_eq!(Outcome::of_error(&io(std::io::ErrorKind::ConnectionReset)).category(), "Unknown");
    }

    #[test]
    fn the_same_version_means_that_nothing_changed() {
        let meta = |version: &str| ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() };
        let (seven, eight) = (ResourceVersion(7), ResourceVersion(8));
        assert_eq!(Outcome::of_version(&meta("7"), Some(seven)), Outcome::Unchanged { version: seven });
        assert_eq!(Outcome::of_version(&meta("8"), Some(seven)), Outcome::Written { version: eight });
        assert_eq!(Outcome::of_version(&meta("8"), None), Outcome::Written { version: eight });
    }
}
