//! `/logs`: the end of the INFO log.
//! Bounded: the file is read from near its end, off the threads that serve.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::document;
use crate::logging::Logging;
use crate::web::Page;

pub(super) fn page(logging: Logging, bytes: u64) -> Page {
    Page::document("/logs", move |_| {
        let logging = logging.clone();
        async move {
            let read = move || {
                logging.flush();
                let path = logging.info_file().unwrap_or_default();
                let log = tail(&path, bytes);
                (path.display().to_string(), log.ok())
            };
            let (shown, log) = tokio::task::spawn_blocking(read).await.unwrap_or_default();
            let mut page = document([
                ("logfile", shown.clone().into()),
                ("num_bytes", bytes.into()),
            ]);
            match log {
                Some(log) => page.insert("log".to_owned(), log.into()),
                None => {
                    let text = format!("Couldn't open INFO log file: {shown}");
                    page.insert("error".to_owned(), text.into())
                }
            };
            page
        }
    })
    .in_navbar()
}

fn tail(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
