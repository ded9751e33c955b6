//! The base pages, field by field (observability.md section 4).
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use statestore_daemon::metrics::Histogram;
use statestore_daemon::web::pages::{RpcMethod, RpcServer, RpcStatistics};
use support::{start, start_with};

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|k| *k != "__common__")
        .collect()
}

#[tokio::test]
async fn the_front_page_tells_what_runs_on_what() {
    let page = start(&[]).await.json("/?json").await;
    let expected = [
        "version",
        "build_flags",
        "cpu_info",
        "mem_info",
        "disk_info",
        "os_info",
        "process_state_info",
        "cgroup_info",
        "effective_locale",
        "glibc_version",
        "process_start_time",
        "is_statestore",
    ];
    assert_eq!(keys(&page), expected);
    let names: Vec<_> = page["build_flags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["flag_name"].clone())
        .collect();
    assert_eq!(
        names,
        ["is_ndebug", "cmake_build_type", "library_link_type"]
    );
    assert!(page["mem_info"].as_str().unwrap().contains("MemTotal"));
}

#[tokio::test]
async fn metrics_come_as_a_tree_or_as_one_group() {
    let web = start(&[]).await;
    let root = &web.json("/metrics?json").await["metric_group"];
    assert_eq!(keys(root), ["metrics", "name", "child_groups"]);
    assert_eq!(root["metrics"][0]["name"], "statestore.live-backends");
    assert_eq!(root["child_groups"][0]["name"], "memory");
    let group = &web.json("/metrics?json&metric_group=memory").await["metric_group"];
    assert_eq!(keys(group), ["metrics", "name"]);
    for name in ["nothing", "statestore"] {
        let page = web
            .json(&format!("/metrics?json&metric_group={name}"))
            .await;
        assert_eq!(page["error"], format!("Metric group {name} not found"));
    }
    let html = web.get("/metrics").await.body;
    assert!(html.contains("statestore.live-backends") && html.contains("memory.rss"));
}

#[tokio::test]
async fn flat_metrics_hold_plain_values() {
    let web = start(&[]).await;
    let page = web.json("/jsonmetrics?json").await;
    assert_eq!(page["statestore.live-backends"], 3);
    assert_eq!(page["statestore.active-status"], true);
    assert!(page["memory.rss"].as_i64().unwrap() > 0);
    assert!(page["thread-manager.running-threads"].as_i64().unwrap() > 0);
    assert!(page["process-start-time"].is_string());
    let one = web
        .json("/jsonmetrics?json&metric=statestore.live-backends")
        .await;
    assert_eq!(keys(&one), ["statestore.live-backends"]);
    assert!(keys(&web.json("/jsonmetrics?json&metric=memory.rss").await).is_empty());
}

#[tokio::test]
async fn prometheus_text_is_empty_for_a_group() {
    let web = start(&[]).await;
    let answer = web.get("/metrics_prometheus").await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    assert!(
        answer
            .body
            .contains("\nimpala_statestore_live_backends 3\n"),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("# TYPE impala_memory_rss gauge\n"));
    assert_eq!(
        web.get("/metrics_prometheus?metric_group=memory")
            .await
            .body,
        ""
    );
}

#[tokio::test]
async fn varz_lists_every_flag_with_texts() {
    let page = start(&["--v=2"]).await.json("/varz?json").await;
    assert_eq!(keys(&page), ["title", "flags"]);
    let flags = page["flags"].as_array().unwrap();
    let flag = |name: &str| flags.iter().find(|flag| flag["name"] == name).unwrap();
    assert_eq!(
        flag("v"),
        &json!({
            "name": "v",
            "type": "int32",
            "description": flag("v")["description"],
            "default": "0",
            "current": "2",
            "experimental": false,
            "value_changed": 1,
        })
    );
    assert!(flag("hostname").get("value_changed").is_none());
    assert_eq!(flag("enable_webserver")["current"], "true");
    assert_eq!(flag("be_port")["experimental"], true);
}

#[tokio::test]
async fn logs_shows_the_end_of_the_info_file() {
    let web = start(&["--web_log_bytes=20"]).await;
    tracing::info!("the very last words");
    let page = web.json("/logs?json").await;
    assert_eq!(keys(&page), ["logfile", "num_bytes", "log"]);
    assert_eq!(page["num_bytes"], 20);
    assert_eq!(page["log"], "the very last words\n");
    let file = page["logfile"].as_str().unwrap();
    std::fs::remove_file(file).unwrap();
    let error = format!("Couldn't open INFO log file: {file}");
    assert_eq!(web.json("/logs?json").await["error"], error);
}

#[tokio::test]
async fn there_is_no_logs_page_without_files() {
    let web = start(&["--logtostderr"]).await;
    assert_eq!(web.get("/logs").await.status(), 404);
}

#[tokio::test]
async fn the_log_level_is_set_and_reset_by_form_within_its_range() {
    let web = start(&["--v=1"]).await;
    let levels = |page: &Value| {
        (
            page["glog_level"].clone(),
            page["default_glog_level"].clone(),
        )
    };
    assert_eq!(
        levels(&web.json("/log_level?json").await),
        (json!("1"), json!("1"))
    );
    let answer = web.post("/set_glog_level?json", "glog=3").await;
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(page["set_glog_level_result"], "v set to 3\n");
    assert_eq!(
        (levels(&page), web.logging.verbosity()),
        ((json!("3"), json!("1")), 3)
    );
    let html = web.get("/log_level").await.body;
    assert!(
        html.contains("Current backend log level: ") && html.contains(".val(3)"),
        "{html}"
    );
    for form in ["", "glog=", "glog=x", "glog=4", "glog=-1"] {
        let answer = web.post("/set_glog_level?json", form).await;
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        let error = "Bad glog level input. Valid inputs are integers in the range [0-3].";
        assert_eq!(page["error"], error, "{form}");
    }
    let page = web.json("/set_glog_level?json").await;
    assert_eq!(page["error"], "Use form input to update glog level");
    let page = web.json("/reset_glog_level?json").await;
    assert_eq!(page["error"], "Use form input to reset glog level");
    assert_eq!(web.logging.verbosity(), 3);
    let answer = web.post("/reset_glog_level?json", "").await;
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(page["reset_glog_level_result"].is_string());
    assert_eq!(web.logging.verbosity(), 1);
}

#[tokio::test]
async fn memory_page_repeats_the_memory_group() {
    let page = start(&[]).await.json("/memz?json").await;
    assert_eq!(keys(&page), ["overview", "systeminfo", "aggregate_metrics"]);
    assert_eq!(page["aggregate_metrics"][0]["name"], "memory.total-used");
}

#[tokio::test]
async fn threads_are_listed_by_group() {
    let web = start(&[]).await;
    let page = web.json("/threadz?json").await;
    assert_eq!(keys(&page), ["total_threads", "thread-groups"]);
    let group = &page["thread-groups"][0];
    assert_eq!(keys(group), ["name", "size", "num_created"]);
    let name = group["name"].as_str().unwrap();
    let one = web.json(&format!("/thread-group?json&group={name}")).await;
    assert_eq!(keys(&one), ["thread-group", "threads"]);
    assert_eq!(
        keys(&one["threads"][0]),
        ["name", "id", "user_s", "kernel_s", "iowait_s"]
    );
    for all in ["", "&group=all"] {
        let page = web.json(&format!("/thread-group?json{all}")).await;
        assert_eq!(keys(&page), ["threads"]);
    }
    assert!(keys(&web.json("/thread-group?json&group=none").await).is_empty());
}

/// Server and method of a reset.
type Reset = (Option<String>, Option<String>);

#[derive(Default)]
struct Calls(Arc<Mutex<Vec<Reset>>>);

impl RpcStatistics for Calls {
    fn servers(&self) -> BoxFuture<'static, Vec<RpcServer>> {
        let mut times = Histogram::new();
        times.record(1500);
        let method = RpcMethod {
            name: "StatestoreService.RegisterSubscriber".to_owned(),
            call: times.snapshot(),
            in_flight: 2,
            ..RpcMethod::default()
        };
        let server = RpcServer {
            name: "statestore".to_owned(),
            methods: vec![method],
        };
        Box::pin(async { vec![server] })
    }

    fn reset(&self, server: Option<String>, method: Option<String>) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push((server, method));
        Box::pin(async {})
    }
}

#[tokio::test]
async fn rpc_statistics_are_shown_and_reset() {
    let calls = Calls::default();
    let seen = calls.0.clone();
    let web = start_with(&[], Arc::new(calls)).await;
    let method = &web.json("/rpcz?json").await["servers"][0]["methods"][0];
    let expected = [
        "name",
        "summary",
        "read",
        "write",
        "in_flight",
        "server_name",
    ];
    assert_eq!(keys(method), expected);
    assert!(
        method["summary"]
            .as_str()
            .unwrap()
            .starts_with("Count: 1, sum: 1.500ms, ")
    );
    assert_eq!(
        (&method["in_flight"], &method["server_name"]),
        (&json!(2), &json!("statestore"))
    );
    web.get("/rpcz_reset?server=statestore&method=m").await;
    web.get("/rpcz_reset").await;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        *seen.lock().unwrap(),
        [(name("statestore"), name("m")), (None, None)]
    );
}
