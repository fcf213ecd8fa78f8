//! A set of nodes by their place among the candidates: an election for 10,000 vips intersects tens of thousands of them.

/// A set of small numbers.
///
/// Sets are made with one size and keep it, so equal sets compare equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeSet(Vec<u64>);

impl NodeSet {
    /// None of `size` nodes.
    pub(crate) fn none(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    /// All of `size` nodes for which `which` says yes.
    pub(crate) fn filtered(size: usize, which: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::none(size);
        (0..size).filter(|n| which(*n)).for_each(|n| set.insert(n));
        set
    }

    pub(crate) fn insert(&mut self, node: usize) {
        if let Some(word) = self.0.get_mut(node / 64) {
            *word |= 1 << (node % 64);
        }
    }

    pub(crate) fn contains(&self, node: usize) -> bool {
        self.0.get(node / 64).is_some_and(|word| word & (1 << (node % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| usize::try_from(word.count_ones()).unwrap_or(64)).sum()
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    pub(crate) fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// What is in both, unless nothing is.
    pub(crate) fn both(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        both.intersect(other);
        (!both.is_empty()).then_some(both)
    }

    /// The members in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(n, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                left &= left - 1;
                Some(n * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(size: usize, members: &BTreeSet<usize>) -> NodeSet {
        NodeSet::filtered(size, |n| members.contains(&n))
    }

    proptest! {
        #[test]
        fn it_is_a_set(a in prop::collection::btree_set(0..130_usize, 0..40), b in prop::collection::btree_set(0..130_usize, 0..40)) {
            let (x, y) = (set(130, &a), set(130, &b));
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.is_empty(), a.is_empty());
            prop_assert!((0..200).all(|n| x.contains(n) == a.contains(&n)));
            let both: BTreeSet<usize> = a.intersection(&b).copied().collect();
            prop_assert_eq!(x.both(&y), (!both.is_empty()).then(|| set(130, &both)));
            let mut united = x;
            united.unite(&y);
            prop_assert_eq!(united, set(130, &a.union(&b).copied().collect()));
        }
    }
}
