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
            logging.flush();
            let path = logging.info_file().unwrap_or_default();
            let shown = path.display().to_string();
            let log = tokio::task::spawn_blocking(move || tail(&path, bytes)).await;
            let mut page = document([
                ("logfile", shown.clone().into()),
                ("num_bytes", bytes.into()),
            ]);
            match log {
                Ok(Ok(log)) => page.insert("log".to_owned(), log.into()),
                _ => {
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
