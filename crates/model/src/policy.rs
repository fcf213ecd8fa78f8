//! What may change or stop a route on its way to the peers: the policy file that a BgpConf names, after its text has been read.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::{IpFamily, Prefix};

/// A policy: what a route goes through when it is made, and then on its way to each peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `import-policy-list`: in GoBGP routes of its own go through it as well.
    pub import: Chain,
    /// `export-policy-list`.
    pub export: Chain,
}

/// Statements in the order in which a route meets them, until one decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The statements of all policies of the list, one after the other.
    pub statements: Vec<Statement>,
    /// What becomes of a route that no statement decided on.
    pub default: Disposition,
}

impl Default for Chain {
    fn default() -> Self {
        Self { statements: Vec::new(), default: Disposition::Accept }
    }
}

/// What becomes of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Disposition {
    /// It goes out.
    Accept,
    /// It does not.
    Reject,
}

/// If all conditions hold, the route is changed, and then decided on, or handed to the next statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Its name, for messages.
    pub name: String,
    /// All must hold; none holds always.
    pub conditions: Vec<RouteCondition>,
    /// Carried out in this order.
    pub actions: Vec<RouteAction>,
    /// `route-disposition`.
    pub disposition: Option<Disposition>,
}

/// How a condition looks at a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum MatchOption {
    /// Some member of the set is found.
    #[default]
    Any,
    /// Every member of the set is found.
    All,
    /// No member of the set is found.
    Invert,
}

impl MatchOption {
    /// Does the condition hold, of whose members `is_found` tells which are found?
    pub fn holds<T>(self, members: &[T], is_found: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Any => members.iter().any(is_found),
            Self::All => !members.is_empty() && members.iter().all(is_found),
            Self::Invert => !members.iter().any(is_found),
        }
    }
}

/// Something that may hold for a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteCondition {
    /// `match-prefix-set`.
    Prefix(MatchOption, Vec<PrefixRange>),
    /// `match-neighbor-set`: the peer it is sent to.
    Neighbor(MatchOption, Vec<Prefix>),
    /// `as-path-length`.
    AsPathLength(Comparison, u32),
    /// `match-as-path-set`: the path as numbers with blanks between them.
    AsPath(MatchOption, Vec<Pattern>),
    /// `match-community-set`: each as `high:low`.
    Community(MatchOption, Vec<Pattern>),
    /// `match-ext-community-set`: of one sub-type, each as `AS:number`.
    ExtCommunity(MatchOption, Vec<(u8, Pattern)>),
    /// `match-large-community-set`: each as `a:b:c`.
    LargeCommunity(MatchOption, Vec<Pattern>),
    /// `route-type`: holds for `local` only, since every route is made here.
    IsLocal(bool),
    /// `next-hop-in-list`.
    NextHop(Vec<Prefix>),
    /// `afi-safi-in-list`.
    Family(BTreeSet<IpFamily>),
}

/// A prefix with the lengths that count as being in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PrefixRange {
    /// The prefix.
    pub prefix: Prefix,
    /// The shortest length.
    pub least: u8,
    /// The longest length.
    pub most: u8,
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Equal or greater.
    AtLeast,
    /// Equal or smaller.
    AtMost,
}

/// A change to a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteAction {
    /// `set-community`.
    Communities(SetOption, BTreeSet<u32>),
    /// `set-ext-community`: eight bytes each (RFC 4360 section 2).
    ExtCommunities(SetOption, BTreeSet<[u8; 8]>),
    /// `set-large-community`.
    LargeCommunities(SetOption, BTreeSet<[u32; 3]>),
    /// `set-med` to a number.
    Med(u32),
    /// `set-med` by a difference.
    MedBy(i64),
    /// `set-as-path-prepend`: this number, or the first one of the path, so many times.
    Prepend(Option<u32>, u8),
    /// `set-next-hop`: this address, or this end of the session.
    NextHop(Option<IpAddr>),
    /// `set-local-pref`.
    LocalPref(u32),
}

/// What is done with a set of communities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SetOption {
    /// They are added.
    Add,
    /// They are removed.
    Remove,
    /// They take the place of those that are there.
    Replace,
}

impl SetOption {
    /// Changes a set by these members.
    pub fn change<T: Ord + Clone>(self, set: &mut BTreeSet<T>, members: &BTreeSet<T>) {
        match self {
            Self::Add => set.extend(members.iter().cloned()),
            Self::Remove => set.retain(|member| !members.contains(member)),
            Self::Replace => set.clone_from(members),
        }
    }
}

/// A regular expression that compares by its text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// The expression.
    ///
    /// # Errors
    /// What is wrong with the text, for the user to mend.
    pub fn new(text: &str) -> Result<Self, String> {
        // 64 KiB, chosen: a set of hundreds of AS numbers fits, and no text makes a speaker large.
        let built = regex::RegexBuilder::new(text).size_limit(64 * 1024).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            _ => "it is no regular expression".to_owned(),
        })
    }

    /// Does it match some part of the text?
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_str().to_owned()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0)
    }
}
