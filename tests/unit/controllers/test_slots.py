"""DiscoverySlots where a simulation does not get to: grants whose Job never came."""

from __future__ import annotations

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import TEMPLATES
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import Watched
from aim_operator.runtime.metrics import MetricSink
from tests.support.fake_client import FakeClient
from tests.support.template_builders import OPERATOR_NAMESPACE, make_template
from tests.support.virtual_clock import VirtualClock

ONE, TWO = make_template("one"), make_template("two")


def slots(*, limit: int = 1) -> tuple[DiscoverySlots, list[ObjectRef]]:
    """Slots over empty caches, and who was woken."""
    clock, woken = VirtualClock(), list[ObjectRef]()
    watched = Watched(
        FakeClient(),
        clock=clock,
        metrics=MetricSink(),
        namespaces=(),
        operator_namespace=OPERATOR_NAMESPACE,
    )
    made = DiscoverySlots(
        watched.jobs.store,
        StoreCatalog(watched),
        operator_namespace=OPERATOR_NAMESPACE,
        limit=limit,
        clock=clock,
        wake=woken.append,
    )
    return made, woken


def test_a_grant_is_good_for_other_inputs() -> None:
    """The Job could not be created, and then the image changed: it must not wait for itself."""
    made, _ = slots()
    assert made.request(TEMPLATES.ref(ONE), ONE, "discover-one-a").granted
    assert made.request(TEMPLATES.ref(ONE), ONE, "discover-one-b").granted
    assert dict(made.samples()) == {("running",): 1.0, ("waiting",): 0.0}
    assert not made.request(TEMPLATES.ref(TWO), TWO, "discover-two-a").granted


def test_a_grant_given_up_wakes_the_next_one() -> None:
    made, woken = slots()
    assert made.request(TEMPLATES.ref(ONE), ONE, "discover-one-a").granted
    waiting = made.request(TEMPLATES.ref(TWO), TWO, "discover-two-a")
    assert (waiting.granted, waiting.limit) == (False, 1)
    made.withdraw(TEMPLATES.ref(ONE))
    assert woken == [TEMPLATES.ref(TWO)]
    assert made.request(TEMPLATES.ref(TWO), TWO, "discover-two-a").granted
    made.withdraw(TEMPLATES.ref(TWO))
    assert dict(made.samples()) == {("running",): 0.0, ("waiting",): 0.0}
