//! A web server on a port of the system's choice and a client that speaks raw HTTP to it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use statestore_daemon::flags::{FlagTable, Flags, Outcome, Program, tables};
use statestore_daemon::metrics::{self, Group, Metric, Units};
use statestore_daemon::web::pages::{BasePages, NoRpcs, RpcStatistics};
use statestore_daemon::web::{Readiness, Server, Site, WebConfig, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const TABLES: [&FlagTable; 4] = [
    &tables::HOST,
    &tables::WEB,
    &tables::SECURITY,
    &tables::LOGGING,
];

pub fn flags(args: &[&str]) -> Flags {
    let program = Program {
        name: "bare",
        usage: "",
        version: "v",
        tables: &TABLES,
    };
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    match program.parse(&args, &|_| None, &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    }) {
        Outcome::Run(flags) => *flags,
        Outcome::Exit { stderr, .. } => panic!("{stderr}"),
    }
}

pub struct Running {
    pub site: Site,
    pub server: Server,
    pub ready: Readiness,
    pub logging: statestore_daemon::logging::Logging,
    _log_guard: tracing::subscriber::DefaultGuard,
    _dir: tempfile::TempDir,
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        let port = self.server.addresses()[0].port();
        (std::net::Ipv4Addr::LOCALHOST, port).into()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n"), "")
            .await
    }

    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        serde_json::from_str(&answer.body).unwrap()
    }

    pub async fn post(&self, path: &str, form: &str) -> Answer {
        let length = form.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n");
        self.send(&head, form).await
    }

    /// `head` without its empty line.
    pub async fn send(&self, head: &str, body: &str) -> Answer {
        let request = format!("{head}Connection: close\r\n\r\n{body}");
        send(self.address(), request.as_bytes()).await
    }
}

pub struct Answer {
    pub status_line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub async fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status_line = lines.next().unwrap().to_owned();
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    };
    let headers: BTreeMap<_, _> = lines.map(pair).collect();
    let body = &bytes[end + 4..];
    let body = if headers
        .get("content-encoding")
        .is_some_and(|coding| coding == "gzip")
    {
        let mut text = String::new();
        flate2::read::GzDecoder::new(body)
            .read_to_string(&mut text)
            .unwrap();
        text
    } else {
        String::from_utf8(body.to_vec()).unwrap()
    };
    Answer {
        status_line,
        headers,
        body,
    }
}

pub fn root_group() -> Group {
    let mut root = Group::new("statestore");
    root.metrics = vec![
        Metric::gauge(
            "statestore.live-backends",
            Units::None,
            3,
            "registered subscribers",
        ),
        Metric::bool("statestore.active-status", true, "active"),
    ];
    root
}

pub async fn start(args: &[&str]) -> Running {
    start_with(args, Arc::new(NoRpcs)).await
}

pub async fn start_with(args: &[&str], rpcs: Arc<dyn RpcStatistics>) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = format!("--log_dir={}", dir.path().display());
    let mut all = vec!["--webserver_port=0", "--noredirect_stdout_stderr", &log_dir];
    all.extend(args);
    let flags = flags(&all);
    let config = WebConfig::from_flags(&flags).unwrap().unwrap();
    let log = statestore_daemon::logging::LogConfig::from_flags(&flags, "bare", "host");
    let logging = statestore_daemon::logging::Logging::open(&log).unwrap();
    // For this thread, on which the whole test runs.
    let _log_guard = tracing::subscriber::set_default(logging.subscriber());
    let ready = Readiness::default();
    let site = Site::new("bare");
    BasePages {
        flags: Arc::new(flags),
        logging: logging.clone(),
        version: "bare version 1".to_owned(),
        metrics: metrics::with_system(|| async { root_group() }),
        rpcs,
        front: Arc::new(|| {
            let more = json!({ "is_statestore": true })
                .as_object()
                .unwrap()
                .clone();
            Box::pin(async { more })
        }),
        ready: ready.clone(),
    }
    .register(&site);
    let server = serve(&site, &config).await.unwrap();
    Running {
        site,
        server,
        ready,
        logging,
        _log_guard,
        _dir: dir,
    }
}
