"""RESULTS.md: one section a subject, rewritten when the subject is measured again."""

from __future__ import annotations

import datetime
import platform
import re
import subprocess
from pathlib import Path

from harness.pairs import Side
from harness.subject import Result, Subject

HEAD = """\
# Results

Written by `bench/run`; do not edit by hand. Medians with min..max over runs in turn (A B A B); `ratio` counts in Larder's favour
above 1. Memory is the peak (VmHWM) of the largest client process and of the server with its workers; `anonymous` is the most of the server's
at a time (RssAnon and RssShmem) that is not pages of files, which the kernel drops when it needs the memory. Bytes are decimal.
"""


def record(page: Path, subject: Subject, result: Result) -> str:
    """Rewrites the subject's section and returns it."""
    section = render(subject, result)
    text = page.read_text() if page.exists() else ""
    text = HEAD + "".join(re.findall(r"^\n<!-- .*\Z", text, re.DOTALL | re.MULTILINE))
    block = f"<!-- {subject.name} -->\n{section}<!-- /{subject.name} -->\n"
    pattern = re.compile(rf"<!-- {subject.name} -->\n.*?<!-- /{subject.name} -->\n", re.DOTALL)
    text = pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text}\n{block}"
    page.write_text(text)
    return section


def render(subject: Subject, result: Result) -> str:
    lines = [
        f"## {subject.name}",
        "",
        f"{subject.work}, against {subject.against}. Target: {subject.target}.",
        "",
        f"| side | {result.unit} | min..max | runs | CPU s | client MiB | server MiB | anonymous | MB moved |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [row(side) for side in (result.ours, result.theirs)]
    lines.append("")
    for promise in result.promises:
        measured = "not measured" if promise.ratio is None else f"{promise.ratio:.2f}"
        bound = "at most" if promise.at_most else "at least"
        verdict = {None: "", True: ": kept", False: ": **missed**"}[promise.kept]
        lines.append(f"- {promise.label}: {measured} (wanted {bound} {promise.wanted:g}){verdict}")
    lines += [f"- {note}" for note in result.notes]
    if result.limits:
        lines.append(f"- this machine: {'; '.join(result.limits)}")
    lines += [f"- {conditions()}", ""]
    return "\n".join(lines)


def row(side: Side) -> str:
    if not side.runs:
        return f"| {side.name} | not measured | | | | | | | |"
    span = f"{number(min(side.values))}..{number(max(side.values))}"
    memory = [f"{kib / 1024:.0f}" if kib else "" for kib in (side.client_kib, side.server.resident, side.server.anonymous)]
    moved = f"{side.bytes / 1e6:.1f}" if side.bytes else ""
    cpu = f"{side.cpu:.2f}" if side.cpu else ""
    return f"| {side.name} | {number(side.median)} | {span} | {len(side.runs)} | {cpu} | {' | '.join(memory)} | {moved} |"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def conditions() -> str:
    here = Path(__file__).parent
    commit = git(here, "rev-parse", "--short=12", "HEAD")
    changed = " with uncommitted changes" if git(here, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!*RESULTS.md") else ""
    cpus = Path("/proc/cpuinfo").read_text().count("processor\t")
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    busy = Path("/proc/loadavg").read_text().split()[0]
    day = datetime.date.today().isoformat()
    cpu = model.group(1).strip() if model else platform.machine()
    return f"{day}, commit {commit}{changed}, {cpus} CPUs ({cpu}), Linux {platform.release()}, load average {busy} at the end"


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=False, capture_output=True, text=True).stdout.strip()
