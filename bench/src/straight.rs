//! The machine's own limits: the same bytes to the same receivers by the plainest means.
//!
//! Blocking threads write finished messages to open connections and nothing else; they know no
//! topics, no deadlines, no failures. What they reach, and the CPU they take for it, is the limit
//! that a statestored's figure of the same run stands beside. One event loop is here too, for what
//! waiting for readiness adds.
//!
//! Deliberately absent: tricks that a statestored could not use too.

use crate::failure::Failure;
use futures::future::try_join_all;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_quickack;
use rustix::time::{ClockId, clock_gettime};
use statestore_wire::envelope::write_call;
use statestore_wire::{
    HeartbeatRequest, ItemBatch, TopicDelta, TopicDeltas, UniqueId, UpdateStateRequest,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a receiver may keep a thread waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages as a statestored would send them.
pub(crate) mod message {
    use super::*;
    use statestore_wire::item::canonical_key;

    /// A topic's entries, all of one size, one after the other.
    pub(crate) struct Entries {
        bytes: Vec<u8>,
        each: usize,
    }

    impl Entries {
        pub(crate) fn of(items: &ItemBatch) -> Self {
            let mut bytes = Vec::new();
            for chunk in items.chunks_from(0) {
                bytes.extend_from_slice(chunk.bytes());
            }
            let each = bytes.len() / items.len().max(1);
            Self { bytes, each }
        }
    }

    const ID: Option<UniqueId> = Some(UniqueId { hi: 1, lo: 2 });

    pub(crate) fn heartbeat() -> Vec<u8> {
        let mut bytes = Vec::new();
        let request = HeartbeatRequest {
            registration_id: ID,
            statestore_id: ID,
            ..HeartbeatRequest::default()
        };
        write_call(&request, &mut bytes);
        bytes
    }

    /// What `like` is, put together from a topic's entries: those whose keys begin with `prefix`.
    pub(crate) fn picked(whole: &Entries, prefix: &[u8], like: &[u8]) -> Vec<u8> {
        let wanted = |entry: &&[u8]| canonical_key(entry).starts_with(prefix);
        let picked = whole.bytes.chunks_exact(whole.each).filter(wanted);
        let first = picked.clone().next().unwrap_or_default();
        let mut windows = like.windows(whole.each);
        let head = windows.position(|bytes| bytes == first).unwrap_or_default();
        let mut bytes = Vec::with_capacity(like.len());
        bytes.extend_from_slice(&like[..head]);
        for entry in picked {
            bytes.extend_from_slice(entry);
        }
        let tail = &like[bytes.len()..];
        bytes.extend_from_slice(tail);
        bytes
    }

    pub(crate) fn update(topic: &'static str, items: ItemBatch) -> Vec<u8> {
        let mut bytes = Vec::new();
        let delta = TopicDelta {
            topic_name: topic.into(),
            topic_entries: items,
            from_version: Some(0),
            to_version: Some(1),
            ..TopicDelta::default()
        };
        let request = UpdateStateRequest {
            topic_deltas: TopicDeltas(vec![(topic.into(), delta)]),
            registration_id: ID,
            statestore_id: ID,
            ..UpdateStateRequest::default()
        };
        write_call(&request, &mut bytes);
        bytes
    }
}

/// Connects to each of them, before the clock runs.
pub(crate) async fn connect(to: Vec<SocketAddr>) -> Result<Vec<TcpStream>, Failure> {
    on_a_thread(move || {
        let open = |to| {
            let stream = TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        to.into_iter().map(open).collect()
    })
    .await
}

/// One thread a connection writes the message with writev and awaits the answer; CPU seconds of
/// all threads, and of making the message. When the last receiver has it is for the receivers to
/// say.
pub(crate) async fn fan_out(
    streams: Vec<TcpStream>,
    message: impl FnOnce() -> Arc<Vec<u8>> + Send + 'static,
) -> Result<f64, Failure> {
    on_a_thread(move || {
        let before = cpu_of_this_thread();
        let message = message();
        let making = cpu_of_this_thread() - before;
        let send = |mut stream: TcpStream| {
            let message = Arc::clone(&message);
            std::thread::spawn(move || {
                let mut sent = 0;
                while sent < message.len() {
                    sent += stream.write_vectored(&[IoSlice::new(&message[sent..])])?;
                }
                answer(&mut stream)?;
                Ok(cpu_of_this_thread())
            })
        };
        let threads: Vec<_> = streams.into_iter().map(send).collect();
        let mut cpu = making;
        for thread in threads {
            let ended: io::Result<f64> = thread.join().unwrap_or_else(|_| Err(panicked()));
            cpu += ended?;
        }
        Ok(cpu)
    })
    .await
}

/// One thread makes `rate` calls a second, spread evenly in slots of ten milliseconds: it writes
/// a slot's calls, and reads their answers when the next slot begins. Seconds of CPU a second, and
/// the connections.
pub(crate) async fn calls(
    mut streams: Vec<TcpStream>,
    message: Vec<u8>,
    rate: f64,
    duration: Duration,
) -> Result<(f64, Vec<TcpStream>), Failure> {
    const SLOT: Duration = Duration::from_millis(10);
    on_a_thread(move || {
        let (start, cpu) = (Instant::now(), cpu_of_this_thread());
        let (mut made, mut answered) = (0, 0);
        for slot in 1.. {
            let at = SLOT * slot;
            std::thread::sleep(at.saturating_sub(start.elapsed()));
            let open = streams.len();
            while answered < made {
                answer(&mut streams[answered % open])?;
                answered += 1;
            }
            if at > duration {
                break;
            }
            let due = (at.as_secs_f64() * rate) as usize;
            while made < due.min(answered + open) {
                streams[made % open].write_all(&message)?;
                made += 1;
            }
        }
        let cpu = (cpu_of_this_thread() - cpu) / start.elapsed().as_secs_f64();
        Ok((cpu, streams))
    })
    .await
}

/// One thread waits for readiness and makes `rate` calls a second: one on each connection again
/// and again, some time after the answer to the last one, at the next of the instants at which a
/// statestored with its slack would. It does nothing else. Seconds of CPU a call.
pub(crate) async fn event_loop(
    mut streams: Vec<TcpStream>,
    message: Vec<u8>,
    (rate, instant): (f64, Duration),
    duration: Duration,
) -> Result<f64, Failure> {
    /// Calls that go out in a row, so that answers get their turn.
    const IN_A_ROW: usize = 64;
    on_a_thread(move || {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (stream, i) in streams.iter().zip(0..) {
            stream.set_nonblocking(true)?;
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&poll, stream, epoll::EventData::new_u64(i), flags)?;
        }
        let period = Duration::from_secs_f64(streams.len() as f64 / rate);
        let (start, cpu) = (Instant::now(), cpu_of_this_thread());
        let at = |due: Duration| {
            let instants = due.as_nanos().div_ceil(instant.as_nanos());
            start + instant * instants as u32
        };
        let first = |i| at(period.mul_f64(i as f64 / streams.len() as f64));
        let mut due: VecDeque<_> = (0..streams.len()).map(|i| (first(i), i)).collect();
        let (mut made, mut events) = (0, Vec::with_capacity(1024));
        while start.elapsed() < duration {
            let now = Instant::now();
            for _ in 0..IN_A_ROW {
                let Some((_, i)) = due.front().copied().filter(|(at, _)| *at <= now) else {
                    break;
                };
                due.pop_front();
                streams[i].write_all(&message)?;
                made += 1;
                if period < Duration::from_millis(200) {
                    // As a statestored does: no packet for each answer.
                    set_tcp_quickack(&streams[i], false)?;
                }
            }
            let next = due.front().map_or(start + duration, |(at, _)| *at);
            ready(
                &poll,
                &mut events,
                next.saturating_duration_since(Instant::now()),
            )?;
            for event in &events {
                let i = event.data.u64() as usize;
                answer(&mut streams[i])?;
                due.push_back((at(start.elapsed() + period), i));
            }
        }
        Ok((cpu_of_this_thread() - cpu) / f64::from(made))
    })
    .await
}

/// What has become ready; nothing after `wait`, or if a signal came.
fn ready(poll: &OwnedFd, events: &mut Vec<epoll::Event>, wait: Duration) -> io::Result<()> {
    events.clear();
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&wait)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// One thread writes `message` to one connection after the other, calling `begin` first, then
/// reads the answers; gives the connections back.
pub(crate) async fn one_by_one(
    mut streams: Vec<TcpStream>,
    message: Vec<u8>,
    begin: impl FnOnce() + Send + 'static,
) -> Result<Vec<TcpStream>, Failure> {
    on_a_thread(move || {
        begin();
        for stream in &mut streams {
            stream.write_all(&message)?;
        }
        for stream in &mut streams {
            answer(stream)?;
        }
        Ok(streams)
    })
    .await
}

/// As many threads each read `message` so often and forget it; CPU seconds of those that read.
pub(crate) async fn read(
    message: Arc<Vec<u8>>,
    readers: usize,
    times: usize,
) -> Result<f64, Failure> {
    let one = || {
        let message = Arc::clone(&message);
        on_a_thread(move || {
            let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let mut writer = TcpStream::connect(door.local_addr()?)?;
            let (mut reader, _) = door.accept()?;
            let mut left = message.len() * times;
            let writing =
                std::thread::spawn(move || (0..times).try_for_each(|_| writer.write_all(&message)));
            let (mut scratch, cpu) = (vec![0; 256 * 1024], cpu_of_this_thread());
            while left > 0 {
                left -= match reader.read(&mut scratch)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => read,
                };
            }
            let cpu = cpu_of_this_thread() - cpu;
            writing.join().unwrap_or_else(|_| Err(panicked()))?;
            Ok(cpu)
        })
    };
    let all = try_join_all((0..readers).map(|_| one())).await?;
    Ok(all.into_iter().sum())
}

/// Answers here are short and come alone, so one read takes one.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0; 256])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let ended = tokio::task::spawn_blocking(work).await;
    let ended = ended.unwrap_or_else(|_| Err(panicked()));
    ended.map_err(Failure::io("measure the machine's limit"))
}

fn panicked() -> io::Error {
    io::Error::other("a thread panicked")
}

fn cpu_of_this_thread() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::message::{Entries, picked, update};
    use statestore_wire::ItemBatch;

    #[test]
    fn what_is_picked_is_what_those_who_filter_are_sent() {
        let keys = ["a-1", "b-1", "a-2", "b-2"].map(str::as_bytes);
        let of = |keys: &[&[u8]]| {
            ItemBatch::from_items(keys.iter().map(|&key| (key, &b"value"[..], false)))
        };
        let whole = Entries::of(&of(&keys));
        for (prefix, wanted) in [("a-", [keys[0], keys[2]]), ("b-", [keys[1], keys[3]])] {
            let message = update("topic", of(&wanted));
            assert_eq!(picked(&whole, prefix.as_bytes(), &message), message);
        }
    }
}
