import subprocess
import sys
import textwrap

import numpy as np
import pytest
import threadpoolctl

from refit.errors import DataError
from refit.scoring.blend import BLEND_FILE
from refit.scoring.encoder import Encoder
from refit.scoring.hazard import HAZARD_FILE
from refit.scoring.model import MODEL_FILES, read_model
from refit.training.learners.registry import LEARNERS
from tests.unit.training.records import fit, records

MATRIX, LABEL = records(400)


@pytest.mark.parametrize("file", MODEL_FILES)
@pytest.mark.parametrize("content", [b"", b"{", b"nonsense"])
def test_what_is_no_model_is_refused(file, content):
    with pytest.raises(DataError):
        read_model(file, content)


def test_every_model_says_its_file_and_how_many_classes_it_tells_apart():
    files = set()
    for name, n_classes in [("xgboost", 2), ("xgboost", 3), ("decision_tree", 3), ("scorecard", 2)]:
        label = records(400, n_classes=n_classes)[1]
        model = fit(LEARNERS[name], MATRIX, label, n_classes=n_classes).model
        files.add(model.file)
        assert model.n_classes == read_model(model.file, model.to_bytes()).n_classes == n_classes
    assert files == set(MODEL_FILES) - {HAZARD_FILE, BLEND_FILE}  # no learner of their own


@pytest.mark.parametrize(
    ("learner", "spared"), [("xgboost", ["skops"]), ("scorecard", ["sklearn", "skops", "xgboost"])]
)
@pytest.mark.slow
def test_a_served_model_imports_no_library_it_does_not_need(tmp_path, learner, spared):
    model = fit(LEARNERS[learner], MATRIX, LABEL).model
    path = tmp_path / model.file
    path.write_bytes(model.to_bytes())
    code = f"""
        import sys
        import numpy as np
        from pathlib import Path
        from refit.scoring.model import read_model
        path = Path({str(path)!r})
        print(read_model(path.name, path.read_bytes()).probability(np.zeros((1, 4), dtype=np.float32))[0])
        print([name for name in {spared} if name in sys.modules])
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1] == "[]"
    assert float(run.stdout.splitlines()[0]) == pytest.approx(model.probability(np.zeros((1, 4), np.float32))[0])


def test_equally_distant_neighbours_count_the_same_alone_in_a_batch_and_on_any_number_of_cores():
    random = np.random.default_rng(0)
    matrix = random.integers(0, 4, (3000, 3)).astype(np.float32)  # 64 places: most neighbours are equally distant
    label = (random.random(3000) < 0.1 + 0.1 * matrix[:, 0]).astype(float)
    encoder = Encoder(("a", "b", "c"), {}, {}, {})
    model = fit(LEARNERS["k_nearest_neighbours"], matrix, label, encoder, params={"p": 2, "neighbours": 25}).model
    alone = [model.probability(matrix[row : row + 1])[0] for row in range(100)]
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            assert model.probability(matrix)[:100] == pytest.approx(alone, abs=1e-12)
