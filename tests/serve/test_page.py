"""The page in Chromium, with a microphone that plays a dog: `make test-page`.

Skipped where playwright or Chromium is not installed; axe-core is taken from build/page, where npm puts it.
"""

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect, sync_playwright
from raw import get
from sounds import wav

import ltu
from ltu.demo_model import ASSETS

ROOT = Path(__file__).parents[2]
AXE = ROOT / "build/page/node_modules/axe-core/axe.min.js"
CHROMIUM = os.environ.get("LTU_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DOG = ASSETS / "clips" / "4-183992-A.ogg"
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    dog = tmp_path_factory.mktemp("page") / "dog.wav"
    samples, rate = soundfile.read(str(DOG))
    soundfile.write(dog, samples, rate, subtype="PCM_16")
    microphone = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")
    flags = [*microphone, f"use-file-for-fake-audio-capture={dog}", "no-sandbox"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in flags])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """The page, which must not have complained when the test ends."""
    context = browser.new_context(permissions=["microphone", "clipboard-write", "clipboard-read"])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server}/#Is%20[AUDIO]%20a%20bird%3F")
    expect(page.locator("#about")).to_contain_text("tiny")
    yield page
    context.close()
    assert [text for text in complaints if "status of 400" not in text] == []


def text(page: Page) -> str:
    return page.input_value("#prompt")


def choose_dog(page: Page) -> None:
    page.click("#examples button:first-child")
    expect(page.locator("#heard")).to_contain_text("are heard")


def answered(page: Page) -> None:
    page.click("#ask")
    expect(page.locator("#state")).to_have_text("Answered.", timeout=60_000)


def test_a_recording_is_heard_and_answered_in_both_formats(page: Page) -> None:
    page.click("#record")
    expect(page.locator("#record")).to_contain_text("Stop")
    page.wait_for_timeout(700)
    page.click("#record")
    expect(page.locator("#heard")).to_contain_text("recording.wav")
    answered(page)
    assert page.locator("#columns article").count() == 2
    assert page.locator("#columns .tree").count() == 2
    assert page.locator("#columns .bar").count() == 4
    assert page.locator("#columns li").count() == 8


def test_the_answers_shown_are_the_model_s(page: Page, model: ltu.Model) -> None:
    choose_dog(page)
    answered(page)
    clip = ltu.load_audio(DOG)
    expected = [answer.text for answer in model.generate("Is [AUDIO] a bird?", clip, 4, 0)]
    before = [a.text for a in model.generate("Is this sound a bird?", clip, 4, 0, format="prepended")]
    assert page.locator("#columns li").all_text_contents() == expected + before
    exact = model.answer_distribution("Is [AUDIO] a bird?", clip, node_budget=64, temperature=1.0)
    assert f"yes {100 * exact.yes:.1f} %" in page.locator(".numbers").first.text_content()


def test_the_sound_moves_by_keys_and_by_pointer(page: Page) -> None:
    page.focus(".chip")
    page.keyboard.press("ArrowRight")
    assert text(page) == "Is  a[AUDIO] bird?"
    page.keyboard.press("Shift+ArrowRight")
    assert text(page) == "Is  a [AUDIO]bird?"
    page.keyboard.press("Home")
    assert text(page) == "[AUDIO]Is  a bird?"
    word = page.locator("#chips span", has_text="bird?").bounding_box()
    chip = page.locator(".chip").bounding_box()
    assert word
    assert chip
    page.mouse.move(chip["x"] + 5, chip["y"] + 5)
    page.mouse.down()
    page.mouse.move(word["x"] + word["width"] - 2, word["y"] + 5, steps=4)
    page.mouse.up()
    assert text(page) == "Is  a bird?[AUDIO]"
    assert page.evaluate("decodeURIComponent(location.hash.slice(1))") == text(page)


