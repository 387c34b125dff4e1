"""The game in a real Chromium: two pages play a match; a bad network still feels right; nothing grows."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Callable

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from bombertab_demo.game.motion import walk
from tests.harness.browser import serious_messages, start_chromium
from tests.harness.network import Network
from tests.harness.programs import ROOT
from tests.harness.wait import wait_until

pytestmark = pytest.mark.browser

#: Those of the elements on which something else lies, in the middle or at an edge, or which are cut off by the one around them.
HIDDEN = """
return arguments[0].filter((name) => {
  const element = document.querySelector(name), box = element.getBoundingClientRect(), around = element.closest("aside, header, #pads");
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  const places = [[x, y], [x, box.y + 3], [x, box.bottom - 3], [box.x + 3, y], [box.right - 3, y]];
  const seen = ([x, y]) => { const top = document.elementFromPoint(x, y); return element.contains(top) || top?.contains(element); };
  return !places.every(seen) || around.scrollHeight > around.clientHeight + 1;
});
"""

OWN_BOMB = "return [...bombertab.world.bombs.values()].some((bomb) => bomb.owner === bombertab.world.slot)"

#: Chromium keeps connections open for later, also some that it never uses: they are to end before the test looks for what is left.
ARGUMENTS = (
    *("--ini", f"{ROOT / 'bombertab_demo' / 'bombertab.ini'}:game", "--http-keepalive=2", "--http-headers-timeout=1"),
    *("--set", "bombertab-back-within=1", "--http-socket", "127.0.0.1:0"),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two browsers: a tab in the background of one does not draw, and two people have two anyway."""
    drivers = [start_chromium(tmp_path_factory.mktemp(name)) for name in ("ada", "grace")]
    yield drivers
    for driver in drivers:
        driver.quit()


class Player:
    """A page of the game in a browser of its own."""

    def __init__(self, driver: Any, url: str, name: str, room: str, query: str = "", hue: int = 200) -> None:
        self.driver = driver
        driver.get(url + "/rules.js")  # the page's origin, to say who we are before the page asks
        serious_messages(driver)  # those of the test before
        self.run("sessionStorage.clear(); sessionStorage.setItem('me', arguments[0])", json.dumps({"name": name, "hue": hue}))
        driver.get(f"{url}/{query}#{room}")
        self.until("return bombertab.world.ready && bombertab.world.slot !== null")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any, deadline: float = 20.0) -> Any:
        return WebDriverWait(self.driver, deadline, poll_frequency=0.05).until(lambda driver: driver.execute_script(script, *arguments))

    def where(self, slot: int) -> tuple[int, int]:
        """What this page shows of a player, in units."""
        x, y = self.run("const p = bombertab.world.players.get(arguments[0]); return [p.seen.x, p.seen.y]", slot)
        return round(x), round(y)

    def keys(self, kind: str, code: str) -> None:
        self.run("document.body.dispatchEvent(new KeyboardEvent(arguments[0], {code: arguments[1], bubbles: true}))", kind, code)

    def shows(self, names: list[str]) -> None:
        """Wait until nothing lies on these elements: the page may still be laid out."""
        wait_until(lambda: not self.run(HIDDEN, names), what=f"{names} to be seen")

    def drops_a_bomb(self) -> None:
        """Press until there is one. Bots are quick: who has lost a life by now gets another one in the next round."""
        wait_until(lambda: self.driver.find_element(By.ID, "drop").click() or self.run(OWN_BOMB), what="a bomb of one's own")

    def notes_fire(self) -> None:
        """Have the page note that there were bombs and flames: they are gone before a busy machine has asked for them."""
        self.run(
            "const note = (map, name) => {"
            "  const set = map.set.bind(map); map.set = (...what) => { window[name] = true; return set(...what); };"
            "};"
            "note(bombertab.world.bombs, 'sawBombs'); note(bombertab.world.flames, 'sawFlames');"
        )

    def leave(self) -> None:
        """Go for good: the room need not wait for this player."""
        self.run("bombertab.net.send({t: 'leave'})")
        self.driver.get("about:blank")


