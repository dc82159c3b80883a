//! Traces: spans at a scripted collector, what they say, and what they never say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use parking_lot::Mutex;
use prost::Message as _;

use crate::harness::wait::PATIENCE;
use crate::harness::{Channel, Gate, Request, Setup, Upstream, eventually, eventually_true, package, rules};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const KEY: &str = "MARKED-collector-key";

/// Heads and bodies as they came.
type Kept = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Takes spans, and answers with a status that can be changed.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    /// Heads and bodies as they came.
    seen: Kept,
    status: Arc<AtomicU16>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            spans: Arc::default(),
            seen: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
        };
        let (spans, seen, status) =
            (Arc::clone(&this.spans), Arc::clone(&this.seen), Arc::clone(&this.status));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let _the_gate_may_be_gone = take(&stream, &spans, &seen, &status);
            }
        });
        this
    }

    fn settings(&self, more: &str) -> String {
        format!(
            "telemetry: {{otlp: {{endpoint: \"http://{}/v1/traces\", sample: 1, {more}}}}}\n",
            self.address
        )
    }

    /// The span of a file's download, once it is told.
    fn fill_of(&self, file: &str) -> Span {
        eventually(&format!("the download of {file}"), || {
            let all = self.spans.lock();
            let is_it = |span: &&Span| span.name == "fill" && word(span, "condagate.file").contains(file);
            all.iter().find(is_it).cloned()
        })
    }

    /// The spans of a name, once there are so many.
    fn named(&self, name: &str, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans called {name}"), || {
            let all = self.spans.lock();
            let found: Vec<_> = all.iter().filter(|span| span.name == name).cloned().collect();
            (found.len() >= count).then_some(found)
        })
    }
}

fn take(
    stream: &TcpStream,
    spans: &Mutex<Vec<Span>>,
    seen: &Mutex<Vec<(String, Vec<u8>)>>,
    status: &AtomicU16,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let status = status.load(Ordering::SeqCst);
    let message = ExportTraceServiceRequest::decode(&body[..]).expect("a message of OTLP");
    let resources = message.resource_spans.into_iter();
    let came = resources.flat_map(|r| r.scope_spans).flat_map(|scope| scope.spans);
    if status == 200 {
        spans.lock().extend(came);
    }
    seen.lock().push((head, body));
    let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut out = stream;
    out.write_all(answer.as_bytes())
}

fn word(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in {span:?}"));
    match found.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

struct Scene {
    gate: Gate,
    upstream: Upstream,
    channel: Channel,
    collector: Collector,
}

fn scene(more: &str) -> Scene {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(50_000));
    channel.publish(&upstream);
    let collector = Collector::start();
    let setup = Setup::rules(&rules::all_from(&upstream)).config(&collector.settings(more));
    Scene { gate: setup.start(), upstream, channel, collector }
}

#[test]
fn a_request_and_its_download_are_told_as_one_trace() {
    let Scene { gate, channel, collector, upstream } = scene("");
    let answer = gate.get(&channel.path("alpha"));
    let id = answer.must("x-request-id").to_owned();
    let bytes = answer.expect(200).len().to_string();
    let request = collector.named("GET package", 1).remove(0);
    let fill = collector.fill_of("alpha");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", &bytes),
        ("condagate.kind", "package"),
        ("condagate.cache", "fill"),
        ("condagate.channel", "chan"),
        ("condagate.upstream", "up"),
        ("condagate.request_id", &id),
    ] {
        assert_eq!(word(&request, key), value, "{key}");
    }
    assert!(request.parent_span_id.is_empty() && request.kind == i32::from(SpanKind::Server));
    assert_eq!((&fill.trace_id, &fill.parent_span_id), (&request.trace_id, &request.span_id));
    assert!(fill.kind == i32::from(SpanKind::Client) && fill.span_id != request.span_id);
    assert_eq!(
        (word(&fill, "http.response.body.size"), word(&fill, "condagate.stored")),
        (bytes, "true".into())
    );
    assert!(word(&fill, "condagate.mirror").starts_with(&upstream.url()));
    assert!(request.end_time_unix_nano >= request.start_time_unix_nano && request.start_time_unix_nano > 0);
    assert!(upstream.seen().iter().all(|seen| seen.header("traceparent").is_none()));
    gate.settle(&channel.path("alpha"));
    eventually_true("a hit is told", || {
        let all = collector.spans.lock();
        all.iter().any(|span| span.name == "GET package" && word(span, "condagate.cache") == "hit")
    });
}