def test_what_the_server_can_not_read_the_browser_converts(page: Page) -> None:
    """WebM, as a browser records it, through the same door as a dropped file."""
    page.evaluate(
        """async () => {
        const stream = await navigator.mediaDevices.getUserMedia({audio: true});
        const recorder = new MediaRecorder(stream, {mimeType: 'audio/webm'}), parts = [];
        recorder.ondataavailable = ({data}) => parts.push(data);
        const stopped = new Promise((done) => recorder.onstop = done);
        recorder.start(); await new Promise((done) => setTimeout(done, 600)); recorder.stop(); await stopped;
        const transfer = new DataTransfer();
        transfer.items.add(new File(parts, 'dropped.webm'));
        document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {dataTransfer: transfer}));
        }"""
    )
    expect(page.locator("#heard")).to_contain_text("are heard")
    page.set_input_files("#file", {"name": "no.wav", "mimeType": "audio/wav", "buffer": b"not audio at all"})
    expect(page.locator("#heard")).to_contain_text("nor this browser")


def paste(page: Page, name: str, data: bytes, selector: str = "body") -> None:
    """What Ctrl-V sends where a file was copied."""
    page.evaluate(
        """([name, data, selector]) => {
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
        const event = new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true});
        document.querySelector(selector).dispatchEvent(event);
        }""",
        [name, base64.b64encode(data).decode(), selector],
    )


@pytest.mark.parametrize("selector", ["body", "#prompt"])
def test_a_pasted_file_is_heard(page: Page, selector: str) -> None:
    paste(page, "copied.ogg", DOG.read_bytes(), selector)
    expect(page.locator("#heard")).to_contain_text("copied.ogg: 5.00 s are heard")
    paste(page, "letter.txt", b"no sound", selector)
    expect(page.locator("#heard")).to_contain_text("letter.txt: neither the server nor this browser")
    assert text(page) == "Is [AUDIO] a bird?"


def test_pasted_text_is_text(page: Page) -> None:
    page.evaluate("navigator.clipboard.writeText('Really: ')")
    page.focus("#prompt")
    page.keyboard.press("Control+Home")
    page.keyboard.press("Control+V")
    assert text(page) == "Really: Is [AUDIO] a bird?"
    expect(page.locator("#heard")).to_have_text("No sound yet.")


PLACES = """() => {
    const box = (id) => document.getElementById(id).getBoundingClientRect();
    const {left, width} = box("picture"), player = document.getElementById("player");
    return {head: (box("playhead").left - left) / width, heard: box("mel").width / width,
            unheard: box("unheard").width / width, now: player.currentTime, paused: player.paused};
}"""


def play_to(page: Page, seconds: float) -> dict[str, Any]:
    """Plays from where it stands, pauses there or later; where everything stands then."""
    page.evaluate("document.getElementById('player').play()")
    while page.evaluate(PLACES)["now"] < seconds:
        page.wait_for_timeout(20)
    page.evaluate("document.getElementById('player').pause()")
    page.wait_for_timeout(200)  # its last frame
    found: dict[str, Any] = page.evaluate(PLACES)
    return found


def test_the_playhead_stands_where_the_sound_is(page: Page) -> None:
    choose_dog(page)
    assert page.evaluate(PLACES)["head"] == 0
    found = play_to(page, 0.4)
    assert found["paused"]
    assert found["head"] == pytest.approx(found["now"] / 10.24, abs=0.003)
    assert (found["heard"], found["unheard"]) == (1, 0)
    page.evaluate("document.getElementById('player').currentTime = 3")
    page.wait_for_timeout(200)
    assert page.evaluate(PLACES)["head"] == pytest.approx(3 / 10.24, abs=0.003)
    grey = "(x) => [...document.getElementById('mel').getContext('2d').getImageData(x, 64, 1, 1).data]"
    assert page.evaluate(grey, 600) == [128, 128, 128, 255]  # after the recording's five seconds
    assert page.evaluate(grey, 100) != [128, 128, 128, 255]


