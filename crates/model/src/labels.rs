//! Labels of an object.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Labels of an object, or the labels a Service's `spec.selector` wants: pairs of key and value, each key once.
///
/// A sorted slice and not a map, because ten thousand Services are held in memory and an object has a handful of labels: a map's
/// smallest node alone takes more than half a KiB (measured). They are read as they are and never changed in place. In a kept
/// snapshot they look like a map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value under this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(other, _)| other.as_ref().cmp(key)).ok()?;
        self.0.get(found).map(|(_, value)| value.as_ref())
    }

    /// Every pair, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of several values under one key the last counts, as in a map.
impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut all: Vec<(Box<str>, Box<str>)> = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        // Stable, so that among equal keys the last given stands last; of a run of them the first stays, and gets its value.
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(&mut kept.1, &mut later.1);
            }
            is_same
        });
        Self(all.into_boxed_slice())
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, const N: usize> From<[(K, V); N]> for Labels {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                std::iter::from_fn(|| map.next_entry::<Box<str>, Box<str>>().transpose()).collect()
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn labels_are_found_by_key_and_walked_in_order() {
        let labels = Labels::from([("tier", "edge"), ("app", "web"), ("tier", "core")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("app", "web"), ("tier", "core")], "the last value counts");
        assert_eq!((labels.get("tier"), labels.get("app"), labels.get("b")), (Some("core"), Some("web"), None));
        assert_eq!(labels, Labels::from([("app", "web"), ("tier", "core")]));
        assert!(Labels::default().is_empty() && !labels.is_empty());
    }

    #[test]
    fn they_are_written_and_read_as_a_map() {
        let map = BTreeMap::from([("app", "web"), ("tier", "edge")]);
        let labels: Labels = map.clone().into_iter().collect();
        let text = serde_json::to_string(&labels).unwrap();
        assert_eq!(text, serde_json::to_string(&map).unwrap());
        assert_eq!(serde_json::from_str::<Labels>(&text).unwrap(), labels);
        assert_eq!(serde_json::from_str::<Labels>("{}").unwrap(), Labels::default());
        assert!(serde_json::from_str::<Labels>("[]").is_err());
    }
}
