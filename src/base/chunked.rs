//! A vector that grows without moving what it holds: elements live in chunks of [`CHUNK`].
//!
//! What a shard keeps per connection grows with the connections. A plain vector would copy all of it each time that
//! it doubles, hold old and new at once (the allocator keeps the old), and stop the shard for as long as that takes.

use std::ops::{Index, IndexMut};

/// Elements of a chunk.
pub const CHUNK: usize = 256;

/// Grows at its end, never shrinks.
#[derive(Debug)]
pub struct ChunkedVec<T> {
    /// Invariant: every chunk has room for [`CHUNK`] elements; all but the last are full.
    chunks: Vec<Vec<T>>,
}

impl<T> ChunkedVec<T> {
    /// Nothing; allocates nothing.
    pub const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Appends an element; its index is the length before.
    pub fn push(&mut self, element: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(element),
            Some(_) | None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(element);
                self.chunks.push(chunk);
            }
        }
    }

    /// The element, to change it.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// The element.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// All elements, by index.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// All elements, by index, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

impl<T> Default for ChunkedVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Panics beyond the end, as a vector does.
impl<T> Index<usize> for ChunkedVec<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for ChunkedVec<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_vector() {
        let mut chunked = ChunkedVec::new();
        assert!(chunked.is_empty() && chunked.get(0).is_none());
        for number in 0..3 * CHUNK {
            assert_eq!(chunked.len(), number);
            chunked.push(number);
            assert_eq!((chunked.get(number), chunked.get(number + 1)), (Some(&number), None));
        }
        for number in 0..3 * CHUNK {
            chunked[number] += 1;
            *chunked.get_mut(number).unwrap() += 1;
        }
        assert!(chunked.iter().copied().eq(2..3 * CHUNK + 2));
        chunked.iter_mut().for_each(|element| *element -= 2);
        assert!(chunked.iter().copied().eq(0..3 * CHUNK));
        assert_eq!(chunked.get_mut(usize::MAX), None);
    }

    #[test]
    fn nothing_moves() {
        let mut chunked = ChunkedVec::new();
        chunked.push(0);
        let first: *const i32 = &raw const chunked[0];
        (1..10 * CHUNK as i32).for_each(|number| chunked.push(number));
        assert!(std::ptr::eq(first, &raw const chunked[0]));
    }
}
