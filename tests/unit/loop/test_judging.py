"""How fast a model is, whatever else the machine does, and by which threshold a champion is judged."""

import dataclasses
import time
from types import SimpleNamespace

from refit.loop.judging import judged, latency_ms
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

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


def test_a_champion_is_judged_at_its_own_threshold():
    case = usecase(objective={"metric": "accuracy"}, learners=["logistic_regression"])
    frame = book(1200)
    made = train(frame, case, AS_OF, **MADE_WITH)

    def gain(champion):
        checks = judged(case, made, champion, frame, 1.0).checks
        return next(check for check in checks if check.name == "gain")

    assert "the two are equal" in gain(made.bundle).why
    careless = dataclasses.replace(made.bundle, threshold=0.0)  # declines everybody
    assert gain(careless).outcome == "pass"
