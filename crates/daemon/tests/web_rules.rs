//! The rules of HTTP that hold for every page (observability.md section 3).
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use statestore_daemon::web::{Document, Page, WebConfig, WebError};
use support::{flags, send, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn every_answer_carries_the_protective_headers() {
    let web = start(&[]).await;
    for path in ["/", "/metrics?json", "/healthz", "/no/such/page"] {
        let answer = web.get(path).await;
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'self'; ")
        );
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
    }
}

#[tokio::test]
async fn headers_follow_their_flags() {
    let args = [
        "--webserver_x_frame_options=SAMEORIGIN",
        "--disable_content_security_policy_header",
    ];
    let answer = start(&args).await.get("/").await;
    assert_eq!(answer.header("x-frame-options"), "SAMEORIGIN");
    assert_eq!(answer.header("content-security-policy"), "");
}

#[tokio::test]
async fn a_page_is_json_text_or_html_as_asked() {
    let web = start(&[]).await;
    let json = web.get("/varz?json=anything").await;
    assert!(
        json.body
            .starts_with("{\n\t\"title\": \"Command-line Flags\""),
        "{}",
        json.body
    );
    let raw = web.get("/varz?raw").await;
    assert_eq!(raw.header("content-type"), "text/plain; charset=UTF-8");
    assert!(!raw.body.contains("<html"));
    let html = web.get("/varz").await;
    assert_eq!(html.header("content-type"), "text/html; charset=UTF-8");
    assert!(html.body.contains("<nav>") && html.body.contains("webserver_port"));
}

#[tokio::test]
async fn the_navigation_bar_is_in_path_order_and_in_every_document() {
    let web = start(&[]).await;
    web.site
        .add(Page::document("/topics", |_| async { Document::new() }).in_navbar());
    let common = &web.json("/jsonmetrics?json").await["__common__"];
    assert_eq!(common["process-name"], "bare");
    let links: Vec<_> = common["navbar"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["link"].as_str().unwrap())
        .collect();
    let expected = [
        "/",
        "/log_level",
        "/logs",
        "/memz",
        "/metrics",
        "/profile_docs",
        "/rpcz",
        "/threadz",
        "/topics",
        "/varz",
    ];
    assert_eq!(links, expected);
}

#[tokio::test]
async fn an_unknown_path_is_404_with_the_path_escaped() {
    let web = start(&[]).await;
    let answer = web.get("/a%3Cb%3E").await;
    assert_eq!(answer.status_line, "HTTP/1.1 404 Not Found");
    assert!(
        answer.body.contains("No URI handler for '/a&lt;b&gt;'"),
        "{}",
        answer.body
    );
    let json = web.json("/x?json").await;
    assert_eq!(json["error"], "No URI handler for '/x'");
}

#[tokio::test]
async fn a_page_registered_later_is_404_until_then() {
    let web = start(&[]).await;
    assert_eq!(web.get("/later").await.status(), 404);
    web.site
        .add(Page::document("/later", |_| async { Document::new() }));
    assert_eq!(web.get("/later").await.status(), 200);
}

#[tokio::test]
async fn head_runs_no_handler() {
    let web = start(&[]).await;
    web.site.add(Page::document("/trap", |_| async {
        panic!("the handler ran")
    }));
    let head = |path: &str| format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n");
    let answer = web.send(&head("/trap"), "").await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, ""));
    assert_eq!(web.send(&head("/nothing"), "").await.status(), 404);
}

#[tokio::test]
async fn health_is_503_until_the_daemon_is_ready() {
    let web = start(&[]).await;
    let head = "HEAD /healthz HTTP/1.1\r\nHost: x\r\n";
    let answer = web.get("/healthz").await;
    assert_eq!(answer.status_line, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(answer.body, "Not Available");
    assert_eq!(web.send(head, "").await.status(), 503);
    web.ready.set(true);
    let answer = web.get("/healthz").await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, "OK"));
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    assert_eq!(web.send(head, "").await.status(), 200);
}

