"""A use case with `maturity.unripe: hazard`, through the whole of training."""

from refit.scoring import bundle as bundles
from refit.scoring.explain import explain
from refit.training.hazard import AS_IT_IS
from refit.training.train import train
from tests.unit.training.book import MADE_WITH, as_inputs
from tests.unit.training.test_hazard import AS_OF, CASE, FRAME

TRAINED = train(FRAME, CASE, AS_OF, **MADE_WITH)


def test_the_bundle_holds_a_hazard_and_comes_back_from_its_files():
    bundle = TRAINED.bundle
    again = bundles.from_files(bundles.to_files(bundle))
    records = [as_inputs(row, CASE) for row in FRAME.head(20).to_dict("records")]
    assert (bundle.learner, bundle.model.file, bundle.calibrator) == ("hazard", "model.hazard", AS_IT_IS)
    assert again.predict(records).tolist() == bundle.predict(records).tolist()
    assert [golden.probability for golden in again.golden] == [golden.probability for golden in bundle.golden]


def test_it_is_the_same_bundle_again():
    assert bundles.to_files(train(FRAME, CASE, AS_OF, **MADE_WITH).bundle) == bundles.to_files(TRAINED.bundle)


def test_the_card_tells_of_both_hazards_and_of_the_records_it_learned_from():
    card = TRAINED.bundle.card
    assert any("young ones too" in note for note in card["notes"])
    assert any("known on" in note for note in card["notes"])
    assert card["reference"]["end"] > card["window"]["end"]
    assert card["metrics"]["roc_auc"]["value"] > 0.6


def test_it_can_be_explained():
    told = explain(TRAINED.bundle, as_inputs(FRAME.iloc[5].to_dict(), CASE))
    assert told.reasons()
