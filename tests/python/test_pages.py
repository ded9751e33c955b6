"""The pages, field by field: observability.md sections 3 to 5."""

import gzip
import http.client
import json
import re

import pytest

from behaviours import answer
from catalogds import Cluster
from fake_subscriber import item, topic
from statestored import QUICK, eventually, text_of

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
NAVBAR = ["/", "/log_level", "/memz", "/metrics", "/profile_docs", "/rpcz", "/subscribers",
          "/threadz", "/topics", "/varz"]


def test_the_front_page_says_what_runs_here(statestored):
    """observability.md section 4, /"""
    page = statestored().json("/")
    common = page.pop("__common__")
    assert common["process-name"] == "statestored"
    texts = ["version", "cpu_info", "mem_info", "disk_info", "os_info", "process_state_info",
             "cgroup_info", "effective_locale", "glibc_version", "process_start_time"]
    assert set(page) == {*texts, "build_flags", "is_statestore", "is_catalog",
                         "statestore_active_status"}
    assert all(isinstance(page[name], str) for name in texts)
    assert [flag["flag_name"] for flag in page["build_flags"]] == [
        "is_ndebug", "cmake_build_type", "library_link_type"]
    assert (page["is_statestore"], page["is_catalog"]) == (True, False)
    assert page["statestore_active_status"] == "Active"
    assert re.fullmatch(TIME + r"\d{6}", page["process_start_time"])


@pytest.mark.parametrize("ha", [False, True])
def test_the_navigation_bar_is_the_same_everywhere(statestored, ha):
    """observability.md section 3: the exact list, in the order of the paths."""
    daemon = statestored(enable_catalogd_ha=str(ha).lower(), logtostderr="true")
    wanted = sorted([*NAVBAR, *(["/catalog_ha_info"] if ha else [])])
    for path in ("/", "/topics", "/varz", "/metrics", "/jsonmetrics"):
        bar = daemon.json(path)["__common__"]["navbar"]
        assert [entry["link"] for entry in bar] == wanted
        assert all(set(entry) == {"link", "title"} for entry in bar)
    assert daemon.http("/catalog_ha_info?json")[0] == (200 if ha else 404)


def test_a_row_of_topics_has_every_field(statestored, subscriber):
    """observability.md section 4, /topics; T-12."""
    daemon = statestored()
    a = subscriber(daemon, "a", "catalog-update", "impala-membership")
    assert daemon.topic("catalog-update") == {
        "topic_id": "catalog-update", "num_entries": 0, "version": 0, "key_size": "0",
        "value_size": "0", "total_size": "0", "key_size_bytes": 0, "value_size_bytes": 0,
        "total_size_bytes": 0, "prioritized": False, "oldest_version": 0, "oldest_id": "a"}
    a.publish("catalog-update", item("k" * 512, "v" * 1536))
    row = daemon.await_topic("catalog-update", oldest_version=1)
    assert row == {
        "topic_id": "catalog-update", "num_entries": 1, "version": 1, "key_size": "512.00 B",
        "value_size": "1.50 KB", "total_size": "2.00 KB", "key_size_bytes": 512,
        "value_size_bytes": 1536, "total_size_bytes": 2048, "prioritized": False,
        "oldest_version": 1, "oldest_id": "a"}
    assert daemon.topic("impala-membership")["prioritized"] is True


