//! More connections than the web server has places: whoever has a request is served.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use statestore_daemon::web::{Document, Page};
use support::start;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Crowds of more than there are places for: who says nothing, half a head, or no body, and who has
/// been served and keeps its connection.
#[tokio::test]
async fn a_crowd_that_keeps_connections_shuts_nobody_out() {
    let web = start(&[]).await;
    web.ready.set(true);
    let served = "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let no_body = "POST /log_level HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n";
    for says in ["", "GET /hea", no_body, served] {
        let mut crowd = Vec::new();
        for _ in 0..600 {
            let mut stream = TcpStream::connect(web.address()).await.unwrap();
            stream.write_all(says.as_bytes()).await.unwrap();
            if says == served {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
            }
            crowd.push(stream);
        }
        assert_eq!(web.get("/healthz").await.status(), 200, "{says}");
        // Who came first has idled for longest.
        let mut rest = Vec::new();
        let _ = crowd[0].read_to_end(&mut rest).await;
    }
    web.logging.flush();
    let log = std::fs::read_to_string(web.logging.info_file().unwrap()).unwrap();
    assert!(
        log.contains("all 512 places of the web server are taken"),
        "{log}"
    );
}

#[tokio::test]
async fn none_goes_while_its_request_is_in_hand() {
    let web = start(&[]).await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let (asked, mut in_hand) = tokio::sync::watch::channel(false);
    web.site.add(Page::document("/waits", move |_| {
        asked.send_replace(true);
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|gone| *gone).await;
            Document::new()
        }
    }));
    let mut waits = TcpStream::connect(web.address()).await.unwrap();
    let request = b"GET /waits HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    waits.write_all(request).await.unwrap();
    in_hand.wait_for(|is| *is).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..600 {
        crowd.push(TcpStream::connect(web.address()).await.unwrap());
    }
    assert_eq!(web.get("/varz").await.status(), 200);
    go.send_replace(true);
    let mut answer = String::new();
    waits.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
