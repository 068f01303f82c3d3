"""Work that nobody waits for gives way on battery and while memory is short, and never for longer than that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest
from index_service import until, write

from indexer.children import manners
from indexer.children.manners import Manners

LAPTOP = {
    "plugged in": {"BAT0/status": "Charging\n", "AC0/online": "1\n"},
    "on battery": {"BAT0/status": "Discharging\n", "AC0/online": "0\n"},
    "no battery": {"AC0/online": "1\n"},
    "nothing known": {},
}
BATTERY = {"BAT0/energy_now": "20000000\n", "BAT0/energy_full": "50000000\n", "BAT0/power_now": "9000000\n"}


@pytest.mark.skipif(not psutil.LINUX, reason="the system's files of Linux")
@pytest.mark.parametrize("state", LAPTOP)
def test_a_laptop_says_whether_it_is_plugged_in(monkeypatch, tmp_path, state):
    """This machine has no battery: the files of one that has, read by psutil itself."""
    files = LAPTOP[state] | (BATTERY if any("BAT0" in name for name in LAPTOP[state]) else {})
    for name, text in files.items():
        write(tmp_path / "power" / name, text)
    monkeypatch.setattr(psutil._pslinux, "POWER_SUPPLY_PATH", str(tmp_path / "power"))
    monkeypatch.setattr(manners, "MEMORY_PRESSURE", tmp_path / "none")
    assert manners.why_wait() == ("on battery" if state == "on battery" else "")


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        (
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
            False,
        ),
        (
            "some avg10=90.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=9.50 avg60=0.00 avg300=0.00 total=3\n",
            False,
        ),
        (
            "some avg10=90.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=43.21 avg60=0.00 avg300=0.00 total=3\n",
            True,
        ),
        ("something else\n", False),
        ("", False),
    ],
)
def test_a_machine_that_swaps_is_left_alone(monkeypatch, tmp_path, text, waits):
    monkeypatch.setattr(manners, "on_battery", lambda: False)
    monkeypatch.setattr(manners, "MEMORY_PRESSURE", tmp_path / "memory")
    assert manners.why_wait() == ""
    write(tmp_path / "memory", text)
    assert manners.why_wait() == ("memory is short" if waits else "")


@pytest.mark.skipif(not Path("/proc/pressure/memory").exists(), reason="this system does not say")
def test_what_this_system_says_is_understood():
    assert manners._LAST_SECONDS.match(manners.MEMORY_PRESSURE.read_text().splitlines()[1])


async def test_work_waits_until_the_reason_is_gone():
    reason = "on battery"
    kept = Manners(lambda: reason, look_again_s=0.05)
    working = asyncio.create_task(kept.welcome())
    await until(lambda: kept.waiting)
    await asyncio.sleep(0.2)
    assert not working.done() and kept.waiting == "on battery"
    reason = ""
    await working
    assert kept.waiting == ""


async def test_what_somebody_waits_for_does_not():
    kept = Manners(lambda: "on battery", look_again_s=600)
    working = asyncio.create_task(kept.welcome())
    await until(lambda: kept.waiting)
    with kept.urgent():
        await working
        await kept.welcome()
        assert kept.waiting == ""
    working = asyncio.create_task(kept.welcome())
    await until(lambda: kept.waiting)
    working.cancel()