def test_a_row_of_subscribers_has_every_field(statestored, subscriber):
    """observability.md section 4, /subscribers."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t", topic("impala-membership", transient=True))
    a.publish("impala-membership", item("k", "v"), item("l", "w"))
    daemon.await_topic("impala-membership", version=2)
    row = daemon.subscriber("a")
    since = row.pop("secs_since_heartbeat")
    assert row == {
        "id": "a", "address": f"127.0.0.1:{a.port}", "num_topics": 2, "num_priority_topics": 1,
        "num_transient": 2, "registration_id": text_of(a.registered.registration_id)}
    assert re.fullmatch(r"\d+\.\d{3}", since)


def test_the_time_since_the_last_heartbeat_runs_while_there_is_none(statestored, subscriber):
    """observability.md section 4: since the last success, or since registration."""
    daemon = statestored(statestore_max_missed_heartbeats=1000)
    a = subscriber(daemon, "a")
    a.await_calls(2, "Heartbeat")
    a.always(answer(code=6), "Heartbeat")
    eventually(lambda: float(daemon.subscriber("a")["secs_since_heartbeat"]) > 0.7, "silence")
    a.always(answer(), "Heartbeat")
    eventually(lambda: float(daemon.subscriber("a")["secs_since_heartbeat"]) < 0.5, "contact")


def test_the_catalogds_are_shown_with_every_field(statestored, subscriber):
    """observability.md section 4, /catalog_ha_info."""
    daemon = statestored(enable_catalogd_ha="true")
    cluster = Cluster(daemon, subscriber, True)
    coordinator = cluster.coordinator()
    empty = cluster.page()
    empty.pop("__common__")
    [row] = empty.pop("notified_subscribers")
    assert set(row) == {"id", "address", "registration_id", "subscriber_type"}
    assert empty == {"is_active_statestored": True, "has_active_catalogd": False,
                     "active_catalogd_version": 0}
    one = cluster.catalogd("one", force=True, wants=False)
    two = cluster.catalogd("two", wants=False)
    coordinator.await_calls(1, "UpdateCatalogd")

    def told():
        page = cluster.page()
        return page["notified_subscribers"][0]["catalogd_version"] == 1 and page

    page = eventually(told, "the coordinator knows")
    for who, fake, force in (("active", one, True), ("standby", two, False)):
        assert page[f"{who}_catalogd_enable_catalogd_ha"] is True
        assert page[f"{who}_catalogd_force_catalogd_active"] is force
        assert page[f"{who}_catalogd_address"] == f"127.0.0.1:{fake.catalogd_port}"
        assert re.fullmatch(TIME, page[f"{who}_catalogd_registration_time"])
    assert page["active_catalogd_address"] == daemon.metric("statestore.active-catalogd-address")
    assert re.fullmatch(TIME, page["last_update_catalogd_time"])
    [row] = page["notified_subscribers"]
    assert re.fullmatch(TIME, row.pop("last_subscriber_update_catalogd_time"))
    assert row == {
        "id": "coordinator", "address": f"127.0.0.1:{coordinator.port}",
        "registration_id": text_of(coordinator.registered.registration_id),
        "subscriber_type": "COORDINATOR", "catalogd_version": 1,
        "catalogd_address": f"127.0.0.1:{one.catalogd_port}"}


def test_subscriber_types_are_shown_in_words(statestored, subscriber):
    """observability.md section 4; an unknown number is UNKNOWN (wire.md section 2)."""
    daemon = statestored(enable_catalogd_ha="true")
    words = ["UNKNOWN", "ADMISSIOND", "CATALOGD", "COORDINATOR", "EXECUTOR",
             "COORDINATOR AND EXECUTOR", "UNKNOWN"]
    for number in range(len(words)):
        subscriber(daemon, f"s{number}", subscriber_type=number, subscribe_catalogd_change=True)
    subscriber(daemon, "s9", subscriber_type=None, subscribe_catalogd_change=True)
    rows = daemon.json("/catalog_ha_info")["notified_subscribers"]
    shown = {row["id"]: row["subscriber_type"] for row in rows}
    assert shown == {**{f"s{number}": word for number, word in enumerate(words)}, "s9": "UNKNOWN"}


def test_flags_are_shown_as_texts(statestored):
    """observability.md section 4, /varz; flags.md section 2: hidden flags are experimental."""
    page = statestored(statestore_max_subscribers="0x10").json("/varz")
    assert page["title"] == "Command-line Flags"
    flags = {flag["name"]: flag for flag in page["flags"]}
    for flag in flags.values():
        changed = {"value_changed"} if flag["current"] != flag["default"] else set()
        assert set(flag) == {"name", "type", "description", "default", "current",
                             "experimental"} | changed
        assert all(isinstance(flag[name], str) for name in ("type", "default", "current"))
    assert flags["statestore_max_subscribers"]["current"] == "16"
    assert flags["statestore_max_subscribers"]["value_changed"] == 1
    assert flags["heartbeat_monitoring_frequency_ms"]["experimental"] is True
    assert flags["enable_catalogd_ha"]["current"] == "false"
    assert flags["webserver_port"]["default"] == "25000"
    assert flags["statestore_heartbeat_frequency_ms"]["current"] == str(
        QUICK["statestore_heartbeat_frequency_ms"])


def test_every_answer_has_the_headers_and_its_kind(statestored):
    """observability.md section 3."""
    daemon = statestored()
    for path, kind in (("/topics?json", "application/json"), ("/", "text/html; charset=UTF-8"),
                       ("/healthz", "text/plain; charset=UTF-8"),
                       ("/metrics_prometheus", "text/plain; charset=UTF-8")):
        status, body, headers = daemon.http(path)
        assert (status, headers["Content-Type"]) == (200, kind)
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert int(headers["Content-Length"]) == len(body.encode())
        status, body, headers = daemon.http(path, "HEAD")
        assert (status, body) == (200, "")
    assert daemon.http("/healthz")[1] == "OK"


def test_an_unknown_path_is_404_and_harmless(statestored):
    """observability.md section 3: named in JSON, escaped in HTML."""
    daemon = statestored()
    status, body, _ = daemon.http("/nothing?json")
    assert status == 404 and json.loads(body)["error"] == "No URI handler for '/nothing'"
    status, body, _ = daemon.http("/%3Cscript%3Ealert(1)")
    assert status == 404 and "<script>alert" not in body
    assert daemon.http("/nothing", "HEAD")[0] == 404


def test_bodies_are_zipped_for_who_can_unzip(statestored):
    """observability.md section 3; connections are kept alive."""
    daemon = statestored()
    connection = http.client.HTTPConnection("127.0.0.1", daemon.web, timeout=10)
    for accept in ("gzip, deflate", "identity"):
        connection.request("GET", "/varz?json", headers={"Accept-Encoding": accept})
        response = connection.getresponse()
        body = response.read()
        zipped = response.headers["Content-Encoding"] == "gzip"
        assert zipped == ("gzip" in accept)
        assert json.loads(gzip.decompress(body) if zipped else body)["title"]
    connection.close()


def test_the_log_level_can_be_set_and_reset(statestored):
    """observability.md section 4: forms only, 0 to 3 only."""
    daemon = statestored()
    assert daemon.json("/log_level")["glog_level"] == "0"
    assert daemon.json("/set_glog_level")["error"] == "Use form input to update glog level"
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def post(path, body):
        return json.loads(daemon.http(path + "?json", "POST", body, form)[1])

    bad = "Bad glog level input. Valid inputs are integers in the range [0-3]."
    for body in ("glog=4", "glog=-1", "glog=", "glog=x", ""):
        assert post("/set_glog_level", body)["error"] == bad
    done = post("/set_glog_level", "glog=2")
    assert done["set_glog_level_result"].startswith("v set to 2")
    assert done["glog_level"] == daemon.json("/log_level")["glog_level"] == "2"
    assert "reset_glog_level_result" in post("/reset_glog_level", "x=1")
    assert daemon.json("/log_level")["glog_level"] == "0"
    html = daemon.http("/log_level")[1]
    assert "Current backend log level: " in html and ".val(0)" in html


def test_posts_without_length_or_beyond_the_limit_are_refused(statestored):
    """observability.md section 3: 411 and 413."""
    daemon = statestored(webserver_max_post_length_bytes=1000)
    connection = http.client.HTTPConnection("127.0.0.1", daemon.web, timeout=10)
    connection.putrequest("POST", "/set_glog_level?json")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()
    assert daemon.http("/set_glog_level?json", "POST", "x" * 2000)[0] == 413


def test_names_of_subscribers_cannot_smuggle_html(statestored, subscriber):
    """Pages show what anybody registered: escaped."""
    daemon = statestored()
    subscriber(daemon, "<script>alert(1)</script>", "<img src=x>")
    for path in ("/subscribers", "/topics", "/metrics"):
        body = daemon.http(path)[1]
        assert "<script>alert" not in body and "<img src=x>" not in body
        daemon.json(path)
