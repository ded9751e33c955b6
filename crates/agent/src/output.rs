//! Standard output as `--follow` uses it: whole lines, and knowing when nobody reads any more.
//!
//! Not the runtime's own `stdout`: its lock, held by a write that a slow reader blocks, would
//! stop whoever else touches it at exit. Deliberately absent: what is written.
//!
//! Invariant: lines of several topics never mix.

use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Bytes that one write takes at most.
const CHUNK: usize = 64 << 10;

/// Standard output; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    file: Arc<Mutex<File>>,
    closed: watch::Receiver<bool>,
}

impl Output {
    /// Takes standard output, and begins to watch whether anybody reads it.
    pub(crate) fn stdout() -> io::Result<Self> {
        Self::over(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    fn over(file: File) -> io::Result<Self> {
        let (close, closed) = watch::channel(false);
        let watched = file.try_clone()?;
        // A thread of its own: not every kind of file can be waited for by the runtime.
        let wait = move || {
            let mut fds = [PollFd::new(&watched, PollFlags::empty())];
            while let Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
            close.send_replace(true);
        };
        std::thread::Builder::new()
            .name("output-watch".to_owned())
            .spawn(wait)?;
        let file = Arc::new(Mutex::new(file));
        Ok(Self { file, closed })
    }

    /// Writes lines; waits for a slow reader, so never call it where others wait for you.
    pub(crate) fn write(&self, lines: impl Iterator<Item = String>) -> io::Result<()> {
        // Whoever panicked has written whole chunks.
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = BufWriter::with_capacity(CHUNK, &*file);
        for line in lines {
            buffer.write_all(line.as_bytes())?;
        }
        buffer.flush()
    }

    /// Returns when nobody can read any more.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.clone();
        if closed.wait_for(|closed| *closed).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;
    use std::time::Duration;

    #[tokio::test]
    async fn lines_arrive_whole_and_a_reader_that_left_is_noticed_without_a_write() {
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::over(File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
        let lines = ["one\n", "two\n"].map(str::to_owned);
        output.write(lines.into_iter()).unwrap();
        let mut read = [0; 8];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one\ntwo\n");
        drop(reader);
        tokio::time::timeout(Duration::from_secs(30), output.closed())
            .await
            .unwrap();
        let error = output.write(std::iter::once("x".to_owned())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
