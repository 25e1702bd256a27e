import json
import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

from refit.training.card_page import page, sentence
from tests.unit.training.made import made_card
from tests.unit.training.test_card import several


def check(name, outcome, why="because", seen=0.5):
    return {"name": name, "outcome": outcome, "seen": seen, "allowed": "at least 0.6", "why": why}


REFUSED = {
    "outcome": "refuse",
    "checks": [
        check("no signal", "fail", "roc_auc is 0.481, 95 % interval 0.44 to 0.52 < 0.5 & no more"),
        check("floor: roc_auc", "fail", "roc_auc is 0.481: outside what is allowed"),
        check("gain", "not applicable", "there is no champion to be better than", None),
        check("calibration", "pass", "they lie 0.01 apart"),
    ],
}


class Parsed(HTMLParser):
    VOID = ("meta", "br", "use", "img", "link")

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def shown():
    return page(made_card(protected=[]), REFUSED)


def test_the_page_says_why_of_every_check(shown):
    for one in REFUSED["checks"]:
        assert escape(one["why"]) in shown
        assert one["name"] in shown
        assert one["outcome"] in shown


def test_the_verdict_stands_first_and_in_one_sentence(shown):
    said = "Refused: it cannot be told from a model that guesses, and 1 more check failed."
    assert said in shown
    assert shown.index(said) < shown.index("What the gate checked")


LEAK = check("leak", "fail", "zip alone decides")
UNKNOWN = check("near duplicates", "warning", "nothing is known of new borrowers", None)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (None, "Not judged: no gate has seen this model."),
        (
            {"outcome": "promote", "checks": [check("a", "pass"), check("b", "not applicable")]},
            "Promoted: it passed 1 check, every one that applies.",
        ),
        (
            {"outcome": "promote", "checks": [check("a", "pass"), check("b", "pass"), UNKNOWN]},
            "Promoted: it passed 2 checks, with 1 warning: near duplicates: nothing is known of new borrowers.",
        ),
        (
            {"outcome": "promote", "checks": [check("a", "pass"), UNKNOWN, check("gain", "warning", "it is close")]},
            f"Promoted: it passed 1 check, with 2 warnings: near duplicates: {UNKNOWN['why']}; gain: it is close.",
        ),
        ({"outcome": "refuse", "checks": [LEAK]}, "Refused: leak: zip alone decides."),
        ({"outcome": "promote", "checks": [LEAK]}, "Promoted, although 1 check failed: leak: zip alone decides."),
    ],
    ids=["not judged", "promoted", "promoted with a warning", "with two", "refused by another check", "overridden"],
)
def test_a_verdict_reads_well_to_someone_who_was_not_there(verdict, said):
    assert sentence(verdict) == said


def test_an_override_is_told_by_name_and_reason():
    verdict = REFUSED | {"outcome": "promote", "override": {"by": "R. Officer", "reason": "asked for by <audit>"}}
    assert "Overridden by R. Officer: asked for by &lt;audit&gt;" in page(made_card(), verdict)


def test_what_the_use_case_says_cannot_become_markup():
    evil = "<script>alert(1)</script>"
    text = page(made_card(title=evil, notes=[evil, 'a "b" & c']), REFUSED)
    assert "<script" not in text
    assert text.count(escape(evil)) >= 2


def test_the_page_needs_no_network_and_no_script(shown):
    assert not re.search(r"<script|<link|@import|src=|url\((?!#)", shown)
    assert set(re.findall(r'https?://[^"]+', shown)) <= {"http://www.w3.org/2000/svg"}
    assert len(shown) < 500_000


def test_the_page_is_sound_html_with_each_id_once(shown):
    parsed = Parsed(shown)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_every_picture_has_words_for_who_cannot_see_it(shown):
    pictures = re.findall(r"<svg .*?</svg>", shown, flags=re.DOTALL)
    assert len(pictures) == 7
    for one in pictures:
        assert 'role="img"' in one
        assert re.search(r"<title id=[^>]+>[^<]+</title><desc id=[^>]+>[^<]{20,}</desc>", one)


def test_the_same_card_gives_the_same_bytes_read_back_from_json_too(shown):
    told = json.loads(json.dumps(made_card(protected=[])))
    assert page(told, REFUSED) == shown


def test_a_card_of_an_older_version_shows_what_it_has():
    new = {"task", "libraries", "seed", "dated", "search", "at_threshold", "curves", "segments", "impact", "features"}
    old = {name: value for name, value in made_card().items() if name not in new}
    text = page(old, None)
    assert "ROC AUC" in text
    assert "What was tried" in text


def test_a_card_of_several_classes_shows_who_is_taken_for_whom():
    text = page(
        made_card(
            frame=several(),
            probability=np.random.default_rng(7).dirichlet([1, 1, 1], 750),
            task="multiclass",
            label={"name": "kind", "column": "kind", "classes": ["a<b", "b", "c"]},
            gate={},
        ),
        None,
    )
    assert "Which class is taken for which" in text
    assert "a&lt;b" in text
    assert "a<b" not in text
    assert "Approval rate" not in text


def test_impact_is_told_as_a_screen():
    frame = made_frame_with_gender()
    text = page(made_card(frame=frame, protected=["gender"]), None)
    assert "A screen, not a finding of compliance." in text
    assert "lowest ratio" in text


def made_frame_with_gender():
    frame = several()
    frame["_label"] = (frame["_label"] == 0).astype(float)
    frame["gender"] = np.where(np.arange(len(frame)) % 2, "F", "M")
    return frame
