//! From an HTTP request to an HTTP response: the rules of observability.md section 3.
//! What is common to all pages: arguments, JSON or HTML, compression, headers, limits. Which pages
//! there are is `site.rs`; sockets are `server.rs`.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body as HttpBody;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Request as HttpRequest, Response, StatusCode};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value as Json;
use serde_json::ser::PrettyFormatter;
use tokio::sync::Semaphore;

use super::site::Body;
use super::{Document, Page, Readiness, Request, Site, WebConfig, html};

/// Pages built at the same time; each may hold a document of some size.
const MAX_AT_ONCE: usize = 16;
/// For building a page, its turn included.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// For the body of a POST, its turn included.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const TEXT: &str = "text/plain; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";
const JSON: &str = "application/json";
const ALLOW: HeaderValue = HeaderValue::from_static("GET, POST, HEAD, OPTIONS");
const SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     script-src 'self' 'unsafe-inline'; img-src 'self' data:;",
);

/// Answers requests for a site.
#[derive(Clone)]
pub(super) struct Responder {
    site: Site,
    shared: Arc<Shared>,
}

struct Shared {
    headers: HeaderMap,
    max_post: u64,
    slow_page: Duration,
    /// For pages being built.
    turns: Semaphore,
    /// For bodies being read.
    bodies: Semaphore,
}

/// Status, content type, body.
struct Answer(StatusCode, &'static str, String);

impl Responder {
    pub(super) fn new(site: Site, config: &WebConfig) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&config.x_frame_options) {
            headers.insert(header::X_FRAME_OPTIONS, value);
        }
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if config.content_security_policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, SECURITY_POLICY);
        }
        let (max_post, slow_page) = (config.max_post, config.slow_page);
        let (turns, bodies) = (Semaphore::new(MAX_AT_ONCE), Semaphore::new(MAX_AT_ONCE));
        Responder {
            site,
            shared: Arc::new(Shared {
                headers,
                max_post,
                slow_page,
                turns,
                bodies,
            }),
        }
    }

    pub(super) async fn answer(&self, request: HttpRequest<HttpBody>) -> Response<HttpBody> {
        let gzip = accepts_gzip(request.headers());
        let mut extra = None;
        let answer = match *request.method() {
            Method::GET => self.page(request).await,
            Method::POST => self.post(request).await,
            Method::HEAD => self.head(&decode(request.uri().path(), false)),
            Method::OPTIONS => {
                extra = Some((header::ALLOW, ALLOW));
                Answer(StatusCode::OK, TEXT, String::new())
            }
            _ => {
                extra = Some((header::ALLOW, ALLOW));
                let text = "Method not allowed".to_owned();
                Answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, text)
            }
        };
        self.response(answer, gzip, extra)
    }

    fn head(&self, path: &str) -> Answer {
        let status = match self.site.page(path).map(|page| page.body) {
            Some(Body::Health(ready)) if !ready.is_ready() => StatusCode::SERVICE_UNAVAILABLE,
            Some(_) => StatusCode::OK,
            None => StatusCode::NOT_FOUND,
        };
        Answer(status, TEXT, String::new())
    }

    async fn post(&self, request: HttpRequest<HttpBody>) -> Answer {
        let refusal = |status: StatusCode, text: &str| Answer(status, TEXT, text.to_owned());
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match length {
            None => return refusal(StatusCode::LENGTH_REQUIRED, "Length Required"),
            Some(length) if length > self.shared.max_post => {
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
            }
            Some(_) => {}
        }
        self.page(request).await
    }

    async fn page(&self, request: HttpRequest<HttpBody>) -> Answer {
        let (head, body) = request.into_parts();
        let mut request = Request {
            query: arguments(head.uri.query().unwrap_or_default()),
            is_post: head.method == Method::POST,
            form: BTreeMap::new(),
        };
        if request.is_post {
            match self.body(body).await {
                Some(body) => request.form = arguments(&String::from_utf8_lossy(&body)),
                None => {
                    let text = "The body did not arrive".to_owned();
                    return Answer(StatusCode::REQUEST_TIMEOUT, TEXT, text);
                }
            }
        }
        let path = decode(head.uri.path(), false);
        let Some(page) = self.site.page(&path) else {
            return self.not_found(&path, &request.query);
        };
        // A probe never waits behind other pages.
        if let Body::Health(ready) = &page.body {
            return health(ready);
        }
        let start = Instant::now();
        let answer = tokio::time::timeout(PAGE_TIMEOUT, async {
            let _turn = self.shared.turns.acquire().await;
            self.build(&page, request).await
        });
        let answer = answer.await.unwrap_or_else(|_| {
            let text = format!("The page was not ready within {PAGE_TIMEOUT:?}");
            Answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        });
        let took = start.elapsed();
        if took > self.shared.slow_page {
            tracing::warn!("Building web page {path} took {took:?}");
        }
        answer
    }

    /// `None` when it does not arrive in time. Few at once, so that bodies cannot fill the memory.
    async fn body(&self, body: HttpBody) -> Option<axum::body::Bytes> {
        let limit = usize::try_from(self.shared.max_post).unwrap_or(usize::MAX);
        let read = tokio::time::timeout(BODY_TIMEOUT, async {
            let _turn = self.shared.bodies.acquire().await;
            axum::body::to_bytes(body, limit).await
        });
        read.await.ok()?.ok()
    }

    async fn build(&self, page: &Page, request: Request) -> Answer {
        match &page.body {
            Body::Document { handler, html } => {
                let query = request.query.clone();
                let document = handler(request).await;
                self.render(StatusCode::OK, &page.title, document, &query, *html)
            }
            Body::Raw(handler) => {
                let (status, text) = handler(request).await;
                Answer(status, TEXT, text)
            }
            Body::Health(ready) => health(ready),
        }
    }

    fn not_found(&self, path: &str, query: &BTreeMap<String, String>) -> Answer {
        let mut document = Document::new();
        document.insert(
            "error".to_owned(),
            format!("No URI handler for '{path}'").into(),
        );
        self.render(StatusCode::NOT_FOUND, "Not found", document, query, None)
    }

    fn render(
        &self,
        status: StatusCode,
        title: &str,
        mut document: Document,
        query: &BTreeMap<String, String>,
        html: Option<fn(&Document) -> maud::Markup>,
    ) -> Answer {
        if query.contains_key("json") {
            document.insert("__common__".to_owned(), self.site.common());
            return Answer(status, JSON, tab_indented(&Json::Object(document)));
        }
        let body = html.map_or_else(|| html::plain(&document), |render| render(&document));
        if query.contains_key("raw") {
            return Answer(status, TEXT, body.into_string());
        }
        Answer(
            status,
            HTML,
            html::frame(&self.site, title, &body).into_string(),
        )
    }

    fn response(
        &self,
        Answer(status, content_type, body): Answer,
        gzip: bool,
        extra: Option<(HeaderName, HeaderValue)>,
    ) -> Response<HttpBody> {
        let mut headers = self.shared.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.extend(extra);
        let mut body = body.into_bytes();
        if gzip && !body.is_empty() {
            // Writing to memory cannot fail; if it did, the plain body is right as well.
            if let Ok(packed) = packed(&body) {
                body = packed;
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let mut response = Response::new(HttpBody::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if let Some(reason) = wording(status) {
            response
                .extensions_mut()
                .insert(hyper::ext::ReasonPhrase::from_static(reason));
        }
        response
    }
}

fn health(ready: &Readiness) -> Answer {
    match ready.is_ready() {
        true => Answer(StatusCode::OK, TEXT, "OK".to_owned()),
        false => Answer(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "Not Available".to_owned(),
        ),
    }
}

/// The reference's words where they differ from today's.
fn wording(status: StatusCode) -> Option<&'static [u8]> {
    (status == StatusCode::PAYLOAD_TOO_LARGE).then_some(b"Request Entity Too Large")
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(takes_gzip)
}

/// `gzip`, perhaps with a weight, of which 0 is a refusal (RFC 9110, section 12.5.3).
fn takes_gzip(coding: &str) -> bool {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
    let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
    name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|q| q > 0.0)
}