#[tokio::test]
async fn options_and_other_methods_are_answered_without_a_page() {
    let web = start(&[]).await;
    let answer = web.send("OPTIONS / HTTP/1.1\r\nHost: x\r\n", "").await;
    assert_eq!(
        (answer.status(), answer.header("allow")),
        (200, "GET, POST, HEAD, OPTIONS")
    );
    let answer = web.send("DELETE / HTTP/1.1\r\nHost: x\r\n", "").await;
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_post_needs_a_length_within_the_limit() {
    let web = start(&["--webserver_max_post_length_bytes=10"]).await;
    let chunked = "POST /log_level HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    let answer = web.send(chunked, "0\r\n\r\n").await;
    assert_eq!(answer.status_line, "HTTP/1.1 411 Length Required");
    let answer = web.post("/log_level", "12345678901").await;
    assert_eq!(answer.status_line, "HTTP/1.1 413 Request Entity Too Large");
    assert_eq!(web.post("/log_level", "1234567890").await.status(), 200);
}

#[tokio::test]
async fn the_body_is_packed_for_those_who_accept_it() {
    let web = start(&[]).await;
    let request = "GET /varz HTTP/1.1\r\nHost: x\r\nAccept-Encoding: deflate, gzip\r\n";
    let answer = web.send(request, "").await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.body.contains("webserver_port"));
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let web = start(&[]).await;
    let mut stream = TcpStream::connect(web.address()).await.unwrap();
    for _ in 0..3 {
        stream
            .write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn a_panicking_page_or_garbage_disturbs_nobody_else() {
    let web = start(&[]).await;
    web.site
        .add(Page::document("/trap", |_| async { panic!("on purpose") }));
    let mut stream = TcpStream::connect(web.address()).await.unwrap();
    stream
        .write_all(b"GET /trap HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut nothing = Vec::new();
    let _ = stream.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    let mut stream = TcpStream::connect(web.address()).await.unwrap();
    stream.write_all(&[0xff; 1000]).await.unwrap();
    let _ = stream.read_to_end(&mut nothing).await;
    let endless = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let answer = send(web.address(), endless.as_bytes()).await;
    assert_eq!(answer.status(), 431);
    assert_eq!(web.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_hanging_page_delays_neither_health_nor_a_few_others() {
    let web = start(&[]).await;
    web.site
        .add(Page::document("/hangs", |_| std::future::pending()));
    let mut hanging = Vec::new();
    for _ in 0..15 {
        let mut stream = TcpStream::connect(web.address()).await.unwrap();
        stream
            .write_all(b"GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        hanging.push(stream);
    }
    assert_eq!(web.get("/varz").await.status(), 200);
    assert_eq!(web.get("/healthz").await.status(), 503);
}

#[tokio::test]
async fn the_second_server_has_metrics_and_health_only() {
    // A port that was free a moment ago; nothing else on this host is told of it.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let port = format!("--metrics_webserver_port={}", free.port());
    let web = start(&[&port, "--metrics_webserver_interface=127.0.0.1"]).await;
    assert_eq!(web.server.metrics_addresses(), [free]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for path in ["/metrics", "/jsonmetrics", "/metrics_prometheus"] {
        assert_eq!(
            send(free, get(path).as_bytes()).await.status(),
            200,
            "{path}"
        );
    }
    assert_eq!(send(free, get("/healthz").as_bytes()).await.status(), 503);
    assert_eq!(send(free, get("/varz").as_bytes()).await.status(), 404);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let args = [
        format!("--webserver_port={port}"),
        "--webserver_interface=127.0.0.1".to_owned(),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let config = WebConfig::from_flags(&flags(&args)).unwrap().unwrap();
    let site = statestore_daemon::web::Site::new("bare");
    let error = statestore_daemon::web::serve(&site, &config)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{port} (--webserver_port): ")),
        "{error}"
    );
    assert!(!error.is_config());
}

#[tokio::test]
async fn both_families_are_served_on_request() {
    let args = ["--webserver_port=0", "--webserver_interface=::"];
    let config = WebConfig::from_flags(&flags(&args)).unwrap().unwrap();
    let site = statestore_daemon::web::Site::new("bare");
    // A host without IPv6 cannot be asked for it.
    let Ok(server) = statestore_daemon::web::serve(&site, &config).await else {
        return;
    };
    let port = server.addresses()[0].port();
    for host in ["127.0.0.1", "::1"] {
        TcpStream::connect((host, port)).await.unwrap();
    }
}

#[test]
fn what_should_be_protected_is_refused_rather_than_served_openly() {
    // flags.md section 7
    let error = |args: &[&str]| WebConfig::from_flags(&flags(args)).unwrap_err();
    let text = error(&["--webserver_password_file=/no/such/file"]).to_string();
    assert_eq!(
        text,
        "Webserver: Password file does not exist: /no/such/file"
    );
    for flag in [
        "webserver_password_file=/dev/null",
        "webserver_require_ldap",
        "webserver_require_spnego",
        "webserver_certificate_file=/x",
        "webserver_private_key_file=/x",
    ] {
        let error = error(&[&format!("--{flag}")]);
        assert!(error.is_config() && matches!(error, WebError::Unsupported { .. }));
        assert!(
            error.to_string().contains(flag.split('=').next().unwrap()),
            "{error}"
        );
    }
    let off = flags(&["--enable_webserver=false", "--webserver_require_ldap"]);
    assert_eq!(WebConfig::from_flags(&off).unwrap(), None);
}
