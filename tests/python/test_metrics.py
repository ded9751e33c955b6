"""The metrics: observability.md sections 1, 4 and 5, as JSON and as Prometheus reads them."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from catalogds import Cluster
from fake_subscriber import item
from statestored import eventually, free_port

SERVER = "impala.thrift-server.StatestoreService."
METHOD = "rpc-method.statestore.StatestoreService.RegisterSubscriber."

# observability.md section 1: what applies to one statestored without HA and authentication.
WANTED = {
    "statestore.live-backends": ("GAUGE", "NONE"),
    "statestore.live-backends.list": ("SET", None),
    "statestore.subscribers-received-heartbeat": ("GAUGE", "NONE"),
    "statestore.total-key-size-bytes": ("GAUGE", "NONE"),
    "statestore.total-value-size-bytes": ("GAUGE", "NONE"),
    "statestore.total-topic-size-bytes": ("GAUGE", "NONE"),
    "statestore.topic-update-durations": ("STATS", "TIME_S"),
    "statestore.priority-topic-update-durations": ("STATS", "TIME_S"),
    "statestore.heartbeat-durations": ("STATS", "TIME_S"),
    "statestore.num-successful-update-catalogd-rpc": ("COUNTER", "UNIT"),
    "statestore.num-failed-update-catalogd-rpc": ("COUNTER", "UNIT"),
    "statestore.num-successful-update-statestored-role-rpc": ("COUNTER", "UNIT"),
    "statestore.num-failed-update-statestored-role-rpc": ("COUNTER", "UNIT"),
    "statestore.num-clear-topic-entries-requests": ("COUNTER", "UNIT"),
    "statestore.active-catalogd-address": ("PROPERTY", "NONE"),
    "statestore.active-status": ("PROPERTY", "NONE"),
    "statestore.service-started": ("PROPERTY", "NONE"),
    "statestore.version": ("PROPERTY", "NONE"),
    **{f"subscriber-{purpose}.client-cache.{what}": ("GAUGE", "NONE")
       for purpose in ("update-state", "heartbeat", "update-catalogd")
       for what in ("clients-in-use", "total-clients")},
    SERVER + "connections-in-use": ("GAUGE", "NONE"),
    SERVER + "total-connections": ("COUNTER", "UNIT"),
    SERVER + "connection-setup-queue-size": ("GAUGE", "NONE"),
    SERVER + "timedout-cnxn-requests": ("GAUGE", "NONE"),
    SERVER + "connection-setup-time": ("HISTOGRAM", "TIME_US"),
    SERVER + "svc-thread-wait-time": ("HISTOGRAM", "TIME_US"),
    METHOD + "call_duration": ("HISTOGRAM", "TIME_US"),
    METHOD + "read_duration": ("HISTOGRAM", "TIME_US"),
    METHOD + "write_duration": ("HISTOGRAM", "TIME_US"),
    "process-start-time": ("PROPERTY", "NONE"),
    "thread-manager.running-threads": ("GAUGE", "NONE"),
    "thread-manager.total-threads-created": ("GAUGE", "NONE"),
    "memory.total-used": ("GAUGE", "BYTES"),
    "memory.mapped-bytes": ("GAUGE", "BYTES"),
    "memory.rss": ("GAUGE", "BYTES"),
    "memory.thp.enabled": ("PROPERTY", "NONE"),
    "memory.thp.defrag": ("PROPERTY", "NONE"),
    "memory.thp.khugepaged-defrag": ("PROPERTY", "NONE"),
}
PERCENTILES = ["25th %-ile", "50th %-ile", "75th %-ile", "90th %-ile", "95th %-ile",
               "99.9th %-ile"]
FIELDS = {
    "scalar": ["name", "description", "human_readable", "value", "kind", "units"],
    "SET": ["name", "description", "human_readable", "items"],
    "STATS": ["name", "description", "human_readable", "units", "count"],
    "HISTOGRAM": ["name", "description", "human_readable", *PERCENTILES, "max", "min", "count",
                  "kind", "units"],
}


@pytest.fixture
def daemon(statestored, subscriber):
    """One that has something to count: a subscriber, two topics, updates of both classes."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t", "impala-membership")
    a.publish("t", item("k", "v" * 99))
    daemon.await_topic("t", version=1)
    a.await_calls(2, "UpdateState", "impala-membership")
    a.await_calls(2, "Heartbeat")
    return daemon