fn packed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn tab_indented(json: &Json) -> String {
    let mut out = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match serde::Serialize::serialize(json, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => json.to_string(),
    }
}

/// `a=1&B=%20` as keys in lower case and decoded values; the last of two equal keys wins.
fn arguments(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key, true).to_lowercase(), decode(value, true))
    });
    decoded.collect()
}

/// Escapes decoded, and plus signs where they stand for blanks; what is no escape stays as it is.
fn decode(text: &str, plus_is_blank: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok())
            .flatten()
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'+') if plus_is_blank => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_packed_for_whoever_takes_it_so() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_gzip(&headers)
        };
        for value in ["gzip", "deflate, gzip;q=1.0, *;q=0.5", "br,GZIP ; q=0.1"] {
            assert!(accepts(value), "{value}");
        }
        for value in ["", "identity", "gzip;q=0", "gzip; q=0.000, br", "gzipped"] {
            assert!(!accepts(value), "{value}");
        }
    }

    #[test]
    fn arguments_are_decoded_and_their_keys_in_lower_case() {
        let found = arguments("JSON&Metric=a%2Eb+c&&x=1=2&bad=%zz%4");
        let pairs: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let expected = [
            ("bad", "%zz%4"),
            ("json", ""),
            ("metric", "a.b c"),
            ("x", "1=2"),
        ];
        assert_eq!(pairs, expected);
    }

    proptest! {
        #[test]
        fn any_query_can_be_taken_apart(text in ".*") {
            arguments(&text);
        }
    }
}
