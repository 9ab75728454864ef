from __future__ import annotations

import threading

import msgspec
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import BUCKETS, Meter, make_routes
from app.model import Card
from app.settings import Settings

MILLISECOND = 1_000_000


def parse_samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels, as the official parser reads them."""
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def get_metrics(client: FlaskClient) -> dict[str, float]:
    return parse_samples(client.get("/metrics").text)


def count(meter: Meter) -> dict[str, float]:
    return parse_samples("\n".join([*meter.expose(), ""]))


def test_requests_are_counted_by_route_and_status(client: FlaskClient, row: dict[str, object]) -> None:
    client.post("/predict", json={"features": [row] * 3})
    client.post("/predict", json={"features": row})
    client.post("/predict", json={"features": {}})
    client.get("/version")
    client.head("/version")
    for path in ("/a", "/b", "/predict"):
        client.get(path)

    found = get_metrics(client)

    assert found["http_requests_total['/predict', '200', 'POST']"] == 2
    assert found["http_requests_total['/predict', '400', 'POST']"] == 1
    assert found["http_requests_total['/version', '200', 'GET']"] == 2
    assert found["http_requests_total['', '404', 'unmatched']"] == 2
    assert found["http_requests_total['', '405', 'unmatched']"] == 1
    assert found["http_request_duration_seconds_count['/predict', 'POST']"] == 3
    assert found["http_request_duration_seconds_bucket['+Inf', '/predict', 'POST']"] == 3
    assert found["shipshape_predicted_rows_total[]"] == 4
    assert found["http_requests_in_flight[]"] == 1
    assert not [name for name in found if "/a" in name]


def test_the_metrics_name_the_model_and_the_image(client: FlaskClient) -> None:
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}

    assert families["shipshape_model_info"].samples[0].labels["name"] == "house-price"
    assert families["shipshape_build_info"].samples[0].labels == {"version": "1.4.0", "revision": "abc123"}
    assert families["http_requests"].type == "counter"
    assert all(family.documentation for family in families.values())


def test_unusual_names_are_escaped(settings: Settings, card: Card) -> None:
    strange = 'a "name"\\ in\ntwo lines'
    [route] = make_routes(settings, msgspec.structs.replace(card, name=strange), Meter([], workers=1))

    families = text_string_to_metric_families(route({}).body.decode())

    assert [one.samples[0].labels["name"] for one in families if one.name == "shipshape_model_info"] == [strange]


def test_buckets_are_cumulative_and_their_bounds_inclusive() -> None:
    meter = Meter([("GET", "/a")], workers=1)
    for nanoseconds in (0, MILLISECOND, MILLISECOND + 1, 60_000 * MILLISECOND):
        meter.enter()
        meter.leave(meter.find_series("GET", "/a"), 200, nanoseconds, 0)

    found = count(meter)
    buckets = [found[f"http_request_duration_seconds_bucket{sorted([str(bound), '/a', 'GET'])}"] for bound in BUCKETS]

    assert buckets == sorted(buckets)
    assert found["http_request_duration_seconds_bucket['/a', '0.0005', 'GET']"] == 1
    assert found["http_request_duration_seconds_bucket['/a', '0.001', 'GET']"] == 2
    assert found["http_request_duration_seconds_bucket['/a', '0.0025', 'GET']"] == 3
    assert found["http_request_duration_seconds_bucket['+Inf', '/a', 'GET']"] == 4
    assert found["http_request_duration_seconds_sum['/a', 'GET']"] == 60.002000001


def test_counts_of_a_dead_worker_stay_and_its_successor_adds_to_them() -> None:
    meter = Meter([("GET", "/a")], workers=2)
    series = meter.find_series("GET", "/a")
    slots = [meter.claim(), meter.claim()]
    for slot in slots:
        meter.use(slot)
        meter.enter()
        meter.leave(series, 200, MILLISECOND, 5)
        meter.enter()  # and dies before it leaves

    meter.release(slots[0])
    between = count(meter)
    meter.use(meter.claim())
    meter.enter()
    meter.leave(series, 200, MILLISECOND, 5)
    after = count(meter)

    assert between["http_requests_total['/a', '200', 'GET']"] == 2
    assert between["http_requests_in_flight[]"] == 1
    assert between["shipshape_workers[]"] == 1
    assert after["http_requests_total['/a', '200', 'GET']"] == 3
    assert after["http_request_duration_seconds_count['/a', 'GET']"] == 3
    assert after["shipshape_predicted_rows_total[]"] == 15
    assert after["shipshape_workers[]"] == 2
    assert after["shipshape_worker_starts_total[]"] == 3


def test_more_workers_than_planned_share_a_slot_rather_than_fail() -> None:
    meter = Meter([], workers=1)
    slots = [meter.claim() for _ in range(4)]

    assert slots == [1, 2, 0, 0]
    for slot in slots:
        meter.release(slot)
    assert sorted([meter.claim(), meter.claim()]) == [1, 2]


def test_threads_of_a_worker_lose_no_count() -> None:
    meter = Meter([("GET", "/a")], workers=1)
    series = meter.find_series("GET", "/a")

    def ask() -> None:
        for _ in range(5_000):
            meter.enter()
            meter.leave(series, 200, MILLISECOND, 1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count(meter)["http_requests_total['/a', '200', 'GET']"] == 20_000
    assert count(meter)["shipshape_predicted_rows_total[]"] == 20_000
    assert count(meter)["http_requests_in_flight[]"] == 0
