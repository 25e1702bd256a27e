"""How fast a model is, whatever else the machine does."""

import time
from types import SimpleNamespace

from refit.loop.judging import latency_ms

WAIT = 0.003


def bundle(predict):
    return SimpleNamespace(golden=(SimpleNamespace(inputs={"amount": 1.0}),), predict=predict)


def test_waiting_for_a_busy_processor_is_not_counted_as_the_models_own_time():
    assert latency_ms(bundle(lambda _: time.sleep(WAIT))) < 1000 * WAIT


def test_what_the_model_computes_is_counted():
    def busy(_):
        end = time.thread_time() + WAIT
        while time.thread_time() < end:
            pass

    assert latency_ms(bundle(busy)) >= 1000 * WAIT


def test_without_a_golden_record_nothing_is_timed():
    assert latency_ms(SimpleNamespace(golden=(), predict=None)) is None