def test_the_page_walks_as_the_server_does(server: Callable[..., Any], pair: Any) -> None:
    """rules.js against game/motion.py, step by step on the same random ways."""
    game = server(None, *ARGUMENTS)
    rng = Random(7)
    width = 9
    cells = [
        1 if not (0 < x < 8 and 0 < y < 8) or (x % 2 == 0 and y % 2 == 0) or rng.random() < 0.15 else 0 for y in range(9) for x in range(9)
    ]
    cells[10] = 0
    steps = [(rng.randrange(5), 32 + 4 * rng.randrange(6)) for _ in range(3000)]
    steps = [step for step in steps for _ in range(4)]
    x = y = 360
    expected = []
    for direction, length in steps:
        x, y = walk(x, y, direction, length, lambda column, row: not cells[row * width + column])
        expected.append([x, y])
    driver = pair[0]
    driver.get(game.url + "/rules.js")
    walked = driver.execute_async_script(
        """
        const [cells, width, steps, done] = arguments;
        import("/rules.js").then(({ walk }) => {
          let x = 360, y = 360;
          done(steps.map(([direction, length]) => ([x, y] = walk(x, y, direction, length, (column, row) => !cells[row * width + column]))));
        });
        """,
        cells,
        width,
        steps,
    )
    assert walked == expected
    assert len({tuple(place) for place in expected}) > 100
    driver.get("about:blank")


def test_two_pages_play_a_match(server: Callable[..., Any], pair: Any, artifacts: Path) -> None:
    game = server(None, *ARGUMENTS)
    # Ada comes in by the lobby, as people do.
    driver = pair[0]
    driver.get(game.url + "/")
    driver.find_element(By.ID, "name").clear()
    driver.find_element(By.ID, "name").send_keys("Ada")
    driver.find_element(By.ID, "room").send_keys("arena")
    driver.find_element(By.CSS_SELECTOR, "#fill option[value='0']").click()
    driver.find_element(By.ID, "play").click()
    ada = Player.__new__(Player)
    ada.driver = driver
    ada.until("return bombertab.world.slot === 0")
    ada.until("return document.querySelector('#banner').textContent.includes('Waiting for another tab')")
    grace = Player(pair[1], game.url, "Grace", "arena", hue=130)
    for player in (ada, grace):
        player.until("return bombertab.world.phase === 'playing'")
    assert grace.run("return [...bombertab.world.seats.values()].map((seat) => seat.name)") == ["Ada", "Grace"]
    # Both see each other move.
    assert grace.where(0) == (360, 360)
    ada.keys("keydown", "ArrowRight")
    grace.until("return bombertab.world.players.get(0).seen.x > 360 + 240")
    ada.keys("keyup", "ArrowRight")
    before = ada.where(1)
    grace.keys("keydown", "KeyA")
    ada.until("return bombertab.world.players.get(1).seen.x < arguments[0] - 240", before[0])
    grace.keys("keyup", "KeyA")
    grace.keys("keydown", "ArrowRight")
    grace.until("return bombertab.world.me.x === 15 * 240 + 120")
    grace.keys("keyup", "ArrowRight")
    # And in the end they agree on where everybody is.
    for slot in (0, 1):
        wait_until(lambda slot=slot: ada.where(slot) == grace.where(slot), 20, "the same place on both pages")
    # Talk.
    grace.driver.find_element(By.ID, "words").send_keys("<i>good luck</i>" + Keys.ENTER)
    ada.until("return document.querySelector('#log').textContent.includes('<i>good luck</i>')")
    # One bomb, one victory.
    for player in (ada, grace):
        player.notes_fire()
    ada.keys("keydown", "Space")
    for player in (ada, grace):
        player.until("return window.sawBombs")
    grace.driver.save_screenshot(str(artifacts / "game-bomb.png"))
    grace.until("return window.sawFlames")
    grace.driver.save_screenshot(str(artifacts / "game-blast.png"))
    grace.until("return bombertab.world.phase === 'over'")
    assert grace.driver.find_element(By.ID, "banner").text.startswith("Your round!")
    ada.until("return document.querySelector('#banner').textContent.includes('Grace wins the round')")
    assert ada.run("return document.querySelector('#seats li').textContent").startswith("Grace")
    assert ada.run("return document.querySelectorAll('#seats li.dead').length") == 1
    grace.driver.save_screenshot(str(artifacts / "game-victory.png"))
    grace.until("return bombertab.world.phase === 'starting' && bombertab.world.round === 2")
    for player in (ada, grace):
        assert [message for message in serious_messages(player.driver) if "favicon" not in message] == []
        player.leave()