def flattened(group):
    yield from group["metrics"]
    for child in group.get("child_groups", []):
        yield from flattened(child)


def kind_of(metric):
    if "items" in metric:
        return "SET"
    return metric.get("kind", "STATS")


def test_every_metric_is_there_with_kind_and_unit(daemon):
    """observability.md section 1."""
    group = daemon.json("/metrics")["metric_group"]
    assert (group["name"], set(group)) == ("statestore", {"name", "metrics", "child_groups"})
    assert "memory" in [child["name"] for child in group["child_groups"]]
    metrics = list(flattened(group))
    shown = {m["name"]: (kind_of(m), m.get("units")) for m in metrics}
    assert len(shown) == len(metrics), "a key comes twice"
    assert {key: shown.get(key) for key in WANTED} == WANTED
    for extra in set(shown) - set(WANTED):
        assert extra.startswith(("rpc-method.statestore.", "memory.", "tcmalloc.", "kudu-client."))


def test_metrics_have_their_fields_in_order(daemon):
    """observability.md section 4, /metrics."""
    for metric in flattened(daemon.json("/metrics")["metric_group"]):
        kind = kind_of(metric)
        wanted = list(FIELDS.get(kind, FIELDS["scalar"]))
        if kind == "STATS" and metric["count"] > 0:
            wanted += ["last", "min", "max", "mean", "stddev"]
        assert list(metric) == wanted, metric["name"]
        assert metric["description"], metric["name"]


def test_readable_values_have_their_formats(daemon):
    """observability.md sections 4 and 5."""
    metrics = {m["name"]: m for m in flattened(daemon.json("/metrics")["metric_group"])}

    def readable(key):
        return metrics[key]["human_readable"]

    assert readable("statestore.live-backends.list") == "[a]"
    assert readable("statestore.active-status") == "true"
    assert readable("statestore.total-topic-size-bytes") == "100"  # its unit is NONE
    assert re.fullmatch(r"\d+\.\d\d (B|KB|MB|GB)", readable("memory.rss"))
    assert re.fullmatch(r"count: \d+, last: .+, min: .+, max: .+, mean: .+, stddev: .+",
                        readable("statestore.topic-update-durations"))
    assert re.fullmatch(r"Count: 1, sum: .+, min / max: .+ / .+, 25th %-ile: .+, 50th %-ile: .+, "
                        r"75th %-ile: .+, 90th %-ile: .+, 95th %-ile: .+, 99\.9th %-ile: .+",
                        readable(METHOD + "call_duration"))
    assert re.fullmatch(r"statestored version \S+ (RELEASE|DEBUG) \(build .+\)",
                        readable("statestore.version"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}", readable("process-start-time"))


def test_one_group_can_be_asked_for(daemon):
    """observability.md section 4: a child by name, without its children; not the root."""
    group = daemon.json("/metrics?metric_group=memory")["metric_group"]
    assert group["name"] == "memory" and "child_groups" not in group
    assert {m["name"] for m in group["metrics"]} >= {"memory.rss"}
    for name in ("statestore", "nothing"):
        page = daemon.json(f"/metrics?metric_group={name}")
        assert page["error"] == f"Metric group {name} not found"


def test_all_values_are_to_be_had_flat(daemon):
    """observability.md section 4, /jsonmetrics: numbers, bools, strings, arrays; no histograms."""
    flat = daemon.json("/jsonmetrics")
    assert flat.pop("__common__")["process-name"] == "statestored"
    assert set(flat) >= {key for key, (kind, _) in WANTED.items() if kind != "HISTOGRAM"}
    assert not any(WANTED.get(key, ("",))[0] == "HISTOGRAM" for key in flat)
    assert flat["statestore.live-backends"] == 1
    assert flat["statestore.live-backends.list"] == ["a"]
    assert flat["statestore.total-value-size-bytes"] == 99
    assert flat["statestore.active-status"] is True
    stats = flat["statestore.heartbeat-durations"]
    assert set(stats) == {"count", "last", "min", "max", "mean", "stddev"}
    assert stats["count"] >= 1 and 0 <= stats["min"] <= stats["mean"] <= stats["max"]


def test_one_value_can_be_asked_for(daemon):
    """observability.md section 4: of the root group; unknown: no key."""
    def keys(metric):
        page = daemon.json(f"/jsonmetrics?metric={metric}")
        return set(page) - {"__common__"}

    assert keys("statestore.live-backends") == {"statestore.live-backends"}
    assert keys("statestore.nothing") == keys("memory.rss") == set()


def families(daemon, query=""):
    status, text, _ = daemon.http("/metrics_prometheus" + query)
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(text)}, text


