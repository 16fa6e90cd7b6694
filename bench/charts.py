"""Charts of measurements as PNG files: bars and lines on white, labelled where they end, with few colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot is there: no screen is needed

from matplotlib import pyplot as plt
from matplotlib import ticker

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

# Okabe and Ito's, told apart by those who see few colours too; grey is for what stands beside, not for comparison.
OURS = "#0072B2"
GREY = "#9A9A9A"
COLOURS = (OURS, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LABEL_GAP = 0.018
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "savefig.facecolor": "white",
}
_PIXELS_PER_INCH = 120


def bars(
    path: Path,
    title: str,
    values: Mapping[str, float],
    *,
    unit: str,
    colours: Mapping[str, str] | None = None,
    hatched: Collection[str] = (),
    line: tuple[str, float] | None = None,
    log: bool = False,
) -> None:
    """
    Write lying bars, the first on top, each with its value and *unit* at its end.

    *colours* names a bar's own colour (default: OURS for the first, GREY for the others); *hatched* are
    those that do not compare in full; *line* is a goal or a floor:
    its words and value, drawn across all bars. *log* makes the axis logarithmic.
    """
    own = colours or {}
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(8, 1.3 + 0.42 * len(values)))
        for row, (name, value) in enumerate(values.items()):
            colour = own.get(name, GREY if row else OURS)
            inside: Any = {"facecolor": "white", "hatch": "////"} if name in hatched else {"facecolor": colour}
            axes.barh(row, value, height=0.65, edgecolor=colour, **inside)
            axes.annotate(
                f"{_number(value)} {unit}", (value, row), xytext=(4, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        if log:
            axes.set_xscale("log")
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.margins(x=0.18)
        if line:
            words, value = line
            axes.axvline(value, color="#333333", linewidth=1, linestyle="--")
            axes.annotate(
                f"{words} {_number(value)} {unit}",
                (value, 0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -3),
                textcoords="offset points",
                va="top",
                fontsize=9,
            )
        axes.set_title(title, pad=10)
        _save(figure, path)


def lines(  # noqa: PLR0913 - a chart is described by its words
    path: Path,
    title: str,
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    goal: tuple[str, float] | None = None,
) -> None:
    """
    Write a line per series over *x*, each labelled at its end instead of in a legend.

    *goal* is a level that is drawn across: its words and value. Axes that are not logarithmic begin at zero.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(8, 4.5))
        for number, values in enumerate(series.values()):
            axes.plot(x, values, color=_colour(number), marker="o", markersize=4, linewidth=1.8)
        if goal:
            axes.axhline(goal[1], color="#777777", linewidth=1, linestyle="--")
            axes.annotate(
                goal[0], (0, goal[1]), xycoords=("axes fraction", "data"), xytext=(4, 3), textcoords="offset points"
            )
        _scale(axes, x, log_x=log_x, log_y=log_y)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_title(title, pad=10)
        figure.canvas.draw()  # the limits of the axes are final now
        _label_ends(axes, x[-1], series)
        _save(figure, path)


def _scale(axes: Axes, x: Sequence[float], *, log_x: bool, log_y: bool) -> None:
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: _number(value)))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.05)
    axes.xaxis.set_major_locator(ticker.FixedLocator(list(x)))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: _number(value)))


def _label_ends(axes: Axes, x: float, series: Mapping[str, Sequence[float]]) -> None:
    """Write each series' name beside its last point, moved apart where two would lie upon each other."""
    to_screen, to_share = axes.transData, axes.transAxes.inverted()
    places = sorted(
        (to_share.transform(to_screen.transform((x, values[-1])))[1], number, name)
        for number, (name, values) in enumerate(series.items())
    )
    lowest = -1.0
    for height, number, name in places:
        lowest = max(height, lowest + 2.4 * _LABEL_GAP)
        axes.text(1.01, lowest, name, transform=axes.transAxes, color=_colour(number), va="center", fontsize=9)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _number(value: float) -> str:
    """Write a number as briefly as it can be read."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of the library, so that the same figures make the same file.
    figure.savefig(path, dpi=_PIXELS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