@pytest.mark.alone
def test_a_bad_network_feels_right(server: Callable[..., Any], pair: Any) -> None:
    """With 150 ms there and back the own player moves at once, ends where the server says, and is hardly ever corrected."""
    game = server(None, *ARGUMENTS)
    with Network(game.port, delay=0.075) as network:
        play_from_afar(game.url, f"http://127.0.0.1:{network.port}", pair)


def play_from_afar(near: str, far: str, pair: Any) -> None:
    ada = Player(pair[0], far, "Ada", "far", "?bots=0")
    grace = Player(pair[1], near, "Grace", "far", "?bots=0", hue=130)
    ada.until("return bombertab.world.playing && bombertab.net.ping !== null", deadline=60)
    assert ada.run("return bombertab.net.ping") >= 140
    ada.until("return bombertab.net.ping < 400")  # the first one may have come while the page was drawn for the first time
    result = ada.driver.execute_async_script(
        """
        const done = arguments[0], { world } = bombertab, start = performance.now();
        const key = (kind, code) => document.body.dispatchEvent(new KeyboardEvent(kind, {code, bubbles: true}));
        const from = {x: world.me.x, y: world.me.y}, corrections = [];
        let first = null, turn = 0;
        const reconcile = world.reconcile.bind(world);
        world.reconcile = (player, record) => {
          const {x, y} = player;
          reconcile(player, record);
          if (player.x !== x || player.y !== y) corrections.push([x - player.x, y - player.y]);
        };
        const ways = ["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"];
        key("keydown", ways[0]);
        const watch = setInterval(() => {
          if (first === null && (world.me.x !== from.x || world.me.y !== from.y)) first = performance.now() - start;
          const now = Math.floor((performance.now() - start) / 300);
          if (now === turn) return;
          key("keyup", ways[turn % 4]);
          turn = now;
          if (turn < 16) key("keydown", ways[turn % 4]);
          else { clearInterval(watch); setTimeout(() => done([first, corrections, world.me.x, world.me.y]), 1000); }
        }, 5);
        """
    )
    first, corrections, x, y = result
    assert first < 120, "the own player waits for nobody"
    assert len(corrections) <= 2, corrections  # a stalled machine may be corrected once
    assert ada.run("return bombertab.world.pending.length") == 0
    wait_until(lambda: grace.where(0) == (x, y), 20, f"Grace sees Ada at {(x, y)}")
    # The others are drawn on their way, not in jumps: between two frames hardly more than a tick's way.
    jumps = grace.driver.execute_async_script(
        """
        const done = arguments[0], { world } = bombertab, ways = [];
        let last = null, frames = 0;
        const watch = () => {
          const { x, y } = world.players.get(0).seen;
          if (last) ways.push(Math.abs(x - last.x) + Math.abs(y - last.y));
          last = { x, y };
          if (++frames < 60) requestAnimationFrame(watch); else done(Math.max(...ways));
        };
        requestAnimationFrame(watch);
        """
    )
    assert jumps < 240
    for player in (ada, grace):
        player.leave()


def test_a_lost_connection_gets_its_player_back(server: Callable[..., Any], pair: Any) -> None:
    game = server(None, *ARGUMENTS, "--set", "bombertab-back-within=8")
    ada = Player(pair[0], game.url, "Ada", "lost", "?bots=0")
    grace = Player(pair[1], game.url, "Grace", "lost", "?bots=0", hue=130)
    ada.until("return bombertab.world.playing", deadline=60)
    # She is back within a third of a second: too soon to be sure of seeing it from here.
    grace.run(
        "const { world } = bombertab, set = world.setSeats.bind(world);"
        "world.setSeats = (seats, fill) => { set(seats, fill); window.wasAway ||= world.seats.get(0)?.away; };"
    )
    ada.run("bombertab.net.socket.close()")
    grace.until("return window.wasAway")
    ada.until("return bombertab.net.open && bombertab.world.slot === 0 && bombertab.world.ready")
    grace.until("return !bombertab.world.seats.get(0).away")
    ada.driver.refresh()
    ada.until("return window.bombertab?.world.ready && bombertab.world.slot === 0")
    assert ada.run("return bombertab.world.seats.size") == 2
    for player in (ada, grace):
        player.leave()


