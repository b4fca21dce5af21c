//! A list in an order of its owner's, for many elements or few: they stand in chunks of up to [`CHUNK`], so that one that
//! comes or goes moves no more than a chunk, and a list of one takes the memory of one (a B-tree's smallest node has room
//! for eleven).
//!
//! Invariants: no chunk is empty; the order of the chunks is that of their elements; a chunk that grows has room for an
//! eighth more than it holds, one that shrinks for twice that.

use std::cmp::Ordering;

/// The most elements of a chunk.
const CHUNK: usize = 64;

/// A chunk with no more than this joins a neighbour, if that one is as small.
const FEW: usize = CHUNK / 4;

/// The list.
#[derive(Debug)]
pub struct Sorted<T> {
    chunks: Vec<Vec<T>>,
}

/// Where an element stands, or would stand; valid until the list changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    chunk: usize,
    index: usize,
}

impl Place {
    /// Where the first element stands, if there is one.
    pub const FIRST: Self = Self { chunk: 0, index: 0 };
}

impl<T> Sorted<T> {
    /// Nothing; allocates nothing.
    pub const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Puts an element where [`Sorted::find`] has said that it would stand.
    pub fn insert(&mut self, place: Place, element: T) {
        let Place { mut chunk, mut index } = place;
        let (is_last, is_full) =
            (chunk + 1 >= self.chunks.len(), self.chunks.get(chunk).is_none_or(|it| it.len() == CHUNK));
        if is_full && is_last && index == self.chunks.get(chunk).map_or(0, Vec::len) {
            // What comes in order fills its chunks.
            self.reserve_chunk();
            self.chunks.push(Vec::new());
            (chunk, index) = (self.chunks.len() - 1, 0);
        } else if is_full {
            self.split(chunk);
            if index > CHUNK / 2 {
                (chunk, index) = (chunk + 1, index - CHUNK / 2);
            }
        }
        let elements = &mut self.chunks[chunk];
        if elements.len() == elements.capacity() {
            elements.reserve_exact(1 + elements.len() / 8);
        }
        elements.insert(index, element);
    }

    /// Takes out the element at a place that [`Sorted::find`] has found.
    pub fn remove(&mut self, place: Place) -> T {
        let elements = &mut self.chunks[place.chunk];
        let element = elements.remove(place.index);
        if elements.is_empty() {
            self.take_chunk(place.chunk);
            return element;
        }
        if elements.capacity() > 2 * elements.len() {
            elements.shrink_to(elements.len() + elements.len() / 8);
        }
        if elements.len() <= FEW {
            self.join_with_next(place.chunk);
            if let Some(before) = place.chunk.checked_sub(1) {
                self.join_with_next(before);
            }
        }
        element
    }

    /// The element at a place that was found, to change what does not order it.
    pub fn at_mut(&mut self, place: Place) -> &mut T {
        &mut self.chunks[place.chunk][place.index]
    }

    /// The element at a place that was found.
    pub fn at(&self, place: Place) -> &T {
        &self.chunks[place.chunk][place.index]
    }

    /// Where the element stands that `order` calls equal, or else where it would. `order` compares an element with
    /// what is sought.
    pub fn find(&self, order: impl Fn(&T) -> Ordering) -> Result<Place, Place> {
        let not_behind = self.chunks.partition_point(|elements| order(&elements[0]) != Ordering::Greater);
        let chunk = not_behind.saturating_sub(1);
        let Some(elements) = self.chunks.get(chunk) else { return Err(Place::FIRST) };
        match elements.binary_search_by(order) {
            Ok(index) => Ok(Place { chunk, index }),
            Err(index) => Err(Place { chunk, index }),
        }
    }

    /// The elements from a place on.
    pub fn from(&self, place: Place) -> impl Iterator<Item = &T> {
        let chunks = self.chunks.get(place.chunk..).unwrap_or_default();
        chunks.iter().flatten().skip(place.index)
    }

