//! Distance: a proxy through which everything arrives later, as over a long line.
//!
//! ```text
//!   statestored ---> proxy ... each chunk waits for its time ... ---> the subscriber
//!               <---       ... as long on the way back       ... <---
//! ```
//!
//! Deliberately absent: loss, and a bound on the rate: many chunks are on their way at a time.
//! Invariant: bytes keep their order, and none arrives before its time.

use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Chunks on their way, in one direction.
const ON_THE_WAY: usize = 256;
const CHUNK: usize = 64 * 1024;

/// Carries a connection to `to` and back until one side ends it; `away` is there and back.
pub(super) async fn relay(near: TcpStream, to: SocketAddr, away: Duration) -> io::Result<()> {
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_reads, near_writes) = near.into_split();
    let (far_reads, far_writes) = far.into_split();
    let there = later(near_reads, far_writes, away / 2);
    let back = later(far_reads, near_writes, away / 2);
    tokio::try_join!(there, back).map(|_| ())
}

async fn later(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wait: Duration) -> io::Result<()> {
    let (line, mut end) = mpsc::channel::<(Instant, BytesMut)>(ON_THE_WAY);
    let read = async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        while from.read_buf(&mut chunk).await? > 0 {
            if line.send((Instant::now() + wait, chunk)).await.is_err() {
                break;
            }
            chunk = BytesMut::with_capacity(CHUNK);
        }
        Ok(())
    };
    let write = async move {
        while let Some((due, chunk)) = end.recv().await {
            tokio::time::sleep_until(due.into()).await;
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_answer_comes_whole_and_not_before_its_time() {
        let [door, home] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
        let (door, home) = (door.await.unwrap(), home.await.unwrap());
        let (entry, to) = (door.local_addr().unwrap(), home.local_addr().unwrap());
        let away = Duration::from_millis(40);
        tokio::spawn(async move { relay(door.accept().await.unwrap().0, to, away).await });
        tokio::spawn(async move {
            let (mut echo, _) = home.accept().await.unwrap();
            let (mut reads, mut writes) = echo.split();
            tokio::io::copy(&mut reads, &mut writes).await
        });
        let mut near = TcpStream::connect(entry).await.unwrap();
        let said: Vec<u8> = (0..100_000_u32).map(|i| (i / 7) as u8).collect();
        let start = Instant::now();
        near.write_all(&said).await.unwrap();
        let mut heard = vec![0; said.len()];
        near.read_exact(&mut heard).await.unwrap();
        assert!(start.elapsed() >= away, "{:?}", start.elapsed());
        assert!(heard == said);
    }
}