def test_a_connection_that_is_silently_dead(server: Callable[..., Any], pair: Any) -> None:
    """Nobody tells the page: neither FIN nor RST comes. It finds out, and is back in time.

    It has longer than the 10 s of a real game, which a browser that stands still for some of them would spend on that.
    """
    game = server(None, *ARGUMENTS, "--set", "bombertab-back-within=30")
    with Network(game.port) as network:
        ada = Player(pair[0], f"http://127.0.0.1:{network.port}", "Ada", "tunnel", "?bots=0")
        grace = Player(pair[1], game.url, "Grace", "tunnel", "?bots=0", hue=130)
        ada.until("return bombertab.world.playing", deadline=60)
        ada.run("window.before = bombertab.net.socket")
        network.swallow()
        ada.until("return bombertab.net.socket !== before && bombertab.net.open && bombertab.world.ready")
        ada.until("return bombertab.world.slot === 0")
        ada.keys("keydown", "ArrowRight")
        grace.until("return bombertab.world.players.get(0).seen.x > 360 + 240")
        ada.keys("keyup", "ArrowRight")
        assert grace.run("return bombertab.world.seats.size") == 2
        for player in (ada, grace):
            player.leave()


@pytest.mark.parametrize(("width", "height", "touch"), [(360, 740, True), (740, 360, True), (1280, 800, False), (3840, 2160, False)])
def test_every_screen_shows_everything(
    server: Callable[..., Any], pair: Any, artifacts: Path, width: int, height: int, touch: bool
) -> None:
    game = server(None, *ARGUMENTS, "--set", "bombertab-rate=90")
    driver = pair[0]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if touch else 1, "mobile": touch}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})
    try:
        for scheme in ("dark", "light"):
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            driver.get(f"{game.url}/?{scheme}#")
            driver.execute_script("localStorage.clear()")
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            driver.save_screenshot(str(artifacts / f"game-lobby-{width}-{scheme}.png"))
            ada = Player(driver, game.url, "Ada", f"screen {width} {scheme}", f"?{scheme}&bots=8")
            ada.until("return bombertab.world.phase === 'playing'")
            box = driver.execute_script(
                "const b = document.querySelector('#arena').getBoundingClientRect(); return [b.x, b.y, b.right, b.bottom]"
            )
            assert 0 <= box[0] < box[2] <= width
            assert 0 <= box[1] < box[3] <= height
            assert box[2] - box[0] >= min(width * 0.45, height * 0.8)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            assert driver.find_element(By.ID, "drop").is_displayed() == touch
            names = ["#bots", "#watch", "#seats li:last-child", "#out", *(["#pad", "#drop"] if touch else ["#words"])]
            ada.shows(names)
            driver.save_screenshot(str(artifacts / f"game-{width}-{scheme}.png"))
            if touch:
                ada.drops_a_bomb()
            driver.find_element(By.ID, "watch").click()
            ada.until("return bombertab.world.slot === null")
            wait_until(lambda: not driver.find_element(By.ID, "drop").is_displayed(), what="who looks on has nothing to steer")
            assert [message for message in serious_messages(driver) if "favicon" not in message] == []
            ada.leave()
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        driver.get("about:blank")


