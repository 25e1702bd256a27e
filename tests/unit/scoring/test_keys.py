import hashlib

import pytest

from refit.errors import ContractError
from refit.scoring.keys import Keys

ONE, TWO = "first-key-0123456789", "second-key-0123456789"


def test_each_of_several_keys_is_admitted_and_nothing_else():
    keys = Keys.of(f" {ONE} ,{TWO},,")
    assert keys.admit(ONE.encode())
    assert keys.admit(TWO.encode())
    for other in ("", ONE[:-1], ONE + "x", f"{ONE},{TWO}", ONE.upper()):
        assert not keys.admit(other.encode())


def test_a_key_may_be_given_as_its_hash_which_is_no_key_itself():
    hashed = "sha256:" + hashlib.sha256(ONE.encode()).hexdigest()
    keys = Keys.of(hashed)
    assert keys == Keys.of(ONE)
    assert keys.admit(ONE.encode())
    assert not keys.admit(hashed.encode())


def test_what_is_passed_on_holds_no_key_and_is_read_as_the_same_keys():
    keys = Keys.of(f"{ONE},{TWO}")
    assert Keys.of(keys.to_text()) == keys
    for shown in (keys.to_text(), repr(keys)):
        assert ONE not in shown
        assert TWO not in shown


def test_without_keys_nothing_is_admitted():
    assert not Keys.of("")
    assert not Keys.of("").admit(b"")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (",", "holds commas and no key"),
        (f"{ONE},sha256:0123", "entry 2 starts with sha256:"),
        ("a key", "entry 1 holds what no HTTP header can"),
        ("schlüssel", "entry 1 holds what no HTTP header can"),
    ],
)
def test_what_is_no_key_is_refused_by_its_place_and_not_repeated(text, why):
    with pytest.raises(ContractError, match=why) as refused:
        Keys.of(text)
    assert "0123456789" not in str(refused.value)
    assert "schl" not in str(refused.value)


def test_short_keys_are_counted_so_that_somebody_can_be_warned():
    assert Keys.of(f"short,{ONE}").n_short == 1
