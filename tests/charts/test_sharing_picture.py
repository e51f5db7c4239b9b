"""Pictures of who shares with whom are well-formed, and readable on any page."""

from xml.etree import ElementTree

from qcqa.charts.layers.sharing_picture import sharing_picture
from qcqa.reduce.picture import SitePicture

SVG = "{http://www.w3.org/2000/svg}"


def test_every_head_is_tied_to_the_head_that_it_shares() -> None:
    layer = SitePicture((0, 1, 2, 0))
    picture = ElementTree.fromstring(sharing_picture([layer], ink="#123456"))
    lines = picture.findall(f"{SVG}line")
    # Each of the four is drawn twice: its outline, and above it its colour.
    assert len(lines) == 8
    # Heads 0 and 3 end in one place, the others in places of their own.
    assert len({line.get("x2") for line in lines}) == 3
    words = [text.text for text in picture.findall(f"{SVG}text")]
    assert words.count("KV") == 3
    assert [word for word in words if word and word.isdecimal()] == ["1", "0", "3", "2"]


def test_layers_stand_below_each_other_inside_the_picture() -> None:
    layers = [SitePicture(tuple(range(8))), SitePicture((0,) * 8)]
    picture = ElementTree.fromstring(sharing_picture(layers, ink="#123456"))
    height = float(picture.attrib["viewBox"].split()[3])
    bottoms = [
        float(box.attrib["y"]) + float(box.attrib["height"])
        for box in picture.findall(f"{SVG}rect")
    ]
    assert max(bottoms) <= height
    assert {text.text for text in picture.findall(f"{SVG}text")} >= {"layer 1", "layer 2"}
