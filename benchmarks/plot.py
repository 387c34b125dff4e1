"""The figures as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot, which looks for a screen
from results import Results
from scenarios import BY_NAME, Scenario
from servers import SERVERS

PANELS = ("echo-100", "echo-1000", "echo-16k", "fanout-1000", "connect", "get-50", "memory-10000", "fanout-100")
SHORT = {
    "geuwsgi": "geuwsgi",
    "geuwsgi-pure": "geuwsgi, pure Python",
    "geuwsgi-2": "geuwsgi, two workers",
    "c-epoll": "C epoll loop (limit)",
    "uwsgi-http-socket": "uWSGI --http-socket",
    "uwsgi-http": "uWSGI --http",
    "uwsgi-keepalive": "uWSGI --http-keepalive",
    "uwsgi-redis": "uWSGI + Redis each",
    "uvicorn": "uvicorn + websockets",
    "granian": "granian WSGI",
    "granian-asgi": "granian ASGI",
    "gunicorn": "gunicorn gevent",
    "gunicorn-websocket": "gunicorn gevent-websocket",
}
OURS, LIMIT, THEIRS = "#2b6cb0", "#b8b8b8", "#e0a458"
ORDER = [server.name for server in SERVERS]


def colour(server: str) -> str:
    if server.startswith("geuwsgi"):
        return OURS
    return LIMIT if server == "c-epoll" else THEIRS


def bars(results: Results, scenario: Scenario) -> list[tuple[str, float]]:
    """(server, median), the best first."""
    found = [(server, results.median(scenario.name, server) or 0) for server in results.servers(scenario.name) if server != "geuwsgi-2"]
    return sorted(found, key=lambda pair: pair[1], reverse=not scenario.memory)


def panel(axes: Axes, results: Results, scenario: Scenario) -> None:
    found = bars(results, scenario)
    names = [SHORT.get(server, server) for server, _ in found]
    values = [value for _, value in found]
    drawn = axes.barh(names, values, color=[colour(server) for server, _ in found], height=0.7)
    axes.bar_label(drawn, labels=[f"{value:,.1f}" if scenario.memory else f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(f"{scenario.title} ({scenario.unit})", fontsize=9, loc="left")
    axes.set_xlim(0, max(values) * 1.2)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_visible(False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def draw(results: Results, target: Path) -> None:
    """Writes a PNG with one panel per scenario that was measured against at least one peer."""
    shown = [BY_NAME[name] for name in PANELS if len(bars(results, BY_NAME[name])) > 1]
    if not shown:
        raise SystemExit("bench: there is nothing to draw: no scenario of the picture was measured with two servers")
    rows = (len(shown) + 1) // 2
    heights = [max(len(bars(results, scenario)) for scenario in shown[2 * row : 2 * row + 2]) for row in range(rows)]
    figure = Figure(figsize=(13, sum(heights) * 0.27 + rows * 0.6 + 0.7), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, scenario in zip(grid.flat, shown):
        panel(axes, results, scenario)
    about = results.machine
    words = f"server on one core, load on another; {about['processor']}, Python {about['python']}, median of {about['rounds']}"
    figure.suptitle(f"{words}, {about['date'][:10]}", fontsize=9)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