    fn split(&mut self, chunk: usize) {
        let upper = self.chunks[chunk].split_off(CHUNK / 2);
        self.chunks[chunk].shrink_to_fit();
        self.reserve_chunk();
        self.chunks.insert(chunk + 1, upper);
    }

    /// A list of one chunk has room for one.
    fn reserve_chunk(&mut self) {
        if self.chunks.is_empty() {
            self.chunks.reserve_exact(1);
        }
    }

    fn take_chunk(&mut self, chunk: usize) -> Vec<T> {
        let taken = self.chunks.remove(chunk);
        if self.chunks.capacity() > 4 * self.chunks.len() {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
        taken
    }

    fn join_with_next(&mut self, chunk: usize) {
        let len = |chunk: usize| self.chunks.get(chunk).map_or(CHUNK, Vec::len);
        if len(chunk) + len(chunk + 1) <= 2 * FEW {
            let next = self.take_chunk(chunk + 1);
            self.chunks[chunk].reserve_exact(next.len());
            self.chunks[chunk].extend(next);
        }
    }
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
impl<T> Sorted<T> {
    /// What it has taken from the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let elements: usize = self.chunks.iter().map(Vec::capacity).sum();
        elements * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Prng;

    fn insert(sorted: &mut Sorted<u64>, number: u64) -> bool {
        match sorted.find(|it| it.cmp(&number)) {
            Ok(place) => {
                assert_eq!((*sorted.at(place), *sorted.at_mut(place)), (number, number));
                false
            }
            Err(place) => {
                sorted.insert(place, number);
                true
            }
        }
    }

    fn remove(sorted: &mut Sorted<u64>, number: u64) -> bool {
        match sorted.find(|it| it.cmp(&number)) {
            Ok(place) => sorted.remove(place) == number,
            Err(_) => false,
        }
    }

    fn audit(sorted: &Sorted<u64>) {
        assert!(sorted.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        let few = |pair: &[Vec<u64>]| pair[0].len() + pair[1].len() < FEW;
        assert!(!sorted.chunks.windows(2).any(few), "small neighbours join");
    }

    proptest! {
        #[test]
        fn is_an_ordered_set(seed: u64, span in 1..2_000_u64) {
            let mut prng = Prng::new(seed);
            let (mut sorted, mut model) = (Sorted::new(), BTreeSet::new());
            // Grows, then shrinks, several times over.
            for step in 0..6_000_u64 {
                let number = prng.below(span);
                if prng.below(3) == 0 || step / 1_500 % 2 == 1 {
                    prop_assert_eq!(remove(&mut sorted, number), model.remove(&number));
                } else {
                    prop_assert_eq!(insert(&mut sorted, number), model.insert(number));
                }
                if step % 97 == 0 {
                    audit(&sorted);
                    prop_assert!(sorted.from(Place::FIRST).eq(model.iter()));
                    let (Ok(place) | Err(place)) = sorted.find(|it| it.cmp(&number));
                    prop_assert!(sorted.from(place).eq(model.range(number..)));
                }
            }
        }
    }

    #[test]
    fn takes_little_more_than_it_holds() {
        let mut prng = Prng::new(3);
        for (count, in_order, most) in
            [(1, true, 32), (10_000, true, 10), (10_000, false, 10), (100_000, false, 10)]
        {
            let mut sorted = Sorted::new();
            let mut held = 0;
            while held < count {
                held += u64::from(insert(&mut sorted, if in_order { held } else { prng.next_u64() }));
            }
            let each = sorted.heap_bytes() as f64 / count as f64;
            assert!(each <= f64::from(most), "{count}: {each} bytes for 8");
        }
        let mut sorted = Sorted::new();
        (0..10_000).for_each(|number| assert!(insert(&mut sorted, number)));
        (0..10_000)
            .filter(|number| number % 100 != 0)
            .for_each(|number| assert!(remove(&mut sorted, number)));
        assert!(sorted.heap_bytes() < 100 * 8 * 8, "{}", sorted.heap_bytes());
        (0..100).for_each(|number| assert!(remove(&mut sorted, number * 100)));
        assert_eq!(sorted.heap_bytes(), 0);
    }
}
