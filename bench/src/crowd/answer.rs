//! One connection of one subscriber: what it reads, notes and answers.
//!
//! Heartbeats and updates that publish nothing get replies that were encoded once. Deliberately
//! absent: anything that could make an answer wait, except for those whose conduct it is.

use super::inbox::Inbox;
use super::{Conduct, Lane, Subscriber, lane_of, lock, reply_to};
use bytes::Bytes;
use statestore_wire::{
    Envelope, HeartbeatResponse, Reader, UpdateStateRequest, UpdateStateResponse, envelope,
};
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

static HEARTBEAT: LazyLock<Vec<u8>> =
    LazyLock::new(|| reply_to("Heartbeat", &HeartbeatResponse::default()));
static UPDATE: LazyLock<Vec<u8>> =
    LazyLock::new(|| reply_to("UpdateState", &UpdateStateResponse::default()));
static SKIPPED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let response = UpdateStateResponse {
        skipped: Some(true),
        ..UpdateStateResponse::default()
    };
    reply_to("UpdateState", &response)
});

/// Serves a connection until the peer has gone.
pub(super) async fn serve(stream: TcpStream, who: Arc<Subscriber>) {
    // A connection that breaks is the server's to judge; what it then does is measured.
    let _ = match who.conduct {
        Conduct::Hangs {
            heartbeats: true,
            updates: true,
        } => hang(&stream).await,
        Conduct::Reads { bytes_per_second } => answer(stream, &who, Some(bytes_per_second)).await,
        _ => answer(stream, &who, None).await,
    };
}

/// Holds the connection as long as the peer does.
async fn hang(stream: &TcpStream) -> io::Result<()> {
    while !stream.ready(Interest::READABLE).await?.is_read_closed() {
        // Data that nobody reads keeps the stream ready, so there is nothing to wait for.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn answer(mut stream: TcpStream, who: &Subscriber, speed: Option<usize>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut inbox = Inbox::new();
    while let Some(len) = inbox.next(&stream, speed).await? {
        let now = Instant::now();
        let lane = match inbox.small() {
            Some(message) => who.note(message, now)?,
            None => {
                who.records.large(len, now);
                Lane::Normal
            }
        };
        if who.conduct.hangs_in(lane) {
            return hang(&stream).await;
        }
        let publication = match lane {
            Lane::Heartbeat => {
                stream.write_all(&HEARTBEAT).await?;
                continue;
            }
            _ => who.publication(lane),
        };
        match publication {
            None if who.conduct == Conduct::Skips => stream.write_all(&SKIPPED).await?,
            None => stream.write_all(&UPDATE).await?,
            Some(reply) => {
                who.records.published(Instant::now());
                stream.write_all(&reply).await?;
            }
        }
    }
    Ok(())
}

impl Conduct {
    fn hangs_in(self, lane: Lane) -> bool {
        match self {
            Self::Hangs {
                heartbeats,
                updates,
            } => match lane {
                Lane::Heartbeat => heartbeats,
                Lane::Priority | Lane::Normal => updates,
            },
            _ => false,
        }
    }
}

impl Subscriber {
    /// Notes a small call's arrival and what it brought; its lane.
    fn note(&self, message: &[u8], now: Instant) -> io::Result<Lane> {
        let mut reader = Reader::new(message);
        let call = Envelope::read(&mut reader).map_err(io::Error::other)?;
        let lane = match call.method.as_bytes() {
            b"Heartbeat" => Lane::Heartbeat,
            b"UpdateState" => {
                let request: UpdateStateRequest =
                    envelope::read_args(&mut reader).map_err(io::Error::other)?;
                let deltas = request.topic_deltas.0.iter();
                for item in deltas.flat_map(|(_, delta)| delta.topic_entries.iter()) {
                    self.records.item(&mut lock(&self.memory), item.value, now);
                }
                lane_of(&request)
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.records.call(&mut lock(&self.memory), lane, now);
        Ok(lane)
    }

    fn publication(&self, lane: Lane) -> Option<Bytes> {
        let mut outgoing = lock(&self.outgoing);
        let due = outgoing.front().is_some_and(|next| next.on == lane);
        let next = if due { outgoing.pop_front() } else { None };
        next.map(|publication| publication.reply)
    }
}