def test_the_overlay_and_the_page_weigh_little(server: Callable[..., Any], pair: Any) -> None:
    files = [path for path in (ROOT / "bombertab_demo" / "static").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000
    game = server(None, *ARGUMENTS)
    ada = Player(pair[0], game.url, "Ada", "overlay", "?lag=150")
    pair[0].find_element(By.TAG_NAME, "body").send_keys(Keys.F3)
    # The first one may have come while the page was drawn for the first time.
    text = ada.until(
        "const text = document.querySelector('#overlay').textContent, found = /ping (\\d+) ms.*bytes/s.exec(text);"
        "return found && found[1] < 400 && text"
    )
    assert int(text.split()[1]) >= 150, "the network that was asked for"
    ada.leave()


def test_a_page_kept_open_does_not_grow(server: Callable[..., Any], pair: Any) -> None:
    """Ten minutes of a full room, ten times as fast."""
    game = server(None, *ARGUMENTS, "--set", "bombertab-rate=300")
    driver = pair[0]
    ada = Player(driver, game.url, "Ada", "long")
    ada.run("bombertab.net.send({t: 'fill', fill: 8})")

    def measure() -> tuple[int, int, int]:
        """JS heap, DOM nodes, the server's memory: the least of a few, as what is no longer used is not collected at once."""
        samples = []
        for _ in range(6):
            driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
            values = {metric["name"]: metric["value"] for metric in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
            samples.append((int(values["JSHeapUsedSize"]), int(values["Nodes"]), game.uss()))
            at = ada.run("return bombertab.world.now()")
            ada.until("return bombertab.world.now() - arguments[0] > 150", at)
        heaps, nodes, memories = zip(*samples)
        return min(heaps), min(nodes), min(memories)

    driver.execute_cdp_cmd("Performance.enable", {})
    start = ada.run("return bombertab.world.now()")
    ada.until("return bombertab.world.now() - arguments[0] > 3600", start, deadline=60)  # two minutes of the game: all caches are warm
    heap, nodes, memory = measure()
    ada.until("return bombertab.world.now() - arguments[0] > 18000", start, deadline=120)
    grown_heap, grown_nodes, grown_memory = measure()
    assert grown_heap - heap < 1_500_000, (heap, grown_heap)
    assert grown_nodes - nodes < 300, (nodes, grown_nodes)
    assert grown_memory - memory < 4_000_000, (memory, grown_memory)
    ada.leave()


def test_the_same_page_plays_the_classic_game(server: Callable[..., Any], pair: Any, redis_server: Any, artifacts: Path) -> None:
    """classic.py: the protocol of 2013, its Redis, and the page of today."""
    arguments = ("--ini", f"{ROOT / 'bombertab_demo' / 'classic.ini'}:classic", "--http-keepalive=2", "--http-headers-timeout=1")
    game = server(None, *arguments, "--http-socket", "127.0.0.1:0", env={"REDIS_URL": redis_server.url}, lasting=8)
    ada = Player(pair[0], game.url, "Ada", "duel", "index.html?classic")
    grace = Player(pair[1], game.url, "Grace", "duel", "index.html?classic", hue=130)
    ada.until("return bombertab.world.players.size === 2")
    ada.keys("keydown", "ArrowRight")
    grace.until("return bombertab.world.players.get(0).seen.x > 360 + 240")
    ada.keys("keyup", "ArrowRight")
    for player in (ada, grace):
        player.until("return bombertab.world.me.alive")
    wait_until(lambda: ada.where(0) == grace.where(0), 20, "the same place on both pages")
    grace.notes_fire()
    ada.keys("keydown", "Space")
    grace.until("return window.sawBombs")
    grace.until("return window.sawFlames")
    grace.until("return document.querySelector('#banner').textContent.includes('Your round!')")
    grace.driver.save_screenshot(str(artifacts / "game-classic.png"))
    grace.until("return bombertab.world.round === 2 && bombertab.world.players.get(0).alive")
    assert grace.run("return bombertab.world.seats.get(1).score") == 1
    for player in (ada, grace):
        assert [message for message in serious_messages(player.driver) if "favicon" not in message] == []
        player.driver.get("about:blank")


def test_the_smallest_game(server: Callable[..., Any], pair: Any) -> None:
    game = server(None, *("--module", "bombertab_demo.minimal", "--http-keepalive=2", "--http-headers-timeout=1", "--http", "127.0.0.1:0"))
    for driver in pair:
        driver.get(game.url + "/")
        WebDriverWait(driver, 20).until(lambda driver: driver.execute_script("return socket.readyState") == 1)
    for driver in pair:
        driver.execute_script("dispatchEvent(new PointerEvent('pointermove', {clientX: 50, clientY: 60}))")
    WebDriverWait(pair[0], 20).until(lambda driver: driver.execute_script("return document.querySelectorAll('i').length") == 2)
    assert pair[0].execute_script("return document.querySelector('i').style.left") == "50px"
    pair[1].execute_script("socket.close()")
    WebDriverWait(pair[0], 20).until(lambda driver: driver.execute_script("return document.querySelectorAll('i').length") == 1)
    pair[0].execute_script("socket.close()")
    for driver in pair:
        driver.get("about:blank")
