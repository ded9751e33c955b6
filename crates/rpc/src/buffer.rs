//! [`Buffer`]: the bytes of a message while they arrive.
//!
//! A large one is memory of its own from the system, in huge pages where there are any: where a
//! gigabyte arrives in small pages, making these ready takes longer than everything else. Memory
//! that nothing has arrived in yet is not there, but for the rest of a page, so it grows in great
//! strides and is seldom copied.
//!
//! Deliberately absent: how much may arrive.

use bytes::Bytes;
use memmap2::{Advice, MmapMut, MmapOptions};
use std::io;
use std::ops::{Deref, DerefMut, Range};
use tokio::io::{AsyncRead, AsyncReadExt};

/// From this capacity on, in bytes, it is memory of its own.
const MAPPED: usize = 4 << 20;
/// So much at first: a request of a subscriber, which a control thread receives by itself, is not
/// copied on, unless more is allowed than by default.
const FIRST: usize = 64 << 20;
/// How many times as much memory it gets then as it holds.
const STRIDE: usize = 4;

#[derive(Debug)]
pub(crate) enum Buffer {
    Heap(Vec<u8>),
    Mapped { map: MmapMut, len: usize },
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped { map, len } => &map[..*len],
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped { map, len } => &mut map[..*len],
        }
    }
}

impl Buffer {
    /// Bytes that fit in without [growing](Self::grow).
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity() - bytes.len(),
            Self::Mapped { map, len } => map.len() - len,
        }
    }

    /// Makes room for at least so many more.
    pub(crate) fn grow(&mut self, more: usize) -> io::Result<()> {
        let wanted = self.len().saturating_add(more);
        match self {
            Self::Heap(bytes) if wanted < MAPPED => bytes.reserve_exact(more),
            _ => {
                let ample = self.len().saturating_mul(STRIDE).max(FIRST).max(wanted);
                // Where even what is not there counts, as much as is needed has to do.
                let larger = Self::mapped(self, ample).or_else(|_| Self::mapped(self, wanted));
                *self = larger?;
            }
        }
        Ok(())
    }

    fn mapped(held: &[u8], capacity: usize) -> io::Result<Self> {
        let mut map = MmapOptions::new()
            .len(capacity)
            .no_reserve_swap()
            .map_anon()?;
        // Small pages only take longer.
        let _ = map.advise(Advice::HugePage);
        map[..held.len()].copy_from_slice(held);
        let len = held.len();
        Ok(Self::Mapped { map, len })
    }

    /// Adds what little arrived elsewhere.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Self::Heap(held) = self {
            held.extend_from_slice(bytes);
            return Ok(());
        }
        if self.room() < bytes.len() {
            self.grow(bytes.len())?;
        }
        if let Self::Mapped { map, len } = self {
            map[*len..*len + bytes.len()].copy_from_slice(bytes);
            *len += bytes.len();
        }
        Ok(())
    }

    /// Reads at most so many bytes into the room there is; how many, 0 at the stream's end.
    pub(crate) async fn read_from<S>(&mut self, stream: &mut S, most: usize) -> io::Result<usize>
    where
        S: AsyncRead + Unpin,
    {
        match self {
            Self::Heap(bytes) => stream.take(most as u64).read_buf(bytes).await,
            Self::Mapped { map, len } => {
                let end = map.len().min(len.saturating_add(most));
                let n = stream.read(&mut map[*len..end]).await?;
                *len += n;
                Ok(n)
            }
        }
    }

    /// Forgets these bytes, and gives memory of its own back where little is left.
    pub(crate) fn remove(&mut self, gone: Range<usize>) {
        let left = self.len() - gone.len();
        match self {
            Self::Heap(bytes) => drop(bytes.drain(gone)),
            Self::Mapped { map, len } if left < MAPPED => {
                *self = Self::Heap([&map[..gone.start], &map[gone.end..*len]].concat());
            }
            Self::Mapped { map, len } => {
                map.copy_within(gone.end..*len, gone.start);
                *len = left;
            }
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Heap(bytes) => Bytes::from(bytes),
            Self::Mapped { map, len } => Bytes::from_owner(map).slice(..len),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_is_read_in_pieces_is_the_same_on_the_heap_and_in_memory_of_its_own() {
        let sent: Vec<u8> = (0..3 * MAPPED as u32).map(|n| (n / 7) as u8).collect();
        let (mut rest, mut buffer, mut grown) = (&sent[..], Buffer::default(), 0);
        while !rest.is_empty() {
            if buffer.room() == 0 {
                buffer.grow(buffer.len().max(1_000)).unwrap();
                grown += 1;
            }
            let before = buffer.len();
            let n = buffer.read_from(&mut rest, 100_000).await.unwrap();
            assert!((1..=100_000).contains(&n) && buffer.len() == before + n);
        }
        assert!(matches!(buffer, Buffer::Mapped { .. }) && grown < 25);
        assert_eq!(&buffer[..], &sent);
        buffer.remove(0..10);
        buffer.remove(90..100);
        buffer.extend(b"and more").unwrap();
        assert!(matches!(buffer, Buffer::Mapped { .. }));
        let kept = [&sent[10..100], &sent[110..], b"and more"].concat();
        assert_eq!(&buffer[..], kept);
        buffer.remove(1_000..kept.len() - 9);
        assert!(matches!(buffer, Buffer::Heap(_)));
        let ends = [&kept[..1_000], &kept[kept.len() - 9..]].concat();
        assert_eq!(buffer.into_bytes(), ends);
    }
}
