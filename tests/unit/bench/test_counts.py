"""What a measurement reads from /metrics pages."""

from __future__ import annotations

import pytest

from bench.counts import Call, buckets_of, calls_of, difference, quantile, samples

PAGE = """\
# HELP apiserver_request_total [STABLE] Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="aimservices",subresource="",verb="LIST"} 3
apiserver_request_total{code="200",resource="aimservices",subresource="status",verb="PATCH"} 5
apiserver_request_total{code="409",resource="aimservices",subresource="status",verb="PATCH"} 1
apiserver_request_total{code="200",resource="",subresource="/healthz",verb="GET"} 9
apiserver_request_total_of_another_kind{resource="x",verb="GET"} 7
seconds_bucket{controller="a",le="0.1"} 10
seconds_bucket{controller="b",le="0.1"} 90
seconds_bucket{controller="a",le="0.2"} 20
seconds_bucket{controller="a",le="+Inf"} 20
odd{text="a \\"quoted\\" brace }"} 1.5e3
"""


def test_requests_are_added_up_over_their_codes() -> None:
    assert calls_of(PAGE) == {Call("LIST", "aimservices"): 3, Call("PATCH", "aimservices/status"): 6}


def test_only_what_came_in_between_counts() -> None:
    before = calls_of(PAGE)
    after = before + calls_of('apiserver_request_total{resource="leases",verb="PUT"} 2')
    assert difference(after, before) == {Call("PUT", "leases"): 2}


def test_labels_may_hold_quotes_and_braces() -> None:
    assert list(samples(PAGE, "odd")) == [({"text": 'a \\"quoted\\" brace }'}, 1500.0)]


@pytest.mark.parametrize(
    ("share", "want"),
    [
        pytest.param(0.5, 0.1, id="on a bound"),
        pytest.param(0.25, 0.05, id="within the first bucket"),
        pytest.param(0.75, 0.15, id="within the second"),
        pytest.param(1.0, 0.2, id="all"),
    ],
)
def test_a_quantile_lies_between_the_bounds_of_its_bucket(share: float, want: float) -> None:
    assert quantile(buckets_of(PAGE, "seconds", controller="a"), share) == pytest.approx(want)


def test_a_quantile_of_nothing_is_nothing() -> None:
    assert quantile(buckets_of(PAGE, "missing"), 0.5) == 0.0
    buckets = buckets_of(PAGE, "seconds", controller="a")
    assert quantile(buckets, 0.5, before=buckets) == 0.0


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    page = 'seconds_bucket{le="0.1"} 1\nseconds_bucket{le="+Inf"} 100'
    assert quantile(buckets_of(page, "seconds"), 0.99) == 0.1