#[test]
fn callers_and_upstreams_are_part_of_a_trace_only_where_a_setting_says() {
    let Scene { gate, channel, collector, upstream } = scene("from_callers: true, to_upstreams: true");
    let path = channel.path("alpha");
    gate.ask(&Request::get(&path).header("traceparent", PARENT)).expect(200);
    let request = collector.named("GET package", 1).remove(0);
    assert_eq!(hex(&request.trace_id), PARENT[3..35]);
    assert_eq!(hex(&request.parent_span_id), PARENT[36..52]);
    let fill = collector.fill_of("alpha");
    let told = upstream.seen_at(&path)[0].header("traceparent").expect("a traceparent").to_owned();
    assert_eq!(told, format!("00-{}-{}-01", hex(&fill.trace_id), hex(&fill.span_id)));
    gate.ask(&Request::get("/-/healthz").header("traceparent", &PARENT.replace("-01", "-00"))).expect(200);

    let Scene { gate, channel, collector, upstream } = scene("from_callers: false");
    gate.ask(&Request::get(&channel.path("alpha")).header("traceparent", PARENT)).expect(200);
    let request = collector.named("GET package", 1).remove(0);
    assert!(request.parent_span_id.is_empty() && hex(&request.trace_id) != PARENT[3..35]);
    assert!(upstream.seen().iter().all(|seen| seen.header("traceparent").is_none()));
}

#[test]
fn no_span_has_a_secret_and_the_collector_is_shown_its_own() {
    let upstream = Upstream::start();
    let collector = Collector::start();
    let setup = Setup::rules(&rules::all_from(&upstream));
    std::fs::write(
        setup.home().path("otlp-headers"),
        format!("Authorization: Bearer {KEY}\nX-Tenant: team\n"),
    )
    .unwrap();
    setup.home().may_hold("otlp-headers", KEY);
    let gate = setup.config(&collector.settings("headers_file: otlp-headers")).start();
    let secret = "MARKED-token-in-a-path";
    gate.get(&format!("/t/{secret}/chan/noarch/repodata.json?{secret}"));
    gate.ask(
        &Request::get("/-/nothing")
            .header("Authorization", &format!("Bearer {secret}"))
            .header("Cookie", secret),
    );
    // Both were refused before it was known what they are about.
    collector.named("GET unknown", 2);
    for (head, body) in &*collector.seen.lock() {
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains(&format!("authorization: bearer {}", KEY.to_ascii_lowercase())), "{head}");
        assert!(lower.contains("x-tenant: team") && lower.contains("application/x-protobuf"), "{head}");
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        let text = String::from_utf8_lossy(body);
        assert!(
            !text.contains(secret) && !text.contains("127.0.0.1:") && text.contains("condagate"),
            "{text}"
        );
    }
}

#[test]
fn a_collector_in_trouble_hurts_nobody() {
    let Scene { gate, channel, collector, upstream: _upstream } = scene("");
    collector.status.store(400, Ordering::SeqCst);
    gate.get(&channel.path("alpha")).expect(200);
    let lost = || {
        let page = gate.get("/-/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix("condagate_telemetry_spans_lost_total "));
        line.expect("the metric").parse::<u64>().expect("a number")
    };
    eventually_true("spans are counted as lost", || lost() > 0);
    collector.status.store(200, Ordering::SeqCst);
    gate.get(&channel.path("alpha")).expect(200);
    collector.named("GET package", 1);
}

#[test]
fn what_was_told_last_is_sent_before_the_end() {
    let Scene { gate, channel, collector, upstream: _upstream } = scene("");
    gate.get(&channel.path("alpha")).expect(200);
    gate.stop();
    assert!(collector.spans.lock().iter().any(|span| span.name == "GET package"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