def test_a_new_sound_begins_at_its_beginning_and_shows_what_is_not_heard(page: Page) -> None:
    choose_dog(page)
    play_to(page, 0.2)
    page.set_input_files(
        "#file", {"name": "long.wav", "mimeType": "audio/wav", "buffer": wav(0, seconds=20.48)}
    )
    expect(page.locator("#heard")).to_contain_text("long.wav: 10.26 s are heard")
    page.wait_for_timeout(200)
    found = page.evaluate(PLACES)
    assert found["head"] == 0
    assert found["heard"] == pytest.approx(0.5, abs=0.003)
    assert found["unheard"] == pytest.approx(0.5, abs=0.003)
    page.evaluate("document.getElementById('player').currentTime = 15.36")
    page.wait_for_timeout(200)
    assert page.evaluate(PLACES)["head"] == pytest.approx(0.75, abs=0.003)


def test_copies_can_be_run(page: Page, tmp_path: Path) -> None:
    choose_dog(page)
    page.click("#copy-python")
    expect(page.locator("#state")).to_have_text("Copied.")
    program = page.evaluate("navigator.clipboard.readText()")
    compile(program, "copied", "exec")
    assert '"Is ", audio, " a bird?"' not in program  # as parts, not as strings
    assert '{"type": "text", "text": "Is "}' in program.replace('":"', '": "').replace('","', '", "')
    page.click("#copy-curl")
    page.wait_for_timeout(100)
    assert "curl -s http" in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_screens_and_accessibility(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 800})
    choose_dog(page)
    answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    if shots := os.environ.get("LTU_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/page-{scheme}-320.png", full_page=True)
        page.set_viewport_size({"width": 1100, "height": 900})
        page.screenshot(path=f"{shots}/page-{scheme}.png", full_page=True)
    if not AXE.exists():
        pytest.skip("no axe-core: make test-page fetches it")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []


def test_the_page_allows_nothing_from_elsewhere(server: str) -> None:
    for path in ("/", "/page/page.js", "/page/page.css", "/page/clips/4-183992-A.ogg"):
        response = get(server, path)
        assert response.status == 200
        assert "default-src 'self'" in response.headers["content-security-policy"]
    for path in ("/page/..%2fapp.py", "/page/clips/ATTRIBUTION.md", "/page/nothing.js"):
        assert get(server, path).status == 404


@pytest.fixture
def touched(browser: Browser, server: str) -> Iterator[Page]:
    """The page on a telephone."""
    context = browser.new_context(viewport={"width": 390, "height": 400}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{server}/#Is%20[AUDIO]%20a%20bird%3F")
    expect(page.locator("#about")).to_contain_text("tiny")
    yield page
    context.close()


def drag_by_finger(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Real touches, as the browser gets them from a screen: it may still decide to scroll."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        session.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        )

    touch("touchStart", start)
    for step in range(1, 9):
        touch("touchMove", tuple(a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)))  # type: ignore[arg-type]
    touch("touchEnd")


def test_the_sound_moves_by_touch_and_the_page_still_scrolls(touched: Page) -> None:
    page = touched
    page.evaluate("scrollTo(0, document.querySelector('#chips').offsetTop - 200)")
    chip, word = page.locator(".chip").bounding_box(), page.locator("#chips span").last.bounding_box()
    assert chip
    assert word
    stood = page.evaluate("scrollY")
    end = (word["x"] + word["width"] - 2, word["y"] + word["height"] / 2)
    drag_by_finger(page, (chip["x"] + 8, chip["y"] + chip["height"] / 2), end)
    assert text(page) == "Is  a bird?[AUDIO]"
    assert page.evaluate("scrollY") == stood
    word = page.locator("#chips span").first.bounding_box()
    assert word
    place = (word["x"] + 3, word["y"] + word["height"] / 2)
    drag_by_finger(page, place, (place[0], 5))
    page.wait_for_timeout(500)
    assert page.evaluate("scrollY") > stood  # by a finger on a word, not on the sound
    assert text(page) == "Is  a bird?[AUDIO]"
