"""What the pages' colours must let everybody read, in the light and in the dark: WCAG 2.2, 1.4.3 and 1.4.11."""

import re

import pytest

from refit.console.pages import HERE

CSS = (HERE / "static/console.css").read_text()
TEXT, SHAPE = 4.5, 3.0
WRITTEN = ("text", "quiet", "link", "good", "watch", "bad", "calm", "first", "second", "third")
HEAT = re.compile(r"\.heat \.(\w+) \{ background: color-mix\(in srgb, (\S+) (\d+)%, transparent\)")


def schemes():
    light, dark, paper = (
        dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{([^}]*)\}", CSS)
    )
    return {"light": light, "dark": light | dark, "paper": light | dark | paper}


def rgb(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def luminance(channels):
    shares = [channel / 255 for channel in channels]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_as_far_as_it_goes():
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)


@pytest.mark.parametrize("scheme", schemes())
def test_every_text_can_be_read_on_every_ground(scheme):
    colours = schemes()[scheme]
    faint = {
        (name, ground): round(found, 2)
        for name in WRITTEN
        for ground in ("card", "ground")
        if (found := contrast(rgb(colours[name]), rgb(colours[ground]))) < TEXT
    }
    assert faint == {}


@pytest.mark.parametrize("scheme", schemes())
def test_a_field_and_a_button_can_be_seen(scheme):
    colours = schemes()[scheme]
    assert contrast(rgb(colours["edge"]), rgb(colours["card"])) >= SHAPE
    assert contrast(rgb(colours["card"]), rgb(colours["link"])) >= TEXT


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_figures_can_be_read_on_every_colour_of_the_drift_table(scheme):
    colours, found = schemes()[scheme], HEAT.findall(CSS)
    assert [level for level, _, _ in found] == ["stable", "warn", "act"]
    for level, named, share in found:
        over = rgb(colours[named[6:-1]] if named.startswith("var") else named)
        mixed = [
            (int(share) * top + (100 - int(share)) * under) / 100
            for top, under in zip(over, rgb(colours["card"]), strict=True)
        ]
        assert contrast(rgb(colours["text"]), mixed) >= TEXT, level