def prometheus_name(key):
    name = re.sub(r"[.'-]", "_", key)
    return name if name.startswith("impala_") else f"impala_{name}"


def test_prometheus_reads_all_of_it(daemon):
    """observability.md section 4, /metrics_prometheus: names, kinds, no PROPERTY and no SET."""
    found, text = families(daemon)
    kinds = {"GAUGE": "gauge", "COUNTER": "counter", "STATS": "counter", "HISTOGRAM": "summary"}
    for key, (kind, _) in WANTED.items():
        family = found.get(prometheus_name(key))
        if kind in kinds:
            assert family is not None, key
            assert (family.type, bool(family.documentation)) == (kinds[kind], True), key
        else:
            assert family is None, key
    assert "impala_impala_" not in text
    samples = re.findall(r"^(\w+(?:\{[^}]*\})?) ", text, re.MULTILINE)
    samples = [sample for sample in samples if sample != "#"]
    assert len(samples) == len(set(samples)), "a series comes twice"


def test_prometheus_values_are_those_of_the_pages(daemon):
    """observability.md section 4: seconds for times; percentiles as quantiles."""
    found, text = families(daemon)

    def value(name, **labels):
        return next(s.value for family in found.values() for s in family.samples
                    if s.name == name and s.labels == labels)

    assert value("impala_statestore_live_backends") == 1
    assert value("impala_statestore_total_value_size_bytes") == 99
    assert value("impala_statestore_topic_update_durations_total") >= 1
    for part in ("last", "min", "max", "mean", "stddev"):
        assert f"impala_statestore_topic_update_durations_{part} " in text
    name = prometheus_name(METHOD + "call_duration")
    assert value(name + "_count") == 1
    assert 0 < value(name + "_sum") < 10  # seconds, not microseconds
    quantiles = {s.labels["quantile"] for s in found[name].samples if s.labels}
    assert quantiles == {"0.2", "0.5", "0.7", "0.9", "0.95", "0.999"}
    assert families(daemon, "?metric_group=memory")[1] == ""


def test_the_catalogd_shows_in_the_metrics(statestored, subscriber):
    """N-2, N-3: its address, and how many were told."""
    daemon = statestored()
    cluster = Cluster(daemon, subscriber, None)
    cluster.coordinator()
    one = cluster.catalogd("one", wants=False)
    eventually(lambda: daemon.metric("statestore.num-successful-update-catalogd-rpc") == 1, "told")
    address = f"127.0.0.1:{one.catalogd_port}"
    assert daemon.metric("statestore.active-catalogd-address") == address
    assert daemon.metric("subscriber-update-catalogd.client-cache.total-clients") == 1


def test_sizes_equal_the_sums_of_the_topics(daemon):
    """observability.md section 1, T-12."""
    rows = daemon.json("/topics")["topics"]
    for what in ("key", "value"):
        assert daemon.metric(f"statestore.total-{what}-size-bytes") == sum(
            row[f"{what}_size_bytes"] for row in rows)
    assert daemon.metric("statestore.total-topic-size-bytes") == sum(
        row["total_size_bytes"] for row in rows)


def test_small_pages_for_a_scraper_can_be_served_apart(statestored):
    """flags.md section 7, metrics_webserver_port: four pages and no other."""
    port = free_port()
    daemon = statestored(metrics_webserver_port=port)
    main, daemon.web = daemon.web, port
    try:
        for path in ("/metrics", "/jsonmetrics", "/metrics_prometheus", "/healthz"):
            assert daemon.http(path)[0] == 200, path
        assert daemon.http("/varz")[0] == 404
    finally:
        daemon.web = main
